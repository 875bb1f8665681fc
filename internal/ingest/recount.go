package ingest

import (
	"context"
	"math"

	"monterey/internal/campaign"
	"monterey/internal/rollup"
)

// recount works these quarter hours of campaigns out anew from their events, and everything above them by joining: the
// hours from their quarters, the days from their hours, the weeks from their days, a lifetime from its days. The workspace's own counts are moved by
// the difference.
func recount(ctx context.Context, tx WorkspaceTx, quarters map[rollup.Key]bool) error {
	if len(quarters) == 0 {
		return nil
	}
	rows := map[rollup.Key]*rollup.Row{}
	diff := map[int64]*change{}
	for k := range quarters {
		old, err := stored(ctx, tx, k)
		if err != nil {
			return err
		}
		r := rollup.NewRow()
		err = tx.Facts(ctx, []rollup.Stretch{{Campaign: k.Campaign, From: k.Bucket, To: k.Bucket + rollup.QuarterSeconds}},
			func(_ int, e rollup.Fact) { r.Add(e) })
		if err != nil {
			return err
		}
		rows[k] = r
		d := diff[k.Bucket]
		if d == nil {
			d = &change{}
			diff[k.Bucket] = d
		}
		d.move(old, r)
	}
	if err := tx.PutRollups(ctx, rows); err != nil {
		return err
	}
	for _, wider := range []rollup.Span{rollup.Hour, rollup.Day, rollup.Week} {
		if err := rejoin(ctx, tx, quarters, wider); err != nil {
			return err
		}
	}
	if err := moveWorkspace(ctx, tx, diff); err != nil {
		return err
	}
	seen := map[campaign.ID]bool{}
	for k := range quarters {
		if seen[k.Campaign] {
			continue
		}
		seen[k.Campaign] = true
		if err := refold(ctx, tx, k.Campaign); err != nil {
			return err
		}
	}
	return nil
}

// stored reads one row; a row of nothing where there is none.
func stored(ctx context.Context, tx WorkspaceTx, k rollup.Key) (*rollup.Row, error) {
	r := rollup.NewRow()
	err := tx.Rows(ctx, []rollup.Stretch{{Campaign: k.Campaign, Span: k.Span, From: k.Bucket, To: k.Bucket + 1}}, func(_ int, _ int64, counts, sets []byte) error {
		o, err := rollup.Unmarshal(counts, sets)
		if err != nil {
			return err
		}
		r.Or(o)
		r.Through = o.Through
		return nil
	})
	return r, err
}

// rejoin works the rows of the span over these quarters out anew from the next finer span.
func rejoin(ctx context.Context, tx WorkspaceTx, quarters map[rollup.Key]bool, to rollup.Span) error {
	rows := map[rollup.Key]*rollup.Row{}
	for k := range quarters {
		wide := rollup.Key{Campaign: k.Campaign, Span: to, Bucket: to.Bucket(k.Bucket)}
		if rows[wide] != nil {
			continue
		}
		r, err := join(ctx, tx, k.Campaign, to.Finer(), wide.Bucket, wide.Bucket+to.Seconds())
		if err != nil {
			return err
		}
		rows[wide] = r
	}
	return tx.PutRollups(ctx, rows)
}

// join unites the stored rows of a span in [from, to).
func join(ctx context.Context, tx WorkspaceTx, c campaign.ID, s rollup.Span, from, to int64) (*rollup.Row, error) {
	r := rollup.NewRow()
	err := tx.Rows(ctx, []rollup.Stretch{{Campaign: c, Span: s, From: from, To: to}}, func(_ int, _ int64, counts, sets []byte) error {
		o, err := rollup.Unmarshal(counts, sets)
		if err != nil {
			return err
		}
		r.Or(o)
		return nil
	})
	return r, err
}

// refold works a campaign's lifetime row out anew, as far as it goes.
func refold(ctx context.Context, tx WorkspaceTx, c campaign.ID) error {
	k := rollup.Key{Campaign: c, Span: rollup.Lifetime}
	old, err := stored(ctx, tx, k)
	if err != nil || old.Through == 0 {
		return err
	}
	r, err := join(ctx, tx, c, rollup.Day, math.MinInt64, old.Through)
	if err != nil {
		return err
	}
	r.Through = old.Through
	return tx.PutRollups(ctx, map[rollup.Key]*rollup.Row{k: r})
}

// change is by how much counts move, up or down.
type change struct{ by [rollup.NumMetrics]int64 }

func (d *change) move(old, now *rollup.Row) {
	for m := range rollup.NumMetrics {
		d.by[m] += int64(now.Count[m]) - int64(old.Count[m])
	}
}

// moveWorkspace moves the workspace's own counts, of all spans over these quarters.
func moveWorkspace(ctx context.Context, tx WorkspaceTx, diff map[int64]*change) error {
	by := map[rollup.Key]*change{}
	through, err := stored(ctx, tx, rollup.Key{Campaign: rollup.Workspace, Span: rollup.Lifetime})
	if err != nil {
		return err
	}
	for bucket, d := range diff {
		spans := []rollup.Span{rollup.Quarter, rollup.Hour, rollup.Day, rollup.Week}
		if bucket < through.Through {
			spans = append(spans, rollup.Lifetime)
		}
		for _, s := range spans {
			k := rollup.Key{Campaign: rollup.Workspace, Span: s, Bucket: s.Bucket(bucket)}
			if by[k] == nil {
				by[k] = &change{}
			}
			for m := range d.by {
				by[k].by[m] += d.by[m]
			}
		}
	}
	rows := map[rollup.Key]*rollup.Row{}
	for k, d := range by {
		r, err := stored(ctx, tx, k)
		if err != nil {
			return err
		}
		for m := range d.by {
			r.Count[m] = uint64(int64(r.Count[m]) + d.by[m])
		}
		rows[k] = r
	}
	return tx.PutRollups(ctx, rows)
}
