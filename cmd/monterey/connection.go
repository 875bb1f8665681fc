package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

type connectionSet struct {
	Workspace        string  `required:"" help:"The workspace." placeholder:"ID"`
	Provider         string  `required:"" help:"campaigner."`
	WebhookKeyFile   string  `help:"A file with the key that the provider's webhooks carry." placeholder:"FILE"`
	APIKeyFile       string  `name:"api-key-file" help:"A file with the key of the provider's API." placeholder:"FILE"`
	BaseURL          *string `name:"base-url" help:"The provider's API; empty is the provider's own." placeholder:"URL"`
	ProviderTimezone string  `help:"How the provider's times without a zone are meant; UTC at first." placeholder:"ZONE"`
	SyncSchedule     *string `help:"When the provider's API is read, as a cron expression in that zone; empty is never." placeholder:"CRON"`
	RecoverOpens     string  `help:"Which opens that the provider lists are events: first or all." placeholder:"first|all"`
}

// Run creates the connection or changes what the flags name. It may be repeated.
func (c *connectionSet) Run(ctx context.Context, p *program) error {
	ws, err := p.workspaceFlag(c.Workspace, c.mistakes(p.common.AllowPrivateProviders)...)
	if err != nil {
		return err
	}
	var webhookKey, apiKey string
	if c.WebhookKeyFile != "" {
		if webhookKey, err = p.readSecret(c.WebhookKeyFile); err != nil {
			return fmt.Errorf("--webhook-key-file: %w", err)
		}
	}
	if c.APIKeyFile != "" {
		if apiKey, err = p.readSecret(c.APIKeyFile); err != nil {
			return fmt.Errorf("--api-key-file: %w", err)
		}
	}
	store, err := p.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	if _, err := store.GetWorkspace(ctx, ws); err != nil {
		return fmt.Errorf("workspace %s: %w", ws, err)
	}
	keys, err := p.common.openKeys()
	if err != nil {
		return err
	}
	conn, isNew, err := c.connection(ctx, store, ws, p.now().UTC())
	if err != nil {
		return err
	}
	if webhookKey != "" {
		conn.WebhookMAC = keys.WebhookMAC(webhookKey)
	}
	if apiKey != "" {
		conn.APIKey = keys.Seal(apiKey)
	}
	write, done := store.UpdateConnection, "changed"
	if isNew {
		write, done = store.CreateConnection, "created"
	}
	if err := write(ctx, workspace.System(ws), conn); err != nil {
		return fmt.Errorf("set connection: %w", err)
	}
	p.say("The connection to %s was %s.", conn.Provider, done)
	return p.result(struct {
		ID string `json:"id"`
	}{conn.ID.String()}, conn.ID.String()+"\n")
}

// mistakes of the flags that can be seen without the database.
func (c *connectionSet) mistakes(allowPrivate bool) (wrong []string) {
	zone := c.ProviderTimezone
	if zone == "" {
		zone = "UTC"
	}
	example := provider.Connection{Provider: provider.Name(c.Provider), Timezone: zone, RecoverOpens: c.RecoverOpens}
	if c.SyncSchedule != nil {
		example.SyncSchedule = *c.SyncSchedule
	}
	wrong = fieldMistakes(example.Validate())
	if c.WebhookKeyFile == "-" && c.APIKeyFile == "-" {
		wrong = append(wrong, "--webhook-key-file and --api-key-file cannot both be standard input")
	}
	if c.BaseURL != nil && *c.BaseURL != "" {
		if msg := provider.CheckBaseURL(*c.BaseURL, allowPrivate); msg != "" {
			wrong = append(wrong, "--base-url "+msg)
		}
	}
	return wrong
}

// connection is the workspace's connection to the provider, or a new one, with what the flags change.
func (c *connectionSet) connection(ctx context.Context, store provider.Store, ws workspace.ID, now time.Time) (conn provider.Connection, isNew bool, err error) {
	all, err := everyPage(func(q page.Params) (page.Of[provider.Connection], error) {
		return store.ListConnections(ctx, workspace.System(ws), q)
	})
	if err != nil {
		return conn, false, err
	}
	i := slices.IndexFunc(all, func(o provider.Connection) bool { return o.Provider == provider.Name(c.Provider) })
	if isNew = i < 0; isNew {
		conn = provider.Connection{ID: provider.ID{UUID: uuid.Must(uuid.NewV7())}, Workspace: ws, Provider: provider.Name(c.Provider), Timezone: "UTC", CreatedAt: now}
	} else {
		conn = all[i]
	}
	conn.UpdatedAt = now
	if c.BaseURL != nil {
		conn.BaseURL = *c.BaseURL
	}
	if c.ProviderTimezone != "" {
		conn.Timezone = c.ProviderTimezone
	}
	if c.SyncSchedule != nil {
		conn.SyncSchedule = *c.SyncSchedule
	}
	if c.RecoverOpens != "" {
		conn.RecoverOpens = c.RecoverOpens
	}
	return conn, isNew, nil
}
