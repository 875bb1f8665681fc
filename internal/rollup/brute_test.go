package rollup

import (
	"fmt"
	"slices"
	"time"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/event"
)

// What follows counts by walking all events and knows nothing of buckets, rows or sets.

// persons are distinct somethings.
type persons map[string]bool

func (p persons) add(ids ...any) { p[fmt.Sprint(ids...)] = true }
func (p persons) n() int64       { return int64(len(p)) }

// bruteOver are the campaign's events that pass.
func (m *memory) bruteOver(c campaign.ID, pass func(at int64) bool) (out []Fact) {
	for _, f := range m.facts[c] {
		if pass(f.At) {
			out = append(out, f)
		}
	}
	return out
}

func inside(r Range) func(int64) bool {
	return func(at int64) bool {
		t := time.Unix(at, 0)
		return !(!r.From.IsZero() && t.Before(r.From)) && !(!r.To.IsZero() && !t.Before(r.To))
	}
}

// bruteCounts are the counting fields of some events of the campaign.
func (m *memory) bruteCounts(c campaign.ID, events []Fact) Counts {
	ever := map[string]bool{}
	anything := false
	for id, fs := range m.facts {
		anything = anything || len(fs) > 0
		for _, f := range fs {
			if id == c {
				ever[f.Type.String()+f.Class.String()] = true
			}
		}
	}
	for _, r := range m.runs {
		anything = anything || r.Campaign == c && r.Derived
	}
	var out Counts
	opened, clicked, hOpened, hClicked := persons{}, persons{}, persons{}, persons{}
	bounced, hard, soft, left, complained := persons{}, persons{}, persons{}, persons{}, persons{}
	for _, f := range events {
		switch f.Type {
		case event.Open:
			out.Opens++
			opened.add(f.Recipient)
			if f.Actor != event.Machine {
				out.HumanOpens++
				hOpened.add(f.Recipient)
			}
		case event.Click:
			out.Clicks++
			clicked.add(f.Recipient)
			if f.Actor != event.Machine {
				out.HumanClicks++
				hClicked.add(f.Recipient)
			}
		case event.Bounce:
			bounced.add(f.Recipient)
			if f.Class == bounce.Hard {
				hard.add(f.Recipient)
			}
			if f.Class == bounce.Soft {
				soft.add(f.Recipient)
			}
		case event.Unsubscribe:
			left.add(f.Recipient)
		case event.Complaint:
			complained.add(f.Recipient)
		}
	}
	out.UniqueOpens, out.UniqueClicks, out.UniqueHumanOpens, out.UniqueHumanClicks = opened.n(), clicked.n(), hOpened.n(), hClicked.n()
	if anything {
		out.Bounces, out.HardBounces, out.Unsubscribes = new(bounced.n()), new(hard.n()), new(left.n())
	}
	read, told := m.bruteSources(c)
	if read["hard bounces"] || read["soft bounces"] {
		out.Bounces = new(bounced.n())
	}
	if read["hard bounces"] {
		out.HardBounces = new(hard.n())
	}
	if read["unsubscribes"] {
		out.Unsubscribes = new(left.n())
	}
	if ever["bouncesoft"] || read["soft bounces"] || told.SoftBounces != nil && *told.SoftBounces == 0 {
		out.SoftBounces = new(soft.n())
	}
	if ever["complaint"] || read["complaints"] || told.Complaints != nil && *told.Complaints == 0 {
		out.Complaints = new(complained.n())
	}
	return out
}

// bruteSources are the names of the reports that were read for the campaign, and what its provider told of it.
func (m *memory) bruteSources(id campaign.ID) (read map[string]bool, told campaign.Figures) {
	read = map[string]bool{}
	for _, c := range m.campaigns {
		if c.ID != id {
			continue
		}
		for i, name := range []string{"opens", "clicks", "hard bounces", "soft bounces", "unsubscribes", "complaints"} {
			if c.Sources>>i%2 == 1 {
				read[name] = true
			}
		}
		if c.Figures != nil {
			told = *c.Figures
		}
	}
	return read, told
}

// bruteReported sums what was told of these campaigns, unless something happened to one of which nothing was told.
func (m *memory) bruteReported(of ...campaign.Campaign) *ProviderReported {
	var sum *ProviderReported
	for _, c := range of {
		if c.Figures == nil {
			sent := slices.ContainsFunc(m.runs, func(r campaign.Run) bool { return r.Campaign == c.ID })
			if sent || len(m.facts[c.ID]) > 0 {
				return nil
			}
			continue
		}
		f := c.Figures
		one := ProviderReported{AsOf: f.AsOf, Sent: f.Sent, Delivered: f.Delivered, Opens: f.Opens, Clicks: f.Clicks,
			UniqueClicks: f.UniqueClicks, HardBounces: f.HardBounces, SoftBounces: f.SoftBounces, Complaints: f.Complaints, Unsubscribes: f.Unsubscribes}
		if sum == nil {
			sum = &one
			continue
		}
		if one.AsOf.Before(sum.AsOf) {
			sum.AsOf = one.AsOf
		}
		for into, n := range map[**int64]*int64{
			&sum.Sent: one.Sent, &sum.Delivered: one.Delivered, &sum.Opens: one.Opens, &sum.Clicks: one.Clicks, &sum.UniqueClicks: one.UniqueClicks,
			&sum.HardBounces: one.HardBounces, &sum.SoftBounces: one.SoftBounces, &sum.Complaints: one.Complaints, &sum.Unsubscribes: one.Unsubscribes,
		} {
			if *into == nil || n == nil {
				*into = nil
			} else {
				*into = new(**into + *n)
			}
		}
	}
	return sum
}

// bruteMailed is sent, delivered and its source of the runs and events that pass.
func (m *memory) bruteMailed(c campaign.ID, r Range, bounces *int64) (sent, delivered *int64, source *string) {
	var told *int64
	for _, run := range m.runs {
		if run.Campaign != c || (!r.From.IsZero() && run.StartedAt.Before(r.From)) || (!r.To.IsZero() && !run.StartedAt.Before(r.To)) {
			continue
		}
		if run.Sent != nil {
			if sent == nil {
				sent = new(int64)
			}
			*sent += *run.Sent
		}
		if run.Delivered != nil {
			if told == nil {
				told = new(int64)
			}
			*told += *run.Delivered
		}
	}
	sends, n := false, int64(0)
	for _, f := range m.facts[c] {
		if f.Type == event.Delivered {
			sends = true
			if inside(r)(f.At) {
				n++
			}
		}
	}
	switch {
	case sends:
		return sent, &n, new("events")
	case told != nil:
		return sent, told, new("runs")
	case sent != nil && bounces != nil:
		return sent, new(*sent - *bounces), new("derived")
	}
	return sent, nil, nil
}

func div(a, b *int64) *float64 {
	if a == nil || b == nil || *b == 0 {
		return nil
	}
	return new(float64(*a) / float64(*b))
}

func (m *memory) bruteStatistics(c campaign.Campaign, r Range, asOf time.Time) Statistics {
	events := m.bruteOver(c.ID, inside(r))
	s := Statistics{
		CampaignID: &c.ID, CampaignName: &c.Name, ProviderName: &c.Provider, ProviderCampaignID: &c.ProviderCampaignID,
		Basis: "event", AsOf: asOf, Counts: m.bruteCounts(c.ID, events),
	}
	if !r.From.IsZero() {
		s.DateFrom = new(r.From.UTC())
	}
	if !r.To.IsZero() {
		s.DateTo = new(r.To.UTC())
	}
	if !m.human.IsZero() {
		s.HumanAsOf = new(m.human.UTC())
	}
	for _, f := range m.facts[c.ID] {
		t := time.Unix(f.At, 0).UTC()
		if s.FirstEventAt == nil || t.Before(*s.FirstEventAt) {
			s.FirstEventAt = &t
		}
		if s.LastEventAt == nil || t.After(*s.LastEventAt) {
			s.LastEventAt = &t
		}
	}
	var derive *int64
	if r.From.IsZero() && r.To.IsZero() {
		derive = s.Bounces
	}
	s.Sent, s.Delivered, s.DeliveredSource = m.bruteMailed(c.ID, r, derive)
	until := Range{To: r.To}
	s.RateBase.Sent, s.RateBase.Delivered, _ = m.bruteMailed(c.ID, until, m.bruteCounts(c.ID, m.bruteOver(c.ID, inside(until))).Bounces)
	s.ProviderReported = m.bruteReported(c)
	s.clickedOpeners = clickedOpeners(events)
	m.bruteRates(&s)
	return s
}

func clickedOpeners(events []Fact) (n int64) {
	opened, both := persons{}, persons{}
	for _, f := range events {
		if f.Type == event.Open {
			opened.add(f.Recipient)
		}
	}
	for _, f := range events {
		if f.Type == event.Click && opened[fmt.Sprint(f.Recipient)] {
			both.add(f.Recipient)
		}
	}
	return both.n()
}

func (m *memory) bruteRates(s *Statistics) {
	d := s.RateBase.Delivered
	s.DeliveryRate, s.BounceRate = div(d, s.RateBase.Sent), div(s.Bounces, s.RateBase.Sent)
	s.OpenRate, s.HumanOpenRate = div(&s.UniqueOpens, d), div(&s.UniqueHumanOpens, d)
	s.ClickRate, s.HumanClickRate = div(&s.UniqueClicks, d), div(&s.UniqueHumanClicks, d)
	s.UnsubscribeRate, s.ComplaintRate = div(s.Unsubscribes, d), div(s.Complaints, d)
	s.ClickToOpenRate = div(&s.clickedOpeners, &s.UniqueOpens)
}

// bruteList is every campaign that the basis takes.
func (m *memory) bruteList(r Range, b Basis, asOf time.Time) (out []Statistics) {
	for _, c := range m.campaigns {
		if b == ByEvent {
			out = append(out, m.bruteStatistics(c, r, asOf))
			continue
		}
		var first *time.Time
		for _, run := range m.runs {
			if run.Campaign == c.ID && (first == nil || run.StartedAt.Before(*first)) {
				first = &run.StartedAt
			}
		}
		if first == nil || (!r.From.IsZero() && first.Before(r.From)) || (!r.To.IsZero() && !first.Before(r.To)) {
			continue
		}
		s := m.bruteStatistics(c, Range{}, asOf)
		s.Basis = b
		if !r.From.IsZero() {
			s.DateFrom = new(r.From.UTC())
		}
		if !r.To.IsZero() {
			s.DateTo = new(r.To.UTC())
		}
		out = append(out, s)
	}
	return out
}

// brutePoints walks the clock a quarter of an hour at a time, and begins a point wherever a calendar on the wall, or the
// offset of its clock, shows another hour, day, week or month.
func (m *memory) brutePoints(c campaign.ID, p SeriesParams, firstAt, lastAt int64) (out []Point) {
	name := func(at int64) string {
		t := time.Unix(at, 0).In(p.Zone)
		day := time.Date(t.Year(), t.Month(), t.Day(), 12, 0, 0, 0, time.UTC)
		switch p.Granularity {
		case ByHour:
			return t.Format("2006-01-02T15Z07:00")
		case ByDay:
			return t.Format("2006-01-02")
		case ByMonth:
			return t.Format("2006-01")
		}
		for day.Weekday() != map[WeekStart]time.Weekday{Monday: time.Monday, Sunday: time.Sunday}[p.WeekStart] {
			day = day.AddDate(0, 0, -1)
		}
		return day.Format("2006-01-02")
	}
	const step = 900
	at := firstAt - ((firstAt%step)+step)%step
	for name(at-step) == name(at) {
		at -= step
	}
	for at <= lastAt {
		end := at
		for name(end) == name(at) {
			end += step
		}
		out = append(out, m.brutePoint(c, p.Range, time.Unix(at, 0).UTC(), time.Unix(end, 0).UTC()))
		at = end
	}
	return out
}

func (m *memory) brutePoint(c campaign.ID, whole Range, start, end time.Time) Point {
	r := Range{start, end}
	if whole.From.After(start) {
		r.From = whole.From
	}
	if !whole.To.IsZero() && whole.To.Before(end) {
		r.To = whole.To
	}
	events := m.bruteOver(c, inside(r))
	p := Point{BucketStart: start, BucketEnd: end, Partial: r != Range{start, end}, Counts: m.bruteCounts(c, events)}
	p.Sent, p.Delivered, p.DeliveredSource = m.bruteMailed(c, r, nil)
	old := m.bruteOver(c, inside(Range{To: r.From}))
	fresh := func(t event.Type, human bool) int64 {
		is := func(f Fact) bool { return f.Type == t && !(human && f.Actor == event.Machine) }
		was, now := map[any]bool{}, persons{}
		for _, f := range old {
			if is(f) {
				was[f.Recipient] = true
			}
		}
		for _, f := range events {
			if is(f) && !was[f.Recipient] {
				now.add(f.Recipient)
			}
		}
		return now.n()
	}
	p.NewUniqueOpens, p.NewUniqueHumanOpens = fresh(event.Open, false), fresh(event.Open, true)
	p.NewUniqueClicks, p.NewUniqueHumanClicks = fresh(event.Click, false), fresh(event.Click, true)
	return p
}
