package rollup

import (
	"context"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/workspace"
)

// Source is one snapshot of what is stored for a workspace: everything read from one Source belongs together. Times are
// Unix seconds; ranges are half-open, and math.MinInt64 and math.MaxInt64 stand for an end that is open.
type Source interface {
	// Rows calls f for each stored row of the stretches, one stretch after another and in order of bucket; n is the index of
	// the stretch. counts and sets are the two parts that Row.Marshal wrote, valid during the call only. However many
	// stretches are asked for, it is one question: who needs several asks for them together.
	Rows(ctx context.Context, stretches []Stretch, f func(n int, bucket int64, counts, sets []byte) error) error
	// Facts calls f for each event of the stretches, in any order.
	Facts(ctx context.Context, stretches []Stretch, f func(n int, e Fact)) error
}

// Stretch is the rows of a campaign's span with From <= bucket < To, or its events with From <= At < To. The events of
// Workspace are those of all campaigns.
type Stretch struct {
	Campaign campaign.ID
	Span     Span // of events 0
	From, To int64
	Bare     bool // the counts alone are wanted: sets is nil, which spares reading it
}

// View is a Source with what else statistics are made of, all of the same snapshot.
type View interface {
	Source
	// Campaign: NotFound for an id that is not there. An archived one is there.
	Campaign(ctx context.Context, id campaign.ID) (campaign.Campaign, error)
	// Campaigns are all that the filter chooses, in any order.
	Campaigns(ctx context.Context, f campaign.Filter) ([]campaign.Campaign, error)
	// Runs of these campaigns, in any order; nil means all campaigns.
	Runs(ctx context.Context, campaigns []campaign.ID) ([]campaign.Run, error)
	// AsOf is the time before which everything received is counted in the view: when the oldest delivery that is not was received, or when the view
	// was opened. Asked first it may cost a question of its own.
	AsOf(ctx context.Context) (time.Time, error)
	// HumanAsOf is how far the rules that look at several events have come; zero = not begun.
	HumanAsOf(ctx context.Context) (time.Time, error)
	// Clicks calls f for each click of the campaign with from <= At < to, in any order.
	Clicks(ctx context.Context, c campaign.ID, from, to int64, f func(event.Link, Fact) error) error
	// Domains calls f with a domain and ordinals of recipients there, until every recipient of the set whose domain is known
	// has come. A domain may come several times, and ordinals that are not in the set may come too. ordinals is f's only
	// during the call.
	Domains(ctx context.Context, set *roaring.Bitmap, f func(domain string, ordinals *roaring.Bitmap) error) error
}

// Store opens snapshots.
type Store interface {
	// Snapshot calls f, once, with a view of the caller's workspace that stays as it is until f returns.
	Snapshot(ctx context.Context, c workspace.Caller, f func(View) error) error
}
