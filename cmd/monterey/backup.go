package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"monterey/internal/store/sqlite"
)

type backupCommand struct {
	File string `arg:"" help:"Where to write the backup, which holds everything, the secret key too. - is standard output."`
}

// Run copies the databases while a server may be working on them, and packs the copies with the secret key. The file
// appears once it is whole. The database is copied as it is, not migrated: a backup is what one takes before an upgrade.
func (c *backupCommand) Run(ctx context.Context, p *program) (err error) {
	var wrong []string
	if c.File == "-" && p.common.JSON {
		wrong = append(wrong, "standard output cannot hold both the backup and what --json prints")
	}
	wrong = append(wrong, p.common.filesOnly("backup copies the files of SQLite: back PostgreSQL up with pg_dump or pg_basebackup, and the secret key too")...)
	if err := p.check(wrong...); err != nil {
		return err
	}
	store, err := p.openFiles()
	if err != nil {
		return err
	}
	defer store.Close()
	beside := p.common.DataDir
	if c.File != "-" {
		beside = filepath.Dir(c.File)
	}
	dir, err := os.MkdirTemp(beside, ".monterey-backup-") // mode 0700: it holds the secret
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	m := manifest{Format: archiveFormat, Version: version(), CreatedAt: p.now().UTC().Truncate(time.Second)}
	if err := store.Backup(ctx, dir); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	if err := os.Rename(filepath.Join(dir, filepath.Base(p.common.databasePath())), filepath.Join(dir, mainName)); err != nil {
		return err
	}
	if err := copyFile(p.common.secretKeyPath(), filepath.Join(dir, secretName)); err != nil {
		return fmt.Errorf("copy the secret key: %w", err)
	}
	if c.File == "-" {
		return writeArchive(p.stdout, dir, m)
	}
	size, err := packFile(c.File, dir, m)
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	p.say("The backup holds the secret key: keep it where only you can read it.")
	return p.result(struct {
		File      string `json:"file"`
		Bytes     int64  `json:"bytes"`
		CreatedAt string `json:"created_at"`
	}{c.File, size, stamp(m.CreatedAt)}, fmt.Sprintf("%s: %d MiB\n", c.File, size>>20))
}

// packFile writes the archive into dir and moves it to its name once it is on disk.
func packFile(name, dir string, m manifest) (size int64, err error) {
	whole := filepath.Join(dir, "archive")
	f, err := os.OpenFile(whole, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	err = errors.Join(writeArchive(f, dir, m), f.Sync(), f.Close())
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(whole)
	if err != nil {
		return 0, err
	}
	if err := os.Rename(whole, name); err != nil {
		return 0, err
	}
	return info.Size(), syncFolder(filepath.Dir(name))
}

// openFiles opens a SQLite database that has to be there, as it is.
func (p *program) openFiles() (*sqlite.Store, error) {
	path := p.common.databasePath()
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("there is no database: %w", err)
	}
	store, err := sqlite.Open(path, p.now)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return store, nil
}

func copyFile(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return takeFile(io.Reader(f), to)
}

// syncFolder makes renames in a folder durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
