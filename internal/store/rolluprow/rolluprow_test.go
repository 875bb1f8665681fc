package rolluprow

import (
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
			all, err := Sorted(rows, num)
			if err != nil || len(all) != 1 {
				t.Fatalf("%d rows, %v: want the hour", len(all), err)
			}
			one := &all[0]
			if counts != nil {
				if put {
					err = one.Keep(counts, sets, quarters)
				} else {
					err = one.Join(counts, sets, quarters)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			var nothing bool
			if counts, sets, quarters, nothing = one.Parts(); nothing {
				counts, sets, quarters = nil, nil, nil
			}
			check(t, want, c, counts, sets, quarters)
		}
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
