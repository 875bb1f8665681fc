package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"monterey/internal/delivery"
)

func (a *api) deliveryRoutes() {
	const tag = "Intake"
	handle(a, operation{ID: "listDeliveries", Method: http.MethodGet, Path: "/webhook-deliveries/", Tag: tag, Rule: admin,
		Summary: "List what arrived at the webhook"}, a.listDeliveries)
	handle(a, operation{ID: "getDelivery", Method: http.MethodGet, Path: "/webhook-deliveries/{id}", Tag: tag, Rule: admin,
		Summary: "Get a delivery with its events and errors"}, a.getDelivery)
	handle(a, operation{ID: "replayDelivery", Method: http.MethodPost, Path: "/webhook-deliveries/{id}/replay", Tag: tag, Rule: admin,
		Errors: []int{http.StatusConflict}, Summary: "Take in again what was quarantined or ignored",
		Description: "What was counted stays as it is; replaying twice changes nothing."}, a.replayDelivery)
}

// DeliveryWire is a delivery without what became of its objects.
type DeliveryWire struct {
	ID           uuid.UUID `json:"id" format:"uuid"`
	ConnectionID uuid.UUID `json:"connection_id" format:"uuid"`
	ProviderName string    `json:"provider_name" example:"campaigner"`
	ReceivedAt   time.Time `json:"received_at"`
	State        string    `json:"state" enum:"pending,done,partial,quarantined" example:"done"`
	Objects      int       `json:"objects" doc:"In the body" example:"12"`
	Bytes        int       `json:"bytes" doc:"Of the body, unpacked" example:"4096"`
	Inserted     int       `json:"inserted" example:"11"`
	Duplicate    int       `json:"duplicate" example:"1"`
	Ignored      int       `json:"ignored" doc:"Kinds of report that are no engagement" example:"0"`
	Quarantined  int       `json:"quarantined" doc:"Could not be read" example:"0"`
	RawKept      bool      `json:"raw_kept" doc:"The body is still there and can be replayed"`
}

func wireDelivery(d delivery.Delivery) DeliveryWire {
	return DeliveryWire{d.ID.UUID, d.Connection.UUID, string(d.Provider), d.ReceivedAt.UTC(), d.State.String(), d.Objects, d.Bytes,
		d.Counts.Inserted, d.Counts.Duplicate, d.Counts.Ignored, d.Counts.Quarantined, d.RawKept}
}

type deliveryDetailWire struct {
	DeliveryWire
	Events []outcomeWire       `json:"events" doc:"What became of the objects that could be read"`
	Errors []deliveryErrorWire `json:"errors" doc:"Objects that could not be read"`
}

type outcomeWire struct {
	Position int        `json:"position" doc:"In the body, from 0"`
	Outcome  string     `json:"outcome" enum:"inserted,duplicate,ignored" example:"inserted"`
	EventID  *uuid.UUID `json:"event_id" format:"uuid" nullable:"true" doc:"null for reports that are no event of a recipient"`
	Reason   *string    `json:"reason" doc:"Why it was ignored"`
}

type deliveryErrorWire struct {
	Position int    `json:"position" doc:"In the body, from 0"`
	Reason   string `json:"reason" doc:"The field and its text" example:"opened_at: cannot read the time \"soon\""`
}

func wireDeliveryDetail(d delivery.Delivery) deliveryDetailWire {
	w := deliveryDetailWire{DeliveryWire: wireDelivery(d), Events: []outcomeWire{}, Errors: []deliveryErrorWire{}}
	for i, r := range d.Results {
		if r.Outcome == delivery.Held {
			w.Errors = append(w.Errors, deliveryErrorWire{i, r.Reason})
			continue
		}
		w.Events = append(w.Events, outcomeWire{i, r.Outcome.String(), idOrNil(r.Event.UUID), orNil(r.Reason)})
	}
	return w
}

type deliverySorts struct{}

func (deliverySorts) choices() []string { return sortable("received_at") }

type deliveryStates struct{}

func (deliveryStates) all() []delivery.State { return delivery.States }

func (a *api) listDeliveries(ctx context.Context, c call, in *struct {
	SortedParams[deliverySorts]
	State enumList[delivery.State, deliveryStates] `query:"state" example:"quarantined"`
}) (ListOf[DeliveryWire], error) {
	got, err := a.Deliveries.ListDeliveries(ctx, c.Caller, in.State, in.params())
	return newList(in.params(), got, wireDelivery), err
}

func (a *api) getDelivery(ctx context.Context, c call, in *byID) (deliveryDetailWire, error) {
	d, err := a.Deliveries.GetDelivery(ctx, c.Caller, delivery.ID(in.ID))
	return wireDeliveryDetail(d), err
}

func (a *api) replayDelivery(ctx context.Context, c call, in *byID) (deliveryDetailWire, error) {
	d, err := a.Replayer.Replay(ctx, c.Caller, delivery.ID(in.ID))
	return wireDeliveryDetail(d), err
}
