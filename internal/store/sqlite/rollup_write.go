package sqlite

import (
	"cmp"
	"context"
	"slices"

	"monterey/internal/campaign"
	"monterey/internal/rollup"
)

// MergeRollups implements ingest.WorkspaceTx. Events of days that are folded join the lifetime rows too.
func (w *workspaceTx) MergeRollups(ctx context.Context, rows map[rollup.Key]*rollup.Row) error {
	late := map[rollup.Key]*rollup.Row{}
	through := map[campaign.ID]int64{}
	for k, r := range rows {
		if k.Span != rollup.Day {
			continue
		}
		t, ok := through[k.Campaign]
		if !ok {
			var err error
			if t, err = w.through(ctx, k.Campaign); err != nil {
				return err
			}
			through[k.Campaign] = t
		}
		if k.Bucket < t {
			life := rollup.Key{Campaign: k.Campaign, Span: rollup.Lifetime}
			if late[life] == nil {
				late[life] = rollup.NewRow()
			}
			late[life].Or(r)
		}
	}
	if err := w.merge(ctx, rows); err != nil {
		return err
	}
	return w.merge(ctx, late)
}

func (w *workspaceTx) through(ctx context.Context, c campaign.ID) (through int64, err error) {
	err = w.Rows(ctx, []rollup.Stretch{{Campaign: c, Span: rollup.Lifetime, To: 1, Bare: true}}, func(_ int, _ int64, counts, _ []byte) error {
		r, err := rollup.UnmarshalCounts(counts)
		if err == nil {
			through = r.Through
		}
		return err
	})
	return through, err
}

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

const bucketsSQL = `SELECT bucket, counts, sets FROM rollups WHERE workspace = ? AND campaign = ? AND span = ?
	AND bucket IN (SELECT value FROM json_each(?)) ORDER BY bucket`

// merge joins rows into what is stored: the stored ones of a campaign and span are read with one query.
func (w *workspaceTx) merge(ctx context.Context, rows map[rollup.Key]*rollup.Row) error {
	all, err := w.sorted(ctx, rows)
	if err != nil {
		return err
	}
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && all[to].campaign == all[from].campaign && all[to].span == all[from].span {
			to++
		}
		if err := w.join(ctx, all[from:to]); err != nil {
			return err
		}
		from = to
	}
	return w.putRows(ctx, all)
}

// join replaces the rows of one campaign and span by what they make together with the stored ones. Buckets that lie close
// together are read as a range: of those that come last in time, which are most, hardly one is stored.
func (w *workspaceTx) join(ctx context.Context, rows []storedRow) error {
	first, last := rows[0].bucket, rows[len(rows)-1].bucket
	text, args := rowsSQL, []any{w.ws, rows[0].campaign, rows[0].span, first, last + 1}
	if n := rollup.Span(rows[0].span).Seconds(); n > 0 && (last-first)/n > 2*int64(len(rows)) {
		buckets := make([]int64, len(rows))
		for i := range rows {
			buckets[i] = rows[i].bucket
		}
		text, args = bucketsSQL, []any{w.ws, rows[0].campaign, rows[0].span, listJSON(buckets)}
	}
	next := 0
	var bucket int64
	var counts, sets []byte // copies: a row keeps referring to its sets
	return w.each(ctx, func(r row) error {
		if err := r.Scan(&bucket, &counts, &sets); err != nil {
			return err
		}
		for next < len(rows) && rows[next].bucket < bucket {
			next++
		}
		if next == len(rows) || rows[next].bucket != bucket {
			return nil // lies between them
		}
		old, err := rollup.Unmarshal(counts, sets)
		if err != nil {
			return err
		}
		sum := rollup.NewRow()
		sum.Through = old.Through
		sum.Or(old)
		sum.Or(rows[next].row)
		rows[next].row = sum
		return nil
	}, text, args...)
}

// putChunk is how many rows one statement writes.
const putChunk = 50

func putText(n int) string {
	return "INSERT OR FAIL INTO rollups (workspace, campaign, span, bucket, counts, sets) VALUES " + placeholders("(?, ?, ?, ?, ?, ?)", n) +
		" ON CONFLICT (workspace, campaign, span, bucket) DO UPDATE SET counts = excluded.counts, sets = excluded.sets"
}

var putMany, putOne = putText(putChunk), putText(1)

func (w *workspaceTx) putRows(ctx context.Context, rows []storedRow) error {
	args := make([]any, 0, putChunk*6)
	for len(rows) > 0 {
		n, text := putChunk, putMany
		if len(rows) < putChunk {
			n, text = 1, putOne
		}
		args = args[:0]
		for _, r := range rows[:n] {
			counts, sets := r.row.Marshal()
			if sets == nil {
				sets = []byte{}
			}
			args = append(args, w.ws, r.campaign, r.span, r.bucket, counts, sets)
		}
		if _, err := w.exec(ctx, text, args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// PutRollups implements ingest.WorkspaceTx.
func (w *workspaceTx) PutRollups(ctx context.Context, rows map[rollup.Key]*rollup.Row) error {
	all, err := w.sorted(ctx, rows)
	if err != nil {
		return err
	}
	keep := all[:0]
	for _, r := range all {
		if r.row.Count != [rollup.NumMetrics]uint64{} || rollup.Span(r.span) == rollup.Lifetime {
			keep = append(keep, r)
			continue
		}
		if _, err := w.exec(ctx, "DELETE FROM rollups WHERE workspace = ? AND campaign = ? AND span = ? AND bucket = ?", w.ws, r.campaign, r.span, r.bucket); err != nil {
			return err
		}
	}
	return w.putRows(ctx, keep)
}
