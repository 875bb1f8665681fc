package postgres

import (
	"context"
	"database/sql"
	"encoding/hex"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"

	"monterey/internal/rollup"
)

// TestMoveQuarters: from the rows that quarters had of their own the migration makes those of the hours that counting would have
// made.
func TestMoveQuarters(t *testing.T) {
	f := newListFixture(t)
	ctx := context.Background()
	db := stdlib.OpenDB(*f.direct)
	defer func() { _ = db.Close() }()
	type hour struct {
		campaign, bucket       int64
		counts, sets, quarters []byte
	}
	all := func(tx *sql.Tx) (hours []hour) {
		rows, err := tx.QueryContext(ctx, "SELECT campaign, bucket, counts, sets, quarters FROM rollups WHERE span = 2 ORDER BY campaign, bucket")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var h hour
			if err := rows.Scan(&h.campaign, &h.bucket, &h.counts, &h.sets, &h.quarters); err != nil {
				t.Fatal(err)
			}
			hours = append(hours, h)
		}
		return hours
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	exec := func(text string, args ...any) {
		if _, err := tx.ExecContext(ctx, text, args...); err != nil {
			t.Fatal(err)
		}
	}
	want := all(tx)
	exec("ALTER TABLE rollups DROP COLUMN quarters")
	for _, h := range want {
		of := rollup.Stretch{Span: rollup.Quarter, From: h.bucket, To: h.bucket + 3600}
		err := of.Each(0, h.bucket, h.counts, h.sets, h.quarters, func(_ int, bucket int64, counts, sets []byte) error {
			if sets == nil {
				sets = []byte{}
			}
			exec("INSERT INTO rollups (workspace_id, campaign, span, bucket, counts, sets) VALUES ($1, $2, 1, $3, $4, $5)", f.ws, h.campaign, bucket, counts, sets)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := moveQuarters(ctx, tx); err != nil {
		t.Fatal(err)
	}
	got := all(tx)
	if len(got) != len(want) {
		t.Fatalf("%d hours, want %d", len(got), len(want))
	}
	for i, h := range want {
		if hex.EncodeToString(got[i].quarters) != hex.EncodeToString(h.quarters) || len(h.quarters) == 0 {
			t.Fatalf("quarters of %d, %d are %x, want %x", h.campaign, h.bucket, got[i].quarters, h.quarters)
		}
	}
	var left int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM rollups WHERE span = 1").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows of quarters are left, %v", left, err)
	}
}
