package postgres

import (
	"context"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/ingest"
)

// markKey is one mark, whoever reported it.
type markKey struct{ campaign, kind, at int64 }

// AddMarks implements ingest.WorkspaceTx.
func (w *workspaceTx) AddMarks(ctx context.Context, marks []ingest.Mark) ([]bool, error) {
	out := make([]bool, len(marks))
	campaigns, kinds, at, from, sent := make([]int64, len(marks)), make([]int64, len(marks)), make([]int64, len(marks)), make([]int64, len(marks)), make([]*int64, len(marks))
	for i, m := range marks {
		var err error
		if campaigns[i], err = w.must(ctx, m.Campaign); err != nil {
			return nil, err
		}
		if from[i], err = w.deliveryNum(ctx, m.Delivery); err != nil {
			return nil, err
		}
		kinds[i], at[i], sent[i] = int64(m.Kind), m.At.Unix(), m.Sent
	}
	known := map[markKey]bool{}
	err := w.each(ctx, func(r row) error {
		var k markKey
		err := r.Scan(&k.campaign, &k.kind, &k.at)
		known[k] = true
		return err
	}, `SELECT k.campaign, k.kind, k.at FROM unnest($2::integer[], $3::smallint[], $4::bigint[]) AS k (campaign, kind, at)
		WHERE EXISTS (SELECT 1 FROM run_marks m WHERE m.workspace_id = $1 AND m.campaign = k.campaign AND m.kind = k.kind AND m.at = k.at)`,
		w.ws, campaigns, kinds, at)
	if err != nil {
		return nil, err
	}
	for i := range marks {
		k := markKey{campaigns[i], kinds[i], at[i]}
		out[i], known[k] = !known[k], true
	}
	_, err = w.exec(ctx, `INSERT INTO run_marks (workspace_id, campaign, kind, at, sent, delivery) SELECT $1, m.campaign, m.kind, m.at, m.sent, m.delivery
		FROM unnest($2::integer[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[]) AS m (campaign, kind, at, sent, delivery)
		ON CONFLICT DO NOTHING`, w.ws, campaigns, kinds, at, sent, from)
	return out, err
}

// RemoveMarks implements ingest.WorkspaceTx.
func (w *workspaceTx) RemoveMarks(ctx context.Context, from delivery.ID) (out []campaign.ID, err error) {
	num, err := w.deliveryNum(ctx, from)
	if err != nil {
		return nil, err
	}
	all, err := w.campaignIDs(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[int64]bool{}
	err = w.each(ctx, func(r row) error {
		var c int64
		err := r.Scan(&c)
		if !seen[c] {
			seen[c], out = true, append(out, all[c])
		}
		return err
	}, "DELETE FROM run_marks WHERE workspace_id = $1 AND delivery = $2 RETURNING campaign", w.ws, num)
	return out, err
}

// DerivedRuns implements ingest.WorkspaceTx.
func (w *workspaceTx) DerivedRuns(ctx context.Context, c campaign.ID) (marks []campaign.Mark, runs []campaign.Run, err error) {
	num, err := w.must(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	err = w.each(ctx, func(r row) error {
		var m campaign.Mark
		var kind, at int64
		err := r.Scan(&kind, &at, &m.Sent)
		m.Kind, m.At = campaign.MarkKind(kind), time.Unix(at, 0).UTC()
		marks = append(marks, m)
		return err
	}, "SELECT DISTINCT ON (kind, at) kind, at, sent FROM run_marks WHERE workspace_id = $1 AND campaign = $2 ORDER BY kind, at, delivery", w.ws, num)
	if err != nil {
		return nil, nil, err
	}
	all, err := w.Runs(ctx, []campaign.ID{c})
	for _, r := range all {
		if r.Derived {
			runs = append(runs, r)
		}
	}
	return marks, runs, err
}

// PutDerivedRuns implements ingest.WorkspaceTx.
func (w *workspaceTx) PutDerivedRuns(ctx context.Context, c campaign.ID, runs []campaign.Run) error {
	num, err := w.must(ctx, c)
	if err != nil {
		return err
	}
	if _, err := w.exec(ctx, "DELETE FROM runs WHERE workspace_id = $1 AND campaign = $2 AND derived", w.ws, num); err != nil {
		return err
	}
	for _, r := range runs { // few, and seldom
		r.Derived = true
		if err := insertRun(ctx, w.tx, w.ws, num, r); err != nil {
			return err
		}
	}
	return nil
}
