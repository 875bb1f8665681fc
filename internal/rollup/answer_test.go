package rollup

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/recipient"
)

func day(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

// small has four campaigns: with 3, 1, 1 and no openers; the last was never sent.
func small() *memory {
	m := newMemory()
	for i, openers := range []int{3, 1, 1, 0} {
		c := campaign.Campaign{ID: campaign.ID{UUID: [16]byte{byte(9 - i)}}, Name: string(rune('a' + i)), Provider: "campaigner"}
		m.campaigns = append(m.campaigns, c)
		var batch []Fact
		for o := range openers {
			batch = append(batch, Fact{At: day(10).Unix() + int64(i), Recipient: recipient.Ordinal(o + 1), Type: event.Open})
		}
		m.count(c.ID, day(5).Unix(), batch)
		if openers > 0 {
			m.runs = append(m.runs, campaign.Run{Campaign: c.ID, StartedAt: day(9), Sent: new(int64(100))})
		}
	}
	return m
}

func TestListIsSortedAndPaged(t *testing.T) {
	for _, c := range []struct {
		sort string
		desc bool
		want string
	}{
		{"", false, "cbad"},                // the latest event first, none last
		{"last_event_at", false, "abcd"},   // none last too
		{"unique_opens", true, "acbd"},     // ids break the tie
		{"unique_opens", false, "dcba"},    //
		{"open_rate", true, "acbd"},        // null last
		{"soft_bounces", true, "dcba"},     // all null
		{"campaign_name", true, "dcba"},    //
		{"human_open_rate", false, "cbad"}, //
	} {
		for size := 1; size <= 5; size++ {
			got := ""
			for number := 1; number <= 5; number++ {
				p := page.Params{Number: number, Size: size, Sort: c.sort, Desc: c.desc}
				l, err := List(t.Context(), small(), ListParams{Params: p, Basis: ByEvent})
				if err != nil || l.Total != 4 || l.Items == nil {
					t.Fatal(l, err)
				}
				for _, s := range l.Items {
					got += *s.CampaignName
				}
			}
			if got != c.want {
				t.Errorf("sorted by %q, %d a page: %s, want %s", c.sort, size, got, c.want)
			}
		}
	}
	_, err := List(t.Context(), small(), ListParams{Params: page.Params{Number: 1, Size: 5, Sort: "opens_"}})
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown field: %v", err)
	}
}

// TestQuestionsOfAList: they do not grow with the campaigns.
func TestQuestionsOfAList(t *testing.T) {
	m := small()
	cut := Range{day(10).Add(time.Second), day(10).Add(2 * time.Second)}
	for _, tt := range []struct {
		Range
		want int
	}{
		{Range{}, 3}, // the counts of lifetime rows, those of the days behind them, and rows
		{Range{From: day(9)}, 3},
		{Range{To: day(10)}, 3},
		{cut, 4}, // events too
	} {
		for _, n := range []int{2, 4} {
			rows, questions := 0, 0
			p := ListParams{Range: tt.Range, Basis: ByEvent, Params: page.Params{Number: 1, Size: 5}}
			for _, c := range m.campaigns[:n] {
				p.IDs = append(p.IDs, c.ID)
			}
			l, err := List(t.Context(), counting{m, &rows, &questions}, p)
			if err != nil || l.Total != int64(n) || questions != tt.want {
				t.Errorf("%d campaigns, %v: %d questions, want %d, error %v", n, tt.Range, questions, tt.want, err)
			}
		}
	}
}

func TestSeriesLimit(t *testing.T) {
	m := small()
	id := m.campaigns[0].ID
	hours := func(from, to time.Time) (Series, error) {
		return SeriesOf(t.Context(), m, id, SeriesParams{Range: Range{from, to}, Granularity: ByHour, Zone: time.UTC, WeekStart: Monday})
	}
	s, err := hours(day(1), day(1).Add(MaxBuckets*time.Hour))
	if err != nil || len(s.Points) != MaxBuckets || s.Truncated || s.Totals.Opens != 3 {
		t.Errorf("what fits: %d points, %v", len(s.Points), err)
	}
	_, err = hours(day(1), day(1).Add(MaxBuckets*time.Hour+time.Second))
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.(*fault.Error).Fields[0].Msg, "2027-02-21T16:00:00Z") {
		t.Errorf("a second too much: %+v", err)
	}
	end := day(10).Add(MaxBuckets * time.Hour)
	s, err = hours(time.Time{}, end)
	if err != nil || len(s.Points) != MaxBuckets || s.Truncated || s.Totals.Opens != 3 || s.Totals.DateFrom != nil {
		t.Errorf("without a beginning: %d points, truncated %v, %v", len(s.Points), s.Truncated, err)
	}
	s, err = hours(time.Time{}, end.Add(time.Hour))
	if err != nil || len(s.Points) != MaxBuckets || !s.Truncated || s.Totals.Opens != 0 || !s.DateFrom.Equal(day(10).Add(time.Hour)) ||
		!s.Totals.DateFrom.Equal(*s.DateFrom) || !s.DateTo.Equal(end.Add(time.Hour)) {
		t.Errorf("the last ones: %d points from %v, truncated %v, %d opens, %v", len(s.Points), s.DateFrom, s.Truncated, s.Totals.Opens, err)
	}
	s, err = SeriesOf(t.Context(), m, m.campaigns[3].ID, SeriesParams{Granularity: ByDay, Zone: time.UTC, WeekStart: Monday})
	if err != nil || s.Points == nil || len(s.Points) != 0 || s.DateFrom != nil {
		t.Errorf("without an event: %+v, %v", s, err)
	}
}

func TestUnknownIsNull(t *testing.T) {
	m := newMemory()
	c := campaign.Campaign{ID: campaign.NewID(), Provider: "campaigner"}
	m.campaigns = []campaign.Campaign{c}
	m.runs = []campaign.Run{{Campaign: c.ID, StartedAt: day(1), Sent: new(int64(10))}}
	s, err := One(t.Context(), m, c.ID, Range{})
	if err != nil || s.Bounces != nil || s.Delivered != nil || s.Unsubscribes != nil || *s.Sent != 10 || s.OpenRate != nil {
		t.Errorf("no webhook was read: %+v, %v", s.Counts, err)
	}
	m.runs[0].Derived = true // a webhook said so
	s, err = One(t.Context(), m, c.ID, Range{})
	if err != nil || *s.Bounces != 0 || *s.Delivered != 10 || *s.DeliveredSource != "derived" || s.SoftBounces != nil || s.Complaints != nil {
		t.Errorf("webhooks were read: %+v, %v", s.Counts, err)
	}
	if _, err := One(t.Context(), m, campaign.NewID(), Range{}); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown campaign: %v", err)
	}
}

func TestLinks(t *testing.T) {
	m := newMemory()
	c := campaign.Campaign{ID: campaign.NewID(), Provider: "campaigner"}
	m.campaigns, m.links = []campaign.Campaign{c}, map[Fact]event.Link{}
	click := func(at int64, o recipient.Ordinal, a event.Actor, l event.Link) {
		f := Fact{At: at, Recipient: o, Type: event.Click, Actor: a}
		m.links[f] = l
		m.facts[c.ID] = append(m.facts[c.ID], f)
	}
	click(500, 1, event.Human, event.Link{ID: "7", URL: "https://new.example"})
	click(100, 1, event.Human, event.Link{ID: "7", URL: "https://old.example"})
	click(300, 2, event.Machine, event.Link{ID: "7"})
	click(200, 2, event.Human, event.Link{URL: "https://plain.example"})
	click(999, 3, event.Human, event.Link{URL: "https://late.example"})
	got, err := Links(t.Context(), m, c.ID, Range{To: time.Unix(999, 0)})
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	a, b := got[0], got[1]
	if *a.LinkID != "7" || *a.URL != "https://new.example" || a.Clicks != 3 || a.UniqueClicks != 2 || a.HumanClicks != 2 ||
		a.UniqueHumanClicks != 1 || a.FirstClickAt.Unix() != 100 || a.LastClickAt.Unix() != 500 {
		t.Errorf("%+v", a)
	}
	if b.LinkID != nil || *b.URL != "https://plain.example" || b.Clicks != 1 {
		t.Errorf("%+v", b)
	}
}

func TestDomainsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScene(t)
		c, r := rapid.SampledFrom(s.campaigns).Draw(t, "campaign"), s.drawRange(t)
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		s.memory.domains = map[uint32]string{}
		for o := range uint32(32) {
			if o%7 != 0 { // the others were erased
				s.memory.domains[o] = string("abcde"[o*o%5]) + ".example"
			}
		}
		got, err := Domains(t.Context(), s, c.ID, r, limit)
		if err != nil {
			t.Fatal(err)
		}
		want := s.bruteDomains(c.ID, r, limit)
		for i, d := range got {
			if i >= len(want) || d.Domain != want[i].Domain || d.Recipients != want[i].Recipients || d.UniqueOpens != want[i].UniqueOpens ||
				d.UniqueHumanClicks != want[i].UniqueHumanClicks || d.UniqueClicks != want[i].UniqueClicks ||
				d.UniqueHumanOpens != want[i].UniqueHumanOpens || !samePtr(d.Bounces, want[i].Bounces) ||
				!samePtr(d.HardBounces, want[i].HardBounces) || !samePtr(d.SoftBounces, want[i].SoftBounces) ||
				!samePtr(d.Unsubscribes, want[i].Unsubscribes) || !samePtr(d.Complaints, want[i].Complaints) {
				t.Fatalf("row %d: %+v, want %+v", i, d, want)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d rows, want %d", len(got), len(want))
		}
	})
}

func samePtr(a, b *int64) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

func (s scene) bruteDomains(c campaign.ID, r Range, limit int) []Domain {
	by, heads := map[string][]Fact{}, map[string]persons{}
	for _, f := range s.bruteOver(c, inside(r)) {
		d := cmp.Or(s.memory.domains[uint32(f.Recipient)], OtherDomains)
		if heads[d] == nil {
			heads[d] = persons{}
		}
		heads[d].add(f.Recipient)
		by[d] = append(by[d], f)
	}
	var names []string
	for d := range by {
		if d != OtherDomains {
			names = append(names, d)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(heads[b].n(), heads[a].n()), cmp.Compare(a, b)) })
	var other []Fact
	others := heads[OtherDomains].n()
	other = append(other, by[OtherDomains]...)
	for len(names) > limit {
		last := names[len(names)-1]
		other, others, names = append(other, by[last]...), others+heads[last].n(), names[:len(names)-1]
	}
	if others > 0 {
		names = append(names, OtherDomains)
		by[OtherDomains], heads[OtherDomains] = other, persons{}
		for _, f := range other {
			heads[OtherDomains].add(f.Recipient)
		}
	}
	var out []Domain
	for _, d := range names {
		n := s.bruteCounts(c, by[d])
		out = append(out, Domain{
			d, heads[d].n(), n.UniqueOpens, n.UniqueHumanOpens, n.UniqueClicks, n.UniqueHumanClicks,
			n.Bounces, n.HardBounces, n.SoftBounces, n.Unsubscribes, n.Complaints,
		})
	}
	return out
}

// The totals of lists, and the place of a row by its number.
func TestCountAndSeekAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawScene(t)
		from, to := s.drawRange(t).seconds()
		pick := Selection{
			Types:   rapid.SliceOfNDistinct(rapid.SampledFrom(event.Types), 0, 3, rapid.ID).Draw(t, "types"),
			Actors:  rapid.SliceOfNDistinct(rapid.SampledFrom([]event.Actor{event.Human, event.Machine}), 0, 2, rapid.ID).Draw(t, "actors"),
			Classes: rapid.SliceOfNDistinct(rapid.SampledFrom(bounce.Classes), 0, 2, rapid.ID).Draw(t, "classes"),
		}
		id := rapid.SampledFrom([]campaign.ID{Workspace, s.campaigns[0].ID}).Draw(t, "campaign")
		var list []int64 // times
		for c, facts := range s.facts {
			for _, f := range facts {
				if (id == Workspace || id == c) && from <= f.At && f.At < to &&
					(len(pick.Types) == 0 || slices.Contains(pick.Types, f.Type)) &&
					(len(pick.Actors) == 0 || slices.Contains(pick.Actors, f.Actor)) &&
					(len(pick.Classes) == 0 || slices.Contains(pick.Classes, f.Class)) {
					list = append(list, f.At)
				}
			}
		}
		slices.Sort(list)
		n, err := CountEvents(t.Context(), s, id, pick, from, to)
		if err != nil || n != int64(len(list)) {
			t.Fatalf("counted %d of %d: %v", n, len(list), err)
		}
		newest := rapid.Bool().Draw(t, "newest first")
		offset := int64(rapid.IntRange(0, len(list)+2).Draw(t, "offset"))
		a, b, skip, err := Seek(t.Context(), s, id, pick, from, to, offset, newest)
		if err != nil {
			t.Fatal(err)
		}
		left := slices.DeleteFunc(slices.Clone(list), func(at int64) bool { return at < a || at >= b })
		if newest {
			slices.Reverse(left)
			slices.Reverse(list)
		}
		if int(offset) >= len(list) {
			if len(left) != 0 {
				t.Fatalf("row %d of %d: %d rows are left", offset, len(list), len(left))
			}
			return
		}
		if want := list[offset:]; !slices.Equal(left[skip:], want) {
			t.Fatalf("row %d: skip %d of %v, want %v", offset, skip, left, want)
		}
		near := left[:skip+1]
		if d := near[0] - near[skip]; d >= QuarterSeconds || d <= -QuarterSeconds {
			t.Fatalf("row %d: %d rows over %d seconds are skipped", offset, skip, d)
		}
	})
}

func TestSelectionAgreesWithFacts(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 2000 {
		f := randomFact(r, 5, 0, 100)
		s := Selection{}
		if r.IntN(2) == 0 {
			s.Types = []event.Type{event.Types[r.IntN(len(event.Types))]}
		}
		if r.IntN(2) == 0 {
			s.Actors = []event.Actor{event.Actor(r.IntN(2))}
		}
		if r.IntN(2) == 0 {
			s.Classes = []bounce.Class{bounce.Classes[r.IntN(4)]}
		}
		has := func(f Fact) bool {
			return chosen(s.Types, f.Type) && chosen(s.Actors, f.Actor) && chosen(s.Classes, f.Class)
		}
		n := int64(0)
		w := s.weights()
		f.Metrics(func(m Metric) { n += w[m] })
		if (n == 1) != has(f) || n != 0 && n != 1 {
			t.Fatalf("%+v is counted %d times by %+v", f, n, s)
		}
	}
}

func TestRangeBefore(t *testing.T) {
	at := func(year, day int) time.Time { return time.Date(year, 1, day, 0, 0, 0, 0, time.UTC) }
	for _, tt := range []struct{ r, want Range }{
		{Range{at(2026, 8), at(2026, 15)}, Range{at(2026, 1), at(2026, 8)}},
		{Range{at(50, 1), at(99, 1)}, Range{}},    // begins at the zero time
		{Range{at(1, 2), at(100, 1)}, Range{}},    // begins in no year that JSON can tell
		{Range{at(500, 1), at(9999, 1)}, Range{}}, // longer than a time.Duration
		{Range{To: at(2026, 1)}, Range{}},
		{Range{From: at(2026, 1)}, Range{}},
	} {
		got, ok := tt.r.before()
		if want := !tt.want.To.IsZero(); ok != want || ok && got != tt.want {
			t.Errorf("before %v: %v, %t", tt.r, got, ok)
		}
	}
}
