package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Waiting is how many deliveries of all workspaces wait in the inbox and when the oldest was received (zero when there is none).
func (s *Store) Waiting(ctx context.Context) (n int64, oldest time.Time, err error) {
	var received int64
	err = s.read(ctx, "waiting", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT count(*), coalesce(min(received_at), 0) FROM inbox").Scan(&n, &received)
	})
	return n, fromMicros(received), err
}
