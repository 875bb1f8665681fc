package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"monterey/internal/delivery"
	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// Options of a worker; zero values are defaults.
type Options struct {
	BatchObjects int           // the most objects that one transaction counts; default 10 000
	BatchBytes   int           // the most bytes of bodies in a batch; default 32 MiB
	Linger       time.Duration // how long a smaller batch waits for company; default 1 s
	// RawRetention is how long raw bodies stay; default 30 days. Those of deliveries with held objects stay longer.
	RawRetention time.Duration
	Now          func() time.Time
	Log          *slog.Logger
}

func (o *Options) defaults() {
	if o.BatchObjects <= 0 {
		o.BatchObjects = 10_000
	}
	if o.BatchBytes <= 0 {
		o.BatchBytes = 32 << 20
	}
	if o.Linger <= 0 {
		o.Linger = time.Second
	}
	if o.RawRetention <= 0 {
		o.RawRetention = 30 * 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Totals are what the intake has counted since the process began: received = inserted + duplicate + ignored + quarantined.
type Totals struct{ Deliveries, Received, Inserted, Duplicate, Ignored, Quarantined uint64 }

// Worker counts what waits in the inbox, and does the scheduled work on what is counted. On a store that several processes
// work on there may be any number: each counts what no other does.
type Worker struct {
	store   Store
	decoder Decoder
	opts    Options
	began   time.Time

	deliveries, received atomic.Uint64
	outcomes             [4]atomic.Uint64
	failing              atomic.Pointer[error]      // why the drain stands still; nil = it does not
	busy                 atomic.Bool                // a full batch waited at the last look
	idle                 atomic.Bool                // nothing waited at the last look
	folded               map[workspace.ID]time.Time // when the days were last folded; of the schedule's goroutine
}

// lookAgain is how soon the inbox is looked at again where nothing has told that something came: others may have left some.
const lookAgain = time.Second

// NewWorker makes a worker; there must be one alone on a SQLite store.
func NewWorker(s Store, d Decoder, o Options) *Worker {
	o.defaults()
	return &Worker{store: s, decoder: d, opts: o, began: o.Now(), folded: map[workspace.ID]time.Time{}}
}

// Totals may be called at any time.
func (w *Worker) Totals() Totals {
	return Totals{Deliveries: w.deliveries.Load(), Received: w.received.Load(),
		Inserted: w.outcomes[delivery.Inserted].Load(), Duplicate: w.outcomes[delivery.Duplicate].Load(),
		Ignored: w.outcomes[delivery.Ignored].Load(), Quarantined: w.outcomes[delivery.Held].Load()}
}

// Ready is nil while the worker counts, else the error of the store that it waits to pass.
func (w *Worker) Ready() error {
	if p := w.failing.Load(); p != nil {
		return *p
	}
	return nil
}

// Run counts until ctx ends. What it was counting then is counted again by the next run.
func (w *Worker) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.drainForever(ctx) })
	g.Go(func() error { return w.schedule(ctx) })
	return g.Wait()
}

func (w *Worker) drainForever(ctx context.Context) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, 5*time.Second
	for {
		err := w.drain(ctx, wait.Reset)
		if ctx.Err() != nil {
			return nil // the end was asked for
		}
		rest := w.opts.Linger / 20
		if fault.Is(err, fault.Taken) {
			w.failing.Store(nil) // the store works: another process was quicker
		} else {
			w.failing.Store(&err)
			w.opts.Log.Error("counting stands still", "error", err)
			rest = wait.NextBackOff()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rest):
		}
	}
}

// drain counts batch after batch from the oldest, reading the next while the last is written, until an error of the store,
// or until a batch turns out to be taken.
func (w *Worker) drain(ctx context.Context, progress func()) error {
	g, ctx := errgroup.WithContext(ctx)
	ready := make(chan *batch)
	g.Go(func() error {
		defer close(ready)
		return w.readAhead(ctx, ready)
	})
	g.Go(func() error {
		for b := range ready {
			if err := w.countBatch(ctx, b); err != nil {
				return err
			}
			w.failing.Store(nil)
			progress()
		}
		return nil
	})
	return g.Wait()
}

// readAhead sends batches until ctx ends.
func (w *Worker) readAhead(ctx context.Context, ready chan<- *batch) error {
	r := newReader(w.store, w.decoder)
	var last *Item
	for {
		items, err := w.next(ctx, last)
		if err != nil {
			return err
		}
		b, err := r.batch(ctx, items)
		if err != nil {
			return err
		}
		select {
		case ready <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
		last = &b.items[len(b.items)-1]
	}
}

// next waits for deliveries: for a full batch, or until the oldest has lingered.
func (w *Worker) next(ctx context.Context, last *Item) ([]Item, error) {
	var lingered <-chan time.Time
	for due := false; ; {
		items, err := w.store.Peek(ctx, last, w.opts.BatchObjects, w.opts.BatchBytes)
		if err != nil {
			return nil, err
		}
		w.idle.Store(len(items) == 0)
		w.busy.Store(full(items, w.opts))
		if len(items) == 0 {
			w.failing.Store(nil) // the inbox can be read, and nothing waits
			lingered, due = nil, false
		} else {
			wait := w.opts.Linger - w.opts.Now().Sub(items[0].ReceivedAt)
			if due || wait <= 0 || w.busy.Load() {
				return items, nil
			}
			if lingered == nil { // the store's clock may be ahead of ours
				lingered = time.After(min(wait, w.opts.Linger))
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-lingered:
			due = true // take the oldest with what has come meanwhile, unless another process has taken it
		case <-time.After(lookAgain):
		case <-w.store.Arrived():
			// Look again, but not at each arrival: a short rest lets company come.
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(w.opts.Linger / 20):
			}
		}
	}
}

func full(items []Item, o Options) bool {
	objects, size := 0, 0
	for i := range items {
		objects, size = objects+items[i].Objects, size+len(items[i].Raw)
	}
	return objects >= o.BatchObjects || size >= o.BatchBytes
}

// countBatch counts b. When its data does not let itself be counted it is tried in halves, down to the one delivery, which
// is held whole. Only an error of the store comes back.
func (w *Worker) countBatch(ctx context.Context, b *batch) error {
	err := w.store.Count(ctx, b.items, func(tx Tx) error { return count(ctx, tx, b, w.opts.Now()) })
	switch {
	case err == nil:
		w.sum(b)
		return nil
	case !isData(err):
		return err
	case len(b.items) == 1:
		w.opts.Log.Error("a delivery cannot be counted and is held", "delivery", b.items[0].ID, "error", err)
		return w.hold(ctx, b, err)
	}
	half := len(b.items) / 2
	if err := w.countBatch(ctx, newBatch(b.items[:half], b.read[:half])); err != nil {
		return err
	}
	return w.countBatch(ctx, newBatch(b.items[half:], b.read[half:]))
}

// hold counts a batch of one delivery with all its objects held.
func (w *Worker) hold(ctx context.Context, b *batch, why error) error {
	reason := "the store refuses it"
	if f, ok := errors.AsType[*fault.Error](why); ok {
		reason = f.Message
	}
	for i := range b.read[0].objects {
		b.read[0].objects[i] = readObject{Object: delivery.Object{Fault: reason}}
	}
	b = newBatch(b.items, b.read)
	err := w.store.Count(ctx, b.items, func(tx Tx) error { return count(ctx, tx, b, w.opts.Now()) })
	if err != nil {
		return fmt.Errorf("ingest: hold %s: %w", b.items[0].ID, err)
	}
	w.sum(b)
	return nil
}

// sum adds a counted batch to the totals.
func (w *Worker) sum(b *batch) {
	w.deliveries.Add(uint64(len(b.items)))
	w.received.Add(uint64(b.objects))
	for _, n := range b.counts {
		w.outcomes[delivery.Inserted].Add(uint64(n.Inserted))
		w.outcomes[delivery.Duplicate].Add(uint64(n.Duplicate))
		w.outcomes[delivery.Ignored].Add(uint64(n.Ignored))
		w.outcomes[delivery.Held].Add(uint64(n.Quarantined))
	}
}
