package apptest_test

import (
	"testing"
	"time"

	"monterey/internal/apptest"
)

// TestSoakTheNetworkIsBad spoils the network between a server and its database while 16 connections post and others read.
func TestSoakTheNetworkIsBad(t *testing.T) { apptest.OnPostgres(t, testSoakTheNetworkIsBad) }

func testSoakTheNetworkIsBad(t *testing.T, o apptest.Options) {
	p := newProxy(t, o.Database)
	o.Database = p.url()
	app := apptest.Start(t, o)
	f := newFeed(app)
	phase := func(name string, spoil func() (heal func()), bad func()) {
		began := time.Now()
		f.mustGoOn(t)
		heal := spoil()
		bad()
		heal()
		app.WaitReady(20*time.Second, true)
		f.mustGoOn(t)
		t.Logf("%s: %s, %v", name, time.Since(began).Round(time.Millisecond), f.answers())
	}
	toxic := func(kind, attributes string) func() func() {
		return func() func() { return p.poison(kind, attributes) }
	}
	lasts := func(d time.Duration) func() { return func() { time.Sleep(d) } }
	notReady := func() { app.WaitReady(10*time.Second, false) }
	for range rounds(1, 10) {
		stop := reads(app, 4)
		f.during(func() {
			phase("slow", toxic("latency", `"latency": 150, "jitter": 100`), lasts(2*time.Second))
			phase("narrow", toxic("bandwidth", `"rate": 50`), lasts(2*time.Second))
			phase("cut after some bytes", toxic("limit_data", `"bytes": 20000`), lasts(time.Second))
			phase("connections reset", toxic("reset_peer", `"timeout": 20`), notReady)
			phase("connections refused", func() func() { p.Stop(); return p.open }, notReady)
			phase("packets vanish", toxic("timeout", `"timeout": 0`), func() {
				notReady()
				time.Sleep(time.Duration(rounds(0, 30)) * time.Second)
			})
		})
		stop().check(t, "200", refused)
	}
	if f.tally[refused] == 0 {
		t.Error("nothing was refused: the test did not test much")
	}
	f.checkOnce(t)
}
