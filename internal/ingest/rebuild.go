package ingest

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/rollup"
	"monterey/internal/workspace"
)

// Drift is what a rebuild found: how many rows it looked at and how many did not equal their events.
type Drift struct {
	Days    int
	Rows    int
	Drifted int
	// First are the first drifted rows, at most ten.
	First []rollup.Key
}

// Rebuild works all rollups of a workspace out anew from its events, puts right what differs and reports it: the events of
// an hour a transaction, as the writer is shared, then the days from their hours, the weeks and the lifetimes from their days. It may
// run beside a worker.
func Rebuild(ctx context.Context, s Store, c workspace.Caller) (d Drift, err error) {
	var days []int64
	var ids []campaign.ID
	err = s.Rewrite(ctx, c, func(tx WorkspaceTx) error {
		if days, err = tx.Days(ctx); err == nil {
			ids, err = tx.CampaignIDs(ctx)
		}
		return err
	})
	if err != nil || len(days) == 0 {
		return d, err
	}
	step := func(f func(WorkspaceTx, *Drift) error) error {
		var next Drift
		err := s.Rewrite(ctx, c, func(tx WorkspaceTx) error {
			next = d // what is found counts once, however often the transaction runs
			return f(tx, &next)
		})
		if err == nil {
			d = next
		}
		return err
	}
	for _, day := range days {
		for hour := day; hour < day+rollup.DaySeconds; hour += rollup.HourSeconds {
			if err := step(func(tx WorkspaceTx, d *Drift) error { return rebuildHour(ctx, tx, hour, d) }); err != nil {
				return d, err
			}
		}
		if err := step(func(tx WorkspaceTx, d *Drift) error { return rebuildWider(ctx, tx, rollup.Day, day, d) }); err != nil {
			return d, err
		}
		d.Days++
	}
	for i, day := range days {
		week := rollup.Week.Bucket(day)
		if i > 0 && week == rollup.Week.Bucket(days[i-1]) {
			continue
		}
		if err := step(func(tx WorkspaceTx, d *Drift) error { return rebuildWider(ctx, tx, rollup.Week, week, d) }); err != nil {
			return d, err
		}
	}
	for part := range slices.Chunk(append(ids, rollup.Workspace), foldChunk) {
		if err := step(func(tx WorkspaceTx, d *Drift) error { return rebuildLifetimes(ctx, tx, part, d) }); err != nil {
			return d, err
		}
	}
	return d, nil
}

// rebuildHour works the quarter hours of an hour out anew from their events, and the hour.
func rebuildHour(ctx context.Context, tx WorkspaceTx, hour int64, d *Drift) error {
	want := map[rollup.Key]*rollup.Row{}
	err := tx.FactsByCampaign(ctx, hour, hour+rollup.HourSeconds, func(c campaign.ID, f rollup.Fact) error {
		addQuarter(want, c, f)
		return nil
	})
	if err != nil {
		return err
	}
	widen(want, rollup.Quarter, rollup.Hour)
	have := map[rollup.Key]*rollup.Row{}
	for _, span := range []rollup.Span{rollup.Quarter, rollup.Hour} {
		if err := rowsOfAll(ctx, tx, span, hour, hour+rollup.HourSeconds, have); err != nil {
			return err
		}
	}
	return d.repair(ctx, tx, have, want)
}

// rebuildWider works a bucket of the span out anew from the rows of the next finer one, which are right by now.
func rebuildWider(ctx context.Context, tx WorkspaceTx, span rollup.Span, bucket int64, d *Drift) error {
	parts, have, want := map[rollup.Key]*rollup.Row{}, map[rollup.Key]*rollup.Row{}, map[rollup.Key]*rollup.Row{}
	end := bucket + span.Seconds()
	if err := rowsOfAll(ctx, tx, span.Finer(), bucket, end, parts); err != nil {
		return err
	}
	if err := rowsOfAll(ctx, tx, span, bucket, end, have); err != nil {
		return err
	}
	for k, r := range parts {
		if r == nil {
			return fault.Wrap(fault.Internal, rollup.ErrCorrupt, "a part of a wider row of campaign %s is damaged again", k.Campaign)
		}
		row(want, rollup.Key{Campaign: k.Campaign, Span: span, Bucket: bucket}).Or(r)
	}
	return d.repair(ctx, tx, have, want)
}

// rowsOfAll adds the rows of every campaign and of the workspace; a damaged one is nil, which differs from everything.
func rowsOfAll(ctx context.Context, tx WorkspaceTx, s rollup.Span, from, to int64, rows map[rollup.Key]*rollup.Row) error {
	ids, err := tx.CampaignIDs(ctx)
	if err != nil {
		return err
	}
	var all []rollup.Stretch
	for _, id := range append(ids, rollup.Workspace) {
		all = append(all, rollup.Stretch{Campaign: id, Span: s, From: from, To: to})
	}
	return tx.Rows(ctx, all, func(n int, bucket int64, counts, sets []byte) error {
		r, err := rollup.Unmarshal(bytes.Clone(counts), bytes.Clone(sets))
		if err != nil {
			r = nil
		}
		rows[rollup.Key{Campaign: all[n].Campaign, Span: s, Bucket: bucket}] = r
		return nil
	})
}

// rebuildLifetimes works lifetime rows out anew from the days, which are right by now. One that cannot be read is emptied: it
// says no longer how far it goes, and the next fold fills it.
func rebuildLifetimes(ctx context.Context, tx WorkspaceTx, of []campaign.ID, d *Drift) error {
	have, want := map[rollup.Key]*rollup.Row{}, map[rollup.Key]*rollup.Row{}
	for _, id := range of {
		k := rollup.Key{Campaign: id, Span: rollup.Lifetime}
		old, err := stored(ctx, tx, k)
		if errors.Is(err, rollup.ErrCorrupt) {
			have[k], want[k] = nil, rollup.NewRow()
			continue
		}
		if err != nil {
			return err
		}
		if old.Through == 0 {
			continue
		}
		r, err := join(ctx, tx, id, rollup.Day, math.MinInt64, old.Through)
		if err != nil {
			return err
		}
		r.Through = old.Through
		have[k], want[k] = old, r
	}
	return d.repair(ctx, tx, have, want)
}

// repair stores the wanted rows that differ from what is there, and removes those that nobody wants.
func (d *Drift) repair(ctx context.Context, tx WorkspaceTx, have, want map[rollup.Key]*rollup.Row) error {
	put := map[rollup.Key]*rollup.Row{}
	for k, w := range want {
		if h := have[k]; h == nil || !same(k, h, w) {
			put[k] = w
		}
	}
	for k := range have {
		if want[k] == nil {
			put[k] = rollup.NewRow()
		}
	}
	d.Rows += max(len(have), len(want))
	d.Drifted += len(put)
	for k := range put {
		if len(d.First) < 10 {
			d.First = append(d.First, k)
		}
	}
	return tx.PutRollups(ctx, put)
}

// same says whether two rows tell the same. The workspace's own rows have no sets, and their first and last event may lie
// wider apart than they are after an event was taken back.
func same(k rollup.Key, a, b *rollup.Row) bool {
	if a.Count != b.Count || a.Through != b.Through {
		return false
	}
	if k.Campaign == rollup.Workspace {
		return true
	}
	for m := range a.Set {
		x, y := a.Set[m], b.Set[m]
		switch {
		case x == nil || x.IsEmpty():
			if y != nil && !y.IsEmpty() {
				return false
			}
		case y == nil || !x.Equals(y):
			return false
		}
	}
	return a.First == b.First && a.Last == b.Last
}
