package ingest_test

import (
	"fmt"
	"testing"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/provider"
	"monterey/internal/task"
)

func mark(kind, field, at string) string {
	return fmt.Sprintf(`{"key":%q,"type":%q,%q:%q,"campaign_id":1}`, webhookKey, kind, field, at)
}

func started(at string) string  { return mark("Campaign Sending Started", "sending_started", at) }
func finished(at string) string { return mark("Campaign Sent", "sent", at) }

// reportSent lets the provider say how much it sent of campaign 1.
func (r *rig) reportSent(n int64, asOf time.Time) {
	r.t.Helper()
	ctx, k := r.t.Context(), task.New(task.Campaigns, task.Params{}, "test", asOf)
	err := r.store.CreateTask(ctx, r.ws, k)
	if err == nil {
		rows := []campaign.Reported{{ProviderCampaignID: "1", Figures: &campaign.Figures{AsOf: asOf, Sent: &n}}}
		err = r.store.PutReported(ctx, r.ws, provider.Campaigner, rows, asOf, func(campaign.Upserted) (task.Step, error) { return task.Step{Task: k.ID}, nil })
	}
	if err == nil {
		err = r.store.FinishTask(ctx, r.ws, k.ID, "", asOf)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// The provider's figure is in the only run, whichever marks come before and after it, and in none of several.
func TestFigureOfTheOnlyRun(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	begin, end, second := started("2026-03-01T10:00:00Z"), finished("2026-03-01T10:05:00Z"), started("2026-03-01T11:00:00Z")
	const figure = "the figure"
	for _, c := range []struct {
		steps []string
		want  []string // sent after each step
	}{
		{[]string{figure, begin, end, second}, []string{"-", "700", "700", "-"}},
		{[]string{begin, figure, end, second}, []string{"-", "700", "700", "-"}},
		{[]string{end, figure, begin, second}, []string{"-", "700", "700", "-"}},
		{[]string{second, begin, figure, end}, []string{"-", "-", "-", "-"}},
	} {
		t.Run("", func(t *testing.T) {
			r := newRig(t)
			for i, step := range c.steps {
				if step == figure {
					r.reportSent(700, noon)
				} else {
					r.post(step)
					r.counted()
				}
				if got := r.sent(); got != c.want[i] {
					t.Errorf("after %v: sent is %s, want %s", c.steps[:i+1], got, c.want[i])
				}
			}
		})
	}
}

// A run that says what it sent knows better than the provider's figure of the campaign, which never was in it.
func TestFigureGivesWay(t *testing.T) {
	r := newRig(t)
	r.post(started("2026-03-01T10:00:00Z"))
	r.counted()
	r.reportSent(700, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	r.post(fmt.Sprintf(`{"key":%q,"type":"Campaign Sent","sent":650,"timestamp":"2026-03-01T10:20:00Z","campaign_id":1}`, webhookKey))
	r.counted()
	if got := r.sent(); got != "650" {
		t.Errorf("the run has %s", got)
	}
}

// sent is what the statistics say of campaign 1, "-" for unknown.
func (r *rig) sent() string {
	r.t.Helper()
	if n := r.statistics("1").Sent; n != nil {
		return fmt.Sprint(*n)
	}
	return "-"
}
