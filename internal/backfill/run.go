package backfill

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"monterey/internal/bounce"
	"monterey/internal/campaigner"
	"monterey/internal/fault"
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
	further  bool // than where this call of Work began

	// What was read and is not stored yet; the state stands behind it already. It is stored when its time is up, also while the
	// next page lets wait: mu guards all of this, and the state.
	mu        sync.Mutex
	timer     *time.Timer // stores what is held; nil = nothing is
	late      error       // of the timer, for who comes next
	held      []bounce.Historical
	heldSince time.Time
	progress  task.Progress // of the task with it, but for what became of its rows
	moved     bool
}

// togetherRows is how many rows are stored together at most, about.
const togetherRows = 4000

// walk reads what is left of the list that the state names, and moves on to the next.
func (r *run) walk(ctx context.Context) error {
	from := lists[r.state.List]
	cursor, err := campaigner.Walk(ctx, func(ctx context.Context, p campaigner.ListParams) (campaigner.Page[campaigner.Bounce], error) {
		if r.timeIsUp() {
			return campaigner.Page[campaigner.Bounce]{}, &task.Later{}
		}
		return r.client.Bounces(ctx, from, p)
	}, r.state.Cursor, func(ctx context.Context, p campaigner.Page[campaigner.Bounce], next campaigner.Cursor) (int, error) {
		return r.store(ctx, from, p.Items, next)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopTimer()
	if ctx.Err() == nil {
		if _, flushErr := r.flush(ctx); flushErr != nil {
			return flushErr
		}
	}
	switch {
	case useless(err):
		return r.fail(ctx, campaigner.Outcome(err))
	case err != nil:
		return campaigner.Outcome(err)
	case cursor.Missing > 0:
		return r.fail(ctx, fault.New(fault.Data, "the provider counts %d rows more than it gives (GET %s); what it gave is stored", cursor.Missing, from))
	}
	if r.state.List == 0 {
		r.state.Mark = cursor.Mark
	}
	r.state.Cursor = campaigner.Cursor{Since: r.state.Since}
	r.state.List++
	r.state.Done = r.state.List == len(lists) || !r.state.Unclear
	return r.save(ctx)
}

// useless says whether going on would meet the same error: a page is refused or comes again and again, though others came.
func useless(err error) bool {
	if _, ok := errors.AsType[*campaigner.IncompleteError](err); ok {
		return true
	}
	refused, ok := errors.AsType[*campaigner.Error](err)
	return ok && (refused.Status == http.StatusBadRequest || refused.Status == http.StatusNotFound)
}

// fail is why, once it is saved that the next backfill begins anew.
func (r *run) fail(ctx context.Context, why error) error {
	r.state = r.state.anew()
	if err := r.save(ctx); err != nil {
		return err
	}
	return why
}

// store takes a page, and says how many bounces were new or changed of those that it stored. In the first pass, where Walk does
// not ask for that number, it may leave the page for later.
func (r *run) store(ctx context.Context, from campaigner.BounceList, rows []campaigner.Bounce, next campaigner.Cursor) (int, error) {
	good, wrong, fault, err := r.readable(ctx, from, rows)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err = cmp.Or(r.late, err); err != nil {
		return 0, err
	}
	r.state.Fault = cmp.Or(r.state.Fault, fault)
	unclear := func(h bounce.Historical) bool { return h.Class == bounce.Unknown }
	r.state.Unclear = r.state.Unclear || r.state.List == 0 && slices.ContainsFunc(good, unclear)
	if r.heldSince.IsZero() {
		r.heldSince, r.progress = r.Now(), r.task.Progress
	}
	r.moved = r.moved || next.Page != r.state.Cursor.Page || next.Pass != r.state.Cursor.Pass
	r.state.Cursor, r.held = next, append(r.held, good...)
	r.progress.Fetched += int64(len(rows))
	r.progress.Unreadable += int64(wrong)
	r.progress.Pages++
	if next.Total != nil && r.state.List == 0 {
		r.progress.Total = next.Total
	}
	now := r.Now()
	if next.Pass == 1 && len(r.held) < togetherRows && now.Sub(r.heldSince) < r.Together && now.Before(r.until) {
		if r.timer == nil {
			r.timer = time.AfterFunc(r.Together, func() { r.flushLate(ctx) })
		}
		return 0, nil
	}
	return r.flush(ctx)
}

// timeIsUp says whether this call of Work should give way: it never does before it has got further.
func (r *run) timeIsUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.further && r.Now().After(r.until)
}

func (r *run) flushLate(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.flush(ctx); err != nil {
		r.late = err
	}
}

func (r *run) stopTimer() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

// flush stores what is held with the place behind it.
func (r *run) flush(ctx context.Context) (fresh int, err error) {
	r.stopTimer()
	if r.heldSince.IsZero() {
		return 0, nil
	}
	var progress task.Progress
	err = r.Bounces.PutPage(ctx, r.caller, r.provider, r.held, func(u bounce.Upserted) (task.Step, error) {
		progress, fresh = r.progress, u.Inserted+u.Updated
		progress.Inserted += int64(u.Inserted)
		progress.Updated += int64(u.Updated)
		progress.Unchanged += int64(len(r.held) - fresh) // a row that came twice is unchanged the second time
		return r.step(progress)
	})
	if err != nil {
		return 0, err
	}
	r.task.Progress, r.further = progress, r.further || r.moved
	r.held, r.heldSince, r.moved = r.held[:0], time.Time{}, false
	return fresh, nil
}

// mostAgain is how many rows of a page are asked for again one by one.
const mostAgain = 20

// readable are the rows in the form of every provider, and how many are not. Those that could not be read are asked for once
// more. fault is what is wrong with the first.
func (r *run) readable(ctx context.Context, from campaigner.BounceList, rows []campaigner.Bounce) (good []bounce.Historical, unreadable int, fault string, err error) {
	good, again := make([]bounce.Historical, 0, len(rows)), 0
	for _, row := range rows {
		h, wrong := historical(row, from)
		if wrong != "" && row.ID != "" && again < mostAgain {
			again++
			one, err := r.client.Bounce(ctx, row.ID)
			if err != nil && !costsOne(err) {
				return nil, 0, "", err
			}
			if now, stillWrong := historical(one, from); err == nil && stillWrong == "" && one.ID == row.ID {
				h, wrong = now, ""
			}
		}
		if wrong == "" {
			good = append(good, h)
			continue
		}
		unreadable++
		fault = cmp.Or(fault, "BounceID "+cmp.Or(row.ID, "unknown")+": "+wrong)
	}
	return good, unreadable, fault, nil
}

// costsOne says whether what a row's own call met is a matter of this row alone.
func costsOne(err error) bool {
	refused, ok := errors.AsType[*campaigner.Error](err)
	return ok && refused.Status != http.StatusUnauthorized && refused.Status != http.StatusForbidden
}

// save keeps the state alone.
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

// historical is a row in the form of every provider; wrong says what keeps it from being one.
func historical(row campaigner.Bounce, from campaigner.BounceList) (h bounce.Historical, wrong string) {
	h = bounce.Historical{ProviderEventID: row.ID, Address: row.Address, OccurredAt: row.At, Status: row.Status}
	h.Class, h.Detail = row.Class(from)
	h.Detail.Label = row.Type // the status is kept beside it
	switch {
	case row.ID == "" || row.Address == "":
		return h, cmp.Or(row.Fault, "BounceID or EmailAddress is missing")
	case row.At.Before(bounce.First) || !row.At.Before(bounce.End):
		return h, cmp.Or(row.Fault, "BouncedAt is missing or out of range")
	}
	return h, ""
}
