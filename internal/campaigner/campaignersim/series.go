package campaignersim

import (
	"fmt"
	"time"
)

// SeriesParams choose a time series.
type SeriesParams struct {
	Granularity string // hour, day, week or month
	Zone        *time.Location
	WeekStart   time.Weekday // time.Monday or time.Sunday
	// From and To are [From, To). A zero From is the beginning of the bucket with the campaign's first event, a zero To the
	// end of the one with the later of AsOf and the last event.
	From, To, AsOf time.Time
}

// Point is a bucket of a series.
type Point struct {
	Start                time.Time `json:"bucket_start"` // of the whole calendar bucket
	End                  time.Time `json:"bucket_end"`
	Partial              bool      `json:"partial"` // the range cuts it
	NewUniqueOpens       int       `json:"new_unique_opens"`
	NewUniqueClicks      int       `json:"new_unique_clicks"`
	NewUniqueHumanOpens  int       `json:"new_unique_human_opens"`
	NewUniqueHumanClicks int       `json:"new_unique_human_clicks"`
	Counts
}

// quarter of an hour: the clocks of every zone differ from UTC by a multiple of it, so no bucket begins elsewhere.
const quarter = 15 * time.Minute

// Series of a campaign: every bucket of the range, empty ones too, by time. A campaign without events has none unless From is
// given.
func (t *Truth) Series(campaign string, p SeriesParams) (points []Point) {
	facts := t.campaigns[campaign]
	if p.From.IsZero() {
		if len(facts) == 0 {
			return nil
		}
		p.From = p.begin(time.Unix(facts[0].at, 0))
	}
	if p.To.IsZero() {
		last := p.AsOf
		if n := len(facts); n > 0 && facts[n-1].at > last.Unix() {
			last = time.Unix(facts[n-1].at, 0)
		}
		p.To = p.end(last)
	}
	for start := p.begin(p.From); start.Before(p.To); start = p.end(start) {
		points = append(points, t.point(campaign, facts, start, p))
	}
	return points
}

func (t *Truth) point(campaign string, facts []fact, start time.Time, p SeriesParams) Point {
	point := Point{Start: start.UTC(), End: p.end(start).UTC()}
	from, to := point.Start, point.End
	if p.From.After(from) {
		from, point.Partial = p.From, true
	}
	if p.To.Before(to) {
		to, point.Partial = p.To, true
	}
	point.Counts = t.counts(campaign, from, to)
	point.NewUniqueOpens = firstIn(facts, from, to, func(f fact) bool { return f.kind == Open })
	point.NewUniqueHumanOpens = point.NewUniqueOpens
	point.NewUniqueClicks = firstIn(facts, from, to, func(f fact) bool { return f.kind == Click })
	point.NewUniqueHumanClicks = firstIn(facts, from, to, func(f fact) bool { return f.kind == Click && !f.machine })
	return point
}

// firstIn counts those whose first of the chosen facts, ever, lies in [from, to). Facts are by time.
func firstIn(facts []fact, from, to time.Time, chosen func(fact) bool) (n int) {
	met := map[string]bool{}
	for _, f := range facts {
		if chosen(f) && !met[f.person] {
			met[f.person] = true
			if within(f.at, from, to) {
				n++
			}
		}
	}
	return n
}

// begin is when the bucket begins that holds a time, found by going back on the calendar quarter by quarter.
func (p SeriesParams) begin(at time.Time) time.Time {
	at = at.Truncate(quarter)
	for p.label(at.Add(-quarter)) == p.label(at) {
		at = at.Add(-quarter)
	}
	return at
}

// end is when the next bucket begins.
func (p SeriesParams) end(at time.Time) time.Time {
	at = at.Truncate(quarter)
	for label := p.label(at); p.label(at) == label; {
		at = at.Add(quarter)
	}
	return at
}

// label names a time's bucket as a wall calendar does; the offset tells apart the two hours that the clocks show twice.
func (p SeriesParams) label(at time.Time) string {
	at = at.In(p.Zone)
	switch p.Granularity {
	case "hour":
		return at.Format("2006-01-02 15h -0700")
	case "day":
		return at.Format("2006-01-02")
	case "week":
		back := int(at.Weekday()-p.WeekStart+7) % 7
		return time.Date(at.Year(), at.Month(), at.Day()-back, 0, 0, 0, 0, time.UTC).Format("week of 2006-01-02")
	case "month":
		return at.Format("2006-01")
	}
	panic(fmt.Sprintf("campaignersim: no granularity %q", p.Granularity))
}

// LinkCounts are the clicks on a link.
type LinkCounts struct {
	LinkID            string    `json:"link_id"`
	URL               string    `json:"url"`
	Clicks            int       `json:"clicks"`
	UniqueClicks      int       `json:"unique_clicks"`
	HumanClicks       int       `json:"human_clicks"`
	UniqueHumanClicks int       `json:"unique_human_clicks"`
	FirstClickAt      time.Time `json:"first_click_at"`
	LastClickAt       time.Time `json:"last_click_at"`
}

// Links are a campaign's clicked links over [from, to), in the order of their first click there.
func (t *Truth) Links(campaign string, from, to time.Time) (links []LinkCounts) {
	place := map[string]int{}
	people, humans := map[[2]string]bool{}, map[[2]string]bool{}
	for _, f := range t.campaigns[campaign] {
		if f.kind != Click || !within(f.at, from, to) {
			continue
		}
		at := time.Unix(f.at, 0).UTC()
		i, ok := place[f.link]
		if !ok {
			i = len(links)
			place[f.link] = i
			links = append(links, LinkCounts{LinkID: f.link, URL: f.url, FirstClickAt: at})
		}
		l := &links[i]
		l.Clicks++
		l.LastClickAt = at
		people[[2]string{f.link, f.person}] = true
		if !f.machine {
			l.HumanClicks++
			humans[[2]string{f.link, f.person}] = true
		}
	}
	for who := range people {
		links[place[who[0]]].UniqueClicks++
	}
	for who := range humans {
		links[place[who[0]]].UniqueHumanClicks++
	}
	return links
}
