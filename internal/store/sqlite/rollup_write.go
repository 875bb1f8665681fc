package sqlite

import (
	"context"
	"slices"

	"monterey/internal/campaign"
	"monterey/internal/ingest"
	"monterey/internal/rollup"
	"monterey/internal/store/rolluprow"
)

// JoinRollups implements ingest.WorkspaceTx. Events of days that are folded join the lifetime rows too. What is stored of a campaign and span is
// read with one query.
func (w *workspaceTx) JoinRollups(ctx context.Context, keys []rollup.Key) (ingest.Join, error) {
	s, err := rolluprow.NewStored(ctx, w, keys, func(c campaign.ID) (int64, error) { return w.must(ctx, c) })
	if err != nil {
		return nil, err
	}
	for from := 0; from < len(s.Rows); {
		to := from + 1
		for to < len(s.Rows) && s.Rows[to].Campaign == s.Rows[from].Campaign && s.Rows[to].Span == s.Rows[from].Span {
			to++
		}
		if err := w.stored(ctx, s.Rows[from:to], s.Read); err != nil {
			return nil, err
		}
		from = to
	}
	return func(rows map[rollup.Key]*rollup.Row) (ingest.Write, error) {
		packed, err := s.Join(rows)
		return func(ctx context.Context) error { return w.putRows(ctx, packed) }, err
	}, nil
}

// sorted are the rows in the order of the table's key: neighbours are written together.
func (w *workspaceTx) sorted(ctx context.Context, rows map[rollup.Key]*rollup.Row) ([]rolluprow.Row, error) {
	return rolluprow.Sorted(rows, func(c campaign.ID) (int64, error) { return w.must(ctx, c) })
}

const storedSQL = `SELECT bucket, counts, ` + setsSQL + `, ` + quartersSQL + ` FROM rollups WHERE workspace = ? AND campaign = ? AND span = ?
	AND bucket >= ? AND bucket < ? ORDER BY bucket`

const bucketsSQL = `SELECT bucket, counts, ` + setsSQL + `, ` + quartersSQL + ` FROM rollups WHERE workspace = ? AND campaign = ? AND span = ?
	AND bucket IN (SELECT value FROM json_each(?)) ORDER BY bucket`

// stored calls f for each of these rows, of one campaign and span, that is stored, with its three parts, which are f's. Buckets
// that lie close together are read as a range: of those that come last in time, which are most, hardly one is stored.
func (w *workspaceTx) stored(ctx context.Context, rows []rolluprow.Row, f func(r *rolluprow.Row, counts, sets, quarters []byte) error) error {
	first, last := rows[0].Bucket, rows[len(rows)-1].Bucket
	text, args := storedSQL, []any{w.ws, rows[0].Campaign, int64(rows[0].Span), first, last + 1}
	if n := rows[0].Span.Seconds(); n > 0 && (last-first)/n > 2*int64(len(rows)) {
		buckets := make([]int64, len(rows))
		for i := range rows {
			buckets[i] = rows[i].Bucket
		}
		text, args = bucketsSQL, []any{w.ws, rows[0].Campaign, int64(rows[0].Span), listJSON(buckets)}
	}
	next := 0
	return w.each(ctx, func(r row) error {
		var bucket int64
		var counts, sets, quarters []byte
		if err := r.Scan(&bucket, &counts, &sets, &quarters); err != nil {
			return err
		}
		for next < len(rows) && rows[next].Bucket < bucket {
			next++
		}
		if next == len(rows) || rows[next].Bucket != bucket {
			return nil // lies between them
		}
		return f(&rows[next], counts, sets, quarters)
	}, text, args...)
}

// largeRow is how many bytes of sets and quarters stay in the row: a search reads what lies beyond its page too (1002 bytes of
// a page of 4096 are the row's).
const largeRow = 600

// putChunk is how many rows one statement writes.
const putChunk = 50

const putColumns = 8

func putText(n int) string {
	return "INSERT OR FAIL INTO rollups (workspace, campaign, span, bucket, counts, sets, quarters, large) VALUES " + placeholders("("+placeholders("?", putColumns)+")", n) +
		` ON CONFLICT (workspace, campaign, span, bucket) DO UPDATE SET counts = excluded.counts, sets = excluded.sets, quarters = excluded.quarters,
		large = excluded.large`
}

var putMany, putOne = putText(putChunk), putText(1)

// putRows writes rows, and removes those of nothing.
func (w *workspaceTx) putRows(ctx context.Context, rows []rolluprow.Packed) error {
	args := make([]any, 0, putChunk*putColumns)
	for i := range rows {
		r := &rows[i]
		sets, quarters := r.Sets, r.Quarters
		if r.Nothing {
			if _, err := w.exec(ctx, "DELETE FROM rollups WHERE workspace = ? AND campaign = ? AND span = ? AND bucket = ?",
				w.ws, r.Campaign, int64(r.Span), r.Bucket); err != nil {
				return err
			}
			continue
		}
		var large int64
		if len(sets)+len(quarters) > largeRow {
			err := w.each(ctx, func(r row) error { return r.Scan(&large) },
				"INSERT INTO rollup_sets (sets, quarters) VALUES (?, ?) RETURNING num", sets, quarters)
			if err != nil {
				return err
			}
			sets, quarters = []byte{}, []byte{}
		}
		if args = append(args, w.ws, r.Campaign, int64(r.Span), r.Bucket, r.Counts, sets, quarters, large); len(args) < putChunk*putColumns {
			continue
		}
		if _, err := w.exec(ctx, putMany, args...); err != nil {
			return err
		}
		args = args[:0]
	}
	for one := range slices.Chunk(args, putColumns) {
		if _, err := w.exec(ctx, putOne, one...); err != nil {
			return err
		}
	}
	return nil
}

// PutRollups implements ingest.WorkspaceTx.
func (w *workspaceTx) PutRollups(ctx context.Context, rows map[rollup.Key]*rollup.Row) error {
	all, err := w.sorted(ctx, rows)
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].Whole() {
			continue
		}
		if err := w.stored(ctx, all[i:i+1], (*rolluprow.Row).Keep); err != nil {
			return err
		}
	}
	return w.putRows(ctx, rolluprow.Pack(all))
}
