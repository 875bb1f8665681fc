package rollup

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"monterey/internal/bounce"
	"monterey/internal/event"
	"monterey/internal/recipient"
)

func sameRow(t *testing.T, got, want *Row) {
	t.Helper()
	if got.Count != want.Count || got.First != want.First || got.Last != want.Last || got.Through != want.Through {
		t.Errorf("got %v %d %d %d, want %v %d %d %d", got.Count, got.First, got.Last, got.Through, want.Count, want.First, want.Last, want.Through)
	}
	for m := range NumMetrics {
		if size(got.Set[m]) != size(want.Set[m]) || size(want.Set[m]) > 0 && !got.Set[m].Equals(want.Set[m]) {
			t.Errorf("metric %d: got %v, want %v", m, got.Set[m], want.Set[m])
		}
	}
}

// randomRow has n events of recipients up to most.
func randomRow(r *rand.Rand, n, most int) *Row {
	row := NewRow()
	for range n {
		row.Add(randomFact(r, most, 1_700_000_000, 1_700_086_400))
	}
	return row
}

func randomFact(r *rand.Rand, most int, from, to int64) Fact {
	f := Fact{At: from + r.Int64N(to-from), Recipient: recipient.Ordinal(1 + r.IntN(most)), Type: event.Types[r.IntN(len(event.Types))]}
	switch f.Type {
	case event.Bounce:
		f.Class = bounce.Classes[r.IntN(len(bounce.Classes))]
	case event.Open, event.Click:
		f.Actor = event.Actor(r.IntN(2))
	}
	return f
}

func TestMarshal(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	huge := NewRow()
	for o := range recipient.Ordinal(200_000) {
		huge.Add(Fact{At: 5, Recipient: o * 3, Type: event.Open})
		huge.Add(Fact{At: 5, Recipient: o, Type: event.Delivered})
	}
	huge.Add(Fact{At: -7, Recipient: 1<<32 - 1, Type: event.Bounce, Class: bounce.Hard})
	through := NewRow()
	through.Through = 1_700_000_000
	for name, row := range map[string]*Row{
		"empty": NewRow(), "through": through, "tiny": randomRow(r, 3, 1<<31), "small": randomRow(r, 60, 40),
		"middle": randomRow(r, 5000, 300_000), "crowded": randomRow(r, 200_000, 9000), "huge": huge,
	} {
		t.Run(name, func(t *testing.T) {
			counts, sets := row.Marshal()
			got, err := Unmarshal(counts, sets)
			if err != nil {
				t.Fatal(err)
			}
			sameRow(t, got, row)
			head, err := UnmarshalCounts(counts)
			if err != nil {
				t.Fatal(err)
			}
			if head.Count != row.Count || head.First != row.First || head.Last != row.Last || head.Through != row.Through {
				t.Errorf("counts alone: %+v", head)
			}
		})
	}
}

// What is read stays apart: neither the bytes nor a set that was stored once for two metrics may change with another.
func TestUnmarshalledSetsAreApart(t *testing.T) {
	for _, n := range []int{3, 100, 10_000} {
		row := NewRow()
		for o := range n {
			row.Add(Fact{At: 1, Recipient: recipient.Ordinal(o * 2), Type: event.Open})
		}
		counts, sets := row.Marshal()
		before := string(sets)
		got, err := Unmarshal(counts, sets)
		if err != nil {
			t.Fatal(err)
		}
		got.Add(Fact{At: 2, Recipient: 1, Type: event.Open, Actor: event.Machine})
		if got.Set[Open].GetCardinality() != uint64(n+1) || got.Set[HumanOpen].GetCardinality() != uint64(n) {
			t.Errorf("%d: a machine's open is in the human set", n)
		}
		if string(sets) != before {
			t.Errorf("%d: the stored bytes changed", n)
		}
	}
}

func TestOr(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	a, b, want := NewRow(), NewRow(), NewRow()
	for i := range 3000 {
		f := randomFact(r, 500, 1000, 9000)
		want.Add(f)
		[]*Row{a, b}[i%2].Add(f)
	}
	counts, sets := b.Marshal()
	a.Or(b)
	sameRow(t, a, want)
	a.Add(Fact{At: 1, Recipient: 777, Type: event.Open})
	if c, s := b.Marshal(); string(c) != string(counts) || string(s) != string(sets) {
		t.Error("Or changed its argument")
	}
	c, n := NewRow(), NewRow()
	n.Or(want)
	c.Or(n)
	sameRow(t, c, want)
}

func TestUnmarshalDamaged(t *testing.T) {
	counts, sets := randomRow(rand.New(rand.NewPCG(5, 6)), 4000, 90_000).Marshal()
	for i := range counts {
		if _, err := Unmarshal(counts[:i], sets); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("counts cut to %d: %v", i, err)
		}
	}
	for i := range sets {
		if _, err := Unmarshal(counts, sets[:i]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("sets cut to %d: %v", i, err)
		}
	}
	if _, err := Unmarshal(append([]byte{9}, counts[1:]...), sets); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another version: %v", err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{0, 1, 30, 3000} {
		counts, sets := randomRow(r, n, 2000).Marshal()
		f.Add(counts, sets)
	}
	f.Fuzz(func(t *testing.T, counts, sets []byte) {
		row, err := Unmarshal(counts, sets)
		if err != nil {
			_ = NewAccumulator(AllMetrics).Or(counts, sets) // looks less closely, but must not panic
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("not said to be damaged: %v", err)
			}
			return
		}
		acc := NewAccumulator(AllMetrics)
		if err := acc.Or(counts, sets); err != nil {
			t.Fatalf("good for Unmarshal, but not for Or: %v", err)
		}
		sameAccumulator(t, acc, row)
		row.Add(Fact{At: 1, Recipient: 70_000, Type: event.Click})
		other := NewRow()
		other.Set[Open] = roaring.BitmapOf(1, 2, 100_000)
		row.Or(other)
		again, err := Unmarshal(row.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		sameRow(t, again, row)
	})
}
