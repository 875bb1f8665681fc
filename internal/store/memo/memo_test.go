package memo

import "testing"

func TestMemo(t *testing.T) {
	m := New[string, int](100)
	if v, ok := m.Get(1, "a"); ok {
		t.Errorf("an empty one has %d", v)
	}
	m.Add(1, map[string]int{"a": 7})
	m.Add(2, map[string]int{"a": 8})
	for ws, want := range map[int64]int{1: 7, 2: 8} {
		if got, ok := m.Get(ws, "a"); !ok || got != want {
			t.Errorf("workspace %d: %d, want %d", ws, got, want)
		}
	}
	for i := range 1000 {
		key := string(rune('a' + i))
		m.Add(3, map[string]int{key: i})
	}
	if n := len(m.known); n != 100 {
		t.Errorf("it holds %d, want 100", n)
	}
}
