package storetest

import (
	"strconv"
	"sync"
	"testing"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/store"
	"monterey/internal/workspace"
)

func newCampaign(providerID string) campaign.Campaign {
	return campaign.Campaign{ID: campaign.NewID(), Name: "campaign " + providerID, Provider: provider.Campaigner, ProviderCampaignID: providerID,
		CreatedAt: at(1), UpdatedAt: at(2)}
}

func addCampaign(t *testing.T, s store.Store, c workspace.Caller, providerID string) campaign.Campaign {
	t.Helper()
	cm := newCampaign(providerID)
	ok(t, s.CreateCampaign(t.Context(), c, cm))
	return cm
}

func campaignNames(t *testing.T, s store.Store, c workspace.Caller, f campaign.Filter, p page.Params) []string {
	t.Helper()
	got := walk(t, 2, p, func(p page.Params) (page.Of[campaign.Campaign], error) { return s.ListCampaigns(t.Context(), c, f, p) })
	return names(got, func(cm campaign.Campaign) string { return cm.Name })
}

func testCampaign(t *testing.T, s store.Store) {
	ctx := t.Context()
	c, other := addCaller(t, s, "one"), addCaller(t, s, "two")
	cm := newCampaign("4711")
	cm.Tags, cm.Status, cm.Discovered, cm.Archived = []string{"b", "a", "b"}, "sent", true, true
	ok(t, s.CreateCampaign(ctx, c, cm))
	same(t, "the campaign, archived", must(s.GetCampaign(ctx, c, cm.ID))(t), cm)
	plain := addCampaign(t, s, c, "4711a")
	same(t, "a campaign without extras", must(s.GetCampaign(ctx, c, plain.ID))(t), plain)

	wantFault(t, "the same id at the provider", s.CreateCampaign(ctx, c, newCampaign("4711")), fault.Conflict)
	again := newCampaign("new")
	again.ID = cm.ID
	wantFault(t, "the same id", s.CreateCampaign(ctx, c, again), fault.Conflict)
	addCampaign(t, s, c, "4711A") // case makes another
	addCampaign(t, s, other, "4711")

	for _, none := range []campaign.ID{campaign.NewID(), {}} {
		_, err := s.GetCampaign(ctx, c, none)
		wantFault(t, "get none", err, fault.NotFound)
		again.ID = none
		wantFault(t, "update none", s.UpdateCampaign(ctx, c, again), fault.NotFound)
	}
}

func testUpdateCampaign(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := addCaller(t, s, "one")
	cm, taken := newCampaign("1"), addCampaign(t, s, c, "2")
	cm.Tags, cm.Discovered = []string{"x"}, true
	ok(t, s.CreateCampaign(ctx, c, cm))

	cm.Name, cm.ProviderCampaignID, cm.Tags, cm.Status = "new name", "3", nil, "draft"
	cm.Discovered, cm.Archived, cm.UpdatedAt = false, true, at(9)
	changed := cm
	changed.Provider, changed.CreatedAt = "another", at(99) // stay as they are
	ok(t, s.UpdateCampaign(ctx, c, changed))
	same(t, "changed", must(s.GetCampaign(ctx, c, cm.ID))(t), cm)

	changed = cm
	changed.Name, changed.ProviderCampaignID = "half", taken.ProviderCampaignID
	wantFault(t, "take another's id at the provider", s.UpdateCampaign(ctx, c, changed), fault.Conflict)
	same(t, "unchanged", must(s.GetCampaign(ctx, c, cm.ID))(t), cm)
	same(t, "the other", must(s.GetCampaign(ctx, c, taken.ID))(t), taken)
	addCampaign(t, s, c, "1") // free again
}

func testListCampaigns(t *testing.T, s store.Store) {
	c := addCaller(t, s, "one")
	same(t, "none yet", campaignNames(t, s, c, campaign.Filter{}, everything), []string(nil))
	for i, x := range []struct {
		name, providerID, status string
		first                    byte
		created, updated         int
	}{
		{"b", "10", "sent", 0x10, 2, 5},
		{"B", "9", "", 0x90, 2, 6}, // created with b: the id decides
		{"a", "b", "draft", 0x01, 3, 7},
		{"é", "B", "", 0x7f, 1, 8},
		{"z", "100", "Sent", 0xff, 4, 4},
	} {
		cm := newCampaign(x.providerID)
		cm.ID, cm.Name, cm.Status = campaign.ID{UUID: id(x.first, byte(i))}, x.name, x.status
		cm.CreatedAt, cm.UpdatedAt = at(x.created), at(x.updated)
		ok(t, s.CreateCampaign(t.Context(), c, cm))
	}
	for _, x := range []struct {
		sort string
		desc bool
		want []string
	}{
		{"", false, []string{"z", "a", "B", "b", "é"}},
		{"created_at", true, []string{"z", "a", "B", "b", "é"}},
		{"created_at", false, []string{"é", "b", "B", "a", "z"}},
		{"updated_at", false, []string{"z", "b", "B", "a", "é"}},
		{"name", false, []string{"B", "a", "b", "z", "é"}},
		{"name", true, []string{"é", "z", "b", "a", "B"}},
		{"provider_campaign_id", false, []string{"b", "z", "B", "é", "a"}},
		{"status", false, []string{"z", "a", "b", "é", "B"}}, // unknown ones come last,
		{"status", true, []string{"b", "a", "z", "B", "é"}},  // both ways
	} {
		same(t, "sorted by "+x.sort, campaignNames(t, s, c, campaign.Filter{}, sorted(x.sort, x.desc)), x.want)
	}
}

func testCampaignFilter(t *testing.T, s store.Store) {
	c := addCaller(t, s, "one")
	ids := map[string]campaign.ID{}
	for _, x := range []struct {
		name, providerID, status string
		tags                     []string
		archived                 bool
	}{
		{"Spring sale", "sp-1", "sent", []string{"retail", "spring"}, false},
		{"ÉTÉ 50%", "SP_2", "draft", []string{"retail"}, false},
		{"Autumn", "au-3", "", nil, false},
		{"Old spring", "old", "sent", []string{"spring"}, true},
	} {
		cm := newCampaign(x.providerID)
		cm.Name, cm.Status, cm.Tags, cm.Archived = x.name, x.status, x.tags, x.archived
		ok(t, s.CreateCampaign(t.Context(), c, cm))
		ids[x.name] = cm.ID
	}
	for name, x := range map[string]struct {
		f    campaign.Filter
		want []string
	}{
		"all":              {campaign.Filter{}, []string{"Autumn", "Spring sale", "ÉTÉ 50%"}},
		"archived too":     {campaign.Filter{IncludeArchived: true}, []string{"Autumn", "Old spring", "Spring sale", "ÉTÉ 50%"}},
		"ids":              {campaign.Filter{IDs: []campaign.ID{ids["Old spring"], ids["Autumn"], campaign.NewID()}}, []string{"Autumn", "Old spring"}},
		"no campaign":      {campaign.Filter{IDs: []campaign.ID{{}}}, nil},
		"provider's ids":   {campaign.Filter{ProviderIDs: []string{"sp-1", "AU-3", "old"}}, []string{"Spring sale"}},
		"provider":         {campaign.Filter{Providers: []provider.Name{provider.Campaigner}}, []string{"Autumn", "Spring sale", "ÉTÉ 50%"}},
		"another provider": {campaign.Filter{Providers: []provider.Name{"other"}}, nil},
		"status":           {campaign.Filter{Status: []string{"draft", "Sent"}}, []string{"ÉTÉ 50%"}},
		"tag":              {campaign.Filter{Tags: []string{"spring", "none"}}, []string{"Spring sale"}},
		"tags":             {campaign.Filter{Tags: []string{"spring", "retail"}}, []string{"Spring sale", "ÉTÉ 50%"}},
		"part of a tag":    {campaign.Filter{Tags: []string{"ret", "Retail"}}, nil},
		"search":           {campaign.Filter{Search: "SPRING"}, []string{"Spring sale"}},
		"search archived":  {campaign.Filter{Search: "spring", IncludeArchived: true}, []string{"Old spring", "Spring sale"}},
		"search the id":    {campaign.Filter{Search: "sp"}, []string{"Spring sale", "ÉTÉ 50%"}},
		"search é":         {campaign.Filter{Search: "été"}, []string{"ÉTÉ 50%"}},
		"search %":         {campaign.Filter{Search: "%"}, []string{"ÉTÉ 50%"}},
		"search _":         {campaign.Filter{Search: "_"}, []string{"ÉTÉ 50%"}},
		"search nothing":   {campaign.Filter{Search: `\`}, nil},
		"both":             {campaign.Filter{Search: "sp", Tags: []string{"retail"}, Status: []string{"sent"}}, []string{"Spring sale"}},
	} {
		same(t, name, campaignNames(t, s, c, x.f, sorted("name", false)), x.want)
	}
}

// testManyIDs: filters may be longer than a statement's parameters.
func testManyIDs(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := addCaller(t, s, "one")
	cm := addCampaign(t, s, c, "1")
	r := addRun(t, s, c, cm.ID, "", 1)
	ids, texts := []campaign.ID{cm.ID}, []string{"1"}
	spaces := []workspace.ID{c.Workspace()}
	for i := range 70_000 {
		ids, texts = append(ids, campaign.NewID()), append(texts, "none "+strconv.Itoa(i))
		spaces = append(spaces, workspace.NewID())
	}
	got := must(s.ListCampaigns(ctx, c, campaign.Filter{IDs: ids, ProviderIDs: texts}, everything))(t)
	same(t, "campaigns", got, page.Of[campaign.Campaign]{Items: []campaign.Campaign{cm}, Total: 1})
	runs := must(s.ListRuns(ctx, c, ids, everything))(t)
	same(t, "runs", runs, page.Of[campaign.Run]{Items: []campaign.Run{r}, Total: 1})
	same(t, "workspaces", must(s.ListWorkspaces(ctx, spaces, everything))(t).Total, int64(1))
}

// testCampaignsAtOnce: one of those who create the same campaign at once wins, and others are not hindered.
func testCampaignsAtOnce(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := addCaller(t, s, "one")
	const n = 8
	var wg sync.WaitGroup
	contested, own := make([]error, n), make([]error, n)
	for i := range n {
		wg.Go(func() {
			contested[i] = s.CreateCampaign(ctx, c, newCampaign("contested"))
			own[i] = s.CreateCampaign(ctx, c, newCampaign(strconv.Itoa(i)))
		})
	}
	wg.Wait()
	won := 0
	for i := range n {
		ok(t, own[i])
		if contested[i] == nil {
			won++
		} else {
			wantFault(t, "who came later", contested[i], fault.Conflict)
		}
	}
	same(t, "who won", won, 1)
	same(t, "campaigns", must(s.ListCampaigns(ctx, c, campaign.Filter{}, everything))(t).Total, int64(n+1))
}
