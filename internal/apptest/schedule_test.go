package apptest_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"monterey/internal/apptest"
)

// TestSoakScheduledWorkIsDoneOnce lets three workers look at a schedule that is due, all at the same moment. They are killed in
// between, which ends no schedule.
func TestSoakScheduledWorkIsDoneOnce(t *testing.T) {
	apptest.OnPostgres(t, testSoakScheduledWorkIsDoneOnce)
}

func testSoakScheduledWorkIsDoneOnce(t *testing.T, o apptest.Options) {
	e := newEDAPI(t, 50)
	o.Args = []string{"--role", "api"}
	api := backfilled(t, o, e, true)
	db := open(t, o.Database)
	api.MustRun("connection", "set", "--workspace", api.Workspace, "--provider", "campaigner", "--sync-schedule", "@hourly")
	workers := []*apptest.App{api.Beside("worker", apptest.Options{}), api.Beside("worker", apptest.Options{}), api.Beside("worker", apptest.Options{})}
	waitUntil(t, 5*time.Second, "no worker has looked at the schedule", func() bool { return db.count("SELECT count(*) FROM schedules") == 1 })
	const kinds = 3 // of tasks that a connection's schedule makes
	for round := 1; round <= rounds(3, 100); round++ {
		for _, w := range workers {
			w.Kill()
		}
		db.exec("UPDATE schedules SET last_due = (extract(epoch FROM now() - interval '3 hours') * 1000000)::bigint")
		db.exec("BEGIN")
		db.exec("LOCK TABLE schedules IN ACCESS EXCLUSIVE MODE") // a worker looks at them when it starts
		for _, w := range workers {
			w.Serve()
		}
		db.waitHeld("schedules", len(workers))
		db.exec("COMMIT")
		var tasks []map[string]any
		waitUntil(t, 30*time.Second, "the tasks have not ended", func() bool {
			tasks = (&site{T: t, app: api}).pages("/tasks/", url.Values{}, 500, true)
			for _, k := range tasks {
				if s := k["status"]; s == "queued" || s == "running" {
					return false
				}
			}
			return len(tasks) >= kinds*round
		})
		made := map[string]int{}
		for _, k := range tasks {
			if k["status"] != "succeeded" {
				t.Errorf("%v", k)
			}
			made[fmt.Sprint(k["kind"])]++
		}
		for kind, n := range made {
			if n != round || len(made) != kinds {
				t.Errorf("due %d times, %s was done %d times", round, kind, n)
			}
		}
	}
	checkHistory(t, api, e)
}
