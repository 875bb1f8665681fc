package workspace

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/google/uuid"

	"monterey/internal/fault"
)

// KeyID names an API key.
type KeyID struct{ uuid.UUID }

// APIKey is a bearer token that Monterey made: "mk_" and 43 characters of base64url. Only its SHA-256 is kept.
type APIKey struct {
	ID            KeyID
	Workspace     ID     // the zero ID for a key of the platform
	WorkspaceName string // filled by the store when read
	PlatformAdmin bool
	Name          string
	Role          Role
	Hash          [sha256.Size]byte
	CreatedAt     time.Time
	ExpiresAt     time.Time // zero = never
	LastUsedAt    time.Time // zero = not yet; exact to about a minute
	RevokedAt     time.Time // zero = in force
}

// NewKey makes a key and the token that opens it. The token cannot be had again.
func NewKey(ws ID, name string, role Role, now time.Time) (APIKey, string) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails (crypto/rand)
	token := "mk_" + base64.RawURLEncoding.EncodeToString(secret[:])
	return APIKey{
		ID: KeyID{uuid.Must(uuid.NewV7())}, Workspace: ws, Name: name, Role: role,
		Hash: sha256.Sum256([]byte(token)), CreatedAt: now,
	}, token
}

// HashToken is the hash under which a token's key is kept; ok is false for a string that cannot be a token of ours.
func HashToken(token string) (hash [sha256.Size]byte, ok bool) {
	if !strings.HasPrefix(token, "mk_") || len(token) != 46 {
		return hash, false
	}
	return sha256.Sum256([]byte(token)), true
}

// Live says whether the key opens anything at the time now.
func (k APIKey) Live(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Identity is who the key is, with its one membership (none for a key of the platform).
func (k APIKey) Identity() Identity {
	i := Identity{ID: k.ID.UUID, DisplayName: k.Name, PlatformAdmin: k.PlatformAdmin}
	if !k.PlatformAdmin {
		i.Memberships = []Membership{{Workspace: k.Workspace, WorkspaceName: k.WorkspaceName, Role: k.Role}}
	}
	return i
}

// Validate names every bad field at once.
func (k APIKey) Validate(now time.Time) error {
	var bad []fault.Field
	if strings.TrimSpace(k.Name) == "" || len(k.Name) > 200 {
		bad = append(bad, fault.Field{Loc: []string{"body", "name"}, Msg: "must have 1 to 200 characters", Type: "length"})
	}
	if _, err := ParseRole(string(k.Role)); err != nil && !k.PlatformAdmin {
		bad = append(bad, fault.Field{Loc: []string{"body", "role"}, Msg: "must be viewer, editor or admin", Type: "enum"})
	}
	if !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now) {
		bad = append(bad, fault.Field{Loc: []string{"body", "expires_at"}, Msg: "must lie in the future", Type: "range"})
	}
	return fault.Fields(bad...)
}
