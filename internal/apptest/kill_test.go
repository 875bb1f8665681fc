package apptest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"monterey/internal/apptest"
)

// feed posts opens that all differ, from 16 connections, until it is stopped, and remembers what was acknowledged.
type feed struct {
	app   *apptest.App
	next  atomic.Int64
	stop  atomic.Bool
	users sync.WaitGroup

	mu    sync.Mutex
	acked map[string]bool
	tally tally
}

// tally counts answers by what they are. A server in trouble may answer 503, saying when to come back; nothing else.
type tally map[string]int

const refused = "503 with Retry-After"

func (n tally) add(a apptest.Answer, err error) {
	kind := strconv.Itoa(a.Status)
	switch {
	case err != nil:
		kind = "broken"
	case a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "":
		kind = refused
	}
	n[kind]++
}

// check fails the test for answers that are neither of these kinds nor expected ones.
func (n tally) check(t *testing.T, kinds ...string) {
	t.Helper()
	for kind, times := range n {
		if !slices.Contains(kinds, kind) {
			t.Errorf("%d times the answer is %s", times, kind)
		}
	}
}

const feeders = 16

func newFeed(app *apptest.App) *feed {
	return &feed{app: app, acked: map[string]bool{}, tally: tally{}}
}

func feedAddress(n int64) string { return fmt.Sprintf("person%d@x.test", n) }

// start posts to the App as it is addressed now.
func (f *feed) start() {
	f.stop.Store(false)
	for i := range feeders {
		f.users.Go(func() {
			for !f.stop.Load() {
				f.post(1 + i%4)
			}
		})
	}
}

// post posts one body of n events. What is not answered with 202 may be counted or not.
func (f *feed) post(n int) {
	var body bytes.Buffer
	var addresses []string
	for range n {
		k := f.next.Add(1)
		addresses = append(addresses, feedAddress(k))
		at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(k) * 7 * time.Second)
		fmt.Fprintf(&body, `{"key":%q,"type":"Campaign Opened","email":%q,"opened_at":%q,"campaign_id":%d}`+"\n",
			apptest.WebhookKey, feedAddress(k), at.Format(time.RFC3339), 1+k%3)
	}
	got, err := f.app.Ask(http.MethodPost, "/campaign-events/webhook", body.Bytes(), "Authorization", "", "workspace_id", "")
	if err != nil || got.Status != http.StatusAccepted {
		time.Sleep(time.Millisecond) // the server is gone: a feeder need not burn a processor until it is told so
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tally.add(got, err)
	if err != nil || got.Status != http.StatusAccepted {
		return
	}
	for _, a := range addresses {
		f.acked[a] = true
	}
}

// answers are the kinds of answers so far.
func (f *feed) answers() tally {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.tally)
}

func (f *feed) end() {
	f.stop.Store(true)
	f.users.Wait()
}

// check compares what was acknowledged with what the server holds and with what it counts.
func (f *feed) check(t *testing.T) {
	t.Helper()
	f.tally.check(t, "202", refused, "broken")
	f.app.WaitCounted(30 * time.Second)
	got, err := f.app.Ask(http.MethodGet, "/campaign-events/export", nil, "Accept", "application/x-ndjson")
	if err != nil || got.Status != http.StatusOK {
		t.Fatalf("export: %d, %v", got.Status, err)
	}
	stored := map[string]int{}
	for line := range bytes.Lines(got.Body) {
		var e struct {
			RecipientEmail string `json:"recipient_email"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		stored[e.RecipientEmail]++
	}
	events := 0
	for a, n := range stored {
		events += n
		if n != 1 {
			t.Errorf("%s is stored %d times", a, n)
		}
	}
	for a := range f.acked {
		if stored[a] == 0 {
			t.Errorf("%s was acknowledged and is lost", a)
		}
	}
	var all struct{ Opens, UniqueOpens int }
	f.app.Get(&struct {
		Opens       *int `json:"opens"`
		UniqueOpens *int `json:"unique_opens"`
	}{&all.Opens, &all.UniqueOpens}, "/campaign-statistics/overview")
	if all.Opens != events || all.UniqueOpens != events {
		t.Errorf("%d events are stored; counted are %d, of %d recipients", events, all.Opens, all.UniqueOpens)
	}
	if t.Failed() {
		t.FailNow()
	}
}

func kills(soak int) int { return rounds(10, soak) }

// rounds is how often something is done to a server: few times, or many in the long version.
func rounds(few, many int) int {
	if os.Getenv("MONTEREY_SOAK") != "" {
		return many
	}
	return few
}

// TestSoakKilledAtRandomMoments kills the server while 16 connections post, again and again.
func TestSoakKilledAtRandomMoments(t *testing.T) { apptest.OnEach(t, testSoakKilledAtRandomMoments) }

func testSoakKilledAtRandomMoments(t *testing.T, o apptest.Options) {
	app := apptest.Start(t, o)
	f := newFeed(app)
	for n := range kills(200) {
		f.start()
		time.Sleep(time.Duration(50+rand.IntN(900)) * time.Millisecond)
		app.Kill()
		f.end()
		app.Serve()
		if n%3 == 2 { // drain, so that the inbox is pruned empty and its numbers would begin again
			f.check(t)
			app.WaitCounted(30 * time.Second)
		}
	}
	f.check(t)
	if len(f.acked) < 100 {
		t.Errorf("only %d events were acknowledged: the test did not test much", len(f.acked))
	}
}

// TestSoakTheDrainedInboxIsLost loses the inbox file once it is drained, and goes on posting.
func TestSoakTheDrainedInboxIsLost(t *testing.T) {
	app := apptest.Start(t, apptest.Options{})
	f := newFeed(app)
	for range kills(20) / 5 {
		f.start()
		time.Sleep(300 * time.Millisecond)
		f.end()
		f.check(t)
		app.Kill()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(filepath.Join(app.Dir, "inbox.db"+suffix)); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		app.Serve()
	}
	f.start()
	time.Sleep(300 * time.Millisecond)
	f.end()
	f.check(t)
}

// TestSoakAnOldInboxIsPutBack puts a copy of the inbox back that holds deliveries counted since.
func TestSoakAnOldInboxIsPutBack(t *testing.T) {
	app := apptest.Start(t, apptest.Options{})
	f := newFeed(app)
	for range kills(20) / 5 {
		f.start()
		time.Sleep(300 * time.Millisecond)
		app.Kill() // with much of it not counted yet
		f.end()
		old, err := os.ReadFile(filepath.Join(app.Dir, "inbox.db"))
		if err != nil {
			t.Fatal(err)
		}
		wal, err := os.ReadFile(filepath.Join(app.Dir, "inbox.db-wal"))
		if err != nil {
			t.Fatal(err)
		}
		app.Serve()
		f.start()
		time.Sleep(300 * time.Millisecond)
		f.end()
		f.check(t) // all is counted: the old copy brings nothing that is not
		app.Kill()
		for name, content := range map[string][]byte{"inbox.db": old, "inbox.db-wal": wal} {
			if err := os.WriteFile(filepath.Join(app.Dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(filepath.Join(app.Dir, "inbox.db-shm")); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		app.Serve()
	}
	f.start()
	time.Sleep(300 * time.Millisecond)
	f.end()
	f.check(t)
}

// TestSoakABackupUnderLoadIsRestored restores backups that were taken while 16 connections posted: what was acknowledged
// before the backup began is in it, once, and what comes after the restore is counted too.
func TestSoakABackupUnderLoadIsRestored(t *testing.T) {
	app := apptest.Start(t, apptest.Options{})
	f := newFeed(app)
	for n := range kills(20) / 5 {
		f.start()
		time.Sleep(300 * time.Millisecond)
		f.mu.Lock()
		before := make(map[string]bool, len(f.acked))
		for a := range f.acked {
			before[a] = true
		}
		f.mu.Unlock()
		file := filepath.Join(t.TempDir(), "backup")
		app.MustRun("backup", file)
		f.end()

		other := apptest.New(t, apptest.Options{Dir: filepath.Join(t.TempDir(), fmt.Sprintf("restored%d", n))})
		other.MustRun("restore", file)
		other.Workspace, other.Token = app.Workspace, app.Token
		other.Serve()
		g := newFeed(other)
		g.acked = before
		g.next.Store(f.next.Load())
		g.start()
		time.Sleep(200 * time.Millisecond)
		g.end()
		g.check(t)
		other.Stop()
	}
	f.check(t)
}
