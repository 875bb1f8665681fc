package sqlite

import (
	"context"
	"database/sql"
	"testing"

	"monterey/internal/rollup"
)

// TestMoveQuarters: from the rows that quarters had of their own the migration makes those of the hours that counting would have
// made.
func TestMoveQuarters(t *testing.T) {
	f := newListFixture(t)
	f.write(func(tx *sql.Tx) {
		ctx := context.Background()
		type key struct{ campaign, bucket int64 }
		all := func() map[key]string {
			out := map[key]string{}
			_, err := query(ctx, tx, func(r row) (_ struct{}, err error) {
				var k key
				var quarters string
				err = r.Scan(&k.campaign, &k.bucket, &quarters)
				out[k] = quarters
				return struct{}{}, err
			}, "SELECT campaign, bucket, hex(quarters) FROM rollups WHERE span = 2")
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		want := all()
		type hour struct {
			key
			counts, sets, quarters []byte
		}
		hours, err := query(ctx, tx, func(r row) (h hour, err error) {
			return h, r.Scan(&h.campaign, &h.bucket, &h.counts, &h.sets, &h.quarters)
		}, "SELECT campaign, bucket, counts, sets, quarters FROM rollups WHERE span = 2")
		if err != nil {
			t.Fatal(err)
		}
		f.exec(tx, "ALTER TABLE rollups DROP COLUMN quarters")
		for _, h := range hours {
			of := rollup.Stretch{Span: rollup.Quarter, From: h.bucket, To: h.bucket + 3600}
			err := of.Each(0, h.bucket, h.counts, h.sets, h.quarters, func(_ int, bucket int64, counts, sets []byte) error {
				if sets == nil {
					sets = []byte{}
				}
				f.exec(tx, "INSERT INTO rollups (workspace, campaign, span, bucket, counts, sets) VALUES (?, ?, 1, ?, ?, ?)", f.ws, h.campaign, bucket, counts, sets)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := moveQuarters(ctx, tx); err != nil {
			t.Fatal(err)
		}
		got := all()
		for k := range want {
			if got[k] != want[k] || want[k] == "" {
				t.Fatalf("quarters of %v are %q, want %q", k, got[k], want[k])
			}
		}
		var left int
		if err := tx.QueryRow("SELECT count(*) FROM rollups WHERE span = 1").Scan(&left); err != nil || left != 0 || len(got) != len(want) {
			t.Errorf("%d rows of quarters are left, %d hours of %d, %v", left, len(got), len(want), err)
		}
	})
}
