package rollup

import (
	"time"

	"monterey/internal/campaign"
)

// ProviderReported are the provider's own figures, when synced; they are shown beside ours and never mixed in. They are of
// all that happened to the campaign until AsOf, whatever the range.
type ProviderReported struct {
	AsOf         time.Time `json:"as_of"`
	Sent         *int64    `json:"sent"`
	Delivered    *int64    `json:"delivered"`
	Opens        *int64    `json:"opens"`
	Clicks       *int64    `json:"clicks"`
	UniqueClicks *int64    `json:"unique_clicks"`
	HardBounces  *int64    `json:"hard_bounces"`
	SoftBounces  *int64    `json:"soft_bounces"`
	Complaints   *int64    `json:"complaints"`
	Unsubscribes *int64    `json:"unsubscribes"`
}

// reportedOf is nil for nil.
func reportedOf(f *campaign.Figures) *ProviderReported {
	if f == nil {
		return nil
	}
	return &ProviderReported{f.AsOf.UTC(), f.Sent, f.Delivered, f.Opens, f.Clicks, f.UniqueClicks, f.HardBounces, f.SoftBounces,
		f.Complaints, f.Unsubscribes}
}

// reportedSum adds up the figures of several campaigns: a sum is known only where all of them are. A campaign that was
// never synced makes all sums unknown, unless nothing is known to have happened to it, as to a draft. The sum is as old as
// the oldest figure.
type reportedSum struct {
	campaign.Figures
	some, incomplete bool
}

func (t *reportedSum) add(s *subject) {
	switch f := s.Figures; {
	case f == nil:
		t.incomplete = t.incomplete || len(s.runs) > 0 || !s.life.empty()
	case !t.some:
		t.Figures, t.some = *f, true
	default:
		if f.AsOf.Before(t.AsOf) {
			t.AsOf = f.AsOf
		}
		other := *f
		var terms []*int64
		other.Each(func(p **int64) { terms = append(terms, *p) })
		t.Each(func(p **int64) {
			*p, terms = both(*p, terms[0]), terms[1:]
		})
	}
}

// sum is nil where it is unknown, and of no campaign.
func (t *reportedSum) sum() *ProviderReported {
	if !t.some || t.incomplete {
		return nil
	}
	return reportedOf(&t.Figures)
}

// both sums two numbers; nil where either is unknown.
func both(a, b *int64) *int64 {
	if a == nil || b == nil {
		return nil
	}
	return new(*a + *b)
}
