package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"monterey/internal/bounce"
	"monterey/internal/fault"
)

func (a *api) historicalRoutes() {
	const tag = "Historical bounces"
	handle(a, operation{ID: "listHistoricalBounces", Method: http.MethodGet, Path: "/historical-bounces/", Tag: tag, Rule: viewer,
		Summary:     "List the provider's history of bounces",
		Description: "To follow changes, ask with sort=updated_at and updated_from = the as_of of the last walk. Nothing is ever removed."}, a.listHistorical)
	handle(a, operation{ID: "exportHistoricalBounces", Method: http.MethodGet, Path: "/historical-bounces/export", Tag: tag, Rule: viewer,
		Summary: "Export it as CSV, or NDJSON by Accept", Description: "Streamed. A failure cuts the connection, so that a half file never looks whole."}, a.exportHistorical)
}

// historicalWire's shape is fixed: clients use it already. Fields may join at its end.
type historicalWire struct {
	ID                uuid.UUID `json:"id" format:"uuid" doc:"Stays whatever else of the bounce changes"`
	RecipientEmail    *string   `json:"recipient_email" doc:"null = erased" example:"bob@example.com"`
	OccurredAt        time.Time `json:"occurred_at" example:"2023-11-07T05:31:56Z"`
	ProviderName      string    `json:"provider_name" example:"campaigner"`
	ProviderEventID   string    `json:"provider_event_id" doc:"The provider's bounce id" example:"48151623"`
	BounceType        string    `json:"bounce_type" enum:"hard,soft,block,unknown" example:"hard"`
	Detail            *string   `json:"detail" doc:"The text of the refusal, verbatim" example:"550 5.1.1 no such user"`
	AccountNumbers    []string  `json:"account_numbers" doc:"The accounts that hold the address in the account directory" example:"A-1001"`
	AccountMatchCount int       `json:"account_match_count" doc:"How many accounts these are" example:"1"`
	UpdatedAt         time.Time `json:"updated_at"`
}

func wireHistorical(b bounce.Historical) historicalWire {
	w := historicalWire{
		ID: b.ID.UUID, RecipientEmail: orNil(b.Address), OccurredAt: b.OccurredAt.UTC(), ProviderName: string(b.Provider), ProviderEventID: b.ProviderEventID,
		BounceType: b.Class.String(), Detail: orNil(b.Detail.Reason), AccountNumbers: b.AccountNumbers, AccountMatchCount: len(b.AccountNumbers), UpdatedAt: b.UpdatedAt.UTC(),
	}
	if w.AccountNumbers == nil {
		w.AccountNumbers = []string{}
	}
	return w
}

var historicalOrders = map[oneOf[eventSorts]]bounce.Order{
	"": bounce.NewestFirst, "-occurred_at": bounce.NewestFirst, "occurred_at": bounce.OldestFirst,
	"updated_at": bounce.UpdatedFirst, "-updated_at": bounce.UpdatedLatest,
}

// OccurredParams are the range of historical bounces: half-open, and unlike date_to a plain occurred_before excludes its day.
type OccurredParams struct {
	OccurredAfter  moment `query:"occurred_after" doc:"Start of the range, included: a date-time, one without a zone, or a date (its first instant in the zone)" example:"2023-01-01"`
	OccurredBefore moment `query:"occurred_before" doc:"End of the range, excluded; a plain date excludes its day" example:"2024-01-01"`
	Timezone       string `query:"timezone" doc:"IANA time zone of dates and of times without a zone; default the workspace's" example:"Europe/Paris"`
	UpdatedFrom    moment `query:"updated_from" doc:"Only what changed then or later" example:"2026-01-31T09:30:00Z"`

	from, to, updatedFrom time.Time // resolved, in UTC; zero = open
}

func (p *OccurredParams) check(e env) ([]fault.Field, error) {
	loc, bad, err := zoneParam(p.Timezone, e, p.OccurredAfter, p.OccurredBefore, p.UpdatedFrom)
	if err != nil {
		return nil, err
	}
	for _, m := range []struct {
		moment
		at *time.Time
	}{{p.OccurredAfter, &p.from}, {p.OccurredBefore, &p.to}, {p.UpdatedFrom, &p.updatedFrom}} {
		if m.given() {
			*m.at = m.start(loc)
		}
	}
	if p.OccurredAfter.given() && p.OccurredBefore.given() && len(bad) == 0 && p.to.Before(p.from) {
		bad = append(bad, fault.Field{Loc: []string{"query", "occurred_before"}, Msg: "must not lie before occurred_after", Type: "range"})
	}
	return bad, nil
}

// HistoricalFilter are the filters of historical bounces.
type HistoricalFilter struct {
	OccurredParams
	RecipientEmail addressList                           `query:"recipient_email" example:"bob@example.com"`
	BounceType     enumList[bounce.Class, bounceClasses] `query:"bounce_type" example:"hard"`
	AccountNumber  textList                              `query:"account_number" doc:"The bounces of the addresses that any of these accounts holds" example:"A-1001"`
}

func (p *HistoricalFilter) chosen() bounce.Filter {
	return bounce.Filter{Address: p.RecipientEmail, Accounts: p.AccountNumber, Classes: p.BounceType, From: p.from, To: p.to, UpdatedFrom: p.updatedFrom}
}

type historicalListWire struct {
	ListOf[historicalWire]
	RangeWire
	AsOf time.Time `json:"as_of" doc:"Everything stored before is in the list; sorted or filtered by update, everything changed before"`
}

func (a *api) listHistorical(ctx context.Context, c call, in *struct {
	CursorParams[eventSorts]
	HistoricalFilter
}) (out historicalListWire, err error) {
	ask := bounce.ListParams{Filter: in.chosen(), Order: historicalOrders[in.Sort], Limit: in.size()}
	byUpdate := ask.Order == bounce.UpdatedFirst || ask.Order == bounce.UpdatedLatest
	switch {
	case in.after == nil:
		ask.Offset = in.params().Offset()
	case byUpdate:
		ask.After = &bounce.Cursor{ID: bounce.ID{UUID: in.after.id}, UpdatedAt: in.after.updated}
	default:
		ask.After = &bounce.Cursor{ID: bounce.ID{UUID: in.after.id}, OccurredAt: in.after.updated}
	}
	asOf := a.Now() // before the snapshot: what it does not hold is stored later
	got, err := a.Bounces.ListBounces(ctx, c.Caller, ask)
	if err != nil {
		return out, err
	}
	out.ListOf = newList(in.params(), got.Of, wireHistorical)
	if n := len(got.Items); got.More && n > 0 {
		last := got.Items[n-1]
		at := last.OccurredAt
		if byUpdate {
			at = last.UpdatedAt
		}
		out.NextCursor = in.next(last.ID.UUID, at)
	}
	out.RangeWire = RangeWire{instant(in.from), instant(in.to)}
	out.AsOf = asOf.UTC()
	if byUpdate || !in.updatedFrom.IsZero() {
		out.AsOf = completeTo(asOf, got.NewestUpdate, in.updatedFrom)
	}
	return out, nil
}

func (a *api) exportHistorical(ctx context.Context, c call, in *struct {
	SortParam[eventSorts]
	HistoricalFilter
	Raw bool `query:"raw" doc:"Leave cells as they are that a spreadsheet would run as a formula"`
}) (*export[bounce.Historical, historicalWire], error) {
	rows := &walk[bounce.Historical, bounce.Cursor]{place: func(b bounce.Historical) bounce.Cursor {
		return bounce.Cursor{ID: b.ID, OccurredAt: b.OccurredAt, UpdatedAt: b.UpdatedAt}
	}}
	rows.list = func(after *bounce.Cursor, skip, limit int) (part[bounce.Historical], error) {
		got, err := a.Bounces.ListBounces(ctx, c.Caller, bounce.ListParams{Filter: in.chosen(), Order: historicalOrders[in.Sort], After: after, Offset: skip, Limit: limit, NoTotal: true})
		return part[bounce.Historical]{got.Items, got.More}, err
	}
	return &export[bounce.Historical, historicalWire]{
		name: "historical-bounces", raw: in.Raw, wire: wireHistorical, line: func(w historicalWire) any { return w }, next: rows.next,
	}, nil
}
