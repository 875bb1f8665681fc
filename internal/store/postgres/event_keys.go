package postgres

import (
	"context"
	"slices"

	"monterey/internal/event"
	"monterey/internal/store/eventlist"
)

// part is events, or removals, that a list chooses.
type part struct {
	from    string // with the alias e
	removed string // SQL that says whether they were taken back
	where
}

// some are the events within the bounds of the query that the filter chooses, their campaigns and types left aside; args are
// those that the statement has before.
func (q *eventQuery) some(args []any) part {
	p := part{from: "events e", removed: "false", where: where{args: args}}
	q.choose(&p.where)
	if q.OneActor && q.Actor == event.Machine {
		p.add("e.actor <> 0")
	} else if q.OneActor {
		p.add("e.actor = 0")
	}
	if len(q.Classes) > 0 {
		p.add("e.class = ANY (?)", int64s(q.Classes))
	}
	if q.Changes() || q.ByUpdate() {
		p.add("e.updated_at >= ? AND e.updated_at < ?", q.Since, q.Until)
	}
	return p
}

// events are the events within the bounds of the query that the filter chooses.
func (q *eventQuery) events() part {
	p := q.some(nil)
	q.chooseKinds(&p.where)
	return p
}

// removals do not know who did it, or the class: whoever follows changes gets all that may have been chosen. What was taken
// back and came again is not among them; what was taken back twice is, twice. OFFSET has each looked up by itself: joined, all
// events might be read.
func (q *eventQuery) removals(args []any) part {
	p := part{from: "removals e", removed: "true", where: where{args: args}}
	q.choose(&p.where)
	q.chooseKinds(&p.where)
	p.add("e.updated_at >= ? AND e.updated_at < ?", q.Since, q.Until)
	p.add("NOT EXISTS (SELECT 1 FROM events x WHERE x.workspace_id = e.workspace_id AND x.id = e.id AND x.id >= ? AND x.id < ? OFFSET 0)", q.First, q.Last)
	return p
}

func (q *eventQuery) choose(w *where) {
	w.add("e.workspace_id = ?", q.ws)
	if q.bounded() || !q.ByUpdate() { // else they would seem to choose something
		w.add("e.id >= ? AND e.id < ?", q.First, q.Last)
	}
	if q.hashes != nil {
		w.add(ordinalSQL, q.ws, q.hashes)
	}
}

// ordinalSQL chooses events of the recipients with these hashes.
const ordinalSQL = "e.ordinal = ANY (ARRAY (SELECT ordinal FROM recipients WHERE workspace_id = ? AND hash = ANY (?)))"

func (q *eventQuery) chooseKinds(w *where) {
	equalOrAny(w, "e.campaign", q.nums)
	equalOrAny(w, "e.type", int64s(q.Types))
}

// equalOrAny says that a column has one of the values, if there are any. The rows of an index are in order for one alone.
func equalOrAny(w *where, column string, values []int64) {
	switch len(values) {
	case 0:
	case 1:
		w.add(column+" = ?", values[0])
	default:
		w.add(column+" = ANY (?)", values)
	}
}

func (p *part) sql(columns string) string {
	return "SELECT " + columns + " FROM " + p.from + " WHERE " + p.where.sql()
}

func (q *eventQuery) count(ctx context.Context, p part) (n int64, err error) {
	err = q.each(ctx, func(r row) error { return r.Scan(&n) }, p.sql("count(*)"), p.args...)
	return n, err
}

// read is all keys of a part, with the time of their update.
func (q *eventQuery) read(ctx context.Context, p part) ([]eventlist.Key, error) {
	return q.scanKeys(ctx, p.sql("e.id, e.updated_at, "+p.removed), p.args)
}

func (q *eventQuery) scanKeys(ctx context.Context, text string, args []any) (keys []eventlist.Key, err error) {
	var k eventlist.Key
	dest := []any{&k.ID, &k.Updated, &k.Removed}
	err = q.each(ctx, func(r row) error {
		err := r.Scan(dest...)
		keys = append(keys, k)
		return err
	}, text, args...)
	return keys, err
}

// gone are the removals with the newest of each event.
func (q *eventQuery) gone(ctx context.Context) ([]eventlist.Key, error) {
	keys, err := q.read(ctx, q.removals(nil))
	return eventlist.Newest(keys), err
}

// streams is how many stretches of an index, each in the order asked, hold the events chosen.
func (q *eventQuery) streams() int {
	if q.ByUpdate() {
		return 1
	}
	return streams(len(q.nums), q.Types)
}

// streams is how many stretches of an index, each sorted by id, hold the events of so many campaigns and of these types; none
// stand for all.
func streams(campaigns int, types []event.Type) int {
	switch {
	case campaigns == 0 && types == nil:
		return 1
	case campaigns == 0:
		return len(types)
	case types == nil:
		return campaigns * len(event.Types)
	}
	return campaigns * len(types)
}

// maxStreams is how many of them are read each for itself. Of more, the database finds out how.
const maxStreams = 32

// order puts what alias names in the order asked.
func (q *eventQuery) order(alias string) string {
	column := alias + ".id"
	if q.ByUpdate() {
		column = alias + ".updated_at"
	}
	if q.Desc() {
		column += " DESC"
	}
	return " ORDER BY " + column
}

// rowsSQL reads the rows of the page, and one more, behind the first skip. Of a single stream the rows themselves are in order;
// else each is looked up by its key.
func (q *eventQuery) rowsSQL(skip int) (text string, args []any) {
	if skip == 0 && q.streams() == 1 && q.hashes == nil {
		p := q.events()
		text = "SELECT " + readColumns + " FROM " + p.from + eventAddress + " WHERE " + p.where.sql() + q.order("e")
		return text + " LIMIT " + p.arg(q.Limit+1), p.args
	}
	text, args = q.keysSQL(q.Limit+1, skip)
	w := where{args: args}
	return "SELECT " + readColumns + " FROM (" + text + ") n CROSS JOIN LATERAL (SELECT * FROM events WHERE workspace_id = " + w.arg(q.ws) +
		" AND id = n.id AND id >= " + w.arg(q.First) + " AND id < " + w.arg(q.Last) + " OFFSET 0) e" + eventAddress + q.order("n"), w.args
}

// keys reads the next n keys behind the first skip.
func (q *eventQuery) keys(ctx context.Context, n, skip int) ([]eventlist.Key, error) {
	if !q.Changes() || q.ByUpdate() {
		text, args := q.keysSQL(n, skip)
		return q.scanKeys(ctx, text, args)
	}
	text, args := q.keysSQL(n+skip, 0)
	keys, err := q.scanKeys(ctx, text, args)
	if err != nil {
		return nil, err
	}
	gone, err := q.gone(ctx)
	keys = append(keys, gone...)
	slices.SortFunc(keys, q.Compare)
	keys = keys[min(skip, len(keys)):]
	return keys[:min(n, len(keys))], err
}

// keysSQL reads the next n keys behind the first skip: of one stream; of events and removals, where changes are asked for by
// update; of recipients, all of whose keys are sorted; or of a few streams, each as far as the page may reach.
func (q *eventQuery) keysSQL(n, skip int) (text string, args []any) {
	p := q.events()
	switch columns := "e.id, e.updated_at, "; {
	case q.ByUpdate() && q.Changes():
		events := p.sql(columns+p.removed) + q.order("e") + " LIMIT " + p.arg(n+skip)
		gone := q.removals(p.args)
		text = "SELECT * FROM ((" + events + ") UNION ALL (" + gone.sql(columns+gone.removed) + q.order("e") + " LIMIT " + gone.arg(n+skip) + ")) e"
		p.args = gone.args
	case q.hashes != nil: // whatever PostgreSQL thinks of an index in the order of the list
		text = "WITH found AS MATERIALIZED (" + p.sql(columns+p.removed) + ") SELECT * FROM found e"
	case q.ByUpdate():
		text = p.sql(columns + p.removed)
	case q.streams() > 1 && q.streams() <= maxStreams:
		text, p.args = q.streamsSQL(n + skip)
	default:
		text = p.sql("e.id, 0::bigint, " + p.removed)
	}
	return text + q.order("e") + " LIMIT " + p.arg(n) + " OFFSET " + p.arg(skip), p.args
}

// streamsSQL reads up to n keys of each stream.
func (q *eventQuery) streamsSQL(n int) (text string, args []any) {
	types := q.Types
	if types == nil {
		types = event.Types
	}
	p := q.some([]any{int64s(types)})
	streams := "unnest($1::smallint[]) t (type)"
	p.add("e.type = t.type")
	if len(q.nums) > 0 {
		streams += " CROSS JOIN unnest(" + p.arg(q.nums) + "::integer[]) c (num)"
		p.add("e.campaign = c.num")
	}
	return "SELECT e.* FROM " + streams + " CROSS JOIN LATERAL (" + p.sql("e.id, 0::bigint, "+p.removed) + q.order("e") + " LIMIT " + p.arg(n) + ") e", p.args
}
