package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"monterey/internal/campaigner"
	"monterey/internal/ingest"
	"monterey/internal/rollup"
	"monterey/internal/workspace"
)

// scrambling is a store whose bytes are valid during a call only, as rollup.Source says: behind it they change.
type scrambling struct{ ingest.Store }

func (s scrambling) Rewrite(ctx context.Context, c workspace.Caller, f func(ingest.WorkspaceTx) error) error {
	return s.Store.Rewrite(ctx, c, func(tx ingest.WorkspaceTx) error { return f(scrambled{tx}) })
}

func (s scrambling) TryRewrite(ctx context.Context, c workspace.Caller, f func(ingest.WorkspaceTx) error) error {
	return s.Store.TryRewrite(ctx, c, func(tx ingest.WorkspaceTx) error { return f(scrambled{tx}) })
}

type scrambled struct{ ingest.WorkspaceTx }

func (tx scrambled) Rows(ctx context.Context, stretches []rollup.Stretch, f func(int, int64, []byte, []byte) error) error {
	return tx.WorkspaceTx.Rows(ctx, stretches, func(n int, bucket int64, counts, sets []byte) error {
		counts, sets = bytes.Clone(counts), bytes.Clone(sets)
		err := f(n, bucket, counts, sets)
		for _, b := range [][]byte{counts, sets} {
			for i := range b {
				b[i] = 0xaa
			}
		}
		return err
	})
}

// TestNothingOfADriverIsKept: days are folded right though nothing that was read stays as it was.
func TestNothingOfADriverIsKept(t *testing.T) {
	r := newRig(t)
	for day := 1; day <= 3; day++ {
		var opens []string
		for i := range 120 { // more of each campaign than a small set has, and no runs
			opens = append(opens, open(1+i%2, fmt.Sprintf("p%d@x.test", 1000*day+i), fmt.Sprintf("2026-03-%02dT10:%02d:%02dZ", day, i/60, i%60)))
		}
		r.post(opens...)
		r.counted()
		r.stop()
		r.spoil(fmt.Sprintf("UPDATE counters SET ordinal = %d", day<<16)) // the next have a part of the sets to themselves
		if day < 3 {
			r.open()
			r.start()
		}
	}
	r.spoil("DELETE FROM rollups WHERE span = 4") // the rig's own worker may have folded
	r.open()
	t.Cleanup(func() { _ = r.store.Close() }) // nothing is lost with it
	at := time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)
	w := ingest.NewWorker(scrambling{r.store}, campaigner.Webhook{}, ingest.Options{Now: func() time.Time { return at }})
	at = at.Add(time.Hour) // patience has an end
	if err := w.Scheduled(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.lifetimes() == 0 {
		t.Fatal("nothing was folded")
	}
	d, err := ingest.Rebuild(t.Context(), scrambling{r.store}, r.ws)
	if err != nil || d.Drifted != 0 {
		t.Errorf("%d rows drifted: %v, %v", d.Drifted, d.First, err)
	}
	if d, err = ingest.Rebuild(t.Context(), r.store, r.ws); err != nil || d.Drifted != 0 {
		t.Errorf("then %d rows: %v, %v", d.Drifted, d.First, err)
	}
}
