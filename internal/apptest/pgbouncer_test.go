package apptest_test

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"monterey/internal/apptest"
)

// TestPgBouncer runs an API and two workers behind a PgBouncer that gives each transaction whatever connection is free, while
// webhooks come in and a backfill runs. Migrations, listening and tasks go past it.
func TestPgBouncer(t *testing.T) { apptest.OnPostgres(t, testPgBouncer) }

func testPgBouncer(t *testing.T, o apptest.Options) {
	direct := o.Database
	o.Database = bouncer(t, direct)
	o.Env = []string{"MONTEREY_DATABASE_DIRECT=" + direct}
	e := newEDAPI(t, 1000)
	app := backfilled(t, o, e, true)
	other := app.Beside("worker", apptest.Options{})
	f := newFeed(app)
	id := ask(t, app, 202, http.MethodPost, "/historical-bounces/backfill", "")["task_id"].(string)
	stop := reads(app, 4)
	f.start()
	time.Sleep(2 * time.Second)
	other.Kill()
	time.Sleep(time.Second)
	f.end()
	stop().check(t, "200")
	app.WaitCounted(20 * time.Second)
	f.checkOnce(t)
	if k := waitTask(t, app, id, hasEnded); k.Status != "succeeded" {
		t.Errorf("the backfill: %+v", k)
	}
	checkHistory(t, app, e)
	if got := app.MustRun("recount", "--workspace", app.Workspace)["drifted"]; fmt.Sprint(got) != "0" {
		t.Errorf("a recount finds %v rows that are not their events'", got)
	}
	app.Stop()
}

// bouncer starts a PgBouncer before the database, with four connections to it, and returns the URL through it. Where none is
// installed the test is skipped, and with CI=true fails.
func bouncer(t *testing.T, database string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/pgbouncer") // Debian's, which is not on everybody's path
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no PgBouncer is installed; scripts/setup installs it")
		}
		t.Skip("no PgBouncer is installed (Debian: apt-get install pgbouncer)")
	}
	to, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close() // for PgBouncer to take
	password, _ := to.User.Password()
	settings := fmt.Sprintf(`[databases]
%s = host=%s port=%s user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
`, to.Path[1:], to.Hostname(), to.Port(), to.User.Username(), password, port)
	file := filepath.Join(t.TempDir(), "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, file)
	if os.Getuid() == 0 { // which it refuses to run as
		cmd.Args = append(cmd.Args, "-u", "nobody")
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "pgbouncer.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("PgBouncer says:\n%s", said)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		_ = log.Close()
	})
	for range 100 {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = c.Close()
			to.Host = "127.0.0.1:" + port
			return to.String()
		}
		time.Sleep(50 * time.Millisecond)
	}
	said, _ := os.ReadFile(log.Name())
	t.Fatalf("PgBouncer does not answer:\n%s", said)
	return ""
}
