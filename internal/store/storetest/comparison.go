package storetest

import (
	"encoding/json"
	"testing"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/reconciliation"
	"monterey/internal/store"
	"monterey/internal/task"
)

// testComparisons: a campaign has one comparison, the last, which is kept together with the task's step or not at all.
func testComparisons(t *testing.T, s store.Store) {
	ctx := t.Context()
	c, stranger := addCaller(t, s, "one"), addCaller(t, s, "two")
	k := task.New(task.Reconciliation, task.Params{}, "Ann", day)
	ok(t, s.CreateTask(ctx, c, k))
	must(s.StartTask(ctx, c, k.ID, day))(t)
	none, some := int64(0), int64(7)
	recovered := reconciliation.Counts{Opens: &none, Clicks: &none, HardBounces: &none, SoftBounces: &none, Unsubscribes: &none, Complaints: &none}
	var want []reconciliation.Comparison
	for n, name := range []string{"b", "a", "c"} {
		cm := addCampaign(t, s, c, name)
		_, err := s.GetComparison(ctx, c, cm.ID)
		wantFault(t, "of a campaign that was never compared", err, fault.NotFound)
		want = append(want, reconciliation.Comparison{Campaign: cm.ID, CampaignName: cm.Name, ProviderCampaignID: cm.ProviderCampaignID, At: at(n),
			Ours: reconciliation.Counts{Opens: &some, UniqueOpens: &none}, Theirs: reconciliation.Counts{Clicks: &some}, Recovered: recovered})
	}
	step := func(n int64) task.Step {
		return task.Step{Task: k.ID, Progress: task.Progress{Fetched: n}, State: json.RawMessage(`{"n":1}`)}
	}
	for n, cmp := range want {
		ok(t, s.PutComparison(ctx, c, cmp, step(int64(n+1))))
	}
	if got := must(s.GetTask(ctx, c, k.ID))(t); got.Progress.Fetched != 3 || got.State == nil {
		t.Errorf("the step was not saved: %+v", got)
	}
	want[0].At, want[0].Theirs, want[0].Fetched, want[0].Fault = at(9), reconciliation.Counts{}, reconciliation.Counts{Opens: &none}, "no such campaign"
	ok(t, s.PutComparison(ctx, c, want[0], step(4)))
	same(t, "the last one", must(s.GetComparison(ctx, c, want[0].Campaign))(t), want[0])

	list := func(field string, desc bool, of ...campaign.ID) []reconciliation.Comparison {
		return walk(t, 2, sorted(field, desc), func(p page.Params) (page.Of[reconciliation.Comparison], error) {
			return s.ListComparisons(ctx, c, of, p)
		})
	}
	same(t, "all, the last first", list("", false), []reconciliation.Comparison{want[0], want[2], want[1]})
	same(t, "by time", list("compared_at", false), []reconciliation.Comparison{want[1], want[2], want[0]})
	same(t, "by name", list("campaign_name", true), []reconciliation.Comparison{want[2], want[0], want[1]})
	same(t, "of two", list("campaign_name", false, want[2].Campaign, want[1].Campaign, campaign.NewID()), []reconciliation.Comparison{want[1], want[2]})
	if got := must(s.ListComparisons(ctx, stranger, nil, everything))(t); got.Total != 0 {
		t.Errorf("another workspace sees %d", got.Total)
	}
	_, err := s.GetComparison(ctx, stranger, want[0].Campaign)
	wantFault(t, "another workspace's", err, fault.NotFound)

	ok(t, s.FinishTask(ctx, c, k.ID, "", at(10)))
	late := want[1]
	late.At = at(11)
	wantFault(t, "of a task that has ended", s.PutComparison(ctx, c, late, step(5)), fault.Conflict)
	same(t, "then nothing is kept", must(s.GetComparison(ctx, c, late.Campaign))(t), want[1])
}
