package postgres

import (
	"context"
	"slices"

	"monterey/internal/campaign"
	"monterey/internal/rollup"
	"monterey/internal/store/rolluprow"
)

// sorted are the rows in the order of the table's key: neighbours are written together.
func (w *workspaceTx) sorted(ctx context.Context, rows map[rollup.Key]*rollup.Row) ([]rolluprow.Row, error) {
	return rolluprow.Sorted(rows, func(c campaign.ID) (int64, error) { return w.must(ctx, c) })
}

// rowKeys are the keys of rows, an array each.
func rowKeys(rows []rolluprow.Row) (campaigns []int32, spans []int16, buckets []int64) {
	campaigns, spans, buckets = make([]int32, len(rows)), make([]int16, len(rows)), make([]int64, len(rows))
	for i, r := range rows {
		campaigns[i], spans[i], buckets[i] = int32(r.Campaign), int16(r.Span), r.Bucket
	}
	return campaigns, spans, buckets
}

// MergeRollups implements ingest.WorkspaceTx. Events of days that are folded join the lifetime rows too.
func (w *workspaceTx) MergeRollups(ctx context.Context, rows map[rollup.Key]*rollup.Row) error {
	all, err := w.sorted(ctx, rows)
	if err != nil {
		return err
	}
	late, err := rolluprow.Late(ctx, w, all)
	if err != nil {
		return err
	}
	all = append(all, late...)
	if err := w.stored(ctx, all, (*rolluprow.Row).Join); err != nil {
		return err
	}
	return w.putRows(ctx, all)
}

// stored calls f for each of these rows that is stored, with its three parts, which are f's.
func (w *workspaceTx) stored(ctx context.Context, rows []rolluprow.Row, f func(r *rolluprow.Row, counts, sets, quarters []byte) error) error {
	campaigns, spans, buckets := rowKeys(rows)
	return w.each(ctx, func(r row) error {
		var n int64
		var counts, sets, quarters []byte // copies
		if err := r.Scan(&n, &counts, &sets, &quarters); err != nil {
			return err
		}
		return f(&rows[n-1], counts, sets, quarters)
	}, `SELECT k.n, r.counts, r.sets, r.quarters FROM unnest($2::integer[], $3::smallint[], $4::bigint[]) WITH ORDINALITY AS k (campaign, span, bucket, n)
		JOIN rollups r ON r.workspace_id = $1 AND r.campaign = k.campaign AND r.span = k.span AND r.bucket = k.bucket`, w.ws, campaigns, spans, buckets)
}

// putRows writes rows, and removes those of nothing.
func (w *workspaceTx) putRows(ctx context.Context, rows []rolluprow.Row) error {
	var keep, gone []rolluprow.Row
	var counts, sets, quarters [][]byte
	for i := range rows {
		c, s, q, nothing := rows[i].Parts()
		if nothing {
			gone = append(gone, rows[i])
			continue
		}
		keep, counts, sets, quarters = append(keep, rows[i]), append(counts, c), append(sets, s), append(quarters, q)
	}
	if len(gone) > 0 {
		campaigns, spans, buckets := rowKeys(gone)
		if _, err := w.exec(ctx, `DELETE FROM rollups r USING unnest($2::integer[], $3::smallint[], $4::bigint[]) AS k (campaign, span, bucket)
			WHERE r.workspace_id = $1 AND r.campaign = k.campaign AND r.span = k.span AND r.bucket = k.bucket`, w.ws, campaigns, spans, buckets); err != nil {
			return err
		}
	}
	if len(keep) == 0 {
		return nil
	}
	campaigns, spans, buckets := rowKeys(keep)
	_, err := w.exec(ctx, `INSERT INTO rollups (workspace_id, campaign, span, bucket, counts, sets, quarters)
		SELECT $1, r.campaign, r.span, r.bucket, r.counts, r.sets, r.quarters
		FROM unnest($2::integer[], $3::smallint[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bytea[]) AS r (campaign, span, bucket, counts, sets, quarters)
		ON CONFLICT (workspace_id, campaign, span, bucket) DO UPDATE SET counts = excluded.counts, sets = excluded.sets, quarters = excluded.quarters`,
		w.ws, campaigns, spans, buckets, counts, sets, quarters)
	return err
}

// PutRollups implements ingest.WorkspaceTx.
func (w *workspaceTx) PutRollups(ctx context.Context, rows map[rollup.Key]*rollup.Row) error {
	all, err := w.sorted(ctx, rows)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(r rolluprow.Row) bool { return !r.Whole() }) {
		if err := w.stored(ctx, all, (*rolluprow.Row).Keep); err != nil {
			return err
		}
	}
	return w.putRows(ctx, all)
}
