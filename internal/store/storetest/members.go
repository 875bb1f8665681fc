package storetest

import (
	"testing"

	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/store"
	"monterey/internal/workspace"
)

func testUser(t *testing.T, s store.Store) {
	ctx := t.Context()
	u := workspace.User{ID: workspace.UserID{UUID: id(0xff, 1)}, Email: "Ada@example.com", DisplayName: "Ada", PlatformAdmin: true, CreatedAt: day}
	ok(t, s.PutUser(ctx, u))
	same(t, "the user", must(s.GetUser(ctx, u.ID))(t), u)

	changed := u
	changed.Email, changed.DisplayName = "", "Ada L."
	u.Email, u.DisplayName = changed.Email, changed.DisplayName
	changed.PlatformAdmin, changed.CreatedAt = false, at(9) // stay as they are
	ok(t, s.PutUser(ctx, changed))
	same(t, "the changed user", must(s.GetUser(ctx, u.ID))(t), u)

	nobody := workspace.UserID{UUID: id(1, 2)}
	_, err := s.GetUser(ctx, nobody)
	wantFault(t, "get nobody", err, fault.NotFound)
	same(t, "memberships of nobody", len(must(s.MembershipsOf(ctx, nobody))(t)), 0)
}

func testMember(t *testing.T, s store.Store) {
	ctx := t.Context()
	u := addUser(t, s, id(1, 1), "Ada", "ada@example.com")
	b, a := addWorkspace(t, s, "b"), addWorkspace(t, s, "a")
	inA, inB := workspace.System(a.ID), workspace.System(b.ID)

	m := must(s.AddMember(ctx, inB, u.ID, workspace.Viewer, at(1)))(t)
	want := workspace.Membership{Workspace: b.ID, WorkspaceName: "b", User: u, Role: workspace.Viewer, CreatedAt: at(1)}
	same(t, "the membership", m, want)
	_, err := s.AddMember(ctx, inB, u.ID, workspace.Admin, at(2))
	wantFault(t, "add twice", err, fault.Conflict)
	_, err = s.AddMember(ctx, inB, workspace.UserID{UUID: id(1, 9)}, workspace.Admin, at(2))
	wantFault(t, "add nobody", err, fault.NotFound)

	want.Role = workspace.Editor
	same(t, "the changed membership", must(s.SetRole(ctx, inB, u.ID, workspace.Editor))(t), want)
	_, err = s.SetRole(ctx, inA, u.ID, workspace.Admin)
	wantFault(t, "set the role of no member", err, fault.NotFound)

	wantA := must(s.AddMember(ctx, inA, u.ID, workspace.Admin, at(3)))(t)
	same(t, "memberships by name", must(s.MembershipsOf(ctx, u.ID))(t), []workspace.Membership{wantA, want})

	want.Role = workspace.Viewer
	same(t, "changed again", must(s.SetRole(ctx, inB, u.ID, workspace.Viewer))(t), want)
	same(t, "changed in one workspace alone", must(s.MembershipsOf(ctx, u.ID))(t), []workspace.Membership{wantA, want})

	ok(t, s.RemoveMember(ctx, inA, u.ID))
	wantFault(t, "remove twice", s.RemoveMember(ctx, inA, u.ID), fault.NotFound)
	same(t, "memberships left", must(s.MembershipsOf(ctx, u.ID))(t), []workspace.Membership{want})
	must(s.AddMember(ctx, inA, u.ID, workspace.Viewer, at(4)))(t)
}

func testListMembers(t *testing.T, s store.Store) {
	ctx := t.Context()
	c, other := addCaller(t, s, "one"), addCaller(t, s, "two")
	for i, created := range []int{1, 3, 2, 3} {
		u := addUser(t, s, id([]byte{1, 0x80, 2, 0x7f}[i], 0), string(rune('a'+i)), "")
		must(s.AddMember(ctx, c, u.ID, workspace.Viewer, at(created)))(t)
	}
	must(s.AddMember(ctx, other, addUser(t, s, id(9, 9), "z", "").ID, workspace.Viewer, day))(t)
	got := walk(t, 3, everything, func(p page.Params) (page.Of[workspace.Membership], error) { return s.ListMembers(ctx, c, p) })
	same(t, "newest first", names(got, func(m workspace.Membership) string { return m.User.DisplayName }), []string{"b", "d", "c", "a"})
}

func testCandidates(t *testing.T, s store.Store) {
	ctx := t.Context()
	c, other := addCaller(t, s, "one"), addCaller(t, s, "two")
	member := addUser(t, s, id(1, 1), "Ada Member", "ada@example.com")
	must(s.AddMember(ctx, c, member.ID, workspace.Viewer, day))(t)
	elsewhere := addUser(t, s, id(1, 2), "Élodie", "e_lodie@example.com")
	must(s.AddMember(ctx, other, elsewhere.ID, workspace.Viewer, day))(t)
	addUser(t, s, id(1, 3), "Bob 100%", "bob@Sample.org")
	addUser(t, s, id(1, 4), "Carl", "carl@example.com")
	for _, x := range []struct {
		search string
		limit  int
		want   []string
	}{
		{"", 10, []string{"Bob 100%", "Carl", "Élodie"}},
		{"", 2, []string{"Bob 100%", "Carl"}},
		{"EXAMPLE.com", 10, []string{"Carl", "Élodie"}},
		{"sample", 10, []string{"Bob 100%"}},
		{"élo", 10, []string{"Élodie"}},
		{"%", 10, []string{"Bob 100%"}},
		{"_", 10, []string{"Élodie"}},
		{`\`, 10, nil},
		{"ada", 10, nil},
	} {
		got := must(s.Candidates(ctx, c, x.search, x.limit))(t)
		same(t, "candidates "+x.search, names(got, func(u workspace.User) string { return u.DisplayName }), x.want)
	}
}
