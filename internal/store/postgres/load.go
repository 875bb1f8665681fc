package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/fault"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// Load runs f in a transaction that writes and may take as long as it needs, for who fills the database (package transfer); f
// runs again after a deadlock.
func (s *Store) Load(ctx context.Context, what string, f func(pgx.Tx) error) error {
	return s.write(ctx, what, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
			return err
		}
		return f(tx)
	})
}

// MakeMonths makes the partitions for events of these times. It costs nothing when they are there.
func (s *Store) MakeMonths(ctx context.Context, times []time.Time) error {
	var wanted []month
	for _, t := range times {
		if m := monthOf(t); !s.months.has(m) && !slices.Contains(wanted, m) {
			wanted = append(wanted, m)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	slices.Sort(wanted)
	return s.makeMonths(ctx, wanted)
}

// Enqueue makes the job of a task that is there.
func (s *Store) Enqueue(ctx context.Context, tx pgx.Tx, ws workspace.ID, id task.ID) error {
	return s.queue.Enqueue(ctx, tx, ws, id)
}

// Vacuum makes tables ready for reading after they were filled: what they hold is known to the planner, and indexes alone can
// answer.
func (s *Store) Vacuum(ctx context.Context, tables []string) error {
	conn, err := s.acquire(ctx)
	if err != nil {
		return translate("vacuum", err)
	}
	defer conn.Release()
	for _, name := range tables {
		if _, err := conn.Exec(ctx, fmt.Sprintf("VACUUM (FREEZE, ANALYZE) %s", pgx.Identifier{name}.Sanitize())); err != nil {
			return translate("vacuum", lost(conn, err))
		}
	}
	return nil
}

// loading is the fault of a database that a copy (package transfer) fills at the moment, or has not filled to its end; nil
// when there is none.
func (s *Store) loading(ctx context.Context) error {
	var under bool
	err := s.read(ctx, "open", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT to_regclass('copying') IS NOT NULL").Scan(&under)
	})
	if err == nil && under {
		err = fault.New(fault.Unavailable, "the database is being filled by monterey copy, or that was interrupted: let it come to its end, or run it again")
	}
	return err
}
