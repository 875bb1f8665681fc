package rollup

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"pgregory.net/rapid"
)

func sameAccumulator(t interface {
	Helper()
	Fatalf(string, ...any)
}, got *Accumulator, want *Row) {
	t.Helper()
	if got.Count != want.Count || got.First != want.First || got.Last != want.Last {
		t.Fatalf("got %v %d %d, want %v %d %d", got.Count, got.First, got.Last, want.Count, want.First, want.Last)
	}
	for m := range NumMetrics {
		if got.Set(m).Len() != size(want.Set[m]) || want.Set[m] != nil && !got.Set(m).Bitmap().Equals(want.Set[m]) {
			t.Fatalf("metric %d has %d recipients, want %d", m, got.Set(m).Len(), size(want.Set[m]))
		}
	}
}

// Rows of all sizes and forms joined by an accumulator are what they are joined by Row.Or; and so they are when it is used
// again.
func TestAccumulatorIsRowOr(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		acc := NewAccumulator(AllMetrics)
		for range 2 {
			acc.Reset(AllMetrics)
			want := NewRow()
			for range rapid.IntRange(0, 8).Draw(t, "rows") {
				most := rapid.SampledFrom([]int{50, 5000, 70_000, 1 << 20}).Draw(t, "most")
				row := randomRow(r, rapid.SampledFrom([]int{1, 10, 300, 3000}).Draw(t, "events"), most)
				if r.IntN(3) == 0 {
					from := uint64(r.IntN(most))
					row.Set[Sent] = roaring.New()
					row.Set[Sent].AddRange(from, from+uint64(r.IntN(most)))
				}
				want.Or(row)
				if err := acc.Or(row.Marshal()); err != nil {
					t.Fatal(err)
				}
			}
			sameAccumulator(t, acc, want)
			both := uint64(0)
			if want.Set[Open] != nil && want.Set[Click] != nil {
				both = want.Set[Open].AndCardinality(want.Set[Click])
			}
			if n := acc.Set(Open).AndLen(acc.Set(Click)); n != both {
				t.Fatalf("%d opened and clicked, want %d", n, both)
			}
			var u Set
			u.Or(acc.Set(Open))
			u.Or(acc.Set(Sent))
			all := roaring.New()
			for _, m := range []Metric{Open, Sent} {
				if want.Set[m] != nil {
					all.Or(want.Set[m])
				}
			}
			if !u.Bitmap().Equals(all) || u.Len() != all.GetCardinality() {
				t.Fatalf("a union has %d, want %d", u.Len(), all.GetCardinality())
			}
		}
	})
}

func TestAccumulatorDoesNotAllocate(t *testing.T) {
	counts, sets := randomRow(rand.New(rand.NewPCG(1, 1)), 3000, 100_000).Marshal()
	acc := NewAccumulator(AllMetrics)
	if err := acc.Or(counts, sets); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = acc.Or(counts, sets) }); n > 0 {
		t.Errorf("%v allocations a row", n)
	}
}

func TestAccumulatorDamaged(t *testing.T) {
	counts, sets := randomRow(rand.New(rand.NewPCG(5, 6)), 4000, 90_000).Marshal()
	for i := range sets {
		if err := NewAccumulator(AllMetrics).Or(counts, sets[:i]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("sets cut to %d: %v", i, err)
		}
	}
}

// TestRowOrSharesNothing: what a row was read from may change once it is joined, as the bytes of a driver do.
func TestRowOrSharesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	got, want := NewRow(), NewRow()
	for i := range 6 {
		row := randomRow(r, 3000, 60_000*(i+1)) // each brings parts that the ones before have not
		want.Or(row)
		counts, sets := row.Marshal()
		read, err := Unmarshal(counts, sets)
		if err != nil {
			t.Fatal(err)
		}
		got.Or(read)
		for i := range sets {
			sets[i] = 0xaa
		}
	}
	for m := range NumMetrics {
		if size(got.Set[m]) != size(want.Set[m]) || want.Set[m] != nil && !got.Set[m].Equals(want.Set[m]) {
			t.Errorf("metric %d changed with what it was read from", m)
		}
	}
}
