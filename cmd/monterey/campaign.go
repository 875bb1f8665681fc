package main

import (
	"context"
	"fmt"

	"monterey/internal/campaign"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

type campaignCreate struct {
	Workspace          string   `required:"" help:"The workspace." placeholder:"ID"`
	Name               string   `required:"" help:"What people call it." placeholder:"NAME"`
	ProviderCampaignID string   `required:"" name:"provider-campaign-id" help:"The provider's id of it." placeholder:"PID"`
	Provider           string   `help:"Who sends it." default:"campaigner"`
	Tag                []string `help:"A tag; repeatable."`
}

func (c *campaignCreate) Run(ctx context.Context, p *program) error {
	now := p.now().UTC()
	cm := campaign.Campaign{
		ID: campaign.NewID(), Name: c.Name, Provider: provider.Name(c.Provider), ProviderCampaignID: c.ProviderCampaignID,
		Tags: c.Tag, Named: true, CreatedAt: now, UpdatedAt: now,
	}
	ws, err := p.workspaceFlag(c.Workspace, fieldMistakes(cm.Validate())...)
	if err != nil {
		return err
	}
	store, err := p.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	if _, err := store.GetWorkspace(ctx, ws); err != nil {
		return fmt.Errorf("workspace %s: %w", ws, err)
	}
	if err := store.CreateCampaign(ctx, workspace.System(ws), cm); err != nil {
		return fmt.Errorf("create campaign: %w", err)
	}
	p.say("Campaign %s was created.", cm.Name)
	return p.result(struct {
		ID string `json:"id"`
	}{cm.ID.String()}, cm.ID.String()+"\n")
}

type campaignList struct {
	Workspace       string `required:"" help:"The workspace." placeholder:"ID"`
	Search          string `help:"Part of the name or of the provider's id." placeholder:"TEXT"`
	IncludeArchived bool   `help:"Show deleted campaigns too."`
}

func (c *campaignList) Run(ctx context.Context, p *program) error {
	ws, err := p.workspaceFlag(c.Workspace)
	if err != nil {
		return err
	}
	store, err := p.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	if _, err := store.GetWorkspace(ctx, ws); err != nil {
		return fmt.Errorf("workspace %s: %w", ws, err)
	}
	all, err := allCampaigns(ctx, store, ws, campaign.Filter{Search: c.Search, IncludeArchived: c.IncludeArchived})
	if err != nil {
		return err
	}
	type item struct {
		ID                 string   `json:"id"`
		Name               string   `json:"name"`
		ProviderName       string   `json:"provider_name"`
		ProviderCampaignID string   `json:"provider_campaign_id"`
		Tags               []string `json:"tags"`
		Status             string   `json:"status"`
		Discovered         bool     `json:"discovered"`
		Archived           bool     `json:"archived"`
		CreatedAt          string   `json:"created_at"`
	}
	items := make([]item, 0, len(all))
	rows := [][]string{{"ID", "PROVIDER'S ID", "NAME", "CREATED"}}
	for _, cm := range all {
		i := item{cm.ID.String(), cm.Name, string(cm.Provider), cm.ProviderCampaignID, append([]string{}, cm.Tags...), cm.Status,
			cm.Discovered, cm.Archived, stamp(cm.CreatedAt)}
		items, rows = append(items, i), append(rows, []string{i.ID, i.ProviderCampaignID, i.Name, i.CreatedAt})
	}
	return p.result(list[item]{items}, table(rows))
}

func allCampaigns(ctx context.Context, store campaign.Store, ws workspace.ID, f campaign.Filter) ([]campaign.Campaign, error) {
	return everyPage(func(q page.Params) (page.Of[campaign.Campaign], error) {
		return store.ListCampaigns(ctx, workspace.System(ws), f, q)
	})
}

// workspaceFlag reads --workspace; its mistake is reported with all others.
func (p *program) workspaceFlag(id string, others ...string) (workspace.ID, error) {
	ws, err := workspace.ParseID(id)
	if err != nil {
		others = append(others, "--workspace: "+err.Error())
	}
	return ws, p.check(others...)
}
