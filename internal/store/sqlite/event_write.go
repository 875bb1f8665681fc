package sqlite

import (
	"context"
	"crypto/sha256"
	"maps"
	"math"
	"slices"
	"time"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/ingest"
	"monterey/internal/recipient"
	"monterey/internal/rollup"
)

// insertRows is how many events one statement inserts. OR FAIL spares the statement journal that SQLite would keep to undo
// the statement alone; a failure undoes the whole transaction here.
const insertRows = 100

const eventColumns = 14

var insertEvents = map[bool]string{
	true:  insertText(insertRows),
	false: insertText(1),
}

func insertText(n int) string {
	return `INSERT OR FAIL INTO events (workspace, id, campaign, type, ordinal, updated_at, received_at, actor, class, source, link, delivery, ip, facts)
		VALUES ` + placeholders("("+placeholders("?", eventColumns)+")", n) + " ON CONFLICT (workspace, id) DO NOTHING"
}

// InsertEvents implements ingest.WorkspaceTx.
func (w *workspaceTx) InsertEvents(ctx context.Context, events []event.Event, from []delivery.ID) ([]bool, error) {
	links, err := w.links(ctx, events)
	if err != nil {
		return nil, err
	}
	inserted := make([]bool, len(events))
	args := make([]any, 0, insertRows*eventColumns)
	for start := 0; start < len(events); {
		n := insertRows
		if len(events)-start < n {
			n = 1
		}
		args = args[:0]
		for i := start; i < start+n; i++ {
			if args, err = w.eventArgs(ctx, args, &events[i], from[i], links[i]); err != nil {
				return nil, err
			}
		}
		res, err := w.exec(ctx, insertEvents[n == insertRows], args...)
		if err != nil {
			return nil, err
		}
		done, err := res.RowsAffected()
		if err != nil {
			return nil, err
		}
		if err := w.markInserted(ctx, events[start:start+n], inserted[start:start+n], int(done)); err != nil {
			return nil, err
		}
		start += n
	}
	return inserted, nil
}

// markInserted finds out which of these events the last statement inserted: all or none where the number says so, else
// those that carry the stamp they were offered with.
func (w *workspaceTx) markInserted(ctx context.Context, events []event.Event, inserted []bool, done int) error {
	if done == 0 {
		return nil
	}
	for i := range events {
		if done == len(events) {
			inserted[i] = true
			continue
		}
		err := w.each(ctx, func(r row) error {
			var stamp int64
			err := r.Scan(&stamp)
			inserted[i] = stamp == micros(events[i].UpdatedAt)
			return err
		}, "SELECT updated_at FROM events WHERE workspace = ? AND id = ?", w.ws, events[i].ID.UUID[:])
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *workspaceTx) eventArgs(ctx context.Context, args []any, e *event.Event, from delivery.ID, link int64) ([]any, error) {
	num, err := w.must(ctx, e.Campaign)
	if err != nil {
		return nil, err
	}
	first, err := w.deliveryNum(ctx, from)
	if err != nil {
		return nil, err
	}
	var rule event.Rule
	if e.Actor == event.Machine {
		rule = event.ClickBurst
	}
	return append(args, w.ws, e.ID.UUID[:], num, int64(e.Type), int64(e.Recipient), micros(e.UpdatedAt), micros(e.ReceivedAt), int64(rule),
		int64(e.Class), int64(e.Source), link, first, null(e.Facts.IP), null(e.Facts.Other())), nil
}

// deliveryNum is the number under which a delivery is stored.
func (w *workspaceTx) deliveryNum(ctx context.Context, id delivery.ID) (int64, error) {
	epoch, seq := id.Place()
	number, ok := w.epochs[epoch]
	if !ok {
		if err := w.tx.QueryRowContext(ctx, "SELECT number FROM marks WHERE epoch = ?", int64(epoch)).Scan(&number); err != nil {
			return 0, err
		}
		w.epochs[epoch] = number
	}
	return number<<40 | seq, nil
}

// links finds the number of each event's link, 0 for events without, and makes the unknown ones. A link keeps its first URL.
func (w *workspaceTx) links(ctx context.Context, events []event.Event) ([]int64, error) {
	out := make([]int64, len(events))
	for i := range events {
		e := &events[i]
		if e.Link == (event.Link{}) {
			continue
		}
		num, err := w.must(ctx, e.Campaign)
		if err != nil {
			return nil, err
		}
		key := e.Link.Key()
		k := linkKey{num, sha256.Sum256([]byte(key))}
		if out[i] = w.linkNum(k); out[i] != 0 {
			continue
		}
		err = w.each(ctx, func(r row) error { return r.Scan(&out[i]) },
			"SELECT num FROM links WHERE workspace = ? AND campaign = ? AND key = ?", w.ws, num, key)
		if err == nil && out[i] == 0 {
			if out[i], err = w.next(ctx, "link", 1); err == nil {
				_, err = w.exec(ctx, "INSERT INTO links (workspace, num, campaign, key, link_id, url) VALUES (?, ?, ?, ?, ?, ?)",
					w.ws, out[i], num, key, e.Link.ID, e.Link.URL)
			}
		}
		if err != nil {
			return nil, err
		}
		w.linkNums[k] = out[i]
	}
	return out, nil
}

// linkKey is a link of a campaign, by the hash of what tells it from others.
type linkKey struct {
	campaign int64
	key      [sha256.Size]byte
}

// linkNum is the number of a link that this transaction or one before it has found, or 0.
func (w *workspaceTx) linkNum(k linkKey) int64 {
	if num := w.linkNums[k]; num != 0 {
		return num
	}
	num, _ := w.t.s.links.Get(w.ws, k)
	return num
}

// AddReports implements ingest.WorkspaceTx.
func (w *workspaceTx) AddReports(ctx context.Context, reports []ingest.Report) error {
	for _, r := range reports {
		num, err := w.deliveryNum(ctx, r.Delivery)
		if err != nil {
			return err
		}
		if _, err := w.exec(ctx, `INSERT INTO reports (workspace, event, delivery) SELECT workspace, id, ? FROM events
			WHERE workspace = ? AND id = ? AND delivery <> ? ON CONFLICT DO NOTHING`, num, w.ws, r.Event.UUID[:], num); err != nil {
			return err
		}
	}
	return nil
}

// RemoveReports implements ingest.WorkspaceTx.
func (w *workspaceTx) RemoveReports(ctx context.Context, from delivery.ID, ids []event.ID) ([]event.Event, error) {
	num, err := w.deliveryNum(ctx, from)
	if err != nil {
		return nil, err
	}
	var gone []event.Event
	for _, id := range ids {
		if _, err := w.exec(ctx, "DELETE FROM reports WHERE workspace = ? AND event = ? AND delivery = ?", w.ws, id.UUID[:], num); err != nil {
			return nil, err
		}
		// Another delivery's report takes this one's place, if there is another.
		if _, err := w.exec(ctx, `UPDATE events SET delivery = (SELECT min(r.delivery) FROM reports r WHERE r.workspace = events.workspace AND r.event = events.id)
			WHERE workspace = ? AND id = ? AND delivery = ? AND EXISTS (SELECT 1 FROM reports r WHERE r.workspace = events.workspace AND r.event = events.id)`,
			w.ws, id.UUID[:], num); err != nil {
			return nil, err
		}
		if _, err := w.exec(ctx, `DELETE FROM reports WHERE workspace = ? AND event = ?
			AND delivery = (SELECT delivery FROM events WHERE workspace = ? AND id = ?)`, w.ws, id.UUID[:], w.ws, id.UUID[:]); err != nil {
			return nil, err
		}
		e, first, err := w.eventOf(ctx, id)
		if err != nil {
			return nil, err
		}
		if first != num {
			continue
		}
		if err := w.deleteEvent(ctx, e); err != nil {
			return nil, err
		}
		gone = append(gone, e)
	}
	return gone, nil
}

// eventOf reads what counts of an event, and which delivery is the first that is known to have reported it: 0 where there is
// no such event.
func (w *workspaceTx) eventOf(ctx context.Context, id event.ID) (e event.Event, first int64, err error) {
	err = w.each(ctx, func(r row) error {
		var kind, ordinal, class, actor int64
		e = event.Event{ID: id, OccurredAt: id.Time()}
		err := r.Scan(&e.Campaign, &kind, &ordinal, &class, &actor, &first)
		e.Type, e.Recipient, e.Class, e.Actor = event.Type(kind), recipient.Ordinal(ordinal), bounce.Class(class), event.Rule(actor).Actor()
		return err
	}, `SELECT coalesce(c.id, zeroblob(16)), e.type, e.ordinal, e.class, e.actor, e.delivery FROM events e
		LEFT JOIN campaigns c ON c.workspace = e.workspace AND c.num = e.campaign
		WHERE e.workspace = ? AND e.id = ?`, w.ws, id.UUID[:])
	return e, first, err
}

// Removed implements ingest.WorkspaceTx.
func (w *workspaceTx) Removed(ctx context.Context, events []event.Event) error {
	for _, e := range events {
		there := false
		err := w.each(ctx, func(row) error { there = true; return nil }, "SELECT 1 FROM events WHERE workspace = ? AND id = ?", w.ws, e.ID.UUID[:])
		if err != nil {
			return err
		}
		if there {
			continue
		}
		stamp, err := w.Stamps(ctx, 1)
		if err != nil {
			return err
		}
		num, err := w.must(ctx, e.Campaign)
		if err != nil {
			return err
		}
		if _, err := w.exec(ctx, "INSERT INTO removals (workspace, updated_at, id, type, ordinal, campaign) VALUES (?, ?, ?, ?, ?, ?)",
			w.ws, micros(stamp), e.ID.UUID[:], int64(e.Type), int64(e.Recipient), num); err != nil {
			return err
		}
	}
	return nil
}

// FactsByCampaign implements ingest.WorkspaceTx.
func (w *workspaceTx) FactsByCampaign(ctx context.Context, from, to int64, f func(campaign.ID, rollup.Fact) error) error {
	ids, err := w.campaignIDs(ctx)
	if err != nil {
		return err
	}
	first, last := idRange(from, to)
	var id []byte
	var num, ordinal, kind, class, actor int64
	return w.each(ctx, func(r row) error {
		if err := r.Scan(&id, &num, &ordinal, &kind, &class, &actor); err != nil {
			return err
		}
		return f(ids[num], rollup.Fact{At: secondOf(id), Recipient: recipient.Ordinal(ordinal), Type: event.Type(kind), Class: bounce.Class(class), Actor: event.Rule(actor).Actor()})
	}, "SELECT id, campaign, ordinal, type, class, actor FROM events WHERE workspace = ? AND id >= ? AND id < ? ORDER BY id", w.ws, first, last)
}

// campaignIDs are all by number, 0 for none too. They are read once.
func (w *workspaceTx) campaignIDs(ctx context.Context) (map[int64]campaign.ID, error) {
	if w.ids != nil {
		return w.ids, nil
	}
	ids := map[int64]campaign.ID{0: {}}
	err := w.each(ctx, func(r row) error {
		var num int64
		var id campaign.ID
		err := r.Scan(&num, &id)
		ids[num] = id
		w.nums[id] = num
		return err
	}, "SELECT num, id FROM campaigns WHERE workspace = ?", w.ws)
	if err == nil {
		w.ids = ids
	}
	return ids, err
}

// CampaignIDs implements ingest.WorkspaceTx.
func (w *workspaceTx) CampaignIDs(ctx context.Context) ([]campaign.ID, error) {
	all, err := w.campaignIDs(ctx)
	if err != nil {
		return nil, err
	}
	var out []campaign.ID
	for num, id := range all {
		some := false
		err := w.each(ctx, func(row) error { some = true; return nil }, "SELECT 1 FROM rollups WHERE workspace = ? AND campaign = ? LIMIT 1", w.ws, num)
		if err != nil {
			return nil, err
		}
		if some {
			out = append(out, id)
		}
	}
	return out, nil
}

// Days implements ingest.WorkspaceTx. Events are asked for day by day, so that all of a day but its first are jumped over.
func (w *workspaceTx) Days(ctx context.Context) ([]int64, error) {
	all, err := w.campaignIDs(ctx)
	if err != nil {
		return nil, err
	}
	days := map[int64]bool{}
	add := func(r row) error {
		var bucket int64
		err := r.Scan(&bucket)
		days[rollup.Day.Bucket(bucket)] = true
		return err
	}
	const rows = "SELECT bucket FROM rollups WHERE workspace = ? AND campaign = ? AND span = ?"
	for num := range all {
		if err := w.each(ctx, add, rows, w.ws, num, int64(rollup.Day)); err != nil {
			return nil, err
		}
	}
	for _, span := range []rollup.Span{rollup.Hour, rollup.Day} {
		if err := w.each(ctx, add, rows, w.ws, -1, int64(span)); err != nil {
			return nil, err
		}
	}
	for next, more := event.FirstIn(math.MinInt64), true; more; {
		more = false
		err := w.each(ctx, func(r row) error {
			var id event.ID
			err := r.Scan(&id)
			day := rollup.Day.Bucket(id.Time().Unix())
			days[day], next, more = true, event.FirstIn(day+rollup.DaySeconds), true
			return err
		}, "SELECT id FROM events WHERE workspace = ? AND id >= ? ORDER BY id LIMIT 1", w.ws, next.UUID[:])
		if err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(days)), nil
}

// HumanMark implements ingest.WorkspaceTx.
func (w *workspaceTx) HumanMark(ctx context.Context) (seen, newest time.Time, err error) {
	err = w.each(ctx, func(r row) error {
		var human, stamp int64
		err := r.Scan(&human, &stamp)
		seen, newest = fromMicros(human), fromMicros(stamp)
		return err
	}, "SELECT human, stamp FROM counters WHERE workspace = ?", w.ws)
	return seen, newest, err
}

// SetHumanMark implements ingest.WorkspaceTx.
func (w *workspaceTx) SetHumanMark(ctx context.Context, seen, asOf time.Time) error {
	_, err := w.exec(ctx, "UPDATE counters SET human = ?, human_as_of = max(human_as_of, ?) WHERE workspace = ?", micros(seen), micros(asOf), w.ws)
	return err
}

// ClicksChanged implements ingest.WorkspaceTx.
func (w *workspaceTx) ClicksChanged(ctx context.Context, after, until time.Time, limit int) (at []int64, read time.Time, err error) {
	read = until
	n := 0
	var stamp int64
	take := func(r row) error {
		var id []byte
		var kind int64
		if err := r.Scan(&id, &stamp, &kind); err != nil {
			return err
		}
		if event.Type(kind) == event.Click {
			at = append(at, secondOf(id))
		}
		return nil
	}
	err = w.each(ctx, func(r row) error { n++; return take(r) }, `SELECT id, updated_at, type FROM events INDEXED BY events_by_update
		WHERE workspace = ? AND updated_at > ? AND updated_at <= ? ORDER BY updated_at LIMIT ?`, w.ws, micros(after), micros(until), limit)
	if err != nil {
		return nil, read, err
	}
	if n == limit {
		read = fromMicros(stamp)
	}
	err = w.each(ctx, take,
		"SELECT id, updated_at, type FROM removals WHERE workspace = ? AND updated_at > ? AND updated_at <= ?", w.ws, micros(after), micros(read))
	return at, read, err
}

// Clicks implements ingest.WorkspaceTx.
func (w *workspaceTx) Clicks(ctx context.Context, in []ingest.Range, f func(ingest.Click) error) error {
	ids, err := w.campaignIDs(ctx)
	if err != nil {
		return err
	}
	var num, ordinal, actor int64
	var c ingest.Click
	take := func(r row) error {
		if err := r.Scan(&c.ID, &num, &ordinal, &c.Link, &actor); err != nil {
			return err
		}
		c.At, c.Campaign, c.Recipient, c.Rule = secondOf(c.ID.UUID[:]), ids[num], recipient.Ordinal(ordinal), event.Rule(actor)
		return f(c)
	}
	for _, r := range in {
		first, last := idRange(r.From, r.To+1)
		if err := w.each(ctx, take, `SELECT id, campaign, ordinal, link, actor FROM events INDEXED BY events_by_type
			WHERE workspace = ? AND type = ? AND id >= ? AND id < ? ORDER BY id`, w.ws, int64(event.Click), first, last); err != nil {
			return err
		}
	}
	return nil
}

// SetRules implements ingest.WorkspaceTx.
func (w *workspaceTx) SetRules(ctx context.Context, ids []event.ID, rules []event.Rule) error {
	stamp, err := w.Stamps(ctx, len(ids))
	if err != nil {
		return err
	}
	for i, id := range ids {
		if _, err := w.exec(ctx, "UPDATE events SET actor = ?, updated_at = ? WHERE workspace = ? AND id = ?",
			int64(rules[i]), micros(stamp)+int64(i), w.ws, id.UUID[:]); err != nil {
			return err
		}
	}
	return nil
}
