package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

type doctorCommand struct{}

// The states of a finding.
const (
	fine    = "ok"
	warning = "warning" // works, but should be looked at
	broken  = "failed"
)

// finding is what one check found, and what to do about it.
type finding struct {
	Check  string `json:"check"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"`
}

type findings []finding

func (f *findings) add(check, state, advice, format string, args ...any) {
	if state == fine {
		advice = ""
	}
	*f = append(*f, finding{Check: check, State: state, Detail: fmt.Sprintf(format, args...), Advice: advice})
}

// Run looks at everything and changes nothing. Its exit code is 1 when something has failed.
func (c *doctorCommand) Run(ctx context.Context, p *program) error {
	all := &findings{}
	p.examineSettings(all)
	p.examineFolder(all)
	p.examineDatabase(ctx, all)

	failed := 0
	var text strings.Builder
	for _, f := range *all {
		if f.State == broken {
			failed++
		}
		fmt.Fprintf(&text, "%-8s %s: %s\n", f.State, f.Check, f.Detail)
		if f.Advice != "" {
			fmt.Fprintf(&text, "%-8s → %s\n", "", f.Advice)
		}
	}
	err := p.result(struct {
		OK       bool     `json:"ok"`
		Findings findings `json:"findings"`
	}{failed == 0, *all}, text.String())
	if failed > 0 {
		return errors.Join(err, fmt.Errorf("%d of %d checks failed", failed, len(*all)))
	}
	return err
}

func (p *program) examineSettings(all *findings) {
	if err := p.check(); err != nil {
		all.add("settings", broken, "correct the settings; monterey serve --help names them all", "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	known := settingNames()
	for name := range p.env {
		if strings.HasPrefix(name, "MONTEREY_") && !known[name] {
			all.add("settings", warning, "is it misspelt? monterey serve --help names them all", "%s is no setting and has no effect", name)
		}
	}
	all.add("settings", fine, "", "database %s", p.common.databaseName())
}

// examineFolder looks at what can be seen without the database. On PostgreSQL the folder holds nothing but the secret key.
func (p *program) examineFolder(all *findings) {
	dir := p.common.DataDir
	if p.common.onPostgres() && p.common.SecretKeyFile != "" {
		return
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		all.add("data folder", warning, "monterey serve makes it; if it was there, look for it with --data-dir", "%s does not exist", dir)
		return
	case err != nil:
		all.add("data folder", broken, "let the user who runs monterey read it", "%v", err)
		return
	case info.Mode().Perm()&0o077 != 0:
		all.add("data folder", warning, "chmod 700 "+dir, "%s can be read by others (mode %04o)", dir, info.Mode().Perm())
	default:
		all.add("data folder", fine, "", "%s", dir)
	}
	if p.common.onPostgres() {
		return
	}
	p.examineWriting(all, dir)
	_, err = os.Stat(p.common.databasePath())
	p.examineSecret(all, errors.Is(err, fs.ErrNotExist))
}

func (p *program) examineWriting(all *findings, dir string) {
	const accessWrite = 2 // W_OK of access(2)
	if err := syscall.Access(dir, accessWrite); err != nil {
		all.add("writing", broken, "let the user who runs monterey write to it", "%s cannot be written to: %v", dir, err)
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(p.common.databasePath()), &disk); err != nil {
		all.add("disk", broken, "look at the disk of the data folder", "%v", err)
		return
	}
	free, whole := disk.Bavail*uint64(disk.Bsize), disk.Blocks*uint64(disk.Bsize)
	state := fine
	switch {
	case free < 256<<20:
		state = broken
	case free < 2<<30 || free < whole/20:
		state = warning
	}
	all.add("disk", state, "make room: with a full disk webhooks are refused (503) until there is some", "%d MiB free of %d MiB", free>>20, whole>>20)
}

// examineSecret looks at the server's secret, which the first command makes with a new database.
func (p *program) examineSecret(all *findings, isNew bool) {
	path := p.common.secretKeyPath()
	info, err := os.Stat(path)
	if err == nil {
		_, err = readSecretKey(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && isNew:
	case errors.Is(err, fs.ErrNotExist):
		all.add("secret key", broken, p.common.secretAdvice(), "%s is missing", path)
	case err != nil:
		all.add("secret key", broken, "put the right file back (it is in every backup)", "%v", err)
	case info.Mode().Perm()&0o077 != 0:
		all.add("secret key", warning, "chmod 600 "+path, "%s can be read by others (mode %04o)", path, info.Mode().Perm())
	default:
		all.add("secret key", fine, "", "%s", path)
	}
}
