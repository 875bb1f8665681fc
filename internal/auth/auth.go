// Package auth turns a request's bearer token into a workspace.Identity: API keys of Monterey and, for development, a
// mock user. What an identity may do in a workspace is decided by internal/workspace.
package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// devUser is who everybody is with dev auth on.
var devUser = workspace.User{
	ID:    workspace.UserID{UUID: uuid.MustParse("00000000-0000-4000-8000-000000000001")},
	Email: "dev@localhost", DisplayName: "Development user", PlatformAdmin: true,
}

const (
	cacheFor  = time.Second // how long a key that another process revoked may still open
	cacheSize = 10_000      // keys; beyond it the cache starts anew
	touchEach = 15 * time.Second
)

// Config of an Authenticator. Store and Now are needed.
type Config struct {
	Store workspace.Store
	Now   func() time.Time
	Log   *slog.Logger // nil = silent
	// DevAuth lets any token, and none, be the mock user, who is a platform admin.
	DevAuth bool
}

// Authenticator knows who sent a request. It may be used by many at once.
type Authenticator struct {
	cfg Config

	mu     sync.Mutex
	cache  map[[32]byte]entry
	forgot int                           // how often; what was read from the store before is not remembered after
	used   map[workspace.KeyID]time.Time // since the last flush
}

type entry struct {
	key   workspace.APIKey
	until time.Time
}

// New makes an Authenticator. With dev auth on it sees to it that the mock user exists.
func New(ctx context.Context, cfg Config) (*Authenticator, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.DevAuth {
		u := devUser
		u.CreatedAt = cfg.Now().UTC()
		if err := cfg.Store.PutUser(ctx, u); err != nil {
			return nil, fmt.Errorf("auth: create the mock user: %w", err)
		}
	}
	return &Authenticator{cfg: cfg, cache: map[[32]byte]entry{}, used: map[workspace.KeyID]time.Time{}}, nil
}

// Authenticate says who sent r. The fault is Unauthorized, or the store's.
func (a *Authenticator) Authenticate(r *http.Request) (workspace.Identity, error) {
	if a.cfg.DevAuth {
		return a.mockUser(r.Context())
	}
	token, ok := bearer(r)
	if !ok {
		return workspace.Identity{}, fault.New(fault.Unauthorized, "a bearer token is needed: Authorization: Bearer <token>")
	}
	hash, ok := workspace.HashToken(token)
	if !ok {
		return workspace.Identity{}, errBadToken()
	}
	key, err := a.key(r.Context(), hash)
	if err != nil {
		return workspace.Identity{}, err
	}
	now := a.cfg.Now()
	if !key.Live(now) {
		return workspace.Identity{}, errBadToken()
	}
	a.mu.Lock()
	a.used[key.ID] = now
	a.mu.Unlock()
	return key.Identity(), nil
}

// One message for every bad token: who guesses learns nothing.
func errBadToken() error {
	return fault.New(fault.Unauthorized, "the bearer token is unknown, expired or revoked")
}

func (a *Authenticator) mockUser(ctx context.Context) (workspace.Identity, error) {
	members, err := a.cfg.Store.MembershipsOf(ctx, devUser.ID)
	if err != nil {
		return workspace.Identity{}, fmt.Errorf("auth: memberships of the mock user: %w", err)
	}
	return workspace.Identity{
		ID: devUser.ID.UUID, Email: devUser.Email, DisplayName: devUser.DisplayName, PlatformAdmin: true, Memberships: members,
	}, nil
}

func (a *Authenticator) key(ctx context.Context, hash [32]byte) (workspace.APIKey, error) {
	now := a.cfg.Now()
	a.mu.Lock()
	e, ok := a.cache[hash]
	forgot := a.forgot
	a.mu.Unlock()
	if ok && now.Before(e.until) {
		return e.key, nil
	}
	key, err := a.cfg.Store.KeyByHash(ctx, hash)
	if fault.Is(err, fault.NotFound) {
		a.mu.Lock()
		delete(a.cache, hash)
		a.mu.Unlock()
		return workspace.APIKey{}, errBadToken()
	}
	if err != nil {
		return workspace.APIKey{}, fmt.Errorf("auth: find the key: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cache) >= cacheSize {
		clear(a.cache)
	}
	if forgot == a.forgot {
		a.cache[hash] = entry{key: key, until: now.Add(cacheFor)}
	}
	return key, nil
}

// Forget drops what is remembered of keys, so that one that was revoked just now opens nothing.
func (a *Authenticator) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.cache)
	a.forgot++
}

// bearer is the token of r; ok is false when there is none.
func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "bearer") && token != ""
}

// Run records from time to time, and once more at its end, when keys were last used. It returns nil after ctx is done.
func (a *Authenticator) Run(ctx context.Context) error {
	tick := time.NewTicker(touchEach)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			a.Flush(last)
			return nil
		case <-tick.C:
			a.Flush(ctx)
		}
	}
}

// Flush records now when keys were last used. A failure is logged and tried again with the next flush.
func (a *Authenticator) Flush(ctx context.Context) {
	a.mu.Lock()
	used := a.used
	a.used = map[workspace.KeyID]time.Time{}
	a.mu.Unlock()
	if len(used) == 0 {
		return
	}
	err := a.cfg.Store.TouchKeys(ctx, used)
	if err == nil {
		return
	}
	if !errors.Is(err, context.Canceled) {
		a.cfg.Log.Warn("cannot record when API keys were used", "err", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, t := range used {
		if a.used[id].Before(t) {
			a.used[id] = t
		}
	}
}
