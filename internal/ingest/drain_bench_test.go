package ingest_test

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"monterey/internal/loadgen"
	"monterey/internal/store/testdb"
)

// BenchmarkDrain counts a full inbox: decoded, deduplicated, stored and rolled up. MONTEREY_BENCH_EVENTS and
// MONTEREY_BENCH_BATCH (events a body) change its size. 55,000 events a day are those of 5 M in 90 days.
func BenchmarkDrain(b *testing.B) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return otherwise
	}
	events, batch := number("MONTEREY_BENCH_EVENTS", 200_000), number("MONTEREY_BENCH_BATCH", 100)
	for b.Loop() {
		b.StopTimer()
		r := &rig{t: b, db: testdb.New(b)}
		r.setUp()
		r.fill(loadgen.NewGenerator(loadgen.Workload{Key: webhookKey, Events: events, Days: max(1, events/55_000)}), batch)
		b.StartTimer()
		began := time.Now()
		r.start()
		for ; r.worker.Totals().Received < uint64(events); time.Sleep(10 * time.Millisecond) {
			if err := r.worker.Ready(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(events)/time.Since(began).Seconds(), "events/s")
		b.StopTimer()
		r.stop()
		b.StartTimer()
	}
}

// fill appends a workload to the inbox, which nobody drains, with a group's worth of bodies waiting at a time.
func (r *rig) fill(g *loadgen.Generator, batch int) {
	r.t.Helper()
	const waiting = 256
	slots := make(chan struct{}, waiting)
	failed := make(chan error, 1)
	for _, body := range g.Bodies(batch) {
		slots <- struct{}{}
		body := bytes.Clone(body)
		go func() {
			defer func() { <-slots }()
			if _, _, _, err := r.intake.Receive(context.Background(), body); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		}()
	}
	for range waiting {
		slots <- struct{}{}
	}
	select {
	case err := <-failed:
		r.t.Fatal(err)
	default:
	}
}
