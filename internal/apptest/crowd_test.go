package apptest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/apptest"
	"monterey/internal/store/testdb"
)

// TestThePoolIsExhausted has far more requests than a server has connections, and some of these held.
func TestThePoolIsExhausted(t *testing.T) { apptest.OnPostgres(t, testThePoolIsExhausted) }

func testThePoolIsExhausted(t *testing.T, o apptest.Options) {
	db := open(t, o.Database)
	o.Database += "&pool_max_conns=2"
	app := apptest.Start(t, o)
	f := newFeed(app)
	stop := reads(app, 32)
	f.during(func() {
		f.mustGoOn(t)
		time.Sleep(time.Second)
		letGo := db.hold("inbox") // an append and a batch that is counted have all that there are
		time.Sleep(7 * time.Second)
		letGo()
		f.mustGoOn(t)
	})
	answers := stop()
	answers.check(t, "200", refused)
	if answers["200"] == 0 || answers[refused] == 0 {
		t.Errorf("the answers to reads: %v", answers)
	}
	f.checkOnce(t)
}

// TestPostgresTakesNoMoreConnections gives all of PostgreSQL's connections to somebody else.
func TestPostgresTakesNoMoreConnections(t *testing.T) {
	server := testdb.StartServer(t, testdb.ServerOptions{Settings: []string{"max_connections=25", "superuser_reserved_connections=0"}})
	db := open(t, server.URL)
	app := apptest.Start(t, apptest.Options{Database: server.URL})
	f := newFeed(app)
	f.during(func() {
		f.mustGoOn(t)
		leave := crowd(t, db, server.URL)
		waitRefused(t, app)
		app.WaitReady(5*time.Second, false)
		leave()
		app.WaitReady(15*time.Second, true)
		f.mustGoOn(t)
	})
	f.checkOnce(t)
}

// crowd drives the program out of the database and takes its place.
func crowd(t *testing.T, db *console, database string) (leave func()) {
	t.Helper()
	ctx := context.Background()
	var all []*pgx.Conn
	leave = func() {
		for _, conn := range all {
			_ = conn.Close(ctx) // nothing was done with it
		}
	}
	const there = " FROM pg_stat_activity WHERE application_name LIKE 'monterey%'"
	for end := time.Now().Add(10 * time.Second); ; {
		db.exec("SELECT pg_terminate_backend(pid)" + there)
		taken := 0
		for ; ; taken++ {
			conn, err := pgx.Connect(ctx, database)
			if err != nil && strings.Contains(err.Error(), "53300") {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, conn)
		}
		if taken == 0 && db.count("SELECT count(*)"+there) == 0 { // no place came free since the last round
			return leave
		}
		if time.Now().After(end) {
			t.Fatal("the program cannot be driven out")
		}
	}
}
