package sqlite

import (
	"context"
	"database/sql"
	"slices"

	"monterey/internal/store/eventlist"
)

// collect is all keys chosen, sorted, where no index gives them in the order asked: of recipients, and of the little that was
// updated lately. nil = it is not so.
func (q *eventQuery) collect(ctx context.Context) (keys []eventlist.Key, err error) {
	switch {
	case q.ordinals != nil:
		keys, err = q.historyKeys(ctx)
	case q.Changes() && !q.ByUpdate():
		few, ferr := q.fewUpdates(ctx)
		if ferr != nil || !few {
			return nil, ferr
		}
		keys, err = q.read(ctx, q.eventsByUpdate())
	case !q.Changes() && q.ByUpdate() && (q.nums != nil || q.Types != nil):
		n, nerr := q.total(ctx)
		if nerr != nil || n > eventlist.FewKeys {
			return nil, nerr
		}
		keys, err = q.read(ctx, q.timeStreams()...)
	default:
		return nil, nil
	}
	if err == nil && q.Changes() {
		var gone []eventlist.Key
		gone, err = q.gone(ctx)
		keys = append(keys, gone...)
	}
	slices.SortFunc(keys, q.Compare)
	return append([]eventlist.Key{}, keys...), err
}

// read is all keys of the streams, with the time of their update.
func (q *eventQuery) read(ctx context.Context, streams ...*stream) (keys []eventlist.Key, err error) {
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
		(SELECT 1 FROM events INDEXED BY events_by_update WHERE workspace = ? AND updated_at >= ? LIMIT ?)`, q.ws, q.Since, eventlist.FewKeys+1)
	return n <= eventlist.FewKeys, err
}

// historySQL: history holds what was updated until counters.history, the tail is scanned.
const historySQL = `SELECT e.id, e.updated_at FROM (
		SELECT id FROM history WHERE workspace = ? AND ordinal IN (SELECT value FROM json_each(?)) AND id >= ? AND id < ?
		UNION SELECT id FROM events INDEXED BY events_by_update
			WHERE workspace = ? AND updated_at > ? AND +ordinal IN (SELECT value FROM json_each(?)) AND id >= ? AND id < ?
	) h CROSS JOIN events e ON e.workspace = ? AND e.id = h.id WHERE `

// historyKeys are the events of the recipients chosen.
func (q *eventQuery) historyKeys(ctx context.Context) (keys []eventlist.Key, err error) {
	w := q.chosen()
	w.add("e.updated_at >= ?", q.Since)
	ordinals := listJSON(q.ordinals)
	args := []any{q.ws, ordinals, q.First.UUID[:], q.Last.UUID[:], q.ws, q.history, ordinals, q.First.UUID[:], q.Last.UUID[:], q.ws}
	args = append(append(args, w.args...), q.rows.args...)
	var id sql.RawBytes
	err = q.each(ctx, func(r row) error {
		var k eventlist.Key
		err := r.Scan(&id, &k.Updated)
		copy(k.ID.UUID[:], id)
		keys = append(keys, k)
		return err
	}, historySQL+(&where{conds: append(w.conds, q.rows.conds...)}).sql(), args...)
	return keys, err
}
