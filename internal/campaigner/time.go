package campaigner

import (
	"strconv"
	"time"
)

// parseTime reads a time in one of the forms that Campaigner may use, cut to the second and in UTC:
//
//   - RFC 3339, with T or a space before the time of day, and 0 to 7 digits of fraction. Second 60 (a leap second) is the
//     first of the next minute.
//   - the same without a zone, which is then a local time in zone (see inZone);
//   - Unix seconds, or milliseconds from 10¹¹ on (in seconds that were the year 5138), as bare digits.
func parseTime(s string, zone *time.Location) (time.Time, bool) {
	if n, ok := parseDigits(s); ok {
		if n >= 1e11 {
			n /= 1000
		}
		return time.Unix(n, 0).UTC(), true
	}
	if len(s) < len("2006-01-02T15:04:05") || s[4] != '-' || s[7] != '-' || s[10] != 'T' && s[10] != 't' && s[10] != ' ' ||
		s[13] != ':' || s[16] != ':' {
		return time.Time{}, false
	}
	year, ok1 := parseDigits(s[0:4])
	month, ok2 := parseDigits(s[5:7])
	day, ok3 := parseDigits(s[8:10])
	hour, ok4 := parseDigits(s[11:13])
	minute, ok5 := parseDigits(s[14:16])
	second, ok6 := parseDigits(s[17:19])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	date := time.Date(int(year), time.Month(month), int(day), 0, 0, 0, 0, time.UTC)
	if date.Month() != time.Month(month) || date.Day() != int(day) {
		return time.Time{}, false // there is no such day: Date has moved it on
	}
	wall := date.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second)
	return placeWall(wall, s[19:], zone)
}

// placeWall finds the instant of a wall clock's reading, given as if it were UTC, from what follows the seconds.
func placeWall(wall time.Time, rest string, zone *time.Location) (time.Time, bool) {
	if rest != "" && rest[0] == '.' {
		n := 1
		for n < len(rest) && isDigit(rest[n]) {
			n++
		}
		if n == 1 || n > 1+7 {
			return time.Time{}, false
		}
		rest = rest[n:]
	}
	switch {
	case rest == "":
		return inZone(wall, zone), true
	case rest == "Z" || rest == "z":
		return wall, true
	case len(rest) != len("+00:00") || rest[0] != '+' && rest[0] != '-' || rest[3] != ':':
		return time.Time{}, false
	}
	hours, ok1 := parseDigits(rest[1:3])
	minutes, ok2 := parseDigits(rest[4:6])
	if !ok1 || !ok2 || hours > 23 || minutes > 59 {
		return time.Time{}, false
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if rest[0] == '-' {
		offset = -offset
	}
	return wall.Add(-offset), true
}

// inZone is the instant at which a clock in zone shows what wall shows in UTC. An hour that comes twice when clocks go
// back means its first coming; one that clocks skip is read as if they had not gone forward yet (02:30 is then 03:30).
// time.Date leaves both open, and the identity of an event must not depend on the release of Go.
func inZone(wall time.Time, zone *time.Location) time.Time {
	if zone == nil || zone == time.UTC {
		return wall
	}
	offset := func(t time.Time) time.Duration {
		_, seconds := t.In(zone).Zone()
		return time.Duration(seconds) * time.Second
	}
	// No offset reaches a day, so these two are the ones before and after a change of clocks that may matter here.
	before, after := offset(wall.Add(-24*time.Hour)), offset(wall.Add(24*time.Hour))
	first := wall.Add(-before)
	if before == after || offset(first) == before {
		return first
	}
	if second := wall.Add(-after); offset(second) == after {
		return second
	}
	return first
}

// parseDigits reads 1 to 18 decimal digits and nothing else.
func parseDigits(s string) (int64, bool) {
	if len(s) == 0 || len(s) > 18 {
		return 0, false
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
