package ingest_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"monterey/internal/ingest"
)

// judged waits until the rules have seen everything.
func (r *rig) judged() {
	r.t.Helper()
	r.counted()
	if err := r.worker.Scheduled(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func TestBurstsAreMachinesInWhateverOrderTheyArrive(t *testing.T) {
	burst := []string{
		click(1, "scan@x.test", "2026-03-01T10:14:55Z", 1), click(1, "scan@x.test", "2026-03-01T10:14:59Z", 2),
		click(1, "scan@x.test", "2026-03-01T10:15:05Z", 3), // ten seconds after the first, in the next quarter hour
		click(1, "slow@x.test", "2026-03-01T10:00:00Z", 1), click(1, "slow@x.test", "2026-03-01T10:00:05Z", 2),
		click(1, "slow@x.test", "2026-03-01T10:00:11Z", 3), // eleven
		click(1, "same@x.test", "2026-03-01T10:00:00Z", 1), click(1, "same@x.test", "2026-03-01T10:00:01Z", 2),
		click(1, "same@x.test", "2026-03-01T10:00:02Z", 1), // two links only
	}
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newRig(t)
			order := rand.New(rand.NewPCG(seed, 0)).Perm(len(burst))
			for n, i := range order {
				r.post(burst[i])
				if n%3 == 0 { // the rules look in between too
					r.judged()
				}
			}
			r.judged()
			got := r.statistics("1")
			if got.Clicks != 9 || got.HumanClicks != 6 || got.UniqueClicks != 3 || got.UniqueHumanClicks != 2 {
				t.Errorf("clicks %d, human %d, unique %d, unique human %d", got.Clicks, got.HumanClicks, got.UniqueClicks, got.UniqueHumanClicks)
			}
			drift, err := ingest.Rebuild(t.Context(), r.store, r.ws)
			if err != nil || drift.Drifted != 0 || drift.Rows == 0 {
				t.Errorf("drift %+v, %v", drift, err)
			}
		})
	}
}

func TestRebuildPutsDriftRight(t *testing.T) {
	r := newRig(t)
	for i := range 50 {
		r.post(open(1+i%3, fmt.Sprintf("p%d@x.test", i), time.Date(2026, 3, 1+i%4, i%24, i, 0, 0, time.UTC).Format(time.RFC3339)))
	}
	r.judged()
	want := r.statistics("2")
	// One row with another campaign's counts, which cannot be read; one gone; one too many.
	r.spoil("UPDATE rollups SET counts = (SELECT counts FROM rollups WHERE span = 3 AND campaign = -1 LIMIT 1) WHERE campaign = 2 AND span = 3")
	r.spoil("DELETE FROM rollups WHERE campaign = 1 AND span = 2 AND bucket = (SELECT max(bucket) FROM rollups WHERE campaign = 1 AND span = 2)")
	r.spoil("INSERT INTO rollups SELECT workspace, 2, span, bucket + 3600, counts, sets, quarters, 0 FROM rollups WHERE campaign = 1 AND span = 2 LIMIT 1")
	// Quarters of an hour: cut off; gone; of an hour that another one is told to equal.
	r.spoil("UPDATE rollups SET quarters = x'03' WHERE campaign = 3 AND span = 2 AND bucket = (SELECT min(bucket) FROM rollups WHERE campaign = 3 AND span = 2)")
	r.spoil("UPDATE rollups SET quarters = x'' WHERE campaign = 3 AND span = 2 AND bucket = (SELECT max(bucket) FROM rollups WHERE campaign = 3 AND span = 2)")
	r.spoil("UPDATE rollups SET quarters = x'1f' WHERE campaign = 1 AND span = 2 AND bucket = (SELECT min(bucket) FROM rollups WHERE campaign = 1 AND span = 2)")
	drift, err := ingest.Rebuild(t.Context(), r.store, r.ws)
	if err != nil || drift.Drifted == 0 {
		t.Fatalf("drift %+v, %v", drift, err)
	}
	if got := r.statistics("2"); got.Opens != want.Opens || got.UniqueOpens != want.UniqueOpens {
		t.Errorf("after the rebuild %d and %d opens, want %d and %d", got.Opens, got.UniqueOpens, want.Opens, want.UniqueOpens)
	}
	if drift, err = ingest.Rebuild(t.Context(), r.store, r.ws); err != nil || drift.Drifted != 0 {
		t.Errorf("a second rebuild found %+v, %v", drift, err)
	}
}

func TestRebuildPutsADamagedLifetimeRight(t *testing.T) {
	r := newRig(t)
	r.post(open(1, "a@x.test", "2026-03-01T10:00:00Z"))
	r.judged()
	r.spoil("UPDATE rollups SET counts = x'00' WHERE campaign = 1 AND span = 4")
	drift, err := ingest.Rebuild(t.Context(), r.store, r.ws)
	if err != nil || drift.Drifted != 1 {
		t.Fatalf("drift %+v, %v", drift, err)
	}
	if got := r.statistics("1"); got.Opens != 1 || got.UniqueOpens != 1 {
		t.Errorf("%d opens, %d unique", got.Opens, got.UniqueOpens)
	}
}

// TestHumanAsOfClaimsNothing: what was received before human_as_of has been judged.
func TestHumanAsOfClaimsNothing(t *testing.T) {
	r := newRig(t)
	unjudged := 0
	for n := range 12 {
		before := time.Now()
		at := time.Date(2026, 3, 1, 10, n, 0, 0, time.UTC).Format(time.RFC3339)
		r.post(click(1, fmt.Sprintf("p%d@x.test", n), at, 1), click(1, fmt.Sprintf("p%d@x.test", n), at, 2), click(1, fmt.Sprintf("p%d@x.test", n), at, 3))
		r.counted()
		s := r.statistics("1")
		if s.HumanClicks == 0 { // judged already
			continue
		}
		unjudged++
		if s.HumanAsOf != nil && s.HumanAsOf.After(before) {
			t.Fatalf("%d clicks of bursts count as human, received after %s, human_as_of %s", s.HumanClicks, before, s.HumanAsOf)
		}
	}
	if unjudged == 0 {
		t.Error("all was judged at once: nothing was tried")
	}
}

// TestHumanAsOfIsAsOf: where all is judged, nothing was judged until a moment earlier than it was counted.
func TestHumanAsOfIsAsOf(t *testing.T) {
	r := newRig(t)
	r.post(open(1, "a@x.test", "2026-03-01T10:00:00Z"))
	r.judged()
	for range 20 {
		if s := r.statistics("1"); s.HumanAsOf == nil || !s.HumanAsOf.Equal(s.AsOf) {
			t.Fatalf("as_of %s, human_as_of %s", s.AsOf, s.HumanAsOf)
		}
	}
}
