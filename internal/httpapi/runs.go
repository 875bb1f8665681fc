package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"monterey/internal/campaign"
	"monterey/internal/fault"
)

func (a *api) runRoutes() {
	const tag = "Campaigns"
	handle(a, operation{ID: "listRuns", Method: http.MethodGet, Path: "/campaign-runs/", Tag: tag, Rule: viewer,
		Summary: "List runs: each is one send of a campaign"}, a.listRuns)
	handle(a, operation{ID: "createRun", Method: http.MethodPost, Path: "/campaign-runs/", Tag: tag, Rule: editor,
		Status: http.StatusCreated, Errors: []int{http.StatusConflict}, Summary: "Register a run"}, a.createRun)
	handle(a, operation{ID: "getRun", Method: http.MethodGet, Path: "/campaign-runs/{id}", Tag: tag, Rule: viewer,
		Summary: "Get a run"}, a.getRun)
}

type runWire struct {
	ID            uuid.UUID  `json:"id" format:"uuid"`
	CampaignID    uuid.UUID  `json:"campaign_id" format:"uuid"`
	ProviderRunID *string    `json:"provider_run_id" example:"77"`
	StartedAt     time.Time  `json:"started_at"`
	FinishedAt    *time.Time `json:"finished_at" doc:"null = not known to have finished"`
	Sent          *int64     `json:"sent" doc:"Mails sent; null = unknown" example:"12000"`
	Delivered     *int64     `json:"delivered" doc:"null = unknown" example:"11800"`
	Derived       bool       `json:"derived" doc:"Worked out from what the provider reported, not registered"`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
}

func wireRun(r campaign.Run) runWire {
	return runWire{r.ID.UUID, r.Campaign.UUID, orNil(r.ProviderRunID), r.StartedAt.UTC(), instant(r.FinishedAt), r.Sent, r.Delivered,
		r.Derived, r.CreatedAt.UTC(), r.UpdatedAt.UTC()}
}

type runSorts struct{}

func (runSorts) choices() []string { return sortable("started_at", "created_at") }

func (a *api) listRuns(ctx context.Context, c call, in *struct {
	SortedParams[runSorts]
	CampaignID idList `query:"campaign_id" doc:"Only runs of these campaigns"`
}) (ListOf[runWire], error) {
	got, err := a.Campaigns.ListRuns(ctx, c.Caller, idsAs[campaign.ID](in.CampaignID), in.params())
	return newList(in.params(), got, wireRun), err
}

type runBody struct {
	CampaignID    *pathID `json:"campaign_id,omitempty" required:"true"`
	ProviderRunID string  `json:"provider_run_id,omitempty" maxLength:"200" example:"77"`
	StartedAt     moment  `json:"started_at,omitempty" required:"true"`
	FinishedAt    moment  `json:"finished_at,omitempty"`
	Sent          *int64  `json:"sent,omitempty" minimum:"0" example:"12000"`
	Delivered     *int64  `json:"delivered,omitempty" minimum:"0" example:"11800"`

	run campaign.Run
}

func (b *runBody) check(e env) (bad []fault.Field, _ error) {
	loc, err := e.zone()
	if err != nil {
		return nil, err
	}
	b.run = campaign.Run{ProviderRunID: b.ProviderRunID, Sent: b.Sent, Delivered: b.Delivered}
	if b.CampaignID == nil {
		bad = append(bad, missing("campaign_id"))
	}
	if b.StartedAt.given() {
		b.run.StartedAt = b.StartedAt.start(loc)
	}
	if b.FinishedAt.given() {
		b.run.FinishedAt = b.FinishedAt.start(loc)
	}
	if len(b.ProviderRunID) > 200 {
		bad = append(bad, fault.Field{Loc: []string{"body", "provider_run_id"}, Msg: "must have 200 characters at most", Type: "length"})
	}
	return append(bad, fieldsOf(b.run.Validate())...), nil
}

func (a *api) createRun(ctx context.Context, c call, in *struct{ Body runBody }) (runWire, error) {
	r, now := in.Body.run, a.Now().UTC()
	r.ID, r.Campaign, r.CreatedAt, r.UpdatedAt = campaign.RunID{UUID: uuid.Must(uuid.NewV7())}, campaign.ID(*in.Body.CampaignID), now, now
	if _, err := a.Campaigns.GetCampaign(ctx, c.Caller, r.Campaign); err != nil {
		return runWire{}, err
	}
	return wireRun(r), a.Campaigns.CreateRun(ctx, c.Caller, r)
}

func (a *api) getRun(ctx context.Context, c call, in *byID) (runWire, error) {
	r, err := a.Campaigns.GetRun(ctx, c.Caller, campaign.RunID(in.ID))
	return wireRun(r), err
}
