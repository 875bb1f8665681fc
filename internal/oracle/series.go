package oracle

import (
	"fmt"
	"time"
)

// MaxBuckets is how many buckets a series may have.
const MaxBuckets = 10_000

// quarter of an hour, in seconds: every offset of a zone, and every change of one since 1972, is a multiple of it.
const quarter = 900

// SeriesParams chooses a series. From and To are unix seconds, nil = open.
type SeriesParams struct {
	Campaign    string
	Granularity string // hour, day, week or month
	Zone        *time.Location
	WeekStart   time.Weekday // time.Monday or time.Sunday
	From, To    *int64
	AsOf        int64 // the answer's
}

// bucket is [start, end).
type bucket struct{ start, end int64 }

// Series is the time series. ok is false where it must be refused for its length. Its date_from and date_to are wanted only
// where the question gave them or the series was truncated.
func (o *Oracle) Series(p SeriesParams) (series map[string]any, ok bool) {
	m := map[string]any{"granularity": p.Granularity, "timezone": p.Zone.String(), "week_start": "monday", "truncated": false}
	if p.WeekStart == time.Sunday {
		m["week_start"] = "sunday"
	}
	events := o.counted([]string{p.Campaign}, nil, nil, ByEvent)
	from, to, some := span(events, p)
	var buckets []bucket
	if some {
		buckets = bucketsOf(from, to, p)
	}
	totalFrom, totalTo := p.From, p.To
	if len(buckets) > MaxBuckets {
		if p.From != nil {
			return nil, false
		}
		buckets = buckets[len(buckets)-MaxBuckets:]
		m["truncated"] = true
		from = buckets[0].start
		totalFrom, totalTo = &from, &to
	}
	totals := o.Statistics(p.Campaign, totalFrom, totalTo)
	for field, at := range map[string]*int64{"date_from": totalFrom, "date_to": totalTo} {
		if at == nil {
			delete(totals, field)
		} else {
			m[field] = stamp(*at)
		}
	}
	m["totals"] = totals
	m["points"] = o.points(events, buckets, from, to, p)
	return m, true
}

// span is the range that the series covers; an open end becomes the edge of a bucket. some is false where there is none.
func span(events []happened, p SeriesParams) (from, to int64, some bool) {
	last := p.AsOf
	for _, e := range events {
		last = max(last, e.At)
	}
	switch {
	case p.From != nil:
		from = *p.From
	case len(events) == 0:
		return 0, 0, false
	default:
		from = bucketAround(events[0].At, p).start
	}
	if p.To != nil {
		to = *p.To
	} else {
		to = bucketAround(last, p).end
	}
	return from, to, from < to
}

// points counts each bucket by walking the campaign's events again.
func (o *Oracle) points(events []happened, buckets []bucket, from, to int64, p SeriesParams) []any {
	fresh := firsts(events)
	points := make([]any, 0, len(buckets))
	next := 0
	for _, b := range buckets {
		start, end := max(b.start, from), min(b.end, to)
		for next < len(events) && events[next].At < start {
			next++
		}
		stop := next
		for stop < len(events) && events[stop].At < end {
			stop++
		}
		point := o.counts([]string{p.Campaign}, o.tally(events[next:stop], perCampaign))
		sent := o.mailed(p.Campaign, &start, &end, nil)
		point["sent"], point["delivered"] = float(sent.sent), float(sent.delivered)
		point["bucket_start"], point["bucket_end"] = stamp(b.start), stamp(b.end)
		point["partial"] = start != b.start || end != b.end
		for name, times := range fresh {
			n := 0
			for _, at := range times {
				if start <= at && at < end {
					n++
				}
			}
			point[name] = num(n)
		}
		points = append(points, point)
	}
	return points
}

// firsts are the times at which each recipient first did a thing in the campaign.
func firsts(events []happened) map[string]map[string]int64 {
	first := map[string]map[string]int64{"new_unique_opens": {}, "new_unique_clicks": {},
		"new_unique_human_opens": {}, "new_unique_human_clicks": {}}
	note := func(name string, e happened) {
		if at, ok := first[name][e.person]; !ok || e.At < at {
			first[name][e.person] = e.At
		}
	}
	for _, e := range events {
		if e.Type != "open" && e.Type != "click" {
			continue
		}
		note("new_unique_"+e.Type+"s", e)
		if !e.machine {
			note("new_unique_human_"+e.Type+"s", e)
		}
	}
	return first
}

// bucketsOf are the calendar buckets that touch [from, to), found by looking at the calendar each quarter of an hour.
func bucketsOf(from, to int64, p SeriesParams) []bucket {
	b := bucketAround(from, p)
	buckets := []bucket{b}
	for b.end < to {
		b = bucket{b.end, endOf(b.end, p)}
		buckets = append(buckets, b)
	}
	return buckets
}

// bucketAround is the bucket that holds at.
func bucketAround(at int64, p SeriesParams) bucket {
	start := at - at%quarter
	name := label(at, p)
	for label(start-quarter, p) == name {
		start -= quarter
	}
	return bucket{start, endOf(at-at%quarter, p)}
}

// endOf is the first quarter of an hour after at that belongs to another bucket.
func endOf(at int64, p SeriesParams) int64 {
	name := label(at, p)
	for label(at, p) == name {
		at += quarter
	}
	return at
}

// label names the bucket of a time as a calendar on the wall would. An hour that comes twice is told apart by its offset.
func label(at int64, p SeriesParams) string {
	t := time.Unix(at, 0).In(p.Zone)
	switch p.Granularity {
	case "hour":
		return t.Format("2006-01-02 15 -0700")
	case "day":
		return t.Format("2006-01-02")
	case "week":
		since := (int(t.Weekday()) - int(p.WeekStart) + 7) % 7
		return time.Date(t.Year(), t.Month(), t.Day()-since, 12, 0, 0, 0, time.UTC).Format("2006-01-02")
	case "month":
		return t.Format("2006-01")
	}
	panic(fmt.Sprintf("oracle: no granularity %q", p.Granularity))
}

// Day is when the calendar day of a zone begins that holds at, and when the next begins: what a plain date means.
func Day(at int64, zone *time.Location) (start, end int64) {
	b := bucketAround(at, SeriesParams{Granularity: "day", Zone: zone})
	return b.start, b.end
}
