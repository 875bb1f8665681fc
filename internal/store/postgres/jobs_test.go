package postgres

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"monterey/internal/task"
	"monterey/internal/task/jobs"
	"monterey/internal/workspace"
)

// workers are processes that run the tasks of one database; the work of backfills is given.
type workers struct {
	*testing.T
	url   string
	store *Store
	c     workspace.Caller
}

func newWorkers(t *testing.T) *workers {
	t.Helper()
	t.Parallel()
	w := &workers{T: t, url: database(t)}
	w.store = openStore(t, w.url, nil)
	ws := workspace.Workspace{ID: workspace.NewID(), Name: "w", Timezone: "UTC", CreatedAt: time.Now(), UpdatedAt: time.Now()}
	if err := w.store.CreateWorkspace(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	w.c = workspace.System(ws.ID)
	return w
}

// start starts a process, which runs until stop or the test's end.
func (w *workers) start(work task.Work) (stop func()) {
	w.Helper()
	s := openStore(w.T, w.url, nil)
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan error, 1)
	r := &task.Runner{Store: s, Work: map[task.Kind]task.Work{task.Backfill: work}, Now: time.Now, Watch: 10 * time.Millisecond,
		Note: func(_ task.Task, what string, err error) { w.Log(what, err) }}
	go func() { done <- s.RunTasks(ctx, r, slog.New(slog.DiscardHandler)) }()
	ended := false
	stop = func() {
		if !ended {
			ended = true
			cancel()
			if err := <-done; err != nil {
				w.Error(err)
			}
		}
	}
	w.Cleanup(stop)
	return stop
}

func (w *workers) create() task.ID {
	w.Helper()
	t := task.New(task.Backfill, task.Params{}, "test", time.Now())
	if err := w.store.CreateTask(w.Context(), w.c, t); err != nil {
		w.Fatal(err)
	}
	return t.ID
}

func (w *workers) wait(id task.ID, status task.Status) {
	w.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		t, err := w.store.GetTask(w.Context(), w.c, id)
		if err != nil {
			w.Fatal(err)
		}
		if t.Status == status {
			return
		}
		if time.Now().After(end) {
			w.Fatalf("the task is %s (%s), want %s", t.Status, t.Error, status)
		}
	}
}

func (w *workers) exec(text string) {
	w.Helper()
	if _, err := w.store.pool.Exec(w.Context(), text); err != nil {
		w.Fatal(err)
	}
}

func nothing(context.Context, workspace.Caller, task.Task) error { return nil }

// TestTasksAreSharedOut: two processes do each task once, soon after it is made.
func TestTasksAreSharedOut(t *testing.T) {
	w := newWorkers(t)
	var done [2]atomic.Int32
	for i := range done {
		w.start(func(context.Context, workspace.Caller, task.Task) error { done[i].Add(1); return nil })
	}
	const n = 20
	for range n {
		began := time.Now()
		w.wait(w.create(), task.Succeeded)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	}
	if a, b := done[0].Load(), done[1].Load(); a+b != n {
		t.Errorf("%d + %d done, want %d", a, b, n)
	}
}

// TestTaskOfADeadProcess: a task whose process was killed is done by another, though only when it is clear that it is dead.
func TestTaskOfADeadProcess(t *testing.T) {
	w := newWorkers(t)
	id := w.create()
	w.exec("UPDATE river_job SET state = 'running', attempt = 1, attempted_by = '{dead}', attempted_at = now()") // as SIGKILL leaves it
	began := time.Now()
	w.start(nothing)
	w.wait(id, task.Succeeded)
	if took := time.Since(began); took < jobs.Abandoned-time.Second || took > 15*time.Second {
		t.Errorf("it was taken after %s", took)
	}
}

// TestTaskIsKept: work that takes longer than a dead process is given stays with its process, which keeps it.
func TestTaskIsKept(t *testing.T) {
	w := newWorkers(t)
	var begun atomic.Int32
	slow := func(ctx context.Context, _ workspace.Caller, _ task.Task) error {
		begun.Add(1)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(jobs.Abandoned + 4*time.Second):
			return nil
		}
	}
	w.start(slow)
	w.start(slow)
	w.wait(w.create(), task.Succeeded)
	if n := begun.Load(); n != 1 {
		t.Errorf("it was begun %d times", n)
	}
}

// TestTaskIsLost: a process that was cut off for too long stops its work when it sees that another has it.
func TestTaskIsLost(t *testing.T) {
	w := newWorkers(t)
	ended := make(chan struct{}, 1)
	stop := w.start(func(ctx context.Context, _ workspace.Caller, _ task.Task) error {
		<-ctx.Done()
		ended <- struct{}{}
		return ctx.Err()
	})
	id := w.create()
	w.wait(id, task.Running)
	w.exec("UPDATE river_job SET attempt = attempt + 1, attempted_by = '{another}'")
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
	stop()
	w.start(nothing) // of what the first says of its end nothing is left behind
	w.wait(id, task.Succeeded)
}

// TestServed: whoever runs tasks is seen by others, as long as it runs.
func TestServed(t *testing.T) {
	w := newWorkers(t)
	served := func(want bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			got, err := w.store.Served(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("served is %v", got)
			}
		}
	}
	served(false)
	stop := w.start(nothing)
	served(true)
	stop()
	served(false)
}
