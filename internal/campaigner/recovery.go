package campaigner

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"monterey/internal/delivery"
	"monterey/internal/event"
)

// Recovery is what was fetched of a campaign's reports. It goes through the inbox like a webhook, in bodies that begin with
// a NUL, which no webhook's body can: Open refuses it.
type Recovery struct {
	Campaign string // the provider's id
	event.Recovery
	Rows []RecoveredRow
}

// RecoveredRow is a row of a report. Link is of clicks, which are fetched link by link.
type RecoveredRow struct {
	Report Report
	Link   event.Link
	Contact
}

const recoveryMark = 0

// Bounds of a body. Rows that may be reports of one event are never parted, so a body may be larger.
const (
	recoveryRows  = 5000
	recoveryBytes = 4 << 20
)

type recoveryHead struct {
	Campaign string    `json:"campaign"`
	Fetched  time.Time `json:"fetched"`
	AllOpens bool      `json:"all_opens"`
}

type recoveryLine struct {
	Report  Report         `json:"report"`
	LinkID  string         `json:"link_id,omitzero"`
	LinkURL string         `json:"link_url,omitzero"`
	Row     jsontext.Value `json:"row"`
}

// What a provider writes is kept as it is written.
var asWritten = json.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))

// Bodies are the bodies for the inbox, each with how many objects it has. Rows that came twice are in it once. It sorts Rows.
func (r *Recovery) Bodies() iter.Seq2[[]byte, int] {
	slices.SortStableFunc(r.Rows, func(a, b RecoveredRow) int {
		return cmp.Or(cmp.Compare(a.Report.eventType(), b.Report.eventType()), cmp.Compare(a.Address, b.Address), cmp.Compare(a.Report, b.Report),
			cmp.Compare(a.Link.Key(), b.Link.Key()), a.At.Compare(b.At), cmp.Compare(a.key(), b.key()))
	})
	r.Rows = slices.CompactFunc(r.Rows, func(a, b RecoveredRow) bool {
		return a.Report == b.Report && a.Link == b.Link && a.key() == b.key()
	})
	return func(yield func([]byte, int) bool) {
		body, objects := r.head(), 0
		for i, row := range r.Rows {
			if objects >= recoveryRows || len(body) >= recoveryBytes {
				last := r.Rows[i-1]
				if row.Address != last.Address || row.Report.eventType() != last.Report.eventType() {
					if !yield(body, objects) {
						return
					}
					body, objects = r.head(), 0
				}
			}
			body, objects = appendLine(body, row), objects+1
		}
		if objects > 0 {
			yield(body, objects)
		}
	}
}

func (r *Recovery) head() []byte {
	text, _ := json.Marshal(recoveryHead{r.Campaign, r.Fetched.UTC(), r.AllOpens}) // cannot fail for texts and times
	return append([]byte{recoveryMark}, text...)
}

func appendLine(body []byte, r RecoveredRow) []byte {
	text, err := json.Marshal(recoveryLine{r.Report, r.Link.ID, r.Link.URL, r.Raw}, asWritten)
	if err != nil { // cannot happen: the row was read as JSON
		text = []byte("{}")
	}
	return append(append(body, '\n'), text...)
}

// eventType of the rows of a report; 0 for a report that is of no event.
func (r Report) eventType() event.Type {
	switch r {
	case OpensReport:
		return event.Open
	case ClicksReport:
		return event.Click
	case HardBounceReport, SoftBounceReport:
		return event.Bounce
	case RemovesReport:
		return event.Unsubscribe
	case ComplaintsReport:
		return event.Complaint
	}
	return 0
}

// decodeRecovery is Decode for what Bodies has made.
func decodeRecovery(body []byte, zone *time.Location, receivedAt time.Time) (objects []delivery.Object) {
	d := jsontext.NewDecoder(bytes.NewReader(body[1:]), asWritten)
	var head recoveryHead
	if err := json.UnmarshalDecode(d, &head, asWritten); err != nil {
		return []delivery.Object{{Fault: fmt.Sprintf("recovery: %v", err)}}
	}
	for d.PeekKind() != 0 {
		var line recoveryLine
		if err := json.UnmarshalDecode(d, &line, asWritten); err != nil {
			return append(objects, delivery.Object{Fault: fmt.Sprintf("recovery: %v", err)})
		}
		objects = append(objects, recovered(head, line, zone, receivedAt))
	}
	return objects
}

func recovered(head recoveryHead, line recoveryLine, zone *time.Location, receivedAt time.Time) delivery.Object {
	r := row{zone: zone}
	if len(line.Row) > 0 && line.Row[0] == '{' {
		r.fields = objectFields(line.Row)
	}
	c := readContact(&r, line.Row)
	e := &event.Report{
		Type: line.Report.eventType(), CampaignRef: head.Campaign, Address: c.Address, OccurredAt: c.At,
		Source: event.Sync, Recovery: &event.Recovery{Fetched: head.Fetched, AllOpens: head.AllOpens},
	}
	switch {
	case e.Type == 0:
		return delivery.Object{Fault: fmt.Sprintf("report: %q is of no event", line.Report)}
	case c.Fault != "":
		return delivery.Object{Fault: c.Fault}
	case c.Address == "":
		return delivery.Object{Fault: "EmailAddress: missing"}
	case c.At.IsZero():
		return delivery.Object{Fault: "ActionDate: missing"}
	}
	if wrong := outOfRange(c.At, receivedAt); wrong != "" {
		return delivery.Object{Fault: "ActionDate: " + wrong + ": " + c.At.Format(time.RFC3339)}
	}
	if e.Type == event.Bounce {
		e.Class, e.Facts.Bounce = c.Class(line.Report)
	}
	e.Link = event.Link{ID: line.LinkID, URL: line.LinkURL}
	e.Identity = Identity(e)
	if e.Link.ID != "" && e.Link.URL != "" {
		byURL := *e
		byURL.Link.ID = ""
		e.Other = Identity(&byURL)
	}
	return delivery.Object{Report: e}
}
