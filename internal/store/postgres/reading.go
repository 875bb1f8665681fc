package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Most of what a short read takes is waiting for messages, so that few are spent on its transaction: it begins in the message of
// its first statements, and may end in that of the last. What is asked with look is one message altogether. Not to wait for the end
// was tried: who asks next then finds the connection taken, and plans all statements anew on another.

// How a transaction begins that sees one snapshot, and one whose every statement sees what is there.
const (
	beginSnapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	beginLook     = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
)

// settingsSQL is what a transaction that reads is set to, by values that settings gives. It is what takes the snapshot.
const settingsSQL = `SELECT set_config('jit', 'off', true), set_config('idle_in_transaction_session_timeout', $1, true), set_config('tcp_user_timeout', $1, true),
	set_config('statement_timeout', $2, true), set_config('lock_timeout', $3, true), set_config('plan_cache_mode', $4, true)`

// How statements are planned: as PostgreSQL thinks best, or each once for all values.
const (
	planEach = "auto"
	planOnce = "force_generic_plan"
)

func (t timeouts) settings(plans string) []any {
	return []any{fmt.Sprint(t.silent.Milliseconds()), fmt.Sprint(t.statement.Milliseconds()), fmt.Sprint(t.lock.Milliseconds()), plans}
}

// reading is a transaction that reads one snapshot: that of its first statement.
type reading struct {
	pgx.Tx // nil until it has begun
	s      *Store
	plans  string
	asOf   *asOfQuestion // asked before it begins; nil = it is not
	conn   *pgxpool.Conn
	over   bool // it has ended
}

// Mistakes in this package.
var (
	errOver     = errors.New("postgres: asked after the last statements of a read")
	errNotAsked = errors.New("postgres: as_of was not asked of this transaction")
)

// tryRead runs f on one snapshot, that of r.
func (s *Store) tryRead(ctx context.Context, r *reading, f func(pgx.Tx) error) error {
	whole := false
	defer func() { r.end(ctx, whole) }()
	if err := f(r); err != nil {
		return lost(r.conn, err)
	}
	whole = true
	return ctx.Err()
}

// end ends the transaction. All that was asked for is there: nothing that becomes of the end can change it.
func (r *reading) end(ctx context.Context, whole bool) {
	if r.conn == nil {
		return
	}
	defer r.conn.Release()
	if r.over {
		return
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.s.times.end)
	defer cancel()
	end := r.Rollback
	if whole {
		end = r.Commit
	}
	_ = end(ending) // what fails here closes the connection, which ends the transaction too
}

// sendLast runs the last statements of a read, which end it. In any other transaction it just runs them.
func sendLast(ctx context.Context, tx pgx.Tx, b *pgx.Batch) error {
	r, ok := tx.(*reading)
	if !ok {
		return tx.SendBatch(ctx, b).Close()
	}
	b.Queue("COMMIT")
	err := r.SendBatch(ctx, b).Close()
	r.over = err == nil
	return err
}

// first sends the first statements behind those that begin the transaction. The results are those of b alone.
func (r *reading) first(ctx context.Context, b *pgx.Batch) (pgx.BatchResults, error) {
	conn, results, err := r.s.send(ctx, r.opening, b)
	if err == nil {
		r.conn, r.Tx = conn, results.Tx()
	}
	return results, err
}

// opening queues what the transaction begins with; what comes before it is a transaction of its own.
func (r *reading) opening(b *pgx.Batch) {
	begin := func(text, plans string) {
		if b.Len() == 0 {
			b.BeginTx(pgx.TxOptions{BeginQuery: text})
		} else {
			b.Queue(text)
		}
		b.Queue(settingsSQL, r.s.times.settings(plans)...)
	}
	if r.asOf != nil {
		begin(beginLook, planOnce)
		r.asOf.ask(b)
		b.Queue("COMMIT")
	}
	begin(beginSnapshot, r.plans)
}

// asOfRead is before which time everything received is counted in the snapshot of tx, a read of readAsOf.
func asOfRead(ctx context.Context, tx pgx.Tx) (time.Time, error) {
	r, ok := tx.(*reading)
	if !ok || r.asOf == nil {
		return time.Time{}, errNotAsked
	}
	if r.Tx == nil { // nothing was asked yet
		results, err := r.first(ctx, &pgx.Batch{})
		if err == nil {
			err = results.Close()
		}
		if err != nil {
			return time.Time{}, err
		}
	}
	return r.asOf.time(), nil
}

// send sends statements behind those that begin a transaction. As begin, it tries several connections.
func (s *Store) send(ctx context.Context, opening func(*pgx.Batch), b *pgx.Batch) (*pgxpool.Conn, pgx.BatchResults, error) {
	for try := 1; ; try++ {
		conn, err := s.acquire(ctx)
		if err != nil {
			return nil, nil, err
		}
		all := &pgx.Batch{}
		opening(all)
		opened := all.QueuedQueries
		for _, q := range b.QueuedQueries { // of which nothing is kept that belongs to a connection
			all.Queue(q.SQL, q.Arguments...).Fn = q.Fn
		}
		results := conn.SendBatch(ctx, all)
		if err = readResults(results, opened); err == nil {
			return conn, results, nil
		}
		_ = results.Close() // err tells more
		_ = results.Tx().Rollback(ctx)
		dead := conn.Conn().IsClosed()
		err = lost(conn, err)
		conn.Release()
		if !dead || try > int(s.pool.Config().MaxConns) || ctx.Err() != nil {
			return nil, nil, err
		}
	}
}

// readResults reads the results of the next statements.
func readResults(results pgx.BatchResults, of []*pgx.QueuedQuery) error {
	for _, q := range of {
		var err error
		if q.Fn != nil {
			err = q.Fn(results)
		} else {
			_, err = results.Exec()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Query implements pgx.Tx.
func (r *reading) Query(ctx context.Context, text string, args ...any) (pgx.Rows, error) {
	if r.over {
		return nil, errOver
	}
	if r.Tx != nil {
		return r.Tx.Query(ctx, text, args...)
	}
	var b pgx.Batch
	b.Queue(text, args...)
	results, err := r.first(ctx, &b)
	if err != nil {
		return nil, err
	}
	rows, err := results.Query()
	return &firstRows{Rows: rows, results: results}, err
}

// QueryRow implements pgx.Tx.
func (r *reading) QueryRow(ctx context.Context, text string, args ...any) pgx.Row {
	if r.Tx != nil && !r.over {
		return r.Tx.QueryRow(ctx, text, args...)
	}
	rows, err := r.Query(ctx, text, args...)
	return firstRow{rows, err}
}

// SendBatch implements pgx.Tx.
func (r *reading) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if r.over {
		return pgx.FailedBatchResults(b, errOver)
	}
	if r.Tx != nil {
		return r.Tx.SendBatch(ctx, b)
	}
	results, err := r.first(ctx, b)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	return results
}

// Exec implements pgx.Tx.
func (r *reading) Exec(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error) {
	if r.over {
		return pgconn.CommandTag{}, errOver
	}
	if r.Tx != nil {
		return r.Tx.Exec(ctx, text, args...)
	}
	var b pgx.Batch
	b.Queue(text, args...)
	results, err := r.first(ctx, &b)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := results.Exec()
	return tag, cmp.Or(err, results.Close())
}

// firstRows are rows that came in one message with the beginning of their transaction, which ends with them.
type firstRows struct {
	pgx.Rows
	results pgx.BatchResults
	err     error
}

// Next implements pgx.Rows.
func (r *firstRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

// Close implements pgx.Rows.
func (r *firstRows) Close() {
	r.Rows.Close()
	r.err = r.results.Close()
}

// Err implements pgx.Rows.
func (r *firstRows) Err() error { return cmp.Or(r.Rows.Err(), r.err) }

// firstRow is the first of firstRows.
type firstRow struct {
	rows pgx.Rows
	err  error
}

// Scan implements pgx.Row.
func (r firstRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		return cmp.Or(r.rows.Err(), pgx.ErrNoRows)
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// look runs the statements that ask queues, each of which sees what is there when it is run: all is one message. ask runs again where
// the statements do.
func (s *Store) look(ctx context.Context, what string, ask func(*pgx.Batch)) error {
	return s.again(ctx, what, func() error {
		var b pgx.Batch
		ask(&b)
		b.Queue("COMMIT")
		conn, results, err := s.send(ctx, func(b *pgx.Batch) {
			b.BeginTx(pgx.TxOptions{BeginQuery: beginLook})
			b.Queue(settingsSQL, s.times.settings(planOnce)...)
		}, &b)
		if err != nil {
			return err
		}
		defer conn.Release()
		if err = results.Close(); err != nil {
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.times.end)
			defer cancel()
			if failed := results.Tx().Rollback(ending); !errors.Is(failed, pgx.ErrTxClosed) {
				err = errors.Join(err, failed)
			}
		}
		return lost(conn, err)
	})
}
