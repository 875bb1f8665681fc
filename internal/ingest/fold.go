package ingest

import (
	"context"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/rollup"
	"monterey/internal/workspace"
)

// foldChunk is how many campaigns one transaction folds.
const foldChunk = 10

// foldAgain is how soon campaigns are looked for that came since the day was folded.
const foldAgain = time.Minute

// foldPatience is how long after a day's end, or the start, folding waits for a moment in which no delivery waits.
const foldPatience = 10 * time.Minute

// fold brings the lifetime rows up to the days that are closed: those before today. While deliveries wait it is patient: a
// lifetime row that is rewritten by each batch of old events halves the rate of counting. But where something always comes,
// they would never be folded, and every question about a lifetime read every day.
func (w *Worker) fold(ctx context.Context, c workspace.Caller) error {
	now := w.opts.Now()
	today := rollup.Day.Bucket(now.Unix())
	patient := now.Unix()-max(today, w.began.Unix()) < int64(foldPatience/time.Second)
	if w.busy.Load() || !w.idle.Load() && patient {
		return nil
	}
	if last := w.folded[c.Workspace()]; rollup.Day.Bucket(last.Unix()) == today && now.Sub(last) < foldAgain {
		return nil
	}
	var due []campaign.ID
	err := w.store.TryRewrite(ctx, c, func(tx WorkspaceTx) error {
		ids, err := tx.CampaignIDs(ctx)
		if err != nil {
			return err
		}
		due = nil
		for _, id := range append(ids, rollup.Workspace) {
			through, err := foldedThrough(ctx, tx, id)
			if err != nil {
				return err
			}
			if through < today {
				due = append(due, id)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for len(due) > 0 {
		n := min(foldChunk, len(due))
		err := w.store.TryRewrite(ctx, c, func(tx WorkspaceTx) error {
			for _, id := range due[:n] {
				if err := foldCampaign(ctx, tx, id, today); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		due = due[n:]
	}
	w.folded[c.Workspace()] = now
	return nil
}

// foldedThrough is the first day that a campaign's lifetime row does not hold; 0 where there is no such row.
func foldedThrough(ctx context.Context, tx WorkspaceTx, c campaign.ID) (through int64, err error) {
	err = tx.Rows(ctx, []rollup.Stretch{{Campaign: c, Span: rollup.Lifetime, To: 1, Bare: true}}, func(_ int, _ int64, counts, _ []byte) error {
		r, err := rollup.UnmarshalCounts(counts)
		if err == nil {
			through = r.Through
		}
		return err
	})
	return through, err
}

// foldCampaign joins the days before today that are not in the lifetime row yet into it.
func foldCampaign(ctx context.Context, tx WorkspaceTx, c campaign.ID, today int64) error {
	k := rollup.Key{Campaign: c, Span: rollup.Lifetime}
	life, err := stored(ctx, tx, k)
	if err != nil {
		return err
	}
	days, err := join(ctx, tx, c, rollup.Day, life.Through, today)
	if err != nil {
		return err
	}
	life.Or(days)
	life.Through = today
	return tx.PutRollups(ctx, map[rollup.Key]*rollup.Row{k: life})
}
