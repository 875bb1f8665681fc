package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// TestMigrationNumbers: both databases have migrations of the same numbers, which must leave no gap.
func TestMigrationNumbers(t *testing.T) {
	s := openMigrated(t)
	p, db, err := s.migrations()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // it never connected
	for i, source := range p.ListSources() {
		if source.Version != int64(i+1) {
			t.Errorf("%s has number %d, want %d", source.Path, source.Version, i+1)
		}
	}
	has, needs, err := s.Version(t.Context())
	if n := len(p.ListSources()); err != nil || has != needs || needs != int64(n) {
		t.Errorf("the migrated database has version %d, this release needs %d, there are %d migrations: %v", has, needs, n, err)
	}
}

// TestMigrateAtOnce: of several processes that start at the same time one migrates, and all go on.
func TestMigrateAtOnce(t *testing.T) {
	url := emptyDatabase(t)
	var stores []*Store
	for range 4 {
		stores = append(stores, openStore(t, url, nil))
	}
	results := make(chan error)
	for _, s := range stores {
		go func() {
			_, _, err := s.Migrate(t.Context())
			results <- err
		}()
	}
	for range stores {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if err := openStore(t, url, nil).Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestReadyNeedsTheSchema(t *testing.T) {
	url := emptyDatabase(t)
	s := openStore(t, url, nil)
	if has, _, err := s.Version(t.Context()); has != 0 || err != nil {
		t.Errorf("an empty database has version %d: %v", has, err)
	}
	if err := s.Ready(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("with no schema: %v", err)
	}
	s = openMigrated(t)
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	exec(t, s, "DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)")
	if err := s.Ready(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("with an older schema: %v", err)
	}
}

// TestSettings: they hold in a transaction and leave nothing on the connection, which PgBouncer may give to somebody else.
func TestSettings(t *testing.T) {
	s := openMigrated(t)
	settings := func(tx interface {
		QueryRow(context.Context, string, ...any) pgx.Row
	}) (all string) {
		err := tx.QueryRow(t.Context(), `SELECT concat_ws(' ', current_setting('transaction_isolation'), current_setting('transaction_read_only'),
			current_setting('idle_in_transaction_session_timeout'), current_setting('tcp_user_timeout'), current_setting('statement_timeout'),
			current_setting('lock_timeout'), current_setting('application_name'))`).Scan(&all)
		if err != nil {
			t.Error(err)
		}
		return all
	}
	before := settings(s.pool)
	for what, in := range map[string]struct {
		run  func(context.Context, string, func(pgx.Tx) error) error
		want string
	}{
		"write": {s.write, "read committed off 10s 10000 2min 10s monterey"},
		"read":  {s.read, "repeatable read on 10s 10000 2min 10s monterey"},
	} {
		err := in.run(t.Context(), what, func(tx pgx.Tx) error {
			if got := settings(tx); got != in.want {
				t.Errorf("%s: %s, want %s", what, got, in.want)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if after := settings(s.pool); after != before {
		t.Errorf("the connection was left with %s, it had %s", after, before)
	}
}

// TestSilentWorker: one that says nothing more, as when its network is cut, loses its lock.
func TestSilentWorker(t *testing.T) {
	url := database(t)
	silent, other := openStore(t, url, nil), openStore(t, url, nil)
	silent.times.silent = 300 * time.Millisecond
	locked, free := make(chan struct{}), make(chan struct{})
	result := make(chan error)
	go func() {
		result <- silent.write(t.Context(), "count", func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock($1, 7)", lockWorkspace)
			close(locked)
			<-free
			return err
		})
	}()
	<-locked
	began := time.Now()
	err := other.write(t.Context(), "take over", func(tx pgx.Tx) error { // waits for the lock
		_, err := tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock($1, 7)", lockWorkspace)
		return err
	})
	if took := time.Since(began); err != nil || took < 200*time.Millisecond {
		t.Errorf("the lock was taken over after %v: %v", took, err)
	}
	close(free)
	if err := <-result; !fault.Is(err, fault.Unavailable) {
		t.Errorf("the silent worker's commit: %v", err)
	}
}

// TestFaults: what the data is to blame for is told from what the database is.
func TestFaults(t *testing.T) {
	s := openMigrated(t)
	s.times.lock, s.times.statement = 100*time.Millisecond, 300*time.Millisecond
	exec(t, s, "INSERT INTO users (id, email, display_name, platform_admin, created_at) VALUES (gen_random_uuid(), '', 'held', false, 0)")
	user := func(id uuid.UUID, name string) func(pgx.Tx) error {
		return statement(t, "INSERT INTO users (id, email, display_name, platform_admin, created_at) VALUES ($1, '', $2, false, 0)", id, name)
	}
	one := uuid.New()
	if err := s.write(t.Context(), "one", user(one, "one")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		f    func(pgx.Tx) error
		code fault.Code
		want string // SQLSTATE
	}{
		"there already":      {user(one, "one"), fault.Conflict, "23505"},
		"no workspace":       {statement(t, "INSERT INTO memberships VALUES (7, $1, 'viewer', 0)", one), fault.Conflict, "23503"},
		"NULL":               {statement(t, "INSERT INTO counters (workspace_id) VALUES (NULL)"), fault.Conflict, "23502"},
		"a NUL":              {user(uuid.New(), "a\x00b"), fault.Data, "22021"},
		"no UTF-8":           {user(uuid.New(), "a\xffb"), fault.Data, "22021"},
		"a number too large": {statement(t, "INSERT INTO counters (workspace_id, ordinal) VALUES (9, 2147483647 + $1::integer)", 1), fault.Data, "22003"},
		"a key too long":     {statement(t, "INSERT INTO accounts (workspace_id, address, number) VALUES (1, $1, '')", noise(5000)), fault.Data, "54000"},
		"no month": {statement(t, `INSERT INTO events (updated_at, received_at, delivery, workspace_id, campaign, ordinal, link, type, actor, class, source, id)
			VALUES (1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, '06000000-0000-8000-8000-000000000000')`), fault.Unavailable, "23514"},
		"no row":                       {func(tx pgx.Tx) error { return tx.QueryRow(t.Context(), "SELECT 1 WHERE false").Scan(new(int)) }, fault.NotFound, ""},
		"no table":                     {statement(t, "SELECT 1 FROM nothing"), fault.Unavailable, "42P01"},
		"a statement's time":           {statement(t, "SELECT pg_sleep(5)"), fault.Unavailable, "57014"},
		"its connection ends":          {statement(t, "SELECT pg_terminate_backend(pg_backend_pid())"), fault.Unavailable, "57P01"},
		"a failure that f passes over": {func(tx pgx.Tx) error { _ = user(one, "one")(tx); return nil }, fault.Unavailable, ""},
		"f's own":                      {func(pgx.Tx) error { return errors.New("own") }, fault.Internal, ""},
		"f's fault":                    {func(pgx.Tx) error { return fault.New(fault.TooLarge, "own") }, fault.TooLarge, ""},
	} {
		err := s.write(t.Context(), name, c.f)
		if got := fault.CodeOf(err); got != c.code || code(err) != c.want {
			t.Errorf("%s: the fault is %s with SQLSTATE %q, want %s with %q: %v", name, got, code(err), c.code, c.want, err)
		}
		if fe, ok := errors.AsType[*fault.Error](err); ok && fe.Code == fault.Unavailable && fe.RetryAfter <= 0 {
			t.Errorf("%s: nothing says when to try again", name)
		}
	}
	t.Run("lock", func(t *testing.T) {
		err := s.write(t.Context(), "holds", func(pgx.Tx) error {
			return s.write(t.Context(), "waits", statement(t, "UPDATE users SET email = 'x' WHERE display_name = 'held'"))
		})
		if err != nil {
			t.Errorf("nothing is held yet: %v", err)
		}
		err = s.write(t.Context(), "holds", func(tx pgx.Tx) error {
			if err := statement(t, "UPDATE users SET email = 'x' WHERE display_name = 'held'")(tx); err != nil {
				return err
			}
			return s.write(t.Context(), "waits", statement(t, "UPDATE users SET email = 'y' WHERE display_name = 'held'"))
		})
		if !fault.Is(err, fault.Unavailable) || code(err) != "55P03" {
			t.Errorf("a lock that another holds: %v", err)
		}
	})
}

// statement is a transaction of one statement.
func statement(t *testing.T, text string, args ...any) func(pgx.Tx) error {
	return func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), text, args...)
		return err
	}
}

// noise is a text that does not compress.
func noise(n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(uuid.NewString())
	}
	return b.String()[:n]
}

func exec(t *testing.T, s *Store, text string, args ...any) {
	t.Helper()
	if err := s.write(t.Context(), "test", statement(t, text, args...)); err != nil {
		t.Fatal(err)
	}
}

// TestNobodyThere: where nobody listens the fault says so, and keeps the password.
func TestNobodyThere(t *testing.T) {
	_, err := Open(t.Context(), "postgres://monterey:hunter2@127.0.0.1:1/monterey?sslmode=disable", nil)
	if !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a refused connection: %v", err)
	}
	for _, wrong := range []string{"postgres://monterey:hunter2@127.0.0.1:port/monterey", "postgres://monterey:hunter2@127.0.0.1/monterey?default_query_exec_mode=exec"} {
		_, err = Open(t.Context(), wrong, nil)
		if !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a wrong URL: %v", err)
		}
	}
}

// TestConnectionsEnd: all connections of the pool are ended at once, as when the server restarts; who comes next sees nothing of it.
func TestConnectionsEnd(t *testing.T) {
	url := database(t)
	s, other := openStore(t, url, nil), openStore(t, url, nil)
	for range 3 {
		endAll(t, s, other)
		if err := s.write(t.Context(), "test", statement(t, "SELECT 1")); err != nil {
			t.Error(err)
		}
	}
}

// endAll fills the pool of s with connections that other ends.
func endAll(t *testing.T, s, other *Store) {
	t.Helper()
	var conns []interface{ Release() }
	for range Conns {
		conn, err := s.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	for _, c := range conns {
		c.Release()
	}
	exec(t, other, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
}

// TestPoolExhausted: who finds no connection waits for a while and is told to come again.
func TestPoolExhausted(t *testing.T) {
	s := openStore(t, database(t)+"&pool_max_conns=1", nil)
	s.times.acquire = 50 * time.Millisecond
	err := s.write(t.Context(), "holds", func(pgx.Tx) error { return s.read(t.Context(), "waits", statement(t, "SELECT 1")) })
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a connection: %v", err)
	}
	if err := s.read(t.Context(), "afterwards", statement(t, "SELECT 1")); err != nil {
		t.Error(err)
	}
}

// TestDeadlock: the one that the server gives up runs again.
func TestDeadlock(t *testing.T) {
	s := openMigrated(t)
	exec(t, s, "INSERT INTO counters (workspace_id) VALUES (1), (2)")
	runs := make(chan struct{}, 10)
	both := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	cross := func(mine int) error {
		first := true
		return s.write(t.Context(), "cross", func(tx pgx.Tx) error {
			runs <- struct{}{}
			if err := statement(t, "UPDATE counters SET link = link + 1 WHERE workspace_id = $1", mine+1)(tx); err != nil {
				return err
			}
			if first {
				first = false
				close(both[mine])
				<-both[1-mine]
			}
			return statement(t, "UPDATE counters SET link = link + 1 WHERE workspace_id = $1", 2-mine)(tx)
		})
	}
	result := make(chan error)
	for i := range 2 {
		go func() { result <- cross(i) }()
	}
	for range 2 {
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
	if len(runs) < 3 {
		t.Error("there was no deadlock")
	}
	var sum int
	if err := s.pool.QueryRow(t.Context(), "SELECT sum(link) FROM counters").Scan(&sum); err != nil || sum != 4 {
		t.Errorf("the rows were changed %d times, want 4: %v", sum, err)
	}
}

// TestIDs: ids of all types go there and come back, alone, in lists and as NULL.
func TestIDs(t *testing.T) {
	url := database(t)
	pooled, err := OpenWith(t.Context(), Options{URL: url, Direct: url}) // describes statements and prepares none
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pooled.Close() }() // it always succeeds
	if mode := pooled.pool.Config().ConnConfig.DefaultQueryExecMode; mode != pgx.QueryExecModeCacheDescribe {
		t.Errorf("behind PgBouncer statements are sent as %s", mode)
	}
	for _, s := range []*Store{openStore(t, url, nil), pooled} {
		testIDs(t, s)
	}
}

func testIDs(t *testing.T, s *Store) {
	t.Helper()
	u, c := uuid.New(), campaign.NewID()
	var gotU uuid.UUID
	var gotC campaign.ID
	var gotAll []campaign.ID
	gone := workspace.NewID()
	err := s.read(t.Context(), "ids", func(tx pgx.Tx) error {
		return tx.QueryRow(t.Context(), "SELECT $1::uuid, $2::uuid, $3::uuid[], NULL::uuid", u, c, []campaign.ID{c, {}}).Scan(&gotU, &gotC, &gotAll, &gone)
	})
	if err != nil {
		t.Fatal(err)
	}
	if gotU != u || gotC != c || gone != (workspace.ID{}) {
		t.Errorf("got %v, %v and %v; want %v, %v and none", gotU, gotC, gone, u, c)
	}
	if diff := cmp.Diff([]campaign.ID{c, {}}, gotAll); diff != "" {
		t.Error(diff)
	}
}

// TestClock: it is the database's, or the one that Open was given.
func TestClock(t *testing.T) {
	url := database(t)
	fixed := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	for name, now := range map[string]func() time.Time{"given": func() time.Time { return fixed }, "the database's": nil} {
		s := openStore(t, url, now)
		var got time.Time
		err := s.write(t.Context(), "clock", func(tx pgx.Tx) (err error) {
			got, err = s.clock(t.Context(), tx)
			return err
		})
		want := fixed
		if now == nil {
			want = time.Now()
		}
		if d := got.Sub(want).Abs(); err != nil || d > time.Minute || now != nil && d != 0 {
			t.Errorf("%s clock says %v, want %v: %v", name, got, want, err)
		}
	}
}

// emptyDatabase makes a database without a schema.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	url := database(t)
	s := openStore(t, url, nil)
	exec(t, s, fmt.Sprintf("DROP SCHEMA %s CASCADE; CREATE SCHEMA %[1]s", "public"))
	return url
}
