package rollup

import "math"

// Metrics is a set of metrics, a bit each.
type Metrics uint16

// AllMetrics are all of them.
const AllMetrics Metrics = 1<<NumMetrics - 1

// MetricsOf are the metrics named.
func MetricsOf(ms ...Metric) (s Metrics) {
	for _, m := range ms {
		s |= 1 << m
	}
	return s
}

// Has says whether m is one of them.
func (s Metrics) Has(m Metric) bool { return s>>m&1 != 0 }

// Accumulator joins many stored rows, as Row.Or does, without allocating for each. Only the sets that it was made for are
// kept; all counts are.
//
// As long as the set of a metric is all of the set that it is a part of (see whole), that one stands for both: where nobody is
// a machine half of the joining is spared.
type Accumulator struct {
	Count       [NumMetrics]uint64
	First, Last int64 // as Row's
	want        Metrics
	equal       Metrics // the metrics wanted whose own set is empty, because that of another one wanted stands for it
	set         [NumMetrics]Set
	head        header
}

// NewAccumulator has nothing in it and keeps the sets of want.
func NewAccumulator(want Metrics) *Accumulator {
	a := &Accumulator{}
	a.Reset(want)
	return a
}

// Reset empties it and keeps its memory; from now on it keeps the sets of want.
func (a *Accumulator) Reset(want Metrics) {
	a.Count = [NumMetrics]uint64{}
	a.First, a.Last = math.MaxInt64, math.MinInt64
	a.want, a.equal = want, 0
	for m := range NumMetrics {
		if w := whole(m); w != m && want.Has(m) && want.Has(w) {
			a.equal |= 1 << m
		}
		a.set[m].Reset()
	}
}

// Set is the recipients of a metric; it is the accumulator's own, and perhaps another metric's too.
func (a *Accumulator) Set(m Metric) *Set {
	if a.equal.Has(m) {
		m = whole(m)
	}
	return &a.set[m]
}

// part makes the metric's set its own, before the two are no longer equal.
func (a *Accumulator) part(m Metric) {
	a.set[m].Or(&a.set[whole(m)])
	a.equal &^= 1 << m
}

// Or joins a stored row. After a fault (the row is damaged) the accumulator holds part of it and is of no use.
func (a *Accumulator) Or(counts, sets []byte) error {
	if err := a.head.read(counts); err != nil {
		return err
	}
	return a.or(&a.head, sets)
}

func (a *Accumulator) or(h *header, sets []byte) error {
	a.First, a.Last = min(a.First, h.first), max(a.Last, h.last)
	for m := range NumMetrics {
		a.Count[m] += h.count[m]
	}
	for m := range NumMetrics {
		if a.equal.Has(m) && !h.same[m] && h.size[whole(m)] > 0 {
			a.part(m)
		}
	}
	for m := range NumMetrics {
		if h.size[m] == 0 || !a.want.Has(m) || a.equal.Has(m) {
			continue
		}
		data, err := h.bytes(m, sets)
		if err != nil {
			return err
		}
		if err := a.set[m].orStored(h.form[m], h.size[m], data); err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) orStored(form uint8, size uint64, data []byte) error {
	switch form {
	case formRoaring:
		return s.orRoaring(data)
	case formSmall:
		var few [smallSet]uint32
		ordinals, err := readSmall(&few, size, data)
		for _, o := range ordinals {
			s.Add(o)
		}
		return err
	}
	return corrupt("a set of an unknown form")
}

// tally is how much was counted: events, and distinct recipients.
type tally struct{ count, unique [NumMetrics]uint64 }

func (a *Accumulator) tally() (t tally) {
	t.count = a.Count
	for m := range NumMetrics {
		t.unique[m] = a.Set(m).Len()
	}
	return t
}
