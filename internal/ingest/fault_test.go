package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"monterey/internal/campaigner"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/workspace"
)

// faulty is a store in which faults happen.
type faulty struct {
	ingest.Store
	poison func(event.Event) error // asked of each event before it is inserted
	down   atomic.Int32            // so many transactions fail at their end as a full disk makes them
}

func (s *faulty) Count(ctx context.Context, items []ingest.Item, f func(ingest.Tx) error) error {
	return s.Store.Count(ctx, items, func(tx ingest.Tx) error {
		if err := f(faultyTx{tx, s}); err != nil {
			return err
		}
		if s.down.Add(-1) >= 0 {
			return &fault.Error{Code: fault.Unavailable, Message: "full", Err: errors.New("disk full")}
		}
		return nil
	})
}

type faultyTx struct {
	ingest.Tx
	s *faulty
}

func (t faultyTx) Workspace(ctx context.Context, ws workspace.ID) (ingest.WorkspaceTx, error) {
	w, err := t.Tx.Workspace(ctx, ws)
	return faultyWorkspaceTx{w, t.s}, err
}

type faultyWorkspaceTx struct {
	ingest.WorkspaceTx
	s *faulty
}

func (w faultyWorkspaceTx) InsertEvents(ctx context.Context, events []event.Event, from []delivery.ID) ([]bool, error) {
	for _, e := range events {
		if err := w.s.poison(e); err != nil {
			return nil, err
		}
	}
	return w.WorkspaceTx.InsertEvents(ctx, events, from)
}

// faultyRig counts with a store in which faults happen.
func faultyRig(t *testing.T, poison func(event.Event) error, down int32) (*rig, *faulty) {
	r := newRig(t)
	r.stop()
	r.open()
	f := &faulty{Store: r.store, poison: poison}
	f.down.Store(down)
	r.worker = ingest.NewWorker(f, campaigner.Webhook{}, ingest.Options{Linger: 20 * time.Millisecond})
	return r, f
}

// twice is a store that counts everything twice, as one does whose transaction failed at its end and is tried again.
type twice struct{ ingest.Store }

var errAgain = fault.New(fault.Unavailable, "again")

func (s twice) Count(ctx context.Context, items []ingest.Item, f func(ingest.Tx) error) error {
	err := s.Store.Count(ctx, items, func(tx ingest.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return errAgain
	})
	if !errors.Is(err, errAgain) {
		return err
	}
	return s.Store.Count(ctx, items, f)
}

func TestOnlyThePoisonousDeliveryIsHeld(t *testing.T) {
	for name, poison := range map[string]func(event.Event) error{
		"constraint": func(e event.Event) error {
			if strings.HasPrefix(e.Address, "poison") {
				return fault.New(fault.Data, "the store refuses this")
			}
			return nil
		},
		"panic": func(e event.Event) error {
			if strings.HasPrefix(e.Address, "poison") {
				panic("index out of range")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := faultyRig(t, poison, 0)
			for i := range 20 {
				if i == 7 {
					r.post(open(1, "poison@x.test", "2026-03-01T10:00:00Z"), open(1, "near@x.test", "2026-03-01T10:00:00Z"))
				}
				r.post(open(1, string(rune('a'+i))+"@x.test", "2026-03-01T10:00:00Z"))
			}
			r.start()
			r.counted()
			if got := r.statistics("1"); got.Opens != 20 {
				t.Errorf("%d opens, want 20", got.Opens)
			}
			if n := r.totals(22); n.Deliveries != 21 || n.Inserted != 20 || n.Quarantined != 2 {
				t.Errorf("totals %+v", n)
			}
		})
	}
}

func TestAStoreThatFailsHoldsNothing(t *testing.T) {
	r, f := faultyRig(t, func(event.Event) error { return nil }, 3)
	for i := range 20 {
		r.post(open(1, string(rune('a'+i))+"@x.test", "2026-03-01T10:00:00Z"))
	}
	r.start()
	for f.down.Load() > 0 {
		if f.down.Load() < 3 && r.worker.Ready() == nil && f.down.Load() > 0 {
			time.Sleep(time.Millisecond) // the failure is stored a moment after it happened
		}
		time.Sleep(time.Millisecond)
	}
	r.counted()
	if err := r.worker.Ready(); err != nil {
		t.Errorf("still not ready: %v", err)
	}
	if n := r.totals(20); n.Deliveries != 20 || n.Inserted != 20 || n.Quarantined != 0 {
		t.Errorf("totals %+v", n)
	}
}

// shared is a store on which another process works too: it counts every other batch first, keeps the workspaces to itself
// otherwise, and does not tell of what has arrived.
type shared struct {
	ingest.Store
	t     *testing.T
	ready func() error
	calls atomic.Int32
}

func (s *shared) Count(ctx context.Context, items []ingest.Item, f func(ingest.Tx) error) error {
	if err := s.ready(); err != nil {
		s.t.Errorf("not ready: %v", err)
	}
	n := s.calls.Add(1)
	if n%2 == 0 {
		return s.Store.Count(ctx, items, f)
	}
	if n%4 == 1 {
		if err := s.Store.Count(ctx, items, f); err != nil {
			s.t.Error(err)
		}
	}
	return fault.New(fault.Taken, "another process has it")
}

func (s *shared) TryRewrite(context.Context, workspace.Caller, func(ingest.WorkspaceTx) error) error {
	return fault.New(fault.Taken, "another process has it")
}

func (s *shared) Arrived() <-chan struct{} { return nil }

func TestWhatOthersCountIsNoFailure(t *testing.T) {
	r := newRig(t)
	r.stop()
	r.open()
	var log bytes.Buffer
	s := &shared{Store: r.store, t: t, ready: func() error { return r.worker.Ready() }}
	r.worker = ingest.NewWorker(s, campaigner.Webhook{}, ingest.Options{BatchObjects: 3, Linger: 20 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(&log, nil))})
	for i := range 20 {
		r.post(open(1, string(rune('a'+i))+"@x.test", "2026-03-01T10:00:00Z"))
	}
	r.start()
	r.counted()
	r.post(open(1, "later@x.test", "2026-03-01T10:00:00Z")) // which nothing tells of
	r.counted()
	if err := r.worker.Scheduled(t.Context()); err != nil {
		t.Errorf("scheduled work: %v", err)
	}
	if got := r.statistics("1"); got.Opens != 21 {
		t.Errorf("%d opens, want 21", got.Opens)
	}
	r.stop()
	if n := r.worker.Totals(); n.Inserted == 0 || n.Inserted >= 21 {
		t.Errorf("totals %+v; want what it counted itself", n)
	}
	if log.Len() > 0 {
		t.Errorf("the log: %s", log.String())
	}
}

// panicking is a decoder that fails.
type panicking struct{ campaigner.Webhook }

func (panicking) Decode([]byte, *time.Location, time.Time) []delivery.Object {
	panic("index out of range")
}

func TestADecoderThatFailsHoldsEveryObject(t *testing.T) {
	r := newRig(t)
	r.stop()
	r.open()
	r.worker = ingest.NewWorker(r.store, panicking{}, ingest.Options{Linger: 10 * time.Millisecond})
	r.start()
	id := r.postOne(open(1, "a@x.test", "2026-03-01T10:00:00Z"), open(1, "b@x.test", "2026-03-01T10:00:00Z"))
	r.counted()
	d, err := r.store.GetDelivery(t.Context(), r.ws, id)
	if err != nil || d.Counts != (delivery.Counts{Quarantined: 2}) || d.State != delivery.Quarantined {
		t.Errorf("%+v: %v", d, err)
	}
	if n := r.totals(2); n.Received != 2 || n.Quarantined != 2 {
		t.Errorf("totals %+v", n)
	}
}
