package apptest_test

import (
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"monterey/internal/apptest"
	"monterey/internal/store/testdb"
)

// skipNumbers is what docs/operations.md has run on a restored database, so that no delivery gets an id that another had.
const skipNumbers = "SELECT setval(pg_get_serial_sequence('inbox', 'seq'), nextval(pg_get_serial_sequence('inbox', 'seq')) + 100000000)"

// TestADumpUnderLoadIsRestored restores what pg_dump wrote while 16 connections posted. What was acknowledged before it began is
// there, once; when the provider posts the rest again, nothing tells the two databases apart.
func TestADumpUnderLoadIsRestored(t *testing.T) { apptest.OnPostgres(t, testADumpUnderLoadIsRestored) }

func testADumpUnderLoadIsRestored(t *testing.T, o apptest.Options) {
	if guide, err := os.ReadFile("../../docs/operations.md"); err != nil || !strings.Contains(string(guide), skipNumbers) {
		t.Errorf("docs/operations.md does not say %s: %v", skipNumbers, err)
	}
	app := apptest.Start(t, o)
	f := newFeed(app)
	var before map[string]bool
	file := filepath.Join(t.TempDir(), "dump")
	f.during(func() {
		f.mustGoOn(t)
		time.Sleep(500 * time.Millisecond)
		f.mu.Lock()
		before = maps.Clone(f.acked)
		f.mu.Unlock()
		testdb.Dump(t, o.Database, file)
		f.mustGoOn(t)
	})
	f.check(t)
	t.Logf("%d events were acknowledged, %d of them before the backup", len(f.acked), len(before))
	if len(before) == 0 || len(before) == len(f.acked) {
		t.Error("the test did not test much")
	}

	o.Database = testdb.Postgres(t)
	testdb.Restore(t, o.Database, file)
	open(t, o.Database).exec(skipNumbers)
	g := servedFrom(t, app, o)
	g.acked = before
	g.check(t)
	if got := g.app.MustRun("recount"); got["drifted"] != 0.0 {
		t.Errorf("recount of what was restored: %v", got)
	}
	known := deliveryIDs(t, g.app)
	for last := f.next.Load(); g.next.Load() < last; { // from the first event on
		g.post(int(min(100, last-g.next.Load())))
	}
	g.check(t)
	if got, want := overview(g.app), overview(app); got != want {
		t.Errorf("restored, and posted again: %+v; it was %+v", got, want)
	}
	lost := deliveryIDs(t, app)
	for id := range deliveryIDs(t, g.app) {
		if lost[id] && !known[id] {
			t.Fatalf("delivery %s is another one now", id)
		}
	}
}

// servedFrom starts a server on a copy of an App's database. It needs the App's secret.
func servedFrom(t *testing.T, app *apptest.App, o apptest.Options) *feed {
	t.Helper()
	o.Dir = app.Dir
	other := apptest.New(t, o)
	other.Workspace, other.Token = app.Workspace, app.Token
	other.Serve()
	return newFeed(other)
}

func deliveryIDs(t *testing.T, app *apptest.App) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	for _, d := range (&site{T: t, app: app}).pages("/webhook-deliveries/", url.Values{}, 500, false) {
		ids[d["id"].(string)] = true
	}
	return ids
}

type figures struct {
	Opens       int `json:"opens"`
	UniqueOpens int `json:"unique_opens"`
}

func overview(app *apptest.App) (all figures) {
	app.Get(&all, "/campaign-statistics/overview")
	return all
}

// TestRecoveryToAPointInTime undoes a mistake that was made on the database: a base backup and the archived log bring back
// everything that was acknowledged before it.
func TestRecoveryToAPointInTime(t *testing.T) {
	server := testdb.StartServer(t, testdb.ServerOptions{Archives: true})
	app := apptest.Start(t, apptest.Options{Database: server.URL})
	db := open(t, server.URL)
	f := newFeed(app)
	var backup string
	f.during(func() {
		f.mustGoOn(t)
		backup = server.Backup()
		f.mustGoOn(t)
	})
	db.exec("SELECT pg_create_restore_point('before')")
	good := len(f.acked)
	f.post(1)
	f.check(t)
	db.exec("DELETE FROM events")
	db.exec("TRUNCATE rollups")
	var segment string
	if err := db.QueryRow(t.Context(), "SELECT pg_walfile_name(pg_switch_wal())").Scan(&segment); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, 30*time.Second, segment+" is not archived", func() bool {
		return db.count("SELECT count(*) FROM pg_stat_archiver WHERE last_archived_wal >= $1", segment) == 1
	})
	app.Stop()
	server.Crash()

	g := servedFrom(t, app, apptest.Options{Database: server.Recover(backup, "before").URL})
	g.acked = f.acked
	delete(g.acked, feedAddress(f.next.Load())) // came too late
	g.check(t)
	if got := overview(g.app); got.Opens != good || good < 100 {
		t.Errorf("%d events were recovered, %d had been acknowledged", got.Opens, good)
	}
	g.post(4)
	g.check(t)
}
