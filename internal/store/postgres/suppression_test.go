package postgres

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"monterey/internal/event"
	"monterey/internal/page"
	"monterey/internal/suppression"
)

// suppress gives some recipients random causes, of the other workspace's recipient 1 too, and erases one.
func (f *fixture) suppress() map[string]suppression.Entry {
	out := map[string]suppression.Entry{}
	f.write(func(tx pgx.Tx) {
		for i, address := range f.addresses {
			e := suppression.Entry{Address: address}
			for _, r := range suppression.Reasons {
				if f.rnd.IntN(3) > 0 {
					continue
				}
				f.stamp++
				c := suppression.Cause{Reason: r, OccurredAt: fixtureStart.Add(time.Duration(f.rnd.IntN(1000)) * time.Second), Source: suppression.Source(event.Webhook)}
				c.ID = event.Key(f.key).IDOf("campaigner", c.OccurredAt, address).UUID
				e.Causes = append(e.Causes, c)
				e.UpdatedAt = fromMicros(f.stamp)
				for _, ws := range []int64{1, f.ws} {
					f.exec(tx, "INSERT INTO suppressions (workspace_id, ordinal, reason, occurred_at, source, event, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
						ws, i+1, int64(c.Reason), micros(c.OccurredAt), int64(c.Source), c.ID, f.stamp)
				}
			}
			if e.Causes != nil {
				e.Since = slices.MinFunc(e.Causes, func(a, b suppression.Cause) int { return a.OccurredAt.Compare(b.OccurredAt) }).OccurredAt
				out[address] = e
			}
		}
	})
	return out
}

func TestSuppressionsAreBruteForce(t *testing.T) {
	f := newFixture(t, 5, 1, 60)
	all := f.suppress()
	erased := slices.IndexFunc(f.addresses, func(a string) bool { return all[a].Causes != nil })
	f.write(func(tx pgx.Tx) {
		f.exec(tx, "UPDATE addresses SET address = '' WHERE workspace_id = $1 AND ordinal = $2", f.ws, erased+1)
	})
	rapid.Check(t, func(t *rapid.T) {
		p := suppression.ListParams{Params: page.Params{Number: 1, Size: 1000, Sort: rapid.SampledFrom([]string{"", "since", "updated_at", "email"}).Draw(t, "sort"),
			Desc: rapid.Bool().Draw(t, "desc")}}
		p.Reasons = some(t, "reasons", suppression.Reasons)
		p.Address = some(t, "addresses", append([]string{"nobody@example.com"}, f.addresses...))
		if rapid.Bool().Draw(t, "updated?") {
			p.UpdatedFrom = fixtureStart.Add(time.Duration(rapid.IntRange(0, 60_000).Draw(t, "updated")))
		}
		got, err := f.ListSuppressions(context.Background(), f.caller, p)
		if err != nil {
			t.Fatal(err)
		}
		want := []suppression.Entry{}
		for i, a := range f.addresses {
			e, ok := all[a]
			if ok && i != erased && (p.Address == nil || slices.Contains(p.Address, a)) && !e.UpdatedAt.Before(p.UpdatedFrom) &&
				(p.Reasons == nil || slices.ContainsFunc(e.Causes, func(c suppression.Cause) bool { return slices.Contains(p.Reasons, c.Reason) })) {
				want = append(want, e)
			}
		}
		slices.SortStableFunc(want, func(a, b suppression.Entry) int { // they are by ordinal
			switch p.Sort {
			case "email":
				return cmp.Compare(a.Address, b.Address)
			case "updated_at":
				return a.UpdatedAt.Compare(b.UpdatedAt)
			}
			return a.Since.Compare(b.Since)
		})
		if p.Desc || p.Sort == "" {
			slices.Reverse(want)
		}
		if diff := gocmp.Diff(want, append([]suppression.Entry{}, got.Items...)); diff != "" || got.Total != int64(len(want)) {
			t.Fatalf("%d of %d:\n%s", got.Total, len(want), diff)
		}
		checked, err := f.CheckSuppressions(context.Background(), f.caller, p.Address)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range p.Address {
			if diff := gocmp.Diff(all[a].Causes, checked[i]); diff != "" {
				t.Fatalf("%s:\n%s", a, diff)
			}
		}
	})
}
