package sqlite

import (
	"context"
	"database/sql"

	"monterey/internal/store/rolluprow"
)

// moveQuarters is migration 12.
func moveQuarters(ctx context.Context, tx *sql.Tx) error {
	return rolluprow.MoveQuarters(ctx, tx, rolluprow.Statements{
		AddColumn: "ALTER TABLE rollups ADD COLUMN quarters BLOB NOT NULL DEFAULT x''",
		Owners:    "SELECT DISTINCT workspace, campaign FROM rollups",
		Rows:      "SELECT bucket, counts, sets FROM rollups WHERE workspace = ? AND campaign = ? AND span = ?",
		Put:       "UPDATE rollups SET quarters = ? WHERE workspace = ? AND campaign = ? AND span = 2 AND bucket = ?",
		Delete:    "DELETE FROM rollups WHERE span = 1",
	})
}
