package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"math"
	"slices"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/recipient"
	"monterey/internal/rollup"
	"monterey/internal/workspace"
)

// ListEvents implements event.Store. See eventQuery for which index answers what.
func (s *Store) ListEvents(ctx context.Context, c workspace.Caller, p event.ListParams) (out event.List, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	err = s.read(ctx, "list events", func(tx *sql.Tx) error {
		out, err = listEvents(ctx, s.newView(tx, ws.num, time.Time{}), ws.key, p)
		return err
	})
	return out, err
}

func listEvents(ctx context.Context, v *view, key []byte, p event.ListParams) (out event.List, err error) {
	out.Items = []event.Event{}
	q, err := newEventQuery(ctx, v, key, p)
	if err != nil {
		return out, err
	}
	out.NewestUpdate = fromMicros(q.stamp)
	if q.nothing {
		return out, nil
	}
	if out.Items, out.Total, err = q.page(ctx); err != nil {
		return out, err
	}
	if len(out.Items) > p.Limit {
		out.Items, out.More = out.Items[:p.Limit], true
	}
	return out, nil
}

// eventQuery is a list of events, its filter in the numbers of the database.
//
// The list is read as keys, 16 bytes each, from indexes that hold them in the order asked, and then the rows of those that
// are on the page:
//
//   - by time, everything: the primary key; of types: events_by_type, a stream each; of campaigns: events_by_campaign, a
//     stream for each campaign and type; the streams are merged;
//   - by update: events_by_update;
//   - of recipients, or of what was updated lately but by time: the keys chosen are collected and sorted (collect).
//
// What no index holds (actor, class) is looked up in the rows while a stream is read. Events that were taken back are a
// stream of their own.
type eventQuery struct {
	*view
	event.ListParams
	nothing        bool          // the filter can choose nothing
	campaigns      []campaign.ID // those that are there; nil = all
	nums           []int64       // of campaigns
	types          []int64       // nil = all
	ordinals       []int64       // nil = all
	rows           where         // what must be looked up in the rows
	first, last    []byte        // ids: first <= id < last
	since          int64         // updated_at >= since
	until          int64         // updated_at < until
	stamp, history int64         // counters
}

func newEventQuery(ctx context.Context, v *view, key []byte, p event.ListParams) (*eventQuery, error) {
	q := &eventQuery{view: v, ListParams: p, first: make([]byte, 16), last: firstID(math.MaxInt64), until: math.MaxInt64}
	if !p.From.IsZero() {
		first := event.FirstAt(p.From)
		q.first = first.UUID[:]
	}
	if !p.To.IsZero() {
		last := event.FirstAt(p.To)
		q.last = last.UUID[:]
	}
	if !p.UpdatedFrom.IsZero() {
		q.since = ceilMicros(p.UpdatedFrom)
	}
	q.chooseTypes()
	err := v.each(ctx, func(r row) error { return r.Scan(&q.stamp, &q.history) }, "SELECT stamp, history FROM counters WHERE workspace = ?", v.ws)
	if err != nil {
		return nil, err
	}
	if err := q.findCampaigns(ctx); err != nil {
		return nil, err
	}
	err = q.findRecipients(ctx, key)
	q.nothing = q.nothing || bytes.Compare(q.first, q.last) >= 0
	return q, err
}

// chooseTypes narrows the types by what only some types can have, and leaves to the rows what is left of the filter.
func (q *eventQuery) chooseTypes() {
	types := event.Types
	narrow := func(to []event.Type) {
		types = slices.DeleteFunc(slices.Clone(types), func(t event.Type) bool { return !slices.Contains(to, t) })
	}
	if len(q.Types) > 0 {
		narrow(q.Types)
	}
	human, machine := slices.Contains(q.Actor, event.Human), slices.Contains(q.Actor, event.Machine)
	switch {
	case machine && !human:
		narrow([]event.Type{event.Open, event.Click})
		q.rows.add("e.actor <> 0")
	case human && !machine:
		q.rows.add("e.actor = 0")
	}
	if len(q.Classes) > 0 {
		narrow([]event.Type{event.Bounce})
		q.rows.add("e.class IN (SELECT value FROM json_each(?))", listJSON(int64s(q.Classes)))
	}
	if len(types) == 0 {
		q.nothing = true
	}
	if len(types) < len(event.Types) {
		q.types = int64s(types)
	}
}

func int64s[T ~uint8 | ~uint32](of []T) []int64 {
	out := make([]int64, len(of))
	for i, v := range of {
		out[i] = int64(v)
	}
	return out
}

func (q *eventQuery) findCampaigns(ctx context.Context) error {
	for _, id := range q.ListParams.Campaigns {
		num, ok, err := q.num(ctx, id)
		if err != nil {
			return err
		}
		if ok && num >= 0 && !slices.Contains(q.nums, num) {
			q.campaigns, q.nums = append(q.campaigns, id), append(q.nums, num)
		}
	}
	q.nothing = q.nothing || len(q.ListParams.Campaigns) > 0 && len(q.nums) == 0
	return nil
}

func (q *eventQuery) findRecipients(ctx context.Context, key []byte) error {
	for _, address := range q.Address {
		hash := recipient.HashOf(key, address)
		err := q.each(ctx, func(r row) error {
			var ordinal int64
			err := r.Scan(&ordinal)
			q.ordinals = append(q.ordinals, ordinal)
			return err
		}, "SELECT ordinal FROM recipients WHERE workspace = ? AND hash = ?", q.ws, hash[:])
		if err != nil {
			return err
		}
	}
	slices.Sort(q.ordinals)
	q.ordinals = slices.Compact(q.ordinals)
	q.nothing = q.nothing || len(q.Address) > 0 && len(q.ordinals) == 0
	return nil
}

// selection is the filter as far as rollups know it.
func (q *eventQuery) selection() rollup.Selection {
	return rollup.Selection{Types: q.Types, Actors: q.Actor, Classes: q.Classes}
}

// seconds are the ends of the range for rollups.
func (q *eventQuery) seconds() (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	if !q.From.IsZero() {
		from = ceilSecond(q.From)
	}
	if !q.To.IsZero() {
		to = ceilSecond(q.To)
	}
	return from, to
}

func ceilMicros(t time.Time) int64 {
	if t.Nanosecond()%int(time.Microsecond) != 0 {
		return t.UnixMicro() + 1
	}
	return t.UnixMicro()
}

func ceilSecond(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// rolled is the Source and the campaign whose counts are those of the campaigns chosen.
func (q *eventQuery) rolled() (rollup.Source, campaign.ID) {
	switch len(q.campaigns) {
	case 0:
		return q.view, rollup.Workspace
	case 1:
		return q.view, q.campaigns[0]
	}
	return manyCampaigns{q.view, q.campaigns, q.nums}, rollup.Workspace
}

// total is the exact number of events chosen, where they are not collected anyway.
func (q *eventQuery) total(ctx context.Context) (int64, error) {
	if !q.changes() {
		src, c := q.rolled()
		from, to := q.seconds()
		return rollup.CountEvents(ctx, src, c, q.selection(), from, to)
	}
	total, err := q.eventsByUpdate().count(ctx, q)
	if err != nil {
		return 0, err
	}
	if q.byUpdate() {
		gone, err := q.removals().count(ctx, q)
		return total + gone, err
	}
	gone, err := q.gone(ctx)
	return total + int64(len(gone)), err
}

// changes says whether what changed since some time is asked for, and so what was taken back too.
func (q *eventQuery) changes() bool { return !q.UpdatedFrom.IsZero() }

func (q *eventQuery) byUpdate() bool {
	return q.Order == event.UpdatedFirst || q.Order == event.UpdatedLatest
}

func (q *eventQuery) desc() bool {
	return q.Order == event.NewestFirst || q.Order == event.UpdatedLatest
}

// compare is the order asked for.
func (q *eventQuery) compare(a, b eventKey) int {
	d := 0
	if q.byUpdate() {
		d = cmp.Compare(a.updated, b.updated)
	}
	if d == 0 {
		d = bytes.Compare(a.id.UUID[:], b.id.UUID[:])
	}
	if q.desc() {
		return -d
	}
	return d
}

// page is the events of the page, and one more if there is more, and the exact total.
func (q *eventQuery) page(ctx context.Context) (events []event.Event, total int64, err error) {
	collected, err := q.collect(ctx)
	if err != nil {
		return nil, 0, err
	}
	if collected != nil {
		events, err = eventsOf(ctx, q.view, q.cut(collected))
		return events, int64(len(collected)), err
	}
	if !q.NoTotal {
		if total, err = q.total(ctx); err != nil {
			return nil, 0, err
		}
	}
	skip, err := q.narrow(ctx)
	if err != nil || bytes.Compare(q.first, q.last) >= 0 {
		return []event.Event{}, total, err
	}
	streams, err := q.streams(ctx)
	if err != nil {
		return nil, 0, err
	}
	if len(streams) == 1 && skip == 0 {
		events, err = streams[0].events(ctx, q)
		return events, total, err
	}
	keys, err := q.merge(ctx, streams, skip)
	if err != nil {
		return nil, 0, err
	}
	events, err = eventsOf(ctx, q.view, keys)
	return events, total, err
}

// cut is the page of all keys.
func (q *eventQuery) cut(all []eventKey) []eventKey {
	from := q.Offset
	if q.After != nil {
		after := eventKey{id: q.After.ID, updated: micros(q.After.UpdatedAt)}
		var found bool
		if from, found = slices.BinarySearchFunc(all, after, q.compare); found {
			from++
		}
	}
	from = min(from, len(all))
	return all[from:min(from+q.Limit+1, len(all))]
}

// seekFrom is the offset from which seeking costs less than reading the keys before the page.
const seekFrom = 500

// narrow moves the bounds to where the page begins, and says how many keys come before it from there.
func (q *eventQuery) narrow(ctx context.Context) (skip int, err error) {
	if q.After != nil {
		q.narrowBehind(*q.After)
		return 0, nil
	}
	if q.Offset < seekFrom || q.byUpdate() || q.changes() {
		return q.Offset, nil
	}
	src, c := q.rolled()
	from, to := q.seconds()
	from, to, rest, err := rollup.Seek(ctx, src, c, q.selection(), from, to, int64(q.Offset), q.desc())
	if err != nil {
		return 0, err
	}
	q.first, q.last = later(q.first, firstID(from)), earlier(q.last, firstID(to))
	return int(rest), nil
}

// narrowBehind makes the cursor a bound of the keys: SQLite does not seek on a pair of columns with another bound.
func (q *eventQuery) narrowBehind(after event.Cursor) {
	id, updated := after.ID, micros(after.UpdatedAt)
	switch q.Order {
	case event.NewestFirst:
		q.last = earlier(q.last, id.UUID[:])
	case event.OldestFirst:
		for i := len(id.UUID) - 1; i >= 0; i-- { // the next id
			if id.UUID[i]++; id.UUID[i] != 0 {
				break
			}
		}
		q.first = later(q.first, id.UUID[:])
	case event.UpdatedFirst:
		q.since = max(q.since, updated+1)
	case event.UpdatedLatest:
		q.until = min(q.until, updated)
	}
}

func later(a, b []byte) []byte {
	if bytes.Compare(a, b) > 0 {
		return a
	}
	return b
}

func earlier(a, b []byte) []byte {
	if bytes.Compare(a, b) < 0 {
		return a
	}
	return b
}
