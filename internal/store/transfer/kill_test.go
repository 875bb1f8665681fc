package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/fault"
	"monterey/internal/store/testdb"
	"monterey/internal/store/transfer"
	"monterey/internal/task"
)

// TestInterrupted interrupts copies of random databases wherever it is told of progress, by ending the context or all of the
// target's connections, until one comes to its end.
func TestInterrupted(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			url := testdb.Postgres(t)
			w := newWorld(t, seed, 150)
			rng := rand.New(rand.NewPCG(seed, 5))
			breaker := connect(t, url)
			var last transfer.Report
			interrupted, began := 0, map[transfer.Began]int{}
			for {
				s := openTarget(t, url)
				ctx, cancel := context.WithCancel(t.Context())
				left := rng.IntN(20 + 20*interrupted)
				if interrupted > 10 {
					left = -1
				}
				by := rng.IntN(2)
				var breaking sync.WaitGroup
				var one sync.Mutex
				r, err := transfer.Run(ctx, reading(t, w.dir), s, transfer.Options{ChunkRows: 1 + rng.IntN(200), At: func(transfer.Progress) {
					left--
					switch {
					case left != 0:
					case by == 0:
						cancel()
					default:
						soon := time.Duration(rng.IntN(3000)) * time.Microsecond
						breaking.Go(func() { // in the middle of what comes next
							time.Sleep(soon)
							one.Lock()
							defer one.Unlock()
							terminate(t, breaker)
						})
						left = 1 + rng.IntN(4)
					}
				}})
				cancel()
				breaking.Wait()
				_ = s.Close()
				began[r.Began]++
				if err == nil {
					last = r
					break
				}
				if !errors.Is(err, context.Canceled) && !fault.Is(err, fault.Unavailable) {
					t.Fatal(err)
				}
				interrupted++
			}
			if began[transfer.New] == 0 || began[transfer.Anew] > 0 || interrupted > 0 && began[transfer.Resumed] == 0 {
				t.Errorf("it began %v", began)
			}
			compare(t, w.dir, url)
			if last.Waiting != int64(w.waiting) || last.Tasks != int64(len(w.tasks)) || last.Altered != 0 {
				t.Errorf("%d wait, %d tasks, %d texts were altered; want %d, %d, 0", last.Waiting, last.Tasks, last.Altered, w.waiting, len(w.tasks))
			}
			if len(last.Workspaces) != len(w.spaces) {
				t.Errorf("%d workspaces were recounted", len(last.Workspaces))
			}
			for _, r := range last.Workspaces {
				if r.Drifted != 0 || r.Rows == 0 {
					t.Errorf("the recount of %s: %+v", r.Workspace.Name, r.Drift)
				}
			}
			t.Logf("interrupted %d times", interrupted)
			queued(t, breaker, w.tasks)
		})
	}
}

// terminate ends all other connections to the database.
func terminate(t *testing.T, conn *pgx.Conn) {
	if _, err := conn.Exec(context.Background(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
		t.Error(err)
	}
}

// queued makes sure that each of the tasks has one job.
func queued(t *testing.T, conn *pgx.Conn, want []task.ID) {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT args ->> 'task' FROM river_job WHERE state = 'available'")
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]int{}
	for _, j := range jobs {
		have[j]++
	}
	for _, id := range want {
		if have[id.String()] != 1 {
			t.Errorf("the task %s has %d jobs", id, have[id.String()])
		}
	}
	if len(jobs) != len(want) {
		t.Errorf("%d jobs for %d tasks", len(jobs), len(want))
	}
}
