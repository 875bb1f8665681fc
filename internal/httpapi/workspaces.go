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

func (a *api) workspaceRoutes() {
	const tag = "Workspaces"
	handle(a, operation{ID: "listWorkspaces", Method: http.MethodGet, Path: "/workspaces/", Tag: tag, Rule: signedIn,
		Summary: "List workspaces: all for a platform admin, else your own"}, a.listWorkspaces)
	handle(a, operation{ID: "createWorkspace", Method: http.MethodPost, Path: "/workspaces/", Tag: tag, Rule: platformAdmin,
		Summary: "Create a workspace", Status: http.StatusCreated}, a.createWorkspace)
	handle(a, operation{ID: "getWorkspace", Method: http.MethodGet, Path: "/workspaces/{id}", Tag: tag, Rule: platformAdmin,
		Summary: "Get a workspace"}, a.getWorkspace)
	handle(a, operation{ID: "updateWorkspace", Method: http.MethodPut, Path: "/workspaces/{id}", Tag: tag, Rule: platformAdmin,
		Summary: "Change a workspace", Description: "Fields left out stay as they are."}, a.updateWorkspace)
	handle(a, operation{ID: "deleteWorkspace", Method: http.MethodDelete, Path: "/workspaces/{id}", Tag: tag, Rule: platformAdmin,
		Summary: "Delete a workspace", Description: "Its keys and webhooks stop working at once."}, a.deleteWorkspace)
}

type workspaceWire struct {
	ID        uuid.UUID `json:"id" format:"uuid"`
	Name      string    `json:"name" example:"Acme"`
	Timezone  string    `json:"timezone" doc:"IANA time zone of plain dates" example:"Europe/Paris"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func wireWorkspace(w workspace.Workspace) workspaceWire {
	return workspaceWire{w.ID.UUID, w.Name, w.Timezone, w.CreatedAt.UTC(), w.UpdatedAt.UTC()}
}

type workspaceSorts struct{}

func (workspaceSorts) choices() []string { return sortable("name", "created_at", "updated_at") }

type workspaceBody struct {
	Name     *string `json:"name,omitempty" maxLength:"200" example:"Acme"`
	Timezone *string `json:"timezone,omitempty" doc:"IANA time zone of plain dates; UTC at first" example:"Europe/Paris"`
}

// apply changes w as the body says.
func (b workspaceBody) apply(w *workspace.Workspace) {
	if b.Name != nil {
		w.Name = strings.TrimSpace(*b.Name)
	}
	if b.Timezone != nil {
		w.Timezone = *b.Timezone
	}
}

func (b *workspaceBody) check(env) ([]fault.Field, error) {
	w := workspace.Workspace{Name: "of the stored row", Timezone: "UTC"}
	b.apply(&w)
	return fieldsOf(w.Validate()), nil
}

func (a *api) listWorkspaces(ctx context.Context, c call, in *SortedParams[workspaceSorts]) (ListOf[workspaceWire], error) {
	var only []workspace.ID
	if !c.Identity.PlatformAdmin {
		only = []workspace.ID{}
		for _, m := range c.Identity.Memberships {
			only = append(only, m.Workspace)
		}
	}
	got, err := a.Workspaces.ListWorkspaces(ctx, only, in.params())
	return newList(in.params(), got, wireWorkspace), err
}

type createWorkspaceInput struct{ Body workspaceBody }

func (in *createWorkspaceInput) checkInput(env) ([]fault.Field, error) {
	if in.Body.Name == nil {
		return []fault.Field{missing("name")}, nil
	}
	return nil, nil
}

func (a *api) createWorkspace(ctx context.Context, _ call, in *createWorkspaceInput) (workspaceWire, error) {
	now := a.Now().UTC()
	w := workspace.Workspace{ID: workspace.NewID(), Timezone: "UTC", CreatedAt: now, UpdatedAt: now}
	in.Body.apply(&w)
	return wireWorkspace(w), a.Workspaces.CreateWorkspace(ctx, w)
}

type byID struct {
	ID pathID `path:"id"`
}

func (a *api) getWorkspace(ctx context.Context, _ call, in *byID) (workspaceWire, error) {
	w, err := a.Workspaces.GetWorkspace(ctx, workspace.ID(in.ID))
	return wireWorkspace(w), err
}

func (a *api) updateWorkspace(ctx context.Context, _ call, in *struct {
	ID   pathID `path:"id"`
	Body workspaceBody
}) (workspaceWire, error) {
	w, err := a.Workspaces.GetWorkspace(ctx, workspace.ID(in.ID))
	if err != nil {
		return workspaceWire{}, err
	}
	in.Body.apply(&w)
	w.UpdatedAt = a.Now().UTC()
	return wireWorkspace(w), a.Workspaces.UpdateWorkspace(ctx, w)
}

func (a *api) deleteWorkspace(ctx context.Context, _ call, in *byID) (nothing, error) {
	defer a.Auth.Forget()
	return nothing{}, a.Workspaces.DeleteWorkspace(ctx, workspace.ID(in.ID), a.Now().UTC())
}
