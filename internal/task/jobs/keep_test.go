package jobs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// database is what others see of the jobs.
type database struct {
	mu    sync.Mutex
	noted map[Attempt]time.Time
	lost  []int64
	down  bool
	hangs bool // when it is down
}

func (d *database) keep(ctx context.Context, running []Attempt) ([]int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		if d.hangs {
			d.mu.Unlock()
			<-ctx.Done()
			d.mu.Lock()
		}
		return nil, errors.New("down")
	}
	for _, j := range running {
		d.noted[j] = time.Now()
	}
	return d.lost, nil
}

// at is when a job was noted last.
func (d *database) at(j Attempt) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.noted[j]
}

// change changes what the database says from now on.
func (d *database) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func job(id int64, attempt int) *river.Job[Job] {
	return &river.Job[Job]{JobRow: &rivertype.JobRow{ID: id, Attempt: attempt}}
}

// keeping runs a keeper with two jobs.
func keeping(t *testing.T, d *database, f func(a, b context.Context, endA func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d.noted = map[Attempt]time.Time{}
		k := &keeper{keep: d.keep}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go k.run(ctx, slog.New(slog.DiscardHandler))
		a, endA := k.begin(ctx, job(1, 1))
		b, endB := k.begin(ctx, job(2, 5))
		defer endB()
		time.Sleep(time.Second)
		f(a, b, endA)
	})
}

func TestKeepNotesWhatRuns(t *testing.T) {
	d := &database{}
	keeping(t, d, func(a, b context.Context, endA func()) {
		time.Sleep(time.Minute)
		for _, j := range []Attempt{{1, 1}, {2, 5}} {
			if since := time.Since(d.at(j)); since > keepEvery {
				t.Errorf("%v was noted %s ago", j, since)
			}
		}
		if a.Err() != nil || b.Err() != nil {
			t.Error("a job ended by itself")
		}
		endA()
		ended := time.Now()
		time.Sleep(time.Minute)
		if one, other := d.at(Attempt{1, 1}), d.at(Attempt{2, 5}); one.After(ended) || time.Since(other) > keepEvery {
			t.Errorf("one job ended: it was noted at %v, the other at %v", one, other)
		}
	})
}

func TestKeepEndsWhatIsLost(t *testing.T) {
	d := &database{}
	keeping(t, d, func(a, b context.Context, _ func()) {
		d.change(func() { d.lost = []int64{2} })
		time.Sleep(keepEvery)
		if a.Err() != nil || !errors.Is(context.Cause(b), errLost) {
			t.Errorf("one is another's: %v, %v", a.Err(), context.Cause(b))
		}
	})
}

// A process that the database does not hear gives its jobs up before others may take them, and not for a short while.
func TestKeepGivesUpInTime(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		d := &database{hangs: hangs}
		keeping(t, d, func(a, b context.Context, _ func()) {
			d.change(func() { d.down = true })
			time.Sleep(giveUp - keepEvery - time.Second)
			d.change(func() { d.down = false })
			time.Sleep(2 * keepEvery)
			if a.Err() != nil || b.Err() != nil {
				t.Fatal("given up too soon")
			}
			last := d.at(Attempt{1, 1})
			d.change(func() { d.down = true })
			<-a.Done()
			if took := time.Since(last); took > Abandoned-time.Second || !errors.Is(context.Cause(a), errLost) {
				t.Errorf("given up %s after the last note, by %v", took, context.Cause(a))
			}
		})
	}
}
