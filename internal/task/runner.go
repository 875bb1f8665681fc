package task

import (
	"context"
	"errors"
	"time"

	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// maxStalls is how often in a row work may have to wait before its task fails: with waits that grow to maxWait, somewhat
// over an hour.
const maxStalls = 20

// Bounds of a wait that the work itself does not fix.
const (
	minWait = time.Second
	maxWait = 5 * time.Minute
)

// elsewhere is how long a task waits that this process cannot do, for one that can.
const elsewhere = time.Minute

// Runner does tasks. All fields are needed.
type Runner struct {
	Store Store
	Work  map[Kind]Work // other kinds are left to other processes
	Now   func() time.Time
	// Watch is how often a running task is looked at, whether it was cancelled.
	Watch time.Duration
	// Note is told of what a task's requester is not shown: why it had to wait, or what an internal error was.
	Note func(t Task, what string, err error)
}

// Run does what is left of a task: all of it, or a part. A *Later says that it must be run again, any other error that the
// store did not let it say how it ended; nil that it has ended.
func (r *Runner) Run(ctx context.Context, ws workspace.ID, id ID) error {
	c := workspace.System(ws)
	t, err := r.Store.GetTask(ctx, c, id)
	if err == nil && r.Work[t.Kind] == nil {
		return &Later{After: elsewhere}
	}
	if err == nil {
		t, err = r.Store.StartTask(ctx, c, id, r.Now())
	}
	if fault.Is(err, fault.Conflict) || fault.Is(err, fault.NotFound) {
		return nil // cancelled before it began, or gone with its workspace
	}
	if err != nil {
		return err
	}
	run, stop := r.watched(ctx, c, id)
	err = r.Work[t.Kind](run, c, t)
	stop()
	return r.settle(ctx, c, t, err)
}

// settle says what becomes of a task whose work returned.
func (r *Runner) settle(ctx context.Context, c workspace.Caller, t Task, err error) error {
	later, isLater := errors.AsType[*Later](err)
	switch {
	case err == nil:
		return r.ended(r.Store.FinishTask(ctx, c, t.ID, "", r.Now()))
	case errors.Is(ctx.Err(), context.DeadlineExceeded): // the job's: it counts, or work that never ends would be run for ever
		settled := context.WithoutCancel(ctx)
		return r.stall(settled, c, t, fault.Wrap(fault.Unavailable, err, "it took too long to get further"), nil)
	case ctx.Err() != nil:
		return ctx.Err() // the process ends; the job is run again
	case isLater && later.Err == nil:
		return later
	case isLater || fault.Is(err, fault.Unavailable):
		return r.stall(ctx, c, t, err, later)
	}
	if now, getErr := r.Store.GetTask(ctx, c, t.ID); getErr == nil && now.Status.Ended() {
		return nil // cancelled: that is why the work could not go on
	}
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Code == fault.Internal {
		r.Note(t, "failed", err)
	}
	message := "internal error; the log knows more"
	if ok && f.Code != fault.Internal {
		message = f.Message
	}
	return r.ended(r.Store.FinishTask(ctx, c, t.ID, message, r.Now()))
}

// stall lets the task wait, or fail when it has waited too often.
func (r *Runner) stall(ctx context.Context, c workspace.Caller, t Task, why error, later *Later) error {
	r.Note(t, "has to wait", why)
	stalls, err := r.Store.StallTask(ctx, c, t.ID)
	if err != nil {
		return r.ended(err)
	}
	if stalls > maxStalls {
		message := "it had to wait too often"
		if f, ok := errors.AsType[*fault.Error](why); ok {
			message += ": " + f.Message
		}
		return r.ended(r.Store.FinishTask(ctx, c, t.ID, message, r.Now()))
	}
	wait := min(maxWait, minWait<<min(stalls, 20))
	if later != nil {
		wait = max(wait, later.After)
	}
	return &Later{After: wait, Err: why}
}

// ended passes the store's errors on, but not that the task has been cancelled meanwhile.
func (r *Runner) ended(err error) error {
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

// watched is ctx, cancelled also when somebody cancels the task.
func (r *Runner) watched(ctx context.Context, c workspace.Caller, id ID) (context.Context, func()) {
	run, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(r.Watch)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-run.Done():
				return
			case <-tick.C:
				if t, err := r.Store.GetTask(run, c, id); err == nil && t.Status.Ended() {
					cancel(ErrEnded)
				}
			}
		}
	}()
	return run, func() {
		close(done)
		cancel(nil)
	}
}
