// Package recovery finds the holes that webhooks left, and fills them: it compares our counts of each campaign with the
// provider's figures, fetches the reports of what differs, and puts their rows into the inbox, where counting tells which
// of them are events that we have (see internal/ingest/recovery.go). What it finds is kept as a reconciliation.Comparison.
//
// One campaign is a step. Campaigns whose rows are still being counted are in the state, so that they are not fetched again;
// several are waited for together, as counting lets small batches wait for company.
package recovery

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"monterey/internal/campaign"
	"monterey/internal/campaigner"
	"monterey/internal/campaignsync"
	"monterey/internal/delivery"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/reconciliation"
	"monterey/internal/rollup"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// Recovery is the work of tasks of the kind task.Reconciliation. All fields are needed.
type Recovery struct {
	Accounts    *campaigner.Accounts
	Campaigns   campaign.Store
	Statistics  rollup.Store
	Deliveries  delivery.Store
	Inbox       ingest.Inbox
	Comparisons reconciliation.Store
	Tasks       task.Store
	Now         func() time.Time
	Slice       time.Duration // after so long the work gives way, behind the campaign that it is at
	// Wait is how often to look whether what was fetched is counted.
	Wait time.Duration
}

// state is where a reconciliation stands.
type state struct {
	Connection uuid.UUID `json:"connection"`
	After      string    `json:"after,omitempty"` // the provider's id of the last campaign that was compared
	Waiting    []waiting `json:"waiting,omitempty"`
}

// waiting is a campaign whose reports were fetched and are not counted yet.
type waiting struct {
	Campaign   uuid.UUID             `json:"campaign"`
	Theirs     reconciliation.Counts `json:"theirs"`
	Sources    campaign.Sources      `json:"sources"`
	Deliveries []delivery.ID         `json:"deliveries"`
}

// run is one call of Work.
type run struct {
	*Recovery
	client *campaigner.Client
	conn   provider.Connection
	caller workspace.Caller
	task   task.Task // Progress is that of the last step, and what has been done since
	state  state
	until  time.Time
	got    bool // further than where this call of Work began
}

// ahead is how many campaigns are looked up at a time.
const ahead = 100

// together is how many deliveries are waited for together, at most about.
const together = 20

// Work implements task.Work.
func (w *Recovery) Work(ctx context.Context, c workspace.Caller, t task.Task) error {
	client, conn, err := w.Accounts.Open(ctx, c)
	if err != nil {
		return err
	}
	defer client.Close()
	r := &run{Recovery: w, client: client, conn: conn, caller: c, task: t, until: w.Now().Add(w.Slice)}
	if err := r.begin(ctx); err != nil {
		return err
	}
	return campaigner.Outcome(r.all(ctx))
}

func (r *run) begin(ctx context.Context) error {
	if r.task.State == nil {
		r.state.Connection = r.conn.ID.UUID
		known, err := r.Campaigns.ListCampaigns(ctx, r.caller, campaign.Filter{Providers: []provider.Name{r.conn.Provider}, IncludeArchived: true},
			page.Params{Number: 1, Size: 1})
		r.task.Progress.Total = &known.Total
		return err
	}
	if err := json.Unmarshal(r.task.State, &r.state); err != nil {
		return fmt.Errorf("recovery: state: %w", err)
	}
	if r.state.Connection != r.conn.ID.UUID {
		return fault.New(fault.Conflict, "the connection was replaced while the campaigns were compared; start anew")
	}
	return nil
}

// all compares what is left of the campaigns.
func (r *run) all(ctx context.Context) error {
	for {
		next, err := r.Campaigns.CampaignsAfter(ctx, r.caller, r.conn.Provider, r.state.After, ahead)
		if err != nil {
			return err
		}
		for _, cm := range next {
			if r.got && !r.Now().Before(r.until) {
				return &task.Later{}
			}
			if err := r.campaign(ctx, cm); err != nil {
				return err
			}
			if r.waitingFor() >= together {
				if err := r.settle(ctx); err != nil {
					return err
				}
			}
		}
		if len(next) < ahead {
			return r.settle(ctx)
		}
	}
}

// campaign compares one and fetches what is missing; unless there is something to wait for it keeps what it found.
func (r *run) campaign(ctx context.Context, cm campaign.Campaign) error {
	if campaignsync.Unsent(cm.Status) {
		r.done(cm)
		return r.save(ctx)
	}
	last, err := r.last(ctx, cm.ID)
	if err != nil {
		return err
	}
	theirs, wrong, err := r.theirs(ctx, cm)
	if err != nil {
		return err
	}
	if wrong != "" {
		r.task.Progress.Unreadable++
		last.Fault = wrong
		r.done(cm)
		return r.keep(ctx, last)
	}
	last.Theirs, last.Fault = theirs, ""
	if last.Ours, err = r.ours(ctx, cm.ID); err != nil {
		return err
	}
	differ := differing(last.Ours, theirs)
	if differ == 0 || r.task.RequestedBy == task.BySchedule && theirs.Equal(last.Fetched) {
		r.done(cm)
		return r.keep(ctx, last) // as they were when all was fetched: nothing that could be fetched is new
	}
	return r.fetch(ctx, cm, theirs, differ)
}

// done moves on behind a campaign, with the step that is saved next.
func (r *run) done(cm campaign.Campaign) {
	r.state.After = cm.ProviderCampaignID
	r.task.Progress.Fetched++
	r.got = true
}

// last is the last comparison of a campaign.
func (r *run) last(ctx context.Context, id campaign.ID) (reconciliation.Comparison, error) {
	c, err := r.Comparisons.GetComparison(ctx, r.caller, id)
	if fault.Is(err, fault.NotFound) {
		err = nil
	}
	c.Campaign = id
	return c, err
}

func (r *run) waitingFor() (deliveries int) {
	for _, w := range r.state.Waiting {
		deliveries += max(1, len(w.Deliveries))
	}
	return deliveries
}

// settle waits until what was fetched is counted, and keeps the comparisons.
func (r *run) settle(ctx context.Context) error {
	for len(r.state.Waiting) > 0 {
		w := r.state.Waiting[0]
		progress := r.task.Progress
		for _, id := range w.Deliveries {
			d, err := r.counted(ctx, id)
			if err != nil {
				return err
			}
			progress.Inserted += int64(d.Counts.Inserted)
			progress.Unchanged += int64(d.Counts.Duplicate + d.Counts.Ignored)
			progress.Unreadable += int64(d.Counts.Quarantined)
		}
		id := campaign.ID{UUID: w.Campaign}
		if err := r.Campaigns.AddSources(ctx, r.caller, id, w.Sources); err != nil {
			return err
		}
		c, err := r.last(ctx, id)
		if err != nil {
			return err
		}
		if c.Ours, err = r.ours(ctx, id); err != nil {
			return err
		}
		c.Theirs, c.Fetched, c.Fault = w.Theirs, w.Theirs, ""
		r.state.Waiting, r.task.Progress = r.state.Waiting[1:], progress
		if err := r.keep(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// counted waits for a delivery; a *task.Later when the time of this call is up first.
func (r *run) counted(ctx context.Context, id delivery.ID) (delivery.Delivery, error) {
	for {
		d, err := r.Deliveries.GetDelivery(ctx, r.caller, id)
		if err != nil || d.State != delivery.Pending {
			return d, err
		}
		if !r.Now().Before(r.until) {
			return d, &task.Later{}
		}
		select {
		case <-ctx.Done():
			return d, ctx.Err()
		case <-time.After(r.Wait):
		}
	}
}

// keep stores a comparison with the step that it is.
func (r *run) keep(ctx context.Context, c reconciliation.Comparison) error {
	c.At = r.Now().UTC().Truncate(time.Microsecond)
	step, err := r.step()
	if err != nil {
		return err
	}
	return r.Comparisons.PutComparison(ctx, r.caller, c, step)
}

func (r *run) save(ctx context.Context) error {
	step, err := r.step()
	if err != nil {
		return err
	}
	return r.Tasks.SaveStep(ctx, r.caller, step)
}

func (r *run) step() (task.Step, error) {
	text, err := json.Marshal(r.state)
	return task.Step{Task: r.task.ID, Progress: r.task.Progress, State: text}, err
}
