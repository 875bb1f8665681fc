package apptest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"monterey/internal/apptest"
	"monterey/internal/store/testdb"
)

// TestAFullDiskLosesNothing fills the disk under a server: what cannot be stored is refused with 503 and a time to come
// back, nothing healthy is quarantined, and once there is room everything goes on by itself.
func TestAFullDiskLosesNothing(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		disk := smallDisk(t, "24m")
		app := apptest.Start(t, apptest.Options{Dir: filepath.Join(disk, "data")})
		aFullDiskLosesNothing(t, app, disk, func() {})
	})
	t.Run("postgres", func(t *testing.T) { // which can still write to its log
		disk := smallDisk(t, "96m")
		server := testdb.StartServer(t, testdb.ServerOptions{Dir: folder(t, disk), WALApart: true})
		app := apptest.Start(t, apptest.Options{Database: server.URL})
		aFullDiskLosesNothing(t, app, disk, func() {})
	})
	t.Run("postgres and its log", func(t *testing.T) { // which ends PostgreSQL
		disk := smallDisk(t, "96m")
		server := testdb.StartServer(t, testdb.ServerOptions{Dir: folder(t, disk), Settings: []string{"min_wal_size=2", "max_wal_size=4"}})
		app := apptest.Start(t, apptest.Options{Database: server.URL})
		aFullDiskLosesNothing(t, app, disk, server.Restart)
	})
}

// smallDisk is a folder with a disk of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "monterey-disk-")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "mode=755,size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("a small tmpfs is needed (root, or a user namespace): %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// folder makes one on the disk.
func folder(t *testing.T, disk string) string {
	t.Helper()
	dir := filepath.Join(disk, "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// aFullDiskLosesNothing fills the disk of a server, and makes room again; recover does what then must be done by hand.
func aFullDiskLosesNothing(t *testing.T, app *apptest.App, disk string, recover func()) {
	f := newFeed(app)
	f.start()
	time.Sleep(500 * time.Millisecond)
	ballast := filepath.Join(disk, "ballast")
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
	recover()
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
	fields := strings.Repeat("x", 64<<10)
	for n := range 1000 { // all differ: what is taken is no duplicate
		body := fmt.Appendf(nil, `{"key":%q,"type":"Campaign Opened","email":"full%d@x.test","opened_at":"2026-05-01T00:00:00Z","campaign_id":9,"custom_fields":%q}`,
			apptest.WebhookKey, n, fields)
		got, err := app.Ask(http.MethodPost, "/campaign-events/webhook", body)
		if err != nil {
			t.Fatal(err)
		}
		if got.Status == http.StatusServiceUnavailable {
			return got
		}
	}
	t.Fatal("nothing is refused")
	return apptest.Answer{}
}
