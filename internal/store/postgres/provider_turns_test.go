package postgres

import (
	"slices"
	"sync"
	"testing"
	"time"

	"monterey/internal/provider"
)

// TestTurns: the turns of several processes come one after the other, however many ask at once; of another account they know
// nothing.
func TestTurns(t *testing.T) {
	now := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	url := database(t)
	stores := []*Store{openStore(t, url, clock), openStore(t, url, clock)}
	id, other := provider.ID{UUID: [16]byte{1}}, provider.ID{UUID: [16]byte{2}}
	take := func(s *Store, id provider.ID) (wait, held time.Duration) {
		t.Helper()
		wait, held, err := s.TakeTurn(t.Context(), id, 200*time.Millisecond)
		if err != nil {
			t.Error(err)
		}
		return wait, held
	}
	var asking sync.WaitGroup
	var mu sync.Mutex
	var waits []time.Duration
	for n := range 20 {
		asking.Go(func() {
			wait, held := take(stores[n%2], id)
			if held > 0 {
				t.Errorf("held for %s", held)
			}
			mu.Lock()
			defer mu.Unlock()
			waits = append(waits, wait)
		})
	}
	asking.Wait()
	slices.Sort(waits)
	for i, wait := range waits {
		if want := time.Duration(i) * 200 * time.Millisecond; wait != want {
			t.Errorf("turn %d comes after %s, want %s", i, wait, want)
		}
	}
	if wait, _ := take(stores[0], other); wait != 0 {
		t.Errorf("another account's first turn comes after %s", wait)
	}
	now = now.Add(time.Minute) // nobody asked: turns are not saved up
	for i, want := range []time.Duration{0, 200 * time.Millisecond} {
		if wait, _ := take(stores[i], id); wait != want {
			t.Errorf("after a minute turn %d comes after %s, want %s", i, wait, want)
		}
	}
	for _, during := range []time.Duration{30 * time.Second, 10 * time.Second} { // the shorter one shortens nothing
		if err := stores[0].HoldTurns(t.Context(), id, during); err != nil {
			t.Fatal(err)
		}
	}
	if _, held := take(stores[1], id); held != 30*time.Second {
		t.Errorf("held for %s", held)
	}
	if _, held := take(stores[1], other); held > 0 {
		t.Errorf("another account is held for %s", held)
	}
	now = now.Add(30 * time.Second)
	if wait, held := take(stores[1], id); wait != 0 || held > 0 {
		t.Errorf("afterwards: wait %s, held %s", wait, held)
	}
}

// TestTurnsByTheDatabasesClock: the first turn is at once.
func TestTurnsByTheDatabasesClock(t *testing.T) {
	s := openMigrated(t)
	id := provider.ID{UUID: [16]byte{1}}
	first, _, err := s.TakeTurn(t.Context(), id, time.Hour)
	if err != nil || first != 0 {
		t.Errorf("the first turn comes after %s: %v", first, err)
	}
	second, _, err := s.TakeTurn(t.Context(), id, time.Hour)
	if err != nil || second < 59*time.Minute || second > time.Hour {
		t.Errorf("the second turn comes after %s: %v", second, err)
	}
}
