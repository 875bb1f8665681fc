package auth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// keyring is the part of a workspace.Store that this package asks.
type keyring struct {
	workspace.Store
	keys  map[[32]byte]workspace.APIKey
	users []workspace.User
	asked int

	mu   sync.Mutex
	used map[workspace.KeyID]time.Time
	err  error
}

func (k *keyring) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

// recorded is how many keys were recorded as used since it was last asked.
func (k *keyring) recorded() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.used)
	k.used = nil
	return n
}

func (k *keyring) KeyByHash(_ context.Context, hash [32]byte) (workspace.APIKey, error) {
	k.asked++
	key, ok := k.keys[hash]
	if k.err != nil {
		return key, k.err
	}
	if !ok {
		return key, fault.New(fault.NotFound, "no such key")
	}
	return key, nil
}

func (k *keyring) TouchKeys(_ context.Context, used map[workspace.KeyID]time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return k.err
	}
	k.used = used
	return nil
}

func (k *keyring) PutUser(_ context.Context, u workspace.User) error {
	k.users = append(k.users, u)
	return nil
}

func (k *keyring) MembershipsOf(context.Context, workspace.UserID) ([]workspace.Membership, error) {
	return nil, nil
}

func (k *keyring) add(role workspace.Role, change func(*workspace.APIKey)) (token string) {
	key, token := workspace.NewKey(workspace.NewID(), string(role), role, time.Now())
	if change != nil {
		change(&key)
	}
	if k.keys == nil {
		k.keys = map[[32]byte]workspace.APIKey{}
	}
	k.keys[key.Hash] = key
	return token
}

func ask(a *Authenticator, header string) (workspace.Identity, error) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", header)
	return a.Authenticate(r)
}

func open(t *testing.T, k *keyring, dev bool) *Authenticator {
	t.Helper()
	a, err := New(t.Context(), Config{Store: k, Now: time.Now, DevAuth: dev})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTokens(t *testing.T) {
	k := &keyring{}
	good := k.add(workspace.Viewer, nil)
	expired := k.add(workspace.Viewer, func(k *workspace.APIKey) { k.ExpiresAt = time.Now().Add(-time.Second) })
	revoked := k.add(workspace.Viewer, func(k *workspace.APIKey) { k.RevokedAt = time.Now() })
	platform := k.add("", func(k *workspace.APIKey) { k.PlatformAdmin, k.Workspace = true, workspace.ID{} })
	_, unknown := workspace.NewKey(workspace.NewID(), "", workspace.Admin, time.Now())
	a := open(t, k, false)
	for header, ok := range map[string]bool{
		"Bearer " + good: true, "bearer  " + good + " ": true, "Bearer " + platform: true,
		"": false, "Bearer": false, "Bearer ": false, good: false, "Basic " + good: false, "Bearer " + good + "x": false, "Bearer mk_": false,
		"Bearer " + expired: false, "Bearer " + revoked: false, "Bearer " + unknown: false,
	} {
		who, err := ask(a, header)
		if ok != (err == nil) || !ok && !fault.Is(err, fault.Unauthorized) {
			t.Errorf("%q: %v %v", header, who, err)
		}
		if ok && !who.PlatformAdmin && (len(who.Memberships) != 1 || who.Memberships[0].Role != workspace.Viewer) {
			t.Errorf("%q: %+v", header, who)
		}
	}
	k.err = errors.New("disk gone")
	if _, err := ask(a, "Bearer "+unknown); err == nil || fault.Is(err, fault.Unauthorized) {
		t.Errorf("a failing store: %v", err)
	}
}

func TestRevokedKeyClosesWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keyring{}
		token := k.add(workspace.Viewer, nil)
		a := open(t, k, false)
		for range 10 {
			if _, err := ask(a, "Bearer "+token); err != nil {
				t.Fatal(err)
			}
		}
		if k.asked != 1 {
			t.Errorf("the store was asked %d times within a second", k.asked)
		}
		clear(k.keys)
		time.Sleep(time.Second)
		if _, err := ask(a, "Bearer "+token); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("a second after it was gone the key still opens: %v", err)
		}
	})
}

func TestExpiryCountsWhileCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keyring{}
		token := k.add(workspace.Viewer, func(k *workspace.APIKey) { k.ExpiresAt = time.Now().Add(100 * time.Millisecond) })
		a := open(t, k, false)
		if _, err := ask(a, "Bearer "+token); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
		if _, err := ask(a, "Bearer "+token); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("an expired key opens: %v", err)
		}
	})
}

func TestLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keyring{}
		token := k.add(workspace.Viewer, nil)
		a := open(t, k, false)
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- a.Run(ctx) }()
		if _, err := ask(a, "Bearer "+token); err != nil {
			t.Fatal(err)
		}
		k.fail(errors.New("busy"))
		time.Sleep(touchEach + time.Second)
		k.fail(nil)
		time.Sleep(touchEach)
		synctest.Wait()
		if n := k.recorded(); n != 1 {
			t.Errorf("after a failed flush %d keys were recorded", n)
		}
		if _, err := ask(a, "Bearer "+token); err != nil {
			t.Fatal(err)
		}
		stop()
		err := <-over
		if n := k.recorded(); err != nil || n != 1 {
			t.Errorf("at the end: %v, %d keys were recorded", err, n)
		}
	})
}

func TestDevAuth(t *testing.T) {
	k := &keyring{}
	a := open(t, k, true)
	if len(k.users) != 1 || !k.users[0].PlatformAdmin {
		t.Errorf("the mock user does not exist: %v", k.users)
	}
	for _, header := range []string{"", "Bearer anything", "Basic x"} {
		if who, err := ask(a, header); err != nil || !who.PlatformAdmin || who.Email == "" || who.ID != k.users[0].ID.UUID {
			t.Errorf("%q: %+v %v", header, who, err)
		}
	}
}
