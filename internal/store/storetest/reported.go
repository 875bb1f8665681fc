package storetest

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/provider"
	"monterey/internal/rollup"
	"monterey/internal/store"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// figures are all figures, n and more, asked for at(second).
func figures(n int64, second int) *campaign.Figures {
	f := &campaign.Figures{AsOf: at(second)}
	f.Each(func(p **int64) {
		*p = new(n)
		n++
	})
	return f
}

// putReported puts rows as a step of a task, which it makes and ends, and says what became of them.
func putReported(t *testing.T, s store.Store, c workspace.Caller, rows ...campaign.Reported) (got campaign.Upserted) {
	t.Helper()
	ctx := t.Context()
	k := task.New(task.Campaigns, task.Params{}, "Ann", at(1))
	ok(t, s.CreateTask(ctx, c, k))
	ok(t, s.PutReported(ctx, c, provider.Campaigner, rows, at(50), func(u campaign.Upserted) (task.Step, error) {
		got = u
		return task.Step{Task: k.ID, Progress: task.Progress{Pages: 7}}, nil
	}))
	same(t, "the step", must(s.GetTask(ctx, c, k.ID))(t).Progress.Pages, int64(7))
	ok(t, s.FinishTask(ctx, c, k.ID, "", at(60)))
	return got
}

// testReported: campaigns follow what the provider says, and nothing else of them changes.
func testReported(t *testing.T, s store.Store) {
	ctx := t.Context()
	c, other := addCaller(t, s, "one"), addCaller(t, s, "two")
	found, mine, old := newCampaign("1"), newCampaign("2"), newCampaign("3")
	found.Name, found.Discovered, found.Tags = "1", true, []string{"a"}
	mine.Named, mine.Status = true, "draft"
	old.Archived = true
	for _, cm := range []campaign.Campaign{found, mine, old} {
		ok(t, s.CreateCampaign(ctx, c, cm))
	}
	stranger := addCampaign(t, s, other, "1")
	got := putReported(t, s, c, campaign.Reported{ProviderCampaignID: "1", Name: "Spring", Status: "Sent", ScheduledAt: at(5), CreatedAt: at(4)},
		campaign.Reported{ProviderCampaignID: "2", Name: "Theirs", Status: "Sent", Figures: figures(10, 30)},
		campaign.Reported{ProviderCampaignID: "3", Name: old.Name}, campaign.Reported{ProviderCampaignID: "4", Name: "New", Figures: &campaign.Figures{AsOf: at(30), Sending: true}},
		campaign.Reported{ProviderCampaignID: "5"})
	same(t, "what became of them", got, campaign.Upserted{Inserted: 2, Updated: 2, Unchanged: 1})
	found.Name, found.Discovered, found.Status, found.ScheduledAt, found.ProviderCreatedAt, found.UpdatedAt = "Spring", false, "Sent", at(5), at(4), at(50)
	mine.Status, mine.Figures, mine.UpdatedAt = "Sent", figures(10, 30), at(50)
	check := func(what string, want ...campaign.Campaign) {
		t.Helper()
		for _, cm := range want {
			same(t, what+": "+cm.Name, must(s.GetCampaign(ctx, c, cm.ID))(t), cm)
		}
	}
	check("followed", found, mine, old)
	all := must(s.CampaignsAfter(ctx, c, provider.Campaigner, "3", 10))(t)
	for i, want := range []campaign.Campaign{{Name: "New", ProviderCampaignID: "4", Figures: &campaign.Figures{AsOf: at(30), Sending: true}}, {Name: "5", ProviderCampaignID: "5"}} {
		want.ID, want.Provider, want.CreatedAt, want.UpdatedAt = all[i].ID, provider.Campaigner, at(50), at(50)
		same(t, "new", all[i], want)
	}
	same(t, "another workspace's", must(s.GetCampaign(ctx, other, stranger.ID))(t), stranger)

	ok(t, s.AddSources(ctx, c, found.ID, campaign.SoftBounces|campaign.Opens))
	ok(t, s.AddSources(ctx, c, found.ID, campaign.Complaints|campaign.Opens))
	found.Sources = campaign.SoftBounces | campaign.Complaints | campaign.Opens
	same(t, "the same again", putReported(t, s, c, campaign.Reported{ProviderCampaignID: "1", Name: "Spring"}), campaign.Upserted{Unchanged: 1})
	same(t, "figures alone", putReported(t, s, c, campaign.Reported{ProviderCampaignID: "1", Figures: figures(20, 40)}), campaign.Upserted{Unchanged: 1})
	found.Figures = figures(20, 40)
	check("with sources", found)
	ok(t, s.Snapshot(ctx, c, func(v rollup.View) error {
		same(t, "in a snapshot", must(v.Campaign(ctx, found.ID))(t), found)
		return nil
	}))

	given := found
	given.Figures, given.Sources, given.ScheduledAt, given.Tags = nil, 0, at(99), nil // the provider's are not to be changed by hand
	given.Rename("By hand")
	ok(t, s.UpdateCampaign(ctx, c, given))
	found.Name, found.Named, found.Tags = "By hand", true, nil
	check("changed by hand", found)
	same(t, "a name by hand stays", putReported(t, s, c, campaign.Reported{ProviderCampaignID: "1", Name: "Spring"}), campaign.Upserted{Unchanged: 1})
	check("named by hand", found)
	found.ProviderCampaignID = "99"
	ok(t, s.UpdateCampaign(ctx, c, found))
	found.Figures, found.Sources, found.ScheduledAt, found.ProviderCreatedAt = nil, 0, time.Time{}, time.Time{}
	check("another id of the provider's", found)
}

// testReportedFails: nothing stays of what fails half-way.
func testReportedFails(t *testing.T, s store.Store) {
	ctx := t.Context()
	c, other := addCaller(t, s, "one"), addCaller(t, s, "two")
	k := task.New(task.Campaigns, task.Params{}, "Ann", at(1))
	ok(t, s.CreateTask(ctx, c, k))
	good := []campaign.Reported{{ProviderCampaignID: "1", Name: "One"}}
	step := func(campaign.Upserted) (task.Step, error) { return task.Step{Task: k.ID}, nil }
	put := func(c workspace.Caller, rows []campaign.Reported, step func(campaign.Upserted) (task.Step, error)) error {
		return s.PutReported(ctx, c, provider.Campaigner, rows, at(2), step)
	}
	broken := errors.New("broken")
	if err := put(c, good, func(campaign.Upserted) (task.Step, error) { return task.Step{}, broken }); !errors.Is(err, broken) {
		t.Errorf("a step that fails: %v", err)
	}
	wantFault(t, "a row without an id", put(c, append(good, campaign.Reported{}), step), fault.Data)
	wantFault(t, "too many rows", put(c, make([]campaign.Reported, campaign.MaxReported+1), step), fault.Data)
	wantFault(t, "another workspace's task", put(other, good, step), fault.NotFound)
	ok(t, s.FinishTask(ctx, c, k.ID, "", at(3)))
	wantFault(t, "a task that has ended", put(c, good, step), fault.Conflict)
	for _, c := range []workspace.Caller{c, other} {
		same(t, "campaigns", must(s.ListCampaigns(ctx, c, campaign.Filter{}, everything))(t).Total, int64(0))
	}
	cm := addCampaign(t, s, c, "1")
	for _, id := range []campaign.ID{{}, campaign.NewID()} {
		wantFault(t, "sources of none", s.AddSources(ctx, c, id, campaign.Opens), fault.NotFound)
	}
	wantFault(t, "sources of another workspace's", s.AddSources(ctx, other, cm.ID, campaign.Opens), fault.NotFound)
}

// testCampaignsAfter walks campaigns by the provider's id, archived ones too, bytewise.
func testCampaignsAfter(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := addCaller(t, s, "one")
	addCampaign(t, s, addCaller(t, s, "two"), "a")
	for i, id := range []string{"b", "10", "B", "9", "é", "100", "a"} {
		cm := newCampaign(id)
		cm.Archived = i%2 == 0
		ok(t, s.CreateCampaign(ctx, c, cm))
	}
	var got []string
	for after := ""; ; {
		next := must(s.CampaignsAfter(ctx, c, provider.Campaigner, after, 3))(t)
		if len(next) == 0 {
			break
		}
		for _, cm := range next {
			after = cm.ProviderCampaignID
			got = append(got, after)
		}
	}
	same(t, "in order", got, []string{"10", "100", "9", "B", "a", "b", "é"})
	same(t, "of another provider", len(must(s.CampaignsAfter(ctx, c, "other", "", 3))(t)), 0)
}

// testOnlyRun: what the provider says was sent is what the only run of a campaign sent, whatever comes first, and only while
// nobody says better.
func testOnlyRun(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := addCaller(t, s, "one")
	campaigns := 0
	derive := func(id campaign.ID, starts ...int) func() {
		return func() {
			t.Helper()
			ok(t, s.Rewrite(ctx, c, func(tx ingest.WorkspaceTx) error {
				var runs []campaign.Run
				for _, n := range starts {
					r := newRun(id, "", n)
					r.FinishedAt, r.Derived = at(n+10), true
					runs = append(runs, r)
				}
				return tx.PutDerivedRuns(ctx, id, runs)
			}))
		}
	}
	for name, x := range map[string]struct {
		do   func(cm campaign.Campaign) []func()
		want string // of the runs, by start
	}{
		"no figure": {func(cm campaign.Campaign) []func() { return []func(){derive(cm.ID, 1)} }, "?"},
		"figure, then run": {func(cm campaign.Campaign) []func() {
			return []func(){func() { report(t, s, c, cm, figures(700, 30)) }, derive(cm.ID, 1)}
		}, "700"},
		"run, then figure": {func(cm campaign.Campaign) []func() {
			return []func(){derive(cm.ID, 1), func() { report(t, s, c, cm, figures(700, 30)) }}
		}, "700"},
		"the run derived anew": {func(cm campaign.Campaign) []func() {
			return []func(){derive(cm.ID, 1), func() { report(t, s, c, cm, figures(700, 30)) }, derive(cm.ID, 2)}
		}, "700"},
		"a second run": {func(cm campaign.Campaign) []func() {
			return []func(){derive(cm.ID, 1), func() { report(t, s, c, cm, figures(700, 30)) }, derive(cm.ID, 1, 5)}
		}, "??"},
		"a second run that goes": {func(cm campaign.Campaign) []func() {
			return []func(){derive(cm.ID, 1, 5), func() { report(t, s, c, cm, figures(700, 30)) }, derive(cm.ID, 1)}
		}, "700"},
		"a second one, registered": {func(cm campaign.Campaign) []func() {
			return []func(){derive(cm.ID, 1), func() { report(t, s, c, cm, figures(700, 30)) }, func() { addRun(t, s, c, cm.ID, "", 3) }}
		}, "??"},
		"a registered one": {func(cm campaign.Campaign) []func() {
			return []func(){func() { report(t, s, c, cm, figures(700, 30)) }, func() { addRun(t, s, c, cm.ID, "", 3) }}
		}, "700"},
		"what the run says itself": {func(cm campaign.Campaign) []func() {
			return []func(){func() { report(t, s, c, cm, figures(700, 30)) }, func() {
				r := newRun(cm.ID, "", 3)
				r.Sent = new(int64(0))
				ok(t, s.CreateRun(ctx, c, r))
			}}
		}, "0"},
		"a figure from before the run ended": {func(cm campaign.Campaign) []func() {
			return []func(){func() { report(t, s, c, cm, figures(700, 10)) }, derive(cm.ID, 1)}
		}, "?"},
		"a figure from before the run began": {func(cm campaign.Campaign) []func() {
			return []func(){func() { report(t, s, c, cm, figures(700, 2)) }, func() { addRun(t, s, c, cm.ID, "", 3) }}
		}, "?"},
		"a figure of what is being sent": {func(cm campaign.Campaign) []func() {
			f := figures(700, 30)
			f.Sending = true
			return []func(){func() { report(t, s, c, cm, f) }, func() { addRun(t, s, c, cm.ID, "", 3) }}
		}, "?"},
	} {
		campaigns++
		cm := addCampaign(t, s, c, strconv.Itoa(campaigns))
		for _, do := range x.do(cm) {
			do()
		}
		for from, runs := range runsOf(ctx, t, s, c, cm.ID) {
			got := ""
			for _, r := range runs {
				if r.Delivered != nil {
					t.Errorf("%s: a run has delivered %d", name, *r.Delivered)
				}
				if r.Sent == nil {
					got += "?"
				} else {
					got += strconv.FormatInt(*r.Sent, 10)
				}
			}
			same(t, name+", by "+from, got, x.want)
		}
	}
}

func report(t *testing.T, s store.Store, c workspace.Caller, cm campaign.Campaign, f *campaign.Figures) {
	t.Helper()
	putReported(t, s, c, campaign.Reported{ProviderCampaignID: cm.ProviderCampaignID, Figures: f})
}

// runsOf are a campaign's runs in every way in which they are read.
func runsOf(ctx context.Context, t *testing.T, s store.Store, c workspace.Caller, id campaign.ID) map[string][]campaign.Run {
	t.Helper()
	out := map[string][]campaign.Run{"ListRuns": must(s.ListRuns(ctx, c, []campaign.ID{id}, sorted("started_at", false)))(t).Items}
	for _, r := range out["ListRuns"] {
		out["GetRun"] = append(out["GetRun"], must(s.GetRun(ctx, c, r.ID))(t))
	}
	ok(t, s.Snapshot(ctx, c, func(v rollup.View) (err error) {
		out["Runs"], err = v.Runs(ctx, []campaign.ID{id})
		return err
	}))
	return out
}
