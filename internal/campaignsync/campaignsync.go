// Package campaignsync reads the provider's campaigns: their names, status and dates from its list, a page a step, and
// then its figures of each campaign that was sent, a campaign a step. What a step brought, the place behind it and the
// progress are stored in one transaction, so a sync may be killed anywhere and goes on behind its last step.
//
// The second part walks the campaigns that we know, in the order of the provider's ids. So it also asks for those that the
// list does not have, as one that only a webhook named. It leaves out those that the provider has not sent, and those whose
// figures were all in the list already. A campaign that cannot be had, because the provider has none of this id, say, is
// counted as unreadable, and the sync goes on.
//
// Progress: fetched counts campaigns of which all is read, of total, the campaigns that we know; inserted, updated and
// unchanged count what became of the list's campaigns, their figures aside.
package campaignsync

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"monterey/internal/campaign"
	"monterey/internal/campaigner"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// Sync is the work of tasks of the kind task.Campaigns. All fields are needed.
type Sync struct {
	Accounts  *campaigner.Accounts
	Campaigns campaign.Store
	Tasks     task.Store
	Now       func() time.Time
	Slice     time.Duration // after so long the work gives way, behind the step that it is at
}

// state is where a sync stands.
type state struct {
	Connection uuid.UUID         `json:"connection"`
	Began      time.Time         `json:"began"` // figures that were asked for since then are those of this sync
	Cursor     campaigner.Cursor `json:"cursor"`
	Listed     bool              `json:"listed,omitempty"`
	After      string            `json:"after,omitempty"` // the provider's id of the last campaign that was done
	Done       bool              `json:"done,omitempty"`
	Fault      string            `json:"fault,omitempty"` // of the first campaign that could not be read
}

// ahead is how many campaigns are looked up at a time.
const ahead = 100

// Work implements task.Work.
func (s *Sync) Work(ctx context.Context, c workspace.Caller, t task.Task) error {
	client, conn, err := s.Accounts.Open(ctx, c)
	if err != nil {
		return err
	}
	defer client.Close()
	r := &run{Sync: s, client: client, caller: c, task: t, provider: conn.Provider, until: s.Now().Add(s.Slice)}
	if err := r.begin(conn.ID.UUID); err != nil {
		return err
	}
	if !r.state.Listed {
		if err := r.list(ctx); err != nil {
			return campaigner.Outcome(err)
		}
	}
	return campaigner.Outcome(r.figures(ctx))
}

func (r *run) begin(connection uuid.UUID) error {
	if r.task.State == nil {
		began := r.Now().UTC().Truncate(time.Microsecond) // as the store keeps times
		r.state = state{Connection: connection, Began: began, Cursor: campaigner.Cursor{PageSize: campaign.MaxReported}}
		return nil
	}
	if err := json.Unmarshal(r.task.State, &r.state); err != nil {
		return fmt.Errorf("campaignsync: state: %w", err)
	}
	if r.state.Connection != connection {
		return fault.New(fault.Conflict, "the connection was replaced while the campaigns were read; start anew")
	}
	return nil
}

// list reads what is left of the list.
func (r *run) list(ctx context.Context) error {
	var asked time.Time
	_, err := campaigner.Walk(ctx, func(ctx context.Context, p campaigner.ListParams) (campaigner.Page[campaigner.Campaign], error) {
		asked = r.Now()
		return r.client.Campaigns(ctx, campaigner.AllCampaigns, p)
	}, r.state.Cursor, func(ctx context.Context, p campaigner.Page[campaigner.Campaign], next campaigner.Cursor) (int, error) {
		return r.storePage(ctx, p.Items, asked, next)
	})
	if err != nil {
		return err
	}
	known, err := r.Campaigns.ListCampaigns(ctx, r.caller, campaign.Filter{Providers: []provider.Name{r.provider}, IncludeArchived: true},
		page.Params{Number: 1, Size: 1})
	if err != nil {
		return err
	}
	r.state.Listed, r.state.Cursor = true, campaigner.Cursor{}
	r.task.Progress.Total = &known.Total
	return r.save(ctx)
}

// figures reads what is left of the campaigns.
func (r *run) figures(ctx context.Context) error {
	for !r.state.Done {
		next, err := r.Campaigns.CampaignsAfter(ctx, r.caller, r.provider, r.state.After, ahead)
		if err != nil {
			return err
		}
		for _, cm := range next {
			if err := r.campaign(ctx, cm); err != nil {
				return err
			}
		}
		if len(next) < ahead {
			r.state.Done = true
		}
		if err := r.save(ctx); err != nil {
			return err
		}
	}
	return nil
}

// campaign reads one, if it needs to be read.
func (r *run) campaign(ctx context.Context, cm campaign.Campaign) error {
	r.state.After = cm.ProviderCampaignID
	r.task.Progress.Fetched++
	if Unsent(cm.Status) || cm.Figures != nil && !cm.Figures.AsOf.Before(r.state.Began) {
		return nil // saved with the next one that is read, or the last of all
	}
	said, wrong, err := Ask(ctx, r.client, cm, r.Now)
	if err != nil {
		return err
	}
	if wrong != "" {
		r.unreadable(wrong)
		if err := r.save(ctx); err != nil {
			return err
		}
		return r.giveWay()
	}
	if _, err := r.put(ctx, []campaign.Reported{said}, false); err != nil {
		return err
	}
	return r.giveWay()
}
