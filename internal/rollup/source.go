package rollup

import (
	"context"

	"monterey/internal/campaign"
)

// Source is one snapshot of what is stored for a workspace: everything read from one Source belongs together.
type Source interface {
	// Rows calls f for each stored row of the span with from <= bucket < to, in order of bucket. counts and sets are the
	// two parts that Row.Marshal wrote, valid during the call only.
	Rows(ctx context.Context, c campaign.ID, s Span, from, to int64, f func(bucket int64, counts, sets []byte) error) error
	// Counts is Rows for who needs the counts alone: sets is nil, which spares reading it.
	Counts(ctx context.Context, c campaign.ID, s Span, from, to int64, f func(bucket int64, counts, sets []byte) error) error
	// Facts calls f for each event of the campaign (of the whole workspace for Workspace) with from <= At < to, in any
	// order.
	Facts(ctx context.Context, c campaign.ID, from, to int64, f func(Fact)) error
}
