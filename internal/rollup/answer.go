package rollup

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/provider"
)

// One counts what happened to one campaign in the range. NotFound for an id that is not there.
func One(ctx context.Context, v View, id campaign.ID, r Range) (Statistics, error) {
	c, err := v.Campaign(ctx, id)
	if err != nil {
		return Statistics{}, err
	}
	q, err := newQuestion(ctx, v)
	if err != nil {
		return Statistics{}, err
	}
	s, err := q.subjects(ctx, []campaign.Campaign{c})
	if err != nil {
		return Statistics{}, err
	}
	return q.one(ctx, &s[0], r)
}

// ListParams chooses campaigns and says what to count of them.
type ListParams struct {
	campaign.Filter
	Range
	Basis       Basis
	page.Params // Sort: one of SortFields; "" is last_event_at, descending
}

// each works out the statistics of each campaign chosen, in any order. f may use q.acc.
func each(ctx context.Context, q *question, f campaign.Filter, r Range, b Basis, fn func(*subject, Statistics)) error {
	cs, err := q.v.Campaigns(ctx, f)
	if err != nil {
		return err
	}
	subjects, err := q.subjects(ctx, cs)
	if err != nil {
		return err
	}
	var of []asked
	for i := range subjects {
		s := &subjects[i]
		switch {
		case b != BySend:
			of = append(of, asked{s, r})
		case s.firstRunIn(r):
			of = append(of, asked{s, Range{}})
		}
	}
	return q.statistics(ctx, of, func(s *subject, st Statistics) {
		st.DateFrom, st.DateTo, st.Basis = timePtr(r.From), timePtr(r.To), b
		fn(s, st)
	})
}

// firstRunIn says whether the campaign was first sent in the range; one without runs never was.
func (s *subject) firstRunIn(r Range) bool {
	if len(s.runs) == 0 {
		return false
	}
	first := slices.MinFunc(s.runs, func(a, b campaign.Run) int { return a.StartedAt.Compare(b.StartedAt) })
	return r.has(first.StartedAt)
}

// List is a page of the statistics of all campaigns chosen. The fault is Invalid for an unknown field to sort by.
func List(ctx context.Context, v View, p ListParams) (page.Of[Statistics], error) {
	field, desc := p.Sort, p.Desc
	if field == "" {
		field, desc = "last_event_at", true
	}
	key := sortKeys()[field]
	if key == nil {
		return page.Of[Statistics]{}, fault.Fields(fault.Field{Loc: []string{"query", "sort"}, Type: "enum",
			Msg: "must be one of " + strings.Join(SortFields(), ", ") + ", or -field"})
	}
	q, err := newQuestion(ctx, v)
	if err != nil {
		return page.Of[Statistics]{}, err
	}
	all := []Statistics{}
	if err := each(ctx, q, p.Filter, p.Range, p.Basis, func(_ *subject, s Statistics) { all = append(all, s) }); err != nil {
		return page.Of[Statistics]{}, err
	}
	sortBy(all, key, desc)
	from := min(max(p.Offset(), 0), len(all))
	return page.Of[Statistics]{Items: all[from:min(from+p.Size, len(all))], Total: int64(len(all))}, nil
}

// sortKey is a value to sort by; null ones come last, whatever the direction.
type sortKey struct {
	null   bool
	number float64
	text   string
}

func sortBy(all []Statistics, key func(*Statistics) sortKey, desc bool) {
	slices.SortFunc(all, func(a, b Statistics) int {
		x, y := key(&a), key(&b)
		if x.null != y.null {
			if x.null {
				return 1
			}
			return -1
		}
		d := cmp.Or(cmp.Compare(x.number, y.number), cmp.Compare(x.text, y.text))
		if desc {
			d = -d
		}
		return cmp.Or(d, bytes.Compare(a.CampaignID.UUID[:], b.CampaignID.UUID[:]))
	})
}

// Overview is the workspace as one: sums of the list, and persons.
type Overview struct {
	Total
	// Previous is the range of equal length just before; nil unless both ends are given, and where it would begin before the
	// year 2.
	Previous *Total `json:"previous"`
}

// Total is the sum of campaigns. Uniques, bounces, unsubscribes and complaints count (campaign, recipient) pairs; the
// distinct ones count persons.
type Total struct {
	Statistics
	DistinctOpeners  int64 `json:"distinct_openers"`
	DistinctClickers int64 `json:"distinct_clickers"`
}

// Overall sums the campaigns that List lists with the same filter, range and basis.
func Overall(ctx context.Context, v View, f campaign.Filter, r Range, b Basis) (Overview, error) {
	q, err := newQuestion(ctx, v)
	if err != nil {
		return Overview{}, err
	}
	total, err := q.total(ctx, f, r, b)
	prev, ok := r.before()
	if err != nil || !ok {
		return Overview{Total: total}, err
	}
	before, err := q.total(ctx, f, prev, b)
	return Overview{Total: total, Previous: &before}, err
}

// before is the range of equal length just before a closed one; ok is false where there is none.
func (r Range) before() (prev Range, ok bool) {
	length := r.To.Sub(r.From) // of more than 292 years as many
	if r.From.IsZero() || r.To.IsZero() || length == math.MaxInt64 {
		return Range{}, false
	}
	prev = Range{From: r.From.Add(-length), To: r.From}
	return prev, prev.From.Year() > 1 // earlier is an open end, or no year that JSON can tell
}

func (q *question) total(ctx context.Context, f campaign.Filter, r Range, b Basis) (Total, error) {
	t := Total{Statistics: q.blank(r)}
	t.Basis = b
	var openers, clickers Set
	var reported reportedSum
	campaigns := 0
	err := each(ctx, q, f, r, b, func(c *subject, s Statistics) {
		t.plus(&s)
		reported.add(c)
		campaigns++
		openers.Or(q.acc.Set(Open))
		clickers.Or(q.acc.Set(Click))
	})
	if err == nil && campaigns == 0 {
		t.Counts, err = q.nothing(ctx)
	}
	t.ProviderReported = reported.sum()
	t.DistinctOpeners, t.DistinctClickers = int64(openers.Len()), int64(clickers.Len())
	t.setRates()
	return t, err
}

// nothing is what no campaign sums up to: 0 of what has been reported in the workspace at all.
func (q *question) nothing(ctx context.Context) (Counts, error) {
	all, err := readLives(ctx, q.v, []campaign.ID{Workspace})
	if err != nil {
		return Counts{}, err
	}
	var known Metrics
	for _, p := range provider.Names {
		if !all[0].empty() {
			known |= reports(p)
		}
	}
	return tally{}.counts(known), nil
}

// plus adds a campaign's counts and base, and widens the first and the last event.
func (s *Statistics) plus(o *Statistics) {
	if o.FirstEventAt != nil && (s.FirstEventAt == nil || o.FirstEventAt.Before(*s.FirstEventAt)) {
		s.FirstEventAt = o.FirstEventAt
	}
	if o.LastEventAt != nil && (s.LastEventAt == nil || o.LastEventAt.After(*s.LastEventAt)) {
		s.LastEventAt = o.LastEventAt
	}
	if o.DeliveredSource != nil {
		if s.DeliveredSource != nil && *s.DeliveredSource != *o.DeliveredSource {
			s.DeliveredSource = new(Mixed)
		} else {
			s.DeliveredSource = o.DeliveredSource
		}
	}
	s.Sent, s.Delivered = add(s.Sent, o.Sent), add(s.Delivered, o.Delivered)
	s.Opens += o.Opens
	s.Clicks += o.Clicks
	s.UniqueOpens += o.UniqueOpens
	s.UniqueClicks += o.UniqueClicks
	s.HumanOpens += o.HumanOpens
	s.UniqueHumanOpens += o.UniqueHumanOpens
	s.HumanClicks += o.HumanClicks
	s.UniqueHumanClicks += o.UniqueHumanClicks
	s.Bounces, s.HardBounces = add(s.Bounces, o.Bounces), add(s.HardBounces, o.HardBounces)
	s.SoftBounces = add(s.SoftBounces, o.SoftBounces)
	s.Unsubscribes, s.Complaints = add(s.Unsubscribes, o.Unsubscribes), add(s.Complaints, o.Complaints)
	s.RateBase.Sent = add(s.RateBase.Sent, o.RateBase.Sent)
	s.RateBase.Delivered = add(s.RateBase.Delivered, o.RateBase.Delivered)
	s.clickedOpeners += o.clickedOpeners
}
