package postgres

import (
	"cmp"
	"context"
	"slices"

	"monterey/internal/rollup"
)

// storedRow is a row as it goes into the table.
type storedRow struct {
	campaign, span, bucket int64
	row                    *rollup.Row
}

// sorted are the rows in the order of the table's key: neighbours are written together.
func (w *workspaceTx) sorted(ctx context.Context, rows map[rollup.Key]*rollup.Row) ([]storedRow, error) {
	out := make([]storedRow, 0, len(rows))
	for k, r := range rows {
		num, err := w.must(ctx, k.Campaign)
		if err != nil {
			return nil, err
		}
		out = append(out, storedRow{num, int64(k.Span), k.Bucket, r})
	}
	slices.SortFunc(out, func(a, b storedRow) int {
		return cmp.Or(cmp.Compare(a.campaign, b.campaign), cmp.Compare(a.span, b.span), cmp.Compare(a.bucket, b.bucket))
	})
	return out, nil
}

// rowKeys are the keys of rows, an array each.
func rowKeys(rows []storedRow) (campaigns []int32, spans []int16, buckets []int64) {
	campaigns, spans, buckets = make([]int32, len(rows)), make([]int16, len(rows)), make([]int64, len(rows))
	for i, r := range rows {
		campaigns[i], spans[i], buckets[i] = int32(r.campaign), int16(r.span), r.bucket
	}
	return campaigns, spans, buckets
}

// MergeRollups implements ingest.WorkspaceTx. Events of days that are folded join the lifetime rows too.
func (w *workspaceTx) MergeRollups(ctx context.Context, rows map[rollup.Key]*rollup.Row) error {
	all, err := w.sorted(ctx, rows)
	if err != nil {
		return err
	}
	late, err := w.late(ctx, all)
	if err != nil {
		return err
	}
	all = append(all, late...)
	if err := w.join(ctx, all); err != nil {
		return err
	}
	return w.putRows(ctx, all)
}

// late are the lifetime rows that days join which they hold already.
func (w *workspaceTx) late(ctx context.Context, rows []storedRow) (out []storedRow, err error) {
	var campaigns []int32
	for _, r := range rows {
		if n := len(campaigns); n == 0 || campaigns[n-1] != int32(r.campaign) {
			campaigns = append(campaigns, int32(r.campaign))
		}
	}
	through := map[int64]int64{}
	err = w.each(ctx, func(r row) error {
		var num int64
		var counts []byte
		if err := r.Scan(&num, &counts); err != nil {
			return err
		}
		life, err := rollup.UnmarshalCounts(counts)
		if err == nil {
			through[num] = life.Through
		}
		return err
	}, "SELECT campaign, counts FROM rollups WHERE workspace_id = $1 AND campaign = ANY ($2) AND span = $3 AND bucket = 0", w.ws, array(campaigns), int64(rollup.Lifetime))
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if rollup.Span(r.span) != rollup.Day || r.bucket >= through[r.campaign] {
			continue
		}
		if n := len(out); n == 0 || out[n-1].campaign != r.campaign {
			out = append(out, storedRow{r.campaign, int64(rollup.Lifetime), 0, rollup.NewRow()})
		}
		out[len(out)-1].row.Or(r.row)
	}
	return out, nil
}

// join replaces rows by what they make together with the stored ones.
func (w *workspaceTx) join(ctx context.Context, rows []storedRow) error {
	campaigns, spans, buckets := rowKeys(rows)
	var n int64
	var counts, sets []byte // copies: a row keeps referring to its sets
	return w.each(ctx, func(r row) error {
		if err := r.Scan(&n, &counts, &sets); err != nil {
			return err
		}
		old, err := rollup.Unmarshal(counts, sets)
		if err != nil {
			return err
		}
		sum := rollup.NewRow()
		sum.Through = old.Through
		sum.Or(old)
		sum.Or(rows[n-1].row)
		rows[n-1].row = sum
		return nil
	}, `SELECT k.n, r.counts, r.sets FROM unnest($2::integer[], $3::smallint[], $4::bigint[]) WITH ORDINALITY AS k (campaign, span, bucket, n)
		JOIN rollups r ON r.workspace_id = $1 AND r.campaign = k.campaign AND r.span = k.span AND r.bucket = k.bucket`, w.ws, campaigns, spans, buckets)
}

func (w *workspaceTx) putRows(ctx context.Context, rows []storedRow) error {
	if len(rows) == 0 {
		return nil
	}
	campaigns, spans, buckets := rowKeys(rows)
	counts, sets := make([][]byte, len(rows)), make([][]byte, len(rows))
	for i, r := range rows {
		counts[i], sets[i] = r.row.Marshal()
		sets[i] = array(sets[i])
	}
	_, err := w.exec(ctx, `INSERT INTO rollups (workspace_id, campaign, span, bucket, counts, sets) SELECT $1, r.campaign, r.span, r.bucket, r.counts, r.sets
		FROM unnest($2::integer[], $3::smallint[], $4::bigint[], $5::bytea[], $6::bytea[]) AS r (campaign, span, bucket, counts, sets)
		ON CONFLICT (workspace_id, campaign, span, bucket) DO UPDATE SET counts = excluded.counts, sets = excluded.sets`,
		w.ws, campaigns, spans, buckets, counts, sets)
	return err
}

// PutRollups implements ingest.WorkspaceTx.
func (w *workspaceTx) PutRollups(ctx context.Context, rows map[rollup.Key]*rollup.Row) error {
	all, err := w.sorted(ctx, rows)
	if err != nil {
		return err
	}
	var keep, gone []storedRow
	for _, r := range all {
		if r.row.Count != [rollup.NumMetrics]uint64{} || rollup.Span(r.span) == rollup.Lifetime {
			keep = append(keep, r)
		} else {
			gone = append(gone, r)
		}
	}
	if len(gone) > 0 {
		campaigns, spans, buckets := rowKeys(gone)
		if _, err := w.exec(ctx, `DELETE FROM rollups r USING unnest($2::integer[], $3::smallint[], $4::bigint[]) AS k (campaign, span, bucket)
			WHERE r.workspace_id = $1 AND r.campaign = k.campaign AND r.span = k.span AND r.bucket = k.bucket`, w.ws, campaigns, spans, buckets); err != nil {
			return err
		}
	}
	return w.putRows(ctx, keep)
}
