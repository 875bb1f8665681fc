package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"monterey/internal/fault"
	"monterey/internal/store"
	"monterey/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s := openMigrated(t)
		if err := s.OpenInbox(t.Context(), filepath.Join(t.TempDir(), "inbox.db"), InboxOptions{}); err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// openMigrated is an empty store with this release's schema.
func openMigrated(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "monterey.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestMigrationNumbers: both databases have migrations of the same numbers, which must leave no gap.
func TestMigrationNumbers(t *testing.T) {
	s := openMigrated(t)
	p, err := s.migrations()
	if err != nil {
		t.Fatal(err)
	}
	for i, source := range p.ListSources() {
		if source.Version != int64(i+1) {
			t.Errorf("%s has number %d, want %d", source.Path, source.Version, i+1)
		}
	}
	has, needs, err := s.Version(t.Context())
	if n := len(p.ListSources()); err != nil || has != needs || needs != int64(n) {
		t.Errorf("the migrated file has version %d, this release needs %d, there are %d migrations: %v", has, needs, n, err)
	}
}

func TestReadyNeedsTheSchema(t *testing.T) {
	s := openMigrated(t)
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.writer.Exec("DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("with an older schema: %v", err)
	}
}
