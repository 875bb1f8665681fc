package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"monterey/internal/store/sqlite"
)

type restoreCommand struct {
	File  string `arg:"" help:"A backup. - is standard input."`
	Force bool   `help:"Restore over data that is there, which is kept beside the data folder."`
}

// Run unpacks and checks the backup before it touches anything, then moves the files in place.
func (c *restoreCommand) Run(ctx context.Context, p *program) (err error) {
	if err := p.check(p.common.filesOnly("restore puts the files of SQLite back: restore PostgreSQL with its own tools, as psql or pg_restore")...); err != nil {
		return err
	}
	backup := p.stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		backup = f
	}
	for _, dir := range []string{p.common.DataDir, filepath.Dir(p.common.databasePath())} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	release, err := p.common.lockServer()
	if err != nil {
		return err
	}
	defer release()
	old := p.common.dataFiles()
	if len(old) > 0 && !c.Force {
		return fmt.Errorf("%s holds data: --force puts the backup in its place and keeps the old data beside it", p.common.DataDir)
	}
	m, dir, err := p.unpack(ctx, backup)
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	kept := ""
	if len(old) > 0 {
		if kept, err = p.common.setAside(old, p.now().UTC().Format("20060102T150405Z")); err != nil {
			return fmt.Errorf("keep the old data: %w", err)
		}
		p.say("The old data is in %s.", kept)
	}
	if err := p.common.putInPlace(dir); err != nil {
		return fmt.Errorf("put the backup in place: %w", err)
	}
	return p.result(struct {
		DataDir   string `json:"data_dir"`
		CreatedAt string `json:"created_at"`
		Kept      string `json:"kept,omitempty"`
	}{p.common.DataDir, stamp(m.CreatedAt), kept}, fmt.Sprintf("The backup of %s is in %s.\n", stamp(m.CreatedAt), p.common.DataDir))
}

// unpack unpacks a backup into a temporary folder on the disk of the database and checks that it can be used.
func (p *program) unpack(ctx context.Context, backup io.Reader) (m manifest, dir string, err error) {
	if dir, err = os.MkdirTemp(filepath.Dir(p.common.databasePath()), ".restore-"); err != nil {
		return m, "", err
	}
	if m, err = readArchive(backup, dir); err != nil {
		return m, dir, err
	}
	secret, err := readSecretKey(filepath.Join(dir, secretName))
	if err != nil {
		return m, dir, err
	}
	if p.common.SecretKeyFile != "" {
		if theirs, err := readSecretKey(p.common.SecretKeyFile); err != nil || !bytes.Equal(secret, theirs) {
			return m, dir, fmt.Errorf("the backup belongs to another secret key than %s holds; without --secret-key-file "+
				"the backup's own is put into the data folder", p.common.SecretKeyFile)
		}
	}
	return m, dir, checkFiles(ctx, dir, p.now)
}

// checkFiles makes sure that the databases of an unpacked backup are sound and not newer than this release.
func checkFiles(ctx context.Context, dir string, now func() time.Time) (err error) {
	store, err := sqlite.Open(filepath.Join(dir, mainName), now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := store.Check(ctx); err != nil {
		return err
	}
	has, needs, err := store.Version(ctx)
	if err == nil && has > needs {
		err = fmt.Errorf("the backup was made by a newer release (database version %d; this one knows %d)", has, needs)
	}
	return err
}

// places are where the files of an archive belong. A secret key that is kept elsewhere is the operator's: it stays.
func (s *commonSettings) places() (places [][2]string) {
	places = [][2]string{{mainName, s.databasePath()}, {inboxName, s.inboxPath()}}
	if s.SecretKeyFile == "" {
		places = append(places, [2]string{secretName, s.secretKeyPath()})
	}
	return places
}

// dataFiles are the files of the data that is there, SQLite's companions too.
func (s *commonSettings) dataFiles() (found []string) {
	for _, place := range s.places() {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			if _, err := os.Lstat(place[1] + suffix); err == nil {
				found = append(found, place[1]+suffix)
			}
		}
	}
	return found
}

// setAside moves files into a new folder beside the data folder or, where that is on another disk (the data folder is a
// mount), inside it.
func (s *commonSettings) setAside(files []string, when string) (dir string, err error) {
	whole, err := filepath.Abs(s.DataDir)
	if err != nil {
		return "", err
	}
	for _, dir = range []string{whole + ".before-restore-" + when, filepath.Join(whole, "before-restore-"+when)} {
		if err = os.Mkdir(dir, 0o700); err != nil {
			continue
		}
		if err = moveAll(files, dir); err == nil {
			return dir, nil
		}
		_ = os.Remove(dir) // stays when something was moved into it, and then it is named in the error
	}
	return "", err
}

// moveAll moves files into a folder. The first decides whether the folder is on the right disk.
func moveAll(files []string, dir string) error {
	for i, f := range files {
		to := filepath.Join(dir, filepath.Base(f))
		err := os.Rename(f, to)
		if i > 0 && errors.Is(err, syscall.EXDEV) { // the database is on one disk, the secret on another
			err = errors.Join(copyFile(f, to), os.Remove(f))
		}
		if err != nil {
			return err
		}
	}
	return syncFolder(dir)
}

// putInPlace moves the files of a checked backup to where they belong, the main database last: without it there is no
// data, and restore may be run again.
func (s *commonSettings) putInPlace(dir string) error {
	for _, place := range slices.Backward(s.places()) {
		from, to := filepath.Join(dir, place[0]), place[1]
		err := os.Rename(from, to)
		if errors.Is(err, syscall.EXDEV) {
			err = copyFile(from, to)
		}
		if err != nil {
			return err
		}
	}
	return syncFolder(filepath.Dir(s.databasePath()))
}
