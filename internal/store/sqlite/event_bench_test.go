package sqlite

import (
	"context"
	"testing"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/event"
)

// benchEvents is enough for the trees to be as deep as at 5 M.
const benchEvents = 1_000_000

func BenchmarkEvents(b *testing.B) {
	f := newFixture(b, 5, 200, 100_000)
	for range 10 {
		f.add(benchEvents/10, 90*24*time.Hour)
	}
	f.write(f.rollUp)
	f.fillHistory(f.stamp - 20_000)
	ids := func(n int) (out []campaign.ID) {
		for _, c := range f.campaigns[:n] {
			out = append(out, c.ID)
		}
		return out
	}
	middle := f.events[len(f.events)/2]
	cursor := &event.Cursor{ID: middle.ID, UpdatedAt: middle.UpdatedAt}
	opens := []event.Type{event.Open, event.Click}
	for _, bench := range []struct {
		name string
		p    event.ListParams
	}{
		{"page 1", event.ListParams{Limit: 50}},
		{"page 1000", event.ListParams{Limit: 50, Offset: 49_950}},
		{"page 1000 of types", event.ListParams{Filter: event.Filter{Types: opens}, Limit: 50, Offset: 49_950}},
		{"page 1000 of 100 campaigns", event.ListParams{Filter: event.Filter{Campaigns: ids(100)}, Limit: 50, Offset: 49_950}},
		{"page 1 of a campaign", event.ListParams{Filter: event.Filter{Campaigns: ids(1)}, Limit: 50}},
		{"cursor", event.ListParams{Limit: 50, After: cursor}},
		{"cursor by update", event.ListParams{Limit: 50, After: cursor, Order: event.UpdatedFirst}},
		{"cursor of 100 campaigns", event.ListParams{Filter: event.Filter{Campaigns: ids(100)}, Limit: 50, After: cursor}},
		{"history", event.ListParams{Filter: event.Filter{Address: []string{middle.Address}}, Limit: 50}},
		{"changes", event.ListParams{Filter: event.Filter{UpdatedFrom: fromMicros(f.stamp - 10_000)}, Limit: 50, Order: event.UpdatedFirst}},
		{"export", event.ListParams{Limit: 5000, After: cursor, NoTotal: true}},
		{"export of a campaign", event.ListParams{Filter: event.Filter{Campaigns: ids(1)}, Limit: 5000, After: cursor, NoTotal: true}},
		{"export of types", event.ListParams{Filter: event.Filter{Types: opens}, Limit: 5000, After: cursor, NoTotal: true}},
		{"export by update", event.ListParams{Limit: 5000, After: cursor, NoTotal: true, Order: event.UpdatedFirst}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				got, err := f.ListEvents(ctx, f.caller, bench.p)
				if err != nil || len(got.Items) == 0 {
					b.Fatalf("%d events, error %v", len(got.Items), err)
				}
				rows += len(got.Items)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(rows), "µs/row")
		})
	}
}
