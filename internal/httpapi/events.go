package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

func (a *api) eventRoutes() {
	const tag = "Events"
	handle(a, operation{ID: "listEvents", Method: http.MethodGet, Path: "/campaign-events/", Tag: tag, Rule: viewer, Summary: "List events",
		Description: "To follow changes, ask with sort=updated_at and updated_from = the as_of of the last walk: what was taken back comes as {id, updated_at, removed: true}."}, a.listEvents)
	handle(a, operation{ID: "exportEvents", Method: http.MethodGet, Path: "/campaign-events/export", Tag: tag, Rule: viewer,
		Summary: "Export events as CSV, or NDJSON by Accept", Description: "Streamed. A failure cuts the connection, so that a half file never looks whole."}, a.exportEvents)
	handle(a, operation{ID: "getEvent", Method: http.MethodGet, Path: "/campaign-events/{id}", Tag: tag, Rule: viewer, Summary: "Get an event"}, a.getEvent)
}

type eventWire struct {
	ID                 uuid.UUID  `json:"id" format:"uuid"`
	CampaignID         *uuid.UUID `json:"campaign_id" format:"uuid" nullable:"true" doc:"null = belongs to no campaign"`
	CampaignName       *string    `json:"campaign_name" example:"Spring sale"`
	ProviderCampaignID *string    `json:"provider_campaign_id" example:"4711"`
	RunID              *uuid.UUID `json:"run_id" format:"uuid" nullable:"true" doc:"The latest run that had begun"`
	EventType          string     `json:"event_type" enum:"sent,delivered,open,click,bounce,unsubscribe,complaint" example:"click"`
	RecipientEmail     *string    `json:"recipient_email" doc:"null = erased" example:"bob@example.com"`
	OccurredAt         time.Time  `json:"occurred_at"`
	ReceivedAt         time.Time  `json:"received_at"`
	UpdatedAt          time.Time  `json:"updated_at"`
	ProviderName       string     `json:"provider_name" example:"campaigner"`
	ProviderEventID    *string    `json:"provider_event_id"`
	Source             string     `json:"source" enum:"webhook,sync" example:"webhook"`
	Actor              string     `json:"actor" enum:"human,machine" doc:"An estimate; in doubt human" example:"human"`
	ActorReason        *string    `json:"actor_reason" doc:"The rule that took it for a machine"`
	URL                *string    `json:"url" example:"https://shop.example/sale"`
	IPAddress          *string    `json:"ip_address"`
	UserAgent          *string    `json:"user_agent"`
	BounceType         *string    `json:"bounce_type" enum:"hard,soft,block,unknown"`
	Detail             *string    `json:"detail" doc:"The text of a bounce, verbatim"`
	Removed            bool       `json:"removed,omitempty" doc:"true: taken back; then only id and updated_at are there"`
}

func wireEvent(e event.Event) eventWire {
	if e.Removed {
		return eventWire{ID: e.ID.UUID, UpdatedAt: e.UpdatedAt.UTC(), Removed: true}
	}
	return eventWire{
		ID: e.ID.UUID, CampaignID: idOrNil(e.Campaign.UUID), CampaignName: orNil(e.CampaignName),
		ProviderCampaignID: orNil(e.ProviderCampaignID), RunID: idOrNil(e.Run.UUID), EventType: e.Type.String(),
		RecipientEmail: orNil(e.Address), OccurredAt: e.OccurredAt.UTC(), ReceivedAt: e.ReceivedAt.UTC(), UpdatedAt: e.UpdatedAt.UTC(),
		ProviderName: string(e.Provider), ProviderEventID: orNil(e.Facts.ProviderEventID), Source: e.Source.String(),
		Actor: e.Actor.String(), ActorReason: orNil(e.ActorReason), URL: orNil(e.Link.URL), IPAddress: orNil(e.Facts.IP),
		UserAgent: orNil(e.Facts.UserAgent), BounceType: orNil(e.Class.String()), Detail: orNil(e.Facts.Bounce.Reason),
	}
}

// removedWire is what is told of a row that was taken back.
type removedWire struct {
	ID        uuid.UUID `json:"id" format:"uuid"`
	UpdatedAt time.Time `json:"updated_at"`
	Removed   bool      `json:"removed"`
}

// changing is a row of a list that tells of rows taken back too.
type changing[W row] struct{ row W }

// row is a wire type that may be of a row taken back.
type row interface{ removed() *removedWire }

func (e eventWire) removed() *removedWire {
	if !e.Removed {
		return nil
	}
	return &removedWire{e.ID, e.UpdatedAt, true}
}

// MarshalJSON writes the row, or that it was taken back.
func (c changing[W]) MarshalJSON() ([]byte, error) {
	if gone := c.row.removed(); gone != nil {
		return json.Marshal(gone)
	}
	return json.Marshal(c.row)
}

// Schema says that it is either.
func (changing[W]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{r.Schema(reflect.TypeFor[W](), true, ""), r.Schema(reflect.TypeFor[removedWire](), true, "")}}
}

type eventSorts struct{}

func (eventSorts) choices() []string { return sortable("occurred_at", "updated_at") }

var eventOrders = map[oneOf[eventSorts]]event.Order{
	"": event.NewestFirst, "-occurred_at": event.NewestFirst, "occurred_at": event.OldestFirst,
	"updated_at": event.UpdatedFirst, "-updated_at": event.UpdatedLatest,
}

type eventTypes struct{}

func (eventTypes) all() []event.Type { return event.Types }

type actors struct{}

func (actors) all() []event.Actor { return []event.Actor{event.Human, event.Machine} }

// ChangeParams are the range and the last change of events and bounces.
type ChangeParams struct {
	RangeParams
	UpdatedFrom moment `query:"updated_from" doc:"Only what changed then or later, also what was taken back" example:"2026-01-31T09:30:00Z"`
}

func (p *ChangeParams) updatedFrom() (time.Time, error) {
	if !p.UpdatedFrom.needsZone() {
		return p.UpdatedFrom.exact, nil
	}
	zone, err := p.zone()
	if err != nil {
		return time.Time{}, err
	}
	return p.UpdatedFrom.start(zone), nil
}

// EventFilter are the filters of events.
type EventFilter struct {
	ChangeParams
	EventType          enumList[event.Type, eventTypes] `query:"event_type" example:"open,click"`
	CampaignID         idList                           `query:"campaign_id"`
	ProviderCampaignID textList                         `query:"provider_campaign_id" example:"4711"`
	RecipientEmail     addressList                      `query:"recipient_email" example:"bob@example.com"`
	Actor              enumList[event.Actor, actors]    `query:"actor" example:"human"`
}

func (a *api) eventFilter(ctx context.Context, c call, in *EventFilter) (f event.Filter, err error) {
	f = event.Filter{Types: in.EventType, Address: in.RecipientEmail, Actor: in.Actor, From: in.from, To: in.to}
	if f.UpdatedFrom, err = in.updatedFrom(); err != nil {
		return f, err
	}
	f.Campaigns, err = a.campaignsOf(ctx, c.Caller, in.CampaignID, in.ProviderCampaignID)
	return f, err
}

// campaignsOf are the campaigns that both filters choose; nil = all. Where none is left it is one that does not exist.
func (a *api) campaignsOf(ctx context.Context, c workspace.Caller, ids idList, providerIDs textList) ([]campaign.ID, error) {
	if len(providerIDs) == 0 {
		return idsAs[campaign.ID](ids), nil
	}
	f := campaign.Filter{IDs: idsAs[campaign.ID](ids), ProviderIDs: providerIDs, IncludeArchived: true}
	got, err := a.Campaigns.ListCampaigns(ctx, c, f, page.Params{Number: 1, Size: page.MaxSize})
	if err != nil {
		return nil, err
	}
	out := []campaign.ID{}
	for _, cm := range got.Items {
		out = append(out, cm.ID)
	}
	if len(out) == 0 {
		out = append(out, campaign.NewID())
	}
	return out, nil
}

// changesWire is a list of events or bounces.
type changesWire[W row] struct {
	ListOf[changing[W]]
	RangeWire
	AsOf time.Time `json:"as_of" doc:"Everything received before is in the list; sorted or filtered by update, everything changed before"`
}

// listChanges answers a list of events as rows of W.
func listChanges[W row](ctx context.Context, a *api, c call, f event.Filter, p *CursorParams[eventSorts], wire func(event.Event) W) (out changesWire[W], err error) {
	ask := event.ListParams{Filter: f, Order: eventOrders[p.Sort], Limit: p.size()}
	if p.after != nil {
		ask.After = &event.Cursor{ID: event.ID{UUID: p.after.id}, UpdatedAt: p.after.updated}
	} else {
		ask.Offset = p.params().Offset()
	}
	got, err := a.Events.ListEvents(ctx, c.Caller, ask)
	if err != nil {
		return out, err
	}
	out.ListOf = newList(p.params(), got.Of, func(e event.Event) changing[W] { return changing[W]{wire(e)} })
	if n := len(got.Items); got.More && n > 0 {
		out.NextCursor = p.next(got.Items[n-1].ID.UUID, got.Items[n-1].UpdatedAt)
	}
	out.RangeWire = RangeWire{instant(f.From), instant(f.To)}
	out.AsOf = got.AsOf.UTC()
	if ask.Order == event.UpdatedFirst || ask.Order == event.UpdatedLatest || !f.UpdatedFrom.IsZero() {
		out.AsOf = completeTo(got.AsOf, got.NewestUpdate, f.UpdatedFrom)
	}
	return out, nil
}

// completeTo is up to when a list of changes is complete: stamps grow strictly under one lock, so nothing at or before the
// newest one can still be missing, whereas the clock runs ahead of a writer that has not committed.
func completeTo(asOf, newest, updatedFrom time.Time) time.Time {
	switch {
	case newest.IsZero() && updatedFrom.IsZero():
		return time.Unix(0, 0).UTC()
	case newest.IsZero():
		newest = updatedFrom
	}
	if newest.Before(asOf) {
		return newest.UTC()
	}
	return asOf.UTC()
}

func (a *api) listEvents(ctx context.Context, c call, in *struct {
	CursorParams[eventSorts]
	EventFilter
}) (out changesWire[eventWire], err error) {
	f, err := a.eventFilter(ctx, c, &in.EventFilter)
	if err != nil {
		return out, err
	}
	return listChanges(ctx, a, c, f, &in.CursorParams, wireEvent)
}

func (a *api) getEvent(ctx context.Context, c call, in *byID) (eventWire, error) {
	e, err := a.Events.GetEvent(ctx, c.Caller, event.ID(in.ID))
	return wireEvent(e), err
}

func (a *api) exportEvents(ctx context.Context, c call, in *struct {
	SortParam[eventSorts]
	EventFilter
	Raw bool `query:"raw" doc:"Leave cells as they are that a spreadsheet would run as a formula"`
}) (*export[event.Event, eventWire], error) {
	f, err := a.eventFilter(ctx, c, &in.EventFilter)
	if err != nil {
		return nil, err
	}
	x := &export[event.Event, eventWire]{name: "campaign-events", raw: in.Raw, without: "removed", wire: wireEvent}
	if !f.UpdatedFrom.IsZero() {
		x.without = ""
	}
	x.line = func(e eventWire) any { return changing[eventWire]{e} }
	rows := &walk[event.Event, event.Cursor]{place: func(e event.Event) event.Cursor { return event.Cursor{ID: e.ID, UpdatedAt: e.UpdatedAt} }}
	rows.list = func(after *event.Cursor, skip, limit int) (part[event.Event], error) {
		got, err := a.Events.ListEvents(ctx, c.Caller, event.ListParams{Filter: f, Order: eventOrders[in.Sort], After: after, Offset: skip, Limit: limit, NoTotal: true})
		return part[event.Event]{got.Items, got.More}, err
	}
	x.next = rows.next
	return x, nil
}
