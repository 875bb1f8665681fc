package rollup

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// TestStoredHour: what goes in comes out, whatever quarters there are.
func TestStoredHour(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	part := func() Parts {
		row := NewRow()
		for range 1 + r.IntN(3) {
			row.Count[r.IntN(int(NumMetrics))]++
		}
		row.First, row.Last = r.Int64N(9), 9
		counts, _ := row.Marshal()
		sets := make([]byte, r.IntN(200))
		return Parts{counts, sets}
	}
	for mask := range 16 {
		h := StoredHour{Parts: part()}
		for i := range h.Quarters {
			if mask>>i&1 == 1 {
				h.Quarters[i] = part()
			}
		}
		checkHour(t, h)
		if mask == 1 || mask == 8 { // the only quarter, and all of the hour
			h.Quarters[mask/7*3] = h.Parts
			checkHour(t, h)
			if n := len(h.Stored()); n != 1 {
				t.Errorf("a quarter that equals its hour takes %d bytes", n)
			}
		}
	}
}

func checkHour(t *testing.T, h StoredHour) {
	t.Helper()
	data := h.Stored()
	got, err := ReadHour(h.Counts, h.Sets, data)
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range h.Quarters {
		if (got.Quarters[i].Counts == nil) != (q.Counts == nil) || !bytes.Equal(got.Quarters[i].Counts, q.Counts) || !bytes.Equal(got.Quarters[i].Sets, q.Sets) {
			t.Errorf("quarter %d is %v, want %v", i, got.Quarters[i], q)
		}
	}
	for cut := 1; cut < len(data); cut++ {
		if _, err := ReadHour(h.Counts, h.Sets, data[:cut]); err == nil {
			t.Errorf("cut off at %d of %d, and no error", cut, len(data))
		}
	}
	if len(data) > 0 {
		if _, err := ReadHour(h.Counts, h.Sets, append(bytes.Clone(data), 0)); err == nil {
			t.Error("a byte too many, and no error")
		}
	}
}

func TestQuartersOfAStretch(t *testing.T) {
	counts, sets := NewRow().Marshal()
	h := StoredHour{Parts: Parts{counts, sets}}
	h.Quarters[1], h.Quarters[3] = h.Parts, h.Parts
	const hour = 7 * HourSeconds
	each := func(quarters []byte, from, to int64) (buckets []int64, damaged int) {
		s := Stretch{Span: Quarter, From: from, To: to}
		err := s.Each(5, hour, counts, sets, quarters, func(_ int, bucket int64, counts, sets []byte) error {
			buckets = append(buckets, bucket-hour)
			if _, err := Unmarshal(counts, sets); err != nil {
				damaged++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return buckets, damaged
	}
	for _, c := range []struct {
		from, to int64
		want     int
	}{{hour, hour + HourSeconds, 2}, {hour + 900, hour + 2700, 1}, {hour + 901, hour + 2700, 0}, {math.MinInt64, math.MaxInt64, 2}} {
		if got, damaged := each(h.Stored(), c.from, c.to); len(got) != c.want || damaged != 0 {
			t.Errorf("from %d to %d: %v, %d damaged, want %d", c.from, c.to, got, damaged, c.want)
		}
	}
	if got, damaged := each([]byte{3}, hour, hour+2700); len(got) != 3 || damaged != 3 {
		t.Errorf("of a damaged hour %v, %d damaged: want three, damaged", got, damaged)
	}
	for from, want := range map[int64]int64{math.MinInt64: Hour.Bucket(math.MinInt64 + HourSeconds), 0: 0, -900: -HourSeconds, 3599: 0} {
		if got := HourOf(from); got != want || got > from && from > math.MinInt64 {
			t.Errorf("the hour of %d is %d, want %d", from, got, want)
		}
	}
}
