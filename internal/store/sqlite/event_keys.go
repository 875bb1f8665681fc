package sqlite

import (
	"context"
	"database/sql"
	"slices"

	"monterey/internal/event"
	"monterey/internal/store/eventlist"
)

// stream reads keys in the order asked from one index; its bounds are those of the query.
type stream struct {
	table    string // with the alias e
	where    where  // without the bounds of what it is sorted by
	removed  bool   // its events were taken back
	byUpdate bool   // it is sorted by update, else by id
	stamped  bool   // the times of updates are wanted, in whatever order

	keys  []eventlist.Key // read ahead
	ahead int             // how many to read next, where streams are merged
	done  bool            // there are no more than keys
	from  eventlist.Key   // the last that was read
	any   bool            // from is set
}

// streams are where the list is read from, in the order asked.
func (q *eventQuery) streams(ctx context.Context) ([]*stream, error) {
	if q.ByUpdate() {
		return q.updateStreams(), nil
	}
	out := q.timeStreams()
	if !q.Changes() {
		return out, nil
	}
	gone, err := q.gone(ctx)
	if err != nil {
		return nil, err
	}
	removed := &stream{keys: gone, done: true}
	removed.keys = slices.DeleteFunc(removed.keys, func(k eventlist.Key) bool {
		return k.ID.Compare(q.First) < 0 || k.ID.Compare(q.Last) >= 0 // behind a cursor, or before
	})
	slices.SortFunc(removed.keys, q.Compare)
	return append(out, removed), nil
}

// timeStreams are the events chosen, sorted by id.
func (q *eventQuery) timeStreams() (out []*stream) {
	w := q.rows
	if q.Changes() {
		w.add("e.updated_at >= ?", q.Since)
	}
	add := func(index string, equal where) {
		equal.conds, equal.args = append(equal.conds, w.conds...), append(equal.args, w.args...)
		out = append(out, &stream{table: "events e" + index, where: equal})
	}
	types := q.Types
	switch {
	case len(q.nums) == 0 && types == nil:
		add("", equals("e.workspace = ?", q.ws))
	case len(q.nums) == 0:
		for _, t := range types {
			add(" INDEXED BY events_by_type", equals("e.workspace = ? AND e.type = ?", q.ws, int64(t)))
		}
	default:
		if types == nil {
			types = event.Types
		}
		for _, c := range q.nums {
			for _, t := range types {
				add(" INDEXED BY events_by_campaign", equals("e.workspace = ? AND e.campaign = ? AND e.type = ?", q.ws, c, int64(t)))
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
	if !q.Changes() {
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

// gone are the removals with the newest of each event.
func (q *eventQuery) gone(ctx context.Context) ([]eventlist.Key, error) {
	keys, err := q.read(ctx, q.removals())
	return eventlist.Newest(keys), err
}

// chosen are the conditions that events and removals share. The + keeps what is looked up in rows from being taken for a
// place in an index.
func (q *eventQuery) chosen() (w where) {
	w.add("e.workspace = ?", q.ws)
	if !q.From.IsZero() || !q.To.IsZero() {
		w.add("e.id >= ? AND e.id < ?", q.First.UUID[:], q.Last.UUID[:])
	}
	if q.Types != nil {
		w.add("+e.type IN (SELECT value FROM json_each(?))", listJSON(int64s(q.Types)))
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
	narrowed := q.Query
	if s.any {
		narrowed.NarrowBehind(s.from)
	}
	if s.byUpdate {
		w.add("e.updated_at >= ? AND e.updated_at < ?", narrowed.Since, narrowed.Until)
	} else {
		w.add("e.id >= ? AND e.id < ?", narrowed.First.UUID[:], narrowed.Last.UUID[:])
	}
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
	k := eventlist.Key{Removed: s.removed}
	dest := []any{&id, &k.Updated}
	err := q.each(ctx, func(r row) error {
		err := r.Scan(dest...)
		copy(k.ID.UUID[:], id)
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
	if q.Desc() {
		order += " DESC"
	}
	return order
}

func (s *stream) count(ctx context.Context, q *eventQuery) (n int64, err error) {
	w := s.bounded(q)
	err = q.each(ctx, func(r row) error { return r.Scan(&n) }, "SELECT count(*) FROM "+s.table+" WHERE "+w.sql(), w.args...)
	return n, err
}
