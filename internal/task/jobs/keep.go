package jobs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river"
)

// Keep tells the jobs of processes that live from those of processes that died, on a database that several share. It notes
// that these jobs are being run, says which of them are another's by now, and makes those available again that nobody has
// noted for Abandoned.
type Keep func(ctx context.Context, running []Attempt) (lost []int64, err error)

// Attempt names a job that is being run, and the attempt that it is. Who runs it again makes another attempt.
type Attempt struct {
	Job    int64
	Number int
}

// Times of Keep. A process that cannot note its jobs gives them up before others may take them, so that no job is run by two;
// one that was killed is taken over from within Abandoned + keepEvery and the second until River looks for work.
const (
	Abandoned = 10 * time.Second
	keepEvery = 2 * time.Second
	keepLimit = 2 * time.Second // of one call
	giveUp    = 5 * time.Second // after the last note; found out within keepEvery + keepLimit
)

// errLost ends the work of a job that may be another's.
var errLost = errors.New("the job is another process's by now, or may be")

// keeper keeps the jobs of this process.
type keeper struct {
	keep Keep // nil = nobody else runs jobs

	mu      sync.Mutex
	running map[int64]*kept
}

type kept struct {
	number int
	at     time.Time // when it was last noted, at the latest
	cancel context.CancelCauseFunc
}

// begin takes a job up, until end is called. Its context ends when the job is lost.
func (k *keeper) begin(ctx context.Context, j *river.Job[Job]) (_ context.Context, end func()) {
	if k.keep == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.running == nil {
		k.running = map[int64]*kept{}
	}
	mine := &kept{number: j.Attempt, at: time.Now(), cancel: cancel}
	k.running[j.ID] = mine
	return ctx, func() {
		cancel(nil)
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.running[j.ID] == mine {
			delete(k.running, j.ID)
		}
	}
}

// run keeps the jobs until ctx ends.
func (k *keeper) run(ctx context.Context, log *slog.Logger) {
	if k.keep == nil {
		return
	}
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		k.once(ctx, log)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// once notes the jobs, and ends those that are lost.
func (k *keeper) once(ctx context.Context, log *slog.Logger) {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, keepLimit)
	defer cancel()
	jobs := k.attempts()
	lost, err := k.keep(limited, jobs)

	if ctx.Err() != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		for _, j := range jobs {
			if r := k.running[j.Job]; r != nil && r.number == j.Number {
				r.at = began
			}
		}
	}
	n := 0
	for id, r := range k.running {
		if slices.Contains(lost, id) || time.Since(r.at) >= giveUp {
			r.cancel(errLost)
			n++
		}
	}
	if n > 0 {
		log.Warn("tasks are left to another process", "tasks", n, "error", err)
	}
}

func (k *keeper) attempts() (out []Attempt) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, r := range k.running {
		out = append(out, Attempt{id, r.number})
	}
	return out
}
