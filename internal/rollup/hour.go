package rollup

import (
	"bytes"
	"encoding/binary"
	"math"
)

// An hour's stored row has a third part, with the rows of its quarters: most hours of most campaigns hold a few events, and
// rows of their own would cost more than they say.
//
// quarters: empty where there are none; else a byte with a bit for each quarter that is there, the lowest for the first, and of
// each of these the length of counts (uvarint), counts, the length of sets, sets. With the bit hourItself there is one, and it
// equals the hour: nothing follows.
const hourItself = 1 << 4

// Parts are the two parts of a stored row (see Row.Marshal).
type Parts struct{ Counts, Sets []byte }

// StoredHour is the stored row of an hour with those of its quarters; a quarter without Counts is not there.
type StoredHour struct {
	Parts
	Quarters [4]Parts
}

// ReadHour takes a stored row apart; what comes back refers to it.
func ReadHour(counts, sets, quarters []byte) (h StoredHour, err error) {
	h.Parts = Parts{counts, sets}
	if len(quarters) == 0 {
		return h, nil
	}
	mask := quarters[0]
	r := reader{data: quarters[1:]}
	for i := range h.Quarters {
		switch {
		case mask>>i&1 == 0:
		case mask&hourItself != 0:
			h.Quarters[i] = h.Parts
		default:
			h.Quarters[i] = Parts{r.bytes(), r.bytes()}
		}
	}
	if r.bad || len(r.data) != 0 || mask&^hourItself >= hourItself {
		return StoredHour{}, corrupt("quarters of a wrong length")
	}
	return h, nil
}

// Stored is the third part of the row.
func (h *StoredHour) Stored() []byte {
	mask, n, last := byte(0), 0, 0
	for i, q := range h.Quarters {
		if q.Counts != nil {
			mask, n, last = mask|1<<i, n+1, i
		}
	}
	switch {
	case n == 0:
		return []byte{}
	case n == 1 && bytes.Equal(h.Quarters[last].Counts, h.Counts) && bytes.Equal(h.Quarters[last].Sets, h.Sets):
		return []byte{mask | hourItself}
	}
	out := []byte{mask}
	for _, q := range h.Quarters {
		if q.Counts != nil {
			out = append(binary.AppendUvarint(out, uint64(len(q.Counts))), q.Counts...)
			out = append(binary.AppendUvarint(out, uint64(len(q.Sets))), q.Sets...)
		}
	}
	return out
}

// bytes takes a length and so many bytes.
func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.data)) {
		r.bad = true
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

// HourOf is the first hour whose row can hold quarters from this one on.
func HourOf(quarter int64) int64 {
	return Hour.Bucket(max(quarter, math.MinInt64+HourSeconds))
}

// Each calls f as Source.Rows does for a row that was read for the stretch: for the row itself, or where quarters are wanted, for
// each of the quarters wanted that the row of an hour holds. Where these are damaged, f is called with nothing for each: that is no row.
func (s Stretch) Each(n int, bucket int64, counts, sets, quarters []byte, f func(n int, bucket int64, counts, sets []byte) error) error {
	if s.Span != Quarter {
		return f(n, bucket, counts, sets)
	}
	h, damaged := ReadHour(counts, sets, quarters)
	for i, q := range h.Quarters {
		start := bucket + int64(i)*QuarterSeconds
		if start < s.From || start >= s.To || q.Counts == nil && damaged == nil {
			continue
		}
		if s.Bare {
			q.Sets = nil
		}
		if err := f(n, start, q.Counts, q.Sets); err != nil {
			return err
		}
	}
	return nil
}
