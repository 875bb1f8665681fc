package rollup

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/page"
	"monterey/internal/recipient"
)

// load stores a campaign of n events of recipients between lo and hi over some days, most of them soon after the start, as
// rows only.
func (m *memory) load(r *rand.Rand, c campaign.ID, start time.Time, days, n, lo, hi int) {
	fresh := map[Key]*Row{}
	span := float64(days) * 86400
	for range n {
		at := start.Unix() + int64(min(r.ExpFloat64()*span/4, span-1))
		f := Fact{At: at, Recipient: recipient.Ordinal(lo + r.IntN(hi-lo)), Type: event.Open}
		switch k := r.IntN(100); {
		case k < 15:
			f.Type = event.Click
		case k < 17:
			f.Type, f.Class = event.Bounce, 1
		case k < 18:
			f.Type = event.Unsubscribe
		}
		if f.Type <= event.Click && r.IntN(10) == 0 {
			f.Actor = event.Machine
		}
		for s := Quarter; s <= Week; s++ {
			k := Key{c, s, s.Bucket(at)}
			if fresh[k] == nil {
				fresh[k] = NewRow()
			}
			fresh[k].Add(f)
		}
	}
	for k, row := range fresh {
		m.put(k, row, Day.Bucket(start.Unix())+int64(days-1)*DaySeconds)
	}
}

// BenchmarkHourlyMonth is the hourly series, with uniques, of a campaign with 500 000 recipients over 30 days.
func BenchmarkHourlyMonth(b *testing.B) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, before := range []int{0, 30} { // days of the campaign before the month
		m := newMemory()
		id := campaign.NewID()
		m.campaigns = []campaign.Campaign{{ID: id, Provider: "campaigner"}}
		m.load(rand.New(rand.NewPCG(1, 1)), id, start.AddDate(0, 0, -before), 30+before, 1_000_000, 1, 500_000)
		for _, zone := range []string{"UTC", "Asia/Kathmandu"} {
			loc, _ := time.LoadLocation(zone)
			p := SeriesParams{Range: Range{start, start.AddDate(0, 0, 30)}, Granularity: ByHour, Zone: loc}
			b.Run(fmt.Sprintf("%s/%d days before", zone, before), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s, err := SeriesOf(b.Context(), m, id, p)
					if err != nil || len(s.Points) < 720 {
						b.Fatal(err, len(s.Points))
					}
				}
			})
		}
	}
}

// BenchmarkList is the list of 200 campaigns, 5 million events over 90 days, for 30 days in a zone.
func BenchmarkList(b *testing.B) {
	r := rand.New(rand.NewPCG(2, 2))
	m := newMemory()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m.load(r, campaign.NewID(), start, 90, 1, 1, 2)
	for i := range 200 {
		c := campaign.Campaign{ID: campaign.NewID(), Name: fmt.Sprint(i), Provider: "campaigner"}
		m.campaigns = append(m.campaigns, c)
		m.runs = append(m.runs, campaign.Run{Campaign: c.ID, StartedAt: start, Sent: new(int64(20_000))})
		lo := r.IntN(480_000)
		m.load(r, c.ID, start, 90, 25_000, lo, lo+20_000)
	}
	for _, zone := range []string{"UTC", "America/New_York", "Asia/Kathmandu"} {
		loc, _ := time.LoadLocation(zone)
		from := time.Date(2026, 1, 20, 0, 0, 0, 0, loc)
		p := ListParams{Range: Range{from, from.AddDate(0, 0, 30)}, Basis: ByEvent, Params: page.Params{Number: 1, Size: 50}}
		b.Run(zone, func(b *testing.B) {
			b.ReportAllocs()
			rows, questions := 0, 0
			for b.Loop() {
				l, err := List(b.Context(), counting{m, &rows, &questions}, p)
				if err != nil || l.Total != 200 {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)/float64(b.N), "rows/op")
		})
	}
	b.Run("lifetime", func(b *testing.B) {
		for b.Loop() {
			if _, err := List(b.Context(), m, ListParams{Basis: ByEvent, Params: page.Params{Number: 1, Size: 50}}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRow is what a batch of ingest does with a row that is there.
func BenchmarkRow(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, n := range []int{3, 100, 10_000, 500_000} {
		counts, sets := randomRow(r, n, max(n, 1000)).Marshal()
		more := randomRow(r, 20, max(n, 1000))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				row, err := Unmarshal(counts, sets)
				if err != nil {
					b.Fatal(err)
				}
				row.Or(more)
				row.Marshal()
			}
			b.ReportMetric(float64(len(counts)+len(sets)), "bytes")
		})
	}
}

// BenchmarkCollect is the lifetime of a campaign with 500 000 recipients.
func BenchmarkCollect(b *testing.B) {
	m := newMemory()
	id := campaign.NewID()
	m.load(rand.New(rand.NewPCG(1, 1)), id, time.Unix(1_700_000_000, 0), 30, 1_000_000, 1, 500_000)
	for b.Loop() {
		if _, err := Collect(b.Context(), m, id, math.MinInt64, math.MaxInt64, counted); err != nil {
			b.Fatal(err)
		}
	}
}
