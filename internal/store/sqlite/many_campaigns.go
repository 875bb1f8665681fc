package sqlite

import (
	"context"
	"database/sql"

	"monterey/internal/campaign"
	"monterey/internal/rollup"
)

// manyCampaigns is a rollup.Source of several campaigns as one, whichever is asked for, without sets.
type manyCampaigns struct {
	*view
	ids  []campaign.ID
	nums []int64
}

// Counts implements rollup.Source: the rows of a bucket are added up.
func (m manyCampaigns) Counts(ctx context.Context, _ campaign.ID, s rollup.Span, from, to int64, f func(int64, []byte, []byte) error) error {
	sums := rollup.CountSums{}
	if s == rollup.Quarter {
		err := m.quarters(ctx, from, to, func(bucket int64, counts, _ []byte) error { return sums.Add(bucket, counts) },
			`SELECT bucket, counts, sets, quarters FROM rollups WHERE workspace = ? AND campaign IN (SELECT value FROM json_each(?))
			AND span = 2 AND bucket >= ? AND bucket < ?`, m.ws, listJSON(m.nums), rollup.HourOf(from), to)
		if err != nil {
			return err
		}
		return sums.Each(f)
	}
	var bucket int64
	var counts sql.RawBytes
	err := m.each(ctx, func(r row) error {
		if err := r.Scan(&bucket, &counts); err != nil {
			return err
		}
		return sums.Add(bucket, counts)
	}, `SELECT bucket, counts FROM rollups WHERE workspace = ? AND campaign IN (SELECT value FROM json_each(?))
		AND span = ? AND bucket >= ? AND bucket < ?`, m.ws, listJSON(m.nums), int64(s), from, to)
	if err != nil {
		return err
	}
	return sums.Each(f)
}

// Facts implements rollup.Source.
func (m manyCampaigns) Facts(ctx context.Context, _ campaign.ID, from, to int64, f func(rollup.Fact)) error {
	for _, id := range m.ids {
		if err := m.view.Facts(ctx, id, from, to, f); err != nil {
			return err
		}
	}
	return nil
}
