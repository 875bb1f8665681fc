package rollup

import (
	"context"
	"math"

	"monterey/internal/campaign"
)

// The ends of an open range.
const (
	open   int64 = math.MinInt64 // as its beginning
	noLast int64 = math.MaxInt64 // as its end
)

// segment is a stretch of time that is read from rows of one span, or from raw events.
type segment struct {
	span     Span // 0 = events
	from, to int64
}

// cover adds the segments that make up [from, to), in order: whole weeks, days at the edges, then hours and quarter hours,
// and events where a quarter hour is cut. Neighbours of one span become one segment, so that segs may already hold what comes before.
func cover(segs []segment, from, to int64) []segment { return coverBy(segs, from, to, Week) }

func coverBy(segs []segment, from, to int64, s Span) []segment {
	if from >= to {
		return segs
	}
	if s == 0 {
		return append(segs, segment{0, from, to})
	}
	a, b := from, to
	if from != open && s.Bucket(from) != from {
		a = s.Bucket(from) + s.Seconds()
	}
	if to != noLast {
		b = s.Bucket(to)
	}
	if a >= b {
		return coverBy(segs, from, to, s.Finer())
	}
	segs = coverBy(segs, from, a, s.Finer())
	if last := len(segs) - 1; last >= 0 && segs[last].span == s && segs[last].to == a {
		segs[last].to = b
	} else {
		segs = append(segs, segment{s, a, b})
	}
	return coverBy(segs, b, to, s.Finer())
}

// Collect joins what happened to the campaign in [from, to), Unix seconds (see Source for open ends), keeping the sets of
// want.
func Collect(ctx context.Context, src Source, c campaign.ID, from, to int64, want Metrics) (*Accumulator, error) {
	a := NewAccumulator(want)
	return a, a.Collect(ctx, src, c, from, to)
}

// Collect joins what happened to the campaign in [from, to) to what a holds.
func (a *Accumulator) Collect(ctx context.Context, src Source, c campaign.ID, from, to int64) error {
	if from == open {
		var err error
		if from, err = a.closedDays(ctx, src, c, to); err != nil {
			return err
		}
	}
	var stretches []Stretch
	for _, s := range cover(nil, from, to) {
		if s.span > 0 {
			stretches = append(stretches, Stretch{s.span, s.from, s.to})
		} else if err := src.Facts(ctx, c, s.from, s.to, a.Add); err != nil {
			return err
		}
	}
	if len(stretches) == 0 {
		return nil
	}
	return src.Join(ctx, c, stretches, a.Or)
}

// closedDays joins the lifetime row if it ends before to, and says where the rest begins.
func (a *Accumulator) closedDays(ctx context.Context, src Source, c campaign.ID, to int64) (rest int64, err error) {
	rest = open
	err = src.Rows(ctx, c, Lifetime, 0, 1, func(_ int64, counts, sets []byte) error {
		if err := a.head.read(counts); err != nil || a.head.through > to {
			return err
		}
		rest = a.head.through
		return a.or(&a.head, sets)
	})
	return rest, err
}

// life is what ever happened to a campaign, without sets.
type life struct {
	count       [NumMetrics]uint64
	first, last int64 // first > last when nothing happened
	through     int64 // of the lifetime row; open where there is none
}

func (l life) empty() bool { return l.first > l.last }

func readLife(ctx context.Context, src Source, c campaign.ID) (life, error) {
	a, rest := NewAccumulator(0), open
	err := src.Counts(ctx, c, Lifetime, 0, 1, func(_ int64, counts, _ []byte) error {
		err := a.OrCounts(counts)
		rest = a.head.through
		return err
	})
	if err == nil {
		err = src.Counts(ctx, c, Day, rest, noLast, func(_ int64, counts, _ []byte) error { return a.OrCounts(counts) })
	}
	return life{a.Count, a.First, a.Last, rest}, err
}

// begin is where who collects from an open end to to may begin as well: with the first week, if the lifetime row goes beyond to
// and would be read for nothing.
func (l life) begin(to int64) int64 {
	if l.through > to && !l.empty() {
		return Week.Bucket(l.first)
	}
	return open
}

// widen opens the ends of a range beyond which nothing happened: an open range is answered from fewer rows.
func (l life) widen(from, to int64) (int64, int64) {
	if from <= l.first {
		from = open
	}
	if to > l.last {
		to = noLast
	}
	return from, to
}
