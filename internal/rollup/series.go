package rollup

import (
	"context"
	"fmt"
	"slices"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/fault"
)

// MaxBuckets is how many a time series may have.
const MaxBuckets = 10_000

// SeriesParams says which series. Zone is never nil.
type SeriesParams struct {
	Range
	Granularity Granularity
	Zone        *time.Location
	WeekStart   WeekStart
}

// Series is a campaign's time series. DateFrom and DateTo are the range that its points cover, with open ends resolved to
// the edges of buckets; nil when there is no point.
type Series struct {
	CampaignID  campaign.ID `json:"campaign_id"`
	Granularity Granularity `json:"granularity"`
	Timezone    string      `json:"timezone"`
	WeekStart   WeekStart   `json:"week_start"`
	DateFrom    *time.Time  `json:"date_from"`
	DateTo      *time.Time  `json:"date_to"`
	AsOf        time.Time   `json:"as_of"`
	Truncated   bool        `json:"truncated"`
	Totals      Statistics  `json:"totals"`
	Points      []Point     `json:"points"`
}

// Point is one bucket; its delivered is never derived.
type Point struct {
	BucketStart time.Time `json:"bucket_start"`
	BucketEnd   time.Time `json:"bucket_end"` // of the whole calendar bucket
	Partial     bool      `json:"partial"`    // the range cuts it; it counts the range only
	Counts
	NewUniqueOpens       int64 `json:"new_unique_opens"`
	NewUniqueClicks      int64 `json:"new_unique_clicks"`
	NewUniqueHumanOpens  int64 `json:"new_unique_human_opens"`
	NewUniqueHumanClicks int64 `json:"new_unique_human_clicks"`
}

// SeriesOf is the time series of one campaign. Without a beginning it begins with the bucket of the campaign's first event
// (a campaign without events has no points then); without an end it ends with the bucket that holds the later of the view's
// as_of and the last event. Faults: NotFound, and Invalid when the range has more than MaxBuckets; without a beginning the last of
// them come instead.
func SeriesOf(ctx context.Context, v View, id campaign.ID, p SeriesParams) (Series, error) {
	c, err := v.Campaign(ctx, id)
	if err != nil {
		return Series{}, err
	}
	q, err := newQuestion(ctx, v)
	if err != nil {
		return Series{}, err
	}
	subjects, err := q.subjects(ctx, []campaign.Campaign{c})
	if err != nil {
		return Series{}, err
	}
	s := &subjects[0]
	out := Series{
		CampaignID: id, Granularity: p.Granularity, Timezone: p.Zone.String(), WeekStart: p.WeekStart,
		DateFrom: timePtr(p.From), DateTo: timePtr(p.To), AsOf: q.asOf.UTC(), Points: []Point{},
	}
	bounds, truncated, err := p.bounds(s.life, q.asOf)
	if err != nil {
		return Series{}, err
	}
	totals := p.Range
	if len(bounds) > 0 {
		r := p.Range
		if r.From.IsZero() {
			r.From = time.Unix(bounds[0], 0).UTC()
		}
		if r.To.IsZero() {
			r.To = time.Unix(bounds[len(bounds)-1], 0).UTC()
		}
		if truncated {
			totals = r
		}
		out.Truncated, out.DateFrom, out.DateTo = truncated, timePtr(r.From), timePtr(r.To)
		w := newWalk(s, r, bounds)
		if out.Points, err = w.points(ctx, v); err != nil {
			return Series{}, err
		}
		if s.life.within(totals) && s.life.spread&counted&^firsts == 0 { // the walk has seen what else would be read again
			q.acc = *w.seen
			out.Totals = q.answer(s, totals)
			return out, nil
		}
	}
	out.Totals, err = q.one(ctx, s, totals)
	return out, err
}

// bounds are where the buckets of the range begin, in order, and last where the last one ends; none when there is no bucket.
func (p SeriesParams) bounds(l life, asOf time.Time) (bounds []int64, truncated bool, err error) {
	c := calendar{p.Zone, p.Granularity, p.WeekStart}
	first, last := l.first, max(asOf.Unix(), l.last)
	if !p.From.IsZero() {
		first = p.From.Unix()
	} else if l.empty() {
		return nil, false, nil
	}
	if !p.To.IsZero() {
		last = ceilUnix(p.To) - 1
	}
	if first > last {
		return nil, false, nil
	}
	if p.From.IsZero() {
		bounds, truncated = c.backward(first, last)
		return bounds, truncated, nil
	}
	bounds, all := c.forward(first, last)
	if !all {
		fits := time.Unix(bounds[len(bounds)-1], 0).UTC().Format(time.RFC3339)
		return nil, false, fault.Fields(fault.Field{Loc: []string{"query", "date_to"}, Type: "range", Msg: fmt.Sprintf(
			"the range has more than %d buckets of a %s; from %s it may go to %s at most",
			MaxBuckets, p.Granularity, p.From.UTC().Format(time.RFC3339Nano), fits)})
	}
	return bounds, false, nil
}

// forward are the bounds from the bucket of first to that of last; all is false when MaxBuckets did not reach it.
func (c calendar) forward(first, last int64) (bounds []int64, all bool) {
	start, end := c.bucket(first)
	bounds = []int64{start, end}
	for end <= last && len(bounds) <= MaxBuckets {
		_, end = c.bucket(end)
		bounds = append(bounds, end)
	}
	return bounds, end > last
}

// backward are the same bounds, but without those before the last MaxBuckets.
func (c calendar) backward(first, last int64) (bounds []int64, truncated bool) {
	start, end := c.bucket(last)
	bounds = []int64{end, start}
	for start > first && len(bounds) <= MaxBuckets {
		start, _ = c.bucket(start - 1)
		bounds = append(bounds, start)
	}
	slices.Reverse(bounds)
	return bounds, start > first
}

// firsts are the metrics of which a point counts new recipients.
const firsts = 1<<Open | 1<<HumanOpen | 1<<Click | 1<<HumanClick

// walk goes over the rows of a series in the order of time.
type walk struct {
	s      *subject
	r      Range   // closed
	bounds []int64 // of the buckets
	out    []Point
	i      int          // the bucket that is being counted
	row    header       // of the row being read
	whole  *tally       // what a row that is the whole bucket says
	acc    *Accumulator // what the bucket's parts say, if it has several
	seen   *Accumulator // everything in the campaign up to now
	before [NumMetrics]uint64
}

// lastSecond is the last that RFC 3339 can write; no bucket is said to end later.
var lastSecond = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC).Unix()

func newWalk(s *subject, r Range, bounds []int64) *walk {
	w := &walk{s: s, r: r, bounds: bounds, acc: NewAccumulator(counted), seen: NewAccumulator(firsts)}
	from, to := r.seconds()
	for i, start := range bounds[:len(bounds)-1] {
		end := bounds[i+1]
		w.out = append(w.out, Point{
			BucketStart: time.Unix(start, 0).UTC(), BucketEnd: time.Unix(min(end, lastSecond), 0).UTC(),
			Partial: start < from || end > to,
		})
	}
	return w
}

func (w *walk) points(ctx context.Context, src Source) ([]Point, error) {
	from, to := w.r.seconds()
	if from > w.s.life.first {
		earlier := ask{w.s.life.stretches(w.s.ID, open, from), w.seen, firsts}
		if err := collect(ctx, src, []ask{earlier}, func(int) {}); err != nil {
			return nil, err
		}
	}
	w.mark()
	stretches := w.stretches(from, to)
	err := eachRow(ctx, src, stretches, func(n int, bucket int64, counts, sets []byte) error {
		return w.add(stretches[n].Span, bucket, counts, sets)
	})
	if err != nil {
		return nil, err
	}
	for w.i < len(w.out) {
		w.flush()
	}
	return w.out, nil
}

// stretches cover the buckets one by one, so that none is read from a row that two of them share. Before the first event
// and after the last there is nothing to be read.
func (w *walk) stretches(from, to int64) (out []Stretch) {
	for i := range w.out {
		start, end := max(w.bounds[i], from), min(w.bounds[i+1], to)
		if end > w.s.life.first && start <= w.s.life.last {
			out = cover(out, w.s.ID, start, end)
		}
	}
	return out
}

// add counts a row of the span, or one that was made of events.
func (w *walk) add(s Span, bucket int64, counts, sets []byte) error {
	w.reach(bucket)
	if err := w.row.read(counts); err != nil {
		return err
	}
	if err := w.seen.or(&w.row, sets); err != nil {
		return err
	}
	if s > 0 && w.bounds[w.i+1]-w.bounds[w.i] == s.Seconds() {
		w.whole = &tally{w.row.count, w.row.size}
		return nil
	}
	return w.acc.or(&w.row, sets)
}

// reach makes the bucket that holds at the one that is being counted.
func (w *walk) reach(at int64) {
	for w.bounds[w.i+1] <= at {
		w.flush()
	}
}

// flush ends the bucket that is being counted.
func (w *walk) flush() {
	t := w.whole
	if t == nil {
		t = new(w.acc.tally())
		w.acc.Reset(counted)
	}
	p := &w.out[w.i]
	p.Counts = t.counts(w.s.known)
	in := w.cut(p)
	p.Partial = in.From != p.BucketStart || in.To != p.BucketEnd
	w.s.fillSent(&p.Counts, in, t.count[Delivered], false)
	p.NewUniqueOpens, p.NewUniqueClicks = w.fresh(Open), w.fresh(Click)
	p.NewUniqueHumanOpens, p.NewUniqueHumanClicks = w.fresh(HumanOpen), w.fresh(HumanClick)
	w.mark()
	w.whole = nil
	w.i++
}

// cut is what of the bucket lies in the range.
func (w *walk) cut(p *Point) Range {
	r := Range{From: p.BucketStart, To: p.BucketEnd}
	if r.From.Before(w.r.From) {
		r.From = w.r.From
	}
	if r.To.After(w.r.To) {
		r.To = w.r.To
	}
	return r
}

// fresh is how many recipients the bucket added.
func (w *walk) fresh(m Metric) int64 { return int64(w.seen.Set(m).Len() - w.before[m]) }

func (w *walk) mark() {
	for m := range NumMetrics {
		w.before[m] = w.seen.Set(m).Len()
	}
}
