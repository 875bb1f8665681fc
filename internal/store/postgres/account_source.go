package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"monterey/internal/account"
	"monterey/internal/workspace"
)

// PutSource implements account.Store.
func (s *Store) PutSource(ctx context.Context, c workspace.Caller, src account.Source) error {
	return s.write(ctx, "put account source", func(tx pgx.Tx) error {
		ws, err := heldWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO account_sources (workspace_id, url, query, schedule) VALUES ($1, $2, $3, $4)
			ON CONFLICT (workspace_id) DO UPDATE SET url = excluded.url, query = excluded.query, schedule = excluded.schedule`,
			ws, src.URL, src.Query, src.Schedule)
		return err
	})
}

// GetSource implements account.Store.
func (s *Store) GetSource(ctx context.Context, c workspace.Caller) (src account.Source, err error) {
	err = s.read(ctx, "get account source", func(tx pgx.Tx) error {
		ws, err := liveWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, "SELECT url, query, schedule FROM account_sources WHERE workspace_id = $1", ws).Scan(&src.URL, &src.Query, &src.Schedule)
		return found(err, "account source")
	})
	return src, err
}

// DeleteSource implements account.Store. When it was last due is forgotten too, or another source that is set later would
// be due at once.
func (s *Store) DeleteSource(ctx context.Context, c workspace.Caller) error {
	return s.write(ctx, "delete account source", func(tx pgx.Tx) error {
		id := c.Workspace()
		ws, err := heldWorkspace(ctx, tx, id)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM schedules WHERE workspace_id = $1 AND of = $2", ws, id); err != nil {
			return err
		}
		res, err := tx.Exec(ctx, "DELETE FROM account_sources WHERE workspace_id = $1", ws)
		return changed(res, err, "account source")
	})
}
