package httpapi

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/fault"
)

func (a *api) bounceRoutes() {
	const tag = "Bounces"
	handle(a, operation{ID: "listBounces", Method: http.MethodGet, Path: "/bounce-events/", Tag: tag, Rule: viewer, WorkspaceInQuery: true,
		Summary: "List bounces", Description: "Follow changes as with events."}, a.listBounces)
	handle(a, operation{ID: "getBounce", Method: http.MethodGet, Path: "/bounce-events/{id}", Tag: tag, Rule: viewer,
		Summary: "Get a bounce"}, a.getBounce)
}

type bounceWire struct {
	ID                 uuid.UUID  `json:"id" format:"uuid"`
	CampaignID         *uuid.UUID `json:"campaign_id" format:"uuid" nullable:"true" doc:"null = belongs to no campaign"`
	CampaignName       *string    `json:"campaign_name" example:"Spring sale"`
	ProviderCampaignID *string    `json:"provider_campaign_id" example:"4711"`
	RunID              *uuid.UUID `json:"run_id" format:"uuid" nullable:"true"`
	RecipientEmail     *string    `json:"recipient_email" doc:"null = erased" example:"bob@example.com"`
	OccurredAt         time.Time  `json:"occurred_at"`
	ReceivedAt         time.Time  `json:"received_at"`
	UpdatedAt          time.Time  `json:"updated_at"`
	ProviderName       string     `json:"provider_name" example:"campaigner"`
	ProviderEventID    *string    `json:"provider_event_id"`
	Source             string     `json:"source" enum:"webhook,sync" example:"webhook"`
	BounceType         string     `json:"bounce_type" enum:"hard,soft,block,unknown" example:"hard"`
	SMTPCode           *int       `json:"smtp_code" example:"550"`
	EnhancedCode       *string    `json:"enhanced_code" doc:"RFC 3463" example:"5.1.1"`
	ProviderLabel      *string    `json:"provider_label" doc:"The provider's own name of the class, verbatim" example:"Hard Bounced"`
	Detail             *string    `json:"detail" doc:"The text of the refusal, verbatim" example:"550 5.1.1 no such user"`
	Removed            bool       `json:"removed,omitempty" doc:"true: taken back; then only id and updated_at are there"`
}

func (b bounceWire) removed() *removedWire {
	if !b.Removed {
		return nil
	}
	return &removedWire{b.ID, b.UpdatedAt, true}
}

func wireBounce(e event.Event) bounceWire {
	if e.Removed {
		return bounceWire{ID: e.ID.UUID, UpdatedAt: e.UpdatedAt.UTC(), Removed: true}
	}
	b := bounceWire{
		ID: e.ID.UUID, CampaignID: idOrNil(e.Campaign.UUID), CampaignName: orNil(e.CampaignName),
		ProviderCampaignID: orNil(e.ProviderCampaignID), RunID: idOrNil(e.Run.UUID), RecipientEmail: orNil(e.Address),
		OccurredAt: e.OccurredAt.UTC(), ReceivedAt: e.ReceivedAt.UTC(), UpdatedAt: e.UpdatedAt.UTC(), ProviderName: string(e.Provider),
		ProviderEventID: orNil(e.Facts.ProviderEventID), Source: e.Source.String(), BounceType: e.Class.String(),
		EnhancedCode: orNil(e.Facts.Bounce.EnhancedCode), ProviderLabel: orNil(e.Facts.Bounce.Label), Detail: orNil(e.Facts.Bounce.Reason),
	}
	if code := e.Facts.Bounce.SMTPCode; code != 0 {
		b.SMTPCode = &code
	}
	return b
}

type bounceClasses struct{}

func (bounceClasses) all() []bounce.Class { return bounce.Classes }

func (a *api) listBounces(ctx context.Context, c call, in *struct {
	CursorParams[eventSorts]
	ChangeParams
	RecipientEmail addressList                           `query:"recipient_email" example:"bob@example.com"`
	Email          addressList                           `query:"email" doc:"The same as recipient_email"`
	CampaignID     idList                                `query:"campaign_id"`
	BounceType     enumList[bounce.Class, bounceClasses] `query:"bounce_type" example:"hard"`
}) (out changesWire[bounceWire], err error) {
	f := event.Filter{Types: []event.Type{event.Bounce}, Address: slices.Concat(in.RecipientEmail, in.Email),
		Campaigns: idsAs[campaign.ID](in.CampaignID), Classes: in.BounceType, From: in.from, To: in.to}
	if f.UpdatedFrom, err = in.updatedFrom(); err != nil {
		return out, err
	}
	return listChanges(ctx, a, c, f, &in.CursorParams, wireBounce)
}

func (a *api) getBounce(ctx context.Context, c call, in *byID) (bounceWire, error) {
	e, err := a.Events.GetEvent(ctx, c.Caller, event.ID(in.ID))
	if err == nil && e.Type != event.Bounce {
		err = fault.New(fault.NotFound, "there is no such bounce")
	}
	return wireBounce(e), err
}
