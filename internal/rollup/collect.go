package rollup

import (
	"context"
	"errors"
	"math"

	"monterey/internal/campaign"
)

// The ends of an open range.
const (
	open   int64 = math.MinInt64 // as its beginning
	noLast int64 = math.MaxInt64 // as its end
)

// cover adds the stretches that make up the campaign's [from, to), in order: whole weeks, days at the edges, then hours and
// quarter hours, and events where a quarter hour is cut. Neighbours of one span become one, so that those given may already
// hold what comes before.
func cover(before []Stretch, c campaign.ID, from, to int64) []Stretch {
	return coverBy(before, Stretch{Campaign: c, Span: Week, From: from, To: to})
}

func coverBy(out []Stretch, s Stretch) []Stretch {
	if s.From >= s.To {
		return out
	}
	if s.Span == 0 {
		return append(out, s)
	}
	whole, first, last := s, s, s
	if s.From != open && s.Span.Bucket(s.From) != s.From {
		whole.From = s.Span.Bucket(s.From) + s.Span.Seconds()
	}
	if s.To != noLast {
		whole.To = s.Span.Bucket(s.To)
	}
	first.Span, last.Span = s.Span.Finer(), s.Span.Finer()
	if whole.From >= whole.To {
		return coverBy(out, first)
	}
	first.To, last.From = whole.From, whole.To
	out = coverBy(out, first)
	if n := len(out); n > 0 && out[n-1].Campaign == s.Campaign && out[n-1].Span == s.Span && out[n-1].To == whole.From {
		out[n-1].To = whole.To
	} else {
		out = append(out, whole)
	}
	return coverBy(out, last)
}

// eachRow calls f for the rows of the stretches, as Source.Rows does. A stretch of events comes as the one row that they make:
// rows and events cannot be read at the same time, and as sets events take little memory.
func eachRow(ctx context.Context, src Source, stretches []Stretch, f func(n int, bucket int64, counts, sets []byte) error) error {
	var rows, events []Stretch
	var rowsAt, eventsAt []int
	for i, s := range stretches {
		if s.Span > 0 {
			rows, rowsAt = append(rows, s), append(rowsAt, i)
		} else {
			events, eventsAt = append(events, s), append(eventsAt, i)
		}
	}
	made := make([]*Row, len(events))
	if len(events) > 0 {
		err := src.Facts(ctx, events, func(n int, e Fact) {
			if made[n] == nil {
				made[n] = NewRow()
			}
			if events[n].Bare {
				made[n].AddCount(e)
			} else {
				made[n].Add(e)
			}
		})
		if err != nil {
			return err
		}
	}
	next := 0 // of events
	eventsBefore := func(n int) error {
		for ; next < len(events) && eventsAt[next] < n; next++ {
			if made[next] == nil {
				continue
			}
			counts, sets := made[next].Marshal()
			if err := f(eventsAt[next], events[next].From, counts, sets); err != nil {
				return err
			}
		}
		return nil
	}
	if len(rows) > 0 {
		err := src.Rows(ctx, rows, func(n int, bucket int64, counts, sets []byte) error {
			if err := eventsBefore(rowsAt[n]); err != nil {
				return err
			}
			return f(rowsAt[n], bucket, counts, sets)
		})
		if err != nil {
			return err
		}
	}
	return eventsBefore(len(stretches))
}

// ask is what is to be joined into an accumulator, which keeps the sets of want.
type ask struct {
	stretches []Stretch
	into      *Accumulator
	want      Metrics
}

// collect joins what is asked for, one ask after another; done is called after each, when its accumulator holds what it shall
// until a later ask needs it. All are one question to the source.
func collect(ctx context.Context, src Source, asks []ask, done func(i int)) error {
	var all []Stretch
	var of []int // the ask of each
	for i, a := range asks {
		all = append(all, a.stretches...)
		for range a.stretches {
			of = append(of, i)
		}
	}
	at := -1
	reach := func(i int) {
		for at < i {
			if at >= 0 {
				done(at)
			}
			if at++; at < len(asks) {
				asks[at].into.Reset(asks[at].want)
			}
		}
	}
	err := eachRow(ctx, src, all, func(n int, _ int64, counts, sets []byte) error {
		if of[n] < at {
			return errors.New("rollup: a source's rows are not in the order of the stretches")
		}
		reach(of[n])
		return asks[at].into.Or(counts, sets)
	})
	if err == nil {
		reach(len(asks))
	}
	return err
}

// Collect joins what happened to the campaign in [from, to), Unix seconds (see Source for open ends), keeping the sets of
// want.
func Collect(ctx context.Context, src Source, c campaign.ID, from, to int64, want Metrics) (*Accumulator, error) {
	lives, err := readLives(ctx, src, []campaign.ID{c})
	if err != nil {
		return nil, err
	}
	a := &Accumulator{}
	return a, collect(ctx, src, []ask{{lives[0].stretches(c, from, to), a, want}}, func(int) {})
}

// life is what ever happened to a campaign, without sets.
type life struct {
	count       [NumMetrics]uint64
	unique      [NumMetrics]uint64 // recipients, of the metrics that are not spread
	spread      Metrics            // those that several rows hold recipients of: how many they are together the sets alone tell
	first, last int64              // first > last when nothing happened
	through     int64              // of the lifetime row; open where there is none
}

func (l *life) empty() bool { return l.first > l.last }

func (l *life) add(h *header) {
	l.first, l.last = min(l.first, h.first), max(l.last, h.last)
	for m := range NumMetrics {
		l.count[m] += h.count[m]
		if l.unique[m] > 0 && h.size[m] > 0 {
			l.spread |= 1 << m
		}
		l.unique[m] += h.size[m]
	}
}

// tally is what was counted of the whole life; of what is spread the recipients are those of sets.
func (l *life) tally(sets tally) tally {
	sets.count = l.count
	for m := range NumMetrics {
		if !l.spread.Has(m) {
			sets.unique[m] = l.unique[m]
		}
	}
	return sets
}

// within says whether all that ever happened lies in the range.
func (l *life) within(r Range) bool {
	from, to := l.widen(r.seconds())
	return from == open && to == noLast
}

// readLives reads the lives of campaigns, in their order: the lifetime rows, then the days that these do not hold.
func readLives(ctx context.Context, src Source, cs []campaign.ID) ([]life, error) {
	out, stretches := make([]life, len(cs)), make([]Stretch, len(cs))
	for i, c := range cs {
		out[i] = life{first: math.MaxInt64, last: math.MinInt64, through: open}
		stretches[i] = Stretch{Campaign: c, Span: Lifetime, To: 1, Bare: true}
	}
	var h header
	err := src.Rows(ctx, stretches, func(n int, _ int64, counts, _ []byte) error {
		err := h.read(counts)
		out[n].add(&h)
		out[n].through = h.through
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, c := range cs {
		stretches[i] = Stretch{Campaign: c, Span: Day, From: out[i].through, To: noLast, Bare: true}
	}
	return out, src.Rows(ctx, stretches, func(n int, _ int64, counts, _ []byte) error {
		err := h.read(counts)
		out[n].add(&h)
		return err
	})
}

// stretches make up the campaign's [from, to): the lifetime row where it is a part of that, and what comes behind it.
func (l *life) stretches(c campaign.ID, from, to int64) (out []Stretch) {
	if l.empty() {
		return nil
	}
	if from == open && l.through <= to && l.through != open {
		out, from = append(out, Stretch{Campaign: c, Span: Lifetime, To: 1}), l.through
	}
	return cover(out, c, from, to)
}

// widen opens the ends of a range beyond which nothing happened: an open range is answered from fewer rows.
func (l *life) widen(from, to int64) (int64, int64) {
	if from <= l.first {
		from = open
	}
	if to > l.last {
		to = noLast
	}
	return from, to
}
