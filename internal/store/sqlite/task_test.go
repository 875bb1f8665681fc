package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"monterey/internal/fault"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// taskRun is a store whose tasks are run; the work of backfills is given.
type taskRun struct {
	*testing.T
	store *Store
	c     workspace.Caller
	stop  func()
}

func runTasks(t *testing.T, s *Store, c workspace.Caller, work task.Work) taskRun {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	r := &task.Runner{Store: s, Work: map[task.Kind]task.Work{task.Backfill: work}, Now: time.Now, Watch: 10 * time.Millisecond,
		Note: func(_ task.Task, what string, err error) { t.Log(what, err) }}
	go func() { done <- s.RunTasks(ctx, r, slog.New(slog.DiscardHandler)) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return taskRun{t, s, c, stop}
}

func (r taskRun) create() task.ID {
	r.Helper()
	t := task.New(task.Backfill, task.Params{}, "test", time.Now())
	if err := r.store.CreateTask(r.Context(), r.c, t); err != nil {
		r.Fatal(err)
	}
	return t.ID
}

// wait waits until the task has this status.
func (r taskRun) wait(id task.ID, status task.Status) task.Task {
	r.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		t, err := r.store.GetTask(r.Context(), r.c, id)
		if err != nil {
			r.Fatal(err)
		}
		if t.Status == status {
			return t
		}
		if time.Now().After(end) {
			r.Fatalf("the task is %s (%s), want %s", t.Status, t.Error, status)
		}
	}
}

func openWithWorkspace(t *testing.T) (*Store, workspace.Caller) {
	t.Helper()
	s := openMigrated(t)
	w := workspace.Workspace{ID: workspace.NewID(), Name: "w", Timezone: "UTC", CreatedAt: time.Now(), UpdatedAt: time.Now()}
	if err := s.CreateWorkspace(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	return s, workspace.System(w.ID)
}

// TestTaskOutcomes: what work returns decides what becomes of its task.
func TestTaskOutcomes(t *testing.T) {
	s, c := openWithWorkspace(t)
	var answer func(task.Task) error
	r := runTasks(t, s, c, func(ctx context.Context, c workspace.Caller, k task.Task) error { return answer(k) })

	answer = func(task.Task) error { return nil }
	r.wait(r.create(), task.Succeeded)

	answer = func(task.Task) error { return fault.New(fault.Data, "the provider says no") }
	if got := r.wait(r.create(), task.Failed); got.Error != "the provider says no" {
		t.Errorf("failed with %q", got.Error)
	}
	answer = func(task.Task) error { return errors.New("secret") }
	if got := r.wait(r.create(), task.Failed); got.Error != "internal error; the log knows more" {
		t.Errorf("failed with %q", got.Error)
	}

	// Work gives way twice, has to wait once, and goes on where it stood.
	answer = func(k task.Task) error {
		state := struct{ N int }{}
		if k.State != nil {
			if err := json.Unmarshal(k.State, &state); err != nil {
				return err
			}
		}
		if state.N++; state.N == 4 {
			return nil
		}
		text, _ := json.Marshal(state)
		if err := s.SaveStep(t.Context(), c, task.Step{Task: k.ID, Progress: task.Progress{Pages: int64(state.N)}, State: text}); err != nil {
			return err
		}
		if state.N == 2 {
			return fault.New(fault.Unavailable, "busy")
		}
		return &task.Later{}
	}
	if got := r.wait(r.create(), task.Succeeded); got.Progress.Pages != 3 {
		t.Errorf("%d pages, want 3", got.Progress.Pages)
	}
}

// TestTaskCancelled: work that waits for its provider ends soon after its task was cancelled.
func TestTaskCancelled(t *testing.T) {
	s, c := openWithWorkspace(t)
	cause := make(chan error, 1)
	r := runTasks(t, s, c, func(ctx context.Context, _ workspace.Caller, _ task.Task) error {
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return ctx.Err()
	})
	id := r.create()
	r.wait(id, task.Running)
	if _, err := s.CancelTask(t.Context(), c, id, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := <-cause; !errors.Is(err, task.ErrEnded) {
		t.Errorf("the work ended by %v", err)
	}
	r.stop()
	if got := r.wait(id, task.Cancelled); got.Error != "" {
		t.Errorf("cancelled with %q", got.Error)
	}
}

// TestTaskGoesOn: a task whose process stopped or was killed is taken up again by the next one.
func TestTaskGoesOn(t *testing.T) {
	s, c := openWithWorkspace(t)
	forever := func(ctx context.Context, _ workspace.Caller, _ task.Task) error {
		<-ctx.Done()
		return ctx.Err()
	}
	r := runTasks(t, s, c, forever)
	id := r.create()
	r.wait(id, task.Running)
	r.stop()
	if _, err := s.writer.Exec("UPDATE river_job SET state = 'running', attempt = 1, attempted_at = datetime('now')"); err != nil { // as SIGKILL leaves it
		t.Fatal(err)
	}
	r = runTasks(t, s, c, func(context.Context, workspace.Caller, task.Task) error { return nil })
	r.wait(id, task.Succeeded)
}

// TestTaskAndJob: when the job cannot be made there is no task either.
func TestTaskAndJob(t *testing.T) {
	s, c := openWithWorkspace(t)
	if _, err := s.writer.Exec("CREATE TRIGGER t BEFORE INSERT ON river_job BEGIN SELECT RAISE(ABORT, 'no'); END"); err != nil {
		t.Fatal(err)
	}
	k := task.New(task.Backfill, task.Params{}, "test", time.Now())
	if err := s.CreateTask(t.Context(), c, k); err == nil {
		t.Error("created without a job")
	}
	if _, err := s.GetTask(t.Context(), c, k.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("the task is there: %v", err)
	}
}

// TestTaskThatTakesTooLong: work that never gets further within the time of a job fails in the end.
func TestTaskThatTakesTooLong(t *testing.T) {
	s, c := openWithWorkspace(t)
	forever := func(ctx context.Context, _ workspace.Caller, _ task.Task) error {
		<-ctx.Done()
		return ctx.Err()
	}
	r := &task.Runner{Store: s, Work: map[task.Kind]task.Work{task.Backfill: forever}, Now: time.Now, Watch: time.Hour, Note: func(task.Task, string, error) {}}
	k := task.New(task.Backfill, task.Params{}, "test", time.Now())
	if err := s.CreateTask(t.Context(), c, k); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		job, cancel := context.WithTimeout(t.Context(), time.Millisecond*20)
		err := r.Run(job, c.Workspace(), k.ID)
		late := job.Err() != nil
		cancel()
		if err == nil {
			break
		}
		if late && errors.Is(err, context.DeadlineExceeded) {
			continue // before it even began
		}
		if later, ok := errors.AsType[*task.Later](err); !ok || later.After <= 0 || n > 100 {
			t.Fatalf("after %d jobs: %v", n, err)
		}
	}
	if got, err := s.GetTask(t.Context(), c, k.ID); err != nil || got.Status != task.Failed || got.Error != "it had to wait too often: it took too long to get further" {
		t.Errorf("%s: %q, %v", got.Status, got.Error, err)
	}
}
