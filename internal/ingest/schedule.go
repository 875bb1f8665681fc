package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// Tick is how often the scheduled work looks whether there is something to do.
const Tick = 2 * time.Second

// historyChunk is how many events go into the recipients' history at a time: the more, the less each costs. While the drain
// has more than it can do, only whole chunks go.
const historyChunk = 300_000

// schedule does what follows counting: machines found, days folded, histories filled, old bodies forgotten. All of it may
// be interrupted anywhere and is taken up again. A failure is logged and tried again at the next tick.
func (w *Worker) schedule(ctx context.Context) error {
	t := time.NewTicker(Tick)
	defer t.Stop()
	for {
		if err := w.Scheduled(ctx); err != nil && ctx.Err() == nil {
			w.opts.Log.Error("scheduled work failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Scheduled does all that is due now. What fails in one workspace delays no other. A workspace that another process writes to
// is left to that one, or to the next time.
func (w *Worker) Scheduled(ctx context.Context) error {
	all, err := w.store.Workspaces(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, ws := range all {
		if err := w.scheduled(ctx, workspace.System(ws)); err != nil && !fault.Is(err, fault.Taken) {
			failed = errors.Join(failed, fmt.Errorf("workspace %s: %w", ws, err))
		}
	}
	before := w.opts.Now().Add(-w.opts.RawRetention)
	return errors.Join(failed, w.until(ctx, func() (bool, error) { return w.store.PruneArchives(ctx, before) }))
}

// scheduled does what is due in one workspace.
func (w *Worker) scheduled(ctx context.Context, c workspace.Caller) error {
	if err := w.until(ctx, func() (bool, error) { return w.judge(ctx, c) }); err != nil {
		return err
	}
	if err := w.until(ctx, func() (bool, error) {
		least := 1
		if w.busy.Load() {
			least = historyChunk
		}
		return w.store.FillHistory(ctx, c, least, historyChunk)
	}); err != nil {
		return err
	}
	return w.fold(ctx, c)
}

// until calls step while it says there is more, and lets the drain have the writer in between. While the drain has more
// than it can do, one step at a time must do: what follows counting falls behind then, and says how far it has come.
func (w *Worker) until(ctx context.Context, step func() (more bool, err error)) error {
	for {
		more, err := step()
		if err != nil || !more || w.busy.Load() {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(time.Millisecond)
	}
}
