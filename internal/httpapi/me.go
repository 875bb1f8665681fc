package httpapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"monterey/internal/workspace"
)

func (a *api) meRoutes() {
	handle(a, operation{ID: "getMe", Method: http.MethodGet, Path: "/auth/me", Tag: "Access", Rule: signedIn,
		Summary: "Who the token belongs to"}, a.me)
}

type meWire struct {
	ID            uuid.UUID          `json:"id" format:"uuid" doc:"Of the user or the API key"`
	Email         *string            `json:"email" doc:"null for an API key" example:"ada@example.com"`
	DisplayName   string             `json:"display_name" example:"Ada Lovelace"`
	PlatformAdmin bool               `json:"is_platform_admin"`
	Memberships   []myMembershipWire `json:"memberships"`
}

type myMembershipWire struct {
	WorkspaceID   uuid.UUID      `json:"workspace_id" format:"uuid"`
	WorkspaceName string         `json:"workspace_name" example:"Acme"`
	Role          workspace.Role `json:"role" enum:"viewer,editor,admin" example:"viewer"`
}

func (a *api) me(_ context.Context, c call, _ *struct{}) (meWire, error) {
	who := c.Identity
	out := meWire{ID: who.ID, Email: orNil(who.Email), DisplayName: who.DisplayName, PlatformAdmin: who.PlatformAdmin,
		Memberships: []myMembershipWire{}}
	for _, m := range who.Memberships {
		out.Memberships = append(out.Memberships, myMembershipWire{m.Workspace.UUID, m.WorkspaceName, m.Role})
	}
	return out, nil
}

// orNil is a text in answers: null when it is unknown.
func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// idOrNil is an id in answers: null when there is none.
func idOrNil(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}
