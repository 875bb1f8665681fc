package rollup

import (
	"time"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/provider"
)

// Basis is what a range chooses.
type Basis string

// The bases.
const (
	ByEvent Basis = "event" // what happened in the range
	BySend  Basis = "send"  // campaigns whose first run started in the range, with all that ever happened to them
)

// ParseBasis reads a name in lower case; the fault is Invalid.
func ParseBasis(s string) (Basis, error) {
	switch b := Basis(s); b {
	case ByEvent, BySend:
		return b, nil
	}
	return "", fault.New(fault.Invalid, "%q is not a basis; event and send are", s)
}

// Where a number of delivered mails comes from.
const (
	FromEvents = "events"
	FromRuns   = "runs"
	Derived    = "derived" // sent - bounces
	Mixed      = "mixed"   // of several campaigns, not all from the same
)

// Range is half-open, to any precision; a zero time is an open end.
type Range struct{ From, To time.Time }

// seconds are the range's ends for events, which are stored to the second.
func (r Range) seconds() (from, to int64) {
	from, to = open, noLast
	if !r.From.IsZero() {
		from = ceilUnix(r.From)
	}
	if !r.To.IsZero() {
		to = ceilUnix(r.To)
	}
	return from, to
}

func ceilUnix(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

func (r Range) has(t time.Time) bool {
	return (r.From.IsZero() || !t.Before(r.From)) && (r.To.IsZero() || t.Before(r.To))
}

func (r Range) open() bool { return r.From.IsZero() && r.To.IsZero() }

// Counts are the counting fields. Of the pointers nil is "unknown".
type Counts struct {
	Sent              *int64  `json:"sent"`
	Delivered         *int64  `json:"delivered"`
	DeliveredSource   *string `json:"delivered_source"`
	Opens             int64   `json:"opens"`
	Clicks            int64   `json:"clicks"`
	UniqueOpens       int64   `json:"unique_opens"`
	UniqueClicks      int64   `json:"unique_clicks"`
	HumanOpens        int64   `json:"human_opens"`
	UniqueHumanOpens  int64   `json:"unique_human_opens"`
	HumanClicks       int64   `json:"human_clicks"`
	UniqueHumanClicks int64   `json:"unique_human_clicks"`
	Bounces           *int64  `json:"bounces"`
	HardBounces       *int64  `json:"hard_bounces"`
	SoftBounces       *int64  `json:"soft_bounces"`
	Unsubscribes      *int64  `json:"unsubscribes"`
	Complaints        *int64  `json:"complaints"`
}

// RateBase is what rates are fractions of.
type RateBase struct {
	Sent      *int64 `json:"sent"`
	Delivered *int64 `json:"delivered"`
}

// Statistics is the one object in which campaigns are answered; times are UTC. Of the workspace as one the campaign's
// fields are nil.
type Statistics struct {
	CampaignID         *campaign.ID   `json:"campaign_id"`
	CampaignName       *string        `json:"campaign_name"`
	ProviderName       *provider.Name `json:"provider_name"`
	ProviderCampaignID *string        `json:"provider_campaign_id"`
	DateFrom           *time.Time     `json:"date_from"` // nil = open
	DateTo             *time.Time     `json:"date_to"`   // nil = open
	Basis              Basis          `json:"basis"`
	FirstEventAt       *time.Time     `json:"first_event_at"` // of the campaign, whatever the range
	LastEventAt        *time.Time     `json:"last_event_at"`  // of the campaign, whatever the range
	AsOf               time.Time      `json:"as_of"`
	HumanAsOf          *time.Time     `json:"human_as_of"`
	Counts
	RateBase         RateBase          `json:"rate_base"`
	DeliveryRate     *float64          `json:"delivery_rate"`
	OpenRate         *float64          `json:"open_rate"`
	HumanOpenRate    *float64          `json:"human_open_rate"`
	ClickRate        *float64          `json:"click_rate"`
	HumanClickRate   *float64          `json:"human_click_rate"`
	ClickToOpenRate  *float64          `json:"click_to_open_rate"`
	BounceRate       *float64          `json:"bounce_rate"`
	UnsubscribeRate  *float64          `json:"unsubscribe_rate"`
	ComplaintRate    *float64          `json:"complaint_rate"`
	ProviderReported *ProviderReported `json:"provider_reported"`
	clickedOpeners   int64             // recipients who opened and clicked
}

// setRates works the rates out from the counts and the base. They are never clipped.
func (s *Statistics) setRates() {
	sent, delivered := s.RateBase.Sent, s.RateBase.Delivered
	s.DeliveryRate = rate(delivered, sent)
	s.OpenRate = rate(&s.UniqueOpens, delivered)
	s.HumanOpenRate = rate(&s.UniqueHumanOpens, delivered)
	s.ClickRate = rate(&s.UniqueClicks, delivered)
	s.HumanClickRate = rate(&s.UniqueHumanClicks, delivered)
	s.ClickToOpenRate = rate(&s.clickedOpeners, &s.UniqueOpens)
	s.BounceRate = rate(s.Bounces, sent)
	s.UnsubscribeRate = rate(s.Unsubscribes, delivered)
	s.ComplaintRate = rate(s.Complaints, delivered)
}

// rate is nil where either is unknown or the denominator is 0.
func rate(n, of *int64) *float64 {
	if n == nil || of == nil || *of == 0 {
		return nil
	}
	return new(float64(*n) / float64(*of))
}

// counts are the counting fields of what was counted, without sent and delivered. known are the metrics that some source
// reports for the campaign.
func (t tally) counts(known Metrics) Counts {
	unique := func(m Metric) *int64 {
		if !known.Has(m) {
			return nil
		}
		return new(int64(t.unique[m]))
	}
	return Counts{
		Opens: int64(t.count[Open]), UniqueOpens: int64(t.unique[Open]),
		Clicks: int64(t.count[Click]), UniqueClicks: int64(t.unique[Click]),
		HumanOpens: int64(t.count[HumanOpen]), UniqueHumanOpens: int64(t.unique[HumanOpen]),
		HumanClicks: int64(t.count[HumanClick]), UniqueHumanClicks: int64(t.unique[HumanClick]),
		Bounces: unique(Bounce), HardBounces: unique(HardBounce), SoftBounces: unique(SoftBounce),
		Unsubscribes: unique(Unsubscribe), Complaints: unique(Complaint),
	}
}

// add sums two numbers of which either may be unknown.
func add(a, b *int64) *int64 {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return new(*a + *b)
}

func timeOf(at int64) *time.Time { return new(time.Unix(at, 0).UTC()) }

// timePtr is nil for the zero time.
func timePtr(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}
