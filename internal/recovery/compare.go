package recovery

import (
	"context"

	"monterey/internal/campaign"
	"monterey/internal/campaignsync"
	"monterey/internal/fault"
	"monterey/internal/reconciliation"
	"monterey/internal/rollup"
	"monterey/internal/task"
)

// theirs are the provider's figures of a campaign now, which are kept as such too; wrong says why there are none.
func (r *run) theirs(ctx context.Context, cm campaign.Campaign) (c reconciliation.Counts, wrong string, err error) {
	said, wrong, err := campaignsync.Ask(ctx, r.client, cm, r.Now)
	if err != nil || wrong != "" {
		return c, wrong, err
	}
	err = r.Campaigns.PutReported(ctx, r.caller, r.conn.Provider, []campaign.Reported{said}, r.Now().UTC(),
		func(campaign.Upserted) (task.Step, error) { return r.step() })
	f := said.Figures
	return reconciliation.Counts{Opens: f.Opens, Clicks: f.Clicks, UniqueClicks: f.UniqueClicks, HardBounces: f.HardBounces,
		SoftBounces: f.SoftBounces, Unsubscribes: f.Unsubscribes, Complaints: f.Complaints}, "", err
}

// ours are our counts of a campaign as a whole.
func (r *run) ours(ctx context.Context, id campaign.ID) (c reconciliation.Counts, err error) {
	err = r.Statistics.Snapshot(ctx, r.caller, func(v rollup.View) error {
		s, err := rollup.One(ctx, v, id, rollup.Range{})
		if fault.Is(err, fault.NotFound) {
			return nil // archived for good while it was compared
		}
		c = reconciliation.Counts{Opens: &s.Opens, UniqueOpens: &s.UniqueOpens, Clicks: &s.Clicks, UniqueClicks: &s.UniqueClicks,
			HardBounces: s.HardBounces, SoftBounces: s.SoftBounces, Unsubscribes: s.Unsubscribes, Complaints: s.Complaints}
		return err
	})
	return c, err
}

// differing are the kinds of event whose reports are to be fetched: those whose counts differ, or that the provider does
// not count. Its opens may be all or the first of each recipient.
func differing(ours, theirs reconciliation.Counts) (out campaign.Sources) {
	for _, k := range []struct {
		kind campaign.Sources
		same bool
	}{
		{campaign.Opens, same(ours.Opens, theirs.Opens) || same(ours.UniqueOpens, theirs.Opens)},
		{campaign.Clicks, same(ours.Clicks, theirs.Clicks) && (theirs.UniqueClicks == nil || same(ours.UniqueClicks, theirs.UniqueClicks))},
		{campaign.HardBounces, same(ours.HardBounces, theirs.HardBounces)},
		{campaign.SoftBounces, same(ours.SoftBounces, theirs.SoftBounces)},
		{campaign.Unsubscribes, same(ours.Unsubscribes, theirs.Unsubscribes)},
		{campaign.Complaints, same(ours.Complaints, theirs.Complaints)},
	} {
		if !k.same {
			out |= k.kind
		}
	}
	return out
}

// same says whether two counts are known to be the same; what is not known to us is 0.
func same(ours, theirs *int64) bool {
	if theirs == nil {
		return false
	}
	if ours == nil {
		return *theirs == 0
	}
	return *ours == *theirs
}
