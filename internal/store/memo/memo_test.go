package memo

import (
	"slices"
	"testing"
)

func TestMemo(t *testing.T) {
	m := New[int, int](100)
	if v, ok := m.Get(1, 7); ok {
		t.Errorf("an empty one has %d", v)
	}
	m.Add(1, map[int]int{7: 70})
	m.Add(2, map[int]int{7: 71})
	for ws, want := range map[int64]int{1: 70, 2: 71} {
		if got, ok := m.Get(ws, 7); !ok || got != want {
			t.Errorf("workspace %d: %d, want %d", ws, got, want)
		}
	}
	if got := m.All(2, []int{8, 7}); !slices.Equal(got, []int{0, 71}) {
		t.Errorf("all: %d", got)
	}
	m.Add(1, nil)
	for i := range 1000 {
		m.Add(3, map[int]int{i: i + 1})
		if n := m.new.size + m.old.size; n > 100 {
			t.Fatalf("it holds %d, at most 100 were wanted", n)
		}
		for back := range min(i+1, 50) { // the last half is always there
			if got, _ := m.Get(3, i-back); got != i-back+1 {
				t.Fatalf("after %d: %d is %d", i, i-back, got)
			}
		}
	}
	if _, ok := m.Get(1, 7); ok {
		t.Error("the first is still there")
	}
}
