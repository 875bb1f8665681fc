package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/recipient"
	"monterey/internal/rollup"
	"monterey/internal/store/eventlist"
	"monterey/internal/workspace"
)

// ListEvents implements event.Store. See eventQuery for which index answers what.
func (s *Store) ListEvents(ctx context.Context, c workspace.Caller, p event.ListParams) (out event.List, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	var asOf time.Time
	if s.inbox != nil && !p.NoTotal { // before the snapshot: what is counted until then is in it
		if asOf, err = s.AsOf(ctx, c); err != nil {
			return out, err
		}
	}
	err = s.read(ctx, "list events", func(tx *sql.Tx) error {
		out, err = listEvents(ctx, s.newView(tx, ws.num, time.Time{}), ws.key, p)
		return err
	})
	out.AsOf = asOf
	return out, err
}

func listEvents(ctx context.Context, v *view, key []byte, p event.ListParams) (out event.List, err error) {
	out.Items = []event.Event{}
	q, err := newEventQuery(ctx, v, key, p)
	if err != nil {
		return out, err
	}
	out.NewestUpdate = fromMicros(q.stamp)
	if q.Nothing {
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

// eventQuery is a list of events, its filter also in the numbers of the database.
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
	eventlist.Query
	campaigns      []campaign.ID // those that are there; nil = all
	nums           []int64       // of campaigns
	ordinals       []int64       // nil = all
	rows           where         // what must be looked up in the rows
	stamp, history int64         // counters
}

func newEventQuery(ctx context.Context, v *view, key []byte, p event.ListParams) (*eventQuery, error) {
	q := &eventQuery{view: v, Query: eventlist.New(p)}
	q.chooseRows()
	err := v.each(ctx, func(r row) error { return r.Scan(&q.stamp, &q.history) }, "SELECT stamp, history FROM counters WHERE workspace = ?", v.ws)
	if err != nil {
		return nil, err
	}
	if err := q.findCampaigns(ctx); err != nil {
		return nil, err
	}
	return q, q.findRecipients(ctx, key)
}

// chooseRows leaves to the rows what no index has.
func (q *eventQuery) chooseRows() {
	switch {
	case q.OneActor && q.Actor == event.Machine:
		q.rows.add("e.actor <> 0")
	case q.OneActor:
		q.rows.add("e.actor = 0")
	}
	if len(q.Classes) > 0 {
		q.rows.add("e.class IN (SELECT value FROM json_each(?))", listJSON(int64s(q.Classes)))
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
	q.Nothing = q.Nothing || len(q.ListParams.Campaigns) > 0 && len(q.nums) == 0
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
	q.Nothing = q.Nothing || len(q.Address) > 0 && len(q.ordinals) == 0
	return nil
}

// rolled is the Source and the campaign whose counts are those of the campaigns chosen.
func (q *eventQuery) rolled() (rollup.Source, campaign.ID) {
	switch len(q.campaigns) {
	case 0:
		return q.view, rollup.Workspace
	case 1:
		return q.view, q.campaigns[0]
	}
	return rollup.Several(q.view, q.campaigns), rollup.Workspace
}

// total is the exact number of events chosen, where they are not collected anyway.
func (q *eventQuery) total(ctx context.Context) (int64, error) {
	if !q.Changes() {
		src, c := q.rolled()
		return q.Total(ctx, src, c)
	}
	total, err := q.eventsByUpdate().count(ctx, q)
	if err != nil {
		return 0, err
	}
	if q.ByUpdate() {
		gone, err := q.removals().count(ctx, q)
		return total + gone, err
	}
	gone, err := q.gone(ctx)
	return total + int64(len(gone)), err
}

// page is the events of the page, and one more if there is more, and the exact total.
func (q *eventQuery) page(ctx context.Context) (events []event.Event, total int64, err error) {
	collected, err := q.collect(ctx)
	if err != nil {
		return nil, 0, err
	}
	if collected != nil {
		events, err = eventsOf(ctx, q.view, q.Cut(collected))
		return events, int64(len(collected)), err
	}
	if !q.NoTotal {
		if total, err = q.total(ctx); err != nil {
			return nil, 0, err
		}
	}
	src, c := q.rolled()
	skip, err := q.Narrow(ctx, src, c)
	if err != nil || q.Empty() {
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
