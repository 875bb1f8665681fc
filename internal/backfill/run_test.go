package backfill

import (
	"errors"
	"testing"
	"time"

	"monterey/internal/campaigner"
)

// A batch that could not be stored ends the reading with the next page, however much could still be held.
func TestNothingIsReadBehindAFailure(t *testing.T) {
	want := errors.New("the disk is full")
	r := &run{Backfill: &Backfill{Now: time.Now, Together: time.Hour}, until: time.Now().Add(time.Hour), storing: make(chan stored, 1)}
	r.storing <- stored{err: want}
	for range 2 {
		if _, err := r.store(t.Context(), campaigner.AllBounces, nil, campaigner.Cursor{Pass: 1, Page: 2}); !errors.Is(err, want) {
			t.Errorf("the next page: %v", err)
		}
	}
	r.stopTimer()
}
