package rollup

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
)

// A stored row has two parts, so that who needs the counts alone need not read the sets. Of an hour there is a third (see hour.go).
//
// counts: version, First, Last-First and Through (varints), a bit for each metric that follows (uvarint), and for each of
// those its count, the size of its set and, if that is not 0, the set's bytes<<2 | form (uvarints).
//
// sets: the bytes of the sets, one after another in the order of the metrics.
const codecVersion = 1

// The forms of a set.
const (
	formSame    = 1 // equal to the set of the metric it is a part of (see whole), and not written again
	formSmall   = 2 // ascending ordinals, each as its distance from the one before (uvarints)
	formRoaring = 3 // Roaring's portable serialisation
)

// smallSet is the size up to which a set is written in the small form: Roaring spends 16 bytes on its first ordinal.
const smallSet = 16

// whole is the metric whose set contains m's, and so may be equal to it; m itself where there is none.
func whole(m Metric) Metric {
	switch m {
	case HumanOpen:
		return Open
	case HumanClick:
		return Click
	case HardBounce, SoftBounce, BlockBounce, UnknownBounce:
		return Bounce
	}
	return m
}

// ErrCorrupt is the error of a stored row that is damaged.
var ErrCorrupt = errors.New("rollup: a stored row is damaged")

func corrupt(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }

func cutOff() error { return corrupt("a set is cut off") }

// Marshal writes the row in its two parts. It may turn sets into Roaring's run form, which changes none of them.
func (r *Row) Marshal() (counts, sets []byte) {
	counts = make([]byte, 0, 64)
	counts = append(counts, codecVersion)
	counts = binary.AppendVarint(counts, r.First)
	counts = binary.AppendVarint(counts, r.Last-r.First) // wraps around for a row of nothing, and back again when read
	counts = binary.AppendVarint(counts, r.Through)
	mask := uint64(0)
	for m := range NumMetrics {
		if r.Count[m] != 0 || size(r.Set[m]) != 0 {
			mask |= 1 << m
		}
	}
	counts = binary.AppendUvarint(counts, mask)
	for m := range NumMetrics {
		if mask&(1<<m) == 0 {
			continue
		}
		n := size(r.Set[m])
		counts = binary.AppendUvarint(counts, r.Count[m])
		counts = binary.AppendUvarint(counts, n)
		if n == 0 {
			continue
		}
		start, form := len(sets), uint64(formSame)
		if w := whole(m); w == m || size(r.Set[w]) != n || !r.Set[w].Equals(r.Set[m]) {
			sets, form = appendSet(sets, r.Set[m], n)
		}
		counts = binary.AppendUvarint(counts, uint64(len(sets)-start)<<2|form)
	}
	return counts, sets
}

func size(b *roaring.Bitmap) uint64 {
	if b == nil {
		return 0
	}
	return b.GetCardinality()
}

func appendSet(buf []byte, b *roaring.Bitmap, n uint64) ([]byte, uint64) {
	if n <= smallSet {
		last := uint32(0)
		b.Iterate(func(o uint32) bool {
			buf = binary.AppendUvarint(buf, uint64(o-last))
			last = o
			return true
		})
		return buf, formSmall
	}
	b.RunOptimize()
	w := sliceWriter(buf)
	_, _ = b.WriteTo(&w) // a slice takes everything
	return w, formRoaring
}

type sliceWriter []byte

func (w *sliceWriter) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

// reader takes numbers off the front of a part; the first that is missing or too long makes it bad.
type reader struct {
	data []byte
	bad  bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.data = r.data[n:]
	return v
}

// header is the counts part, read.
type header struct {
	first, last, through int64
	count                [NumMetrics]uint64
	size                 [NumMetrics]uint64
	form                 [NumMetrics]uint8
	same                 [NumMetrics]bool   // the set is that of the other metric
	from, to             [NumMetrics]uint64 // where in sets the set is; of formSame, where the other metric's is
}

func (h *header) read(counts []byte) error {
	if len(counts) == 0 || counts[0] != codecVersion {
		return corrupt("unknown version")
	}
	r := reader{data: counts[1:]}
	h.first = r.varint()
	h.last = h.first + r.varint()
	h.through = r.varint()
	mask := r.uvarint()
	if mask >= 1<<NumMetrics {
		return corrupt("unknown metrics")
	}
	at := uint64(0)
	for m := range NumMetrics {
		h.count[m], h.size[m], h.form[m], h.same[m] = 0, 0, 0, false
		if mask&(1<<m) == 0 {
			continue
		}
		h.count[m], h.size[m] = r.uvarint(), r.uvarint()
		if h.size[m] == 0 {
			continue
		}
		d := r.uvarint()
		h.form[m] = uint8(d & 3)
		h.from[m], h.to[m] = at, at+d>>2
		at += d >> 2
		switch {
		case d>>2 > 1<<40 || h.size[m] > 1<<32:
			return corrupt("a set too large")
		case h.form[m] != formSame:
		case whole(m) == m || h.size[whole(m)] != h.size[m] || d>>2 != 0:
			return corrupt("a set equal to none")
		default:
			w := whole(m)
			h.same[m] = true
			h.form[m], h.from[m], h.to[m] = h.form[w], h.from[w], h.to[w]
		}
	}
	if r.bad || len(r.data) != 0 {
		return corrupt("counts of a wrong length")
	}
	return nil
}

// bytes are those of the metric's set, which must have one.
func (h *header) bytes(m Metric, sets []byte) ([]byte, error) {
	if h.to[m] > uint64(len(sets)) {
		return nil, cutOff()
	}
	return sets[h.from[m]:h.to[m]], nil
}

// Unmarshal reads a stored row. Its sets refer to the slice sets until they change, so that must stay as it is for as long
// as the row is in use.
func Unmarshal(counts, sets []byte) (*Row, error) {
	var h header
	if err := h.read(counts); err != nil {
		return nil, err
	}
	r := h.row()
	for m := range NumMetrics {
		if h.size[m] == 0 {
			continue
		}
		b, err := h.bytes(m, sets)
		if err != nil {
			return nil, err
		}
		if r.Set[m], err = readSet(h.form[m], h.size[m], b); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// UnmarshalCounts reads the counts of a stored row; it has no sets.
func UnmarshalCounts(counts []byte) (*Row, error) {
	var h header
	if err := h.read(counts); err != nil {
		return nil, err
	}
	return h.row(), nil
}

func (h *header) row() *Row {
	return &Row{Count: h.count, First: h.first, Last: h.last, Through: h.through}
}

func readSet(form uint8, size uint64, data []byte) (*roaring.Bitmap, error) {
	switch form {
	case formSmall:
		var few [smallSet]uint32
		ordinals, err := readSmall(&few, size, data)
		if err != nil {
			return nil, err
		}
		return roaring.BitmapOf(ordinals...), nil
	case formRoaring:
		b := roaring.New()
		if n, err := b.FromBuffer(data); err != nil || n != int64(len(data)) {
			return nil, corrupt("a set that cannot be read")
		}
		if b.Validate() != nil || b.GetCardinality() != size {
			return nil, corrupt("a set that cannot be true")
		}
		return b, nil
	}
	return nil, corrupt("a set of an unknown form")
}

func readSmall(into *[smallSet]uint32, size uint64, data []byte) ([]uint32, error) {
	if size > smallSet {
		return nil, corrupt("a small set that is large")
	}
	r, o := reader{data: data}, uint64(0)
	for i := range size {
		d := r.uvarint()
		if o += d; d > 1<<32 || o >= 1<<32 || i > 0 && d == 0 {
			return nil, corrupt("a small set out of order")
		}
		into[i] = uint32(o)
	}
	if r.bad || len(r.data) != 0 {
		return nil, corrupt("a small set of a wrong length")
	}
	return into[:size], nil
}
