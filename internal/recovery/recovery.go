// Package recovery finds the holes that webhooks left, and fills them: it compares our counts of each campaign with the
// provider's figures, fetches the reports of what differs, and puts their rows into the inbox, where counting tells which
// of them are events that we have (see internal/ingest/recovery.go). What it finds is kept as a reconciliation.Comparison.
//
// One campaign is a step. A campaign whose rows are still being counted is waited for in the state, so that they are not
// fetched again.
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
	After      string    `json:"after,omitempty"` // the provider's id of the last campaign that was done
	Waiting    *waiting  `json:"waiting,omitempty"`
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
}

// ahead is how many campaigns are looked up at a time.
const ahead = 100

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
			if !r.Now().Before(r.until) {
				return &task.Later{}
			}
			if err := r.campaign(ctx, cm); err != nil {
				return err
			}
		}
		if len(next) < ahead {
			return nil
		}
	}
}

// campaign compares one, fetches what is missing, and keeps what it found.
func (r *run) campaign(ctx context.Context, cm campaign.Campaign) error {
	if campaignsync.Unsent(cm.Status) {
		return r.pass(ctx, cm)
	}
	last, err := r.Comparisons.GetComparison(ctx, r.caller, cm.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	last.Campaign = cm.ID
	if w := r.state.Waiting; w != nil && w.Campaign == cm.ID.UUID {
		return r.finish(ctx, cm, last)
	}
	theirs, wrong, err := r.theirs(ctx, cm)
	if err != nil {
		return err
	}
	if wrong != "" {
		r.task.Progress.Unreadable++
		last.Fault = wrong
		return r.keep(ctx, cm, last)
	}
	last.Theirs, last.Fault = theirs, ""
	if last.Ours, err = r.ours(ctx, cm.ID); err != nil {
		return err
	}
	differ := differing(last.Ours, theirs, cm.Sources)
	if differ == 0 || r.task.RequestedBy == task.BySchedule && theirs.Equal(last.Fetched) {
		return r.keep(ctx, cm, last) // as they were when all was fetched: nothing that could be fetched is new
	}
	if err := r.fetch(ctx, cm, theirs, differ); err != nil {
		return err
	}
	return r.finish(ctx, cm, last)
}

// pass leaves a campaign out.
func (r *run) pass(ctx context.Context, cm campaign.Campaign) error {
	r.state.After, r.state.Waiting = cm.ProviderCampaignID, nil
	r.task.Progress.Fetched++
	return r.save(ctx)
}

// finish waits until what was fetched is counted, and keeps the comparison.
func (r *run) finish(ctx context.Context, cm campaign.Campaign, c reconciliation.Comparison) error {
	w := r.state.Waiting
	for _, id := range w.Deliveries {
		d, err := r.counted(ctx, id)
		if err != nil {
			return err
		}
		r.task.Progress.Inserted += int64(d.Counts.Inserted)
		r.task.Progress.Unchanged += int64(d.Counts.Duplicate + d.Counts.Ignored)
		r.task.Progress.Unreadable += int64(d.Counts.Quarantined)
	}
	if err := r.Campaigns.AddSources(ctx, r.caller, cm.ID, w.Sources); err != nil {
		return err
	}
	var err error
	if c.Ours, err = r.ours(ctx, cm.ID); err != nil {
		return err
	}
	c.Theirs, c.Fetched, c.Fault = w.Theirs, w.Theirs, ""
	return r.keep(ctx, cm, c)
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

// keep stores the comparison with the step that it is.
func (r *run) keep(ctx context.Context, cm campaign.Campaign, c reconciliation.Comparison) error {
	c.At = r.Now().UTC().Truncate(time.Microsecond)
	r.state.After, r.state.Waiting = cm.ProviderCampaignID, nil
	r.task.Progress.Fetched++
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
