package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"slices"

	"monterey/internal/event"
)

// stream reads keys in the order asked from one index; its bounds are those of the query.
type stream struct {
	table    string // with the alias e
	where    where  // without the bounds of what it is sorted by
	removed  bool   // its events were taken back
	byUpdate bool   // it is sorted by update, else by id
	stamped  bool   // the times of updates are wanted, in whatever order

	keys  []eventKey // read ahead
	ahead int        // how many to read next, where streams are merged
	done  bool       // there are no more than keys
	from  eventKey   // the last that was read
	any   bool       // from is set
}

// streams are where the list is read from, in the order asked.
func (q *eventQuery) streams(ctx context.Context) ([]*stream, error) {
	if q.byUpdate() {
		return q.updateStreams(), nil
	}
	out := q.timeStreams()
	if !q.changes() {
		return out, nil
	}
	gone, err := q.gone(ctx)
	if err != nil {
		return nil, err
	}
	removed := &stream{keys: gone, done: true}
	removed.keys = slices.DeleteFunc(removed.keys, func(k eventKey) bool {
		return bytes.Compare(k.id.UUID[:], q.first) < 0 || bytes.Compare(k.id.UUID[:], q.last) >= 0 // behind a cursor, or before
	})
	slices.SortFunc(removed.keys, q.compare)
	return append(out, removed), nil
}

// timeStreams are the events chosen, sorted by id.
func (q *eventQuery) timeStreams() (out []*stream) {
	w := q.rows
	if q.changes() {
		w.add("e.updated_at >= ?", q.since)
	}
	add := func(index string, equal where) {
		equal.conds, equal.args = append(equal.conds, w.conds...), append(equal.args, w.args...)
		out = append(out, &stream{table: "events e" + index, where: equal})
	}
	types := q.types
	switch {
	case len(q.nums) == 0 && types == nil:
		add("", equals("e.workspace = ?", q.ws))
	case len(q.nums) == 0:
		for _, t := range types {
			add(" INDEXED BY events_by_type", equals("e.workspace = ? AND e.type = ?", q.ws, t))
		}
	default:
		if types == nil {
			types = int64s(event.Types)
		}
		for _, c := range q.nums {
			for _, t := range types {
				add(" INDEXED BY events_by_campaign", equals("e.workspace = ? AND e.campaign = ? AND e.type = ?", q.ws, c, t))
			}
		}
	}
	return out
}

func equals(cond string, args ...any) (w where) {
	w.add(cond, args...)
	return w
}

// updateStreams are the events chosen, sorted by their updates, and where changes are asked for those taken back.
func (q *eventQuery) updateStreams() []*stream {
	if !q.changes() {
		return []*stream{q.eventsByUpdate()}
	}
	return []*stream{q.eventsByUpdate(), q.removals()}
}

func (q *eventQuery) eventsByUpdate() *stream {
	s := &stream{table: "events e INDEXED BY events_by_update", where: q.chosen(), byUpdate: true}
	s.where.conds, s.where.args = append(s.where.conds, q.rows.conds...), append(s.where.args, q.rows.args...)
	return s
}

// removals do not know who did it, or the class: whoever follows changes gets all that may have been chosen. What was taken
// back and came again is not among them; what was taken back twice is, twice.
func (q *eventQuery) removals() *stream {
	s := &stream{table: "removals e", where: q.chosen(), byUpdate: true, removed: true}
	s.where.add("NOT EXISTS (SELECT 1 FROM events x WHERE x.workspace = e.workspace AND x.id = e.id)")
	return s
}

// gone are the removals with the newest of each event: sorted by time, two of one event could not be told apart by a cursor.
func (q *eventQuery) gone(ctx context.Context) ([]eventKey, error) {
	keys, err := q.read(ctx, q.removals())
	slices.SortFunc(keys, func(a, b eventKey) int {
		return cmp.Or(bytes.Compare(a.id.UUID[:], b.id.UUID[:]), cmp.Compare(b.updated, a.updated))
	})
	return slices.CompactFunc(keys, func(a, b eventKey) bool { return a.id == b.id }), err
}

// chosen are the conditions that events and removals share. The + keeps what is looked up in rows from being taken for a
// place in an index.
func (q *eventQuery) chosen() (w where) {
	w.add("e.workspace = ?", q.ws)
	if !q.From.IsZero() || !q.To.IsZero() {
		w.add("e.id >= ? AND e.id < ?", q.first, q.last)
	}
	if q.types != nil {
		w.add("+e.type IN (SELECT value FROM json_each(?))", listJSON(q.types))
	}
	if q.nums != nil {
		w.add("+e.campaign IN (SELECT value FROM json_each(?))", listJSON(q.nums))
	}
	if q.ordinals != nil {
		w.add("+e.ordinal IN (SELECT value FROM json_each(?))", listJSON(q.ordinals))
	}
	return w
}

// bounded is the stream's condition with the bounds of the query, further narrowed to what lies behind from.
func (s *stream) bounded(q *eventQuery) (w where) {
	w.conds, w.args = append(w.conds, s.where.conds...), append(w.args, s.where.args...)
	if s.byUpdate {
		since, until := q.since, q.until
		if s.any && q.desc() {
			until = s.from.updated
		} else if s.any {
			since = s.from.updated + 1
		}
		w.add("e.updated_at >= ? AND e.updated_at < ?", since, until)
		return w
	}
	narrowed := eventQuery{ListParams: q.ListParams, first: q.first, last: q.last}
	if s.any {
		narrowed.narrowBehind(event.Cursor{ID: s.from.id})
	}
	w.add("e.id >= ? AND e.id < ?", narrowed.first, narrowed.last)
	return w
}

// all is every key.
const all = -1

// query reads the next n keys behind the first skip.
func (s *stream) query(q *eventQuery, n, skip int) (text string, args []any) {
	w := s.bounded(q)
	text = "SELECT e.id, " + s.updated() + " FROM " + s.table + " WHERE " + w.sql() + s.order(q) + " LIMIT ? OFFSET ?"
	return text, append(w.args, n, skip)
}

func (s *stream) fill(ctx context.Context, q *eventQuery, n, skip int) error {
	text, args := s.query(q, n, skip)
	s.keys = s.keys[:0]
	var id sql.RawBytes
	k := eventKey{removed: s.removed}
	dest := []any{&id, &k.updated}
	err := q.each(ctx, func(r row) error {
		err := r.Scan(dest...)
		copy(k.id.UUID[:], id)
		s.keys = append(s.keys, k)
		return err
	}, text, args...)
	if len(s.keys) > 0 {
		s.from, s.any = s.keys[len(s.keys)-1], true
	}
	s.done = len(s.keys) < n
	return err
}

// rowsQuery reads the rows of the page, and one more, without looking for keys first.
func (s *stream) rowsQuery(q *eventQuery) (text string, args []any) {
	w := s.bounded(q)
	text = "SELECT " + readColumns + " FROM " + s.table + " LEFT JOIN addresses a ON a.workspace = e.workspace AND a.ordinal = e.ordinal WHERE " +
		w.sql() + s.order(q) + " LIMIT ?"
	return text, append(w.args, q.Limit+1)
}

func (s *stream) events(ctx context.Context, q *eventQuery) ([]event.Event, error) {
	b := newEventBatch(q.Limit + 1)
	text, args := s.rowsQuery(q)
	if err := q.each(ctx, b.scan, text, args...); err != nil {
		return nil, err
	}
	return b.events, b.resolve(ctx, q.view)
}

// updated is the column of the time of the update, where it is needed: not every index has it.
func (s *stream) updated() string {
	if s.stamped || s.byUpdate {
		return "e.updated_at"
	}
	return "0"
}

func (s *stream) order(q *eventQuery) string {
	order := " ORDER BY e.id"
	if s.byUpdate {
		order = " ORDER BY e.updated_at"
	}
	if q.desc() {
		order += " DESC"
	}
	return order
}

func (s *stream) count(ctx context.Context, q *eventQuery) (n int64, err error) {
	w := s.bounded(q)
	err = q.each(ctx, func(r row) error { return r.Scan(&n) }, "SELECT count(*) FROM "+s.table+" WHERE "+w.sql(), w.args...)
	return n, err
}
