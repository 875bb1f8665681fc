package storetest

import (
	"context"
	"maps"
	"testing"

	"github.com/google/uuid"

	"monterey/internal/account"
	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/rollup"
	"monterey/internal/store"
	"monterey/internal/suppression"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// things are one of each thing of a workspace.
type things struct {
	caller   workspace.Caller
	user     workspace.User
	key      workspace.APIKey
	campaign campaign.Campaign
	run      campaign.Run
	conn     provider.Connection
}

// fill puts one of each thing into a new workspace. What it makes has the given number in its names.
func fill(t *testing.T, s store.Store, n byte) things {
	t.Helper()
	w := addWorkspace(t, s, "workspace "+string('0'+rune(n)))
	th := things{caller: workspace.System(w.ID), user: addUser(t, s, id(1, n), "User "+string('0'+rune(n)), "")}
	must(s.AddMember(t.Context(), th.caller, th.user.ID, workspace.Editor, day))(t)
	th.key = addKey(t, s, w.ID, "key", 1)
	th.key.WorkspaceName = w.Name
	th.campaign = addCampaign(t, s, th.caller, "the same id at the provider")
	th.run = addRun(t, s, th.caller, th.campaign.ID, "the same run", 1)
	th.conn = addConnection(t, s, th.caller, w.ID.String())
	addAccounts(t, s, th.caller, "the-same-number the-same-address")
	return th
}

// byID asks every method that names a thing for the things of th, as c.
func byID(ctx context.Context, s store.Store, c workspace.Caller, th things) map[string]error {
	run := th.run
	run.ID.UUID[15]++
	conn := th.conn
	conn.WebhookMAC = mac("stolen")
	_, setRole := s.SetRole(ctx, c, th.user.ID, workspace.Viewer)
	_, getConnection := s.GetConnection(ctx, c, conn.ID)
	_, getCampaign := s.GetCampaign(ctx, c, th.campaign.ID)
	_, getRun := s.GetRun(ctx, c, th.run.ID)
	return map[string]error{
		"SetRole":          setRole,
		"RemoveMember":     s.RemoveMember(ctx, c, th.user.ID),
		"RevokeKey":        s.RevokeKey(ctx, c, th.key.ID, at(9)),
		"GetConnection":    getConnection,
		"UpdateConnection": s.UpdateConnection(ctx, c, conn),
		"DeleteConnection": s.DeleteConnection(ctx, c, conn.ID),
		"GetCampaign":      getCampaign,
		"UpdateCampaign":   s.UpdateCampaign(ctx, c, th.campaign),
		"AddSources":       s.AddSources(ctx, c, th.campaign.ID, campaign.Opens),
		"CreateRun":        s.CreateRun(ctx, c, run),
		"GetRun":           getRun,
	}
}

// lists asks every method that lists what a workspace has.
func lists(ctx context.Context, s store.Store, c workspace.Caller) (totals map[string]int64, faults map[string]error) {
	totals, faults = map[string]int64{}, map[string]error{}
	put := func(name string, total int64, err error) { totals[name], faults[name] = total, err }
	members, err := s.ListMembers(ctx, c, everything)
	put("ListMembers", members.Total, err)
	candidates, err := s.Candidates(ctx, c, "User", 10)
	put("Candidates", int64(len(candidates)), err)
	keys, err := s.ListKeys(ctx, c, everything)
	put("ListKeys", keys.Total, err)
	conns, err := s.ListConnections(ctx, c, everything)
	put("ListConnections", conns.Total, err)
	campaigns, err := s.ListCampaigns(ctx, c, campaign.Filter{IncludeArchived: true}, everything)
	put("ListCampaigns", campaigns.Total, err)
	runs, err := s.ListRuns(ctx, c, nil, everything)
	put("ListRuns", runs.Total, err)
	held, err := s.ListAccounts(ctx, c, account.ListParams{Params: everything})
	put("ListAccounts", held.Total, err)
	return totals, faults
}

// testAnotherWorkspace asks in one workspace for the things of another: nothing is found, nothing changes.
func testAnotherWorkspace(t *testing.T, s store.Store) {
	ctx := t.Context()
	mine, theirs := fill(t, s, 1), fill(t, s, 2)
	for name, err := range byID(ctx, s, mine.caller, theirs) {
		wantFault(t, name, err, fault.NotFound)
	}
	c := mine.caller
	cms := must(s.ListCampaigns(ctx, c, campaign.Filter{IDs: []campaign.ID{theirs.campaign.ID}}, everything))(t)
	same(t, "campaigns by another's ids", cms.Total, int64(0))
	runs := must(s.ListRuns(ctx, c, []campaign.ID{theirs.campaign.ID}, everything))(t)
	same(t, "runs by another's campaign", runs.Total, int64(0))

	for _, th := range []things{mine, theirs} {
		totals, faults := lists(ctx, s, th.caller)
		for name, total := range totals {
			ok(t, faults[name])
			same(t, name, total, int64(1))
		}
		checkThings(t, s, th)
	}
	same(t, "the candidate", must(s.Candidates(ctx, c, "", 10))(t), []workspace.User{theirs.user})
}

// checkThings says what of th is not as it was made.
func checkThings(t *testing.T, s store.Store, th things) {
	t.Helper()
	ctx, c := t.Context(), th.caller
	same(t, "role", must(s.ListMembers(ctx, c, everything))(t).Items[0].Role, workspace.Editor)
	same(t, "keys", must(s.ListKeys(ctx, c, everything))(t).Items, []workspace.APIKey{th.key})
	same(t, "connection", must(s.ListConnections(ctx, c, everything))(t).Items, []provider.Connection{th.conn})
	same(t, "campaign", must(s.ListCampaigns(ctx, c, campaign.Filter{}, everything))(t).Items, []campaign.Campaign{th.campaign})
	same(t, "run", must(s.ListRuns(ctx, c, nil, everything))(t).Items, []campaign.Run{th.run})
}

// testMissingWorkspace asks every method that takes a caller for a workspace that was never made.
func testMissingWorkspace(t *testing.T, s store.Store) {
	ctx := t.Context()
	th := fill(t, s, 1)
	other := addUser(t, s, id(2, 2), "Other", "")
	for _, c := range []workspace.Caller{workspace.System(workspace.NewID()), {}} {
		all := byID(ctx, s, c, th)
		_, faults := lists(ctx, s, c)
		maps.Copy(all, faults)
		_, all["AddMember"] = s.AddMember(ctx, c, other.ID, workspace.Viewer, day)
		cm := th.campaign
		cm.ID = campaign.NewID()
		all["CreateCampaign"] = s.CreateCampaign(ctx, c, cm)
		all["PutReported"] = s.PutReported(ctx, c, provider.Campaigner, nil, day, func(campaign.Upserted) (task.Step, error) { return task.Step{}, nil })
		_, all["CampaignsAfter"] = s.CampaignsAfter(ctx, c, provider.Campaigner, "", 1)
		all["CreateConnection"] = s.CreateConnection(ctx, c, newConnection(c, "new"))
		_, all["ListEvents"] = s.ListEvents(ctx, c, event.ListParams{Limit: 1})
		_, all["GetEvent"] = s.GetEvent(ctx, c, event.ID{UUID: id(1, 1)})
		_, all["PutBounces"] = s.PutBounces(ctx, c, provider.Campaigner, historicals(1))
		_, all["ListBounces"] = s.ListBounces(ctx, c, bounce.ListParams{Limit: 1})
		_, all["ListDeliveries"] = s.ListDeliveries(ctx, c, nil, everything)
		_, all["GetDelivery"] = s.GetDelivery(ctx, c, delivery.IDOf(1, 1))
		_, all["AsOf"] = s.AsOf(ctx, c)
		_, all["ListSuppressions"] = s.ListSuppressions(ctx, c, suppression.ListParams{Params: everything})
		_, all["CheckSuppressions"] = s.CheckSuppressions(ctx, c, []string{"a@example.com"})
		_, all["AccountNumbers"] = s.AccountNumbers(ctx, c, []string{"a@example.com"})
		_, all["ImportAccounts"] = s.ImportAccounts(ctx, c, func(func(account.Entry, error) bool) {}, true)
		_, all["GetSource"] = s.GetSource(ctx, c)
		all["PutSource"] = s.PutSource(ctx, c, account.Source{URL: []byte("sealed"), Query: "SELECT 1, 2"})
		all["DeleteSource"] = s.DeleteSource(ctx, c)
		_, all["IdentityKey"] = s.IdentityKey(ctx, c.Workspace())
		_, all["Connection"] = s.Connection(ctx, c.Workspace(), th.conn.ID)
		all["Snapshot"] = s.Snapshot(ctx, c, func(rollup.View) error { return nil })
		all["Rewrite"] = s.Rewrite(ctx, c, func(ingest.WorkspaceTx) error { return nil })
		all["TryRewrite"] = s.TryRewrite(ctx, c, func(ingest.WorkspaceTx) error { return nil })
		for name, err := range all {
			wantFault(t, name, err, fault.NotFound)
		}
	}
	checkThings(t, s, th)
}

// testUnknownSort asks every list for a sort that it does not have.
func testUnknownSort(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := fill(t, s, 1).caller
	for _, field := range []string{"colour", "id", "NAME", "name; DROP TABLE campaigns", "num"} {
		p := sorted(field, true)
		_, workspaces := s.ListWorkspaces(ctx, nil, p)
		_, members := s.ListMembers(ctx, c, p)
		_, keys := s.ListKeys(ctx, c, p)
		_, connections := s.ListConnections(ctx, c, p)
		_, campaigns := s.ListCampaigns(ctx, c, campaign.Filter{}, p)
		_, runs := s.ListRuns(ctx, c, nil, p)
		_, accounts := s.ListAccounts(ctx, c, account.ListParams{Params: p})
		for name, err := range map[string]error{"ListWorkspaces": workspaces, "ListMembers": members, "ListKeys": keys,
			"ListConnections": connections, "ListCampaigns": campaigns, "ListRuns": runs, "ListAccounts": accounts} {
			wantFault(t, name+" by "+field, err, fault.Invalid)
		}
	}
}

// testCancelledContext: what was given up is an error, and leaves nothing behind.
func testCancelledContext(t *testing.T, s store.Store) {
	c := addCaller(t, s, "one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.CreateCampaign(ctx, c, newCampaign("1")); err == nil {
		t.Error("a campaign was created in a context that was done")
	}
	if _, err := s.ListCampaigns(ctx, c, campaign.Filter{}, everything); err == nil || fault.Is(err, fault.NotFound) {
		t.Errorf("list in a context that was done: %v", err)
	}
	same(t, "campaigns", must(s.ListCampaigns(t.Context(), c, campaign.Filter{}, everything))(t).Total, int64(0))
}

// testTexts: texts come back as they were, and ids compare by their bytes.
func testTexts(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := addCaller(t, s, "one")
	for i, text := range []string{"a", "A", " a", "a ", "ä", "a\u0308", "'; --", "\"\\%_", "null", "1", "1.0", "日本語", "🙂", "line\nbreak\ttab"} {
		cm := newCampaign(text) // each is another id at the provider
		cm.ID = campaign.ID{UUID: id(byte(i*31), byte(i))}
		cm.Name, cm.Status, cm.Tags = text, text, []string{text, "<&>", text}
		ok(t, s.CreateCampaign(ctx, c, cm))
		same(t, "the campaign", must(s.GetCampaign(ctx, c, cm.ID))(t), cm)
		for what, f := range map[string]campaign.Filter{"provider's id": {ProviderIDs: []string{text}}, "tag": {Tags: []string{text}},
			"status": {Status: []string{text}}} {
			got := must(s.ListCampaigns(ctx, c, f, page.Params{Number: 1, Size: 5}))(t)
			same(t, "campaigns by "+what, got, page.Of[campaign.Campaign]{Items: []campaign.Campaign{cm}, Total: 1})
		}
	}
	all := must(s.ListCampaigns(ctx, c, campaign.Filter{}, sorted("created_at", false)))(t)
	var last uuid.UUID
	for _, cm := range all.Items { // created at one time: by id
		if string(cm.ID.UUID[:]) < string(last[:]) {
			t.Errorf("%s comes after %s", cm.ID, last)
		}
		last = cm.ID.UUID
	}
}
