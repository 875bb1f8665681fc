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
	"monterey/internal/ingest"
)

const docs = "../../docs"

// guideApp is a server with a few events, and the environment that the guide's lines expect.
func guideApp(t *testing.T) (*apptest.App, []string) {
	app := apptest.Start(t, apptest.Options{})
	for i := range 30 {
		body := fmt.Sprintf(`{"key":%q,"type":"Campaign Opened","email":"p%d@example.com","opened_at":"2026-01-%02dT10:00:00","campaign_id":7}
{"key":%[1]q,"type":"Campaign Clicked","email":"p%[2]d@example.com","clicked_on":"2026-01-%02[3]dT10:00:30","campaign_id":7,"url_id":1,"click_url":"https://example.com"}`,
			apptest.WebhookKey, i, i+1)
		if status, _, err := app.Post([]byte(body)); err != nil || status != http.StatusAccepted {
			t.Fatal(status, err)
		}
	}
	unsubscribe := fmt.Sprintf(`{"key":%q,"type":"List-Unsubscribe","email":"p3@example.com","timestamp":"2026-01-20T10:00:00Z","campaign_id":7}`, apptest.WebhookKey)
	if status, _, err := app.Post([]byte(unsubscribe)); err != nil || status != http.StatusAccepted {
		t.Fatal(status, err)
	}
	app.WaitCounted(20 * time.Second)
	var list struct {
		Items []struct {
			CampaignID string `json:"campaign_id"`
		} `json:"items"`
	}
	app.Get(&list, "/campaign-statistics/")
	return app, append(os.Environ(), "URL="+app.URL, "TOKEN="+app.Token, "WORKSPACE="+app.Workspace, "CAMPAIGN="+list.Items[0].CampaignID,
		"WEBHOOK_KEY="+apptest.WebhookKey)
}

// TestCurlLines runs every curl line of the guide as it stands.
func TestCurlLines(t *testing.T) {
	_, env := guideApp(t)
	guide, err := os.ReadFile(filepath.Join(docs, "integrations.md"))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for line := range strings.Lines(string(guide)) {
		if !strings.HasPrefix(line, "curl ") {
			continue
		}
		ran++
		cmd := exec.Command("sh", "-c", strings.Replace(strings.TrimSpace(line), "curl ", "curl --fail-with-body ", 1))
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil || len(out) == 0 {
			t.Errorf("%s: %v: %s", line, err, out)
		}
	}
	if ran < 10 {
		t.Errorf("only %d lines were found", ran)
	}
}

func python(t *testing.T, env []string, input string, args ...string) string {
	t.Helper()
	cmd := exec.Command("python3", args...)
	var errs bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stderr = env, strings.NewReader(input), &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3 %v: %v: %s", args, err, errs.String())
	}
	return string(out)
}

func TestSuppressionScript(t *testing.T) {
	_, env := guideApp(t)
	got := python(t, env, "name,email\nAnn,p1@example.com\nBob, P3@Example.com \nCy,new@example.com\n", filepath.Join(docs, "examples", "suppress.py"))
	if want := "name,email\r\nAnn,p1@example.com\r\nCy,new@example.com\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestFollowScript keeps a copy exact while events come, are judged and are taken back.
func TestFollowScript(t *testing.T) {
	app, env := guideApp(t)
	copied := filepath.Join(t.TempDir(), "copy.db")
	follow := func() { python(t, env, "", filepath.Join(docs, "examples", "follow.py"), copied) }
	same := func(when string) {
		t.Helper()
		follow()
		rows := python(t, env, "", "-c", "import sqlite3,sys\nfor r in sqlite3.connect(sys.argv[1]).execute('SELECT id||occurred_at||actor FROM events ORDER BY id'): print(r[0])", copied)
		var want strings.Builder
		for page := 1; ; page++ {
			var list struct {
				Items []struct {
					ID         string `json:"id"`
					OccurredAt string `json:"occurred_at"`
					Actor      string `json:"actor"`
				} `json:"items"`
			}
			app.Get(&list, "/campaign-events/", "sort", "occurred_at", "page", fmt.Sprint(page))
			for _, e := range list.Items {
				fmt.Fprintln(&want, e.ID+e.OccurredAt+e.Actor)
			}
			if len(list.Items) < 50 {
				break
			}
		}
		if rows != want.String() {
			t.Errorf("%s the copy is not what the server holds:\n%s\n%s", when, rows, want.String())
		}
	}
	same("at first")
	for link := range 3 { // a burst: taken for a machine later
		body := fmt.Sprintf(`{"key":%q,"type":"Campaign Clicked","email":"scan@example.com","clicked_on":"2026-01-05T10:00:0%d","campaign_id":7,"url_id":%d}`, apptest.WebhookKey, link, link)
		if status, _, err := app.Post([]byte(body)); err != nil || status != http.StatusAccepted {
			t.Fatal(status, err)
		}
	}
	app.WaitCounted(20 * time.Second)
	same("after more events")
	time.Sleep(2 * ingest.Tick) // the rules have looked at them
	same("after the rules")
	app.MustRun("connection", "set", "--workspace", app.Workspace, "--provider", "campaigner", "--provider-timezone", "America/New_York")
	time.Sleep(2 * time.Second) // connections are remembered for a second
	app.MustRun("redecode", "--workspace", app.Workspace)
	same("after events were taken back")
}
