package sqlite

import (
	"context"
	"database/sql"
	"maps"
	"testing"

	"monterey/internal/rollup"
)

// TestAddWeeks: from the days the migration makes the weeks that counting would have made, and damaged ones of damaged days.
func TestAddWeeks(t *testing.T) {
	f := newListFixture(t)
	all := func(tx *sql.Tx) map[[3]int64]string {
		out := map[[3]int64]string{}
		_, err := query(context.Background(), tx, func(r row) (_ struct{}, err error) {
			var k [3]int64
			var counts, sets string
			err = r.Scan(&k[0], &k[1], &k[2], &counts, &sets)
			out[k] = counts + " " + sets
			return struct{}{}, err
		}, "SELECT campaign, span, bucket, hex(counts), hex(sets) FROM rollups")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	f.write(func(tx *sql.Tx) {
		want := all(tx)
		f.exec(tx, "DELETE FROM rollups WHERE span = 5")
		if err := addWeeks(context.Background(), tx); err != nil {
			t.Fatal(err)
		}
		if got := all(tx); !maps.Equal(got, want) {
			t.Fatalf("%d rows, want %d, and the same", len(got), len(want))
		}
		f.exec(tx, "DELETE FROM rollups WHERE span = 5")
		f.exec(tx, "UPDATE rollups SET counts = x'00' WHERE span = 3 AND campaign = 1")
		if err := addWeeks(context.Background(), tx); err != nil {
			t.Fatal(err)
		}
	})
	f.inView(func(v rollup.View) {
		for i, c := range f.campaigns[:2] {
			_, err := rollup.Collect(context.Background(), v, c.ID, fixtureStart.AddDate(0, -1, 0).Unix(), fixtureStart.AddDate(0, 3, 0).Unix(), rollup.AllMetrics)
			if (err != nil) != (i == 0) {
				t.Errorf("campaign %d, of damaged days the first: %v", i, err)
			}
		}
	})
}
