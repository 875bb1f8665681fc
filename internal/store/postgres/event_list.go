package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

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
	err = s.read(ctx, "list events", func(tx pgx.Tx) error {
		out, err = listEvents(ctx, newView(tx, ws.num, time.Time{}), ws.key, p)
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
// The list is read as keys from indexes that hold them in the order asked, and then the rows of those that are on the page:
//
//   - by time, everything: the primary key; of a type: events_by_type; of a campaign and a type: events_by_campaign; of several
//     of them each for itself as far as the page reaches, then sorted (keysSQL);
//   - by update: events_by_update;
//   - of recipients, or of what was updated lately but by time: the keys chosen are collected and sorted (collect).
//
// What no index holds (actor, class) is looked up in the rows. The bounds of the ids leave the partitions that hold them; these
// are in the order of their ids, so that reading one after the other needs no sorting.
type eventQuery struct {
	*view
	eventlist.Query
	campaigns []campaign.ID // those that are there; nil = all
	nums      []int64       // of campaigns
	ordinals  []int64       // nil = all
	stamp     int64         // counters.stamp
}

func newEventQuery(ctx context.Context, v *view, key []byte, p event.ListParams) (*eventQuery, error) {
	q := &eventQuery{view: v, Query: eventlist.New(p)}
	if err := q.begin(ctx); err != nil {
		return nil, err
	}
	if err := q.findCampaigns(ctx); err != nil {
		return nil, err
	}
	if len(q.Address) == 0 {
		return q, nil
	}
	ordinals, err := v.ordinalsOf(ctx, key, q.Address)
	slices.Sort(ordinals)
	q.ordinals = slices.DeleteFunc(slices.Compact(ordinals), func(o int64) bool { return o == 0 })
	q.Nothing = q.Nothing || len(q.ordinals) == 0
	return q, err
}

// begin reads the stamp and says how statements are planned from here on. Planning for all partitions takes longer than most
// pages do, so it is done once where one index is best whatever the values are: the planner finds it when it may not do without.
func (q *eventQuery) begin(ctx context.Context) error {
	mode, unordered := "force_custom_plan", "on"
	if q.onePlan() {
		mode, unordered = "force_generic_plan", "off"
	}
	return q.each(ctx, func(r row) error { return r.Scan(&q.stamp, nil) }, `SELECT stamp, set_config('plan_cache_mode', $2, true) ||
		set_config('enable_seqscan', $3, true) || set_config('enable_bitmapscan', $3, true) FROM counters WHERE workspace_id = $1`, q.ws, mode, unordered)
}

// onePlan says whether one plan is best for all lists of this form.
func (q *eventQuery) onePlan() bool {
	switch {
	case len(q.Address) > 0:
		return true
	case q.ByUpdate():
		return len(q.ListParams.Campaigns) == 0 && q.Types == nil && !q.OneActor && !q.bounded()
	case q.Changes():
		return false
	}
	return streams(len(q.ListParams.Campaigns), q.Types) <= maxStreams
}

// bounded says whether the ids have bounds.
func (q *eventQuery) bounded() bool {
	return q.First != event.ID{} || q.Last != event.ID{UUID: uuid.Max}
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

func int64s[T ~uint8 | ~uint32](of []T) []int64 {
	out := make([]int64, len(of))
	for i, v := range of {
		out[i] = int64(v)
	}
	return out
}

// ordinalsOf are the recipients with these normalised addresses, 0 for one who is not known.
func (v *view) ordinalsOf(ctx context.Context, key []byte, addresses []string) ([]int64, error) {
	ordinals := make([]int64, len(addresses))
	var i, o int64
	return ordinals, v.each(ctx, func(r row) error {
		err := r.Scan(&i, &o)
		ordinals[i-1] = o
		return err
	}, "SELECT n.i, r.ordinal FROM unnest($2::uuid[]) WITH ORDINALITY n (hash, i) JOIN recipients r ON r.workspace_id = $1 AND r.hash = n.hash",
		v.ws, recipient.HashesOf(key, addresses))
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
	total, err := q.count(ctx, q.events())
	if err != nil {
		return 0, err
	}
	if q.ByUpdate() {
		gone, err := q.count(ctx, q.removals(nil))
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
	skip, err := q.narrow(ctx)
	if err != nil || q.Empty() {
		return []event.Event{}, total, err
	}
	if skip == 0 && q.streams() == 1 && !q.Changes() {
		events, err = q.rows(ctx)
		return events, total, err
	}
	keys, err := q.keys(ctx, q.Limit+1, skip)
	if err != nil {
		return nil, 0, err
	}
	events, err = eventsOf(ctx, q.view, keys)
	return events, total, err
}

// narrow moves the bounds to where the page begins, and says how many keys come before it from there.
func (q *eventQuery) narrow(ctx context.Context) (skip int, err error) {
	src, c := q.rolled()
	if q.streams() > maxStreams && !q.Changes() {
		return q.NarrowAround(ctx, src, c)
	}
	return q.Narrow(ctx, src, c)
}
