package testdb

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Server is a PostgreSQL of one test, which may be restarted, run out of disk, or have settings of its own.
type Server struct {
	Addr string // host and port
	URL  string // of a database whose user may do everything

	t    testing.TB
	bin  string
	as   []string // runs a command as who may run PostgreSQL
	dir  string   // where its commands are at home
	log  string
	args []string // of pg_ctl start

	archive string
}

// ServerOptions of a Server; the zero options are good.
type ServerOptions struct {
	Dir      string   // an empty folder for its data, which it will own; "" = one of its own
	WALApart bool     // the log that it writes ahead is not with the data, but in a folder that only the server knows
	Settings []string // more settings, name=value
	Archives bool     // what it writes ahead is archived: see Backup

	data string // of a backup, in place of a new database
}

// StartServer starts a PostgreSQL that ends with the test. Where none is installed the test is skipped, and with CI=true fails.
// A test makes its server before the Apps that use it, so that they end first.
func StartServer(t testing.TB, o ServerOptions) *Server {
	t.Helper()
	s := &Server{t: t, bin: binaries(t)}
	if os.Getuid() == 0 { // which PostgreSQL refuses to run as
		name := "nobody"
		if _, err := user.Lookup("postgres"); err == nil {
			name = "postgres"
		}
		s.as = []string{"runuser", "-u", name, "--"}
	}
	s.dir = s.ownFolder("") // t.TempDir's are closed to others
	s.log = filepath.Join(s.dir, "server.log")
	data := filepath.Join(s.dir, "data")
	if o.Dir != "" {
		data = s.ownFolder(o.Dir)
	}
	const password = "monterey-test"
	if err := os.WriteFile(filepath.Join(s.dir, "password"), []byte(password), 0o644); err != nil {
		t.Fatal(err)
	}
	// Small segments, so that the log needs little room.
	initdb := []string{"-D", data, "-U", "monterey", "--pwfile", filepath.Join(s.dir, "password"), "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync",
		"--wal-segsize=1"}
	if o.WALApart {
		initdb = append(initdb, "--waldir", filepath.Join(s.dir, "wal"))
	}
	if o.data != "" {
		data = o.data
	} else if out, err := s.command("initdb", initdb...); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	if o.Archives {
		s.archive = s.ownFolder("")
		o.Settings = append(o.Settings, "archive_mode=on", fmt.Sprintf("archive_command='cp %%p %s/%%f'", s.archive))
	}
	t.Cleanup(s.end)
	for try := 1; ; try++ { // a port may be taken
		port := strconv.Itoa(20_000 + rand.IntN(12_000)) // below those that systems give to clients
		s.Addr = "127.0.0.1:" + port
		s.URL = fmt.Sprintf("postgres://monterey:%s@%s/postgres?sslmode=disable", password, s.Addr)
		settings := slices.Concat([]string{"port=" + port, "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"}, o.Settings)
		s.args = []string{"start", "-D", data, "-w", "-l", s.log, "-o", "-c " + strings.Join(settings, " -c ")}
		out, err := s.command("pg_ctl", s.args...)
		if err == nil {
			return s
		}
		if try == 10 {
			t.Fatalf("PostgreSQL did not start: %v\n%s\n%s", err, out, s.Log())
		}
	}
}

// binaries is the folder of PostgreSQL's programs: as scripts/with-postgres finds it.
func binaries(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("MONTEREY_TEST_POSTGRES_BIN"); dir != "" {
		return dir
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well formed
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("no PostgreSQL is installed")
	}
	if err != nil {
		t.Skip("no PostgreSQL is installed (Debian: apt-get install postgresql)")
	}
	return filepath.Dir(initdb)
}

func version(initdb string) int {
	n, _ := strconv.Atoi(strings.Split(initdb, "/")[4]) // old ones, as 9.6, come first
	return n
}

// ownFolder gives an empty folder to who runs the server; "" makes one.
func (s *Server) ownFolder(dir string) string {
	s.t.Helper()
	if dir == "" {
		made, err := os.MkdirTemp("", "monterey-postgres-")
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() {
			if err := os.RemoveAll(made); err != nil {
				s.t.Error(err)
			}
		})
		dir = made
	}
	if len(s.as) > 0 {
		u, err := user.Lookup(s.as[2])
		if err != nil {
			s.t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid) // numbers, where there is a runuser
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			s.t.Fatal(err)
		}
	}
	return dir
}

func (s *Server) command(name string, args ...string) ([]byte, error) {
	line := slices.Concat(s.as, []string{filepath.Join(s.bin, name)}, args)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = s.dir
	return cmd.CombinedOutput()
}

// Restart ends the server without letting it finish anything, as a crash does, and starts it again: it recovers.
func (s *Server) Restart() {
	s.t.Helper()
	if out, err := s.command("pg_ctl", slices.Concat([]string{"restart", "-m", "immediate"}, s.args[1:])...); err != nil {
		s.t.Fatalf("pg_ctl restart: %v\n%s\n%s", err, out, s.Log())
	}
}

// Crash ends the server, which finishes nothing. It may have ended already.
func (s *Server) Crash() {
	s.t.Helper()
	if out, err := s.command("pg_ctl", "stop", "-D", s.args[2], "-m", "immediate", "-w"); err != nil && s.running() {
		s.t.Fatalf("pg_ctl stop: %v\n%s\n%s", err, out, s.Log())
	}
}

// Start starts a server that has ended, and returns when it has recovered.
func (s *Server) Start() {
	s.t.Helper()
	if out, err := s.command("pg_ctl", s.args...); err != nil {
		s.t.Fatalf("pg_ctl start: %v\n%s\n%s", err, out, s.Log())
	}
}

func (s *Server) running() bool {
	_, err := s.command("pg_ctl", "status", "-D", s.args[2])
	return err == nil
}

func (s *Server) end() {
	if s.args != nil {
		s.Crash()
	}
	if s.t.Failed() {
		s.t.Logf("PostgreSQL's log ends with:\n%s", s.Log())
	}
}

// Log is the end of what the server wrote to its log.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-50):], nil))
}
