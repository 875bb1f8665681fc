package apptest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"monterey/internal/apptest"
)

const docs = "../../docs"

// guideApp is a server with a few events, and the environment that the guide's lines expect.
func guideApp(t *testing.T, o apptest.Options) (*apptest.App, []string) {
	t.Helper()
	o.Env = []string{"MONTEREY_ALLOW_PRIVATE_PROVIDERS=1"}
	app := apptest.Start(t, o)
	app.MustRunInput("key", "connection", "set", "--workspace", app.Workspace, "--provider", "campaigner", "--api-key-file", "-",
		"--base-url", "http://127.0.0.1:1/v1") // where nobody answers: what is started there has to wait
	var bodies []string
	for i := range 30 {
		bodies = append(bodies, fmt.Sprintf(`{"key":%q,"type":"Campaign Opened","email":"p%d@example.com","opened_at":"2026-01-%02dT10:00:00","campaign_id":7}
{"key":%[1]q,"type":"Campaign Clicked","email":"p%[2]d@example.com","clicked_on":"2026-01-%02[3]dT10:00:30","campaign_id":7,"url_id":1,"click_url":"https://example.com"}`,
			apptest.WebhookKey, i, i+1))
	}
	post(t, app, strings.Join(bodies, "\n"))
	post(t, app, fmt.Sprintf(`{"key":%q,"type":"List-Unsubscribe","email":"p3@example.com","timestamp":"2026-01-20T10:00:00Z","campaign_id":7}`, apptest.WebhookKey))
	var list struct {
		Items []struct {
			CampaignID string `json:"campaign_id"`
		} `json:"items"`
	}
	app.Get(&list, "/campaign-statistics/")
	return app, append(os.Environ(), "URL="+app.URL, "TOKEN="+app.Token, "WORKSPACE="+app.Workspace, "CAMPAIGN="+list.Items[0].CampaignID,
		"WEBHOOK_KEY="+apptest.WebhookKey)
}

// post posts a webhook and waits until it is counted.
func post(t *testing.T, app *apptest.App, body string) {
	t.Helper()
	if status, _, err := app.Post([]byte(body)); err != nil || status != http.StatusAccepted {
		t.Fatal(status, err)
	}
	app.WaitCounted(20 * time.Second)
}

// TestCurlLines runs every curl line of the guide as it stands, and those of the README on this server's address.
func TestCurlLines(t *testing.T) { apptest.OnEach(t, testCurlLines) }

func testCurlLines(t *testing.T, o apptest.Options) {
	app, env := guideApp(t, o)
	env = withCurl(t, env)
	for file, least := range map[string]int{docs + "/integrations.md": 18, "../../README.md": 1} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		ran := 0
		for line := range strings.Lines(strings.ReplaceAll(string(text), "http://localhost:8000", app.URL)) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, "curl ") {
				continue
			}
			ran++
			cmd := exec.Command("sh", "-c", line+` -w '\n%{http_code}'`)
			cmd.Env = env
			out, err := cmd.Output()
			body, status := out[:max(0, len(out)-len("\n200"))], out[max(0, len(out)-len("200")):]
			if err != nil || !bytes.HasPrefix(status, []byte("2")) || len(body) == 0 {
				t.Errorf("%s: %v: %s", line, err, out)
			}
		}
		if ran < least {
			t.Errorf("%s has %d curl lines, fewer than %d: are they still found?", file, ran, least)
		}
	}
}

// withCurl puts a stand-in for curl on the path of a machine that has none. It takes the options of our lines alone.
func withCurl(t *testing.T, env []string) []string {
	t.Helper()
	if _, err := exec.LookPath("curl"); err == nil {
		return env
	}
	const program = `#!/usr/bin/env python3
import argparse, urllib.error, urllib.request
p = argparse.ArgumentParser(allow_abbrev=False)
p.add_argument("url")
p.add_argument("-s", action="store_true")
p.add_argument("-S", action="store_true")
p.add_argument("-H", action="append", default=[])
p.add_argument("-d", type=str.encode)
p.add_argument("-w")
a = p.parse_args()
r = urllib.request.Request(a.url, a.d, dict(h.split(": ", 1) for h in a.H))
try:
    answer = urllib.request.urlopen(r)
except urllib.error.HTTPError as e:
    answer = e
print(answer.read().decode() + a.w.replace("\\n", "\n").replace("%{http_code}", str(answer.status)), end="")
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "curl"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	return append(env, "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// python runs a script and returns what it wrote to standard output.
func python(env []string, input string, args ...string) (string, error) {
	cmd := exec.Command("python3", args...)
	var errs bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stderr = env, strings.NewReader(input), &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("python3 %v: %w: %s", args, err, errs.String())
	}
	return string(out), err
}

func TestSuppressionScript(t *testing.T) { apptest.OnEach(t, testSuppressionScript) }

func testSuppressionScript(t *testing.T, o apptest.Options) {
	_, env := guideApp(t, o)
	script := filepath.Join(docs, "examples", "suppress.py")
	list := "\ufeffname,email\nAnn,p1@example.com\nBob, P3@Example.com \n\n\"Cy, jr\",new@example.com\nDi,\n"
	want := "name,email\r\nAnn,p1@example.com\r\n\"Cy, jr\",new@example.com\r\n"
	if got, err := python(env, list, script); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if got, err := python(env, "name,email\n", script); err != nil || got != "name,email\r\n" {
		t.Errorf("of a list of nobody: %q, %v", got, err)
	}
	for name, c := range map[string]struct {
		input string
		env   []string
	}{
		"wrong token": {list, append(env, "TOKEN=mk_wrong")},
		"no server":   {list, append(env, "URL=http://127.0.0.1:1")},
		"no column":   {"name,address\nAnn,p1@example.com\n", env},
		"ragged row":  {"name,email\nAnn,p1@example.com,x\n", env},
	} {
		if got, err := python(c.env, c.input, script); err == nil || got != "" {
			t.Errorf("%s: got %q, %v, want a failure and nothing written", name, got, err)
		}
	}
}

// followFields are those that the copy has.
var followFields = []string{"id", "campaign_id", "event_type", "recipient_email", "occurred_at", "received_at", "updated_at", "source",
	"actor", "actor_reason", "url", "ip_address", "bounce_type", "detail"}

// TestFollowScript keeps a copy exact while events come, are judged and are taken back.
func TestFollowScript(t *testing.T) { apptest.OnEach(t, testFollowScript) }

func testFollowScript(t *testing.T, o apptest.Options) {
	app, env := guideApp(t, o)
	file := filepath.Join(t.TempDir(), "copy.db")
	copied := func() string {
		if _, err := python(env, "", filepath.Join(docs, "examples", "follow.py"), file); err != nil {
			t.Fatal(err)
		}
		rows, err := python(env, "", "-c", `import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute("SELECT "+sys.argv[2]+" FROM events ORDER BY id"): print(*row)`, file, strings.Join(followFields, ","))
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	held := func() string {
		var list struct {
			Items []map[string]any `json:"items"`
		}
		app.Get(&list, "/campaign-events/", "sort", "occurred_at", "page_size", "500")
		var b strings.Builder
		for _, e := range list.Items {
			row := make([]string, len(followFields))
			for i, f := range followFields {
				if row[i] = "None"; e[f] != nil {
					row[i] = fmt.Sprint(e[f])
				}
			}
			fmt.Fprintln(&b, strings.Join(row, " "))
		}
		return b.String()
	}
	// The rules change events between a copy and the look at what it should be. A copy that has missed a change never
	// gets it later, as its mark has moved on, so looking again hides nothing.
	same := func(when, contains string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			got, want := copied(), held()
			if got == want && strings.Contains(want, contains) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s the copy is not what the server holds, or %q is not in it:\n%s\n%s", when, contains, got, want)
			}
		}
	}
	same("at first", "p0@example.com")
	for link := range 3 {
		post(t, app, fmt.Sprintf(`{"key":%q,"type":"Campaign Clicked","email":"scan@example.com","clicked_on":"2026-01-05T10:00:0%d","campaign_id":7,"url_id":%d}`,
			apptest.WebhookKey, link, link))
	}
	same("after more events", "scan@example.com")
	same("after the rules", "machine click_burst_v1")
	app.MustRun("connection", "set", "--workspace", app.Workspace, "--provider", "campaigner", "--provider-timezone", "America/New_York")
	app.MustRun("redecode", "--workspace", app.Workspace)
	same("after events were taken back", "2026-01-05T15:00:02Z")
}
