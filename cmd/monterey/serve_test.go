package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"monterey/internal/apptest"
)

const patience = 30 * time.Second // on a machine that is busy with other tests

// open is an open of a recipient at a second.
func open(recipient, second int) string {
	return fmt.Sprintf(`{"id":1,"key":%q,"type":"Campaign Opened","timestamp":"2026-02-03T10:00:00Z","email":"r%d@example.com",`+
		`"opened_at":"2026-02-03T10:00:%02dZ","campaign_id":77,"ip":"192.0.2.1"}`, apptest.WebhookKey, recipient, second)
}

// mustPost posts a body that has to be accepted.
func mustPost(t *testing.T, a *apptest.App, body string) {
	t.Helper()
	status, _, err := a.Post([]byte(body))
	if err != nil || status != http.StatusAccepted {
		t.Fatalf("the webhook answered %d, %v", status, err)
	}
}

// total is how many events the API lists.
func total(t *testing.T, a *apptest.App) int64 {
	t.Helper()
	a.WaitCounted(patience)
	var list struct {
		Total int64 `json:"total"`
	}
	a.Get(&list, "/campaign-events/")
	return list.Total
}

func TestServe(t *testing.T) { apptest.OnEach(t, testServe) }

func testServe(t *testing.T, o apptest.Options) {
	file := filepath.Join(t.TempDir(), "addr")
	o.Args = []string{"--addr-file", file}
	a := apptest.Start(t, o)
	if text, err := os.ReadFile(file); err != nil || "http://"+string(text) != a.URL {
		t.Errorf("--addr-file has %q, the server listens on %s: %v", text, a.URL, err)
	}
	a.WaitReady(patience, true)
	mustPost(t, a, open(1, 1)+"\n"+open(2, 2)+"\n"+open(1, 1)+"\n"+`{"key":"`+apptest.WebhookKey+`","type":"List Subscribe","email":"x@example.com"}`)
	mustPost(t, a, open(2, 2)+"\n"+`{"key":"`+apptest.WebhookKey+`","type":"Campaign Opened","email":"x@example.com","campaign_id":77,"opened_at":"yesterday"}`)
	if n := total(t, a); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	var stats struct {
		Items []struct {
			Opens       int64 `json:"opens"`
			UniqueOpens int64 `json:"unique_opens"`
		} `json:"items"`
	}
	a.Get(&stats, "/campaign-statistics/")
	if len(stats.Items) != 1 || stats.Items[0].Opens != 2 || stats.Items[0].UniqueOpens != 2 {
		t.Errorf("statistics: %+v", stats)
	}
	checkMetrics(t, a.MetricsURL)

	if o.Database == "" {
		_, stderr, code := a.Run("", "serve", "--addr", "127.0.0.1:0", "--metrics-addr", "")
		if code != exitFailed || !strings.Contains(stderr, "another server is running") {
			t.Errorf("a second server on the folder: exit %d: %s", code, stderr)
		}
	}
	a.MustRun("workspace", "list") // beside the server
	a.Stop()
	a.Serve()
	if n := total(t, a); n != 2 {
		t.Errorf("%d events after a restart, want 2", n)
	}
}

// checkMetrics reads the counters of the intake: what was received has become one thing or another.
func checkMetrics(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	value := func(pattern string) float64 {
		m := regexp.MustCompile(`(?m)^` + pattern + ` (\S+)$`).FindSubmatch(text)
		if m == nil {
			t.Fatalf("/metrics has no %s:\n%s", pattern, text)
		}
		v, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	got := map[string]float64{}
	sum := 0.0
	for _, outcome := range []string{"inserted", "duplicate", "ignored", "quarantined"} {
		got[outcome] = value(`monterey_ingest_objects_total\{outcome="` + outcome + `"\}`)
		sum += got[outcome]
	}
	if received := value("monterey_ingest_received_total"); received != 6 || sum != received {
		t.Errorf("received %v, outcomes %v", received, got)
	}
	if got["inserted"] != 2 || got["duplicate"] != 2 || got["ignored"] != 1 || got["quarantined"] != 1 {
		t.Errorf("outcomes %v", got)
	}
	value(`monterey_http_request_seconds_count\{.*\}`)
}

func TestDevAuth(t *testing.T) {
	a := apptest.Start(t, apptest.Options{Env: []string{"DEV_AUTH_ENABLED=1"}})
	got, err := a.Ask(http.MethodGet, "/auth/me", nil, "Authorization", "")
	if err != nil || got.Status != http.StatusOK {
		t.Errorf("dev auth answered %d %s, %v", got.Status, got.Body, err)
	}
	a = apptest.Start(t, apptest.Options{})
	got, err = a.Ask(http.MethodGet, "/auth/me", nil, "Authorization", "")
	if err != nil || got.Status != http.StatusUnauthorized {
		t.Errorf("without dev auth: %d, %v", got.Status, err)
	}
}

func TestBackupAndRestore(t *testing.T) {
	a := apptest.Start(t, apptest.Options{})
	mustPost(t, a, open(1, 1))
	if n := total(t, a); n != 1 {
		t.Fatalf("%d events, want 1", n)
	}
	mustPost(t, a, open(2, 2)) // may still be in the inbox when the backup is taken
	file := filepath.Join(t.TempDir(), "backup.tar")
	a.MustRun("backup", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup: %v, %v", info, err)
	}
	mustPost(t, a, open(3, 3)) // is not in the backup
	if n := total(t, a); n != 3 {
		t.Fatalf("%d events, want 3", n)
	}
	if _, stderr, code := a.Run("", "restore", file, "--force"); code != exitFailed || !strings.Contains(stderr, "another server is running") {
		t.Errorf("restore beside a server: exit %d: %s", code, stderr)
	}
	a.Stop()
	if _, stderr, code := a.Run("", "restore", file); code != exitFailed || !strings.Contains(stderr, "--force") {
		t.Errorf("restore over data: exit %d: %s", code, stderr)
	}
	kept := text(a.MustRun("restore", file, "--force"), "kept")
	a.Serve()
	if n := total(t, a); n != 2 {
		t.Errorf("%d events after the restore, want 2", n)
	}
	mustPost(t, a, open(2, 2)+"\n"+open(4, 4))
	if n := total(t, a); n != 3 {
		t.Errorf("%d events after more was posted, want 3", n)
	}
	a.Stop()

	old := apptest.New(t, apptest.Options{Dir: kept})
	old.Workspace, old.Token = a.Workspace, a.Token
	old.Serve()
	if n := total(t, old); n != 3 {
		t.Errorf("the data that was kept has %d events, want 3", n)
	}

	fresh := apptest.New(t, apptest.Options{})
	fresh.Workspace, fresh.Token = a.Workspace, a.Token
	archive, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fresh.MustRunInput(string(archive), "restore", "-")
	fresh.Serve()
	if n := total(t, fresh); n != 2 {
		t.Errorf("a new folder has %d events, want 2", n)
	}
}

func TestRestoreRefuses(t *testing.T) {
	a := apptest.New(t, apptest.Options{})
	a.MustRun("workspace", "create", "Acme")
	file := filepath.Join(t.TempDir(), "backup.tar")
	a.MustRun("backup", file)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte(nil), good...)
	for i := range 4096 { // the main database follows the manifest
		damaged[4096+8192+i] ^= 0x5a
	}
	for name, bad := range map[string]string{"nothing": "", "text": "hello", "half": string(good[:len(good)/2]), "damaged": string(damaged)} {
		t.Run(name, func(t *testing.T) {
			_, stderr, code := a.Run(bad, "restore", "-", "--force")
			if code != exitFailed || !strings.Contains(stderr, "nothing was changed") {
				t.Errorf("exit %d: %s", code, stderr)
			}
			if n := len(items(t, a.MustRun("workspace", "list"))); n != 1 {
				t.Errorf("%d workspaces afterwards", n)
			}
		})
	}
	left, err := filepath.Glob(filepath.Join(a.Dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRecountAndRedecode(t *testing.T) { apptest.OnEach(t, testRecountAndRedecode) }

func testRecountAndRedecode(t *testing.T, o apptest.Options) {
	a := apptest.Start(t, o)
	mustPost(t, a, open(1, 1)+"\n"+open(2, 2))
	if n := total(t, a); n != 2 {
		t.Fatalf("%d events, want 2", n)
	}
	if d := a.MustRun("recount"); d["drifted"] != 0.0 {
		t.Errorf("recount: %v", d)
	}
	if d := a.MustRun("redecode", "--workspace", a.Workspace); d["redecoded"] != 1.0 || d["kept"] != 0.0 {
		t.Errorf("redecode: %v", d)
	}
	if d := a.MustRun("redecode", "--workspace", a.Workspace, "--since", "2999-01-01"); d["redecoded"] != 0.0 {
		t.Errorf("redecode of nothing: %v", d)
	}
	if n := total(t, a); n != 2 {
		t.Errorf("%d events after redecoding, want 2", n)
	}
}

func TestDoctor(t *testing.T) { apptest.OnEach(t, testDoctor) }

func testDoctor(t *testing.T, o apptest.Options) {
	a := apptest.Start(t, o)
	mustPost(t, a, open(1, 1)+"\n"+`{"key":"`+apptest.WebhookKey+`","type":"Campaign Opened","email":"x@example.com","opened_at":"yesterday"}`)
	a.WaitCounted(patience)
	if r := a.MustRun("doctor"); r["ok"] != true {
		t.Errorf("a healthy server: %v", r)
	}
	states := doctor(t, a)
	if states["quarantine"] != warning || o.Database == "" && states["integrity"] != fine || states["migrations"] != fine || states["inbox"] != fine {
		t.Errorf("findings: %v", states)
	}
	a.Stop()
	if err := os.Chmod(a.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(a.Dir, "secret.key")
	if err := os.WriteFile(secret, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	states = doctor(t, a)
	if states["data folder"] != warning || states["secret key"] != broken {
		t.Errorf("findings: %v", states)
	}
}

// doctor is what doctor found, by check.
func doctor(t *testing.T, a *apptest.App) map[string]string {
	t.Helper()
	out, stderr, _ := a.Run("", "doctor", "--json")
	var report struct{ Findings findings }
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v: %s%s", err, out, stderr)
	}
	states := map[string]string{}
	for _, f := range report.Findings {
		states[f.Check] = f.State
		if f.State != fine && f.Advice == "" {
			t.Errorf("no advice for %+v", f)
		}
	}
	return states
}

func TestDoctorSeesWhatWaits(t *testing.T) { apptest.OnEach(t, testDoctorSeesWhatWaits) }

func testDoctorSeesWhatWaits(t *testing.T, o apptest.Options) {
	a := apptest.Start(t, o)
	mustPost(t, a, open(1, 1))
	a.Kill() // before the second is over after which a lonely delivery is counted
	if r := a.MustRun("doctor"); r["ok"] != true {
		t.Errorf("a server that was killed: %v", r)
	}
	if states := doctor(t, a); states["inbox"] != warning {
		t.Errorf("findings: %v", states)
	}
	a.Serve()
	if n := total(t, a); n != 1 {
		t.Errorf("%d events after the restart, want 1", n)
	}
	if states := doctor(t, a); states["inbox"] != fine {
		t.Errorf("findings once it is counted: %v", states)
	}
}

// TestDemo runs the demo in this process, sends what its curl lines say, and interrupts it.
func TestDemo(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, in := io.Pipe()
	var log bytes.Buffer
	p := &program{env: map[string]string{}, stdin: strings.NewReader(""), stdout: in, stderr: &log, now: time.Now}
	ended := make(chan int, 1)
	go func() {
		ended <- p.run(ctx, []string{"demo", "--json", "--addr", "127.0.0.1:0", "--metrics-addr", "", "--campaigns", "3", "--recipients", "200"})
		_ = in.Close() // a pipe's Close does not fail
	}()
	var said struct {
		URL, Token string
		Workspace  string `json:"workspace_id"`
		Curl       []string
	}
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		t.Fatalf("%v; exit %d\n%s", err, <-ended, log.String())
	}
	if len(said.Curl) != 3 {
		t.Errorf("%d curl lines, want 3", len(said.Curl))
	}
	for _, line := range said.Curl {
		m := regexp.MustCompile(`^curl -s -H 'Authorization: (.*?)' -H 'workspace_id: (.*?)' '(.*?)'$`).FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("not to be pasted as it stands: %s", line)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, m[3], nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Authorization"], req.Header["workspace_id"] = []string{m[1]}, []string{m[2]}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close() // it was read to its end
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d, %v: %s", line, resp.StatusCode, err, body)
		}
	}
	interrupt()
	if code := <-ended; code != exitDone {
		t.Errorf("exit %d after the interruption: %s", code, log.String())
	}
	if _, err := os.Stat(p.common.DataDir); !os.IsNotExist(err) {
		t.Errorf("the demo's folder is still there: %v", err)
	}
}

func TestDemoOnce(t *testing.T) {
	a := apptest.New(t, apptest.Options{})
	out, stderr, code := a.Run("", "demo", "--once", "--campaigns", "4", "--recipients", "300", "--days", "20")
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	var summary struct {
		EventsSent int64   `json:"events_sent"`
		Seconds    float64 `json:"seconds"`
		Bounces    int64   `json:"historical_bounces"`
		Statistics struct {
			Opens     int64   `json:"opens"`
			HumanAsOf *string `json:"human_as_of"`
		} `json:"statistics"`
		Campaigns struct {
			Total int64 `json:"total"`
			Items []struct {
				Opens int64 `json:"opens"`
			} `json:"items"`
		} `json:"campaigns"`
	}
	if err := json.Unmarshal([]byte(out), &summary); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sum := int64(0)
	for _, c := range summary.Campaigns.Items {
		sum += c.Opens
	}
	if summary.EventsSent < 100 || summary.Seconds <= 0 || summary.Bounces < 6000 || summary.Statistics.Opens == 0 || summary.Statistics.Opens != sum || summary.Campaigns.Total != 4 || summary.Statistics.HumanAsOf == nil {
		t.Errorf("the summary: %s", out)
	}
	if _, err := os.Stat(a.Dir); !os.IsNotExist(err) {
		t.Errorf("the demo touched the data folder: %v", err)
	}
}
