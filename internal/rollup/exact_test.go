package rollup

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/page"
	"monterey/internal/provider"
)

// places are zones with a time at which something odd happens to their clocks.
var places = []struct{ zone, at string }{
	{"UTC", "2024-02-29T23:00:00Z"},
	{"Asia/Kathmandu", "2024-03-01T18:15:00Z"},
	{"Australia/Lord_Howe", "2024-04-06T15:00:00Z"}, // back by half an hour
	{"Australia/Lord_Howe", "2024-10-05T15:30:00Z"}, // ahead by half an hour
	{"America/St_Johns", "2024-03-10T05:30:00Z"},
	{"America/St_Johns", "2024-11-03T04:30:00Z"},
	{"Pacific/Apia", "2011-12-30T10:00:00Z"}, // 30 December was left out
	{"America/New_York", "2024-11-03T06:00:00Z"},
	{"Europe/Paris", "2024-03-31T01:00:00Z"},
	{"America/Santiago", "2024-04-07T03:00:00Z"}, // midnight comes twice
	{"America/Santiago", "2024-09-08T04:00:00Z"}, // midnight does not come
	{"Pacific/Chatham", "2024-04-06T14:00:00Z"},
	{"Antarctica/Troll", "2024-03-31T01:00:00Z"}, // two hours
	{"America/Caracas", "2016-05-01T07:00:00Z"},  // half an hour, in the middle of an hour
	{"Asia/Pyongyang", "2018-05-04T15:00:00Z"},   // ahead by half an hour, to midnight
}

// scene is a random workspace with the place and time where it is.
type scene struct {
	*memory
	zone  *time.Location
	edges []time.Time // that ranges may have
}

func drawScene(t *rapid.T) scene {
	place := rapid.SampledFrom(places).Draw(t, "place")
	zone, err := time.LoadLocation(place.zone)
	if err != nil {
		t.Fatal(err)
	}
	middle, _ := time.Parse(time.RFC3339, place.at)
	around := rapid.SampledFrom([]int64{3 * HourSeconds, 3 * DaySeconds, 30 * DaySeconds}).Draw(t, "around")
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	s := scene{memory: newMemory(), zone: zone}
	s.asOf = middle.Add(time.Duration(r.Int64N(around)) * time.Second)
	through := Day.Bucket(middle.Unix() - around + r.Int64N(3*around))
	most := 1 + r.IntN(30)
	at := func() int64 { return middle.Unix() - around + r.Int64N(2*around) }
	for i := range rapid.IntRange(1, 4).Draw(t, "campaigns") {
		c := campaign.Campaign{ID: campaign.NewID(), Name: fmt.Sprintf("%c", 'd'-i), Provider: provider.Campaigner, ProviderCampaignID: fmt.Sprint(i)}
		c.Sources = campaign.Sources(r.IntN(2) * r.IntN(64))
		c.Figures = randomFigures(r)
		s.campaigns = append(s.campaigns, c)
		events := rapid.IntRange(0, 150).Draw(t, "events")
		plain := r.IntN(2) == 0 // as Campaigner's webhooks are
		var batch []Fact
		for range events {
			f := randomFact(r, most, middle.Unix()-around, middle.Unix()+around)
			if plain {
				f = Fact{At: f.At, Recipient: f.Recipient, Type: []event.Type{event.Open, event.Click, event.Bounce, event.Unsubscribe}[r.IntN(4)]}
				if f.Type == event.Bounce {
					f.Class = bounce.Hard
				}
			}
			if batch = append(batch, f); r.IntN(20) == 0 { // it comes in batches, in any order of time
				s.count(c.ID, through, batch)
				batch = nil
			}
			s.edges = append(s.edges, time.Unix(f.At, 0), time.Unix(f.At+1, 0), time.Unix(f.At, 5e8))
		}
		s.count(c.ID, through, batch)
		for range r.IntN(4) {
			run := campaign.Run{Campaign: c.ID, StartedAt: time.Unix(at(), r.Int64N(2)*5e8).UTC(), Derived: r.IntN(2) == 0}
			if r.IntN(4) > 0 {
				run.Sent = new(r.Int64N(50))
			}
			if r.IntN(5) == 0 {
				run.Delivered = new(r.Int64N(50))
			}
			s.runs = append(s.runs, run)
			s.edges = append(s.edges, run.StartedAt)
		}
	}
	for range 20 {
		e := time.Unix(at(), 0)
		s.edges = append(s.edges, e, e.Add(-time.Duration(r.Int64N(1e9))), e.Truncate(15*time.Minute), e.Truncate(24*time.Hour),
			e.Truncate(15*time.Minute).Add(-time.Second/2))
	}
	if r.IntN(2) == 0 {
		s.human = middle
	}
	return s
}

// randomFigures are none, some or all, often 0.
func randomFigures(r *rand.Rand) *campaign.Figures {
	if r.IntN(3) == 0 {
		return nil
	}
	f := &campaign.Figures{AsOf: time.Unix(r.Int64N(1e9), 0).UTC()}
	most := 1 + r.IntN(6)
	f.Each(func(p **int64) {
		if r.IntN(8) > 0 {
			*p = new(r.Int64N(int64(most)))
		}
	})
	return f
}

func (s scene) drawRange(t *rapid.T) (r Range) {
	a, b := rapid.SampledFrom(s.edges).Draw(t, "from"), rapid.SampledFrom(s.edges).Draw(t, "to")
	if b.Before(a) {
		a, b = b, a
	}
	if rapid.IntRange(0, 2).Draw(t, "bounded below") > 0 {
		r.From = a
	}
	if rapid.IntRange(0, 2).Draw(t, "bounded above") > 0 {
		r.To = b
	}
	return r
}

var alike = cmp.Options{cmp.AllowUnexported(Statistics{}), cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)}

func TestOneIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScene(t)
		c, r := rapid.SampledFrom(s.campaigns).Draw(t, "campaign"), s.drawRange(t)
		got, err := One(t.Context(), s, c.ID, r)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(s.bruteStatistics(c, r, s.asOf), got, alike); d != "" {
			t.Fatalf("%v (-want +got):\n%s", r, d)
		}
	})
}

func TestListAndOverviewAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScene(t)
		r, b := s.drawRange(t), rapid.SampledFrom([]Basis{ByEvent, BySend}).Draw(t, "basis")
		got, err := List(t.Context(), s, ListParams{Range: r, Basis: b, Params: page.Params{Number: 1, Size: 500, Sort: "campaign_name"}})
		if err != nil {
			t.Fatal(err)
		}
		want := s.bruteList(r, b, s.asOf)
		slices.Reverse(want) // campaigns are named d, c, b, a
		if d := cmp.Diff(want, got.Items, alike); d != "" || got.Total != int64(len(want)) {
			t.Fatalf("list of %v, %d (-want +got):\n%s", r, got.Total, d)
		}
		all, err := Overall(t.Context(), s, campaign.Filter{}, r, b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(s.bruteTotal(r, b, s.asOf), all.Total, alike); d != "" {
			t.Fatalf("overview of %v (-want +got):\n%s", r, d)
		}
		if (all.Previous == nil) != (r.From.IsZero() || r.To.IsZero()) {
			t.Fatalf("previous of %v is %v", r, all.Previous)
		}
		if all.Previous != nil {
			before := Range{r.From.Add(r.From.Sub(r.To)), r.From}
			if d := cmp.Diff(s.bruteTotal(before, b, s.asOf), *all.Previous, alike); d != "" {
				t.Fatalf("previous of %v (-want +got):\n%s", r, d)
			}
		}
	})
}

// bruteTotal sums what bruteList lists.
func (s scene) bruteTotal(r Range, b Basis, asOf time.Time) Total {
	list := s.bruteList(r, b, asOf)
	t := Total{Statistics: Statistics{Basis: b, AsOf: asOf}}
	if !r.From.IsZero() {
		t.DateFrom = new(r.From.UTC())
	}
	if !r.To.IsZero() {
		t.DateTo = new(r.To.UTC())
	}
	if !s.human.IsZero() {
		t.HumanAsOf = new(s.human.UTC())
	}
	if len(list) == 0 { // 0 of what was reported in the workspace at all
		for _, events := range s.facts {
			if len(events) > 0 {
				t.Bounces, t.HardBounces, t.Unsubscribes = new(int64), new(int64), new(int64)
			}
		}
	}
	opened, clicked, sources := persons{}, persons{}, persons{}
	for _, one := range list {
		for into, n := range map[**int64]*int64{
			&t.Sent: one.Sent, &t.Delivered: one.Delivered, &t.Bounces: one.Bounces, &t.HardBounces: one.HardBounces,
			&t.SoftBounces: one.SoftBounces, &t.Unsubscribes: one.Unsubscribes, &t.Complaints: one.Complaints,
			&t.RateBase.Sent: one.RateBase.Sent, &t.RateBase.Delivered: one.RateBase.Delivered,
		} {
			if n != nil && *into == nil {
				*into = new(int64)
			}
			if n != nil {
				**into += *n
			}
		}
		for into, n := range map[*int64]int64{
			&t.Opens: one.Opens, &t.Clicks: one.Clicks, &t.UniqueOpens: one.UniqueOpens, &t.UniqueClicks: one.UniqueClicks,
			&t.HumanOpens: one.HumanOpens, &t.HumanClicks: one.HumanClicks, &t.UniqueHumanOpens: one.UniqueHumanOpens,
			&t.UniqueHumanClicks: one.UniqueHumanClicks, &t.clickedOpeners: one.clickedOpeners,
		} {
			*into += n
		}
		if one.DeliveredSource != nil {
			sources.add(*one.DeliveredSource)
			t.DeliveredSource = one.DeliveredSource
		}
		if one.FirstEventAt != nil && (t.FirstEventAt == nil || one.FirstEventAt.Before(*t.FirstEventAt)) {
			t.FirstEventAt = one.FirstEventAt
		}
		if one.LastEventAt != nil && (t.LastEventAt == nil || one.LastEventAt.After(*t.LastEventAt)) {
			t.LastEventAt = one.LastEventAt
		}
		over := inside(r)
		if b == BySend {
			over = inside(Range{})
		}
		for _, f := range s.bruteOver(*one.CampaignID, over) {
			switch f.Type {
			case event.Open:
				opened.add(f.Recipient)
			case event.Click:
				clicked.add(f.Recipient)
			}
		}
	}
	if len(sources) > 1 {
		t.DeliveredSource = new("mixed")
	}
	t.DistinctOpeners, t.DistinctClickers = opened.n(), clicked.n()
	t.ProviderReported = s.bruteTotalReported(list)
	s.bruteRates(&t.Statistics)
	return t
}

// bruteTotalReported sums what was told of the campaigns that a list has.
func (s scene) bruteTotalReported(list []Statistics) *ProviderReported {
	var of []campaign.Campaign
	for _, c := range s.campaigns {
		if slices.ContainsFunc(list, func(one Statistics) bool { return *one.CampaignID == c.ID }) {
			of = append(of, c)
		}
	}
	return s.bruteReported(of...)
}

func TestSeriesIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScene(t)
		c := rapid.SampledFrom(s.campaigns).Draw(t, "campaign")
		p := SeriesParams{
			Range: s.drawRange(t), Zone: s.zone, Granularity: rapid.SampledFrom(Granularities).Draw(t, "granularity"),
			WeekStart: rapid.SampledFrom([]WeekStart{Monday, Sunday}).Draw(t, "week start"),
		}
		got, err := SeriesOf(t.Context(), s, c.ID, p)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(s.bruteStatistics(c, p.Range, s.asOf), got.Totals, alike); d != "" {
			t.Fatalf("totals (-want +got):\n%s", d)
		}
		if d := cmp.Diff(s.bruteSeries(c.ID, p), got.Points, alike); d != "" {
			t.Fatalf("%v by %s of weeks from %s (-want +got):\n%s", p.Range, p.Granularity, p.WeekStart, d)
		}
		opens, fresh := int64(0), int64(0)
		for _, point := range got.Points {
			opens += point.Opens
			fresh += point.NewUniqueOpens
		}
		if len(got.Points) > 0 && (opens != got.Totals.Opens || p.From.IsZero() && fresh != got.Totals.UniqueOpens) {
			t.Fatalf("points have %d opens and %d new ones, totals %d and %d", opens, fresh, got.Totals.Opens, got.Totals.UniqueOpens)
		}
	})
}

func (s scene) bruteSeries(c campaign.ID, p SeriesParams) []Point {
	events := s.facts[c]
	last := s.asOf.Unix()
	for _, f := range events {
		last = max(last, f.At)
	}
	if !p.To.IsZero() {
		for last = p.To.Unix(); !time.Unix(last, 0).Before(p.To); last-- {
		}
	}
	first := p.From.Unix()
	if p.From.IsZero() {
		if len(events) == 0 {
			return nil
		}
		first = slices.MinFunc(events, func(a, b Fact) int { return int(a.At - b.At) }).At
	}
	if first > last {
		return nil
	}
	return s.brutePoints(c, p, first, last)
}
