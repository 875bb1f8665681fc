package campaigner

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"monterey/internal/recipient"
)

func addPages(f *testing.F) {
	for _, body := range []string{
		`{"PageSize": 2, "PageNumber": "1", "TotalRecords": 3, "TotalPages": 2, "Items": [{"BounceID": 7, "EmailAddress": "a@b", "BouncedAt": "2026-03-01T10:00:00.1234567",
			"NDRCode": 10, "BounceType": "Hard", "Reason": "550 5.1.1 \ud800", "Links": []}, null]}`,
		`[{"CampaignID": "7", "Name": "x", "IsActive": true, "ScheduledDate": 1772359200, "EmailsSent": 12, "Opens": "3.0"}]`,
		`{"Items": null, "TotalPages": 0}`, "\ufeff[]", `{"Items": [{"EmailAddress": "Secret+Key/0123=="}]`, "{\"Items\":[{\"Reason\":\"\xff\\u0000\"}]}",
		`{"items":[{"\u0045mailAddress":"A@B","ActionDate":"0001-01-01T00:00:00","EmailID":1e3}]} `,
	} {
		f.Add([]byte(body))
	}
}

func FuzzPage(f *testing.F) {
	addPages(f)
	zone, err := time.LoadLocation("America/St_Johns")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		bounces, err1 := readPage(body, zone, testKey, readBounce)
		for _, b := range bounces.Items {
			checkRow(t, b.Raw, b.Fault, b.At, b.ID, b.EmailID, b.Address, b.Status, b.SendType, b.NDRCode, b.Type, b.Reason)
			if b.Address != recipient.Normalise(b.Address) || b.Fault == "" && (b.ID == "" || b.Address == "") {
				t.Fatalf("%+v", b)
			}
			b.Class(AllBounces)
		}
		campaigns, err2 := readPage(body, zone, testKey, readCampaign)
		for _, c := range campaigns.Items {
			checkRow(t, c.Raw, c.Fault, c.Scheduled, c.ID, c.Name, c.Status, c.Subject, c.Target)
			for _, n := range []*int64{c.Sent, c.Delivered, c.Opens, c.Removes} {
				if n != nil && *n < 0 {
					t.Fatalf("%+v", c)
				}
			}
		}
		contacts, err3 := readPage(body, zone, testKey, readContact)
		for _, c := range contacts.Items {
			checkRow(t, c.Raw, c.Fault, c.At, c.EmailID, c.Address, c.Status, c.Reason)
		}
		for _, err := range []error{err1, err2, err3} {
			checkFailure(t, err)
		}
		if bounces.Size < 0 || bounces.Number < 0 || err1 == nil && (len(bounces.Items) != len(campaigns.Items) || len(bounces.Items) != len(contacts.Items)) {
			t.Fatalf("%+v", bounces)
		}
		if code, message := Key(testKey).explanation("text/plain", body); len(code)+len(message) > 2*(maxQuoted+3) || !utf8.ValidString(code+message) ||
			strings.Contains(message, testKey) || strings.ContainsAny(message, "\n\r\x00") {
			t.Fatalf("%q %q", code, message)
		}
	})
}

// checkRow holds a row against what its type promises.
func checkRow(t *testing.T, raw []byte, fault string, at time.Time, texts ...string) {
	t.Helper()
	if !jsontext.Value(raw).IsValid(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)) {
		t.Fatalf("the row as written: %q", raw)
	}
	if !utf8.ValidString(fault) || strings.Contains(fault, testKey) || len(fault) > 20*4*maxQuoted {
		t.Fatalf("the fault %q", fault)
	}
	if at.Nanosecond() != 0 || at.Location() != time.UTC {
		t.Fatalf("the time %v", at)
	}
	for _, s := range texts {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) || len(s) > maxText {
			t.Fatalf("a text that cannot be stored: %q", s)
		}
	}
}

func checkFailure(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	_, isPermanent := errors.AsType[*Error](err)
	_, isPassing := errors.AsType[*passing](err)
	if !isPermanent && !isPassing || len(err.Error()) > 200 {
		t.Fatalf("the failure %#v", err)
	}
}
