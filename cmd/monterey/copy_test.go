package main

import (
	"strings"
	"testing"
)

func TestCopyUsage(t *testing.T) {
	const pg = "postgres://u:secret@127.0.0.1:1/x"
	for _, c := range []struct {
		from, to, says string
		code           int
	}{
		{pg, "sqlite:there.db", "PostgreSQL cannot be copied to SQLite", exitUsage},
		{pg, pg, "use pg_dump and pg_restore", exitUsage},
		{"monterey.db", pg, "--from must be sqlite:PATH", exitUsage},
		{"sqlite:", pg, "--from must be sqlite:PATH", exitUsage},
		{"sqlite:a.db", "sqlite:b.db", "--to must be a postgres:// URL", exitUsage},
		{"sqlite:a.db", "postgres://u:secret@127.0.0.1:none/x", "--to is no URL of PostgreSQL", exitUsage},
		{"sqlite:a.db", "", "--to must be a postgres:// URL", exitUsage},
		{"sqlite:" + t.TempDir() + "/none.db", pg, "open the source", exitFailed},
	} {
		args := []string{"copy", "--from", c.from}
		if c.to != "" {
			args = append(args, "--to", c.to)
		}
		var out, errs strings.Builder
		p := &program{env: map[string]string{"MONTEREY_DATA_DIR": t.TempDir()}, stdout: &out, stderr: &errs}
		code := p.run(t.Context(), args)
		if code != c.code || !strings.Contains(errs.String(), c.says) || strings.Contains(errs.String(), "secret@") || out.Len() > 0 {
			t.Errorf("%v: exit %d, %q, %q; want %d, %q", args, code, out.String(), errs.String(), c.code, c.says)
		}
	}
}
