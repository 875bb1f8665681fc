package storetest

import (
	"testing"

	"github.com/google/uuid"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/store"
	"monterey/internal/workspace"
)

func newRun(cm campaign.ID, providerID string, started int) campaign.Run {
	return campaign.Run{ID: campaign.RunID{UUID: uuid.Must(uuid.NewV7())}, Campaign: cm, ProviderRunID: providerID, StartedAt: at(started),
		CreatedAt: at(1), UpdatedAt: at(2)}
}

func addRun(t *testing.T, s store.Store, c workspace.Caller, cm campaign.ID, providerID string, started int) campaign.Run {
	t.Helper()
	r := newRun(cm, providerID, started)
	ok(t, s.CreateRun(t.Context(), c, r))
	return r
}

func testRun(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := addCaller(t, s, "one")
	cm, other := addCampaign(t, s, c, "1"), addCampaign(t, s, c, "2")
	r := newRun(cm.ID, "77", 5)
	zero, many := int64(0), int64(1)<<53+1
	r.FinishedAt, r.Sent, r.Delivered = at(6), &many, &zero
	ok(t, s.CreateRun(ctx, c, r))
	same(t, "the run", must(s.GetRun(ctx, c, r.ID))(t), r)
	plain := addRun(t, s, c, cm.ID, "", 5)
	same(t, "a run of which little is known", must(s.GetRun(ctx, c, plain.ID))(t), plain)
	addRun(t, s, c, cm.ID, "", 5) // unknown provider's ids do not collide

	wantFault(t, "the provider's id again", s.CreateRun(ctx, c, newRun(cm.ID, "77", 9)), fault.Conflict)
	again := newRun(other.ID, "78", 9)
	again.ID = r.ID
	wantFault(t, "the id again", s.CreateRun(ctx, c, again), fault.Conflict)
	addRun(t, s, c, other.ID, "77", 9)
	for _, none := range []campaign.ID{campaign.NewID(), {}} {
		wantFault(t, "a run of no campaign", s.CreateRun(ctx, c, newRun(none, "", 1)), fault.NotFound)
	}
	_, err := s.GetRun(ctx, c, campaign.RunID{UUID: id(1, 1)})
	wantFault(t, "get none", err, fault.NotFound)
}

func testListRuns(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := addCaller(t, s, "one")
	a, b := addCampaign(t, s, c, "a"), addCampaign(t, s, c, "b")
	empty := addCampaign(t, s, c, "c")
	for _, x := range []struct {
		name             string
		campaign         campaign.ID
		first            byte
		started, created int
	}{
		{"1", a.ID, 0x01, 3, 4}, {"2", b.ID, 0x80, 2, 5}, {"3", a.ID, 0x7f, 2, 6}, {"4", a.ID, 0xff, 1, 4},
	} {
		r := newRun(x.campaign, x.name, x.started)
		r.ID, r.CreatedAt = campaign.RunID{UUID: id(x.first, 0)}, at(x.created)
		ok(t, s.CreateRun(ctx, c, r))
	}
	for _, x := range []struct {
		campaigns []campaign.ID
		sort      string
		desc      bool
		want      []string
	}{
		{nil, "", false, []string{"1", "2", "3", "4"}},
		{nil, "started_at", true, []string{"1", "2", "3", "4"}},
		{nil, "started_at", false, []string{"4", "3", "2", "1"}},
		{nil, "created_at", false, []string{"1", "4", "2", "3"}},
		{nil, "created_at", true, []string{"3", "2", "4", "1"}},
		{[]campaign.ID{a.ID}, "", false, []string{"1", "3", "4"}},
		{[]campaign.ID{b.ID, a.ID, campaign.NewID()}, "", false, []string{"1", "2", "3", "4"}},
		{[]campaign.ID{empty.ID}, "", false, nil},
		{[]campaign.ID{{}}, "", false, nil},
		{[]campaign.ID{}, "", false, nil},
	} {
		got := walk(t, 2, sorted(x.sort, x.desc), func(p page.Params) (page.Of[campaign.Run], error) { return s.ListRuns(ctx, c, x.campaigns, p) })
		same(t, "sorted by "+x.sort, names(got, func(r campaign.Run) string { return r.ProviderRunID }), x.want)
	}
}
