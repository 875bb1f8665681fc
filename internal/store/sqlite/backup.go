package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"monterey/internal/fault"
)

// InboxFile is the name of the inbox, which lies beside the main file.
const InboxFile = "inbox.db"

// holdFor is how long a hold on the inbox lasts unless it is renewed: a backup that dies does not fill the disk for long.
const holdFor = time.Minute

// Backup writes copies of both files into dir, under their own names, while a server may be working on them: first the main
// file, then the inbox, and nothing is pruned from the inbox in between. So what the copy of the main file has not counted
// is in the copy of the inbox.
func (s *Store) Backup(ctx context.Context, dir string) (err error) {
	from := filepath.Join(filepath.Dir(s.path), InboxFile)
	_, statErr := os.Stat(from)
	hasInbox := statErr == nil
	if hasInbox {
		stop, holdErr := hold(ctx, from, s.now)
		if holdErr != nil {
			return holdErr
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	if err := copyInto(ctx, s.writer, filepath.Join(dir, filepath.Base(s.path))); err != nil {
		return err
	}
	to := filepath.Join(dir, InboxFile)
	if !hasInbox { // no server has run here yet: an empty one
		return HoldPruning(ctx, to, time.Time{})
	}
	db, err := openFile(from, true, 1<<10, 1000)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if err := copyInto(ctx, db, to); err != nil {
		return err
	}
	return HoldPruning(ctx, to, time.Time{}) // the copy holds nothing
}

func copyInto(ctx context.Context, db *sql.DB, to string) error {
	_, err := db.ExecContext(ctx, "VACUUM INTO ?", to)
	return translate("backup", err)
}

// hold stops pruning until stop is called, whose error says that it could not the whole time: this process stood still, or
// the file was busy, for longer than a hold lasts.
func hold(ctx context.Context, path string, now func() time.Time) (stop func() error, err error) {
	until := now().Add(holdFor)
	if err := HoldPruning(ctx, path, until); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		t := time.NewTicker(holdFor / 4)
		defer t.Stop()
		lapsed := false
		for {
			select {
			case <-ctx.Done():
				err := HoldPruning(context.WithoutCancel(ctx), path, time.Time{})
				if lapsed || !now().Before(until) {
					err = errors.Join(err, errHold)
				}
				ended <- err
				return
			case <-t.C:
				next := now().Add(holdFor)
				if HoldPruning(ctx, path, next) == nil { // else the next tick tries again; the hold has time left
					lapsed, until = lapsed || !now().Before(until), next
				}
			}
		}
	}()
	return func() error { cancel(); return <-ended }, nil
}

var errHold = errors.New("sqlite: the inbox was not held all the time while it was copied; take the backup again")

// Check looks through both files for damage, without repairing anything.
func (s *Store) Check(ctx context.Context) error {
	if err := check(ctx, s.readers, filepath.Base(s.path)); err != nil {
		return err
	}
	path := filepath.Join(filepath.Dir(s.path), InboxFile)
	if _, err := os.Stat(path); err != nil {
		return nil // no server has run here yet
	}
	db, err := openFile(path, false, 1<<10, 0)
	if err != nil {
		return err
	}
	return errors.Join(check(ctx, db, InboxFile), db.Close())
}

func check(ctx context.Context, db *sql.DB, name string) error {
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&answer); err != nil {
		return translate("check", err)
	}
	if answer != "ok" {
		return fault.Wrap(fault.Internal, fmt.Errorf("%s: %s", name, answer), "the file %s is damaged", name)
	}
	return nil
}

// OpenReading opens one file for nothing but reading, as it is: also what a server that was killed has left in its log is read,
// and nothing is written into the file.
func OpenReading(path string) (*sql.DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	q := url.Values{"mode": {"ro"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", busyFor.Milliseconds()), "query_only(ON)", "temp_store(MEMORY)", fmt.Sprintf("cache_size(-%d)", readerCache)}}
	db, err := sql.Open("sqlite", fileURI(path, q))
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", filepath.Base(path), err)
	}
	return db, nil
}
