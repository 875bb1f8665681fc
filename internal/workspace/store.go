package workspace

import (
	"context"
	"time"

	"monterey/internal/page"
)

// Store keeps workspaces, users, memberships and keys: the directory, which is not part of any workspace. Who may change
// it is checked by the callers of these methods. Faults: NotFound for an id that is not there, Conflict for one taken.
type Store interface {
	CreateWorkspace(ctx context.Context, w Workspace) error
	GetWorkspace(ctx context.Context, id ID) (Workspace, error)
	// ListWorkspaces sorts by name, created_at or updated_at (default name). only = nil means all.
	ListWorkspaces(ctx context.Context, only []ID, p page.Params) (page.Of[Workspace], error)
	UpdateWorkspace(ctx context.Context, w Workspace) error
	// DeleteWorkspace hides the workspace at once (its keys and webhooks stop working); its rows are purged afterwards.
	DeleteWorkspace(ctx context.Context, id ID, now time.Time) error

	// PutUser creates the user or brings name and address up to date.
	PutUser(ctx context.Context, u User) error
	GetUser(ctx context.Context, id UserID) (User, error)
	// MembershipsOf are all of a user's, by workspace name.
	MembershipsOf(ctx context.Context, id UserID) ([]Membership, error)
	ListMembers(ctx context.Context, c Caller, p page.Params) (page.Of[Membership], error)
	// Candidates are users who are no members yet and whose name or address contains search, at most limit.
	Candidates(ctx context.Context, c Caller, search string, limit int) ([]User, error)
	// AddMember: Conflict when the user is a member already, NotFound when there is no such user.
	AddMember(ctx context.Context, c Caller, user UserID, role Role, now time.Time) (Membership, error)
	SetRole(ctx context.Context, c Caller, user UserID, role Role) (Membership, error)
	RemoveMember(ctx context.Context, c Caller, user UserID) error

	// CreateKey keeps a key of a workspace or, with PlatformAdmin, of the platform.
	CreateKey(ctx context.Context, k APIKey) error
	// ListKeys are the keys of the caller's workspace, revoked ones too, newest first.
	ListKeys(ctx context.Context, c Caller, p page.Params) (page.Of[APIKey], error)
	// ListPlatformKeys are the keys of no workspace.
	ListPlatformKeys(ctx context.Context) ([]APIKey, error)
	// RevokeKey may be called twice; the first time counts.
	RevokeKey(ctx context.Context, c Caller, id KeyID, now time.Time) error
	RevokePlatformKey(ctx context.Context, id KeyID, now time.Time) error
	// KeyByHash finds a key, also one that is expired or revoked, of a workspace that was not deleted.
	KeyByHash(ctx context.Context, hash [32]byte) (APIKey, error)
	// TouchKeys records when keys were last used.
	TouchKeys(ctx context.Context, used map[KeyID]time.Time) error
}
