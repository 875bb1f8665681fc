package apptest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"monterey/internal/apptest"
	"monterey/internal/campaigner/campaignersim"
	"monterey/internal/recipient"
)

// edapi is the API of a simulated account, which can be held.
type edapi struct {
	*campaignersim.Server
	account *campaignersim.Account
	url     string
	asked   atomic.Int64
	stopAt  atomic.Int64 // requests from this number on wait until it is set anew
	waiting atomic.Int64
}

const never = 1 << 40

func newEDAPI(t *testing.T, bounces int, faults ...string) *edapi {
	t.Helper()
	a := campaignersim.NewAccount(campaignersim.Options{Seed: 7, Now: time.Now(), Campaigns: 2, Recipients: 300, Days: 10, Bounces: bounces})
	e := &edapi{Server: campaignersim.NewServer(a, "sim-key"), account: a}
	e.stopAt.Store(never)
	if err := e.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	t.Cleanup(func() { e.letGo() })
	e.url = s.URL + "/v1"
	return e
}

func (e *edapi) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := e.asked.Add(1)
	e.waiting.Add(1)
	for n >= e.stopAt.Load() && r.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	e.waiting.Add(-1)
	e.Server.ServeHTTP(w, r)
}

// holdAfter lets so many more requests through.
func (e *edapi) holdAfter(n int) { e.stopAt.Store(e.asked.Load() + int64(n) + 1) }

func (e *edapi) letGo() { e.stopAt.Store(never) }

// waitAsked waits until so many more requests have come, or none come any more.
func (e *edapi) waitAsked(t *testing.T, n int64) {
	t.Helper()
	n += e.asked.Load()
	for end := time.Now().Add(5 * time.Second); e.asked.Load() < n && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// history is what a backfill must bring: a line a bounce.
func (e *edapi) history() map[string]string {
	out := map[string]string{}
	for b := range e.account.Bounces() {
		class := "soft"
		if b.Kind == campaignersim.HardBounce {
			class = "hard"
		}
		out[strconv.FormatInt(b.ID, 10)] = fmt.Sprint(recipient.Normalise(b.Address), " ", b.At.UTC().Truncate(time.Second).Format(time.RFC3339), " ", class, " ", b.Reason)
	}
	return out
}

// backfilled is an App whose workspace is connected to e.
func backfilled(t *testing.T, o apptest.Options, e *edapi, serve bool) *apptest.App {
	t.Helper()
	o.Env = append(o.Env, "MONTEREY_ALLOW_PRIVATE_PROVIDERS=1", "MONTEREY_PROVIDER_RATE=0")
	app := apptest.Start(t, o)
	if !serve {
		app.Stop()
	}
	app.MustRunInput("sim-key", "connection", "set", "--workspace", app.Workspace, "--provider", "campaigner", "--api-key-file", "-", "--base-url", e.url)
	return app
}

// taskOf is what the API says of a task.
type taskOf struct {
	TaskID   string `json:"task_id"`
	Status   string
	Error    *string
	Progress struct {
		Fetched, Inserted, Updated, Unchanged, Unreadable, Pages int64
		Total                                                    *int64
		Percent                                                  *float64
	}
}

// ask sends a request that must be answered with this status.
func ask(t *testing.T, app *apptest.App, status int, method, path, body string) (answer map[string]any) {
	t.Helper()
	got, err := app.Ask(method, path, []byte(body))
	if err != nil || got.Status != status {
		t.Fatalf("%s %s: %d, want %d: %s, %v", method, path, got.Status, status, got.Body, err)
	}
	if err := json.Unmarshal(got.Body, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// waitTask waits until the task is as done wants it.
func waitTask(t *testing.T, app *apptest.App, id string, done func(taskOf) bool) (got taskOf) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		got = taskOf{}
		app.Get(&got, "/historical-bounces/backfill/"+id)
		if done(got) {
			return got
		}
		if time.Now().After(end) {
			t.Fatalf("the task is %+v", got)
		}
	}
}

func hasEnded(k taskOf) bool { return k.Status != "queued" && k.Status != "running" }

// checkHistory compares what the server exports with the account.
func checkHistory(t *testing.T, app *apptest.App, e *edapi) {
	t.Helper()
	got, err := app.Ask(http.MethodGet, "/historical-bounces/export", nil, "Accept", "application/x-ndjson")
	if err != nil || got.Status != http.StatusOK {
		t.Fatal(got.Status, err)
	}
	held := map[string]string{}
	for line := range bytes.Lines(got.Body) {
		var b struct {
			ID     string `json:"provider_event_id"`
			Email  string `json:"recipient_email"`
			At     string `json:"occurred_at"`
			Type   string `json:"bounce_type"`
			Detail string
		}
		if err := json.Unmarshal(line, &b); err != nil {
			t.Fatal(err)
		}
		if _, twice := held[b.ID]; twice {
			t.Errorf("%s is there twice", b.ID)
		}
		held[b.ID] = fmt.Sprint(b.Email, " ", b.At, " ", b.Type, " ", b.Detail)
	}
	if diff := cmp.Diff(e.history(), held); diff != "" {
		t.Fatalf("%d bounces are held (-want +got):\n%.2000s", len(held), diff)
	}
}

// TestBackfill starts one over HTTP, looks how far it is, cancels it, and finishes it.
func TestBackfill(t *testing.T) { apptest.OnEach(t, testBackfill) }

func testBackfill(t *testing.T, o apptest.Options) {
	e := newEDAPI(t, 4000, campaignersim.SmallPages)
	app := backfilled(t, o, e, true)
	e.holdAfter(3)
	id := ask(t, app, 202, http.MethodPost, "/historical-bounces/backfill", `{"full_backfill": true}`)["task_id"].(string)
	first := waitTask(t, app, id, func(k taskOf) bool { return k.Progress.Pages == 3 })
	if first.Status != "running" || first.Progress.Percent == nil || *first.Progress.Percent <= 0 || *first.Progress.Percent >= 50 {
		t.Errorf("held behind page 3: %+v", first)
	}
	conflict := ask(t, app, 409, http.MethodPost, "/historical-bounces/backfill", "")
	if conflict["task_id"] != id {
		t.Errorf("the conflict is with %v, want %s", conflict["task_id"], id)
	}
	e.holdAfter(4)
	later := waitTask(t, app, id, func(k taskOf) bool { return k.Progress.Pages > 3 })
	if later.Progress.Fetched <= first.Progress.Fetched || *later.Progress.Total != int64(len(e.history())) {
		t.Errorf("progress %+v after %+v", later.Progress, first.Progress)
	}
	if got := ask(t, app, 202, http.MethodDelete, "/historical-bounces/backfill/"+id, ""); got["status"] != "cancelled" {
		t.Errorf("cancelled: %v", got)
	}
	stood := waitTask(t, app, id, hasEnded)
	ask(t, app, 409, http.MethodDelete, "/tasks/"+id, "")
	e.letGo()
	id = ask(t, app, 202, http.MethodPost, "/historical-bounces/backfill", `{"full_backfill": true}`)["task_id"].(string)
	done := waitTask(t, app, id, hasEnded)
	g := done.Progress
	if done.Status != "succeeded" || g.Inserted != int64(len(e.history())) || g.Fetched != g.Inserted+g.Updated+g.Unchanged+g.Unreadable || g.Pages <= stood.Progress.Pages {
		t.Errorf("%+v after %+v", done, stood)
	}
	checkHistory(t, app, e)
}

// TestSoakBackfillKilled kills the server at random moments of a backfill.
func TestSoakBackfillKilled(t *testing.T) { apptest.OnEach(t, testSoakBackfillKilled) }

func testSoakBackfillKilled(t *testing.T, o apptest.Options) {
	n := kills(50)
	if n == 10 {
		n = 5
	}
	e := newEDAPI(t, 600*n, campaignersim.SmallPages, campaignersim.DuplicateRows, campaignersim.MixedTimeForms)
	app := backfilled(t, o, e, true)
	id := ask(t, app, 202, http.MethodPost, "/historical-bounces/backfill", "")["task_id"].(string)
	last := int64(0)
	for range n {
		e.waitAsked(t, 3)
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		app.Kill()
		app.Serve()
		k := waitTask(t, app, id, func(taskOf) bool { return true })
		if k.Progress.Pages < last || hasEnded(k) && k.Status != "succeeded" {
			t.Fatalf("behind page %d it was killed, and is %+v", last, k)
		}
		last = k.Progress.Pages
	}
	got := waitTask(t, app, id, hasEnded)
	if got.Status != "succeeded" {
		t.Fatalf("%s: %v", got.Status, *got.Error)
	}
	if g := got.Progress; g.Fetched != g.Inserted+g.Updated+g.Unchanged || g.Inserted != int64(len(e.history())) {
		t.Errorf("the sums: %+v", g)
	}
	checkHistory(t, app, e)
}

// command is `monterey backfill`, running.
type command struct {
	*exec.Cmd
	out, err output
}

// output is what a command has written so far.
type output struct {
	mu   sync.Mutex
	text []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

func startBackfill(t *testing.T, app *apptest.App, args ...string) *command {
	t.Helper()
	c := &command{Cmd: app.Command(append([]string{"backfill", "--workspace", app.Workspace}, args...)...)}
	c.Stdout, c.Stderr = &c.out, &c.err
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() }) // it may have ended
	return c
}

// end is the exit code.
func (c *command) end() int {
	_ = c.Wait() // the code tells
	return c.ProcessState.ExitCode()
}

// TestBackfillCommand: beside a server and without one it reads all, shows how far it is, and goes on after Ctrl-C.
func TestBackfillCommand(t *testing.T) {
	for _, serve := range []bool{false, true} {
		t.Run(fmt.Sprintf("server %v", serve), func(t *testing.T) {
			apptest.OnEach(t, func(t *testing.T, o apptest.Options) { testBackfillCommand(t, o, serve) })
		})
	}
}

func testBackfillCommand(t *testing.T, o apptest.Options, serve bool) {
	e := newEDAPI(t, 5000, campaignersim.SmallPages)
	app := backfilled(t, o, e, serve)
	e.holdAfter(20)
	c := startBackfill(t, app, "--full")
	for end := time.Now().Add(20 * time.Second); e.waiting.Load() == 0 || !strings.Contains(c.err.String(), "page 20:"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not ask, or does not say how far it is: %s", c.err.String())
		}
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := c.end(); code != 1 || !strings.Contains(c.err.String(), "run it again to go on") || !strings.Contains(c.err.String(), "page ") ||
		strings.Contains(c.err.String(), "\x1b") || !strings.HasPrefix(c.out.String(), "cancelled: ") {
		t.Errorf("exit %d: %q, %q", code, c.out.String(), c.err.String())
	}
	for end := time.Now().Add(20 * time.Second); e.waiting.Load() > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	} // until the work that was cancelled no longer waits for its page
	e.letGo()
	before := e.asked.Load()
	c = startBackfill(t, app, "--full", "--json")
	code := c.end()
	var got struct {
		ID, Status string
		Progress   struct{ Fetched, Inserted, Pages, Total int64 }
	}
	if err := json.Unmarshal([]byte(c.out.String()), &got); err != nil || code != 0 || got.Status != "succeeded" || got.Progress.Inserted != int64(len(e.history())) {
		t.Fatalf("exit %d: %v: %s%s", code, err, c.out.String(), c.err.String())
	}
	if asked := e.asked.Load() - before; got.Progress.Pages < asked+15 {
		t.Errorf("it asked for %d pages of %d after the first 20 were read", asked, got.Progress.Pages)
	}
	if !serve {
		app.Serve()
	}
	checkHistory(t, app, e)
}

// TestBackfillCommandKilled: what a killed command has begun, the next one finishes.
func TestBackfillCommandKilled(t *testing.T) { apptest.OnEach(t, testBackfillCommandKilled) }

func testBackfillCommandKilled(t *testing.T, o apptest.Options) {
	e := newEDAPI(t, 3000, campaignersim.SmallPages)
	app := backfilled(t, o, e, false)
	c := startBackfill(t, app)
	e.waitAsked(t, 10)
	_ = c.Process.Kill()
	c.end()
	c = startBackfill(t, app)
	if code := c.end(); code != 0 || !strings.Contains(c.err.String(), "under way already") || !strings.HasPrefix(c.out.String(), "succeeded: ") {
		t.Errorf("exit %d: %s%s", code, c.out.String(), c.err.String())
	}
	app.Serve()
	checkHistory(t, app, e)
}

// TestBackfillCommandMistakes says what is wrong before anything begins.
func TestBackfillCommandMistakes(t *testing.T) { apptest.OnEach(t, testBackfillCommandMistakes) }

func testBackfillCommandMistakes(t *testing.T, o apptest.Options) {
	e := newEDAPI(t, 100)
	app := backfilled(t, o, e, false)
	for want, args := range map[string][]string{
		"--since and --full":    {"--workspace", app.Workspace, "--full", "--since", "2026-01-01"},
		"must be a date":        {"--workspace", app.Workspace, "--since", "yesterday"},
		"lie in the future":     {"--workspace", app.Workspace, "--since", "2100-01-01"},
		"must be 0 or more":     {"--workspace", app.Workspace, "--provider-rate=-1"},
		"missing flags":         {},
		"is not a workspace id": {"--workspace", "x"},
	} {
		stdout, stderr, code := app.Run("", append([]string{"backfill"}, args...)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) && want != "--since and --full" {
			t.Errorf("%v: exit %d: %s%s, want %q", args, code, stdout, stderr, want)
		}
	}
	other := app.MustRun("workspace", "create", "Other")["id"].(string)
	if _, stderr, code := app.Run("", "backfill", "--workspace", other); code != 1 || !strings.Contains(stderr, "no provider connection with an API key") {
		t.Errorf("without a connection: exit %d: %s", code, stderr)
	}
	if n := e.asked.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}
