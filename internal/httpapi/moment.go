package httpapi

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// moment is a time as clients write it: a date-time, one without a zone, or a plain date. The last two mean a time only
// together with a zone. The zero moment is "not given".
type moment struct {
	wall  time.Time // the clock's reading, as if in UTC
	exact time.Time // the instant, where an offset was given
	day   bool      // a plain date
}

var momentForm = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(:\d\d(?:[.,]\d{1,9})?)?([Zz]|[+ -]\d\d:\d\d)?)?$`)

var errMoment = errors.New("must be a date-time (2026-01-31T09:30:00Z), one without a zone, or a date (2026-01-31)")

var errTooEarly = errors.New("must not lie before 0001-01-02")

// Times that can be told in RFC 3339, and not be taken for the zero time, which means an open end: some clients send it for a
// time that they forgot to set.
var (
	firstTime = time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

// parseMoment reads a moment. A blank before an offset is a "+" that was not encoded.
func parseMoment(s string) (moment, error) {
	part := momentForm.FindStringSubmatch(strings.TrimSpace(s))
	if part == nil {
		return moment{}, errMoment
	}
	date, clock, seconds, zone := part[1], part[2], strings.ReplaceAll(part[3], ",", "."), part[4]
	if clock == "" {
		t, err := time.Parse("2006-01-02", date)
		if err != nil {
			return moment{}, errMoment
		}
		if t.Before(firstTime) {
			return moment{}, errTooEarly
		}
		return moment{wall: t, day: true}, nil
	}
	if seconds == "" {
		seconds = ":00"
	}
	text := date + "T" + clock + seconds
	wall, err := time.Parse("2006-01-02T15:04:05", text)
	if err != nil {
		return moment{}, errMoment
	}
	if wall.Before(firstTime) {
		return moment{}, errTooEarly
	}
	m := moment{wall: wall}
	if zone == "" {
		return m, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text+strings.ToUpper(strings.Replace(zone, " ", "+", 1)))
	if err != nil || t.After(lastTime.Add(time.Second)) {
		return moment{}, errMoment
	}
	if t.Before(firstTime) {
		return moment{}, errTooEarly
	}
	m.exact = t.UTC()
	return m, nil
}

func (m moment) given() bool { return !m.wall.IsZero() || !m.exact.IsZero() || m.day }

// needsZone says whether it means a time only together with a zone.
func (m moment) needsZone() bool { return m.given() && m.exact.IsZero() }

// start is the moment's first instant in the zone, in UTC; lastTime at most.
func (m moment) start(loc *time.Location) time.Time {
	if !m.exact.IsZero() {
		return m.exact
	}
	return noLater(firstAt(m.wall, loc))
}

// end is where a half-open range up to the moment ends: a plain date is included.
func (m moment) end(loc *time.Location) time.Time {
	if !m.day {
		return m.start(loc)
	}
	return noLater(firstAt(m.wall.AddDate(0, 0, 1), loc))
}

func noLater(t time.Time) time.Time {
	if t.After(lastTime) {
		return lastTime
	}
	return t
}

// firstAt is the first instant at which a clock in the zone reads wall or later: where the clock is put back and reads wall
// twice the first, where it is put forward over wall (also over midnight, and once in Samoa over a whole day) the instant
// of the change.
func firstAt(wall time.Time, loc *time.Location) time.Time {
	_, before := wall.Add(-24 * time.Hour).In(loc).Zone()
	_, after := wall.Add(24 * time.Hour).In(loc).Zone()
	early := wall.Add(-time.Duration(max(before, after)) * time.Second)
	late := wall.Add(-time.Duration(min(before, after)) * time.Second)
	reads := func(t time.Time) bool {
		_, offset := t.In(loc).Zone()
		return t.Add(time.Duration(offset) * time.Second).Equal(wall)
	}
	switch {
	case reads(early):
		return early.UTC()
	case reads(late):
		return late.UTC()
	}
	_, change := early.In(loc).ZoneBounds()
	return change.UTC()
}

func (m *moment) set(raw []string) (msg, kind string) {
	if len(raw) > 1 {
		return "is given more than once", "repeated"
	}
	var err error
	if *m, err = parseMoment(raw[0]); err != nil {
		return err.Error(), "time"
	}
	return "", ""
}

// UnmarshalJSON reads a moment in a body, as exactly as the stores keep it; an empty string is none.
func (m *moment) UnmarshalJSON(b []byte) (err error) {
	var s string
	if json.Unmarshal(b, &s) != nil {
		return errMoment
	}
	if strings.TrimSpace(s) == "" {
		return nil
	}
	*m, err = parseMoment(s)
	m.wall, m.exact = m.wall.Truncate(time.Microsecond), m.exact.Truncate(time.Microsecond)
	return err
}

// Schema of the text; no format, as a date and a time without a zone are no RFC 3339 date-time.
func (moment) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Examples: []any{"2026-01-31T09:30:00Z"}}
}
