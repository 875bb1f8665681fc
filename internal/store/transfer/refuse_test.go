package transfer_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/store/postgres"
	"monterey/internal/store/testdb"
	"monterey/internal/store/transfer"
	"monterey/internal/workspace"
)

// spoil changes a source behind the store's back.
func (w *world) spoil(statement string, args ...any) {
	w.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "monterey.db"))
	w.ok(err)
	_, err = db.Exec(statement, args...)
	w.ok(err)
	w.ok(db.Close())
}

// run copies a world into the database at url, as a process does that begins; at is called where the copy is.
func (w *world) run(t *testing.T, url string, at func(transfer.Progress)) (transfer.Report, error) {
	t.Helper()
	s := openTarget(t, url)
	defer func() { _ = s.Close() }()
	return transfer.Run(t.Context(), reading(t, w.dir), uncounted{s}, transfer.Options{ChunkRows: 50, At: at})
}

// interrupt copies until the copy is at this step.
func (w *world) interrupt(t *testing.T, url, step string) {
	t.Helper()
	s := openTarget(t, url)
	defer func() { _ = s.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := transfer.Run(ctx, reading(t, w.dir), uncounted{s}, transfer.Options{ChunkRows: 50, At: func(p transfer.Progress) {
		if p.Step == step {
			cancel()
		}
	}})
	if err == nil {
		t.Fatalf("it was never at %s", step)
	}
}

// refused makes sure that an error is this fault and says why.
func refused(t *testing.T, err error, code fault.Code, why string) {
	t.Helper()
	if !fault.Is(err, code) || !strings.Contains(err.Error(), why) {
		t.Errorf("got %v; want a fault that says %q", err, why)
	}
}

// TestUnknownSchema makes sure that nothing of either schema is passed over.
func TestUnknownSchema(t *testing.T) {
	url := testdb.Postgres(t)
	w := newWorld(t, 1, 10)
	if _, _, err := openTarget(t, url).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ source, target, says string }{
		{"ALTER TABLE campaigns ADD COLUMN novel INTEGER", "", "the target has nothing for campaigns.novel"},
		{"", "ALTER TABLE campaigns ADD COLUMN novel boolean", ""},
		{"ALTER TABLE campaigns DROP COLUMN novel", "", "the source has nothing for campaigns.novel"},
		{"", "ALTER TABLE campaigns DROP COLUMN novel", ""},
		{"CREATE TABLE novel (id BLOB PRIMARY KEY)", "", "the target has no table novel"},
		{"", "CREATE TABLE novel (id uuid PRIMARY KEY)", ""},
		{"DROP TABLE novel", "", "the source has no table novel"},
		{"CREATE TABLE novel (id TEXT PRIMARY KEY)", "", "novel.id: nothing makes uuid of TEXT"},
	} {
		if c.source != "" {
			w.spoil(c.source)
		}
		if c.target != "" {
			execute(t, url, c.target)
		}
		if c.says == "" {
			w.interrupt(t, url, "users") // it begins
			execute(t, url, "DROP TABLE copying")
			empty(t, url)
			continue
		}
		if _, err := w.run(t, url, nil); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v; want %q", err, c.says)
		}
	}
}

func TestOtherData(t *testing.T) {
	w := newWorld(t, 2, 10)

	url := testdb.Postgres(t)
	execute(t, url, "CREATE TABLE invoices (id integer)")
	_, err := w.run(t, url, nil)
	refused(t, err, fault.Conflict, "the target holds other data (the table invoices)")
	if n := tables(t, url); n != 1 {
		t.Errorf("a database that was refused has %d tables", n)
	}

	url = testdb.Postgres(t)
	s := openTarget(t, url)
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	ws := workspace.Workspace{ID: workspace.NewID(), Name: "there", Timezone: "UTC", CreatedAt: now, UpdatedAt: now}
	if err := s.CreateWorkspace(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	_, err = w.run(t, url, nil)
	refused(t, err, fault.Conflict, "the target holds data already (in ")
	if _, err := s.GetWorkspace(t.Context(), ws.ID); err != nil {
		t.Error(err)
	}
}

func tables(t *testing.T, url string) (n int) {
	t.Helper()
	if err := connect(t, url).QueryRow(t.Context(), "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestTwice makes sure that what is whole is not copied again, and that two databases are not mixed.
func TestTwice(t *testing.T) {
	w, other := newWorld(t, 3, 10), newWorld(t, 4, 10)
	url := testdb.Postgres(t)
	w.interrupt(t, url, "events")
	_, err := other.run(t, url, nil)
	refused(t, err, fault.Conflict, "unfinished copy of another database")
	if _, err := postgres.OpenWith(t.Context(), postgres.Options{URL: url}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a database that is half copied was opened: %v", err)
	}
	server := openTarget(t, url) // that runs since before
	if err := server.Ready(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("ready while it is copied: %v", err)
	}
	if r, err := w.run(t, url, nil); err != nil || r.Began != transfer.Resumed {
		t.Fatalf("%s, %v", r.Began, err)
	}
	_, err = w.run(t, url, nil)
	refused(t, err, fault.Conflict, "holds data already")
	compare(t, w.dir, url)
	s, err := postgres.OpenWith(t.Context(), postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := server.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	now := time.Now()
	ws := workspace.Workspace{ID: workspace.NewID(), Name: "another", Timezone: "UTC", CreatedAt: now, UpdatedAt: now}
	if err := s.CreateWorkspace(t.Context(), ws); err != nil {
		t.Errorf("numbers do not go on: %v", err)
	}
}

// TestSourceChanged makes sure that what was written to the source since is not left behind.
func TestSourceChanged(t *testing.T) {
	w := newWorld(t, 5, 50)
	url := testdb.Postgres(t)
	w.interrupt(t, url, "users")
	w.open() // a server runs, and counts what waited
	w.count()
	w.close()
	r, err := w.run(t, url, nil)
	if err != nil || r.Began != transfer.Anew {
		t.Fatalf("%s, %v", r.Began, err)
	}
	compare(t, w.dir, url)

	url = testdb.Postgres(t)
	_, err = w.run(t, url, func(p transfer.Progress) {
		if p.Step == "tasks" {
			w.spoil("UPDATE campaigns SET name = 'new'")
		}
	})
	refused(t, err, fault.Conflict, "written to while it was copied")
	if r, err := w.run(t, url, nil); err != nil || r.Began != transfer.Anew {
		t.Fatalf("%s, %v", r.Began, err)
	}
	compare(t, w.dir, url)
}

// TestNotWhole makes sure that rows that are missing are found.
func TestNotWhole(t *testing.T) {
	w := newWorld(t, 6, 20)
	url := testdb.Postgres(t)
	_, err := w.run(t, url, func(p transfer.Progress) {
		if p.Step == "tasks" {
			execute(t, url, "DELETE FROM events WHERE id = (SELECT min(id::text)::uuid FROM events)")
		}
	})
	refused(t, err, fault.Internal, "events has ")
	if _, err := postgres.OpenWith(t.Context(), postgres.Options{URL: url}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a copy that is not whole was opened: %v", err)
	}
}

// TestTextsThatDoNotFit are those that SQLite holds and PostgreSQL cannot.
func TestTextsThatDoNotFit(t *testing.T) {
	w := newWorld(t, 7, 10)
	w.spoil("UPDATE users SET display_name = ? WHERE email = 'u0@x.test'", "a\x00b\xffc")
	w.spoil("UPDATE campaigns SET tags = ? WHERE workspace = 1 AND num = 1", `["x\u0000y"]`)
	url := testdb.Postgres(t)
	r, err := w.run(t, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Altered != 2 {
		t.Errorf("%d texts were altered", r.Altered)
	}
	var name string
	var tags []string
	err = connect(t, url).QueryRow(t.Context(), "SELECT (SELECT display_name FROM users WHERE email = 'u0@x.test'), (SELECT tags FROM campaigns WHERE workspace_id = 1 AND num = 1)").Scan(&name, &tags)
	if err != nil || name != "a\ufffdb\ufffdc" || len(tags) != 1 || tags[0] != "x\ufffdy" {
		t.Errorf("%q, %q, %v", name, tags, err)
	}
}

// TestLostMarks copies an inbox whose epochs the main file does not know, as after an older main file was put back.
func TestLostMarks(t *testing.T) {
	w := newWorld(t, 8, 60)
	w.spoil("DELETE FROM marks WHERE number > 1")
	url := testdb.Postgres(t)
	if _, err := w.run(t, url, nil); err != nil {
		t.Fatal(err)
	}
	var n int
	err := connect(t, url).QueryRow(t.Context(), `SELECT count(*) FROM inbox i WHERE EXISTS (SELECT 1 FROM marks m
		WHERE m.number = ((SELECT max(number) FROM marks)::bigint << 40) + i.seq >> 40)`).Scan(&n)
	if err != nil || n != w.waiting {
		t.Errorf("%d of %d that wait have an epoch: %v", n, w.waiting, err)
	}
}

// TestOtherVersion makes sure that a source of another release is not taken for one of this.
func TestOtherVersion(t *testing.T) {
	w := newWorld(t, 9, 10)
	url := testdb.Postgres(t)
	w.spoil("DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)")
	_, err := w.run(t, url, nil)
	refused(t, err, fault.Conflict, "run monterey migrate on it first")
	w.spoil("INSERT INTO goose_db_version (version_id, is_applied) VALUES (1000, 1)")
	_, err = w.run(t, url, nil)
	refused(t, err, fault.Conflict, "install the newer release")
}

// TestDrift copies rollups that did not equal their events: the recount tells, and puts them right in the target.
func TestDrift(t *testing.T) {
	w := newWorld(t, 10, 50)
	w.spoil("DELETE FROM rollups WHERE workspace = 1 AND span = 2 AND bucket = (SELECT max(bucket) FROM rollups WHERE workspace = 1 AND span = 2)")
	url := testdb.Postgres(t)
	for range 2 {
		s := openTarget(t, url)
		r, err := transfer.Run(t.Context(), reading(t, w.dir), s, transfer.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i, space := range r.Workspaces {
			if drifted := space.Drifted > 0; drifted != (space.Workspace.ID == w.spaces[0]) || drifted != (len(space.First) > 0) {
				t.Errorf("workspace %d: %+v", i, space.Drift)
			}
		}
		for _, id := range w.spaces {
			if d, err := ingest.Rebuild(t.Context(), s, workspace.System(id)); err != nil || d.Drifted != 0 {
				t.Errorf("the recount has left %+v, %v", d, err)
			}
		}
		empty(t, url)
	}
}

// TestLargeSets copies rollups whose sets and quarters are in a table of their own.
func TestLargeSets(t *testing.T) {
	w := newWorld(t, 9, 10)
	w.spoil(`CREATE TABLE moved AS SELECT workspace, campaign, span, bucket, 1000 + row_number() OVER () AS num FROM rollups WHERE large = 0`)
	w.spoil(`INSERT INTO rollup_sets SELECT m.num, r.sets, r.quarters FROM moved m JOIN rollups r USING (workspace, campaign, span, bucket)`)
	w.spoil(`UPDATE rollups SET large = m.num, sets = x'', quarters = x'' FROM moved m
		WHERE (rollups.workspace, rollups.campaign, rollups.span, rollups.bucket) = (m.workspace, m.campaign, m.span, m.bucket)`)
	w.spoil("DROP TABLE moved")
	url := testdb.Postgres(t)
	_, err := w.run(t, url, nil)
	w.ok(err)
	compare(t, w.dir, url)
	var n int
	w.ok(connect(t, url).QueryRow(t.Context(), "SELECT count(*) FROM rollups WHERE length(sets) > 0 AND length(quarters) > 0").Scan(&n))
	if n == 0 {
		t.Error("no row has sets and quarters: nothing was tried")
	}
}
