// Package sqlite keeps everything in two SQLite files: monterey.db, and beside it inbox.db with the webhook bodies that
// are not counted yet. The main file has one writer connection and a pool of readers; the inbox has a writer of its own,
// so that accepting webhooks never waits for counting them.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"monterey/internal/delivery"
	"monterey/internal/fault"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/store/giveway"
	"monterey/internal/store/memo"
	"monterey/internal/task/jobs"
	"monterey/internal/workspace"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Sizes of the page caches, in KiB: one writer, up to Readers readers.
const (
	writerCache = 48 << 10
	readerCache = 8 << 10
	Readers     = 6
)

// busyFor is how long a statement waits for another process, or for its own other connections.
const busyFor = 10 * time.Second

// HeapLimit is the Go heap, in bytes, for store.LimitHeap: together with the page caches and the program itself it makes less than
// 400 MiB of resident memory.
const HeapLimit = 128 << 20

// Store is the main file and the inbox. It is safe for concurrent use.
type Store struct {
	now        func() time.Time
	path       string
	writer     *sql.DB // one connection
	readers    *sql.DB
	inbox      *inbox // nil unless opened by OpenInbox
	recipients *memo.Memo[recipient.Hash, recipient.Ordinal]
	links      *memo.Memo[linkKey, int64]
	queue      *jobs.Queue[*sql.Tx]
	packer     *delivery.Packer
	importing  chan struct{} // holds one while an import changes an account directory
	walLimit   int64         // see relieve
	counts     giveway.Counting
	second     *semaphore.Weighted // of those who read and wait for another reader: fewer than readers, or all could wait for ever
	needs      int64               // the schema version of this release

	mu             sync.Mutex
	relieved       time.Time                     // when the log was last emptied, by the computer's clock
	shared         time.Time                     // see shareCache; by the computer's clock
	nums           map[workspace.ID]workspaceRow // immutable facts of workspaces; filled as they are asked for
	workspaceIDs   map[int64]workspace.ID
	connectionIDs  map[int64]provider.ID
	connectionNums map[provider.ID]int64
}

// workspaceRow is what never changes of a workspace.
type workspaceRow struct {
	num int64
	key []byte // the identity key
}

// Open opens the main file at path, making it when it is not there. It does not migrate (see Migrate) and does not open
// the inbox (see OpenInbox): commands work beside a running server.
func Open(path string, now func() time.Time) (*Store, error) {
	s := &Store{now: now, path: path, walLimit: walLimit, second: semaphore.NewWeighted(Readers / 2), nums: map[workspace.ID]workspaceRow{}, importing: make(chan struct{}, 1),
		recipients: memo.New[recipient.Hash, recipient.Ordinal](memo.Recipients), links: memo.New[linkKey, int64](memo.Links),
		workspaceIDs: map[int64]workspace.ID{}, connectionIDs: map[int64]provider.ID{}, connectionNums: map[provider.ID]int64{}}
	var err error
	if s.packer, err = delivery.NewPacker(); err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	if s.writer, err = openFile(path, true, writerCache, 20_000); err != nil {
		return nil, err
	}
	s.writer.SetMaxOpenConns(1)
	if s.queue, err = jobs.NewQueue(riversqlite.New(s.writer)); err != nil {
		return nil, errors.Join(err, s.writer.Close())
	}
	// The file must be in WAL mode before a reader opens it.
	if _, err := s.writer.Exec("PRAGMA journal_mode"); err != nil {
		return nil, errors.Join(translate("open", err), s.writer.Close())
	}
	if s.readers, err = openFile(path, false, readerCache, 0); err != nil {
		return nil, errors.Join(err, s.writer.Close())
	}
	p, err := s.migrations()
	if err != nil {
		return nil, errors.Join(err, s.readers.Close(), s.writer.Close())
	}
	sources := p.ListSources() // sorted
	s.needs = sources[len(sources)-1].Version
	s.readers.SetMaxOpenConns(Readers)
	s.readers.SetMaxIdleConns(Readers)
	return s, nil
}

// openFile opens one file with the pragmas that every connection needs. checkpoint is in pages of the WAL.
func openFile(path string, write bool, cacheKiB, checkpoint int) (*sql.DB, error) {
	q := url.Values{}
	for _, p := range []string{fmt.Sprintf("busy_timeout(%d)", busyFor.Milliseconds()), "journal_mode(WAL)", "synchronous(FULL)", "temp_store(MEMORY)",
		fmt.Sprintf("cache_size(-%d)", cacheKiB)} {
		q.Add("_pragma", p)
	}
	if write {
		q.Add("_pragma", fmt.Sprintf("wal_autocheckpoint(%d)", checkpoint))
		q.Add("_pragma", "foreign_keys(ON)")
		q.Add("_pragma", "journal_size_limit(104857600)")
		q.Set("_txlock", "immediate")
	} else {
		q.Add("_pragma", "query_only(ON)")
	}
	db, err := openDB(fileURI(path, q))
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", filepath.Base(path), err)
	}
	db.SetConnMaxIdleTime(0)
	return db, nil
}

// fileURI names a file to SQLite.
func fileURI(path string, q url.Values) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// Close ends the use of both files. What was accepted is on disk already.
func (s *Store) Close() error {
	var inboxErr error
	if s.inbox != nil {
		inboxErr = s.inbox.close()
	}
	return errors.Join(inboxErr, s.readers.Close(), s.writer.Close())
}

// Migrate brings the main file to this release and says from and to which version.
func (s *Store) Migrate(ctx context.Context) (from, to int64, err error) {
	p, err := s.migrations()
	if err != nil {
		return 0, 0, err
	}
	if from, err = p.GetDBVersion(ctx); err != nil {
		return 0, 0, translate("migrate", err)
	}
	if _, err = p.Up(ctx); err != nil {
		return from, from, translate("migrate", err)
	}
	to, err = p.GetDBVersion(ctx)
	return from, to, translate("migrate", err)
}

// Version is the main file's schema version, and the one this release needs.
func (s *Store) Version(ctx context.Context) (has, needs int64, err error) {
	p, err := s.migrations()
	if err != nil {
		return 0, 0, err
	}
	has, err = p.GetDBVersion(ctx)
	return has, s.needs, translate("version", err)
}

func (s *Store) migrations() (*goose.Provider, error) {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, fmt.Errorf("sqlite: migrations: %w", err)
	}
	jobTables := goose.NewGoMigration(6, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		return jobs.Migrate(ctx, riversqlite.New(s.writer), tx)
	}}, nil)
	weeks := goose.NewGoMigration(11, &goose.GoFunc{RunTx: addWeeks}, nil)
	quarters := goose.NewGoMigration(12, &goose.GoFunc{RunTx: moveQuarters}, nil)
	p, err := goose.NewProvider(goose.DialectSQLite3, s.writer, files, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(jobTables, weeks, quarters))
	if err != nil {
		return nil, fmt.Errorf("sqlite: migrations: %w", err)
	}
	return p, nil
}

// Ready says whether the database answers and has this release's schema, or a newer one's, which keeps this release working.
func (s *Store) Ready(ctx context.Context) error {
	var has int64
	err := s.readers.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version WHERE is_applied").Scan(&has)
	if err != nil {
		return translate("ready", err)
	}
	if has < s.needs {
		return fault.New(fault.Unavailable, "the database has version %d, this release needs %d", has, s.needs)
	}
	return nil
}

// write runs f in a transaction of the one writer. Nothing of it stays when f fails.
func (s *Store) write(ctx context.Context, what string, f func(*sql.Tx) error) error {
	err := inTx(ctx, s.writer, what, nil, f)
	if err == nil {
		s.relieve(ctx)
		s.shareCache(ctx, s.writer, writerCache)
	}
	return err
}

// read runs f on one snapshot.
func (s *Store) read(ctx context.Context, what string, f func(*sql.Tx) error) error {
	err := inTx(ctx, s.readers, what, &sql.TxOptions{ReadOnly: true}, f)
	if err == nil {
		s.shareCache(ctx, s.readers, readerCache)
	}
	return err
}

// readBeside is read in a goroutine of g. Who reads already and waits for it needs s.second.
func (s *Store) readBeside(ctx context.Context, g *errgroup.Group, what string, f func(*sql.Tx) error) {
	g.Go(func() (err error) {
		defer func() {
			if p := recover(); p != nil { // of a request's own goroutine the server would do it
				err = fmt.Errorf("sqlite: %s: panic: %v", what, p)
			}
		}()
		return s.read(ctx, what, f)
	})
}

func inTx(ctx context.Context, db *sql.DB, what string, opts *sql.TxOptions, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return translate(what, err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it says so, which is no news
	if err := f(tx); err != nil {
		return translate(what, err)
	}
	err = tx.Commit()
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
		err = ctx.Err() // which rolled it back
	}
	return translate(what, err)
}

// translate turns the driver's errors into faults, by code: no rows is NotFound, a constraint is Conflict, everything
// else that SQLite says is Unavailable (disk full, busy, I/O, interrupted). Faults and nil pass unchanged.
func translate(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if errors.Is(err, sql.ErrNoRows) {
		return fault.Wrap(fault.NotFound, err, "there is no such thing here")
	}
	if se, ok := errors.AsType[*sqlite.Error](err); ok {
		switch se.Code() & 0xff {
		case lib.SQLITE_CONSTRAINT:
			return fault.Wrap(fault.Conflict, err, "this exists already")
		case lib.SQLITE_TOOBIG, lib.SQLITE_MISMATCH, lib.SQLITE_RANGE:
			return fault.Wrap(fault.Data, err, "the store cannot keep this value")
		}
		return &fault.Error{Code: fault.Unavailable, Message: "the database cannot be used at the moment", RetryAfter: 2 * time.Second, Err: fmt.Errorf("sqlite: %s: %w", what, err)}
	}
	return fmt.Errorf("sqlite: %s: %w", what, err)
}

// workspace finds the number and the identity key of the caller's workspace; NotFound for none that is there.
func (s *Store) workspace(ctx context.Context, c workspace.Caller) (workspaceRow, error) {
	s.mu.Lock()
	row, ok := s.nums[c.Workspace()]
	s.mu.Unlock()
	if ok {
		return row, nil
	}
	id := c.Workspace()
	err := s.readers.QueryRowContext(ctx, "SELECT num, identity_key FROM workspaces WHERE id = ? AND deleted_at = 0", id.UUID[:]).Scan(&row.num, &row.key)
	if errors.Is(err, sql.ErrNoRows) {
		return row, fault.New(fault.NotFound, "there is no such workspace")
	}
	if err != nil {
		return row, translate("workspace", err)
	}
	s.mu.Lock()
	s.nums[id] = row
	s.mu.Unlock()
	return row, nil
}

// micros is how a time is stored; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicros is the inverse of micros.
func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
