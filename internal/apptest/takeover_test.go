package apptest_test

import (
	"testing"
	"time"

	"monterey/internal/apptest"
)

// takeoverLimit is how soon another worker has to go on where one was lost.
const takeoverLimit = 15 * time.Second

// TestSoakAWorkerIsTakenOverFrom loses a worker in the middle of a batch, in each way that workers are lost. Another counts what
// it was counting; when it comes back nothing is counted twice, and it counts again.
func TestSoakAWorkerIsTakenOverFrom(t *testing.T) {
	apptest.OnPostgres(t, testSoakAWorkerIsTakenOverFrom)
}

func testSoakAWorkerIsTakenOverFrom(t *testing.T, o apptest.Options) {
	db := open(t, o.Database)
	p := newProxy(t, o.Database)
	o.Args = []string{"--role", "api"}
	api := apptest.Start(t, o)
	first := api.Beside("worker", apptest.Options{Database: p.url()})
	second := api.Beside("worker", apptest.Options{})
	f := newFeed(api)
	lose := func(table string, lose, back func()) {
		second.Stop()
		letGo := db.hold(table)
		f.during(func() { db.waitHeld(table, 1) })
		second.Serve()
		lose()
		lost := time.Now()
		letGo()
		f.during(func() { f.mustGoOn(t) })
		api.WaitCounted(takeoverLimit - time.Since(lost))
		t.Logf("%s: taken over after %s", table, time.Since(lost).Round(time.Millisecond))
		back()
		f.during(func() { time.Sleep(500 * time.Millisecond) })
		f.checkOnce(t)
		second.Stop()
		f.post(1)
		api.WaitCounted(takeoverLimit)
		second.Serve()
	}
	for range rounds(1, 10) {
		for _, table := range []string{"rollups", "deliveries", "recipients"} {
			lose(table, first.Kill, first.Serve)
		}
		var heal func()
		lose("rollups", func() { heal = p.poison("timeout", `"timeout": 0`) }, func() { heal() })
		lose("deliveries", first.Freeze, first.Thaw)
	}
}
