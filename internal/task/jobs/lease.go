package jobs

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// A Lease is how the processes that run jobs of one database tell which of them are alive, so that the jobs of one that was
// killed or is cut off are run by another, soon.
type Lease interface {
	// Renew says that the client, which Run names, still works on these jobs, and returns those that it has lost to another.
	// Jobs that no client has renewed for LeaseFor go back to the queue.
	Renew(ctx context.Context, client string, jobs []int64) (lost []int64, err error)
}

// Times of a lease. A process that cannot renew stops its work before another may begin it.
const (
	LeaseFor   = 8 * time.Second
	renewEvery = 2 * time.Second
	giveUp     = LeaseFor - renewEvery
)

// keep renews the lease until ctx ends, and stops the jobs that are lost.
func (w *worker) keep(ctx context.Context, l Lease, client string, log *slog.Logger) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	renewed := time.Now()
	for {
		began, jobs := time.Now(), w.jobs()
		renewing, cancel := context.WithTimeout(ctx, renewEvery)
		lost, err := l.Renew(renewing, client, jobs)
		cancel()
		switch {
		case err == nil:
			renewed = began
		case ctx.Err() != nil:
			return
		case time.Since(renewed) > giveUp:
			lost = jobs
		}
		if n := w.stop(lost); n > 0 {
			log.Warn("tasks are left to another process", "tasks", n, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// jobs are those that run.
func (w *worker) jobs() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.running))
}

// stop stops those that have not ended meanwhile, and says how many.
func (w *worker) stop(jobs []int64) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range jobs {
		if cancel := w.running[id]; cancel != nil {
			cancel()
			n++
		}
	}
	return n
}
