package postgres

import (
	"context"
	"database/sql"

	"monterey/internal/store/rolluprow"
)

// moveQuarters is migration 12.
func moveQuarters(ctx context.Context, tx *sql.Tx) error {
	return rolluprow.MoveQuarters(ctx, tx, rolluprow.Statements{
		AddColumn: "ALTER TABLE rollups ADD COLUMN quarters bytea NOT NULL DEFAULT '', ALTER COLUMN quarters SET STORAGE EXTERNAL",
		Owners:    "SELECT DISTINCT workspace_id, campaign FROM rollups",
		Rows:      "SELECT bucket, counts, sets FROM rollups WHERE workspace_id = $1 AND campaign = $2 AND span = $3",
		Put:       "UPDATE rollups SET quarters = $1 WHERE workspace_id = $2 AND campaign = $3 AND span = 2 AND bucket = $4",
		Delete:    "DELETE FROM rollups WHERE span = 1",
	})
}
