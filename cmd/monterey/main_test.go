package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"monterey/internal/apptest"
)

// cli runs commands on one data folder, in this process.
type cli struct {
	t    *testing.T
	dir  string
	env  map[string]string
	now  func() time.Time
	in   string
	out  bytes.Buffer
	errs bytes.Buffer
}

func newCLI(t *testing.T) *cli {
	return &cli{t: t, dir: filepath.Join(t.TempDir(), "data"), env: map[string]string{}, now: time.Now}
}

// onEach runs a test on each kind of database (see apptest.OnEach).
func onEach(t *testing.T, test func(t *testing.T, c *cli)) {
	apptest.OnEach(t, func(t *testing.T, o apptest.Options) {
		c := newCLI(t)
		if o.Database != "" {
			c.env["MONTEREY_DATABASE"] = o.Database
		}
		test(t, c)
	})
}

// run runs a command and returns its exit code; what it printed is in out and errs.
func (c *cli) run(args ...string) int {
	c.t.Helper()
	c.out.Reset()
	c.errs.Reset()
	env := map[string]string{"MONTEREY_DATA_DIR": c.dir}
	for k, v := range c.env {
		env[k] = v
	}
	p := &program{env: env, stdin: strings.NewReader(c.in), stdout: &c.out, stderr: &c.errs, now: c.now}
	return p.run(c.t.Context(), args)
}

// must runs a command with --json that has to succeed, and reads the object that it prints.
func (c *cli) must(args ...string) map[string]any {
	c.t.Helper()
	if code := c.run(append(args, "--json")...); code != exitDone {
		c.t.Fatalf("monterey %s: exit %d: %s", strings.Join(args, " "), code, c.errs.String())
	}
	d := json.NewDecoder(&c.out)
	var object map[string]any
	if err := d.Decode(&object); err != nil || d.More() {
		c.t.Fatalf("monterey %s: standard output is not one JSON object: %v", strings.Join(args, " "), err)
	}
	return object
}

func TestSettingsMistakesAreToldAtOnce(t *testing.T) {
	c := newCLI(t)
	c.env = map[string]string{
		"MONTEREY_ALLOW_PRIVATE_PROVIDERS": "perhaps", "DEV_AUTH_ENABLED": "2", "MONTEREY_LOG_LEVEL": "loud", "MONTEREY_ADDR": "8000",
	}
	code := c.run("serve", "--metrics-addr", "localhost:99999", "--database", "mysql://u:secret@db/x", "--role", "boss", "--log-format", "xml",
		"--secret-key-file", "/no/such/file", "--cors-origin", "example.com/", "--oidc-issuer", "https://login.example.com")
	if code != exitUsage {
		t.Errorf("exit %d, want %d", code, exitUsage)
	}
	for _, want := range []string{"MONTEREY_ALLOW_PRIVATE_PROVIDERS", "DEV_AUTH_ENABLED", "--log-level", "--addr", "--metrics-addr", "--database",
		"--role", "--log-format", "--secret-key-file", "--cors-origin", "--oidc-issuer"} {
		if !strings.Contains(c.errs.String(), want) {
			t.Errorf("nothing is said about %s:\n%s", want, c.errs.String())
		}
	}
	if strings.Contains(c.errs.String(), "secret@") {
		t.Errorf("a password is shown:\n%s", c.errs.String())
	}
	if _, err := os.Stat(c.dir); !os.IsNotExist(err) {
		t.Errorf("the data folder was made before the settings were good")
	}
}

func TestServeRefuses(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		env  map[string]string
		says string
	}{
		{"no URL of PostgreSQL", []string{"--database", "postgres://u:sesame@db:port/x"}, nil, "--database is no URL of PostgreSQL"},
		{"no URL by environment", nil, map[string]string{"MONTEREY_DATABASE": "postgresql://u:sesame@db/x?sslmode=maybe"}, "--database is no URL of PostgreSQL"},
		{"no direct URL", []string{"--database", "postgres://u:sesame@db/x", "--database-direct", "db:sesame"}, nil, "--database-direct is no URL"},
		{"a direct URL beside a file", nil, map[string]string{"MONTEREY_DATABASE_DIRECT": "postgres://u:sesame@db/x"}, "--database-direct needs"},
		{"a file for a worker's address", []string{"--database", "postgres://u:sesame@db/x", "--role", "worker", "--addr-file", "x"}, nil, "--addr-file"},
		{"the role boss", []string{"--database", "postgres://u:sesame@db/x", "--role", "boss"}, nil, "must be all, api or worker"},
		{"the role api", []string{"--role", "api"}, nil, "needs PostgreSQL"},
		{"the role worker", nil, map[string]string{"MONTEREY_ROLE": "worker"}, "needs PostgreSQL"},
		{"dev auth for all", []string{"--dev-auth", "--addr", "0.0.0.0:0"}, nil, "--dev-auth-force"},
		{"dev auth on every interface", []string{"--addr", ":0"}, map[string]string{"DEV_AUTH_ENABLED": "1"}, "--dev-auth-force"},
		{"no folder", []string{"--data-dir", "/dev/null"}, nil, "is not a folder"},
		{"an empty database", []string{"--database", "sqlite:"}, nil, "sqlite:PATH"},
		{"an unknown flag", []string{"--adr", ":0"}, nil, "--adr"},
		{"an argument", []string{"now"}, nil, "now"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCLI(t)
			c.env = row.env
			if code := c.run(append([]string{"serve"}, row.args...)...); code != exitUsage {
				t.Errorf("exit %d, want %d", code, exitUsage)
			}
			if !strings.Contains(c.errs.String(), row.says) {
				t.Errorf("it says %q, nothing about %q", c.errs.String(), row.says)
			}
			if strings.Contains(c.errs.String(), "sesame") {
				t.Errorf("it shows the password: %s", c.errs.String())
			}
			if c.out.Len() > 0 {
				t.Errorf("standard output has %q", c.out.String())
			}
		})
	}
}

func TestServerSettings(t *testing.T) {
	off := ""
	for _, row := range []struct {
		name string
		s    serverSettings
		bad  bool
	}{
		{"the defaults", serverSettings{}, false},
		{"any port", serverSettings{Addr: "127.0.0.1:0", MetricsAddr: &off}, false},
		{"a name and IPv6", serverSettings{Addr: "[::1]:80"}, false},
		{"dev auth on loopback", serverSettings{DevAuth: true}, false},
		{"dev auth on localhost", serverSettings{DevAuth: true, Addr: "localhost:0"}, false},
		{"dev auth on ::1", serverSettings{DevAuth: true, Addr: "[::1]:0"}, false},
		{"dev auth forced", serverSettings{DevAuth: true, DevAuthForce: true, Addr: "0.0.0.0:0"}, false},
		{"dev auth on a host name", serverSettings{DevAuth: true, Addr: "example.com:0"}, true},
		{"an origin", serverSettings{CORSOrigin: []string{"https://a.example:8443"}}, false},
		{"all origins", serverSettings{CORSOrigin: []string{"*"}}, false},
		{"an origin with a path", serverSettings{CORSOrigin: []string{"https://a.example/"}}, true},
		{"a port too high", serverSettings{Addr: "127.0.0.1:65536"}, true},
		{"no port", serverSettings{Addr: "127.0.0.1:"}, true},
		{"an API alone", serverSettings{Role: roleAPI}, true},
	} {
		if row.s.Role == "" {
			row.s.Role = roleAll
		}
		row.s.fill(defaultAddr, defaultMetricsAddr)
		if wrong := row.s.mistakes(false); (len(wrong) > 0) != row.bad {
			t.Errorf("%s: %q, want mistakes = %v", row.name, wrong, row.bad)
		}
	}
	for _, role := range []string{roleAll, roleAPI, roleWorker} {
		s := serverSettings{Role: role}
		s.fill(defaultAddr, defaultMetricsAddr)
		if wrong := s.mistakes(true); len(wrong) > 0 {
			t.Errorf("the role %s on PostgreSQL: %q", role, wrong)
		}
	}
}

func TestFilesOnly(t *testing.T) {
	c := newCLI(t)
	c.env["MONTEREY_DATABASE"] = "postgres://u:sesame@127.0.0.1:1/x"
	for want, args := range map[string][]string{"pg_dump": {"backup", "-"}, "pg_restore": {"restore", "-"}} {
		if code := c.run(args...); code != exitUsage || !strings.Contains(c.errs.String(), want) {
			t.Errorf("%v on PostgreSQL: exit %d: %s", args, code, c.errs.String())
		}
	}
}

func TestPostgresOutOfReach(t *testing.T) {
	c := newCLI(t)
	c.env["MONTEREY_DATABASE"] = "postgres://ann:sesame@127.0.0.1:1/m?sslmode=disable"
	for _, args := range [][]string{{"serve"}, {"workspace", "list"}, {"doctor"}} {
		code := c.run(args...)
		said := c.out.String() + c.errs.String()
		if code != exitFailed || !strings.Contains(said, "postgres://127.0.0.1:1/m") || !strings.Contains(said, "connection refused") || strings.Contains(said, "sesame") {
			t.Errorf("%v: exit %d: %s", args, code, said)
		}
	}
}

func TestDatabaseName(t *testing.T) {
	for url, want := range map[string]string{
		"sqlite:/var/lib/m.db":                          "/var/lib/m.db",
		"postgres://u:sesame@db.example:5432/monterey":  "postgres://db.example:5432/monterey",
		"postgresql://db/m?user=u&password=sesame":      "postgres://db/m",
		"postgres://u:sesame@[::1/m":                    "postgres://…",
		"postgres:///m?host=/run/pg&sslpassword=sesame": "postgres:///m",
	} {
		if got := (&commonSettings{Database: url}).databaseName(); got != want {
			t.Errorf("%s is called %s, want %s", url, got, want)
		}
	}
}

func TestUsage(t *testing.T) {
	c := newCLI(t)
	for _, args := range [][]string{
		{}, {"nonsense"}, {"workspace"}, {"workspace", "create"}, {"key", "revoke", "x"}, {"campaign", "list"}, {"connection", "set", "--workspace", "x"},
	} {
		if code := c.run(args...); code != exitUsage || c.out.Len() > 0 || c.errs.Len() == 0 {
			t.Errorf("monterey %v: exit %d, standard output %q, standard error %q", args, code, c.out.String(), c.errs.String())
		}
	}
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"--version"}, {"openapi"}} {
		if code := c.run(args...); code != exitDone || c.out.Len() == 0 || c.errs.Len() > 0 {
			t.Errorf("monterey %v: exit %d, standard output %q, standard error %q", args, code, c.out.String(), c.errs.String())
		}
	}
}

func TestHelpNamesTheVariables(t *testing.T) {
	c := newCLI(t)
	if c.run("serve", "--help") != exitDone {
		t.Fatal(c.errs.String())
	}
	help := strings.Join(strings.Fields(c.out.String()), " ")
	for _, want := range []string{
		"--addr", "MONTEREY_ADDR", "--addr-file", "--metrics-addr", "MONTEREY_METRICS_ADDR", "--database", "MONTEREY_DATABASE", "--data-dir",
		"MONTEREY_DATA_DIR", "--role", "MONTEREY_ROLE", "--secret-key-file", "MONTEREY_SECRET_KEY_FILE", "--oidc-issuer", "MONTEREY_OIDC_ISSUER",
		"--oidc-audience", "MONTEREY_OIDC_AUDIENCE", "--cors-origin", "MONTEREY_CORS_ORIGIN", "--allow-private-providers",
		"MONTEREY_ALLOW_PRIVATE_PROVIDERS", "--dev-auth", "DEV_AUTH_ENABLED", "--log-format", "MONTEREY_LOG_FORMAT", "--log-level", "MONTEREY_LOG_LEVEL",
	} {
		if !strings.Contains(help, want) {
			t.Errorf("the help does not name %s", want)
		}
	}
}

// TestNoDatabaseThere: a command on a mistyped folder says so, and makes nothing there.
func TestNoDatabaseThere(t *testing.T) {
	c := newCLI(t)
	const some = "0192f0a0-0000-7000-8000-000000000001"
	for _, args := range [][]string{{"recount"}, {"redecode", "--workspace", some}, {"backfill", "--workspace", some}, {"key", "list"},
		{"campaign", "list", "--workspace", some}, {"connection", "set", "--workspace", some, "--provider", "campaigner"}} {
		if code := c.run(args...); code != exitFailed || !strings.Contains(c.errs.String(), "there is no database at "+filepath.Join(c.dir, "monterey.db")) {
			t.Errorf("%v: exit %d: %s", args, code, c.errs.String())
		}
	}
	if _, err := os.Stat(c.dir); !os.IsNotExist(err) {
		t.Errorf("the folder was made: %v", err)
	}
	c.must("workspace", "list")
	c.must("recount")
}
