package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

func (a *api) membershipRoutes() {
	const tag = "Access"
	handle(a, operation{ID: "listMemberships", Method: http.MethodGet, Path: "/workspace-memberships/", Tag: tag, Rule: admin,
		Summary: "List the members of the workspace"}, a.listMembers)
	handle(a, operation{ID: "listMembershipCandidates", Method: http.MethodGet, Path: "/workspace-memberships/candidates", Tag: tag, Rule: admin,
		Summary: "Find users who could become members", Description: "At most 500; narrow them down with search."}, a.listCandidates)
	handle(a, operation{ID: "addMembership", Method: http.MethodPost, Path: "/workspace-memberships/", Tag: tag, Rule: admin,
		Summary: "Make a user a member", Status: http.StatusCreated, Errors: []int{http.StatusConflict}}, a.addMember)
	handle(a, operation{ID: "changeMembership", Method: http.MethodPut, Path: "/workspace-memberships/{user_id}", Tag: tag, Rule: admin,
		Summary: "Change a member's role"}, a.changeMember)
	handle(a, operation{ID: "removeMembership", Method: http.MethodDelete, Path: "/workspace-memberships/{user_id}", Tag: tag, Rule: admin,
		Summary: "Remove a member"}, a.removeMember)
}

type memberWire struct {
	UserID        uuid.UUID      `json:"user_id" format:"uuid"`
	Email         *string        `json:"email" example:"ada@example.com"`
	DisplayName   string         `json:"display_name" example:"Ada Lovelace"`
	WorkspaceID   uuid.UUID      `json:"workspace_id" format:"uuid"`
	WorkspaceName string         `json:"workspace_name" example:"Acme"`
	Role          workspace.Role `json:"role" enum:"viewer,editor,admin" example:"viewer"`
	CreatedAt     time.Time      `json:"created_at"`
}

func wireMember(m workspace.Membership) memberWire {
	return memberWire{m.User.ID.UUID, orNil(m.User.Email), m.User.DisplayName, m.Workspace.UUID, m.WorkspaceName, m.Role, m.CreatedAt.UTC()}
}

type candidateWire struct {
	UserID      uuid.UUID `json:"user_id" format:"uuid"`
	Email       *string   `json:"email" example:"ada@example.com"`
	DisplayName string    `json:"display_name" example:"Ada Lovelace"`
}

func wireCandidate(u workspace.User) candidateWire {
	return candidateWire{u.ID.UUID, orNil(u.Email), u.DisplayName}
}

// roleIn reads a role in a body, case ignored; bad tells what is wrong with it.
func roleIn(s string) (role workspace.Role, bad []fault.Field) {
	if s == "" {
		return "", []fault.Field{missing("role")}
	}
	role, err := workspace.ParseRole(strings.ToLower(s))
	if err != nil {
		return "", []fault.Field{{Loc: []string{"body", "role"}, Msg: "must be viewer, editor or admin", Type: "enum"}}
	}
	return role, nil
}

func (a *api) listMembers(ctx context.Context, c call, in *PageParams) (ListOf[memberWire], error) {
	got, err := a.Workspaces.ListMembers(ctx, c.Caller, in.params())
	return newList(in.params(), got, wireMember), err
}

const maxCandidates = 500

func (a *api) listCandidates(ctx context.Context, c call, in *struct {
	PageParams
	Search string `query:"search" doc:"Part of the name or the address" example:"ada"`
}) (ListOf[candidateWire], error) {
	users, err := a.Workspaces.Candidates(ctx, c.Caller, strings.TrimSpace(in.Search), maxCandidates)
	p := in.params()
	from := min(p.Offset(), len(users))
	got := page.Of[workspace.User]{Items: users[from:min(from+p.Size, len(users))], Total: int64(len(users))}
	return newList(p, got, wireCandidate), err
}

type addMemberBody struct {
	UserID *pathID `json:"user_id,omitempty" required:"true"`
	Role   string  `json:"role,omitempty" required:"true" enum:"viewer,editor,admin" example:"viewer"`
	role   workspace.Role
}

func (b *addMemberBody) check(env) (bad []fault.Field, _ error) {
	b.role, bad = roleIn(b.Role)
	if b.UserID == nil {
		bad = append(bad, missing("user_id"))
	}
	return bad, nil
}

func (a *api) addMember(ctx context.Context, c call, in *struct{ Body addMemberBody }) (memberWire, error) {
	m, err := a.Workspaces.AddMember(ctx, c.Caller, workspace.UserID(*in.Body.UserID), in.Body.role, a.Now().UTC())
	return wireMember(m), err
}

type roleBody struct {
	Role string `json:"role,omitempty" required:"true" enum:"viewer,editor,admin" example:"editor"`
	role workspace.Role
}

func (b *roleBody) check(env) (bad []fault.Field, _ error) {
	b.role, bad = roleIn(b.Role)
	return bad, nil
}

func (a *api) changeMember(ctx context.Context, c call, in *struct {
	UserID pathID `path:"user_id"`
	Body   roleBody
}) (memberWire, error) {
	m, err := a.Workspaces.SetRole(ctx, c.Caller, workspace.UserID(in.UserID), in.Body.role)
	return wireMember(m), err
}

func (a *api) removeMember(ctx context.Context, c call, in *struct {
	UserID pathID `path:"user_id"`
}) (nothing, error) {
	return nothing{}, a.Workspaces.RemoveMember(ctx, c.Caller, workspace.UserID(in.UserID))
}
