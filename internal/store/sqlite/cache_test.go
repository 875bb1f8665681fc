package sqlite

import (
	"database/sql"
	"testing"
	"time"
)

func TestAReaderGivesBackWhatItTookOfTheCache(t *testing.T) {
	s := openMigrated(t)
	readAll := func() {
		s.mu.Lock()
		s.shared = time.Time{} // as after cacheAgain
		s.mu.Unlock()
		if err := s.read(t.Context(), "read", func(tx *sql.Tx) error {
			return tx.QueryRow("SELECT max(substr(bytes, -1)) FROM filler").Scan(new([]byte))
		}); err != nil {
			t.Fatal(err)
		}
	}
	used := func() int {
		n, err := cacheUsed(t.Context(), s.readers)
		if err != nil {
			t.Fatal(err)
		}
		return n >> 10
	}
	if err := s.write(t.Context(), "fill", func(tx *sql.Tx) error {
		_, err := tx.Exec(`CREATE TABLE filler (bytes BLOB);
			INSERT INTO filler WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT zeroblob(400000) FROM n`) // 40 MB
		return err
	}); err != nil {
		t.Fatal(err)
	}
	readAll() // takes the writer's pages
	if n := used(); n > readerCache {
		t.Errorf("after the read the reader has %d KiB of the cache", n)
	}
	if _, err := s.writer.Exec("DELETE FROM filler WHERE rowid > 20"); err != nil { // 8 MB stay
		t.Fatal(err)
	}
	readAll()
	if n := used(); n < 4<<10 {
		t.Errorf("a reader that took nothing has %d KiB of the cache left", n)
	}
}
