package sqlite

import (
	"context"
	"database/sql"
	"os"
	"sync"
	"testing"
	"time"
)

// readAlways keeps two overlapping reads going until the test ends.
func (r *intakeRig) readAlways() {
	ctx, cancel := context.WithCancel(context.Background())
	var reads sync.WaitGroup
	r.t.Cleanup(func() { cancel(); reads.Wait() })
	for range 2 {
		reads.Go(func() {
			for ctx.Err() == nil {
				_ = r.read(ctx, "overlap", func(tx *sql.Tx) error { // ends with the test
					err := tx.QueryRow("SELECT count(*) FROM marks").Scan(new(int))
					time.Sleep(20 * time.Millisecond) // a read takes its time
					return err
				})
			}
		})
		time.Sleep(10 * time.Millisecond)
	}
}

func TestTheLogEndsThoughReadsOverlap(t *testing.T) {
	r := newIntakeRig(t)
	r.walLimit = 8 << 20
	if _, err := r.writer.Exec("PRAGMA wal_autocheckpoint(500); CREATE TABLE filler (bytes BLOB)"); err != nil {
		t.Fatal(err)
	}
	r.readAlways()
	for range 150 { // 60 MB
		r.mu.Lock()
		r.relieved = time.Time{} // as after walAgain
		r.mu.Unlock()
		if err := r.write(t.Context(), "fill", func(tx *sql.Tx) error {
			_, err := tx.Exec("INSERT INTO filler VALUES (zeroblob(400000))")
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(r.Store.path + "-wal")
	if err != nil || info.Size() > 20<<20 {
		t.Errorf("the log has %d MiB: %v", info.Size()>>20, err)
	}
}
