package rollup

import (
	"time"

	"monterey/internal/fault"
)

// Granularity is the length of a time series' buckets, in the calendar of a zone.
type Granularity string

// The granularities.
const (
	ByHour  Granularity = "hour"
	ByDay   Granularity = "day"
	ByWeek  Granularity = "week"
	ByMonth Granularity = "month"
)

// Granularities are all of them.
var Granularities = []Granularity{ByHour, ByDay, ByWeek, ByMonth}

// ParseGranularity reads a name in lower case; the fault is Invalid.
func ParseGranularity(s string) (Granularity, error) {
	switch g := Granularity(s); g {
	case ByHour, ByDay, ByWeek, ByMonth:
		return g, nil
	}
	return "", fault.New(fault.Invalid, "%q is not a granularity; hour, day, week and month are", s)
}

// WeekStart is the day that weeks begin with.
type WeekStart string

// The beginnings of weeks.
const (
	Monday WeekStart = "monday"
	Sunday WeekStart = "sunday"
)

// ParseWeekStart reads a name in lower case; the fault is Invalid.
func ParseWeekStart(s string) (WeekStart, error) {
	switch w := WeekStart(s); w {
	case Monday, Sunday:
		return w, nil
	}
	return "", fault.New(fault.Invalid, "%q does not begin a week; monday and sunday do", s)
}

// calendar divides all time into buckets.
//
// A day begins at the first instant whose local date is that day or later, and so do weeks and months: a day that the zone
// left out (Apia had no 30 December 2011) has no bucket. An hour begins where the clock shows a full hour or is changed: a
// local hour that is repeated is two buckets, one that a change by half an hour cuts is shorter.
type calendar struct {
	zone        *time.Location
	granularity Granularity
	weekStart   WeekStart
}

// bucket is the one that the second at lies in: start <= at < end.
func (c calendar) bucket(at int64) (start, end int64) {
	if c.granularity == ByHour {
		return c.hour(at)
	}
	y, m, d := time.Unix(at, 0).In(c.zone).Date()
	n := 0 // buckets after that of the local date
	for {
		start, end = c.dayStart(c.first(y, m, d, n)), c.dayStart(c.first(y, m, d, n+1))
		if at < end {
			return start, end
		}
		n++ // the clock was put back past midnight: at counts in the day that had begun
	}
}

// first is the first date of the bucket n after the one that holds the date, as that midnight in UTC.
func (c calendar) first(y int, m time.Month, d, n int) time.Time {
	switch c.granularity {
	case ByMonth:
		return time.Date(y, m+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	case ByWeek:
		back := int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Weekday()) // days since Sunday
		if c.weekStart != Sunday {
			back = (back + 6) % 7
		}
		return time.Date(y, m, d-back+7*n, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(y, m, d+n, 0, 0, 0, 0, time.UTC)
}

// dayStart is the first instant at which the zone's clock shows the date or a later one. On the last day of a leap year
// beyond a zone's table of changes (from 2040 on) ZoneBounds tells an end that has passed already; the offset is right, and
// no rule changes the clock at new year, so that end is taken for a later one.
func (c calendar) dayStart(date time.Time) int64 {
	for t := date.Add(-30 * time.Hour); ; {
		zt := t.In(c.zone)
		_, offset := zt.Zone()
		from, until := zt.ZoneBounds()
		midnight := date.Unix() - int64(offset)
		if until.IsZero() || !until.After(t) || midnight < until.Unix() {
			if from.IsZero() {
				return midnight
			}
			return max(midnight, from.Unix())
		}
		t = until
	}
}

func (c calendar) hour(at int64) (start, end int64) {
	t := time.Unix(at, 0).In(c.zone)
	_, offset := t.Zone()
	start = floor(at+int64(offset), HourSeconds) - int64(offset)
	end = start + HourSeconds
	from, until := t.ZoneBounds()
	if !from.IsZero() && from.Unix() > start && c.offset(from.Unix()-1) != offset {
		start = from.Unix()
	}
	if !until.IsZero() && until.Unix() < end && c.offset(until.Unix()) != offset {
		end = until.Unix()
	}
	return start, end
}

func (c calendar) offset(at int64) int {
	_, offset := time.Unix(at, 0).In(c.zone).Zone()
	return offset
}
