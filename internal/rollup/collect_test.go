package rollup

import (
	"context"
	"testing"
)

// disordered is a Source whose rows come in the wrong order of stretches.
type disordered struct{}

func (disordered) Rows(_ context.Context, _ []Stretch, f func(int, int64, []byte, []byte) error) error {
	counts, sets := NewRow().Marshal()
	for _, n := range []int{1, 0} {
		if err := f(n, 0, counts, sets); err != nil {
			return err
		}
	}
	return nil
}

func (disordered) Facts(context.Context, []Stretch, func(int, Fact)) error { return nil }

// TestCollectWantsOrder: rows that come late would be added to another campaign's.
func TestCollectWantsOrder(t *testing.T) {
	acc := NewAccumulator(AllMetrics)
	asks := []ask{{stretches: []Stretch{{Span: Day, To: 1}}, into: acc}, {stretches: []Stretch{{Span: Day, To: 1}}, into: acc}}
	if err := collect(t.Context(), disordered{}, asks, func(int) {}); err == nil {
		t.Error("no error")
	}
}
