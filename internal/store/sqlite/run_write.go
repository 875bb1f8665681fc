package sqlite

import (
	"context"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/ingest"
)

// AddMarks implements ingest.WorkspaceTx.
func (w *workspaceTx) AddMarks(ctx context.Context, marks []ingest.Mark) ([]bool, error) {
	out := make([]bool, len(marks))
	for i, m := range marks {
		num, err := w.must(ctx, m.Campaign)
		if err != nil {
			return nil, err
		}
		from, err := w.deliveryNum(ctx, m.Delivery)
		if err != nil {
			return nil, err
		}
		known := false
		err = w.each(ctx, func(row) error { known = true; return nil },
			"SELECT 1 FROM run_marks WHERE workspace = ? AND campaign = ? AND kind = ? AND at = ? LIMIT 1", w.ws, num, int64(m.Kind), m.At.Unix())
		if err != nil {
			return nil, err
		}
		out[i] = !known
		if _, err := w.exec(ctx, "INSERT INTO run_marks (workspace, campaign, kind, at, sent, delivery) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			w.ws, num, int64(m.Kind), m.At.Unix(), m.Sent, from); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// RemoveMarks implements ingest.WorkspaceTx.
func (w *workspaceTx) RemoveMarks(ctx context.Context, from delivery.ID) ([]campaign.ID, error) {
	num, err := w.deliveryNum(ctx, from)
	if err != nil {
		return nil, err
	}
	var out []campaign.ID
	err = w.each(ctx, func(r row) error {
		var id campaign.ID
		err := r.Scan(&id)
		out = append(out, id)
		return err
	}, "SELECT DISTINCT c.id FROM run_marks m JOIN campaigns c ON c.workspace = m.workspace AND c.num = m.campaign WHERE m.workspace = ? AND m.delivery = ?", w.ws, num)
	if err != nil {
		return nil, err
	}
	_, err = w.exec(ctx, "DELETE FROM run_marks WHERE workspace = ? AND delivery = ?", w.ws, num)
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
		var kind, at, first int64
		err := r.Scan(&kind, &at, &m.Sent, &first)
		m.Kind, m.At = campaign.MarkKind(kind), time.Unix(at, 0).UTC()
		marks = append(marks, m)
		return err
	}, "SELECT kind, at, sent, min(delivery) FROM run_marks WHERE workspace = ? AND campaign = ? GROUP BY kind, at", w.ws, num)
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
	if _, err := w.exec(ctx, "DELETE FROM runs WHERE workspace = ? AND campaign = ? AND derived = 1", w.ws, num); err != nil {
		return err
	}
	for _, r := range runs {
		if _, err := w.exec(ctx, `INSERT INTO runs (workspace, id, campaign, provider_run_id, started_at, finished_at, sent, delivered, derived, created_at, updated_at)
			VALUES (?, ?, ?, nullif(?, ''), ?, ?, ?, ?, 1, ?, ?)`, w.ws, r.ID.UUID[:], num, r.ProviderRunID, micros(r.StartedAt), micros(r.FinishedAt),
			r.Sent, r.Delivered, micros(r.CreatedAt), micros(r.UpdatedAt)); err != nil {
			return err
		}
	}
	return nil
}
