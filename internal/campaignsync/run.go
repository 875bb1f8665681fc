package campaignsync

import (
	"context"
	"encoding/json"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/campaigner"
	"monterey/internal/provider"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// run is one call of Work.
type run struct {
	*Sync
	client   *campaigner.Client
	caller   workspace.Caller
	task     task.Task // Progress is that of the last step, and what has been done since
	state    state
	provider provider.Name
	until    time.Time
}

// giveWay ends the call once its time is up. It comes behind a step, so that every call gets further, however slow the
// provider is.
func (r *run) giveWay() error {
	if r.Now().Before(r.until) {
		return nil
	}
	return &task.Later{}
}

func (r *run) unreadable(why string) {
	r.task.Progress.Unreadable++
	if r.state.Fault == "" {
		r.state.Fault = why
	}
}

func (r *run) save(ctx context.Context) error {
	step, err := r.step(r.task.Progress)
	if err != nil {
		return err
	}
	return r.Tasks.SaveStep(ctx, r.caller, step)
}

func (r *run) step(p task.Progress) (task.Step, error) {
	text, err := json.Marshal(r.state)
	return task.Step{Task: r.task.ID, Progress: p, State: text}, err
}

// put stores what the provider says together with the step that it is, and says how many campaigns were new or changed.
// first tells that they have not been read before.
func (r *run) put(ctx context.Context, rows []campaign.Reported, first bool) (fresh int, err error) {
	var progress task.Progress
	err = r.Campaigns.PutReported(ctx, r.caller, r.provider, rows, r.Now().UTC(), func(u campaign.Upserted) (task.Step, error) {
		progress, fresh = r.task.Progress, u.Inserted+u.Updated
		progress.Inserted += int64(u.Inserted)
		progress.Updated += int64(u.Updated)
		if first {
			progress.Unchanged += int64(u.Unchanged)
		}
		return r.step(progress)
	})
	if err == nil {
		r.task.Progress = progress
	}
	return fresh, err
}

// storePage stores a page of the list with the place behind it, and says how many campaigns were new or changed. Where the
// provider gives more than it was asked for, it takes several transactions, of which the last moves the place.
func (r *run) storePage(ctx context.Context, items []campaigner.Campaign, asked time.Time, next campaigner.Cursor) (fresh int, err error) {
	// A page that only joins what follows to what was read before is no step ahead (see campaigner.Walk).
	moved := next.Page != r.state.Cursor.Page || next.Pass != r.state.Cursor.Pass
	first := next.Pass == 1 && moved
	var rows []campaign.Reported
	for _, row := range items {
		if row.ID == "" {
			if first {
				r.unreadable(row.Fault)
			}
			continue
		}
		said := reported(row)
		if f := figuresOf(row, "", asked); f.Whole() {
			said.Figures = f
		}
		rows = append(rows, said)
	}
	for len(rows) > campaign.MaxReported {
		n, err := r.put(ctx, rows[:campaign.MaxReported], first)
		if err != nil {
			return 0, err
		}
		fresh, rows = fresh+n, rows[campaign.MaxReported:]
	}
	r.state.Cursor = next
	r.task.Progress.Pages++
	r.task.Progress.Total = next.Total
	n, err := r.put(ctx, rows, first)
	if err == nil && moved {
		err = r.giveWay()
	}
	return fresh + n, err
}
