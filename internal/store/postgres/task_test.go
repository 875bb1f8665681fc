package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"monterey/internal/account"
	"monterey/internal/fault"
	"monterey/internal/page"
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
	return runTasksOf(t, s, c, map[task.Kind]task.Work{task.Backfill: work})
}

func runTasksOf(t *testing.T, s *Store, c workspace.Caller, work map[task.Kind]task.Work) taskRun {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	r := &task.Runner{Store: s, Work: work, Now: time.Now, Watch: 10 * time.Millisecond,
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

// TestTaskGoesOn: a task whose process stopped is taken up again by the next one.
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
	r = runTasks(t, s, c, func(context.Context, workspace.Caller, task.Task) error { return nil })
	r.wait(id, task.Succeeded)
}

// TestTaskAndJob: when the job cannot be made there is no task either.
func TestTaskAndJob(t *testing.T) {
	s, c := openWithWorkspace(t)
	if _, err := s.pool.Exec(t.Context(), `CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
		CREATE TRIGGER t BEFORE INSERT ON river_job FOR EACH ROW EXECUTE FUNCTION no()`); err != nil {
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

// TestTasksOfTwoProcesses: two processes run jobs and look at schedules at once. Every schedule makes its tasks once, every
// task is run by one at a time, and both have something to do.
func TestTasksOfTwoProcesses(t *testing.T) {
	const workspaces, slices = 12, 3
	url := database(t)
	stores := []*Store{openStore(t, url, nil), openStore(t, url, nil)}
	var callers []workspace.Caller
	for range workspaces {
		w := workspace.Workspace{ID: workspace.NewID(), Name: "w", Timezone: "UTC", CreatedAt: time.Now(), UpdatedAt: time.Now()}
		if err := stores[0].CreateWorkspace(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		c := workspace.System(w.ID)
		if err := stores[0].PutSource(t.Context(), c, account.Source{URL: []byte("x"), Query: "x", Schedule: "@every 1h"}); err != nil {
			t.Fatal(err)
		}
		callers = append(callers, c)
	}

	var mu sync.Mutex
	at, calls, by := map[task.ID]int{}, map[task.ID]int{}, map[int]int{}
	for n, s := range stores {
		work := func(_ context.Context, _ workspace.Caller, k task.Task) error {
			mu.Lock()
			at[k.ID]++
			calls[k.ID]++
			by[n]++
			if at[k.ID] > 1 {
				t.Errorf("task %s is run by %d at once", k.ID, at[k.ID])
			}
			last := calls[k.ID] == slices
			mu.Unlock()
			time.Sleep(30 * time.Millisecond)
			mu.Lock()
			at[k.ID]--
			mu.Unlock()
			if last {
				return nil
			}
			return &task.Later{}
		}
		runTasksOf(t, s, callers[0], map[task.Kind]task.Work{task.Accounts: work})
	}
	now := time.Now().Truncate(time.Hour)
	for range 3 { // hours; the first look only takes note
		var ticks sync.WaitGroup
		for range 3 {
			for _, s := range stores {
				ticks.Go(func() {
					if err := task.Tick(t.Context(), s, now); err != nil {
						t.Error(err)
					}
				})
			}
		}
		ticks.Wait()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			open := int64(0)
			for _, c := range callers {
				list, err := stores[0].ListTasks(t.Context(), c, task.Filter{Statuses: []task.Status{task.Queued, task.Running}}, page.Params{Number: 1, Size: 1})
				if err != nil {
					t.Fatal(err)
				}
				open += list.Total
			}
			if open == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d tasks are not done", open)
			}
		}
		now = now.Add(time.Hour)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(calls) != 2*workspaces || by[0] == 0 || by[1] == 0 {
		t.Errorf("%d tasks were made, want %d; the processes had %d and %d calls", len(calls), 2*workspaces, by[0], by[1])
	}
	for id, n := range calls {
		if n != slices {
			t.Errorf("task %s was run %d times, want %d", id, n, slices)
		}
	}
}

// TestTasksListen: who runs jobs hears of new ones.
func TestTasksListen(t *testing.T) {
	s, c := openWithWorkspace(t)
	runTasks(t, s, c, func(context.Context, workspace.Caller, task.Task) error { return nil })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var listening bool
		err := s.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity
			WHERE datname = current_database() AND query ILIKE 'LISTEN %river%')`).Scan(&listening)
		if err != nil {
			t.Fatal(err)
		}
		if listening {
			return
		}
		if time.Now().After(end) {
			t.Fatal("nobody listens")
		}
	}
}

// TestTasksWithoutListening: where there is no direct connection jobs are found all the same.
func TestTasksWithoutListening(t *testing.T) {
	s, c := openWithWorkspace(t)
	s.direct.Port = 1
	r := runTasks(t, s, c, func(context.Context, workspace.Caller, task.Task) error { return nil })
	r.wait(r.create(), task.Succeeded)
}

// TestOneTaskOfAKind: of many who ask for a task at once one makes it, and the others are told which.
func TestOneTaskOfAKind(t *testing.T) {
	s, c := openWithWorkspace(t)
	other := openStore(t, s.pool.Config().ConnString(), nil)
	var asking sync.WaitGroup
	var made, refused atomic.Int64
	for n := range 16 {
		asking.Go(func() {
			err := []*Store{s, other}[n%2].CreateTask(t.Context(), c, task.New(task.Backfill, task.Params{}, "test", time.Now()))
			_, running := errors.AsType[*task.RunningError](err)
			switch {
			case err == nil:
				made.Add(1)
			case running:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	asking.Wait()
	if made.Load() != 1 || refused.Load() != 15 {
		t.Errorf("%d were made, %d refused", made.Load(), refused.Load())
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
		cancel()
		if err == nil {
			break
		}
		if later, ok := errors.AsType[*task.Later](err); !ok || later.After <= 0 || n > 100 {
			t.Fatalf("after %d jobs: %v", n, err)
		}
	}
	if got, err := s.GetTask(t.Context(), c, k.ID); err != nil || got.Status != task.Failed || got.Error != "it had to wait too often: it took too long to get further" {
		t.Errorf("%s: %q, %v", got.Status, got.Error, err)
	}
}
