package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"monterey/internal/campaign"
	"monterey/internal/page"
	"monterey/internal/rollup"
)

func (a *api) statisticsRoutes() {
	const tag = "Statistics"
	handle(a, operation{ID: "listStatistics", Method: http.MethodGet, Path: "/campaign-statistics/", Tag: tag, Rule: viewer,
		Summary: "Statistics of all campaigns"}, a.listStatistics)
	handle(a, operation{ID: "getOverview", Method: http.MethodGet, Path: "/campaign-statistics/overview", Tag: tag, Rule: viewer,
		Summary: "Statistics of the workspace as one, and of the period before"}, a.overview)
	handle(a, operation{ID: "getStatistics", Method: http.MethodGet, Path: "/campaign-statistics/{campaign_id}", Tag: tag, Rule: viewer,
		Summary: "Statistics of a campaign"}, a.oneStatistics)
	handle(a, operation{ID: "getTimeSeries", Method: http.MethodGet, Path: "/campaign-statistics/{campaign_id}/time-series", Tag: tag, Rule: viewer,
		Summary: "Time series of a campaign", Description: "Every bucket of the range, empty ones too; at most 10 000."}, a.timeSeries)
	handle(a, operation{ID: "listLinks", Method: http.MethodGet, Path: "/campaign-statistics/{campaign_id}/links", Tag: tag, Rule: viewer,
		Summary: "Clicks of a campaign by link"}, a.links)
	handle(a, operation{ID: "listDomains", Method: http.MethodGet, Path: "/campaign-statistics/{campaign_id}/domains", Tag: tag, Rule: viewer,
		Summary: "Recipients of a campaign by domain"}, a.domains)
	handle(a, operation{ID: "listDefinitions", Method: http.MethodGet, Path: "/metrics/definitions", Tag: tag, Rule: viewer,
		Summary: "What each figure means"}, a.definitions)
	a.describeStatistics()
}

type statisticsSorts struct{}

func (statisticsSorts) choices() []string { return sortable(rollup.SortFields()...) }

type bases struct{}

func (bases) choices() []string { return []string{string(rollup.ByEvent), string(rollup.BySend)} }

// StatisticsFilter chooses campaigns, a range, and what the range means.
type StatisticsFilter struct {
	RangeParams
	Basis              oneOf[bases] `query:"basis" doc:"event (default): what happened in the range; send: campaigns first sent in the range, with all that happened to them since" example:"event"`
	CampaignID         idList       `query:"campaign_id"`
	ProviderCampaignID textList     `query:"provider_campaign_id" example:"4711"`
	Search             string       `query:"search" doc:"Part of the campaign's name or provider's id, case ignored"`
	IncludeArchived    bool         `query:"include_archived" doc:"Archived campaigns too"`
}

func (p *StatisticsFilter) filter() campaign.Filter {
	return campaign.Filter{IDs: idsAs[campaign.ID](p.CampaignID), ProviderIDs: p.ProviderCampaignID, Search: strings.TrimSpace(p.Search),
		IncludeArchived: p.IncludeArchived}
}

func (p *StatisticsFilter) basis() rollup.Basis {
	if p.Basis == "" {
		return rollup.ByEvent
	}
	return rollup.Basis(p.Basis)
}

func (p *RangeParams) asRange() rollup.Range { return rollup.Range{From: p.from, To: p.to} }

// snapshot asks a question of one snapshot.
func snapshot[T any](ctx context.Context, a *api, c call, ask func(v rollup.View) (T, error)) (out T, err error) {
	err = a.Statistics.Snapshot(ctx, c.Caller, func(v rollup.View) error {
		out, err = ask(v)
		return err
	})
	return out, err
}

type statisticsListWire struct {
	ListOf[rollup.Statistics]
	RangeWire
	Basis rollup.Basis `json:"basis" enum:"event,send" example:"event"`
	AsOf  time.Time    `json:"as_of" doc:"Everything received before is counted"`
}

func (a *api) listStatistics(ctx context.Context, c call, in *struct {
	SortedParams[statisticsSorts]
	StatisticsFilter
}) (statisticsListWire, error) {
	return snapshot(ctx, a, c, func(v rollup.View) (statisticsListWire, error) {
		p := rollup.ListParams{Filter: in.filter(), Range: in.asRange(), Basis: in.basis(), Params: in.params()}
		got, err := rollup.List(ctx, v, p)
		if err != nil {
			return statisticsListWire{}, err
		}
		asOf, err := v.AsOf(ctx)
		same := func(s rollup.Statistics) rollup.Statistics { return s }
		return statisticsListWire{newList(p.Params, got, same), in.resolved(), p.Basis, asOf.UTC()}, err
	})
}

func (a *api) overview(ctx context.Context, c call, in *StatisticsFilter) (rollup.Overview, error) {
	return snapshot(ctx, a, c, func(v rollup.View) (rollup.Overview, error) {
		return rollup.Overall(ctx, v, in.filter(), in.asRange(), in.basis())
	})
}

// OfCampaign is a question about one campaign over a range.
type OfCampaign struct {
	CampaignID pathID `path:"campaign_id"`
	RangeParams
}

func (a *api) oneStatistics(ctx context.Context, c call, in *OfCampaign) (rollup.Statistics, error) {
	return snapshot(ctx, a, c, func(v rollup.View) (rollup.Statistics, error) {
		return rollup.One(ctx, v, campaign.ID(in.CampaignID), in.asRange())
	})
}

type granularities struct{}

func (granularities) choices() (out []string) {
	for _, g := range rollup.Granularities {
		out = append(out, string(g))
	}
	return out
}

type weekStarts struct{}

func (weekStarts) choices() []string { return []string{string(rollup.Monday), string(rollup.Sunday)} }

func (a *api) timeSeries(ctx context.Context, c call, in *struct {
	CampaignID  pathID               `path:"campaign_id"`
	Granularity oneOf[granularities] `query:"granularity" doc:"Length of the buckets; default day" example:"day"`
	WeekStart   oneOf[weekStarts]    `query:"week_start" doc:"Default monday" example:"monday"`
	RangeParams
}) (rollup.Series, error) {
	zone, err := in.zone()
	if err != nil {
		return rollup.Series{}, err
	}
	p := rollup.SeriesParams{Range: in.asRange(), Granularity: rollup.ByDay, Zone: zone, WeekStart: rollup.Monday}
	if in.Granularity != "" {
		p.Granularity = rollup.Granularity(in.Granularity)
	}
	if in.WeekStart != "" {
		p.WeekStart = rollup.WeekStart(in.WeekStart)
	}
	return snapshot(ctx, a, c, func(v rollup.View) (rollup.Series, error) {
		return rollup.SeriesOf(ctx, v, campaign.ID(in.CampaignID), p)
	})
}

// RowsWire are all rows of a campaign over a range.
type RowsWire struct {
	CampaignID uuid.UUID `json:"campaign_id" format:"uuid"`
	RangeWire
	AsOf  time.Time `json:"as_of" doc:"Everything received before is counted"`
	Total int       `json:"total" doc:"Rows" example:"1"`
}

type linksWire struct {
	RowsWire
	Items []rollup.Link `json:"items"`
}

type domainsWire struct {
	RowsWire
	Items []rollup.Domain `json:"items" doc:"By recipients; the last, other, is of all domains beyond the limit"`
}

func (a *api) links(ctx context.Context, c call, in *OfCampaign) (linksWire, error) {
	return snapshot(ctx, a, c, func(v rollup.View) (linksWire, error) {
		rows, err := rollup.Links(ctx, v, campaign.ID(in.CampaignID), in.asRange())
		if err != nil {
			return linksWire{}, err
		}
		asOf, err := v.AsOf(ctx)
		return linksWire{RowsWire{in.CampaignID.UUID, in.resolved(), asOf.UTC(), len(rows)}, rows}, err
	})
}

func (a *api) domains(ctx context.Context, c call, in *struct {
	OfCampaign
	Limit int `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Domains with a row of their own"`
}) (domainsWire, error) {
	limit := in.Limit
	if limit == 0 {
		limit = page.DefaultSize
	}
	return snapshot(ctx, a, c, func(v rollup.View) (domainsWire, error) {
		rows, err := rollup.Domains(ctx, v, campaign.ID(in.CampaignID), in.asRange(), limit)
		if err != nil {
			return domainsWire{}, err
		}
		asOf, err := v.AsOf(ctx)
		return domainsWire{RowsWire{in.CampaignID.UUID, in.resolved(), asOf.UTC(), len(rows)}, rows}, err
	})
}
