package storetest

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"monterey/internal/account"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/store"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

func testTask(t *testing.T, s store.Store) {
	c, ctx := addCaller(t, s, "one"), t.Context()
	want := task.New(task.Backfill, task.Params{Since: at(-9)}, "Ann", day)
	ok(t, s.CreateTask(ctx, c, want))
	same(t, "as created", must(s.GetTask(ctx, c, want.ID))(t), want)

	other := task.New(task.Backfill, task.Params{Full: true}, "Bob", at(1))
	err := s.CreateTask(ctx, c, other)
	running, isRunning := errors.AsType[*task.RunningError](err)
	if !isRunning || running.Task != want.ID || !fault.Is(err, fault.Conflict) {
		t.Errorf("a second backfill: %v, want a conflict with %s", err, want.ID)
	}
	if _, err := s.GetTask(ctx, c, other.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("what was refused is there: %v", err)
	}
	ok(t, s.CreateTask(ctx, c, task.New(task.Campaigns, task.Params{}, "Ann", at(2)))) // another kind is not in the way
	ok(t, s.CreateTask(ctx, addCaller(t, s, "two"), other))                            // nor is another workspace

	want.Status, want.StartedAt = task.Running, at(3)
	same(t, "as started", must(s.StartTask(ctx, c, want.ID, at(3)))(t), want)
	same(t, "as started again", must(s.StartTask(ctx, c, want.ID, at(4)))(t), want)
	for n := 1; n <= 2; n++ {
		if got := must(s.StallTask(ctx, c, want.ID))(t); got != n {
			t.Errorf("stalled %d times, want %d", got, n)
		}
	}
	total := int64(50)
	want.Progress = task.Progress{Fetched: 20, Inserted: 10, Updated: 4, Unchanged: 6, Total: &total, Pages: 2}
	want.State = json.RawMessage(`{"page":3}`)
	ok(t, s.SaveStep(ctx, c, task.Step{Task: want.ID, Progress: want.Progress, State: want.State}))
	same(t, "after a step", must(s.GetTask(ctx, c, want.ID))(t), want) // no longer stalled
	must(s.StallTask(ctx, c, want.ID))(t)
	want.Stalls, want.Progress.Fetched, want.Progress.Removed = 1, 30, 3
	ok(t, s.SaveStep(ctx, c, task.Step{Task: want.ID, Progress: want.Progress, Shown: true}))
	same(t, "after progress was shown", must(s.GetTask(ctx, c, want.ID))(t), want) // neither further nor back

	ok(t, s.FinishTask(ctx, c, want.ID, "", at(9)))
	want.Status, want.FinishedAt = task.Succeeded, at(9)
	same(t, "when finished", must(s.GetTask(ctx, c, want.ID))(t), want)
	ok(t, s.CreateTask(ctx, c, task.New(task.Backfill, task.Params{}, "Bob", at(10)))) // the way is free again
}

// testTaskEnded: what has ended stays as it is.
func testTaskEnded(t *testing.T, s store.Store) {
	c, ctx := addCaller(t, s, "one"), t.Context()
	for status, end := range map[task.Status]func(task.ID) error{
		task.Succeeded: func(id task.ID) error { return s.FinishTask(ctx, c, id, "", at(5)) },
		task.Failed:    func(id task.ID) error { return s.FinishTask(ctx, c, id, "the provider is gone", at(5)) },
		task.Cancelled: func(id task.ID) error {
			got, err := s.CancelTask(ctx, c, id, at(5))
			if got.Status != task.Cancelled {
				t.Errorf("cancelled: %s", got.Status)
			}
			return err
		},
	} {
		k := task.New(task.Reconciliation, task.Params{}, "Ann", day)
		ok(t, s.CreateTask(ctx, c, k))
		ok(t, end(k.ID))
		before := must(s.GetTask(ctx, c, k.ID))(t)
		if before.Status != status || !before.FinishedAt.Equal(at(5)) || (before.Error != "") != (status == task.Failed) {
			t.Errorf("%s: %+v", status, before)
		}
		_, cancel := s.CancelTask(ctx, c, k.ID, at(6))
		_, start := s.StartTask(ctx, c, k.ID, at(6))
		_, stall := s.StallTask(ctx, c, k.ID)
		for what, err := range map[string]error{"cancel": cancel, "start": start, "stall": stall, "finish": s.FinishTask(ctx, c, k.ID, "", at(6)),
			"step": s.SaveStep(ctx, c, task.Step{Task: k.ID, Progress: task.Progress{Pages: 1}})} {
			wantFault(t, what+" what is "+string(status), err, fault.Conflict)
		}
		same(t, string(status), must(s.GetTask(ctx, c, k.ID))(t), before)
	}
}

func testListTasks(t *testing.T, s store.Store) {
	c, ctx := addCaller(t, s, "one"), t.Context()
	stranger := addCaller(t, s, "two")
	var made []string
	for n := range 7 {
		k := task.New(task.Kinds[n%2], task.Params{}, "Ann", at(n))
		ok(t, s.CreateTask(ctx, c, k))
		if n < 5 {
			ok(t, s.FinishTask(ctx, c, k.ID, "", at(n)))
		}
		made = append([]string{k.ID.String()}, made...)
	}
	list := func(c workspace.Caller, f task.Filter) []string {
		return names(walk(t, 2, everything, func(p page.Params) (page.Of[task.Task], error) { return s.ListTasks(ctx, c, f, p) }),
			func(k task.Task) string { return k.ID.String() })
	}
	same(t, "all", list(c, task.Filter{}), made)
	same(t, "of one kind", list(c, task.Filter{Kinds: []task.Kind{task.Kinds[1]}}), []string{made[1], made[3], made[5]})
	same(t, "queued", list(c, task.Filter{Statuses: []task.Status{task.Queued, task.Running}}), made[:2])
	same(t, "another workspace's", list(stranger, task.Filter{}), []string(nil))
	id, err := task.ParseID(made[0])
	ok(t, err)
	_, getErr := s.GetTask(ctx, stranger, id)
	_, cancelErr := s.CancelTask(ctx, stranger, id, day)
	wantFault(t, "another workspace's task", getErr, fault.NotFound)
	wantFault(t, "cancelling another workspace's task", cancelErr, fault.NotFound)
}

// testSchedules: a schedule fires once, however many look at it, and makes the tasks of which none is under way.
func testSchedules(t *testing.T, s store.Store) {
	c, ctx := addCaller(t, s, "one"), t.Context()
	conn := provider.Connection{ID: provider.ID{UUID: id(1, 1)}, Workspace: c.Workspace(), Provider: provider.Campaigner, Timezone: "America/New_York",
		SyncSchedule: "0 3 * * *", CreatedAt: day, UpdatedAt: day}
	ok(t, s.CreateConnection(ctx, c, conn))
	if got := must(s.Schedules(ctx))(t); len(got) != 0 {
		t.Errorf("a connection without an API key is to be read: %+v", got)
	}
	conn.APIKey = []byte("sealed")
	ok(t, s.UpdateConnection(ctx, c, conn))
	running := task.New(task.Backfill, task.Params{}, "Ann", day)
	ok(t, s.CreateTask(ctx, c, running))

	made := func() int64 { return must(s.ListTasks(ctx, c, task.Filter{}, everything))(t).Total }
	tick := func(now time.Time, want int64, what string) {
		t.Helper()
		ok(t, task.Tick(ctx, s, now))
		if got := made(); got != want {
			t.Errorf("%s: %d tasks, want %d", what, got, want)
		}
	}
	noon := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	tick(noon, 1, "the first look")
	tick(noon.Add(19*time.Hour), 1, "2 o'clock in New York")
	stale := must(s.Schedules(ctx))(t)[0]
	tick(noon.Add(20*time.Hour+time.Minute), 3, "3 o'clock in New York") // a backfill runs already
	tick(noon.Add(20*time.Hour+2*time.Minute), 3, "a minute later")
	if fired := must(s.FireSchedule(ctx, stale, noon.Add(20*time.Hour), []task.Task{task.New(task.Accounts, task.Params{}, "x", day)}))(t); fired || made() != 3 {
		t.Errorf("two looked at once and both fired: %v, %d tasks", fired, made())
	}
	for _, k := range must(s.ListTasks(ctx, c, task.Filter{}, everything))(t).Items {
		must(s.CancelTask(ctx, c, k.ID, day))(t)
	}
	var ticks sync.WaitGroup
	for range 8 {
		ticks.Go(func() {
			if err := task.Tick(ctx, s, noon.Add(44*time.Hour+time.Minute)); err != nil {
				t.Errorf("eight tick at once: %v", err)
			}
		})
	}
	ticks.Wait()
	if got := made(); got != 6 {
		t.Errorf("eight tick at once: %d tasks, want 3 more than 3", got)
	}
	ok(t, s.DeleteConnection(ctx, c, conn.ID))
	if got := must(s.Schedules(ctx))(t); len(got) != 0 {
		t.Errorf("a deleted connection is to be read: %+v", got)
	}
}

// testAccountSchedule: the account directory has a schedule of its own, in the workspace's time zone (Paris), beside that of
// a connection.
func testAccountSchedule(t *testing.T, s store.Store) {
	c, ctx := addCaller(t, s, "one"), t.Context()
	conn := newConnection(c, "")
	conn.SyncSchedule, conn.APIKey = "0 5 * * *", []byte("sealed")
	ok(t, s.CreateConnection(ctx, c, conn))
	src := account.Source{URL: []byte("sealed"), Query: "SELECT 1, 2"}
	ok(t, s.PutSource(ctx, c, src))
	if got := must(s.Schedules(ctx))(t); len(got) != 1 {
		t.Errorf("without a schedule the directory is to be read: %+v", got)
	}
	src.Schedule = "0 3 * * *"
	ok(t, s.PutSource(ctx, c, src))
	schedules := must(s.Schedules(ctx))(t)
	same(t, "schedules", schedules[1:], []task.Schedule{{Workspace: c.Workspace(), Of: c.Workspace().UUID, Kinds: []task.Kind{task.Accounts},
		Cron: "0 3 * * *", Timezone: "Europe/Paris"}})

	made := func(k ...task.Kind) int64 {
		return must(s.ListTasks(ctx, c, task.Filter{Kinds: k}, everything))(t).Total
	}
	noon := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	for _, x := range []struct {
		after time.Duration
		want  int64
	}{{0, 0}, {14*time.Hour - time.Minute, 0}, {14 * time.Hour, 1}, {14*time.Hour + time.Minute, 1}} {
		ok(t, task.Tick(ctx, s, noon.Add(x.after)))
		if got := made(task.Accounts); got != x.want || made() != x.want {
			t.Errorf("%s after noon: %d tasks to read the directory and %d in all, want %d", x.after, got, made(), x.want)
		}
	}

	ok(t, s.DeleteSource(ctx, c))
	if got := must(s.Schedules(ctx))(t); len(got) != 1 {
		t.Errorf("a directory that is not read any more is to be read: %+v", got)
	}
	ok(t, s.PutSource(ctx, c, src))
	if got := must(s.Schedules(ctx))(t); len(got) != 2 || !got[1].LastDue.IsZero() {
		t.Errorf("a new source begins where the old one stood: %+v", got)
	}
	ok(t, s.DeleteWorkspace(ctx, c.Workspace(), at(9)))
	if got := must(s.Schedules(ctx))(t); len(got) != 0 {
		t.Errorf("something of a deleted workspace is to be read: %+v", got)
	}
}
