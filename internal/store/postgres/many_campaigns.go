package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgtype"

	"monterey/internal/campaign"
	"monterey/internal/rollup"
)

// manyCampaigns is a rollup.Source of several campaigns as one, whichever is asked for, without sets.
type manyCampaigns struct {
	*view
	nums []int64
}

// Counts implements rollup.Source: the rows of a bucket are added up.
func (m manyCampaigns) Counts(ctx context.Context, _ campaign.ID, s rollup.Span, from, to int64, f func(int64, []byte, []byte) error) error {
	sums := rollup.CountSums{}
	if s == rollup.Quarter {
		err := m.quarters(ctx, m.nums, from, to, func(bucket int64, counts, _ []byte) error { return sums.Add(bucket, counts) })
		if err != nil {
			return err
		}
		return sums.Each(f)
	}
	var bucket int64
	var counts pgtype.DriverBytes
	err := m.each(ctx, func(r row) error {
		if err := r.Scan(&bucket, &counts); err != nil {
			return err
		}
		return sums.Add(bucket, counts)
	}, `SELECT bucket, counts FROM rollups WHERE workspace_id = $1 AND campaign = ANY ($2) AND span = $3 AND bucket >= $4 AND bucket < $5`,
		m.ws, m.nums, int64(s), from, to)
	if err != nil {
		return err
	}
	return sums.Each(f)
}

// Facts implements rollup.Source.
func (m manyCampaigns) Facts(ctx context.Context, _ campaign.ID, from, to int64, f func(rollup.Fact)) error {
	return m.facts(ctx, m.nums, from, to, f)
}
