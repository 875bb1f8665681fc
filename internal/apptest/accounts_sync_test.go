package apptest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"monterey/internal/apptest"
	"monterey/internal/store/testdb"
)

// outsideDirectory is an App whose account directory is read from a real PostgreSQL.
type outsideDirectory struct {
	site
	url string
}

func newOutsideDirectory(t *testing.T, o apptest.Options) *outsideDirectory {
	t.Helper()
	url := testdb.Cluster(t)
	return &outsideDirectory{site{t, apptest.Start(t, o)}, url}
}

// set sets the query, beside the running server.
func (o *outsideDirectory) set(query string) {
	o.Helper()
	file := filepath.Join(o.TempDir(), "query.sql")
	if err := os.WriteFile(file, []byte(query), 0o600); err != nil {
		o.Fatal(err)
	}
	o.app.MustRunInput(o.url, "accounts", "set", "--workspace", o.app.Workspace, "--url-file", "-", "--query-file", file, "--schedule", "@daily")
}

// start starts a sync and gives the path of its task.
func (o *outsideDirectory) start() string {
	o.Helper()
	got, err := o.app.Ask("POST", "/accounts/sync", nil)
	if err != nil || got.Status != http.StatusAccepted {
		o.Fatalf("sync: %d %s %v", got.Status, got.Body, err)
	}
	return got.Header.Get("Location")
}

// wait waits until a task has this status.
func (o *outsideDirectory) wait(path, status string) map[string]any {
	o.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		k := o.get(path, nil)
		if k["status"] == status {
			return k
		}
		if k["finished_at"] != nil || time.Now().After(deadline) {
			o.Fatalf("the task does not become %s: %v", status, k)
		}
	}
}

func (o *outsideDirectory) directory() (out []string) {
	o.Helper()
	for _, a := range o.rows(o.get("/accounts/", url.Values{"page_size": {"500"}})) {
		out = append(out, fmt.Sprint(a["account_number"], " ", a["email"]))
	}
	return out
}

// TestAccountsSync reads a directory, fails to read it, and is killed while it reads it: the last good directory stays until
// a whole one has come. The password is nowhere.
func TestAccountsSync(t *testing.T) { apptest.OnEach(t, testAccountsSync) }

func testAccountsSync(t *testing.T, opts apptest.Options) {
	o := newOutsideDirectory(t, opts)
	if code, answer := o.try("POST", "/accounts/sync", nil, nil); code != http.StatusConflict || !strings.Contains(fmt.Sprint(answer["detail"]), "monterey accounts set") {
		t.Errorf("before it is set: %d %v", code, answer)
	}
	o.set("SELECT i, 'P' || i || '@x.com' FROM generate_series(1, 3) AS i UNION ALL SELECT 9, NULL")
	k := o.wait(o.start(), "succeeded")
	p := k["progress"].(map[string]any)
	if k["kind"] != "accounts" || k["requested_by"] != "apptest" || p["fetched"] != 4.0 || p["inserted"] != 3.0 || p["unreadable"] != 1.0 || p["percent"] != 100.0 {
		t.Errorf("the task: %v", k)
	}
	good := []string{"1 p1@x.com", "2 p2@x.com", "3 p3@x.com"}
	kept := func(what string) {
		t.Helper()
		if got := o.directory(); !slices.Equal(got, good) {
			t.Errorf("%s: the directory is %v, want %v", what, got, good)
		}
	}
	kept("read")

	o.set("SELECT i, 'p' || 1/(2-i) || '@x.com' FROM generate_series(1, 3) AS i")
	if k := o.wait(o.start(), "failed"); !strings.Contains(fmt.Sprint(k["error"]), "division by zero") {
		t.Errorf("failed: %v", k)
	}
	kept("failed half-way")

	o.set("SELECT i, 'p' || i || '@x.com' || CASE WHEN i = 2 THEN pg_sleep(600)::text ELSE '' END FROM generate_series(1, 3) AS i")
	slow := o.start()
	o.wait(slow, "running")
	if code, answer := o.try("POST", "/accounts/sync", nil, nil); code != http.StatusConflict || !strings.HasSuffix(slow, fmt.Sprint(answer["task_id"])) {
		t.Errorf("a second one: %d %v", code, answer)
	}
	o.app.Kill()
	o.set("SELECT 2, 'p2@x.com' UNION ALL SELECT 4, 'p4@x.com'")
	o.app.Serve()
	k = o.wait(slow, "succeeded")
	if p := k["progress"].(map[string]any); p["inserted"] != 1.0 || p["unchanged"] != 1.0 || p["removed"] != 2.0 {
		t.Errorf("after the kill: %v", k)
	}
	good = []string{"2 p2@x.com", "4 p4@x.com"}
	kept("read after the kill")

	o.set("SELECT '1', 'a@x.com' FROM pg_sleep(600)")
	slow = o.start()
	o.wait(slow, "running")
	o.try("DELETE", slow, nil, nil)
	o.app.MustRun("accounts", "unset", "--workspace", o.app.Workspace)
	if code, answer := o.try("POST", "/accounts/sync", nil, nil); code != http.StatusConflict || answer["task_id"] != nil {
		t.Errorf("after unset: %d %v", code, answer)
	}
	kept("cancelled and unset")
	o.app.Stop()
	o.secret()
}

// secret looks for the password in the log and in all that is kept.
func (o *outsideDirectory) secret() {
	u, err := url.Parse(o.url)
	if err != nil {
		o.Fatal(err)
	}
	password, _ := u.User.Password()
	if strings.Contains(o.app.Log(), password) {
		o.Errorf("the log shows the password:\n%s", o.app.Log())
	}
	files, err := filepath.Glob(filepath.Join(o.app.Dir, "*"))
	if err != nil || len(files) == 0 {
		o.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			o.Fatal(err)
		}
		if bytes.Contains(text, []byte(password)) {
			o.Errorf("%s holds the password", f)
		}
	}
}
