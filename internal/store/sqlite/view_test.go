package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/rollup"
)

// inView runs fn on a view of the fixture.
func (f *fixture) inView(fn func(rollup.View)) {
	f.t.Helper()
	if err := f.Snapshot(context.Background(), f.caller, func(v rollup.View) error { fn(v); return nil }); err != nil {
		f.t.Fatal(err)
	}
}

func sortFacts(facts []rollup.Fact) []rollup.Fact {
	slices.SortFunc(facts, func(a, b rollup.Fact) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Recipient, b.Recipient), cmp.Compare(a.Type, b.Type),
			cmp.Compare(a.Actor, b.Actor), cmp.Compare(a.Class, b.Class))
	})
	return facts
}

func TestViewIsBruteForce(t *testing.T) {
	f := newListFixture(t)
	ids := []campaign.ID{{}, rollup.Workspace, campaign.NewID()}
	for _, c := range f.campaigns {
		ids = append(ids, c.ID)
	}
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		id := rapid.SampledFrom(ids).Draw(t, "campaign")
		end := func(name string, open int64) int64 {
			if rapid.Bool().Draw(t, name+" open") {
				return open
			}
			return fixtureStart.Unix() + rapid.Int64Range(0, int64(fixtureSpan/time.Second)).Draw(t, name)
		}
		from, to := end("from", math.MinInt64), end("to", math.MaxInt64)
		var want, wantClicks []rollup.Fact
		wantLinks := map[event.Link]int{}
		row := rollup.NewRow()
		for i := range f.events {
			e := &f.events[i]
			if fact := factOfEvent(e); (id == rollup.Workspace || e.Campaign == id) && fact.At >= from && fact.At < to {
				want = append(want, fact)
				if e.Type == event.Click {
					wantClicks = append(wantClicks, fact)
					wantLinks[e.Link]++
				}
			}
		}
		f.inView(func(v rollup.View) {
			var facts, clicks []rollup.Fact
			if err := v.Facts(ctx, []rollup.Stretch{{Campaign: id, From: from, To: to}}, func(_ int, f rollup.Fact) { facts = append(facts, f) }); err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(sortFacts(want), sortFacts(facts)); diff != "" {
				t.Fatalf("facts:\n%s", diff)
			}
			if id == rollup.Workspace {
				return // clicks and sets are of campaigns
			}
			links := map[event.Link]int{}
			if err := v.Clicks(ctx, id, from, to, func(l event.Link, f rollup.Fact) error {
				clicks = append(clicks, f)
				links[l]++
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(sortFacts(wantClicks), sortFacts(clicks)) + gocmp.Diff(wantLinks, links); diff != "" {
				t.Fatalf("clicks:\n%s", diff)
			}
			for _, f := range want {
				row.Add(f)
			}
			acc, err := rollup.Collect(ctx, v, id, from, to, rollup.AllMetrics)
			if err != nil {
				t.Fatal(err)
			}
			for m := range rollup.NumMetrics {
				size := uint64(0)
				if row.Set[m] != nil {
					size = row.Set[m].GetCardinality()
				}
				if acc.Count[m] != row.Count[m] || acc.Set(m).Len() != size {
					t.Fatalf("metric %d: %d of %d recipients, want %d of %d", m, acc.Count[m], acc.Set(m).Len(), row.Count[m], size)
				}
			}
		})
	})
}

// TestViewOfManyStretches: what is asked for together comes as if asked for one by one.
func TestViewOfManyStretches(t *testing.T) {
	f := newListFixture(t)
	ids := []campaign.ID{{}, rollup.Workspace, campaign.NewID()}
	for _, c := range f.campaigns {
		ids = append(ids, c.ID)
	}
	type stored struct {
		n            int
		bucket       int64
		counts, sets []byte
	}
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		stretches := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) rollup.Stretch {
			from := fixtureStart.Unix() + rapid.Int64Range(0, int64(fixtureSpan/time.Second)).Draw(t, "from")
			return rollup.Stretch{Campaign: rapid.SampledFrom(ids).Draw(t, "campaign"), Span: rollup.Span(rapid.IntRange(1, 5).Draw(t, "span")), From: from,
				To: from + rapid.Int64Range(0, 2*rollup.DaySeconds).Draw(t, "length"), Bare: rapid.Bool().Draw(t, "bare")}
		}), 0, 40).Draw(t, "stretches")
		f.inView(func(v rollup.View) {
			var got, want []stored
			var facts, wantFacts = make([][]rollup.Fact, len(stretches)), make([][]rollup.Fact, len(stretches))
			ask := func(of []rollup.Stretch, first int, rows *[]stored, facts [][]rollup.Fact) {
				err := v.Rows(ctx, of, func(n int, bucket int64, counts, sets []byte) error {
					*rows = append(*rows, stored{first + n, bucket, bytes.Clone(counts), bytes.Clone(sets)})
					return nil
				})
				if err == nil {
					err = v.Facts(ctx, of, func(n int, e rollup.Fact) { facts[first+n] = append(facts[first+n], e) })
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			ask(stretches, 0, &got, facts)
			for i := range stretches {
				ask(stretches[i:i+1], i, &want, wantFacts)
				sortFacts(facts[i])
				sortFacts(wantFacts[i])
			}
			if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(stored{})) + gocmp.Diff(wantFacts, facts); diff != "" {
				t.Fatalf("%+v:\n%s", stretches, diff)
			}
		})
	})
}

func TestViewCountsAreTheRowsWithoutSets(t *testing.T) {
	f := newListFixture(t)
	f.inView(func(v rollup.View) {
		ctx := context.Background()
		var rows, counts [][]byte
		from, to := fixtureStart.Unix(), fixtureStart.AddDate(0, 0, 2).Unix()
		hours := rollup.Stretch{Campaign: f.campaigns[0].ID, Span: rollup.Hour, From: from, To: to}
		if err := v.Rows(ctx, []rollup.Stretch{hours}, func(_ int, b int64, c, _ []byte) error {
			if b < from || b >= to {
				t.Errorf("bucket %d is out of range", b)
			}
			rows = append(rows, bytes.Clone(c))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		hours.Bare = true
		if err := v.Rows(ctx, []rollup.Stretch{hours}, func(_ int, _ int64, c, sets []byte) error {
			if sets != nil {
				t.Error("counts come with sets")
			}
			counts = append(counts, bytes.Clone(c))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 || !gocmp.Equal(rows, counts) {
			t.Errorf("%d rows, %d counts, or unlike ones", len(rows), len(counts))
		}
	})
}

func TestViewDomains(t *testing.T) {
	f := newFixture(t, 1, 1, 40)
	f.addresses = append(f.addresses, make([]string, 70_000)...) // a second chunk
	for i := 40; i < len(f.addresses); i++ {
		f.addresses[i] = "x@many.example"
	}
	f.write(f.rollUp)
	want := f.domains()
	for _, set := range []*roaring.Bitmap{roaring.BitmapOf(1, 8, 39), roaring.BitmapOf(69_999), roaring.BitmapOf(5, 70_001), roaring.New()} {
		left := set.Clone()
		f.inView(func(v rollup.View) {
			err := v.Domains(context.Background(), set, func(name string, ordinals *roaring.Bitmap) error {
				if !roaring.AndNot(ordinals, want[name]).IsEmpty() {
					t.Errorf("%s has recipients that are not there", name)
				}
				left.AndNot(ordinals)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		if !left.IsEmpty() {
			t.Errorf("of %v, %v came in no domain", set, left)
		}
	}
}

func TestViewHumanAsOf(t *testing.T) {
	f := newFixture(t, 1, 1, 1)
	for _, tt := range []struct {
		human, stamp int64
		want         time.Time
	}{
		{0, 0, f.now()},
		{0, 5, time.UnixMicro(3).UTC()},
		{4, 5, time.UnixMicro(3).UTC()},
		{5, 5, f.now()},
	} {
		f.write(func(tx *sql.Tx) {
			f.exec(tx, "UPDATE counters SET human = ?, stamp = ?, human_as_of = 3 WHERE workspace = ?", tt.human, tt.stamp, f.ws)
		})
		f.inView(func(v rollup.View) {
			if got, err := v.HumanAsOf(context.Background()); err != nil || !got.Equal(tt.want) {
				t.Errorf("rules at %d of %d: %s, error %v, want %s", tt.human, tt.stamp, got, err, tt.want)
			}
		})
	}
}
