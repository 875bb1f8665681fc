package apptest_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"monterey/internal/apptest"
)

// TestRoles runs two APIs and two workers on one database. A worker that is killed while it counts is taken over from by the
// other, and everything that was acknowledged is counted once.
func TestRoles(t *testing.T) { apptest.OnPostgres(t, testRoles) }

func testRoles(t *testing.T, o apptest.Options) {
	e := newEDAPI(t, 300)
	o.Args = []string{"--role", "api"}
	api := backfilled(t, o, e, true)
	f := newFeed(api)
	f.post(1)
	time.Sleep(2 * time.Second)
	var pending struct{ Total int }
	if api.Get(&pending, "/webhook-deliveries/", "state", "pending"); pending.Total != 1 {
		t.Errorf("%d deliveries wait; an API alone counts nothing", pending.Total)
	}

	other, first, second := api.Beside("api", apptest.Options{}), api.Beside("worker", apptest.Options{}), api.Beside("worker", apptest.Options{})
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := workerSays(t, first, path); code != http.StatusOK || !strings.Contains(body, `"ok"`) {
			t.Errorf("a worker's %s: %d %s", path, code, body)
		}
	}
	f.check(t)
	g := newFeed(other)
	g.next.Store(1 << 20) // other addresses
	id := ask(t, api, 202, http.MethodPost, "/historical-bounces/backfill", "")["task_id"].(string)
	for _, victim := range []*apptest.App{first, second} {
		f.start()
		g.start()
		time.Sleep(1500 * time.Millisecond)
		victim.Kill()
		time.Sleep(500 * time.Millisecond)
		f.end()
		g.end()
		killed := time.Now()
		api.WaitCounted(15 * time.Second)
		t.Logf("taken over within %s", time.Since(killed))
		victim.Serve()
	}
	for a := range g.acked {
		f.acked[a] = true
	}
	f.check(t)
	if k := waitTask(t, api, id, hasEnded); k.Status != "succeeded" {
		t.Errorf("the backfill: %+v", k)
	}
	checkHistory(t, api, e)
	for _, a := range []*apptest.App{first, second, other, api} {
		a.Stop()
	}
}

// workerSays asks a worker on its metrics address.
func workerSays(t *testing.T, a *apptest.App, path string) (code int, body string) {
	t.Helper()
	resp, err := http.Get(strings.TrimSuffix(a.MetricsURL, "/metrics") + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestNoMigrate: a server that may not migrate refuses a database that nobody has migrated, and one of several makes no secret.
func TestNoMigrate(t *testing.T) { apptest.OnPostgres(t, testNoMigrate) }

func testNoMigrate(t *testing.T, o apptest.Options) {
	a := apptest.New(t, o)
	refused := func(want string, args ...string) {
		t.Helper()
		_, stderr, code := a.Run("", append([]string{"serve", "--addr", "127.0.0.1:0", "--metrics-addr", ""}, args...)...)
		if code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d: %s", args, code, stderr)
		}
	}
	refused("run monterey migrate", "--no-migrate")
	if got := a.MustRun("migrate"); got["from"] != 0.0 || got["to"] == 0.0 {
		t.Errorf("migrate: %v", got)
	}
	other := apptest.New(t, o) // has another folder
	_, stderr, code := other.Run("", "serve", "--role", "worker", "--metrics-addr", "")
	if code != 1 || !strings.Contains(stderr, "all processes need the same") {
		t.Errorf("a worker without the secret: exit %d: %s", code, stderr)
	}
}

// TestAnotherSecret: a server with another secret than the database's would refuse every webhook, so it does not start; it does again with
// the right one, or where a key was set anew.
func TestAnotherSecret(t *testing.T) { apptest.OnEach(t, testAnotherSecret) }

func testAnotherSecret(t *testing.T, o apptest.Options) {
	a := apptest.Start(t, o)
	set := func() {
		a.MustRunInput("key", "connection", "set", "--workspace", a.Workspace, "--provider", "campaigner", "--api-key-file", "-",
			"--base-url", "https://edapi.campaigner.com/v1")
	}
	set()
	a.Stop()
	path := filepath.Join(a.Dir, "secret.key")
	right, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(secret []byte) {
		t.Helper()
		if err := os.WriteFile(path, secret, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	another := []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 32)))
	write(another)
	_, stderr, code := a.Run("", "serve", "--addr", "127.0.0.1:0", "--metrics-addr", "")
	if code != 1 || !strings.Contains(stderr, "is another one than that of this database") {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	write(right)
	a.Serve()
	a.Stop()
	write(another)
	set()
	a.Serve()
}
