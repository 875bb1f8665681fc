package sqlite

import (
	"context"
	"database/sql"

	"monterey/internal/rollup"
)

// addWeeks makes the weeks' rollups from those of their days, which is what migration 11 does. The week of a damaged day is
// damaged too, until a recount repairs both.
func addWeeks(ctx context.Context, tx *sql.Tx) error {
	type owner struct{ workspace, campaign int64 }
	owners, err := query(ctx, tx, func(r row) (o owner, err error) { return o, r.Scan(&o.workspace, &o.campaign) },
		"SELECT DISTINCT workspace, campaign FROM rollups")
	if err != nil {
		return err
	}
	for _, o := range owners {
		weeks, damaged := map[int64]*rollup.Row{}, map[int64]bool{}
		_, err := query(ctx, tx, func(r row) (_ struct{}, err error) {
			var day int64
			var counts, sets []byte
			if err := r.Scan(&day, &counts, &sets); err != nil {
				return struct{}{}, err
			}
			week := rollup.Week.Bucket(day)
			if weeks[week] == nil {
				weeks[week] = rollup.NewRow()
			}
			if d, err := rollup.Unmarshal(counts, sets); err == nil {
				weeks[week].Or(d)
			} else {
				damaged[week] = true
			}
			return struct{}{}, nil
		}, "SELECT bucket, counts, sets FROM rollups WHERE workspace = ? AND campaign = ? AND span = ?", o.workspace, o.campaign, int64(rollup.Day))
		if err != nil {
			return err
		}
		for week, r := range weeks {
			counts, sets := r.Marshal()
			if damaged[week] {
				counts = []byte{0}
			}
			if sets == nil {
				sets = []byte{}
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO rollups (workspace, campaign, span, bucket, counts, sets) VALUES (?, ?, ?, ?, ?, ?)",
				o.workspace, o.campaign, int64(rollup.Week), week, counts, sets); err != nil {
				return err
			}
		}
	}
	return nil
}
