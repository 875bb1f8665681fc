// Package postgres keeps everything in a PostgreSQL database, which any number of processes share. Its files and functions are
// named as those of package sqlite: directory, members, keys, connection, campaign and run for what people set up; inbox, count,
// event_write, rollup_write and delivery_write for counting; view, event and delivery for what is read. Here are connections and
// transactions that write, in reading.go those that read, and in ahead.go what they read before it is asked for; migrate.go makes the
// schema, partition.go the months of events, fault.go says what an error is, uuid.go how ids go over the wire, list.go and view.go
// what queries share.
//
// Nothing is kept in a session, so that PgBouncer may pool transactions: settings are local to a transaction, locks end with it,
// batches go in arrays, and there are no temporary tables. A transaction that writes is READ COMMITTED and locks what it must not
// share; one that reads sees a single snapshot.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/fault"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/store"
	"monterey/internal/store/giveway"
	"monterey/internal/store/memo"
	"monterey/internal/task/jobs"
	"monterey/internal/workspace"
)

// Conns is how many connections a process has at the most, unless the URL says otherwise (pool_max_conns).
const Conns = 10

// HeapLimit is the Go heap, in bytes, for store.LimitHeap: large bodies of webhooks may take 80 MiB of it, batches about as much.
const HeapLimit = 256 << 20

// timeouts are how long things may take.
type timeouts struct {
	acquire   time.Duration // waiting for one of the pool's connections
	end       time.Duration // a commit or rollback, which goes on when the asker has gone away
	lock      time.Duration // waiting for another's lock
	statement time.Duration
	silent    time.Duration // that one side of a transaction hears nothing of the other
	poll      time.Duration // without news of arrivals, until the inbox is looked at all the same
}

var usual = timeouts{acquire: 5 * time.Second, end: 10 * time.Second, lock: 10 * time.Second, statement: 2 * time.Minute, silent: silentFor,
	poll: time.Second}

// silentFor is after how long one that says nothing is given up. A worker whose network is cut leaves a transaction behind:
// the server ends it, whether it waits for the next statement or is in the middle of an answer, and so frees its locks.
const silentFor = 10 * time.Second

// begin is how a transaction that writes begins, in one message. Statements are short: compiling one, because it names all
// partitions and seems dear, would cost more than it spares.
func (t timeouts) begin() string {
	return fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL jit = off; SET LOCAL idle_in_transaction_session_timeout = %d; SET LOCAL tcp_user_timeout = %[1]d; SET LOCAL statement_timeout = %d; SET LOCAL lock_timeout = %d",
		t.silent.Milliseconds(), t.statement.Milliseconds(), t.lock.Milliseconds())
}

// Options of a store. Only URL is needed.
type Options struct {
	URL    string           // of the database, perhaps through PgBouncer
	Direct string           // past PgBouncer, for migrations and LISTEN; empty = URL, which then has none in front
	Now    func() time.Time // nil = the database's clock, on which several machines agree
	Fill   bool             // open it also while it is not filled yet (see Load)

	InboxBytes int64 // of bodies that wait, above which nothing more is accepted; default 8 GiB
}

var _ store.Store = (*Store)(nil)

// Store is the database. It is safe for concurrent use.
type Store struct {
	now    func() time.Time // nil = the database's clock
	pool   *pgxpool.Pool
	direct *pgx.ConnConfig // see Options.Direct
	times  timeouts
	queue  *jobs.Queue[pgx.Tx]
	needs  int64 // the schema version of this release
	months months

	inbox      *inbox
	turns      turns
	recipients *memo.Memo[recipient.Hash, recipient.Ordinal]
	links      *memo.Memo[linkKey, int64]
	packer     *delivery.Packer
	newness    *newness

	campaigns *memo.Memo[campaign.ID, int64]
	counts    giveway.Counting

	mu             sync.Mutex
	nums           map[workspace.ID]workspaceRow // immutable facts of workspaces; filled as they are asked for
	allNums        map[workspace.ID]workspaceRow // of deleted ones too
	workspaceIDs   map[int64]workspace.ID
	connectionIDs  map[int64]provider.ID
	connectionNums map[provider.ID]int64
	epochNums      map[uint64]int64 // see deliveryNum
	epochs         map[int64]uint64 // the inverse
}

// workspaceRow is what never changes of a workspace.
type workspaceRow struct {
	num int64
	key []byte // the identity key
}

// Open connects to the database at url; see OpenWith.
func Open(ctx context.Context, url string, now func() time.Time) (*Store, error) {
	return OpenWith(ctx, Options{URL: url, Now: now})
}

// OpenWith connects to a database. It does not migrate (see Migrate).
func OpenWith(ctx context.Context, opts Options) (*Store, error) {
	cfg, err := poolConfig(opts.URL)
	if err != nil {
		return nil, err
	}
	s := &Store{now: opts.Now, times: usual, direct: cfg.ConnConfig.Copy(), nums: map[workspace.ID]workspaceRow{}, allNums: map[workspace.ID]workspaceRow{},
		workspaceIDs: map[int64]workspace.ID{}, connectionIDs: map[int64]provider.ID{}, connectionNums: map[provider.ID]int64{},
		epochNums: map[uint64]int64{}, epochs: map[int64]uint64{}, recipients: memo.New[recipient.Hash, recipient.Ordinal](memo.Recipients), campaigns: memo.New[campaign.ID, int64](memo.Campaigns),
		links: memo.New[linkKey, int64](memo.Links), newness: newNewness()}
	if s.packer, err = delivery.NewPacker(); err != nil {
		return nil, fmt.Errorf("postgres: open: %w", err)
	}
	if opts.Direct != "" {
		direct, err := poolConfig(opts.Direct)
		if err != nil {
			return nil, err
		}
		s.direct = direct.ConnConfig
		if !strings.Contains(opts.URL, "default_query_exec_mode=") {
			cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe // PgBouncer before 1.21 mixes prepared statements up
		}
	}
	if s.needs, err = s.lastMigration(); err != nil {
		return nil, err
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, fmt.Errorf("postgres: open: %w", err)
	}
	if s.queue, err = jobs.NewQueue(riverpgxv5.New(s.pool)); err == nil {
		err = s.suits(ctx)
	}
	if err == nil && !opts.Fill {
		err = s.loading(ctx)
	}
	if err != nil {
		s.pool.Close()
		return nil, err
	}
	s.inbox = newInbox(s, opts.InboxBytes)
	return s, nil
}

func poolConfig(url string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the database's URL: %s", strings.TrimPrefix(err.Error(), "cannot parse ")) // without the password
	}
	if m := cfg.ConnConfig.DefaultQueryExecMode; m == pgx.QueryExecModeExec || m == pgx.QueryExecModeSimpleProtocol {
		return nil, fault.New(fault.Invalid, "the database's URL: default_query_exec_mode cannot be %s, in which lists have no type; behind PgBouncer take cache_describe", m)
	}
	if !strings.Contains(url, "pool_max_conns=") {
		cfg.MaxConns = Conns
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "monterey" // PgBouncer knows this one
	}
	dial := cfg.ConnConfig.ConnectTimeout
	if dial == 0 {
		dial = usual.acquire
	}
	cfg.ConnConfig.ConnectTimeout, cfg.ConnConfig.DialFunc = dial, dialer(dial).DialContext
	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error { registerUUID(conn.TypeMap()); return nil }
	return cfg, nil
}

// suits says what is wrong with the server, if anything.
func (s *Store) suits(ctx context.Context) error {
	conn, err := s.acquire(ctx)
	if err != nil {
		return translate("open", err)
	}
	defer conn.Release()
	pc := conn.Conn().PgConn()
	version := pc.ParameterStatus("server_version")
	if n, err := strconv.Atoi(version[:len(version)-len(strings.TrimLeft(version, "0123456789"))]); err == nil && n < 14 {
		return fault.New(fault.Invalid, "the database is PostgreSQL %s; 14 or later is needed", version)
	}
	if enc := pc.ParameterStatus("server_encoding"); enc != "" && enc != "UTF8" {
		return fault.New(fault.Invalid, "the database's encoding is %s; UTF8 is needed", enc)
	}
	return nil
}

// Close ends the use of the database. What was accepted is stored already.
func (s *Store) Close() error {
	s.inbox.close()
	s.pool.Close()
	return nil
}

// The classes of advisory locks, the first of a lock's two numbers. All end with their transaction.
const (
	lockWorkspace  = 0x6d6f_0001 // with a workspace's number: its only writer
	lockAppend     = 0x6d6f_0002 // with the time at which they began (see appendKey): appends to the inbox in flight
	lockPartitions = 0x6d6f_0003 // with 0: who makes partitions
	lockImport     = 0x6d6f_0004 // with a workspace's number: who takes over an import of accounts
	lockCounting   = 0x6d6f_0005 // with a workspace's number: who counts what waits for it
)

// Ready says whether the database answers and has this release's schema, or a newer one's, which keeps this release working.
func (s *Store) Ready(ctx context.Context) error {
	has, _, err := s.Version(ctx)
	if err != nil {
		return err
	}
	if has < s.needs {
		return fault.New(fault.Unavailable, "the database has version %d, this release needs %d", has, s.needs)
	}
	return s.loading(ctx)
}

// write runs f in a transaction, of which nothing stays when f fails. f runs again after a deadlock and
// when a month of events was missing, so it must begin anew with all that it keeps.
func (s *Store) write(ctx context.Context, what string, f func(pgx.Tx) error) error {
	return s.inTx(ctx, what, s.times.begin(), f)
}

// read runs f on one snapshot, that of the first statement.
func (s *Store) read(ctx context.Context, what string, f func(pgx.Tx) error) error {
	return s.again(ctx, what, func() error { return s.tryRead(ctx, &reading{s: s, plans: planEach}, f) })
}

// readAsOf is read that knows before which time everything received in a workspace is counted in its snapshot (see asOfRead), and how
// statements are planned.
func (s *Store) readAsOf(ctx context.Context, what, plans string, ws int64, f func(pgx.Tx) error) error {
	return s.again(ctx, what, func() error { return s.tryRead(ctx, &reading{s: s, plans: plans, asOf: s.newAsOf(ws)}, f) })
}

// tries is how often a transaction is run that may succeed the next time.
const tries = 4

func (s *Store) inTx(ctx context.Context, what, begin string, f func(pgx.Tx) error) error {
	return s.again(ctx, what, func() error { return s.tryTx(ctx, begin, f) })
}

// again runs a transaction until it succeeds, or fails in a way that will not pass.
func (s *Store) again(ctx context.Context, what string, once func() error) error {
	for try := 1; ; try++ {
		err := once()
		if try == tries {
			return translate(what, err)
		}
		months, missing := errors.AsType[missingMonths](err)
		switch c := code(err); {
		case missing:
			if err := s.makeMonths(ctx, months); err != nil {
				return err
			}
			continue
		case c == checkViolation:
			s.months.forget()
		case c != serializationFailure && c != deadlockDetected:
			return translate(what, err)
		}
		select {
		case <-time.After(time.Duration(try) * (10 + rand.N[time.Duration](20)) * time.Millisecond):
		case <-ctx.Done():
			return translate(what, ctx.Err())
		}
	}
}

func (s *Store) tryTx(ctx context.Context, begin string, f func(pgx.Tx) error) error {
	conn, tx, err := s.begin(ctx, begin)
	if err != nil {
		return err
	}
	defer conn.Release()
	open := true
	defer func() {
		if open {
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.times.end)
			defer cancel()
			_ = tx.Rollback(ending) // what fails here closes the connection, which rolls back too
		}
	}()
	if err := f(tx); err != nil {
		return lost(conn, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// A commit that is cut short leaves nobody knowing what came of it.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.times.end)
	defer cancel()
	open = false
	return lost(conn, tx.Commit(ending))
}

// begin begins a transaction. The pool finds out that a connection is dead, say after the server was restarted, only by
// using it: it is given a few.
func (s *Store) begin(ctx context.Context, text string) (*pgxpool.Conn, pgx.Tx, error) {
	for try := 1; ; try++ {
		conn, err := s.acquire(ctx)
		if err != nil {
			return nil, nil, err
		}
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: text})
		if err == nil {
			return conn, tx, nil
		}
		dead := conn.Conn().IsClosed()
		err = lost(conn, err)
		conn.Release()
		if !dead || try > int(s.pool.Config().MaxConns) || ctx.Err() != nil {
			return nil, nil, err
		}
	}
}

func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	waiting, cancel := context.WithTimeout(ctx, s.times.acquire)
	defer cancel()
	return s.pool.Acquire(waiting)
}

// clock is the time: the database's, unless Open was given another.
func (s *Store) clock(ctx context.Context, tx pgx.Tx) (time.Time, error) {
	if s.now != nil {
		return s.now(), nil
	}
	var us int64
	err := tx.QueryRow(ctx, "SELECT "+clockSQL).Scan(&us)
	return fromMicros(us), err
}

// clockSQL is the database's clock as a time is stored.
const clockSQL = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

// workspace finds the number and the identity key of the caller's workspace; NotFound for none that is there.
func (s *Store) workspace(ctx context.Context, c workspace.Caller) (workspaceRow, error) {
	id := c.Workspace()
	return cached(&s.mu, s.nums, id, func() (row workspaceRow, err error) {
		err = s.read(ctx, "workspace", func(tx pgx.Tx) error {
			return found(tx.QueryRow(ctx, "SELECT num, identity_key FROM workspaces WHERE id = $1 AND deleted_at = 0", id).Scan(&row.num, &row.key), "workspace")
		})
		return row, err
	})
}

// cached looks a fact up that never changes.
func cached[K comparable, V any](mu *sync.Mutex, facts map[K]V, k K, find func() (V, error)) (V, error) {
	mu.Lock()
	v, ok := facts[k]
	mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := find()
	if err != nil {
		return v, err
	}
	mu.Lock()
	facts[k] = v
	mu.Unlock()
	return v, nil
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

// lost marks an error that came with the loss of the connection; the driver's own errors do not all say so.
func lost(conn *pgxpool.Conn, err error) error {
	var server *pgconn.PgError
	if err != nil && conn != nil && !errors.As(err, &server) && conn.Conn().IsClosed() {
		return errors.Join(errLost, err)
	}
	return err
}
