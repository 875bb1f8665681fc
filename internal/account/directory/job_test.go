package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"monterey/internal/account"
	"monterey/internal/fault"
	"monterey/internal/provider"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// work is a job on the outside database, and what it logged.
type work struct {
	*outside
	job *Job
	log bytes.Buffer
}

func openWork(t *testing.T) *work {
	t.Helper()
	keys, err := provider.NewKeys(provider.NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	w := &work{outside: open(t)}
	w.job = &Job{Accounts: w.store, Keys: keys, Tasks: w.store, Now: time.Now, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Answer: 20 * time.Second, Limit: 40 * time.Second}
	return w
}

func (w *work) set(url, query string) {
	w.Helper()
	if err := w.store.PutSource(w.Context(), w.caller, account.Source{URL: w.job.Keys.Seal(url), Query: query}); err != nil {
		w.Fatal(err)
	}
}

// start is a task that runs.
func (w *work) start() task.Task {
	w.Helper()
	t := task.New(task.Accounts, task.Params{}, "test", time.Now())
	if err := w.store.CreateTask(w.Context(), w.caller, t); err != nil {
		w.Fatal(err)
	}
	t, err := w.store.StartTask(w.Context(), w.caller, t.ID, time.Now())
	if err != nil {
		w.Fatal(err)
	}
	return t
}

// run does a task and gives its progress. The task is cancelled then, so that the next one can be made.
func (w *work) run() (task.Progress, error) {
	w.Helper()
	t := w.start()
	err := w.job.Work(w.Context(), w.caller, t)
	t, cancelErr := w.store.CancelTask(w.Context(), w.caller, t.ID, time.Now())
	if cancelErr != nil {
		w.Fatal(cancelErr)
	}
	return t.Progress, err
}

func TestJob(t *testing.T) {
	w := openWork(t)
	if _, err := w.run(); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "monterey accounts set") {
		t.Errorf("nothing is set: %v", err)
	}
	w.kept("nothing is set")

	w.set(w.url.String(), `SELECT * FROM (VALUES ('1', 'a@x.com'), ('2', 'B@x.com'), ('1', 'a@x.com'), (NULL, 'secret@x.com')) AS v`)
	for _, want := range []task.Progress{{Fetched: 4, Inserted: 2, Removed: 1, Unreadable: 1, Total: new(int64(4))},
		{Fetched: 4, Unchanged: 2, Unreadable: 1, Total: new(int64(4))}} {
		p, err := w.run()
		if d := cmp.Diff(want, p); err != nil || d != "" {
			t.Errorf("%v (-want +got):\n%s", err, d)
		}
	}
	if d := cmp.Diff([]string{"1 a@x.com", "2 b@x.com"}, w.directory()); d != "" {
		t.Errorf("the directory (-want +got):\n%s", d)
	}
	if said := w.log.String(); !strings.Contains(said, "row 4 has no account_number") || strings.Contains(said, "secret@x.com") {
		t.Errorf("of the row that was left out the log says: %s", said)
	}
}

// What may pass is tried again later, what will not fails; the directory stays, and the password is in no error.
func TestJobThatFails(t *testing.T) {
	w := openWork(t)
	w.job.Answer = time.Second
	const password = "hunter2"
	wrong := *w.url
	wrong.User = nil
	for _, tt := range []struct {
		name, url, query string
		later            bool
		says             string
	}{
		{"slow", w.url.String(), "SELECT '1', 'a@x.com' FROM pg_sleep(30)", true, "within 1s"},
		{"no rows", w.url.String(), "SELECT '1', 'a@x.com' WHERE false", true, "no rows"},
		{"nobody there", "postgres://u:" + password + "@127.0.0.1:1/d", "SELECT '1', 'a@x.com'", true, "could not be reached"},
		{"wrong query", w.url.String(), "SELECT a, b FROM nowhere", false, `"nowhere" does not exist`},
		{"wrong password", strings.Replace(wrong.String(), "://", "://monterey:"+password+"@", 1), "SELECT '1', 'a@x.com'", false, "28P01"},
		{"a URL that this release cannot use", "mysql://u:" + password + "@h/d", "SELECT '1', 'a@x.com'", false, "set it anew"},
	} {
		w.set(tt.url, tt.query)
		p, err := w.run()
		if _, later := errors.AsType[*task.Later](err); later != tt.later || err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %T %v", tt.name, err, err)
		}
		if said := fmt.Sprintf("%+v %#v %s %+v", err, err, &w.log, p); strings.Contains(said, password) {
			t.Errorf("%s: the password is shown: %s", tt.name, said)
		}
		w.kept(tt.name)
	}
	keys, err := provider.NewKeys(provider.NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	w.set(w.url.String(), "SELECT '1', 'a@x.com'")
	w.job.Keys = keys
	if _, err := w.run(); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "another secret key") {
		t.Errorf("another secret key: %v", err)
	}
	w.kept("another secret key")
}

// overtaken is a store in which another import begins meanwhile.
type overtaken struct{ account.Store }

func (o overtaken) ImportAccounts(context.Context, workspace.Caller, iter.Seq2[account.Entry, error], bool) (account.Counts, error) {
	return account.Counts{}, fault.New(fault.Conflict, "another import has begun")
}

// stuck is a store whose import takes longer than a job may.
type stuck struct{ account.Store }

func (s stuck) ImportAccounts(ctx context.Context, _ workspace.Caller, _ iter.Seq2[account.Entry, error], _ bool) (account.Counts, error) {
	<-ctx.Done()
	return account.Counts{}, ctx.Err()
}

func TestJobWhoseImportFails(t *testing.T) {
	w := openWork(t)
	w.set(w.url.String(), "SELECT '1', 'a@x.com'")
	w.job.Limit = 50 * time.Millisecond
	for says, s := range map[string]account.Store{"another import": overtaken{w.store}, "within 50ms": stuck{w.store}} {
		w.job.Accounts = s
		_, err := w.run()
		if later, ok := errors.AsType[*task.Later](err); !ok || later.Err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %T %v", says, err, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	err := w.job.Work(ended, w.caller, w.start())
	if _, later := errors.AsType[*task.Later](err); later || !errors.Is(err, context.Canceled) {
		t.Errorf("a process that ends: %T %v", err, err)
	}
}

// Rows are shown while they are read; that does not count as a step, and a task that was cancelled ends the reading.
func TestJobShowsRows(t *testing.T) {
	w := openWork(t)
	w.set(w.url.String(), "SELECT i, 'p' || i || '@x.com' FROM generate_series(1, 3000) AS i")
	clock := time.Now()
	w.job.Now = func() time.Time { clock = clock.Add(time.Millisecond); return clock } // a millisecond a row
	tasks := &shown{Store: w.store}
	w.job.Tasks = tasks
	k := w.start()
	if _, err := w.store.StallTask(t.Context(), w.caller, k.ID); err != nil {
		t.Fatal(err)
	}
	tasks.then = func(n int) {
		if got, err := w.store.GetTask(t.Context(), w.caller, k.ID); err != nil || got.Progress.Fetched != int64(1000*n) || got.Stalls != 1 {
			t.Errorf("after %d seconds: %+v, %d stalls, error %v", n, got.Progress, got.Stalls, err)
		}
		if n == 2 {
			if _, err := w.store.CancelTask(t.Context(), w.caller, k.ID, time.Now()); err != nil {
				t.Error(err)
			}
		}
	}
	if err := w.job.Work(t.Context(), w.caller, k); !strings.Contains(fmt.Sprint(err), "has ended") || tasks.times != 3 {
		t.Errorf("cancelled: shown %d times, %v", tasks.times, err)
	}
	w.kept("cancelled while rows were shown")
}

// shown looks at each step that is saved.
type shown struct {
	task.Store
	times int
	then  func(times int)
}

func (s *shown) SaveStep(ctx context.Context, c workspace.Caller, step task.Step) error {
	s.times++
	err := s.Store.SaveStep(ctx, c, step)
	if err == nil {
		s.then(s.times)
	}
	return err
}
