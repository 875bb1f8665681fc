package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/store"
	"monterey/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return openMigrated(t) })
}

// server is where the tests make their databases.
type server struct {
	url  string // of a database that is there
	name string // begins the names of those that the tests make
	last atomic.Int64

	template sync.Once // migrates the database that others are copies of
	err      error
}

var testServer = &server{url: os.Getenv("MONTEREY_TEST_POSTGRES"), name: fmt.Sprintf("monterey_test_%d_%d", os.Getpid(), rand.Uint32())}

func TestMain(m *testing.M) {
	result := m.Run()
	if testServer.url != "" {
		_ = testServer.exec(context.Background(), "DROP DATABASE IF EXISTS "+testServer.name+" WITH (FORCE)") // of a server that may be ending
	}
	os.Exit(result)
}

func (s *server) exec(ctx context.Context, text string) error { return execAlone(ctx, s.url, text) }

// execAlone runs a statement on a connection of its own, in no transaction.
func execAlone(ctx context.Context, url, text string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // it has done what it was for
	_, err = conn.Exec(ctx, text)
	return err
}

// of is the URL of another database of the server.
func (s *server) of(t testing.TB, name string) string {
	t.Helper()
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// database makes a database for one test, a copy of one that is migrated, and is its URL.
func database(t testing.TB) string {
	t.Helper()
	s := testServer
	if os.Getenv("MONTEREY_TEST_POSTGRES") == "" { // asked for here, or a result without a database would be taken from the cache
		if os.Getenv("CI") == "true" {
			t.Fatal("MONTEREY_TEST_POSTGRES names no database (see scripts/with-postgres)")
		}
		t.Skip("MONTEREY_TEST_POSTGRES names no database (see scripts/with-postgres)")
	}
	s.template.Do(func() { s.err = s.migrate(t) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	name := fmt.Sprintf("%s_%d", s.name, s.last.Add(1))
	if err := s.exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+s.name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil { // the test's context is done
			t.Error(err)
		}
	})
	return s.of(t, name)
}

func (s *server) migrate(t testing.TB) error {
	if err := s.exec(t.Context(), "CREATE DATABASE "+s.name); err != nil {
		return err
	}
	store, err := Open(t.Context(), s.of(t, s.name), nil)
	if err != nil {
		return err
	}
	if _, _, err := store.Migrate(t.Context()); err != nil {
		return err
	}
	return store.Close()
}

// openMigrated is an empty store with this release's schema.
func openMigrated(t testing.TB) *Store {
	t.Helper()
	return openStore(t, database(t), nil)
}

func openStore(t testing.TB, url string, now func() time.Time) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, now)
	if err != nil {
		t.Fatal(err)
	}
	s.newness.large, s.newness.sure = 2, 2 // so that tests meet it, right and wrong
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
