package campaigner

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"monterey/internal/delivery"
	"monterey/internal/fault"
	"monterey/internal/recipient"
)

func addBodies(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	for _, body := range []string{
		`[{"key":"a"},{"\u006bey":{"key":1}}]`, "\ufeff{}\r\n\r\n{}", `{"key":"a","key":"b","Key":"c"}`, "{\"email\":\"\xff\"}",
		`{"type":"campaign-sent","sent":12,"timestamp":"1772359200999","campaign_id":1.0}`,
		`{"type":"Contact Bounced","email":"a@b","timestamp":"2026-03-01 10:00:00.1","reason":"450 4.7.1 \ud800"}`,
	} {
		f.Add([]byte(body))
	}
}

func FuzzOpen(f *testing.F) {
	addBodies(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		n, keys, blanked, err := Webhook{}.Open(body)
		if !bytes.Equal(before, body) {
			t.Fatal("Open has changed the body")
		}
		got := Webhook{}.Decode(body, time.UTC, arrival)
		if err != nil {
			if !fault.Is(err, fault.Malformed) || len(got) == 0 && len(body) > 0 || len(got) > 0 && got[len(got)-1].Fault == "" {
				t.Fatalf("the fault %v, decoded to %+v", err, got)
			}
			return
		}
		if n == 0 || n != len(got) || len(keys) == 0 || len(keys) > maxKeys {
			t.Fatalf("%d objects, %d decoded, keys %q", n, len(got), keys)
		}
		if d := cmp.Diff(got, Webhook{}.Decode(blanked, time.UTC, arrival)); d != "" {
			t.Fatalf("the kept body decodes to something else:\n%s", d)
		}
		m, none, again, err := Webhook{}.Open(blanked)
		if err != nil || m != n || len(none) != 1 || none[0] != "" || !bytes.Equal(again, blanked) {
			t.Fatalf("the kept body opens to %d objects, keys %q, %s, %v", m, none, again, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	addBodies(f)
	zone, err := time.LoadLocation("America/St_Johns")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, o := range (Webhook{}).Decode(body, zone, arrival) {
			checkObject(t, o)
		}
	})
}

// checkObject holds an object against what its type promises.
func checkObject(t *testing.T, o delivery.Object) {
	t.Helper()
	set := 0
	for _, is := range []bool{o.Report != nil, o.Mark != nil, o.Ignored != "", o.Fault != ""} {
		if is {
			set++
		}
	}
	if set != 1 {
		t.Fatalf("not exactly one of the four is set: %+v", o)
	}
	if !utf8.ValidString(o.Ignored) || !utf8.ValidString(o.Fault) || len(o.Ignored) > 3*maxQuoted+3 || len(o.Fault) > int(fieldCount)*(4*maxQuoted) {
		t.Fatalf("an unbounded or invalid text: %+v", o)
	}
	var when time.Time
	switch {
	case o.Mark != nil:
		when = o.Mark.At
		if o.Mark.CampaignRef == "" || o.Mark.Sent != nil && (*o.Mark.Sent < 0 || *o.Mark.Sent >= 1e9) {
			t.Fatalf("mark %+v", o.Mark)
		}
	case o.Report != nil:
		when = o.Report.OccurredAt
		r := o.Report
		if r.Address == "" || r.Address != recipient.Normalise(r.Address) || r.Identity != Identity(r) {
			t.Fatalf("report %+v", r)
		}
		for _, s := range []string{r.Address, r.CampaignRef, r.Link.ID, r.Link.URL, r.Facts.IP, r.Facts.ProviderEventID, r.Facts.Bounce.Reason, r.Facts.Bounce.Label} {
			if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
				t.Fatalf("a text that cannot be stored: %+v", r)
			}
		}
	default:
		return
	}
	if when.Nanosecond() != 0 || when.Location() != time.UTC || when.Year() < 2000 || when.After(arrival.Add(24*time.Hour)) {
		t.Fatalf("the time %v", when)
	}
}
