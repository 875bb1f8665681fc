package postgres

import (
	"context"
	"slices"

	"monterey/internal/campaign"
	"monterey/internal/ingest"
	"monterey/internal/rollup"
	"monterey/internal/store/rolluprow"
)

// sorted are the rows in the order of the table's key: neighbours are written together.
func (w *workspaceTx) sorted(ctx context.Context, rows map[rollup.Key]*rollup.Row) ([]rolluprow.Row, error) {
	return rolluprow.Sorted(rows, func(c campaign.ID) (int64, error) { return w.must(ctx, c) })
}

// placeColumns are places, an array each of campaigns, spans and buckets.
func placeColumns(n int, place func(i int) rolluprow.Place) (campaigns []int32, spans []int16, buckets []int64) {
	campaigns, spans, buckets = make([]int32, n), make([]int16, n), make([]int64, n)
	for i := range n {
		p := place(i)
		campaigns[i], spans[i], buckets[i] = int32(p.Campaign), int16(p.Span), p.Bucket
	}
	return campaigns, spans, buckets
}

func packedColumns(rows []rolluprow.Packed) (campaigns []int32, spans []int16, buckets []int64) {
	return placeColumns(len(rows), func(i int) rolluprow.Place { return rows[i].Place })
}

// JoinRollups implements ingest.WorkspaceTx. Events of days that are folded join the lifetime rows too.
func (w *workspaceTx) JoinRollups(ctx context.Context, keys []rollup.Key) (ingest.Join, error) {
	s, err := rolluprow.NewStored(ctx, w, keys, func(c campaign.ID) (int64, error) { return w.must(ctx, c) })
	if err != nil {
		return nil, err
	}
	if err := w.stored(ctx, s.Rows, s.Read); err != nil {
		return nil, err
	}
	return func(rows map[rollup.Key]*rollup.Row) (ingest.Write, error) {
		packed, err := s.Join(rows)
		return func(ctx context.Context) error { return w.putRows(ctx, packed) }, err
	}, nil
}

// stored calls f for each of these rows that is stored, with its three parts, which are f's.
func (w *workspaceTx) stored(ctx context.Context, rows []rolluprow.Row, f func(r *rolluprow.Row, counts, sets, quarters []byte) error) error {
	campaigns, spans, buckets := placeColumns(len(rows), func(i int) rolluprow.Place { return rows[i].Place })
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
func (w *workspaceTx) putRows(ctx context.Context, rows []rolluprow.Packed) error {
	var keep, gone []rolluprow.Packed
	var counts, sets, quarters [][]byte
	for _, r := range rows {
		if r.Nothing {
			gone = append(gone, r)
			continue
		}
		keep, counts, sets, quarters = append(keep, r), append(counts, r.Counts), append(sets, r.Sets), append(quarters, r.Quarters)
	}
	if len(gone) > 0 {
		campaigns, spans, buckets := packedColumns(gone)
		if _, err := w.exec(ctx, `DELETE FROM rollups r USING unnest($2::integer[], $3::smallint[], $4::bigint[]) AS k (campaign, span, bucket)
			WHERE r.workspace_id = $1 AND r.campaign = k.campaign AND r.span = k.span AND r.bucket = k.bucket`, w.ws, campaigns, spans, buckets); err != nil {
			return err
		}
	}
	if len(keep) == 0 {
		return nil
	}
	campaigns, spans, buckets := packedColumns(keep)
	_, err := w.exec(ctx, `INSERT INTO rollups (workspace_id, campaign, span, bucket, counts, sets, quarters)
		SELECT $1, r.campaign, r.span, r.bucket, r.counts, r.sets, r.quarters
		FROM (SELECT unnest($2::integer[]) AS campaign, unnest($3::smallint[]) AS span, unnest($4::bigint[]) AS bucket, unnest($5::bytea[]) AS counts,
		unnest($6::bytea[]) AS sets, unnest($7::bytea[]) AS quarters) AS r
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
	return w.putRows(ctx, rolluprow.Pack(all))
}
