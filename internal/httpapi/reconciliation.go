package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"monterey/internal/campaign"
	"monterey/internal/reconciliation"
	"monterey/internal/task"
)

func (a *api) reconciliationRoutes() {
	const tag = "Reconciliation"
	handle(a, operation{ID: "listReconciliations", Method: http.MethodGet, Path: "/reconciliation/", Tag: tag, Rule: viewer,
		Summary: "List the last comparison of each campaign with the provider",
		Description: "Unexplained is theirs minus ours, after what was missing was fetched. The provider's opens count any activity of a " +
			"recipient, so they are often more than ours."}, a.listReconciliations)
	handle(a, operation{ID: "reconcile", Method: http.MethodPost, Path: "/reconciliation/", Tag: tag, Rule: editor, Status: http.StatusAccepted,
		Errors: []int{http.StatusConflict}, Summary: "Compare with the provider now, and fetch what is missing",
		Description: "While one runs the answer is a conflict with the id of its task in task_id."}, a.reconcile)
}

type countsWire struct {
	Opens        *int64 `json:"opens" example:"4123"`
	UniqueOpens  *int64 `json:"unique_opens" example:"3987"`
	Clicks       *int64 `json:"clicks" example:"812"`
	UniqueClicks *int64 `json:"unique_clicks" example:"640"`
	HardBounces  *int64 `json:"hard_bounces" example:"31"`
	SoftBounces  *int64 `json:"soft_bounces" example:"57"`
	Unsubscribes *int64 `json:"unsubscribes" example:"9"`
	Complaints   *int64 `json:"complaints" example:"1"`
}

type comparisonWire struct {
	CampaignID         uuid.UUID  `json:"campaign_id" format:"uuid"`
	CampaignName       string     `json:"campaign_name" example:"Spring sale"`
	ProviderCampaignID string     `json:"provider_campaign_id" example:"4711"`
	ComparedAt         time.Time  `json:"compared_at"`
	Ours               countsWire `json:"ours" doc:"null = unknown"`
	Theirs             countsWire `json:"theirs" doc:"The provider's own figures; null = it does not say"`
	Recovered          countsWire `json:"recovered" doc:"Of ours, the events that no webhook brought"`
	Unexplained        countsWire `json:"unexplained" doc:"Theirs minus ours; null where either is unknown"`
	Error              *string    `json:"error" doc:"Why the provider's figures could not be had"`
}

func wireComparison(c reconciliation.Comparison) comparisonWire {
	return comparisonWire{c.Campaign.UUID, c.CampaignName, c.ProviderCampaignID, c.At.UTC(), countsWire(c.Ours), countsWire(c.Theirs),
		countsWire(c.Recovered), countsWire(c.Theirs.Minus(c.Ours)), orNil(c.Fault)}
}

type comparisonSorts struct{}

func (comparisonSorts) choices() []string { return sortable("compared_at", "campaign_name") }

func (a *api) listReconciliations(ctx context.Context, c call, in *struct {
	SortedParams[comparisonSorts]
	CampaignID idList `query:"campaign_id" doc:"Only these campaigns"`
}) (ListOf[comparisonWire], error) {
	got, err := a.Comparisons.ListComparisons(ctx, c.Caller, idsAs[campaign.ID](in.CampaignID), in.params())
	return newList(in.params(), got, wireComparison), err
}

func (a *api) reconcile(ctx context.Context, c call, _ *struct{}) (taskWire, error) {
	return a.start(ctx, c, task.Reconciliation, task.Params{}, "/tasks/")
}
