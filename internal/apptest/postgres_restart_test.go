package apptest_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"monterey/internal/apptest"
	"monterey/internal/store/testdb"
)

// TestSoakPostgresRestarts crashes PostgreSQL while 16 connections post, again and again.
func TestSoakPostgresRestarts(t *testing.T) {
	server := testdb.StartServer(t, testdb.ServerOptions{})
	app := apptest.Start(t, apptest.Options{Database: server.URL})
	f := newFeed(app)
	f.during(func() {
		for range rounds(3, 60) {
			f.mustGoOn(t)
			time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
			server.Restart()
			app.WaitReady(15*time.Second, true)
		}
		f.mustGoOn(t)
		server.Crash()
		app.WaitReady(5*time.Second, false)
		waitRefused(t, app)
		server.Start()
		app.WaitReady(15*time.Second, true)
		f.mustGoOn(t)
	})
	if f.tally[refused] == 0 {
		t.Error("nothing was refused: the test did not test much")
	}
	f.checkOnce(t)
}

// TestSoakTheAnswerToACommitIsLost breaks connections whose commit is written while they wait to be told so: what was being
// counted is counted, once.
func TestSoakTheAnswerToACommitIsLost(t *testing.T) {
	server := testdb.StartServer(t, testdb.ServerOptions{})
	app := apptest.Start(t, apptest.Options{Database: server.URL})
	db := open(t, server.URL)
	standby := func(name string) {
		db.exec("ALTER SYSTEM SET synchronous_standby_names = '" + name + "'")
		db.exec("SELECT pg_reload_conf()")
	}
	const waiting = " FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'monterey'"
	f := newFeed(app)
	for range rounds(3, 60) {
		f.during(func() {
			f.mustGoOn(t)
			standby("nobody") // for which all commits wait: of appends, which go one by one, and of the batch that is counted
			waitUntil(t, 10*time.Second, "no commits wait", func() bool { return db.count("SELECT count(*)"+waiting) > 1 })
			standby("")
			db.exec("SELECT pg_terminate_backend(pid)" + waiting)
			f.mustGoOn(t)
		})
		f.checkOnce(t)
	}
}
