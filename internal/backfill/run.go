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
	task     task.Task // Progress is that of the last step: it belongs to the batch being stored until wait
	state    state
	provider provider.Name
	until    time.Time

	// Batches are stored while the next pages are read, also while a page lets wait. mu guards all of this, and the state.
	mu      sync.Mutex
	timer   *time.Timer // stores what is held; nil = nothing is
	held    batch
	storing chan stored // what becomes of the batch before; nil = that is known
	late    error       // of storing one, for who comes next
	further bool        // than where this call of Work began
}

// batch is what was read and is not stored yet. The state stands behind it already.
type batch struct {
	rows  []bounce.Historical
	since time.Time     // when its first page came; zero = there is none
	more  task.Progress // of the task by it, but for what became of its rows
	moved bool          // the state, by it
}

// stored is what became of a batch.
type stored struct {
	fresh int // new or changed
	err   error
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
		r.flush(ctx)
	}
	if _, storeErr := r.wait(); storeErr != nil && ctx.Err() == nil {
		return storeErr
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
	if err = cmp.Or(r.known(), err); err != nil {
		return 0, err
	}
	r.state.Fault = cmp.Or(r.state.Fault, fault)
	unclear := func(h bounce.Historical) bool { return h.Class == bounce.Unknown }
	r.state.Unclear = r.state.Unclear || r.state.List == 0 && slices.ContainsFunc(good, unclear)
	b := &r.held
	if b.since.IsZero() {
		b.since = r.Now()
	}
	b.moved = b.moved || next.Page != r.state.Cursor.Page || next.Pass != r.state.Cursor.Pass
	r.state.Cursor, b.rows = next, append(b.rows, good...)
	b.more.Fetched += int64(len(rows))
	b.more.Unreadable += int64(wrong)
	b.more.Pages++
	if next.Total != nil && r.state.List == 0 {
		b.more.Total = next.Total
	}
	now := r.Now()
	if next.Pass == 1 && len(b.rows) < togetherRows && now.Sub(b.since) < r.Together && now.Before(r.until) {
		if r.timer == nil {
			r.timer = time.AfterFunc(r.Together, func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.flush(ctx)
			})
		}
		return 0, nil
	}
	r.flush(ctx)
	if next.Pass == 1 && r.Together > 0 {
		return 0, r.late
	}
	return r.wait()
}

// timeIsUp says whether this call of Work should give way: it never does before it has got further.
func (r *run) timeIsUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.further && r.Now().After(r.until)
}

func (r *run) stopTimer() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

// flush begins to store what is held with the place behind it, once the batch before is stored. Nothing is stored behind one
// that could not be.
func (r *run) flush(ctx context.Context) {
	r.stopTimer()
	if _, err := r.wait(); err != nil || r.held.since.IsZero() {
		return
	}
	b, state := r.held, r.state
	r.held, r.further = batch{}, r.further || b.moved
	done := make(chan stored, 1)
	r.storing = done
	go func() {
		fresh, err := r.put(ctx, b, state)
		done <- stored{fresh, err}
	}()
}

// known is why a batch could not be stored, as far as that is known without waiting: nothing more is read then.
func (r *run) known() error {
	if len(r.storing) > 0 {
		_, _ = r.wait() // it is there, and kept in late
	}
	return r.late
}

// wait waits until no batch is being stored, and says how many bounces of the one waited for were new or changed.
func (r *run) wait() (fresh int, err error) {
	if r.storing != nil {
		got := <-r.storing
		r.storing, fresh, r.late = nil, got.fresh, got.err
	}
	return fresh, r.late
}

// put stores a batch and the state behind it, and moves the progress on.
func (r *run) put(ctx context.Context, b batch, s state) (fresh int, err error) {
	var p task.Progress
	err = r.Bounces.PutPage(ctx, r.caller, r.provider, b.rows, func(u bounce.Upserted) (task.Step, error) {
		p, fresh = r.task.Progress, u.Inserted+u.Updated
		p.Fetched += b.more.Fetched
		p.Unreadable += b.more.Unreadable
		p.Pages += b.more.Pages
		p.Total = cmp.Or(b.more.Total, p.Total)
		p.Inserted += int64(u.Inserted)
		p.Updated += int64(u.Updated)
		p.Unchanged += int64(len(b.rows) - fresh) // a row that came twice is unchanged the second time
		return s.step(r.task.ID, p)
	})
	if err != nil {
		return 0, err
	}
	r.task.Progress = p
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
	step, err := r.state.step(r.task.ID, r.task.Progress)
	if err != nil {
		return err
	}
	return r.Tasks.SaveStep(ctx, r.caller, step)
}

func (s state) step(id task.ID, p task.Progress) (task.Step, error) {
	text, err := json.Marshal(s)
	return task.Step{Task: id, Progress: p, State: text}, err
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
