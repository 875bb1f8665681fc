package event

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// burst says whether the click lies in a span of ten seconds in which three different links were clicked.
func burst(clicks []ClickAt, c ClickAt) bool {
	for _, first := range clicks {
		if c.At < first.At || c.At > first.At+10 {
			continue
		}
		links := map[int64]bool{}
		for _, o := range clicks {
			if o.At >= first.At && o.At <= first.At+10 {
				links[o.Link] = true
			}
		}
		if len(links) >= 3 {
			return true
		}
	}
	return false
}

func TestBurstsAgainstTheirDefinition(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 2_000 {
		clicks := make([]ClickAt, rnd.IntN(12))
		for i := range clicks {
			clicks[i] = ClickAt{At: rnd.Int64N(60), Link: rnd.Int64N(4)}
		}
		slices.SortFunc(clicks, func(a, b ClickAt) int { return int(a.At - b.At) })
		got := Bursts(clicks)
		for i, c := range clicks {
			if want := burst(clicks, c); got[i] != want {
				t.Fatalf("click %d of %v is a burst: %t, want %t", i, clicks, got[i], want)
			}
		}
	}
}

// TestBurstsOfManyLinks: a scanner that follows links without end must not keep the writer. Looking at each span anew took
// 13 s for 4 000 clicks, and eight times that for twice as many.
func TestBurstsOfManyLinks(t *testing.T) {
	clicks := make([]ClickAt, 100_000)
	for i := range clicks {
		clicks[i] = ClickAt{At: int64(i / 10_000), Link: int64(i)}
	}
	if slices.Contains(Bursts(clicks), false) {
		t.Error("a click was left out")
	}
}
