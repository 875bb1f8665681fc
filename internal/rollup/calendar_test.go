package rollup

import (
	"testing"
	"time"
)

// Days begin at the first second whose date is that day, also where a zone's rules go on beyond its table: there ZoneBounds
// is wrong on the last day of leap years.
func TestDaysFarAhead(t *testing.T) {
	for _, name := range []string{"America/New_York", "Europe/Paris", "Australia/Lord_Howe", "Pacific/Auckland", "Asia/Kathmandu", "UTC"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, year := range []int{2036, 2039, 2040, 2041, 2056, 2100, 2400, 9996} {
			c := calendar{zone, ByDay, Monday}
			at := time.Date(year, time.December, 29, 12, 0, 0, 0, zone)
			for day := range 7 {
				start, end := within(t, c, at.Add(time.Duration(day)*24*time.Hour).Unix())
				date := func(unix int64) string { return time.Unix(unix, 0).In(zone).Format(time.DateOnly) }
				if want := at.AddDate(0, 0, day).Format(time.DateOnly); date(start) != want || date(end-1) != want ||
					date(start-1) >= want || date(end) <= want {
					t.Errorf("%s in %s goes from %s to %s", want, name, time.Unix(start, 0).In(zone), time.Unix(end, 0).In(zone))
				}
			}
		}
	}
}

// within is the bucket of at, found in good time.
func within(t *testing.T, c calendar, at int64) (start, end int64) {
	t.Helper()
	found := make(chan [2]int64, 1)
	go func() {
		start, end := c.bucket(at)
		found <- [2]int64{start, end}
	}()
	select {
	case b := <-found:
		return b[0], b[1]
	case <-time.After(5 * time.Second):
		t.Fatalf("the bucket of %s is not found", time.Unix(at, 0).In(c.zone))
		return 0, 0
	}
}

// A bucket that ends after what RFC 3339 can write ends with its last second.
func TestSeriesAtTheEndOfTime(t *testing.T) {
	m := small()
	last := time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)
	for _, g := range Granularities {
		p := SeriesParams{Range: Range{last.Add(-time.Minute), last}, Granularity: g, Zone: time.UTC, WeekStart: Monday}
		s, err := SeriesOf(t.Context(), m, m.campaigns[0].ID, p)
		if err != nil || len(s.Points) != 1 || !s.Points[0].BucketEnd.Equal(last) {
			t.Errorf("by %s: %+v, %v", g, s.Points, err)
		}
	}
}
