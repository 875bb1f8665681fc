package apptest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"monterey/internal/apptest"
)

// TestAFullDiskLosesNothing fills the disk under a server: what cannot be stored is refused with 503 and a time to come
// back, nothing healthy is quarantined, and once there is room everything goes on by itself.
func TestAFullDiskLosesNothing(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("a small tmpfs is needed (root, or a user namespace): %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	app := apptest.Start(t, apptest.Options{Dir: filepath.Join(dir, "data")})
	f := newFeed(app)
	f.start()
	time.Sleep(500 * time.Millisecond)
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	refused := waitRefused(t, app)
	if refused.Header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %v", refused.Header)
	}
	var problem struct {
		Status int    `json:"status"`
		Code   string `json:"code"`
	}
	if err := json.Unmarshal(refused.Body, &problem); err != nil || problem.Status != http.StatusServiceUnavailable {
		t.Errorf("%s: %v", refused.Body, err)
	}
	app.WaitReady(10*time.Second, false)
	f.end()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	app.WaitReady(20*time.Second, true)
	f.start()
	time.Sleep(300 * time.Millisecond)
	f.end()
	f.check(t)
	var held struct {
		Total int `json:"total"`
	}
	app.Get(&held, "/webhook-deliveries/", "state", "quarantined,partial")
	if held.Total != 0 {
		t.Errorf("%d deliveries are quarantined", held.Total)
	}
}

// fill writes until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}

func waitRefused(t *testing.T, app *apptest.App) apptest.Answer {
	t.Helper()
	body := []byte(`{"key":"` + apptest.WebhookKey + `","type":"Campaign Opened","email":"full@x.test","opened_at":"2026-05-01T00:00:00Z","campaign_id":9,"custom_fields":"` +
		strings.Repeat("x", 64<<10) + `"}`)
	for range 1000 {
		got, err := app.Ask(http.MethodPost, "/campaign-events/webhook", body)
		if err != nil {
			t.Fatal(err)
		}
		if got.Status == http.StatusServiceUnavailable {
			return got
		}
	}
	t.Fatal("the disk is full and nothing is refused")
	return apptest.Answer{}
}
