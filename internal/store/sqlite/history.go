package sqlite

import (
	"context"
	"database/sql"
	"slices"
)

// fewKeys are collected and sorted rather than looked for in an index that has the order but not the filter.
const fewKeys = 20_000

// collect is all keys chosen, sorted, where no index gives them in the order asked: of recipients, and of the little that was
// updated lately. nil = it is not so.
func (q *eventQuery) collect(ctx context.Context) (keys []eventKey, err error) {
	switch {
	case q.ordinals != nil:
		keys, err = q.historyKeys(ctx)
	case q.changes() && !q.byUpdate():
		few, ferr := q.fewUpdates(ctx)
		if ferr != nil || !few {
			return nil, ferr
		}
		keys, err = q.read(ctx, q.eventsByUpdate())
	case !q.changes() && q.byUpdate() && (q.nums != nil || q.types != nil):
		n, nerr := q.total(ctx)
		if nerr != nil || n > fewKeys {
			return nil, nerr
		}
		keys, err = q.read(ctx, q.timeStreams()...)
	default:
		return nil, nil
	}
	if err == nil && q.changes() {
		var gone []eventKey
		gone, err = q.gone(ctx)
		keys = append(keys, gone...)
	}
	slices.SortFunc(keys, q.compare)
	return append([]eventKey{}, keys...), err
}

// read is all keys of the streams, with the time of their update.
func (q *eventQuery) read(ctx context.Context, streams ...*stream) (keys []eventKey, err error) {
	for _, s := range streams {
		s.stamped = true
		if err := s.fill(ctx, q, all, 0); err != nil {
			return nil, err
		}
		keys = append(keys, s.keys...)
	}
	return keys, nil
}

// fewUpdates says whether few events were updated since.
func (q *eventQuery) fewUpdates(ctx context.Context) (few bool, err error) {
	n := 0
	err = q.each(ctx, func(r row) error { return r.Scan(&n) }, `SELECT count(*) FROM
		(SELECT 1 FROM events INDEXED BY events_by_update WHERE workspace = ? AND updated_at >= ? LIMIT ?)`, q.ws, q.since, fewKeys+1)
	return n <= fewKeys, err
}

// historySQL: history holds what was updated until counters.history, the tail is scanned.
const historySQL = `SELECT e.id, e.updated_at FROM (
		SELECT id FROM history WHERE workspace = ? AND ordinal IN (SELECT value FROM json_each(?)) AND id >= ? AND id < ?
		UNION SELECT id FROM events INDEXED BY events_by_update
			WHERE workspace = ? AND updated_at > ? AND +ordinal IN (SELECT value FROM json_each(?)) AND id >= ? AND id < ?
	) h CROSS JOIN events e ON e.workspace = ? AND e.id = h.id WHERE `

// historyKeys are the events of the recipients chosen.
func (q *eventQuery) historyKeys(ctx context.Context) (keys []eventKey, err error) {
	w := q.chosen()
	w.add("e.updated_at >= ?", q.since)
	ordinals := listJSON(q.ordinals)
	args := []any{q.ws, ordinals, q.first, q.last, q.ws, q.history, ordinals, q.first, q.last, q.ws}
	args = append(append(args, w.args...), q.rows.args...)
	var id sql.RawBytes
	err = q.each(ctx, func(r row) error {
		var k eventKey
		err := r.Scan(&id, &k.updated)
		copy(k.id.UUID[:], id)
		keys = append(keys, k)
		return err
	}, historySQL+(&where{conds: append(w.conds, q.rows.conds...)}).sql(), args...)
	return keys, err
}
