package ingest

import (
	"bytes"
	"context"
	"errors"
	"math"

	"monterey/internal/campaign"
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

// Rebuild works all rollups of a workspace out anew from its events, a UTC day a transaction, puts right what differs and
// reports it. It may run beside a worker.
func Rebuild(ctx context.Context, s Store, c workspace.Caller) (d Drift, err error) {
	var first, last int64
	var ok bool
	err = s.Rewrite(ctx, c, func(tx WorkspaceTx) error {
		first, last, ok, err = tx.Bounds(ctx)
		return err
	})
	if err != nil || !ok {
		return d, err
	}
	for day := first; day <= last; day += rollup.DaySeconds {
		err := s.Rewrite(ctx, c, func(tx WorkspaceTx) error { return rebuildDay(ctx, tx, day, &d) })
		if err != nil {
			return d, err
		}
		d.Days++
	}
	err = s.Rewrite(ctx, c, func(tx WorkspaceTx) error { return rebuildLifetimes(ctx, tx, &d) })
	return d, err
}

var bucketSpans = []rollup.Span{rollup.Quarter, rollup.Hour, rollup.Day}

func rebuildDay(ctx context.Context, tx WorkspaceTx, day int64, d *Drift) error {
	want := map[rollup.Key]*rollup.Row{}
	err := tx.FactsByCampaign(ctx, day, day+rollup.DaySeconds, func(c campaign.ID, f rollup.Fact) error {
		addQuarter(want, c, f)
		return nil
	})
	if err != nil {
		return err
	}
	widen(want, rollup.Quarter, rollup.Hour)
	widen(want, rollup.Hour, rollup.Day)
	ids, err := tx.CampaignIDs(ctx)
	if err != nil {
		return err
	}
	have := map[rollup.Key]*rollup.Row{}
	for _, id := range append(ids, rollup.Workspace) {
		for _, s := range bucketSpans {
			err := tx.Rows(ctx, id, s, day, day+rollup.DaySeconds, func(bucket int64, counts, sets []byte) error {
				r, err := rollup.Unmarshal(bytes.Clone(counts), bytes.Clone(sets))
				if err != nil {
					r = nil // damaged: it differs from everything
				}
				have[rollup.Key{Campaign: id, Span: s, Bucket: bucket}] = r
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return d.repair(ctx, tx, have, want)
}

// rebuildLifetimes works the lifetime rows out anew from the days, which are right by now. One that cannot be read is
// emptied: it says no longer how far it goes, and the next fold fills it.
func rebuildLifetimes(ctx context.Context, tx WorkspaceTx, d *Drift) error {
	ids, err := tx.CampaignIDs(ctx)
	if err != nil {
		return err
	}
	have, want := map[rollup.Key]*rollup.Row{}, map[rollup.Key]*rollup.Row{}
	for _, id := range append(ids, rollup.Workspace) {
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
