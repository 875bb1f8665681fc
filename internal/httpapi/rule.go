package httpapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// rule says who may call an operation. The zero rule is none, and refused when the operation is declared.
type rule struct {
	kind string         // as in the document's x-access
	role workspace.Role // in the workspace that the request names; "" = the operation belongs to no workspace
}

var (
	public        = rule{kind: "public"}
	signedIn      = rule{kind: "signed-in"}
	platformAdmin = rule{kind: "platform_admin"}
	viewer        = rule{kind: "viewer", role: workspace.Viewer}
	editor        = rule{kind: "editor", role: workspace.Editor}
	admin         = rule{kind: "admin", role: workspace.Admin}
)

// call is who asks. The Caller is the zero one, which sees no rows, unless the rule is a role in a workspace.
type call struct {
	workspace.Caller
	Identity workspace.Identity
}

// ask finds out who sent r and whether the rule lets them. bad are wrong or missing names of a workspace, to be told
// together with the other bad fields; err ends the request.
func (a *api) ask(r *http.Request, op *operation) (c call, bad []fault.Field, err error) {
	if op.Rule.kind == public.kind {
		return c, nil, nil
	}
	if c.Identity, err = a.Auth.Authenticate(r); err != nil {
		return c, nil, err
	}
	if op.Rule.kind == platformAdmin.kind && !c.Identity.PlatformAdmin {
		return c, nil, fault.New(fault.Forbidden, "this needs a platform admin")
	}
	if op.Rule.role == "" {
		return c, nil, nil
	}
	ws, bad := workspaceOf(r, op, c.Identity)
	if len(bad) > 0 {
		return c, bad, nil
	}
	if c.Caller, err = c.Identity.In(ws, op.Rule.role); err != nil {
		return c, nil, err
	}
	if c.Identity.PlatformAdmin { // who has no membership must not work in a workspace that is not there
		_, err = a.zone(r.Context(), c.Caller)
	}
	return c, nil, err
}

// workspaceOf is the workspace that r names: in the query where the operation has it there, else in the header. An API
// key of one workspace need not name it.
func workspaceOf(r *http.Request, op *operation, who workspace.Identity) (workspace.ID, []fault.Field) {
	loc, raw := []string{"header", "workspace_id"}, r.Header.Get("workspace_id")
	if raw == "" {
		raw = r.Header.Get("X-Workspace-ID")
	}
	if op.WorkspaceInQuery {
		switch q := split(r.URL.Query()["workspace_id"]); len(q) {
		case 0:
		case 1:
			loc, raw = []string{"query", "workspace_id"}, q[0]
		default:
			return workspace.ID{}, []fault.Field{{Loc: []string{"query", "workspace_id"}, Msg: "is given more than once", Type: "repeated"}}
		}
	}
	if raw == "" && who.Email == "" && !who.PlatformAdmin && len(who.Memberships) == 1 {
		return who.Memberships[0].Workspace, nil
	}
	if raw == "" {
		return workspace.ID{}, []fault.Field{{Loc: loc, Msg: "is needed: the id of a workspace (a UUID)", Type: "missing"}}
	}
	id, ok := parseUUID(raw)
	if !ok {
		return workspace.ID{}, []fault.Field{{Loc: loc, Msg: "must be the id of a workspace (a UUID)", Type: "uuid"}}
	}
	return workspace.ID{UUID: id}, nil
}

// parseUUID reads an id in its one usual form; the other forms that uuid.Parse takes (urn:, braces, no dashes) are none.
func parseUUID(s string) (uuid.UUID, bool) {
	id, err := uuid.Parse(s)
	return id, err == nil && len(s) == 36
}

// workspaceNow reads the caller's workspace: NotFound when it is not there.
func (a *api) workspaceNow(ctx context.Context, c workspace.Caller) (workspace.Workspace, error) {
	ws, err := a.Workspaces.GetWorkspace(ctx, c.Workspace())
	if fault.Is(err, fault.NotFound) {
		return ws, fault.New(fault.NotFound, "there is no such workspace")
	}
	return ws, err
}
