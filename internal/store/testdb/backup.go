package testdb

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Dump writes what is in a database to a file, with pg_dump.
func Dump(t testing.TB, url, file string) {
	t.Helper()
	tool(t, "pg_dump", "--format=custom", "--file="+file, "--dbname="+url)
}

// Restore fills an empty database with a dump, with pg_restore.
func Restore(t testing.TB, url, file string) {
	t.Helper()
	tool(t, "pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", "--dbname="+url, file)
}

func tool(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(filepath.Join(binaries(t), name), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// Backup copies the files of a server that archives its log, with pg_basebackup.
func (s *Server) Backup() (dir string) {
	s.t.Helper()
	dir = filepath.Join(s.ownFolder(""), "data")
	if out, err := s.command("pg_basebackup", "--pgdata="+dir, "--checkpoint=fast", "--wal-method=none", "--no-sync", "--dbname="+s.URL); err != nil {
		s.t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	return dir
}

// Recover starts another server from a backup and the archived log, up to a point that pg_create_restore_point has named.
func (s *Server) Recover(backup, point string) *Server {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(backup, "recovery.signal"), nil, 0o644); err != nil { // which asks for it
		s.t.Fatal(err)
	}
	r := StartServer(s.t, ServerOptions{data: backup, Settings: []string{fmt.Sprintf("restore_command='cp %s/%%f %%p'", s.archive),
		"recovery_target_name=" + point, "recovery_target_action=promote"}})
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) { // until then it can be read only
		recovering := true
		conn, err := pgx.Connect(s.t.Context(), r.URL)
		if err == nil {
			err = errors.Join(conn.QueryRow(s.t.Context(), "SELECT pg_is_in_recovery()").Scan(&recovering), conn.Close(s.t.Context()))
		}
		if err == nil && !recovering {
			return r
		}
		if time.Now().After(end) {
			s.t.Fatalf("the server does not reach %s: %v\n%s", point, err, r.Log())
		}
	}
}
