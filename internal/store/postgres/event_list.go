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
	list := func(tx pgx.Tx) error {
		v := newView(tx, ws.num, time.Time{})
		v.still = true
		for _, id := range p.Campaigns {
			if num, ok := s.campaigns.Get(ws.num, id); ok {
				v.nums[id] = num
			}
		}
		if out, err = listEvents(ctx, v, ws.key, p); err == nil && !p.NoTotal {
			out.AsOf, err = asOfRead(ctx, tx)
		}
		found := map[campaign.ID]int64{}
		for _, id := range p.Campaigns {
			if num := v.nums[id]; num > 0 {
				found[id] = num
			}
		}
		s.campaigns.Add(ws.num, found)
		return err
	}
	if p.NoTotal {
		err = s.read(ctx, "list events", list)
	} else {
		err = s.readAsOf(ctx, "list events", planEach, ws.num, list)
	}
	return out, err
}

func listEvents(ctx context.Context, v *view, key []byte, p event.ListParams) (out event.List, err error) {
	out.Items = []event.Event{}
	q, err := newEventQuery(ctx, v, key, p)
	if err != nil {
		return out, err
	}
	if !q.Nothing {
		out.Items, out.Total, err = q.page(ctx)
	}
	if err == nil {
		err = q.send(ctx, &pgx.Batch{}) // where nothing was
	}
	if err != nil {
		return out, err
	}
	out.NewestUpdate = fromMicros(q.stamp)
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
//   - of recipients: events_by_recipient, sorted afterwards;
//   - of what was updated lately but by time, and of the changes of recipients: the keys chosen are collected and sorted (collect).
//
// What no index holds (actor, class) is looked up in the rows. The bounds of the ids leave the partitions that hold them; these
// are in the order of their ids, so that reading one after the other needs no sorting.
type eventQuery struct {
	*view
	eventlist.Query
	campaigns []campaign.ID    // those that are there; nil = all
	nums      []int64          // of campaigns
	hashes    []recipient.Hash // nil = all recipients
	stamp     int64            // counters.stamp
	waits     asked
}

func newEventQuery(ctx context.Context, v *view, key []byte, p event.ListParams) (*eventQuery, error) {
	q := &eventQuery{view: v, Query: eventlist.New(p)}
	q.begin()
	if len(p.Address) > 0 {
		q.hashes = recipient.HashesOf(key, p.Address)
	}
	if slices.ContainsFunc(p.Campaigns, func(id campaign.ID) bool { _, ok := v.nums[id]; return !ok }) {
		var b pgx.Batch
		b.Queue("SELECT id, num FROM campaigns WHERE workspace_id = $1 AND id = ANY ($2::uuid[])", v.ws, p.Campaigns).Query(eachOf(v.scanNum))
		if err := q.send(ctx, &b); err != nil {
			return nil, err
		}
	}
	q.findCampaigns()
	return q, nil
}

// begin reads the stamp and says how statements are planned from here on. Planning for all partitions takes longer than most
// pages do, so it is done once where one index is best whatever the values are: the planner finds it when it may not do without.
func (q *eventQuery) begin() {
	mode, unordered := "force_custom_plan", "on"
	var workers *string // nil = as many as the server is set to
	if q.onePlan() {
		mode, unordered, workers = "force_generic_plan", "off", new("0")
	}
	q.waits.Queue(`SELECT stamp, set_config('plan_cache_mode', $2, true) || set_config('enable_seqscan', $3, true) || set_config('enable_bitmapscan', $3, true) ||
		set_config('max_parallel_workers_per_gather', coalesce($4, current_setting('max_parallel_workers_per_gather')), true) FROM counters WHERE workspace_id = $1`, q.ws, mode, unordered, workers).
		Query(eachOf(func(r row) error { return r.Scan(&q.stamp, nil) }))
}

// send runs what waits and then b, all in one message.
func (q *eventQuery) send(ctx context.Context, b *pgx.Batch) error { return q.waits.send(ctx, q.tx, b) }

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

// findCampaigns chooses those that are there, whose numbers are known.
func (q *eventQuery) findCampaigns() {
	for _, id := range q.ListParams.Campaigns {
		if num, ok := q.view.nums[id]; ok && num >= 0 && !slices.Contains(q.nums, num) {
			q.campaigns, q.nums = append(q.campaigns, id), append(q.nums, num)
		}
	}
	q.Nothing = q.Nothing || len(q.ListParams.Campaigns) > 0 && len(q.nums) == 0
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
	var b pgx.Batch
	ordinals := v.askOrdinals(&b, key, addresses)
	if b.Len() == 0 {
		return ordinals, nil
	}
	return ordinals, v.tx.SendBatch(ctx, &b).Close()
}

// askOrdinals is ordinalsOf in a batch, which fills in those that are not remembered.
func (v *view) askOrdinals(b *pgx.Batch, key []byte, addresses []string) []int64 {
	ordinals := make([]int64, len(addresses))
	var at []int // of those asked for
	var hashes []recipient.Hash
	all := recipient.HashesOf(key, addresses)
	known := make([]recipient.Ordinal, len(all))
	if v.recipients != nil {
		known = v.recipients.All(v.ws, all)
	}
	for i, o := range known {
		if ordinals[i] = int64(o); o == 0 {
			at, hashes = append(at, i), append(hashes, all[i])
		}
	}
	if len(at) == 0 {
		return ordinals
	}
	b.Queue("SELECT n.i, r.ordinal FROM unnest($2::uuid[]) WITH ORDINALITY n (hash, i) JOIN recipients r ON r.workspace_id = $1 AND r.hash = n.hash",
		v.ws, hashes).Query(func(rows pgx.Rows) error {
		var i, o int64
		found := map[recipient.Hash]recipient.Ordinal{}
		for rows.Next() {
			if err := rows.Scan(&i, &o); err != nil {
				return err
			}
			ordinals[at[i-1]], found[hashes[i-1]] = o, recipient.Ordinal(o)
		}
		if v.recipients != nil {
			v.recipients.Add(v.ws, found)
		}
		return rows.Err()
	})
	return ordinals
}

// knownOrdinals are ordinals without 0, sorted, each once.
func knownOrdinals(ordinals []int64) []int64 {
	slices.Sort(ordinals)
	return slices.DeleteFunc(slices.Compact(ordinals), func(o int64) bool { return o == 0 })
}

// rolled is the Source and the campaign whose counts are those of the campaigns chosen, of which src has the rows.
func (q *eventQuery) rolled(src rollup.Source) (rollup.Source, campaign.ID) {
	switch len(q.campaigns) {
	case 0:
		return src, rollup.Workspace
	case 1:
		return src, q.campaigns[0]
	}
	return rollup.Several(src, q.campaigns), rollup.Workspace
}

// total is the exact number of events chosen, where they are not collected anyway.
func (q *eventQuery) total(ctx context.Context) (int64, error) {
	if !q.Changes() {
		src, c := q.rolled(q.view)
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

// foreseeTotal reads with b the rows that total, and seeking, ask for.
func (q *eventQuery) foreseeTotal(ctx context.Context, b *pgx.Batch) error {
	var f foresight
	src, c := q.rolled(&f)
	if _, err := q.Total(ctx, src, c); err != nil || len(f.stretches) == 0 {
		return err
	}
	campaigns, err := q.stretchNums(ctx, f.stretches) // all are known
	q.foresee(b, campaigns, f.stretches)
	return err
}

// page is the events of the page, and one more if there is more, and the exact total.
func (q *eventQuery) page(ctx context.Context) (events []event.Event, total int64, err error) {
	if q.Changes() || q.ByUpdate() && q.hashes == nil {
		if err := q.send(ctx, &pgx.Batch{}); err != nil {
			return nil, 0, err
		}
		collected, err := q.collect(ctx)
		if err != nil {
			return nil, 0, err
		}
		if collected != nil {
			events, err = eventsOf(ctx, q.view, q.Cut(collected))
			return events, int64(len(collected)), err
		}
	}
	if q.Changes() {
		return q.changed(ctx)
	}
	var b pgx.Batch
	seeks := q.seeks()
	switch {
	case q.hashes != nil && !q.NoTotal:
		all := q.events()
		askOne(&b, &total, all.sql("count(*)"), all.args...)
	case q.hashes == nil && (seeks || !q.NoTotal):
		if err := q.foreseeTotal(ctx, &b); err != nil {
			return nil, 0, err
		}
	}
	if seeks {
		if err := q.send(ctx, &b); err != nil {
			return nil, 0, err
		}
		b = pgx.Batch{}
	}
	skip, err := q.narrow(ctx)
	if err != nil {
		return nil, 0, err
	}
	read := newEventBatch(q.Limit + 1)
	if !q.Empty() {
		text, args := q.rowsSQL(skip)
		b.Queue(text, args...).Query(eachOf(read.scan))
	}
	if err := q.send(ctx, &b); err != nil {
		return nil, 0, err
	}
	if q.hashes == nil && !q.NoTotal {
		if total, err = q.total(ctx); err != nil {
			return nil, 0, err
		}
	}
	return read.events, total, read.resolve(ctx, q.view)
}

// changed is page where changes are asked for.
func (q *eventQuery) changed(ctx context.Context) (events []event.Event, total int64, err error) {
	if !q.NoTotal {
		if total, err = q.total(ctx); err != nil {
			return nil, 0, err
		}
	}
	skip, err := q.narrow(ctx)
	if err != nil || q.Empty() {
		return []event.Event{}, total, err
	}
	keys, err := q.keys(ctx, q.Limit+1, skip)
	if err != nil {
		return nil, 0, err
	}
	events, err = eventsOf(ctx, q.view, keys)
	return events, total, err
}

// seeks says whether where the page begins is looked for in the counts; no changes are asked for.
func (q *eventQuery) seeks() bool {
	if q.hashes != nil {
		return false
	}
	return q.streams() > maxStreams || q.After == nil && q.Offset >= eventlist.SeekFrom && !q.ByUpdate()
}

// narrow moves the bounds to where the page begins, and says how many keys come before it from there.
func (q *eventQuery) narrow(ctx context.Context) (skip int, err error) {
	src, c := q.rolled(q.view)
	switch {
	case q.hashes != nil && q.After == nil: // what comes before is among what is sorted
		return q.Offset, nil
	case q.hashes == nil && q.streams() > maxStreams && !q.Changes():
		return q.NarrowAround(ctx, src, c)
	}
	return q.Narrow(ctx, src, c)
}
