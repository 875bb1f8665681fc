package storetest

import (
	"testing"
	"time"

	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/store"
	"monterey/internal/workspace"
)

// addKey makes a key of a workspace.
func addKey(t *testing.T, s store.Store, ws workspace.ID, name string, created int) workspace.APIKey {
	t.Helper()
	k, _ := workspace.NewKey(ws, name, workspace.Editor, at(created))
	ok(t, s.CreateKey(t.Context(), k))
	return k
}

// addPlatformKey makes a key of the platform.
func addPlatformKey(t *testing.T, s store.Store, name string, created int) workspace.APIKey {
	t.Helper()
	k, _ := workspace.NewKey(workspace.ID{}, name, "", at(created))
	k.PlatformAdmin = true
	ok(t, s.CreateKey(t.Context(), k))
	return k
}

func testKey(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := addWorkspace(t, s, "Acme")
	k, _ := workspace.NewKey(w.ID, "BI", workspace.Viewer, at(1))
	k.ExpiresAt = at(2) // also an expired one is found
	ok(t, s.CreateKey(ctx, k))
	want := k
	want.WorkspaceName = "Acme"
	same(t, "the key", must(s.KeyByHash(ctx, k.Hash))(t), want)

	p := addPlatformKey(t, s, "ops", 1)
	same(t, "the platform's key", must(s.KeyByHash(ctx, p.Hash))(t), p)

	wantFault(t, "the same key", s.CreateKey(ctx, k), fault.Conflict)
	again, _ := workspace.NewKey(w.ID, "same hash", workspace.Viewer, day)
	again.Hash = k.Hash
	wantFault(t, "the same hash", s.CreateKey(ctx, again), fault.Conflict)
	_, err := s.KeyByHash(ctx, [32]byte{1})
	wantFault(t, "an unknown hash", err, fault.NotFound)
	nowhere, _ := workspace.NewKey(workspace.NewID(), "nowhere", workspace.Viewer, day)
	wantFault(t, "a key of no workspace", s.CreateKey(ctx, nowhere), fault.NotFound)
	zero, _ := workspace.NewKey(workspace.ID{}, "zero", workspace.Viewer, day)
	wantFault(t, "a key of the zero workspace", s.CreateKey(ctx, zero), fault.NotFound)

	w.Name = "renamed"
	ok(t, s.UpdateWorkspace(ctx, w))
	same(t, "the workspace's new name", must(s.KeyByHash(ctx, k.Hash))(t).WorkspaceName, "renamed")
}

func testListKeys(t *testing.T, s store.Store) {
	ctx := t.Context()
	one, two := addWorkspace(t, s, "one"), addWorkspace(t, s, "two")
	name := func(k workspace.APIKey) string { return k.Name }
	for i, n := range []string{"oldest", "newest", "middle"} {
		addKey(t, s, one.ID, n, []int{1, 3, 2}[i])
		addPlatformKey(t, s, "platform's "+n, []int{1, 3, 2}[i])
	}
	other := addKey(t, s, two.ID, "other", 1)
	got := walk(t, 2, everything, func(p page.Params) (page.Of[workspace.APIKey], error) {
		return s.ListKeys(ctx, workspace.System(one.ID), p)
	})
	same(t, "keys", names(got, name), []string{"newest", "middle", "oldest"})
	other.WorkspaceName = "two"
	same(t, "keys of two", must(s.ListKeys(ctx, workspace.System(two.ID), everything))(t).Items, []workspace.APIKey{other})
	same(t, "keys of the platform", names(must(s.ListPlatformKeys(ctx))(t), name),
		[]string{"platform's newest", "platform's middle", "platform's oldest"})
}

func testRevokeKey(t *testing.T, s store.Store) {
	ctx := t.Context()
	w, other := addWorkspace(t, s, "one"), addWorkspace(t, s, "two")
	c := workspace.System(w.ID)
	k, p := addKey(t, s, w.ID, "key", 1), addPlatformKey(t, s, "ops", 1)

	wantFault(t, "revoke from elsewhere", s.RevokeKey(ctx, workspace.System(other.ID), k.ID, at(2)), fault.NotFound)
	wantFault(t, "revoke the platform's key in a workspace", s.RevokeKey(ctx, c, p.ID, at(2)), fault.NotFound)
	wantFault(t, "revoke a workspace's key as the platform's", s.RevokePlatformKey(ctx, k.ID, at(2)), fault.NotFound)
	same(t, "not revoked", must(s.KeyByHash(ctx, k.Hash))(t).RevokedAt, time.Time{})
	same(t, "the platform's not revoked", must(s.KeyByHash(ctx, p.Hash))(t).RevokedAt, time.Time{})

	for _, sec := range []int{3, 4} { // the first time counts
		ok(t, s.RevokeKey(ctx, c, k.ID, at(sec)))
		ok(t, s.RevokePlatformKey(ctx, p.ID, at(sec)))
	}
	same(t, "revoked", must(s.KeyByHash(ctx, k.Hash))(t).RevokedAt, at(3))
	same(t, "the platform's revoked", must(s.KeyByHash(ctx, p.Hash))(t).RevokedAt, at(3))
	same(t, "revoked ones are listed", must(s.ListKeys(ctx, c, everything))(t).Total, int64(1))
	same(t, "the platform's revoked ones are listed", len(must(s.ListPlatformKeys(ctx))(t)), 1)
	wantFault(t, "revoke none", s.RevokeKey(ctx, c, workspace.KeyID{UUID: id(1, 1)}, day), fault.NotFound)
}

func testTouchKeys(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := addWorkspace(t, s, "one")
	a, b, idle := addKey(t, s, w.ID, "a", 1), addPlatformKey(t, s, "b", 1), addKey(t, s, w.ID, "idle", 1)
	ok(t, s.TouchKeys(ctx, nil))
	ok(t, s.TouchKeys(ctx, map[workspace.KeyID]time.Time{a.ID: at(5), b.ID: at(6), {UUID: id(9, 9)}: at(7)}))
	ok(t, s.TouchKeys(ctx, map[workspace.KeyID]time.Time{a.ID: at(4)})) // late: does not move back
	same(t, "a", must(s.KeyByHash(ctx, a.Hash))(t).LastUsedAt, at(5))
	same(t, "b", must(s.KeyByHash(ctx, b.Hash))(t).LastUsedAt, at(6))
	same(t, "idle", must(s.KeyByHash(ctx, idle.Hash))(t).LastUsedAt, time.Time{})
}
