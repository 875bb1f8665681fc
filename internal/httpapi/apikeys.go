package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/workspace"
)

func (a *api) apiKeyRoutes() {
	const tag = "Access"
	handle(a, operation{ID: "listAPIKeys", Method: http.MethodGet, Path: "/api-keys/", Tag: tag, Rule: admin,
		Summary: "List the API keys of the workspace, revoked ones too"}, a.listKeys)
	handle(a, operation{ID: "createAPIKey", Method: http.MethodPost, Path: "/api-keys/", Tag: tag, Rule: admin, Status: http.StatusCreated,
		Summary: "Create an API key", Description: "The key itself is in this answer and cannot be had again."}, a.createKey)
	handle(a, operation{ID: "revokeAPIKey", Method: http.MethodDelete, Path: "/api-keys/{id}", Tag: tag, Rule: admin,
		Summary: "Revoke an API key", Description: "It opens nothing any more within a second. Revoking twice is no error."}, a.revokeKey)
}

// KeyWire is an API key without what opens it.
type KeyWire struct {
	ID         uuid.UUID      `json:"id" format:"uuid"`
	Name       string         `json:"name" example:"BI"`
	Role       workspace.Role `json:"role" enum:"viewer,editor,admin" example:"viewer"`
	CreatedAt  time.Time      `json:"created_at"`
	ExpiresAt  *time.Time     `json:"expires_at" doc:"null = never"`
	LastUsedAt *time.Time     `json:"last_used_at" doc:"null = not yet; exact to about a minute"`
	RevokedAt  *time.Time     `json:"revoked_at" doc:"null = in force"`
}

func wireKey(k workspace.APIKey) KeyWire {
	return KeyWire{k.ID.UUID, k.Name, k.Role, k.CreatedAt.UTC(), instant(k.ExpiresAt), instant(k.LastUsedAt), instant(k.RevokedAt)}
}

type newKeyWire struct {
	KeyWire
	Key string `json:"key" doc:"The bearer token; shown this once" example:"mk_3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"`
}

type keyBody struct {
	Name      string `json:"name,omitempty" required:"true" maxLength:"200" example:"BI"`
	Role      string `json:"role,omitempty" required:"true" enum:"viewer,editor,admin" example:"viewer"`
	ExpiresAt moment `json:"expires_at,omitempty" doc:"A date-time or a date, which is included; absent = never"`

	role    workspace.Role
	expires time.Time
}

func (b *keyBody) check(e env) (bad []fault.Field, _ error) {
	loc, err := e.zone()
	if err != nil {
		return nil, err
	}
	b.Name = strings.TrimSpace(b.Name)
	b.role, bad = roleIn(b.Role)
	if b.ExpiresAt.given() {
		b.expires = b.ExpiresAt.end(loc)
	}
	k := workspace.APIKey{Name: b.Name, Role: workspace.Viewer, ExpiresAt: b.expires}
	return append(bad, fieldsOf(k.Validate(e.now))...), nil
}

func (a *api) listKeys(ctx context.Context, c call, in *PageParams) (ListOf[KeyWire], error) {
	got, err := a.Workspaces.ListKeys(ctx, c.Caller, in.params())
	return newList(in.params(), got, wireKey), err
}

func (a *api) createKey(ctx context.Context, c call, in *struct{ Body keyBody }) (newKeyWire, error) {
	k, token := workspace.NewKey(c.Workspace(), in.Body.Name, in.Body.role, a.Now().UTC())
	k.ExpiresAt = in.Body.expires
	return newKeyWire{wireKey(k), token}, a.Workspaces.CreateKey(ctx, k)
}

func (a *api) revokeKey(ctx context.Context, c call, in *byID) (nothing, error) {
	defer a.Auth.Forget()
	return nothing{}, a.Workspaces.RevokeKey(ctx, c.Caller, workspace.KeyID(in.ID), a.Now().UTC())
}
