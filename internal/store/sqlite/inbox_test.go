package sqlite

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"monterey/internal/delivery"
	"monterey/internal/ingest"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

// intakeRig is a store with an inbox, a workspace with a connection, and a clock that is set by hand.
type intakeRig struct {
	*Store
	t     *testing.T
	path  string // of the inbox
	clock *atomic.Int64
	body  ingest.Body
}

func newIntakeRig(t *testing.T) *intakeRig {
	t.Helper()
	r := &intakeRig{t: t, path: filepath.Join(t.TempDir(), InboxFile), clock: &atomic.Int64{}}
	r.set(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s, err := Open(filepath.Join(filepath.Dir(r.path), "monterey.db"), func() time.Time { return time.UnixMicro(r.clock.Load()) })
	if err != nil {
		t.Fatal(err)
	}
	r.Store = s
	t.Cleanup(func() { _ = r.Close() }) // a test may have closed it
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := workspace.Workspace{ID: workspace.NewID(), Name: "Test", Timezone: "UTC", CreatedAt: s.now(), UpdatedAt: s.now()}
	if err := s.CreateWorkspace(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	conn := provider.Connection{ID: provider.ID{UUID: uuid.New()}, Workspace: w.ID, Provider: provider.Campaigner, Timezone: "UTC", CreatedAt: s.now(), UpdatedAt: s.now()}
	if err := s.CreateConnection(t.Context(), workspace.System(w.ID), conn); err != nil {
		t.Fatal(err)
	}
	r.body = ingest.Body{Workspace: w.ID, Connection: conn.ID, Raw: []byte("{}"), Objects: 1}
	return r
}

func (r *intakeRig) set(at time.Time) { r.clock.Store(at.UnixMicro()) }

func (r *intakeRig) openInbox() {
	r.t.Helper()
	if err := r.OpenInbox(r.t.Context(), r.path, InboxOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *intakeRig) send() delivery.ID {
	r.t.Helper()
	id, _, err := r.Append(r.t.Context(), r.body)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// countAll marks everything that waits as counted.
func (r *intakeRig) countAll() {
	r.t.Helper()
	items, err := r.Peek(r.t.Context(), nil, 1<<20, 1<<30)
	if err != nil || len(items) == 0 {
		r.t.Fatalf("%d deliveries wait: %v", len(items), err)
	}
	if err := r.Count(r.t.Context(), items, func(ingest.Tx) error { return nil }); err != nil {
		r.t.Fatal(err)
	}
}

func (r *intakeRig) rows() (n int) {
	r.t.Helper()
	if err := r.inbox.readers.QueryRow("SELECT count(*) FROM inbox").Scan(&n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// insert writes n rows of an earlier opening, the first with this number, each received step after the one before.
func (r *intakeRig) insert(first int64, n int, step time.Duration) {
	r.t.Helper()
	if err := HoldPruning(r.t.Context(), r.path, time.Time{}); err != nil { // makes the file
		r.t.Fatal(err)
	}
	db, err := openFile(r.path, true, 1<<10, 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
		INSERT INTO inbox (seq, epoch, workspace, connection, received_at, objects, bytes, body) SELECT ? + i, 7, 1, 1, ? + i * ?, 1, 2, x'7b7d' FROM n`,
		n, first, r.clock.Load(), step.Microseconds()); err != nil {
		r.t.Fatal(err)
	}
}

func TestPruningBeginsWhereTheFirstRowIs(t *testing.T) {
	r := newIntakeRig(t)
	r.insert(1<<39, 1, 0) // an inbox that has seen very many deliveries
	r.openInbox()
	r.send()
	r.countAll()
	for deadline := time.Now().Add(5 * time.Second); r.rows() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d rows are left", r.rows())
		}
	}
}

func TestPruningHeedsABackupAfterTheClockWasSetBack(t *testing.T) {
	r := newIntakeRig(t)
	r.openInbox()
	right := r.now()
	r.set(right.Add(time.Hour))
	r.send()
	r.set(right) // stamps go on an hour ahead
	if err := HoldPruning(t.Context(), r.path, right.Add(holdFor)); err != nil {
		t.Fatal(err)
	}
	r.send()
	r.countAll()
	r.send() // its commit looks what there is to prune
	if n := r.rows(); n != 3 {
		t.Errorf("%d rows are left while a backup holds 3", n)
	}
}

func TestWaitingTakesLittleMemory(t *testing.T) {
	r := newIntakeRig(t)
	r.insert(1, 10_000, time.Millisecond)
	r.set(r.now().Add(time.Minute))
	r.openInbox()
	in := r.inbox
	in.mu.Lock()
	n := len(in.waiting[1])
	in.mu.Unlock()
	if n > 200 {
		t.Errorf("%d entries for 10 s of deliveries", n)
	}
	oldest, err := r.AsOf(t.Context(), workspace.System(r.body.Workspace))
	if want := r.now().Add(-time.Minute); err != nil || !oldest.Equal(want) {
		t.Errorf("as of %s, want %s: %v", oldest, want, err)
	}
	r.countAll()
	if now, err := r.AsOf(t.Context(), workspace.System(r.body.Workspace)); err != nil || now.Before(r.now()) {
		t.Errorf("all counted: as of %s, but it is %s: %v", now, r.now(), err)
	}
}

func TestABackupThatCouldNotHoldTheInboxFails(t *testing.T) {
	r := newIntakeRig(t)
	r.openInbox()
	stop, err := hold(t.Context(), r.path, r.now)
	if err != nil {
		t.Fatal(err)
	}
	r.set(r.now().Add(holdFor + time.Second)) // the process was stopped for so long
	if err := stop(); err == nil {
		t.Error("pruning went on meanwhile, and the backup says nothing")
	}
	if stop, err = hold(t.Context(), r.path, r.now); err != nil {
		t.Fatal(err)
	}
	r.set(r.now().Add(holdFor - time.Second))
	if err := stop(); err != nil {
		t.Error(err)
	}
}
