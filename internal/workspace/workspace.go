// Package workspace owns who may do what where: workspaces, users, their memberships and roles, API keys, and Caller,
// which every call for data takes. How a token becomes an Identity is internal/auth's business.
package workspace

import (
	"time"

	"github.com/google/uuid"

	"monterey/internal/fault"
)

// ID names a workspace.
type ID struct{ uuid.UUID }

// NewID makes an id that no other workspace has.
func NewID() ID { return ID{uuid.Must(uuid.NewV7())} }

// ParseID reads an id in its usual form; the fault is Invalid.
func ParseID(s string) (ID, error) {
	u, err := uuid.Parse(s)
	if err != nil {
		return ID{}, fault.New(fault.Invalid, "%q is not a workspace id (a UUID)", s)
	}
	return ID{u}, nil
}

// Workspace is a company, a brand or a team whose rows nobody else sees.
type Workspace struct {
	ID        ID
	Name      string
	Timezone  string // an IANA name; the zone of plain dates where a question names none
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Validate names every bad field at once.
func (w Workspace) Validate() error {
	var bad []fault.Field
	if w.Name == "" || len(w.Name) > 200 {
		bad = append(bad, fault.Field{Loc: []string{"body", "name"}, Msg: "must have 1 to 200 characters", Type: "length"})
	}
	if !ValidZone(w.Timezone) {
		bad = append(bad, fault.Field{Loc: []string{"body", "timezone"}, Msg: "must be an IANA time zone, as Europe/Paris or UTC", Type: "timezone"})
	}
	return fault.Fields(bad...)
}

// ValidZone says whether name is an IANA time zone. "Local" is none: it would mean the server's.
func ValidZone(name string) bool {
	if name == "" || name == "Local" {
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil
}

// Role is what a member may do in a workspace. Each role includes the ones before it.
type Role string

// The roles, from least to most.
const (
	Viewer        Role = "viewer"         // read
	Editor        Role = "editor"         // also create, change, delete resources; start syncs and backfills
	Admin         Role = "admin"          // also members, keys, connections, intake
	PlatformAdmin Role = "platform_admin" // every workspace, and the workspaces themselves; never a membership
)

// Roles that a membership or a key of a workspace may have.
var Roles = []Role{Viewer, Editor, Admin}

var rank = map[Role]int{Viewer: 1, Editor: 2, Admin: 3, PlatformAdmin: 4}

// Allows says whether r includes need. An unknown role allows nothing.
func (r Role) Allows(need Role) bool { return rank[r] > 0 && rank[need] > 0 && rank[r] >= rank[need] }

// ParseRole reads the name of a role of a workspace; the fault is Invalid.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case Viewer, Editor, Admin:
		return r, nil
	}
	return "", fault.New(fault.Invalid, "%q is not a role; viewer, editor and admin are", s)
}

// UserID names a user.
type UserID struct{ uuid.UUID }

// User is a person. Persons come from an identity provider (or are the mock user of development); keys are no users.
type User struct {
	ID            UserID
	Email         string
	DisplayName   string
	PlatformAdmin bool
	CreatedAt     time.Time
}

// Membership is the role of a user in a workspace.
type Membership struct {
	Workspace     ID
	WorkspaceName string
	User          User
	Role          Role
	CreatedAt     time.Time
}

// Identity is who a token belongs to, before a workspace is chosen.
type Identity struct {
	ID            uuid.UUID // of the user or of the API key
	Email         string    // "" for a key
	DisplayName   string
	PlatformAdmin bool
	Memberships   []Membership // what the user, or the key, may enter
}

// In is the caller that i becomes in a workspace. The fault is Forbidden when i has no membership there, or a role that
// does not include need. A platform admin may enter every workspace; that it exists is for the caller to check.
func (i Identity) In(ws ID, need Role) (Caller, error) {
	role := Role("")
	for _, m := range i.Memberships {
		if m.Workspace == ws {
			role = m.Role
		}
	}
	if i.PlatformAdmin {
		role = PlatformAdmin
	}
	if role == "" {
		return Caller{}, fault.New(fault.Forbidden, "you are no member of this workspace")
	}
	if !role.Allows(need) {
		return Caller{}, fault.New(fault.Forbidden, "this needs the role %s; you are %s", need, role)
	}
	return Caller{workspace: ws, role: role, name: i.DisplayName}, nil
}

// Caller is who asks, where, with what rights. Its fields are hidden, so that only Identity.In and System make one:
// a call for data that forgets to ask who is calling does not compile. The zero Caller sees no rows.
type Caller struct {
	workspace ID
	role      Role
	name      string
}

// System is the caller for work that no person asked for (the ingest worker, jobs) and for the command line.
func System(ws ID) Caller { return Caller{workspace: ws, role: Admin, name: "system"} }

// Workspace is the one whose rows the caller may see.
func (c Caller) Workspace() ID { return c.workspace }

// Role is what the caller may do there.
func (c Caller) Role() Role { return c.role }

// Name is for people: who asked.
func (c Caller) Name() string { return c.name }
