package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/provider"
)

func (a *api) connectionRoutes() {
	const tag = "Connections"
	handle(a, operation{ID: "listConnections", Method: http.MethodGet, Path: "/provider-connections/", Tag: tag, Rule: admin,
		Summary: "List the connections to providers"}, a.listConnections)
	handle(a, operation{ID: "createConnection", Method: http.MethodPost, Path: "/provider-connections/", Tag: tag, Rule: admin,
		Status: http.StatusCreated, Errors: []int{http.StatusConflict}, Summary: "Connect a provider",
		Description: "There is one connection a provider. Keys are taken and never shown."}, a.createConnection)
	handle(a, operation{ID: "getConnection", Method: http.MethodGet, Path: "/provider-connections/{id}", Tag: tag, Rule: admin,
		Summary: "Get a connection"}, a.getConnection)
	handle(a, operation{ID: "updateConnection", Method: http.MethodPut, Path: "/provider-connections/{id}", Tag: tag, Rule: admin,
		Errors: []int{http.StatusConflict}, Summary: "Change a connection",
		Description: "Fields left out stay as they are; an empty key is removed."}, a.updateConnection)
	handle(a, operation{ID: "deleteConnection", Method: http.MethodDelete, Path: "/provider-connections/{id}", Tag: tag, Rule: admin,
		Summary: "Remove a connection", Description: "Its webhooks are no longer taken; what they brought stays."}, a.deleteConnection)
}

type connectionWire struct {
	ID               uuid.UUID     `json:"id" format:"uuid"`
	Provider         provider.Name `json:"provider" enum:"campaigner"`
	BaseURL          *string       `json:"base_url" doc:"Address of the provider's API; null = the provider's own"`
	ProviderTimezone string        `json:"provider_timezone" doc:"How the provider's times without a zone are meant" example:"America/New_York"`
	SyncSchedule     *string       `json:"sync_schedule" doc:"Cron expression; null = never" example:"0 3 * * *"`
	RecoverOpens     string        `json:"recover_opens" enum:"first,all" doc:"Which opens that the provider lists are events: the first of each recipient, or all"`
	HasAPIKey        bool          `json:"has_api_key"`
	HasWebhookKey    bool          `json:"has_webhook_key"`
	CreatedAt        time.Time     `json:"created_at"`
	UpdatedAt        time.Time     `json:"updated_at"`
}

func wireConnection(c provider.Connection) connectionWire {
	return connectionWire{c.ID.UUID, c.Provider, orNil(c.BaseURL), c.Timezone, orNil(c.SyncSchedule),
		cmp.Or(c.RecoverOpens, provider.FirstOpens), len(c.APIKey) > 0,
		len(c.WebhookMAC) > 0, c.CreatedAt.UTC(), c.UpdatedAt.UTC()}
}

type connectionBody struct {
	Provider         *string `json:"provider,omitempty" enum:"campaigner" doc:"Default campaigner; cannot be changed"`
	BaseURL          *string `json:"base_url,omitempty" doc:"Address of the provider's API; https and not a private address" example:"https://edapi.campaigner.com/v1"`
	ProviderTimezone *string `json:"provider_timezone,omitempty" doc:"IANA time zone; UTC at first" example:"America/New_York"`
	SyncSchedule     *string `json:"sync_schedule,omitempty" doc:"Cron expression of five fields, or @hourly, @daily, @every 6h, in the provider's time zone; empty = never" example:"0 3 * * *"`
	RecoverOpens     *string `json:"recover_opens,omitempty" enum:"first,all" doc:"Which opens that the provider lists are events; first at first"`
	APIKey           *string `json:"api_key,omitempty" writeOnly:"true" doc:"Opens the provider's API; never shown"`
	WebhookKey       *string `json:"webhook_key,omitempty" writeOnly:"true" doc:"The shared key in the provider's webhooks; never shown"`
}

func (b connectionBody) apply(c *provider.Connection, keys *provider.Keys) {
	set := func(to *string, from *string) {
		if from != nil {
			*to = strings.TrimSpace(*from)
		}
	}
	set(&c.BaseURL, b.BaseURL)
	set(&c.Timezone, b.ProviderTimezone)
	set(&c.SyncSchedule, b.SyncSchedule)
	set(&c.RecoverOpens, b.RecoverOpens)
	if b.APIKey != nil {
		c.APIKey = nil
		if *b.APIKey != "" {
			c.APIKey = keys.Seal(*b.APIKey)
		}
	}
	if b.WebhookKey != nil {
		c.WebhookMAC = nil
		if *b.WebhookKey != "" {
			c.WebhookMAC = keys.WebhookMAC(*b.WebhookKey)
		}
	}
}

func (b *connectionBody) check(e env) ([]fault.Field, error) {
	c := provider.Connection{Provider: provider.Campaigner, Timezone: "UTC"}
	plain := *b
	plain.APIKey, plain.WebhookKey = nil, nil
	plain.apply(&c, nil)
	if b.Provider != nil {
		c.Provider = provider.Name(strings.ToLower(*b.Provider))
	}
	bad := append(fieldsOf(c.Validate()), provider.BaseURLField(c.BaseURL, e.allowPrivate)...)
	for name, key := range map[string]*string{"api_key": b.APIKey, "webhook_key": b.WebhookKey} {
		if key != nil && len(*key) > 500 {
			bad = append(bad, fault.Field{Loc: []string{"body", name}, Msg: "must have 500 characters at most", Type: "length"})
		}
	}
	return bad, nil
}

func (a *api) listConnections(ctx context.Context, c call, in *PageParams) (ListOf[connectionWire], error) {
	got, err := a.Connections.ListConnections(ctx, c.Caller, in.params())
	return newList(in.params(), got, wireConnection), err
}

func (a *api) createConnection(ctx context.Context, c call, in *struct{ Body connectionBody }) (connectionWire, error) {
	now := a.Now().UTC()
	conn := provider.Connection{ID: provider.ID{UUID: uuid.Must(uuid.NewV7())}, Workspace: c.Workspace(), Provider: provider.Campaigner,
		Timezone: "UTC", CreatedAt: now, UpdatedAt: now}
	in.Body.apply(&conn, a.Keys)
	return wireConnection(conn), a.Connections.CreateConnection(ctx, c.Caller, conn)
}

func (a *api) getConnection(ctx context.Context, c call, in *byID) (connectionWire, error) {
	conn, err := a.Connections.GetConnection(ctx, c.Caller, provider.ID(in.ID))
	return wireConnection(conn), err
}

func (a *api) updateConnection(ctx context.Context, c call, in *struct {
	ID   pathID `path:"id"`
	Body connectionBody
}) (connectionWire, error) {
	conn, err := a.Connections.GetConnection(ctx, c.Caller, provider.ID(in.ID))
	if err != nil {
		return connectionWire{}, err
	}
	in.Body.apply(&conn, a.Keys)
	conn.UpdatedAt = a.Now().UTC()
	return wireConnection(conn), a.Connections.UpdateConnection(ctx, c.Caller, conn)
}

func (a *api) deleteConnection(ctx context.Context, c call, in *byID) (nothing, error) {
	return nothing{}, a.Connections.DeleteConnection(ctx, c.Caller, provider.ID(in.ID))
}
