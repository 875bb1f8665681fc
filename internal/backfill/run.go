package backfill

import (
	"context"
	"encoding/json"
	"time"

	"monterey/internal/bounce"
	"monterey/internal/campaigner"
	"monterey/internal/provider"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// run is one call of Work.
type run struct {
	*Backfill
	client   *campaigner.Client
	caller   workspace.Caller
	task     task.Task // Progress is that of the last step
	state    state
	provider provider.Name
	until    time.Time
}

// walk reads what is left of the list that the state names, and moves on to the next.
func (r *run) walk(ctx context.Context) error {
	from := lists[r.state.List]
	cursor, err := campaigner.Walk(ctx, func(ctx context.Context, p campaigner.ListParams) (campaigner.Page[campaigner.Bounce], error) {
		return r.client.Bounces(ctx, from, p)
	}, r.state.Cursor, func(ctx context.Context, p campaigner.Page[campaigner.Bounce], next campaigner.Cursor) (int, error) {
		return r.store(ctx, from, p.Items, next)
	})
	if err != nil {
		return err
	}
	if r.state.List == 0 {
		r.state.Mark = cursor.Mark
	}
	r.state.Cursor = campaigner.Cursor{Since: r.state.Since}
	r.state.List++
	r.state.Done = r.state.List == len(lists) || !r.state.Unclear
	step, err := r.step(r.task.Progress)
	if err != nil {
		return err
	}
	return r.Tasks.SaveStep(ctx, r.caller, step)
}

// store keeps a page with the place behind it, and says how many of its bounces were new or changed.
func (r *run) store(ctx context.Context, from campaigner.BounceList, rows []campaigner.Bounce, next campaigner.Cursor) (int, error) {
	if r.Now().After(r.until) {
		return 0, &task.Later{} // before the page is stored: the next call reads it again
	}
	good := make([]bounce.Historical, 0, len(rows))
	progress := r.task.Progress
	for _, row := range rows {
		h, wrong := historical(row, from)
		if wrong != "" {
			progress.Unreadable++
			if r.state.Fault == "" {
				r.state.Fault = wrong
			}
			continue
		}
		if h.Class == bounce.Unknown && r.state.List == 0 {
			r.state.Unclear = true
		}
		good = append(good, h)
	}
	r.state.Cursor = next
	progress.Fetched += int64(len(rows))
	progress.Pages++
	if next.Total != nil && r.state.List == 0 {
		progress.Total = next.Total
	}
	var got bounce.Upserted
	err := r.Bounces.PutPage(ctx, r.caller, r.provider, good, func(u bounce.Upserted) (task.Step, error) {
		got = u
		progress.Inserted += int64(u.Inserted)
		progress.Updated += int64(u.Updated)
		progress.Unchanged += int64(u.Unchanged)
		return r.step(progress)
	})
	if err != nil {
		return 0, err
	}
	r.task.Progress = progress
	return got.Inserted + got.Updated, nil
}

func (r *run) step(p task.Progress) (task.Step, error) {
	text, err := json.Marshal(r.state)
	return task.Step{Task: r.task.ID, Progress: p, State: text}, err
}

// historical is a row in the form of every provider; wrong says what keeps it from being one.
func historical(row campaigner.Bounce, from campaigner.BounceList) (h bounce.Historical, wrong string) {
	h = bounce.Historical{ProviderEventID: row.ID, Address: row.Address, OccurredAt: row.At, Status: row.Status}
	h.Class, h.Detail = row.Class(from)
	switch {
	case row.ID == "" || row.Address == "":
		return h, or(row.Fault, "BounceID or EmailAddress is missing")
	case row.At.Before(bounce.First) || !row.At.Before(bounce.End):
		return h, or(row.Fault, "BouncedAt is missing or out of range")
	}
	return h, ""
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
