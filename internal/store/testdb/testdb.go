// Package testdb gives each test a database of its own: files of SQLite, or a new database of the PostgreSQL that
// MONTEREY_TEST_POSTGRES names (scripts/with-postgres starts one).
package testdb

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"monterey/internal/store"
	"monterey/internal/store/postgres"
	"monterey/internal/store/sqlite"
)

// Postgres makes an empty database and returns its URL. When the test ends it is dropped, whoever is connected. Where there
// is no PostgreSQL the test is skipped, and with CI=true fails.
func Postgres(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(Cluster(t))
	if err != nil {
		t.Fatal("MONTEREY_TEST_POSTGRES is no URL") // which may hold a password
	}
	name := "test_" + uuid.NewString()[:8]
	execute(t, u.String(), "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, u.String(), "DROP DATABASE "+name+" WITH (FORCE)") })
	own := *u
	own.Path = "/" + name
	return own.String()
}

// Cluster is the URL of a database of the PostgreSQL that tests use, whose user may do everything.
func Cluster(t testing.TB) string {
	t.Helper()
	text := os.Getenv("MONTEREY_TEST_POSTGRES")
	if text == "" && os.Getenv("CI") == "true" {
		t.Fatal("MONTEREY_TEST_POSTGRES is not set; run under scripts/with-postgres")
	}
	if text == "" {
		t.Skip("MONTEREY_TEST_POSTGRES is not set; scripts/with-postgres go test runs this")
	}
	return text
}

func execute(t testing.TB, url, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's own ends before its clean-up
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is lost with it
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatal(err)
	}
}

// DB is the database of one test.
type DB struct {
	t   testing.TB
	dir string
	url string // of PostgreSQL; "" = SQLite's files in dir
}

// New is a new database: of SQLite, or with MONTEREY_TEST_STORE=postgres of PostgreSQL.
func New(t testing.TB) *DB {
	t.Helper()
	d := &DB{t: t, dir: t.TempDir()}
	if os.Getenv("MONTEREY_TEST_STORE") == "postgres" {
		d.url = Postgres(t)
	}
	return d
}

// Open opens it, migrated, with its inbox. It may be opened again once the one before is closed.
func (d *DB) Open() store.Database {
	d.t.Helper()
	ctx := d.t.Context()
	if d.url != "" {
		s, err := postgres.Open(ctx, d.url, nil)
		if err != nil {
			d.t.Fatal(err)
		}
		if _, _, err := s.Migrate(ctx); err != nil {
			d.t.Fatal(err)
		}
		return s
	}
	s, err := sqlite.Open(filepath.Join(d.dir, "monterey.db"), time.Now)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, _, err := s.Migrate(ctx); err != nil {
		d.t.Fatal(err)
	}
	if err := s.OpenInbox(ctx, filepath.Join(d.dir, sqlite.InboxFile), sqlite.InboxOptions{}); err != nil {
		d.t.Fatal(err)
	}
	return s
}

// Open opens a new database, migrated, with its inbox, and closes it when the test ends.
func Open(t testing.TB) store.Database {
	t.Helper()
	s := New(t).Open()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// SQLiteFile is the main file, for a test that changes it behind the store's back. On PostgreSQL the test is skipped.
func (d *DB) SQLiteFile() string {
	d.t.Helper()
	if d.url != "" {
		d.t.Skip("this changes the files of SQLite")
	}
	return filepath.Join(d.dir, "monterey.db")
}
