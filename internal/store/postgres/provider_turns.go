package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/provider"
)

// Every request to a provider takes its turn here. That a crash may forget the last ones is no harm.
const forgetful = "SET LOCAL synchronous_commit = off"

// TakeTurn implements provider.Turns.
func (s *Store) TakeTurn(ctx context.Context, id provider.ID, every time.Duration) (wait, held time.Duration, err error) {
	err = s.write(ctx, "take turn", func(tx pgx.Tx) error {
		now, err := s.forgetful(ctx, tx)
		if err != nil {
			return err
		}
		var turn, until int64 // $2 - $3 is now
		err = tx.QueryRow(ctx, `INSERT INTO turns AS t (connection, next_at, held_until) VALUES ($1, $2, 0)
			ON CONFLICT (connection) DO UPDATE SET next_at = CASE WHEN t.held_until > $2 - $3 THEN t.next_at ELSE greatest(t.next_at + $3, excluded.next_at) END
			RETURNING next_at - $3, held_until`, id, now.Add(every).UnixMicro(), every.Microseconds()).Scan(&turn, &until)
		wait, held = fromMicros(turn).Sub(now), 0
		if until > 0 {
			held = fromMicros(until).Sub(now)
		}
		return err
	})
	return wait, held, err
}

// HoldTurns implements provider.Turns.
func (s *Store) HoldTurns(ctx context.Context, id provider.ID, during time.Duration) error {
	return s.write(ctx, "hold turns", func(tx pgx.Tx) error {
		now, err := s.forgetful(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO turns AS t (connection, next_at, held_until) VALUES ($1, 0, $2)
			ON CONFLICT (connection) DO UPDATE SET held_until = greatest(t.held_until, excluded.held_until)`, id, now.Add(during).UnixMicro())
		return err
	})
}

func (s *Store) forgetful(ctx context.Context, tx pgx.Tx) (time.Time, error) {
	if _, err := tx.Exec(ctx, forgetful); err != nil {
		return time.Time{}, err
	}
	return s.clock(ctx, tx)
}
