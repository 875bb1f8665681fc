package apptest_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/apptest"
)

// checkOnce is check, and reads what became of each delivery: as no event was posted twice, one that is counted as a duplicate
// came from a delivery that was counted twice.
func (f *feed) checkOnce(t *testing.T) {
	t.Helper()
	f.check(t)
	sum := map[string]float64{}
	for _, d := range (&site{T: t, app: f.app}).pages("/webhook-deliveries/", url.Values{}, 500, false) {
		for _, k := range []string{"objects", "inserted", "duplicate", "ignored", "quarantined"} {
			sum[k] += d[k].(float64)
		}
	}
	var all struct{ Opens float64 }
	f.app.Get(&all, "/campaign-statistics/overview")
	if sum["inserted"] != all.Opens || sum["inserted"] != sum["objects"] {
		t.Fatalf("%v events are counted; the deliveries' sums are %v", all.Opens, sum)
	}
}

// during posts while something happens to the server.
func (f *feed) during(happens func()) {
	f.start()
	defer f.end()
	happens()
}

// acknowledged is how many events were.
func (f *feed) acknowledged() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.acked)
}

// mustGoOn waits until something more is acknowledged.
func (f *feed) mustGoOn(t *testing.T) {
	t.Helper()
	before := f.acknowledged()
	waitUntil(t, 15*time.Second, "nothing is acknowledged any more", func() bool { return f.acknowledged() > before })
}

func waitUntil(t *testing.T, limit time.Duration, otherwise string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s %s", limit, otherwise)
		}
	}
}

// reads asks for statistics and lists from some connections, until it is stopped.
func reads(app *apptest.App, n int) (stop func() tally) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan tally, n)
	for i := range n {
		go func() {
			answers := tally{}
			for ctx.Err() == nil {
				path := []string{"/campaign-statistics/overview", "/email-campaigns/", "/campaign-events/?page_size=10", "/webhook-deliveries/"}[i%4]
				answers.add(app.Ask(http.MethodGet, path, nil))
			}
			done <- answers
		}()
	}
	return func() tally {
		cancel()
		all := tally{}
		for range n {
			for kind, times := range <-done {
				all[kind] += times
			}
		}
		return all
	}
}

// console is a connection to a database behind the program's back.
type console struct {
	*pgx.Conn
	t *testing.T
}

func open(t *testing.T, database string) *console {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // it may be gone with its server
	return &console{conn, t}
}

func (c *console) exec(statement string, args ...any) {
	c.t.Helper()
	if _, err := c.Exec(c.t.Context(), statement, args...); err != nil {
		c.t.Fatalf("%s: %v", statement, err)
	}
}

func (c *console) count(query string, args ...any) (n int) {
	c.t.Helper()
	if err := c.QueryRow(c.t.Context(), query, args...).Scan(&n); err != nil {
		c.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// hold keeps others from writing to a table, until it is let go.
func (c *console) hold(table string) (letGo func()) {
	c.t.Helper()
	c.exec("BEGIN")
	c.exec("LOCK TABLE " + table + " IN SHARE MODE")
	return func() { c.exec("COMMIT") }
}

// waitHeld waits until so many wait for a table that is held.
func (c *console) waitHeld(table string, n int) {
	c.t.Helper()
	waitUntil(c.t, 15*time.Second, "nobody waits for "+table, func() bool {
		return c.count("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass", table) >= n
	})
}
