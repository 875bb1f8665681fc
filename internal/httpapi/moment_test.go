package httpapi

import (
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	for _, tt := range []struct{ text, zone, start, end string }{
		{"2026-01-31T09:30:00Z", "Europe/Paris", "2026-01-31T09:30:00Z", "2026-01-31T09:30:00Z"},
		{"2026-01-31T09:30:00.25+02:00", "UTC", "2026-01-31T07:30:00.25Z", "2026-01-31T07:30:00.25Z"},
		{"2026-01-31T09:30:00 02:00", "UTC", "2026-01-31T07:30:00Z", "2026-01-31T07:30:00Z"},
		{"2026-01-31 09:30 05:45", "UTC", "2026-01-31T03:45:00Z", "2026-01-31T03:45:00Z"},
		{"2026-01-31 09:30", "Europe/Paris", "2026-01-31T08:30:00Z", "2026-01-31T08:30:00Z"},
		{"2026-01-31T09:30:00", "Asia/Kathmandu", "2026-01-31T03:45:00Z", "2026-01-31T03:45:00Z"},
		{"2026-01-31", "Europe/Paris", "2026-01-30T23:00:00Z", "2026-01-31T23:00:00Z"},
		{"2026-03-29", "Europe/Paris", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"}, // 23 hours
		{"2026-10-25", "Europe/Paris", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"}, // 25 hours
		{"2026-03-29T02:30:00", "Europe/Paris", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"},
		{"2026-10-25T02:30:00", "Europe/Paris", "2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z"},
		{"2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"}, // begins at 01:00
		{"2018-02-17", "America/Sao_Paulo", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"}, // ends with a second 23rd hour
		{"2020-11-01", "America/Havana", "2020-11-01T04:00:00Z", "2020-11-02T05:00:00Z"},    // midnight twice
		{"2011-12-29", "Pacific/Apia", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},      // the 30th does not exist
		{"2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"},
		{"9999-12-31", "UTC", "9999-12-31T00:00:00Z", "9999-12-31T23:59:59Z"},
		{"9999-12-31T23:00:00", "America/New_York", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"},
		{"0001-01-02", "Europe/Paris", "0001-01-01T23:50:39Z", "0001-01-02T23:50:39Z"},
	} {
		loc, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		m, err := parseMoment(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := m.start(loc).Format(time.RFC3339Nano); got != tt.start {
			t.Errorf("%s in %s starts %s, want %s", tt.text, tt.zone, got, tt.start)
		}
		if got := m.end(loc).Format(time.RFC3339Nano); got != tt.end {
			t.Errorf("%s in %s ends %s, want %s", tt.text, tt.zone, got, tt.end)
		}
	}
	for _, s := range []string{"yesterday", "2026-02-30", "2026-01-01T25:00:00Z", "2026-01-01T10", "2026-13-01", "20260101", "1700000000",
		"2026-01-01T10:00:60Z", "0000-01-01", "2026-01-01T10:00:00+99:00", "2026-01-01TZ", "9999-12-31T23:59:59-12:00", "2026-01-01Z",
		"0001-01-01", "0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "0001-01-01T02:00:00+02:00"} {
		if m, err := parseMoment(s); err == nil {
			t.Errorf("%q is taken for %v", s, m)
		}
	}
}

// A day of a zone begins at the first second whose date there is that day, found by walking.
func TestDayStartsWithItsFirstSecond(t *testing.T) {
	for _, name := range []string{"America/Sao_Paulo", "America/Havana", "Asia/Beirut", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Gaza", "America/Santiago"} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for day := time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2019; day = day.AddDate(0, 0, 1) {
			got := firstAt(day, loc)
			before := got.Add(-time.Second)
			at := func(t time.Time) string { return t.In(loc).Format("2006-01-02") }
			if want := day.Format("2006-01-02"); at(got) < want || at(before) >= want {
				t.Errorf("%s %s begins at %s", name, want, got)
			}
		}
	}
}
