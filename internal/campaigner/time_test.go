package campaigner

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	tests := []struct {
		text string
		zone *time.Location
		want string // RFC 3339; "" = no time
	}{
		{"2026-03-01T10:00:00Z", berlin, "2026-03-01T10:00:00Z"},
		{"2026-03-01t10:00:00z", nil, "2026-03-01T10:00:00Z"},
		{"2026-03-01 10:00:00Z", nil, "2026-03-01T10:00:00Z"},
		{"2026-03-01T10:00:00+05:45", nil, "2026-03-01T04:15:00Z"},
		{"2026-03-01T23:30:00-03:30", nil, "2026-03-02T03:00:00Z"},
		{"2026-03-01T10:00:00-00:00", berlin, "2026-03-01T10:00:00Z"},
		{"2026-03-01T10:00:00.9Z", nil, "2026-03-01T10:00:00Z"},
		{"2026-03-01T10:00:00.1234567+00:00", nil, "2026-03-01T10:00:00Z"},
		{"2026-03-01T10:00:00.9999999", nil, "2026-03-01T10:00:00Z"},
		{"2026-03-01 10:00:00", nil, "2026-03-01T10:00:00Z"},
		{"2026-03-01 10:00:00", time.UTC, "2026-03-01T10:00:00Z"},
		{"2026-03-01 10:00:00", berlin, "2026-03-01T09:00:00Z"},
		{"2026-07-01T10:00:00.5", berlin, "2026-07-01T08:00:00Z"},
		{"2024-02-29T00:00:00Z", nil, "2024-02-29T00:00:00Z"},
		{"2016-12-31T23:59:60Z", nil, "2017-01-01T00:00:00Z"},
		{"1772359200", berlin, "2026-03-01T10:00:00Z"},
		{"1772359200999", berlin, "2026-03-01T10:00:00Z"},
		{"946684800", nil, "2000-01-01T00:00:00Z"},
		{"946684800000", nil, "2000-01-01T00:00:00Z"},
		{"99999999999", nil, "5138-11-16T09:46:39Z"},
		{"0", nil, "1970-01-01T00:00:00Z"},

		{"", nil, ""},
		{"now", nil, ""},
		{"-1", nil, ""},
		{"+1772359200", nil, ""},
		{"1772359200.5", nil, ""},
		{"1.7723592e9", nil, ""},
		{"17723592001234567890", nil, ""},
		{"2026-03-01", nil, ""},
		{"2026-03-01T10:00", nil, ""},
		{"2026-03-01T10:00:00.", nil, ""},
		{"2026-03-01T10:00:00.Z", nil, ""},
		{"2026-03-01T10:00:00.12345678Z", nil, ""},
		{"2026-03-01T10:00:00,5Z", nil, ""},
		{"2026-03-01T10:00:00 Z", nil, ""},
		{"2026-03-01T10:00:00+0100", nil, ""},
		{"2026-03-01T10:00:00+01", nil, ""},
		{"2026-03-01T10:00:00+24:00", nil, ""},
		{"2026-03-01T10:00:00+01:60", nil, ""},
		{"2026-03-01T10:00:00+-1:00", nil, ""},
		{"2026-03-01T10:00:00Zx", nil, ""},
		{"2026-03-01T10:00:00 UTC", nil, ""},
		{"2026-02-29T00:00:00Z", nil, ""},
		{"2026-04-31T00:00:00Z", nil, ""},
		{"2026-13-01T00:00:00Z", nil, ""},
		{"2026-00-01T00:00:00Z", nil, ""},
		{"2026-01-00T00:00:00Z", nil, ""},
		{"2026-01-01T24:00:00Z", nil, ""},
		{"2026-01-01T00:60:00Z", nil, ""},
		{"2026-01-01T00:00:61Z", nil, ""},
		{"2026-1-01T00:00:00Z0", nil, ""},
		{"2026/01/01 00:00:00", nil, ""},
		{"2026-01-01_00:00:00", nil, ""},
		{"2026-01-01T00.00.00Z", nil, ""},
		{"12026-01-01T00:00:00Z", nil, ""},
		{"31/12/2026", nil, ""},
		{"3/1/2026 10:00:00 AM", nil, ""},
	}
	for _, tt := range tests {
		got, ok := parseTime(tt.text, tt.zone)
		if ok != (tt.want != "") || ok && (got.Format(time.RFC3339Nano) != tt.want || got.Location() != time.UTC) {
			t.Errorf("parseTime(%q, %v) = %v, %v, want %s", tt.text, tt.zone, got, ok, tt.want)
		}
	}
}

// Where clocks change: an hour that comes twice means its first coming, a skipped one is moved on.
func TestParseTimeAtChangesOfClocks(t *testing.T) {
	tests := []struct{ zone, text, want string }{
		{"Europe/Berlin", "2026-03-29T01:59:59", "2026-03-29T00:59:59Z"},
		{"Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29T01:30:00Z"}, // skipped
		{"Europe/Berlin", "2026-03-29T03:00:00", "2026-03-29T01:00:00Z"},
		{"Europe/Berlin", "2026-10-25T01:59:59", "2026-10-24T23:59:59Z"},
		{"Europe/Berlin", "2026-10-25T02:00:00", "2026-10-25T00:00:00Z"}, // twice
		{"Europe/Berlin", "2026-10-25T02:59:59", "2026-10-25T00:59:59Z"}, // twice
		{"Europe/Berlin", "2026-10-25T03:00:00", "2026-10-25T02:00:00Z"},
		{"America/New_York", "2026-03-08T02:30:00", "2026-03-08T07:30:00Z"}, // skipped
		{"America/New_York", "2026-11-01T01:30:00", "2026-11-01T05:30:00Z"}, // twice
		{"America/New_York", "2026-11-01T02:00:00", "2026-11-01T07:00:00Z"},
		{"Australia/Lord_Howe", "2026-10-04T02:15:00", "2026-10-03T15:45:00Z"}, // half an hour skipped
		{"Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-04T14:45:00Z"}, // half an hour twice
		{"Pacific/Apia", "2011-12-29T23:59:59", "2011-12-30T09:59:59Z"},
		{"Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T22:00:00Z"}, // a day skipped
		{"Pacific/Apia", "2011-12-31T00:00:00", "2011-12-30T10:00:00Z"},
		{"Asia/Kathmandu", "2026-03-01T10:00:00", "2026-03-01T04:15:00Z"},
	}
	for _, tt := range tests {
		got, ok := parseTime(tt.text, zone(t, tt.zone))
		if !ok || got.Format(time.RFC3339) != tt.want {
			t.Errorf("%s in %s is %v, want %s", tt.text, tt.zone, got, tt.want)
		}
	}
}

// Every minute of a year that some clock shows is read as an instant at which it shows it.
func TestParseTimeShowsAgain(t *testing.T) {
	for _, name := range []string{"Europe/Dublin", "America/St_Johns", "Africa/Casablanca", "Pacific/Chatham", "America/Asuncion"} {
		z := zone(t, name)
		for at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2025; at = at.Add(7 * time.Minute) {
			shown := at.In(z).Format(time.DateTime)
			got, ok := parseTime(shown, z)
			if !ok || got.In(z).Format(time.DateTime) != shown || got.After(at) {
				t.Fatalf("%s in %s, shown at %v, is %v", shown, name, at, got)
			}
		}
	}
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}
