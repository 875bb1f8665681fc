package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/recipient"
	"monterey/internal/suppression"
)

func (a *api) suppressionRoutes() {
	const tag = "Suppression"
	handle(a, operation{ID: "listSuppressions", Method: http.MethodGet, Path: "/suppressions/", Tag: tag, Rule: viewer,
		Summary: "List addresses never to mail again"}, a.listSuppressions)
	handle(a, operation{ID: "exportSuppressions", Method: http.MethodGet, Path: "/suppressions/export", Tag: tag, Rule: viewer,
		Summary: "Export them as CSV, or NDJSON by Accept", Description: "Streamed. A failure cuts the connection, so that a half file never looks whole."}, a.exportSuppressions)
	const summary, text = "Check addresses before a mailing", "Up to 10 000 addresses, answered in the order asked."
	handle(a, operation{ID: "checkSuppressions", Method: http.MethodPost, Path: "/suppressions/check", Tag: tag, Rule: viewer,
		Summary: summary, Description: text}, a.checkSuppressions)
	handle(a, operation{ID: "checkHistoricalBounces", Method: http.MethodPost, Path: "/historical-bounces/check", Tag: tag, Rule: viewer,
		Summary: summary, Description: text + " The same as /suppressions/check."}, a.checkSuppressions)
}

type suppressionWire struct {
	Email     string    `json:"email" example:"bob@example.com"`
	Reasons   []string  `json:"reasons" enum:"hard_bounce,complaint,unsubscribe" example:"hard_bounce"`
	Since     time.Time `json:"since" doc:"The earliest reason"`
	UpdatedAt time.Time `json:"updated_at" doc:"When the newest reason was added"`
}

func wireSuppression(e suppression.Entry) suppressionWire {
	w := suppressionWire{Email: e.Address, Reasons: []string{}, Since: e.Since.UTC(), UpdatedAt: e.UpdatedAt.UTC()}
	for _, c := range e.Causes {
		w.Reasons = append(w.Reasons, c.Reason.String())
	}
	return w
}

type suppressionSorts struct{}

func (suppressionSorts) choices() []string { return sortable("since", "updated_at", "email") }

type suppressionReasons struct{}

func (suppressionReasons) all() []suppression.Reason { return suppression.Reasons }

// SuppressionFilter are the filters of suppressed addresses.
type SuppressionFilter struct {
	Reason      enumList[suppression.Reason, suppressionReasons] `query:"reason" example:"hard_bounce"`
	Email       addressList                                      `query:"email" example:"bob@example.com"`
	UpdatedFrom moment                                           `query:"updated_from" doc:"Only what changed then or later" example:"2026-01-31T09:30:00Z"`

	updatedFrom time.Time
}

func (p *SuppressionFilter) check(e env) ([]fault.Field, error) {
	if p.UpdatedFrom.given() {
		loc, err := e.zone()
		if err != nil {
			return nil, err
		}
		p.updatedFrom = p.UpdatedFrom.start(loc)
	}
	return nil, nil
}

func (p *SuppressionFilter) filter() suppression.Filter {
	return suppression.Filter{Reasons: p.Reason, Address: p.Email, UpdatedFrom: p.updatedFrom}
}

type suppressionListWire struct {
	ListOf[suppressionWire]
	AsOf time.Time `json:"as_of" doc:"Everything received before is in the list"`
}

func (a *api) listSuppressions(ctx context.Context, c call, in *struct {
	SortedParams[suppressionSorts]
	SuppressionFilter
}) (out suppressionListWire, err error) {
	if out.AsOf, err = a.Deliveries.AsOf(ctx, c.Caller); err != nil {
		return out, err
	}
	out.AsOf = out.AsOf.UTC()
	got, err := a.Suppressions.ListSuppressions(ctx, c.Caller, suppression.ListParams{Filter: in.filter(), Params: in.params()})
	out.ListOf = newList(in.params(), got, wireSuppression)
	return out, err
}

func (a *api) exportSuppressions(ctx context.Context, c call, in *struct {
	SortParam[suppressionSorts]
	SuppressionFilter
	Raw bool `query:"raw" doc:"Leave cells as they are that a spreadsheet would run as a formula"`
}) (*export[suppression.Entry, suppressionWire], error) {
	// By address, unless asked otherwise: what is added during the export moves rows only to where they were seen already.
	p := suppression.ListParams{Filter: in.filter(), Params: page.Params{Number: 1, Size: exportChunk, Sort: "email"}}
	if in.Sort != "" {
		p.Sort, p.Desc = strings.CutPrefix(string(in.Sort), "-")
	}
	over, last := false, ""
	return &export[suppression.Entry, suppressionWire]{
		name: "suppressions", raw: in.Raw, wire: wireSuppression, line: func(w suppressionWire) any { return w },
		next: func() ([]suppression.Entry, error) {
			if over {
				return nil, nil
			}
			got, err := a.Suppressions.ListSuppressions(ctx, c.Caller, p)
			p.Number++
			over = len(got.Items) < p.Size
			if p.Sort == "email" && !p.Desc {
				got.Items = slices.DeleteFunc(got.Items, func(e suppression.Entry) bool { return e.Address <= last })
			}
			if n := len(got.Items); n > 0 {
				last = got.Items[n-1].Address
			}
			return got.Items, err
		},
	}, nil
}

const maxChecked = 10_000

type checkBody struct {
	Emails []string `json:"emails,omitempty" required:"true" maxItems:"10000" example:"bob@example.com,eve@example.com"`
}

func (b *checkBody) check(env) ([]fault.Field, error) {
	switch {
	case b.Emails == nil:
		return []fault.Field{missing("emails")}, nil
	case len(b.Emails) > maxChecked:
		return []fault.Field{{Loc: []string{"body", "emails"}, Msg: "must have 10000 addresses at most", Type: "length"}}, nil
	}
	return nil, nil
}

type checkWire struct {
	AsOf  time.Time     `json:"as_of" doc:"Everything received before is in the answer"`
	Items []checkedWire `json:"items" doc:"In the order asked"`
}

type checkedWire struct {
	Email      string      `json:"email" doc:"As asked" example:"bob@example.com"`
	Suppressed bool        `json:"suppressed"`
	Reasons    []causeWire `json:"reasons"`
}

type causeWire struct {
	Reason     string    `json:"reason" enum:"hard_bounce,complaint,unsubscribe" example:"hard_bounce"`
	OccurredAt time.Time `json:"occurred_at"`
	Source     string    `json:"source" enum:"webhook,sync,history" doc:"history = the provider's history of bounces" example:"webhook"`
	ID         uuid.UUID `json:"id" format:"uuid" doc:"Of the event, or of the historical bounce"`
}

// appendJSON implements appender: of ten thousand items json.Marshal takes a sixth of the whole time of an answer.
func (w checkWire) appendJSON(b []byte) []byte {
	b = appendTime(append(slices.Grow(b, 64+256*len(w.Items)), `{"as_of":`...), w.AsOf)
	b = append(b, `,"items":[`...)
	for i := range w.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = w.Items[i].appendJSON(b)
	}
	return append(b, "]}"...)
}

func (w *checkedWire) appendJSON(b []byte) []byte {
	b = appendText(append(b, `{"email":`...), w.Email)
	b = strconv.AppendBool(append(b, `,"suppressed":`...), w.Suppressed)
	b = append(b, `,"reasons":[`...)
	for i, r := range w.Reasons {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, `{"reason":`...), r.Reason)
		b = appendTime(append(b, `,"occurred_at":`...), r.OccurredAt)
		b = appendText(append(b, `,"source":`...), r.Source)
		b = appendUUID(append(b, `,"id":"`...), r.ID)
		b = append(b, `"}`...)
	}
	return append(b, "]}"...)
}

func appendTime(b []byte, t time.Time) []byte {
	return append(t.AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

// appendText writes a text as json.Marshal does.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			text, _ := json.Marshal(s) // of a string it does not fail
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func (a *api) checkSuppressions(ctx context.Context, c call, in *struct{ Body checkBody }) (out checkWire, err error) {
	if out.AsOf, err = a.Deliveries.AsOf(ctx, c.Caller); err != nil {
		return out, err
	}
	out.AsOf = out.AsOf.UTC()
	addresses := make([]string, len(in.Body.Emails))
	for i, email := range in.Body.Emails {
		addresses[i] = recipient.Normalise(email)
	}
	causes, err := a.Suppressions.CheckSuppressions(ctx, c.Caller, addresses)
	if err != nil {
		return out, err
	}
	out.Items = make([]checkedWire, 0, len(in.Body.Emails))
	reasons := make([]causeWire, 0, len(in.Body.Emails)) // of all: most have one at the most
	for i, email := range in.Body.Emails {
		from := len(reasons)
		for _, cause := range causes[i] {
			reasons = append(reasons, causeWire{cause.Reason.String(), cause.OccurredAt.UTC(), cause.Source.String(), cause.ID})
		}
		out.Items = append(out.Items, checkedWire{Email: email, Suppressed: len(causes[i]) > 0, Reasons: reasons[from:]})
	}
	return out, nil
}
