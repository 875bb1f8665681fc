package campaigner

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"monterey/internal/bounce"
)

// only answers one path and query, so that a test says exactly what is asked.
func only(t *testing.T, want, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if got := strings.TrimPrefix(r.URL.String(), "/v1"); got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
		status(200, body, "Date", "Sun, 01 Mar 2026 10:00:00 GMT")(w, r)
	}
}

func TestBounces(t *testing.T) {
	a := newAccount(t, nil, only(t, "/Bounces/Hard?PageNumber=3&PageSize=1000&Since=2026-02-27T09%3A30%3A00Z", `{
		"PageSize": 100, "PageNumber": 3, "TotalRecords": 201, "TotalPages": 3, "Links": [{"rel": "prev", "href": "https://x"}],
		"Items": [{"EmailID": 9007199254740993, "EmailAddress": " Ann@Example.com", "Status": "HardBounced", "SendType": "Campaign",
			"BounceID": 12345678901234567890, "BouncedAt": "2026-03-01T09:59:58.1234567", "NDRCode": 10, "BounceType": "Hard",
			"Reason": "550 5.1.1 no such user", "Links": [], "New": {"a": [1]}}]}`))
	since := time.Date(2026, 2, 27, 10, 30, 0, 5, time.FixedZone("", 3600))
	got, err := a.Bounces(t.Context(), HardBounces, ListParams{Page: 3, Since: since})
	if err != nil {
		t.Fatal(err)
	}
	want := Page[Bounce]{Number: 3, Size: 100, Total: new(int64(201)), Pages: new(int64(3)), Date: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC),
		Items: []Bounce{{ID: "12345678901234567890", EmailID: "9007199254740993", Address: "ann@example.com", Status: "HardBounced", SendType: "Campaign",
			At: time.Date(2026, 3, 1, 9, 59, 58, 0, time.UTC), NDRCode: "10", Type: "Hard", Reason: "550 5.1.1 no such user"}}}
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Bounce{}, "Raw")); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if raw := string(got.Items[0].Raw); !strings.HasPrefix(raw, `{"EmailID": 9007199254740993`) || !strings.HasSuffix(raw, `"New": {"a": [1]}}`) {
		t.Errorf("the row as written: %s", raw)
	}
}

// What is said of pages may be absent, null or of another form.
func TestPageForms(t *testing.T) {
	row := `{"BounceID": 1, "EmailAddress": "a@example.com"}`
	tests := []struct {
		body        string
		rows        int
		size        int
		total, more *int64 // more: TotalPages
	}{
		{`{"Items": [` + row + `], "PageSize": 10, "TotalRecords": 1, "TotalPages": 1}`, 1, 10, new(int64(1)), new(int64(1))},
		{`{"Items": [` + row + `], "PageSize": "10", "TotalRecords": "1", "TotalPages": 0}`, 1, 10, new(int64(1)), nil},
		{`{"Items": [` + row + `], "PageSize": null, "TotalRecords": 0}`, 1, 0, nil, nil},
		{`{"items": [` + row + `], "page_size": 5, "totalRecords": 1.0}`, 1, 5, new(int64(1)), nil},
		{`{"Items": [` + row + `]}`, 1, 0, nil, nil},
		{`{"Items": [` + row + `], "PageSize": -1, "TotalRecords": 1.5, "TotalPages": "many"}`, 1, 0, nil, nil},
		{`{"Items": [` + row + `], "Items": [` + row + `,` + row + `]}`, 2, 0, nil, nil},
		{`{"Items": null, "TotalRecords": 0, "TotalPages": 0}`, 0, 0, new(int64(0)), new(int64(0))},
		{`{"Items": []}`, 0, 0, nil, nil},
		{`{"TotalRecords": 0}`, 0, 0, new(int64(0)), nil},
		{`[` + row + `,` + row + `]`, 2, 0, nil, nil},
		{`[]`, 0, 0, nil, nil},
		{`null`, 0, 0, nil, nil},
		{"\ufeff{\"Items\": [" + row + "]}\r\n", 1, 0, nil, nil},
	}
	for _, tt := range tests {
		got, err := readPage([]byte(tt.body), nil, "", readBounce)
		want := Page[Bounce]{Size: tt.size, Total: tt.total, Pages: tt.more}
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Page[Bounce]{}, "Items")); err != nil || d != "" || len(got.Items) != tt.rows {
			t.Errorf("%s: %d rows, %v, -want +got\n%s", tt.body, len(got.Items), err, d)
		}
	}
	for _, body := range []string{`7`, `"x"`, `{"Items": 7}`, `{"Items": {}}`, `true`} {
		if _, err := readPage([]byte(body), nil, "", readBounce); err == nil || err.(*Error).Message != "the answer has no list of rows" {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// Every doubt about a row's values, both ways.
func TestBounceForms(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	whole := Bounce{ID: "7", Address: "a@example.com", At: at}
	tests := []struct {
		row  string
		want Bounce
	}{
		{`"BounceID": 7, "EmailAddress": "a@example.com", "BouncedAt": "2026-03-01T10:00:00Z"`, whole},
		{`"BounceID": "7", "EmailAddress": "A@EXAMPLE.COM ", "BouncedAt": "2026-03-01T05:00:00"`, whole},
		{`"BounceID": " 7 ", "EmailAddress": "a@example.com", "BouncedAt": "2026-03-01 05:00:00.1"`, whole},
		{`"BounceID": 7, "EmailAddress": "a@example.com", "BouncedAt": "2026-03-01T12:00:00.1234567+02:00"`, whole},
		{`"BounceID": 7, "EmailAddress": "a@example.com", "BouncedAt": 1772359200`, whole},
		{`"BounceID": 7, "EmailAddress": "a@example.com", "BouncedAt": "1772359200999"`, whole},
		{`"bounceId": 7, "email_address": "a@example.com", "Bounced At": 1772359200000`, whole},
		{`"BounceID": 6, "BounceID": 7, "EmailAddress": "a@example.com", "BouncedAt": 1, "BouncedAt": 1772359200`, whole},
		{`"BounceID": 7, "bounceid": 8, "EmailAddress": "a@example.com", "BouncedAt": 1772359200`, whole},
		{`"Bounce\u0049D": 7, "EmailAddress": "\u0061@example.com", "BouncedAt": 1772359200`, whole},
		{`"BounceID": 7, "EmailAddress": "a@example.com"`, Bounce{ID: "7", Address: "a@example.com"}},
		{`"BounceID": 7, "EmailAddress": "a@example.com", "BouncedAt": null, "NDRCode": null, "Reason": null`, Bounce{ID: "7", Address: "a@example.com"}},
		{`"BounceID": 7, "EmailAddress": "a@example.com", "BouncedAt": "0001-01-01T00:00:00"`, Bounce{ID: "7", Address: "a@example.com"}},
		{`"BounceID": 7, "EmailAddress": "a@example.com", "NDRCode": "10.5", "BounceType": 3, "Status": true, "Reason": " x\u0000y\n"`,
			Bounce{ID: "7", Address: "a@example.com", NDRCode: "10.5", Type: "3", Status: "true", Reason: " x\ufffdy\n"}},
		{"\"BounceID\": 7, \"EmailAddress\": \"a@example.com\", \"Reason\": \"M\xfcller\"", Bounce{ID: "7", Address: "a@example.com", Reason: "M\ufffdller"}},

		{`"BounceID": 7.0, "EmailAddress": "a@example.com"`, Bounce{Address: "a@example.com", Fault: "BounceID: not a whole number: 7.0"}},
		{`"BounceID": 1e3, "EmailAddress": "a@example.com"`, Bounce{Address: "a@example.com", Fault: "BounceID: not a whole number: 1e3"}},
		{`"EmailAddress": "a@example.com"`, Bounce{Address: "a@example.com", Fault: "BounceID: missing"}},
		{`"BounceID": 7, "EmailAddress": " "`, Bounce{ID: "7", Fault: "EmailAddress: missing"}},
		{"\"BounceID\": 7, \"EmailAddress\": \"\xfc@example.com\"", Bounce{ID: "7", Fault: "EmailAddress: damaged text: \"\ufffd@example.com\""}},
		{`"BounceID": 7, "EmailAddress": 5, "EmailID": [], "BouncedAt": "yesterday"`,
			Bounce{ID: "7", Fault: `EmailID: not a text: []; EmailAddress: not a text: 5; BouncedAt: not a time: "yesterday"`}},
	}
	for _, tt := range tests {
		got, err := readPage([]byte(`{"Items": [{`+tt.row+`}]}`), newYork, "", readBounce)
		if err != nil || len(got.Items) != 1 {
			t.Errorf("%s: %+v, %v", tt.row, got, err)
			continue
		}
		if d := cmp.Diff(tt.want, got.Items[0], cmpopts.IgnoreFields(Bounce{}, "Raw")); d != "" {
			t.Errorf("%s: -want +got\n%s", tt.row, d)
		}
	}
	got, err := readPage([]byte(`[null, 5]`), nil, "", readBounce)
	if err != nil || len(got.Items) != 2 || got.Items[1].Fault != "not an object: 5; BounceID: missing; EmailAddress: missing" {
		t.Errorf("rows that are no objects: %+v, %v", got, err)
	}
}

func TestLongReason(t *testing.T) {
	reason := strings.Repeat("x", maxText-1) + "äö"
	got, err := readPage([]byte(`[{"BounceID": 7, "EmailAddress": "a@b", "Reason": "`+reason+`"}]`), nil, "", readBounce)
	if err != nil || got.Items[0].Reason != reason[:maxText-1] || got.Items[0].Fault != "" {
		t.Errorf("a reason of %d bytes, %q, %v", len(got.Items[0].Reason), got.Items[0].Fault, err)
	}
}

func TestBounceClass(t *testing.T) {
	tests := []struct {
		row  Bounce
		from BounceList
		want bounce.Class
		say  bounce.Detail
	}{
		{Bounce{Type: "hard_bounced", Status: "Active", NDRCode: "10", Reason: "smtp;550 5.1.1 no"}, SoftBounces, bounce.Hard,
			bounce.Detail{Label: "hard_bounced", Reason: "smtp;550 5.1.1 no", SMTPCode: 550, EnhancedCode: "5.1.1", Code: "10"}},
		{Bounce{Type: "Technical", Status: "HardBounced"}, SoftBounces, bounce.Soft, bounce.Detail{Label: "Technical"}},
		{Bounce{Status: "Soft Bounced"}, HardBounces, bounce.Hard, bounce.Detail{Label: "Soft Bounced"}},
		{Bounce{Status: "Soft Bounced"}, AllBounces, bounce.Soft, bounce.Detail{Label: "Soft Bounced"}},
		{Bounce{Status: "Active", NDRCode: "550"}, AllBounces, bounce.Unknown, bounce.Detail{Label: "Active", Code: "550"}},
		{Bounce{}, AllBounces, bounce.Unknown, bounce.Detail{}},
	}
	for _, tt := range tests {
		if class, detail := tt.row.Class(tt.from); class != tt.want || detail != tt.say {
			t.Errorf("%+v from %s: %v, %+v", tt.row, tt.from, class, detail)
		}
	}
	for from, want := range map[Report]bounce.Class{HardBounceReport: bounce.Hard, SoftBounceReport: bounce.Soft, RecipientsReport: bounce.Unknown} {
		if class, _ := (Contact{Reason: "no"}).Class(from); class != want {
			t.Errorf("from %s: %v", from, class)
		}
	}
}

func TestBounceByID(t *testing.T) {
	a := newAccount(t, nil, only(t, "/Bounces/77", `{"BounceID": "77", "EmailAddress": "a@b", "Reason": "no"}`))
	if b, err := a.Bounce(t.Context(), "77"); err != nil || b.ID != "77" || b.Reason != "no" {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestCampaign(t *testing.T) {
	a := newAccount(t, nil, only(t, "/Campaigns/7", `{"CampaignID": 7, "Name": "Frühling", "Status": "Sent", "IsActive": true,
		"Created": "2026-02-27T10:00:00", "ScheduleDate": "2026-03-01T10:00:00", "FromName": "Acme", "Creative": {"CreativeID": 1},
		"EmailsSent": 1200, "Delivered": "1100", "Opens": 0, "UniqueClicks": 5.0, "HardBounces": null, "DeliveryRate": 91.67}`))
	got, err := a.Campaign(t.Context(), "7")
	if err != nil {
		t.Fatal(err)
	}
	want := Campaign{ID: "7", Name: "Frühling", Status: "Sent", Active: new(true), Created: time.Date(2026, 2, 27, 10, 0, 0, 0, time.UTC),
		Scheduled: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), FromName: "Acme", Sent: new(int64(1200)), Delivered: new(int64(1100)),
		Opens: new(int64(0)), UniqueClicks: new(int64(5))}
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Campaign{}, "Raw")); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestCampaignForms(t *testing.T) {
	scheduled := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	got, err := readPage([]byte(`[{"CampaignID": 7, "ScheduledDate": "2026-03-01T10:00:00"}, {"CampaignID": 7, "ScheduleDate": null, "ScheduledDate": 1772359200},
		{"CampaignID": 7, "IsActive": "False", "Opens": -1, "Removes": 1.5, "Complaints": "few", "Clicks": 3}]`), nil, "", readCampaign)
	if err != nil || len(got.Items) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got.Items[0].Scheduled != scheduled || got.Items[1].Scheduled != scheduled {
		t.Errorf("scheduled %v, %v", got.Items[0].Scheduled, got.Items[1].Scheduled)
	}
	c := got.Items[2]
	if c.Active == nil || *c.Active || c.Opens != nil || c.Removes != nil || c.Complaints != nil || c.TotalClicks != nil ||
		c.Fault != `Opens: not a count: -1; Complaints: not a count: "few"; Removes: not a count: 1.5` {
		t.Errorf("%+v", c)
	}
}

func TestPaths(t *testing.T) {
	var asked string
	a := newAccount(t, nil, func(w http.ResponseWriter, r *http.Request) {
		asked = strings.TrimPrefix(r.URL.Path, "/v1")
		status(200, `{"Items": [{"EmailAddress": "A@b", "EmailID": 5, "ActionDate": "2026-03-01T10:00:00", "CustomFields": null}]}`)(w, r)
	})
	p := ListParams{}
	contacts := map[string]func() (Page[Contact], error){
		"/Campaigns/7/Links/9/Clicks": func() (Page[Contact], error) { return a.LinkClicks(t.Context(), "7", "9", p) },
		"/Subscribers/Complaints":     func() (Page[Contact], error) { return a.Subscribers(t.Context(), ComplaintSubscribers, p) },
		"/Subscribers/Removes":        func() (Page[Contact], error) { return a.Subscribers(t.Context(), RemovedSubscribers, p) },
	}
	for _, r := range []Report{"/Opens", "/Clicks", "/HardBounces", "/SoftBounces", "/Removes", "/Complaints", "/Recipients"} {
		contacts["/Campaigns/7"+string(r)] = func() (Page[Contact], error) { return a.Report(t.Context(), "7", r, p) }
	}
	want := Contact{EmailID: "5", Address: "a@b", At: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
	for path, ask := range contacts {
		got, err := ask()
		if err != nil || asked != path || len(got.Items) != 1 {
			t.Errorf("%s: asked %s, %+v, %v", path, asked, got, err)
			continue
		}
		if d := cmp.Diff(want, got.Items[0], cmpopts.IgnoreFields(Contact{}, "Raw")); d != "" {
			t.Errorf("%s: -want +got\n%s", path, d)
		}
	}
	for _, list := range []CampaignList{"/Campaigns/All", "/Campaigns", "/Campaigns/Sent", "/Campaigns/Sending", "/Campaigns/Scheduled", "/Campaigns/Drafts"} {
		if _, err := a.Campaigns(t.Context(), list, p); err != nil || asked != string(list) {
			t.Errorf("%s: asked %s, %v", list, asked, err)
		}
	}
}

func TestLinks(t *testing.T) {
	want := []TrackedLink{{ID: "9", URL: "https://example.com/?a=1&b=2", FriendlyName: "Shop", TotalClicks: new(int64(3))}}
	row := `{"LinkID": 9, "URL": "https://example.com/?a=1\u0026b=2", "FriendlyName": "Shop", "TotalClicks": 3, "Links": []}`
	for body, want := range map[string][]TrackedLink{
		`{"TrackedLinks": [` + row + `], "Links": []}`: want, `{"Items": [` + row + `]}`: want, `[` + row + `]`: want,
		`{"TrackedLinks": null}`: nil, `{}`: nil, `null`: nil,
	} {
		a := newAccount(t, nil, only(t, "/Campaigns/7/Links", body))
		got, err := a.Links(t.Context(), "7")
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(TrackedLink{}, "Raw")); err != nil || d != "" {
			t.Errorf("%s: %v, -want +got\n%s", body, err, d)
		}
	}
}

func TestPing(t *testing.T) {
	for body, want := range map[string]string{``: "", `null`: "", `{}`: "", `{"AccountName": "Acme"}`: "Acme", `"pong"`: ""} {
		a := newAccount(t, nil, only(t, "/Ping", body))
		if got, err := a.Ping(t.Context()); err != nil || got != want {
			t.Errorf("%s: %q, %v", body, got, err)
		}
	}
}

// An id may come from a webhook, and must not lead to another path.
func TestIDsOfPaths(t *testing.T) {
	a := newAccount(t, nil, status(200, `{}`))
	for _, id := range []string{"", "..", "7/../8", "7?x=1", "%2e", "a b", "7#", strings.Repeat("7", maxID+1), "ü"} {
		_, err1 := a.Campaign(t.Context(), id)
		_, err2 := a.Bounce(t.Context(), id)
		_, err3 := a.Report(t.Context(), id, OpensReport, ListParams{})
		_, err4 := a.LinkClicks(t.Context(), "7", id, ListParams{})
		_, err5 := a.LinkClicks(t.Context(), id, "7", ListParams{})
		_, err6 := a.Links(t.Context(), id)
		for i, err := range []error{err1, err2, err3, err4, err5, err6} {
			if err == nil {
				t.Errorf("call %d took the id %q", i, id)
			}
		}
	}
	if len(a.requests()) != 0 {
		t.Errorf("asked %v", a.requests())
	}
}
