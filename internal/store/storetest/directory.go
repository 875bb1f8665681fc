package storetest

import (
	"testing"

	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/store"
	"monterey/internal/workspace"
)

func testWorkspace(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := addWorkspace(t, s, "Acme")
	same(t, "the workspace", must(s.GetWorkspace(ctx, w.ID))(t), w)
	wantFault(t, "create it again", s.CreateWorkspace(ctx, w), fault.Conflict)

	other := addWorkspace(t, s, "Acme") // names may repeat
	w.Name, w.Timezone, w.UpdatedAt = "Acmé", "Asia/Kolkata", at(9)
	changed := w
	changed.CreatedAt = at(99) // stays as it is
	ok(t, s.UpdateWorkspace(ctx, changed))
	same(t, "the changed workspace", must(s.GetWorkspace(ctx, w.ID))(t), w)
	same(t, "the other workspace", must(s.GetWorkspace(ctx, other.ID))(t), other)

	w.ID = workspace.NewID()
	_, err := s.GetWorkspace(ctx, w.ID)
	wantFault(t, "get none", err, fault.NotFound)
	wantFault(t, "update none", s.UpdateWorkspace(ctx, w), fault.NotFound)
	wantFault(t, "delete none", s.DeleteWorkspace(ctx, w.ID, day), fault.NotFound)
}

func testListWorkspaces(t *testing.T, s store.Store) {
	ctx := t.Context()
	name := func(w workspace.Workspace) string { return w.Name }
	var all []workspace.ID
	for i, w := range []struct {
		name             string
		first            byte
		created, updated int
	}{{"b", 0x10, 3, 7}, {"B", 0x90, 3, 6}, {"a", 0x80, 1, 9}, {"é", 0x7f, 2, 8}} {
		ws := workspace.ID{UUID: id(w.first, byte(i))}
		all = append(all, ws)
		ok(t, s.CreateWorkspace(ctx, workspace.Workspace{ID: ws, Name: w.name, Timezone: "UTC", CreatedAt: at(w.created), UpdatedAt: at(w.updated)}))
	}
	for _, c := range []struct {
		sort string
		desc bool
		want []string
	}{
		{"", false, []string{"B", "a", "b", "é"}},
		{"name", false, []string{"B", "a", "b", "é"}},
		{"name", true, []string{"é", "b", "a", "B"}},
		{"created_at", false, []string{"a", "é", "b", "B"}},
		{"created_at", true, []string{"B", "b", "é", "a"}},
		{"updated_at", false, []string{"B", "b", "é", "a"}},
	} {
		got := walk(t, 3, sorted(c.sort, c.desc), func(p page.Params) (page.Of[workspace.Workspace], error) {
			return s.ListWorkspaces(ctx, nil, p)
		})
		same(t, "sorted by "+c.sort, names(got, name), c.want)
	}
	some := must(s.ListWorkspaces(ctx, []workspace.ID{all[0], all[2], workspace.NewID(), all[0]}, everything))(t)
	same(t, "some", names(some.Items, name), []string{"a", "b"})
	none := must(s.ListWorkspaces(ctx, []workspace.ID{}, everything))(t)
	same(t, "none", none.Total, int64(0))
}

func testDeletedWorkspace(t *testing.T, s store.Store) {
	ctx := t.Context()
	gone, stays := addWorkspace(t, s, "gone"), addWorkspace(t, s, "stays")
	c, other := workspace.System(gone.ID), workspace.System(stays.ID)
	user := addUser(t, s, id(1, 1), "Ada", "ada@example.com")
	must(s.AddMember(ctx, c, user.ID, workspace.Viewer, day))(t)
	must(s.AddMember(ctx, other, user.ID, workspace.Admin, day))(t)
	cm, conn := addCampaign(t, s, c, "1"), addConnection(t, s, c, "the key")
	key, _ := workspace.NewKey(gone.ID, "key", workspace.Admin, day)
	ok(t, s.CreateKey(ctx, key))
	must(s.KeyByHash(ctx, key.Hash))(t)

	ok(t, s.DeleteWorkspace(ctx, gone.ID, at(5)))

	_, err := s.GetWorkspace(ctx, gone.ID)
	wantFault(t, "get", err, fault.NotFound)
	wantFault(t, "update", s.UpdateWorkspace(ctx, gone), fault.NotFound)
	wantFault(t, "delete again", s.DeleteWorkspace(ctx, gone.ID, at(6)), fault.NotFound)
	_, err = s.KeyByHash(ctx, key.Hash)
	wantFault(t, "its key", err, fault.NotFound)
	_, err = s.ConnectionByWebhook(ctx, conn.WebhookMAC)
	wantFault(t, "its webhook", err, fault.NotFound)
	_, err = s.GetConnection(ctx, c, conn.ID)
	wantFault(t, "its connection", err, fault.NotFound)
	_, err = s.GetCampaign(ctx, c, cm.ID)
	wantFault(t, "its campaign", err, fault.NotFound)
	key.ID.UUID[15]++
	wantFault(t, "a new key", s.CreateKey(ctx, key), fault.NotFound)
	list := must(s.ListWorkspaces(ctx, nil, everything))(t)
	same(t, "the list", list.Items, []workspace.Workspace{stays})
	list = must(s.ListWorkspaces(ctx, []workspace.ID{gone.ID}, everything))(t)
	same(t, "the list of it", list.Total, int64(0))
	for _, m := range must(s.MembershipsOf(ctx, user.ID))(t) {
		same(t, "the membership left", m.Workspace, stays.ID)
	}

	again := addConnection(t, s, other, "the key") // free again
	same(t, "whose webhook", must(s.ConnectionByWebhook(ctx, conn.WebhookMAC))(t).ID, again.ID)
}
