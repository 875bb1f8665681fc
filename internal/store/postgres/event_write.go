package postgres

import (
	"context"
	"crypto/sha256"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/recipient"
	"monterey/internal/rollup"
	"monterey/internal/workspace"
)

// eventColumns are columns of events, an array each.
type eventColumns struct {
	ids                              []event.ID
	campaigns, ordinals, links       []int32
	types, actors, classes, sources  []int16
	updated, received, firstDelivery []int64
	ips, facts                       []string
}

func newEventColumns(n int) *eventColumns {
	return &eventColumns{ids: make([]event.ID, n), campaigns: make([]int32, n), ordinals: make([]int32, n), links: make([]int32, n), types: make([]int16, n),
		actors: make([]int16, n), classes: make([]int16, n), sources: make([]int16, n), updated: make([]int64, n), received: make([]int64, n),
		firstDelivery: make([]int64, n), ips: make([]string, n), facts: make([]string, n)}
}

// insertSQL takes the arrays apart in a list of columns, which costs half of what it does in FROM: there each array is made a table first.
const (
	insertSQL = `INSERT INTO events (workspace_id, id, campaign, ordinal, link, type, actor, class, source, updated_at, received_at, delivery, ip, facts)
	SELECT $1, e.id, e.campaign, e.ordinal, e.link, e.type, e.actor, e.class, e.source, e.updated_at, e.received_at, e.delivery,
	nullif(e.ip, ''), nullif(e.facts, '')
	FROM (SELECT unnest($2::uuid[]) AS id, unnest($3::integer[]) AS campaign, unnest($4::integer[]) AS ordinal, unnest($5::integer[]) AS link,
	unnest($6::smallint[]) AS type, unnest($7::smallint[]) AS actor, unnest($8::smallint[]) AS class, unnest($9::smallint[]) AS source,
	unnest($10::bigint[]) AS updated_at, unnest($11::bigint[]) AS received_at, unnest($12::bigint[]) AS delivery,
	unnest($13::text[]) AS ip, unnest($14::text[]) AS facts) AS e`
	insertMissingSQL = insertSQL + " ON CONFLICT (workspace_id, id) DO NOTHING RETURNING id"
)

// InsertEvents implements ingest.WorkspaceTx.
func (w *workspaceTx) InsertEvents(ctx context.Context, events []event.Event, from []delivery.ID) ([]bool, error) {
	inserted := make([]bool, len(events))
	if len(events) == 0 {
		return inserted, nil
	}
	if err := w.t.s.needMonths(events); err != nil {
		return nil, err
	}
	links, err := w.links(ctx, events)
	if err != nil {
		return nil, err
	}
	c := newEventColumns(len(events))
	for i := range events {
		e := &events[i]
		num, err := w.must(ctx, e.Campaign)
		if err != nil {
			return nil, err
		}
		if c.firstDelivery[i], err = w.deliveryNum(ctx, from[i]); err != nil {
			return nil, err
		}
		if e.Actor == event.Machine {
			c.actors[i] = int16(event.ClickBurst)
		}
		c.ids[i], c.campaigns[i], c.ordinals[i], c.links[i] = e.ID, int32(num), int32(e.Recipient), int32(links[i])
		c.types[i], c.classes[i], c.sources[i] = int16(e.Type), int16(e.Class), int16(e.Source)
		c.updated[i], c.received[i] = micros(e.UpdatedAt), micros(e.ReceivedAt)
		c.ips[i], c.facts[i] = e.Facts.IP, e.Facts.Other()
	}
	return inserted, w.insert(ctx, c, inserted)
}

// insert inserts what is not there and says what that was.
func (w *workspaceTx) insert(ctx context.Context, c *eventColumns, inserted []bool) error {
	args := []any{w.ws, c.ids, c.campaigns, c.ordinals, c.links, c.types, c.actors, c.classes, c.sources, c.updated, c.received, c.firstDelivery, c.ips, c.facts}
	if w.t.s.newness.likely(w.ws, len(inserted)) {
		err := pgx.BeginFunc(ctx, w.tx, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, insertSQL, args...)
			if err == nil && tag.RowsAffected() != int64(len(inserted)) {
				err = fault.New(fault.Internal, "of %d events %d were inserted", len(inserted), tag.RowsAffected())
			}
			return err
		})
		if err == nil {
			for i := range inserted {
				inserted[i] = true
			}
		}
		if code(err) != uniqueViolation {
			return err
		}
	}
	n := 0
	var id event.ID
	dest := []any{&id}
	err := w.each(ctx, func(r row) error {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		i, _ := slices.BinarySearchFunc(c.ids, id, event.ID.Compare)
		inserted[i] = true
		n++
		return nil
	}, insertMissingSQL, args...)
	if err == nil {
		w.t.s.newness.saw(w.ws, n, len(inserted))
	}
	return err
}

// deliveryNum is the number under which a delivery is stored.
func (w *workspaceTx) deliveryNum(ctx context.Context, id delivery.ID) (int64, error) {
	return w.t.s.deliveryNum(ctx, w.tx, id)
}

func (s *Store) deliveryNum(ctx context.Context, tx pgx.Tx, id delivery.ID) (int64, error) {
	epoch, seq := id.Place()
	number, err := cached(&s.mu, s.epochNums, epoch, func() (number int64, err error) {
		err = tx.QueryRow(ctx, "SELECT number FROM marks WHERE epoch = $1", int64(epoch)).Scan(&number)
		return number, err
	})
	return number<<seqBits | seq, err
}

type linkKey struct {
	campaign int64
	key      [sha256.Size]byte
}

// links finds the number of each event's link, 0 for events without, and makes the unknown ones. A link keeps its first URL.
func (w *workspaceTx) links(ctx context.Context, events []event.Event) ([]int64, error) {
	out := make([]int64, len(events))
	keys := make([]linkKey, len(events))
	var unknown []int // the first event of each
	seen := map[linkKey]bool{}
	for i := range events {
		e := &events[i]
		if e.Link == (event.Link{}) {
			continue
		}
		num, err := w.must(ctx, e.Campaign)
		if err != nil {
			return nil, err
		}
		k := linkKey{num, sha256.Sum256([]byte(e.Link.Key()))}
		keys[i] = k
		if out[i] = w.linkNum(k); out[i] == 0 && !seen[k] {
			seen[k], unknown = true, append(unknown, i)
		}
	}
	if err := w.findLinks(ctx, keys, unknown); err != nil {
		return nil, err
	}
	unknown = slices.DeleteFunc(unknown, func(i int) bool { return w.linkNums[keys[i]] != 0 })
	if err := w.makeLinks(ctx, events, keys, unknown); err != nil {
		return nil, err
	}
	for i := range events {
		if out[i] == 0 {
			out[i] = w.linkNums[keys[i]]
		}
	}
	return out, nil
}

// linkNum is the number of a link that this transaction or one before it has found, or 0.
func (w *workspaceTx) linkNum(k linkKey) int64 {
	if num := w.linkNums[k]; num != 0 {
		return num
	}
	num, _ := w.t.s.links.Get(w.ws, k)
	return num
}

// linkArrays are the campaigns and keys of some links.
func linkArrays(keys []linkKey, of []int) (campaigns []int64, hashes [][]byte) {
	campaigns, hashes = make([]int64, len(of)), make([][]byte, len(of))
	for n, i := range of {
		campaigns[n], hashes[n] = keys[i].campaign, keys[i].key[:]
	}
	return campaigns, hashes
}

func (w *workspaceTx) findLinks(ctx context.Context, keys []linkKey, of []int) error {
	if len(of) == 0 {
		return nil
	}
	campaigns, hashes := linkArrays(keys, of)
	return w.each(ctx, func(r row) error {
		var n, num int64
		err := r.Scan(&n, &num)
		w.linkNums[keys[of[n-1]]] = num
		return err
	}, `SELECT k.n, l.num FROM unnest($2::integer[], $3::bytea[]) WITH ORDINALITY AS k (campaign, key, n)
		JOIN links l ON l.workspace_id = $1 AND l.campaign = k.campaign AND l.key = k.key`, w.ws, campaigns, hashes)
}

func (w *workspaceTx) makeLinks(ctx context.Context, events []event.Event, keys []linkKey, of []int) error {
	if len(of) == 0 {
		return nil
	}
	first, err := w.next(ctx, "link", len(of))
	if err != nil {
		return err
	}
	campaigns, hashes := linkArrays(keys, of)
	ids, urls := make([]string, len(of)), make([]string, len(of))
	for n, i := range of {
		w.linkNums[keys[i]] = first + int64(n)
		ids[n], urls[n] = events[i].Link.ID, events[i].Link.URL
	}
	_, err = w.exec(ctx, `INSERT INTO links (workspace_id, num, campaign, key, link_id, url) SELECT $1, $2 + l.n - 1, l.campaign, l.key, l.link_id, l.url
		FROM unnest($3::integer[], $4::bytea[], $5::text[], $6::text[]) WITH ORDINALITY AS l (campaign, key, link_id, url, n)`,
		w.ws, first, campaigns, hashes, ids, urls)
	return err
}

// eventsByID looks up each of the events $2 of workspace $1 by itself, in the one partition that its id names: OFFSET keeps the
// planner from reading a partition for all of them.
const eventsByID = `unnest($2::uuid[]) AS k (id) CROSS JOIN LATERAL (SELECT * FROM events WHERE workspace_id = $1 AND id = k.id OFFSET 0) e`

// AddReports implements ingest.WorkspaceTx.
func (w *workspaceTx) AddReports(ctx context.Context, reports []ingest.Report) error {
	ids, nums := make([]event.ID, len(reports)), make([]int64, len(reports))
	for i, r := range reports {
		var err error
		if nums[i], err = w.deliveryNum(ctx, r.Delivery); err != nil {
			return err
		}
		ids[i] = r.Event
	}
	_, err := w.exec(ctx, `INSERT INTO reports (workspace_id, event, delivery) SELECT $1, k.id, k.delivery FROM unnest($2::uuid[], $3::bigint[]) AS k (id, delivery)
		CROSS JOIN LATERAL (SELECT delivery FROM events WHERE workspace_id = $1 AND id = k.id OFFSET 0) e WHERE e.delivery <> k.delivery
		ON CONFLICT DO NOTHING`, w.ws, ids, nums)
	return err
}

// RemoveReports implements ingest.WorkspaceTx.
func (w *workspaceTx) RemoveReports(ctx context.Context, from delivery.ID, ids []event.ID) ([]event.Event, error) {
	num, err := w.deliveryNum(ctx, from)
	if err != nil {
		return nil, err
	}
	if _, err := w.exec(ctx, "DELETE FROM reports WHERE workspace_id = $1 AND event = ANY ($2::uuid[]) AND delivery = $3", w.ws, array(ids), num); err != nil {
		return nil, err
	}
	// Another delivery's report takes this one's place, if there is another.
	if _, err := w.exec(ctx, `UPDATE events SET delivery = (SELECT min(r.delivery) FROM reports r WHERE r.workspace_id = $1 AND r.event = events.id)
		WHERE workspace_id = $1 AND id = ANY ($2::uuid[]) AND delivery = $3
		AND EXISTS (SELECT 1 FROM reports r WHERE r.workspace_id = $1 AND r.event = events.id)`, w.ws, array(ids), num); err != nil {
		return nil, err
	}
	if _, err := w.exec(ctx, `DELETE FROM reports WHERE workspace_id = $1 AND (event, delivery) IN (SELECT e.id, e.delivery FROM `+eventsByID+`)`,
		w.ws, array(ids)); err != nil {
		return nil, err
	}
	events, first, err := w.eventsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	gone := events[:0]
	for i, e := range events {
		if first[i] == num {
			gone = append(gone, e)
		}
	}
	return gone, w.deleteEvents(ctx, gone)
}

// eventsOf reads what counts of events, in the order of the ids, and which delivery is the first that is known to have reported
// each. Those that are not there are left out.
func (w *workspaceTx) eventsOf(ctx context.Context, ids []event.ID) (events []event.Event, first []int64, err error) {
	all, err := w.campaignIDs(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = w.each(ctx, func(r row) error {
		var num, kind, ordinal, class, actor, delivery int64
		var e event.Event
		err := r.Scan(&e.ID, &num, &kind, &ordinal, &class, &actor, &delivery)
		e.OccurredAt, e.Campaign, e.Type = e.ID.Time(), all[num], event.Type(kind)
		e.Recipient, e.Class, e.Actor = recipient.Ordinal(ordinal), bounce.Class(class), event.Rule(actor).Actor()
		events, first = append(events, e), append(first, delivery)
		return err
	}, `SELECT e.id, e.campaign, e.type, e.ordinal, e.class, e.actor, e.delivery FROM unnest($2::uuid[]) WITH ORDINALITY AS k (id, n)
		CROSS JOIN LATERAL (SELECT * FROM events WHERE workspace_id = $1 AND id = k.id OFFSET 0) e ORDER BY k.n`, w.ws, array(ids))
	return events, first, err
}

// Removed implements ingest.WorkspaceTx.
func (w *workspaceTx) Removed(ctx context.Context, events []event.Event) error {
	if len(events) == 0 {
		return nil
	}
	ids := make([]event.ID, len(events))
	for i := range events {
		ids[i] = events[i].ID
	}
	there := map[event.ID]bool{}
	err := w.each(ctx, func(r row) error {
		var id event.ID
		err := r.Scan(&id)
		there[id] = true
		return err
	}, "SELECT e.id FROM "+eventsByID, w.ws, ids)
	if err != nil {
		return err
	}
	ids = ids[:0]
	var campaigns, ordinals []int32
	var types []int16
	for i := range events {
		e := &events[i]
		if there[e.ID] {
			continue
		}
		num, err := w.must(ctx, e.Campaign)
		if err != nil {
			return err
		}
		ids, campaigns, ordinals, types = append(ids, e.ID), append(campaigns, int32(num)), append(ordinals, int32(e.Recipient)), append(types, int16(e.Type))
	}
	if len(ids) == 0 {
		return nil
	}
	stamp, err := w.Stamps(ctx, len(ids))
	if err != nil {
		return err
	}
	_, err = w.exec(ctx, `INSERT INTO removals (workspace_id, updated_at, id, campaign, ordinal, type) SELECT $1, $2 + r.n - 1, r.id, r.campaign, r.ordinal, r.type
		FROM unnest($3::uuid[], $4::integer[], $5::integer[], $6::smallint[]) WITH ORDINALITY AS r (id, campaign, ordinal, type, n)`,
		w.ws, micros(stamp), ids, campaigns, ordinals, types)
	return err
}

// FactsByCampaign implements ingest.WorkspaceTx.
func (w *workspaceTx) FactsByCampaign(ctx context.Context, from, to int64, f func(campaign.ID, rollup.Fact) error) error {
	ids, err := w.campaignIDs(ctx)
	if err != nil {
		return err
	}
	first, last := event.FirstIn(from), event.FirstIn(to)
	var id event.ID
	var num, ordinal, kind, class, actor int64
	dest := []any{&id, &num, &ordinal, &kind, &class, &actor}
	return w.each(ctx, func(r row) error {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		return f(ids[num], rollup.Fact{At: id.Time().Unix(), Recipient: recipient.Ordinal(ordinal), Type: event.Type(kind), Class: bounce.Class(class),
			Actor: event.Rule(actor).Actor()})
	}, "SELECT id, campaign, ordinal, type, class, actor FROM events WHERE workspace_id = $1 AND id >= $2 AND id < $3 ORDER BY id", w.ws, first, last)
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
	}, "SELECT num, id FROM campaigns WHERE workspace_id = $1", w.ws)
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
	nums := make([]int64, 0, len(all))
	for num := range all {
		nums = append(nums, num)
	}
	slices.Sort(nums)
	var out []campaign.ID
	err = w.each(ctx, func(r row) error {
		var num int64
		err := r.Scan(&num)
		out = append(out, all[num])
		return err
	}, `SELECT c.num FROM unnest($2::integer[]) AS c (num) CROSS JOIN LATERAL
		(SELECT 1 FROM rollups WHERE workspace_id = $1 AND campaign = c.num LIMIT 1) r`, w.ws, nums)
	return out, err
}

// withRollups are the numbers of all that may have rollups, with their ids.
func (w *workspaceTx) withRollups(ctx context.Context) (ids map[int64]campaign.ID, nums []int64, err error) {
	all, err := w.campaignIDs(ctx)
	if err != nil {
		return nil, nil, err
	}
	ids = maps.Clone(all)
	ids[-1] = rollup.Workspace
	return ids, slices.Sorted(maps.Keys(ids)), nil
}

// Days implements ingest.WorkspaceTx. Events are asked for day by day, so that all of a day but its first are jumped over.
func (w *workspaceTx) Days(ctx context.Context) ([]int64, error) {
	_, nums, err := w.withRollups(ctx)
	if err != nil {
		return nil, err
	}
	days := map[int64]bool{}
	err = w.each(ctx, func(r row) error {
		var bucket int64
		err := r.Scan(&bucket)
		days[rollup.Day.Bucket(bucket)] = true
		return err
	}, `SELECT r.bucket FROM unnest($2::integer[]) AS c (num) CROSS JOIN LATERAL
		(SELECT bucket FROM rollups WHERE workspace_id = $1 AND campaign = c.num AND span = ANY ($3) AND (span = $4 OR campaign = -1) OFFSET 0) r`,
		w.ws, nums, []int64{int64(rollup.Hour), int64(rollup.Day)}, int64(rollup.Day))
	for next, more := event.FirstIn(math.MinInt64), true; more && err == nil; {
		more = false
		err = w.each(ctx, func(r row) error {
			var id event.ID
			err := r.Scan(&id)
			day := rollup.Day.Bucket(id.Time().Unix())
			days[day], next, more = true, event.FirstIn(day+rollup.DaySeconds), true
			return err
		}, "SELECT id FROM events WHERE workspace_id = $1 AND id >= $2 ORDER BY id LIMIT 1", w.ws, next)
	}
	return slices.Sorted(maps.Keys(days)), err
}

// HumanMark implements ingest.WorkspaceTx.
func (w *workspaceTx) HumanMark(ctx context.Context) (seen, newest time.Time, err error) {
	err = w.each(ctx, func(r row) error {
		var human, stamp int64
		err := r.Scan(&human, &stamp)
		seen, newest = fromMicros(human), fromMicros(stamp)
		return err
	}, "SELECT human, stamp FROM counters WHERE workspace_id = $1", w.ws)
	return seen, newest, err
}

// SetHumanMark implements ingest.WorkspaceTx.
func (w *workspaceTx) SetHumanMark(ctx context.Context, seen, asOf time.Time) error {
	_, err := w.exec(ctx, "UPDATE counters SET human = $2, human_as_of = greatest(human_as_of, $3) WHERE workspace_id = $1", w.ws, micros(seen), micros(asOf))
	return err
}

// ClicksChanged implements ingest.WorkspaceTx.
func (w *workspaceTx) ClicksChanged(ctx context.Context, after, until time.Time, limit int) (at []int64, read time.Time, err error) {
	read = until
	n := 0
	var id event.ID
	var stamp, kind int64
	dest := []any{&id, &stamp, &kind}
	take := func(r row) error {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		if event.Type(kind) == event.Click {
			at = append(at, id.Time().Unix())
		}
		return nil
	}
	err = w.each(ctx, func(r row) error { n++; return take(r) }, `SELECT id, updated_at, type FROM events
		WHERE workspace_id = $1 AND updated_at > $2 AND updated_at <= $3 ORDER BY updated_at LIMIT $4`, w.ws, micros(after), micros(until), limit)
	if err != nil {
		return nil, read, err
	}
	if n == limit {
		read = fromMicros(stamp)
	}
	err = w.each(ctx, take,
		"SELECT id, updated_at, type FROM removals WHERE workspace_id = $1 AND updated_at > $2 AND updated_at <= $3", w.ws, micros(after), micros(read))
	return at, read, err
}

// Clicks implements ingest.WorkspaceTx. It hides the view's method of that name.
func (w *workspaceTx) Clicks(ctx context.Context, in []ingest.Range, f func(ingest.Click) error) error {
	ids, err := w.campaignIDs(ctx)
	if err != nil {
		return err
	}
	first, last := make([]event.ID, len(in)), make([]event.ID, len(in))
	for i, r := range in {
		first[i], last[i] = event.FirstIn(r.From), event.FirstIn(r.To+1)
	}
	var num, ordinal, actor int64
	var c ingest.Click
	dest := []any{&c.ID, &num, &ordinal, &c.Link, &actor}
	return w.each(ctx, func(r row) error {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		c.At, c.Campaign, c.Recipient, c.Rule = c.ID.Time().Unix(), ids[num], recipient.Ordinal(ordinal), event.Rule(actor)
		return f(c)
	}, `SELECT e.id, e.campaign, e.ordinal, e.link, e.actor FROM unnest($3::uuid[], $4::uuid[]) AS r (first, last)
		CROSS JOIN LATERAL (SELECT id, campaign, ordinal, link, actor FROM events
			WHERE workspace_id = $1 AND type = $2 AND id >= r.first AND id < r.last OFFSET 0) AS e ORDER BY e.id`, w.ws, int64(event.Click), first, last)
}

// SetRules implements ingest.WorkspaceTx.
func (w *workspaceTx) SetRules(ctx context.Context, ids []event.ID, rules []event.Rule) error {
	stamp, err := w.Stamps(ctx, len(ids))
	if err != nil {
		return err
	}
	actors := make([]int16, len(rules))
	for i, r := range rules {
		actors[i] = int16(r)
	}
	_, err = w.exec(ctx, `UPDATE events e SET actor = k.actor, updated_at = $2 + k.n - 1
		FROM unnest($3::uuid[], $4::smallint[]) WITH ORDINALITY AS k (id, actor, n) WHERE e.workspace_id = $1 AND e.id = k.id`, w.ws, micros(stamp), ids, actors)
	return err
}

// FillHistory implements ingest.Store: a recipient's history is an index.
func (s *Store) FillHistory(context.Context, workspace.Caller, int, int) (bool, error) {
	return false, nil
}
