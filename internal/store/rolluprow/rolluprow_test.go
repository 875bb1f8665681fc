package rolluprow

import (
	"context"
	"math/rand/v2"
	"testing"

	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/recipient"
	"monterey/internal/rollup"
)

// TestRows plays random merges and replacements against rows kept apart, each under its own key.
func TestRows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	c := campaign.NewID()
	num := func(campaign.ID) (int64, error) { return 7, nil }
	for range 300 {
		want := map[rollup.Key]*rollup.Row{}
		var counts, sets, quarters []byte // of the one hour
		for range 6 {
			put := r.IntN(2) == 0
			rows := map[rollup.Key]*rollup.Row{}
			if put {
				for _, k := range []rollup.Key{{Campaign: c, Span: rollup.Hour}, quarter(c, r.Int64N(4)), quarter(c, r.Int64N(4))} {
					if r.IntN(4) == 0 && len(rows) > 0 {
						continue // it stays as it is
					}
					if rows[k] = rollup.NewRow(); r.IntN(3) > 0 {
						rows[k].Add(fact(r))
					}
					want[k] = rows[k]
				}
			} else {
				hour := rollup.NewRow()
				for range 1 + r.IntN(3) {
					k := quarter(c, r.Int64N(4))
					if rows[k] == nil {
						rows[k] = rollup.NewRow()
					}
					f := fact(r)
					rows[k].Add(f)
					hour.Add(f)
				}
				rows[rollup.Key{Campaign: c, Span: rollup.Hour}] = hour
				for k, row := range rows {
					sum := rollup.NewRow()
					if want[k] != nil {
						sum.Or(want[k])
					}
					sum.Or(row)
					want[k] = sum
				}
			}
			packed, err := written(t.Context(), rows, put, num, counts, sets, quarters)
			if err != nil || len(packed) != 1 {
				t.Fatalf("%d rows, %v: want the hour", len(packed), err)
			}
			if counts, sets, quarters = packed[0].Counts, packed[0].Sets, packed[0].Quarters; packed[0].Nothing {
				counts, sets, quarters = nil, nil, nil
			}
			check(t, want, c, counts, sets, quarters)
		}
	}
}

// written is what is written of rows of one hour, which are put or joined, where its three parts are stored; no counts = nothing is.
func written(ctx context.Context, rows map[rollup.Key]*rollup.Row, put bool, num func(campaign.ID) (int64, error), counts, sets, quarters []byte) ([]Packed, error) {
	if put {
		all, err := Sorted(rows, num)
		if err == nil && counts != nil {
			err = all[0].Keep(counts, sets, quarters)
		}
		return Pack(all), err
	}
	var hour []rollup.Key
	for k := range rows {
		if k.Span == rollup.Hour {
			hour = append(hour, k)
		}
	}
	s, err := NewStored(ctx, noSource{}, hour, num)
	if err != nil {
		return nil, err
	}
	if counts != nil {
		if err := s.Read(&s.Rows[0], counts, sets, quarters); err != nil {
			return nil, err
		}
	}
	if _, err := s.Join(rows); err != nil { // once must be as often as one likes
		return nil, err
	}
	return s.Join(rows)
}

// noSource has no lifetimes.
type noSource struct{}

func (noSource) Rows(context.Context, []rollup.Stretch, func(int, int64, []byte, []byte) error) error {
	return nil
}

func (noSource) Facts(context.Context, []rollup.Stretch, func(int, rollup.Fact)) error { return nil }

func TestRowsAreReadBeforeTheyAreJoined(t *testing.T) {
	key := func(bucket int64) rollup.Key { return rollup.Key{Span: rollup.Hour, Bucket: bucket} }
	s, err := NewStored(t.Context(), noSource{}, []rollup.Key{key(0)}, func(campaign.ID) (int64, error) { return 1, nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Join(map[rollup.Key]*rollup.Row{key(0): rollup.NewRow()}); err != nil {
		t.Error(err)
	}
	if _, err := s.Join(map[rollup.Key]*rollup.Row{key(rollup.HourSeconds): rollup.NewRow()}); err == nil {
		t.Error("a row was joined that was not read: what is stored of it would be lost")
	}
	other := rollup.Key{Campaign: campaign.NewID(), Span: rollup.Hour}
	if _, err := s.Join(map[rollup.Key]*rollup.Row{other: rollup.NewRow()}); err == nil {
		t.Error("a row of a campaign was joined of which none was read")
	}
}

func quarter(c campaign.ID, n int64) rollup.Key {
	return rollup.Key{Campaign: c, Span: rollup.Quarter, Bucket: n * rollup.QuarterSeconds}
}

func fact(r *rand.Rand) rollup.Fact {
	return rollup.Fact{At: r.Int64N(3600), Recipient: recipient.Ordinal(1 + r.IntN(20)), Type: event.Sent}
}

func check(t *testing.T, want map[rollup.Key]*rollup.Row, c campaign.ID, counts, sets, quarters []byte) {
	t.Helper()
	got := map[rollup.Key]*rollup.Row{}
	add := func(s rollup.Span) func(int, int64, []byte, []byte) error {
		return func(_ int, bucket int64, counts, sets []byte) error {
			row, err := rollup.Unmarshal(counts, sets)
			got[rollup.Key{Campaign: c, Span: s, Bucket: bucket}] = row
			return err
		}
	}
	if counts != nil {
		if err := add(rollup.Hour)(0, 0, counts, sets); err != nil {
			t.Fatal(err)
		}
		if err := (rollup.Stretch{Span: rollup.Quarter, To: rollup.HourSeconds}).Each(0, 0, counts, sets, quarters, add(rollup.Quarter)); err != nil {
			t.Fatal(err)
		}
	}
	for _, rows := range []map[rollup.Key]*rollup.Row{want, got} {
		for k := range rows {
			if !same(want[k], got[k]) {
				t.Fatalf("%v is %+v, want %+v", k, got[k], want[k])
			}
		}
	}
}

func same(a, b *rollup.Row) bool {
	if a == nil || b == nil {
		return (a == nil || none(a)) && (b == nil || none(b))
	}
	for m := range a.Set {
		if (a.Set[m] == nil || a.Set[m].IsEmpty()) != (b.Set[m] == nil || b.Set[m].IsEmpty()) || a.Set[m] != nil && b.Set[m] != nil && !a.Set[m].Equals(b.Set[m]) {
			return false
		}
	}
	return a.Count == b.Count && (none(a) || a.First == b.First && a.Last == b.Last)
}
