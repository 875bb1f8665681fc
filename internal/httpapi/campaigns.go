package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/provider"
	"monterey/internal/task"
)

func (a *api) campaignRoutes() {
	const tag = "Campaigns"
	handle(a, operation{ID: "listCampaigns", Method: http.MethodGet, Path: "/email-campaigns/", Tag: tag, Rule: viewer,
		Summary: "List campaigns"}, a.listCampaigns)
	handle(a, operation{ID: "createCampaign", Method: http.MethodPost, Path: "/email-campaigns/", Tag: tag, Rule: editor,
		Status: http.StatusCreated, Errors: []int{http.StatusConflict}, Summary: "Register a campaign",
		Description: "Campaigns also come by themselves, with their first event."}, a.createCampaign)
	handle(a, operation{ID: "getCampaign", Method: http.MethodGet, Path: "/email-campaigns/{id}", Tag: tag, Rule: viewer,
		Summary: "Get a campaign, archived ones too"}, a.getCampaign)
	handle(a, operation{ID: "updateCampaign", Method: http.MethodPut, Path: "/email-campaigns/{id}", Tag: tag, Rule: editor,
		Errors: []int{http.StatusConflict}, Summary: "Change a campaign", Description: "Fields left out stay as they are."}, a.updateCampaign)
	handle(a, operation{ID: "archiveCampaign", Method: http.MethodDelete, Path: "/email-campaigns/{id}", Tag: tag, Rule: editor,
		Summary: "Archive a campaign", Description: "It is hidden; its events are kept."}, a.archiveCampaign)
	handle(a, operation{ID: "syncCampaigns", Method: http.MethodPost, Path: "/email-campaigns/sync", Tag: tag, Rule: editor,
		Status: http.StatusAccepted, Errors: []int{http.StatusConflict}, Summary: "Read the campaigns from the provider",
		Description: "Their names, status, dates and the provider's own figures. A name that you gave a campaign stays. While one runs " +
			"the answer is a conflict with the id of its task in task_id."}, a.syncCampaigns)
}

type campaignWire struct {
	ID                 uuid.UUID     `json:"id" format:"uuid"`
	Name               string        `json:"name" example:"Spring sale"`
	ProviderName       provider.Name `json:"provider_name" enum:"campaigner"`
	ProviderCampaignID string        `json:"provider_campaign_id" doc:"Unique by workspace and provider" example:"4711"`
	Tags               []string      `json:"tags" example:"retail,spring"`
	Status             *string       `json:"status" doc:"The provider's or yours; null = unknown" example:"sent"`
	Discovered         bool          `json:"discovered" doc:"Made by its first event and named by nobody yet"`
	Archived           bool          `json:"archived"`
	CreatedAt          time.Time     `json:"created_at"`
	UpdatedAt          time.Time     `json:"updated_at"`
	ScheduledAt        *time.Time    `json:"scheduled_at" doc:"When the provider is, or was, to send it; null = unknown"`
	ProviderCreatedAt  *time.Time    `json:"provider_created_at" doc:"When it was made at the provider; null = unknown"`
}

func wireCampaign(c campaign.Campaign) campaignWire {
	return campaignWire{c.ID.UUID, c.Name, c.Provider, c.ProviderCampaignID, append([]string{}, c.Tags...), orNil(c.Status),
		c.Discovered, c.Archived, c.CreatedAt.UTC(), c.UpdatedAt.UTC(), instant(c.ScheduledAt), instant(c.ProviderCreatedAt)}
}

type campaignSorts struct{}

func (campaignSorts) choices() []string {
	return sortable("name", "created_at", "updated_at", "status", "provider_campaign_id")
}

type listCampaignsInput struct {
	SortedParams[campaignSorts]
	CampaignID         idList                            `query:"campaign_id" doc:"Only these campaigns"`
	ProviderCampaignID textList                          `query:"provider_campaign_id" doc:"Only campaigns with these ids at the provider"`
	ProviderName       enumList[nameText, providerNames] `query:"provider_name"`
	Search             string                            `query:"search" doc:"Part of the name or of the provider's id, case ignored"`
	Tags               textList                          `query:"tags" doc:"Only campaigns with one of these tags"`
	Status             textList                          `query:"status"`
	IncludeArchived    bool                              `query:"include_archived" doc:"Archived campaigns too"`
}

// nameText is a provider's name that prints itself.
type nameText provider.Name

func (n nameText) String() string { return string(n) }

type providerNames struct{}

func (providerNames) all() []nameText {
	var out []nameText
	for _, n := range provider.Names {
		out = append(out, nameText(n))
	}
	return out
}

func (a *api) listCampaigns(ctx context.Context, c call, in *listCampaignsInput) (ListOf[campaignWire], error) {
	f := campaign.Filter{IDs: idsAs[campaign.ID](in.CampaignID), ProviderIDs: in.ProviderCampaignID, Search: strings.TrimSpace(in.Search),
		Tags: in.Tags, Status: in.Status, IncludeArchived: in.IncludeArchived}
	for _, n := range in.ProviderName {
		f.Providers = append(f.Providers, provider.Name(n))
	}
	got, err := a.Campaigns.ListCampaigns(ctx, c.Caller, f, in.params())
	return newList(in.params(), got, wireCampaign), err
}

type campaignBody struct {
	Name               *string  `json:"name,omitempty" maxLength:"500" example:"Spring sale"`
	ProviderName       *string  `json:"provider_name,omitempty" enum:"campaigner" doc:"Default campaigner; cannot be changed"`
	ProviderCampaignID *string  `json:"provider_campaign_id,omitempty" maxLength:"200" example:"4711"`
	Tags               []string `json:"tags,omitempty" maxItems:"50" example:"retail,spring"`
	Status             *string  `json:"status,omitempty" maxLength:"200" example:"sent"`
	Archived           *bool    `json:"archived,omitempty"`
}

func (b campaignBody) apply(c *campaign.Campaign) {
	set := func(to *string, from *string) {
		if from != nil {
			*to = strings.TrimSpace(*from)
		}
	}
	if b.Name != nil {
		c.Rename(strings.TrimSpace(*b.Name))
	}
	set(&c.ProviderCampaignID, b.ProviderCampaignID)
	set(&c.Status, b.Status)
	if b.Tags != nil {
		c.Tags = b.Tags
	}
	if b.Archived != nil {
		c.Archived = *b.Archived
	}
}

func (b *campaignBody) check(env) ([]fault.Field, error) {
	c := campaign.Campaign{Name: "of the stored row", Provider: provider.Campaigner, ProviderCampaignID: "of the stored row"}
	b.apply(&c)
	if b.ProviderName != nil {
		c.Provider = provider.Name(strings.ToLower(*b.ProviderName))
	}
	bad := fieldsOf(c.Validate())
	if len(c.Status) > 200 {
		bad = append(bad, fault.Field{Loc: []string{"body", "status"}, Msg: "must have 200 characters at most", Type: "length"})
	}
	for _, tag := range c.Tags {
		if strings.TrimSpace(tag) == "" || len(tag) > 200 {
			return append(bad, fault.Field{Loc: []string{"body", "tags"}, Msg: "each must have 1 to 200 characters", Type: "length"}), nil
		}
	}
	return bad, nil
}

type createCampaignInput struct{ Body campaignBody }

func (in *createCampaignInput) checkInput(env) (bad []fault.Field, _ error) {
	if in.Body.Name == nil {
		bad = append(bad, missing("name"))
	}
	if in.Body.ProviderCampaignID == nil {
		bad = append(bad, missing("provider_campaign_id"))
	}
	return bad, nil
}

func (a *api) createCampaign(ctx context.Context, c call, in *createCampaignInput) (campaignWire, error) {
	now := a.Now().UTC()
	cm := campaign.Campaign{ID: campaign.NewID(), Provider: provider.Campaigner, CreatedAt: now, UpdatedAt: now}
	in.Body.apply(&cm)
	return wireCampaign(cm), a.Campaigns.CreateCampaign(ctx, c.Caller, cm)
}

func (a *api) getCampaign(ctx context.Context, c call, in *byID) (campaignWire, error) {
	cm, err := a.Campaigns.GetCampaign(ctx, c.Caller, campaign.ID(in.ID))
	return wireCampaign(cm), err
}

func (a *api) updateCampaign(ctx context.Context, c call, in *struct {
	ID   pathID `path:"id"`
	Body campaignBody
}) (campaignWire, error) {
	cm, err := a.Campaigns.GetCampaign(ctx, c.Caller, campaign.ID(in.ID))
	if err != nil {
		return campaignWire{}, err
	}
	in.Body.apply(&cm)
	cm.UpdatedAt = a.Now().UTC()
	return wireCampaign(cm), a.Campaigns.UpdateCampaign(ctx, c.Caller, cm)
}

func (a *api) archiveCampaign(ctx context.Context, c call, in *byID) (nothing, error) {
	cm, err := a.Campaigns.GetCampaign(ctx, c.Caller, campaign.ID(in.ID))
	if err != nil || cm.Archived {
		return nothing{}, err
	}
	cm.Archived, cm.UpdatedAt = true, a.Now().UTC()
	return nothing{}, a.Campaigns.UpdateCampaign(ctx, c.Caller, cm)
}

func (a *api) syncCampaigns(ctx context.Context, c call, _ *struct{}) (taskWire, error) {
	return a.start(ctx, c, task.Campaigns, task.Params{}, "/tasks/")
}
