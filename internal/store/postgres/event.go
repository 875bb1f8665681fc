package postgres

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/store/eventlist"
	"monterey/internal/workspace"
)

// GetEvent implements event.Store.
func (s *Store) GetEvent(ctx context.Context, c workspace.Caller, id event.ID) (e event.Event, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return e, err
	}
	err = s.read(ctx, "get event", func(tx pgx.Tx) error {
		got, err := eventsOf(ctx, newView(tx, ws.num, time.Time{}), []eventlist.Key{{ID: id}})
		if err != nil {
			return err
		}
		if len(got) == 0 {
			return noSuch("event")
		}
		e = got[0]
		return nil
	})
	return e, err
}

// readColumns are what eventBatch reads, of events e and addresses a.
const readColumns = `e.id, e.campaign, e.ordinal, e.updated_at, e.received_at, e.link, e.type, e.class, e.source, e.actor,
	coalesce(e.ip, ''), coalesce(e.facts, ''), coalesce(a.address, '')`

const eventAddress = ` LEFT JOIN LATERAL
	(SELECT address FROM addresses WHERE workspace_id = e.workspace_id AND ordinal = e.ordinal OFFSET 0) AS a ON true`

// eventsSQL reads the events with these ids, in their order. The least and the greatest of them tell which partitions to look
// into.
const eventsSQL = "SELECT " + readColumns + ` FROM unnest($2::uuid[]) WITH ORDINALITY n (id, i)
	JOIN events e ON e.workspace_id = $1 AND e.id = n.id AND e.id >= $3 AND e.id <= $4` + eventAddress + " ORDER BY n.i"

// eventsOf reads the events of these keys, in order. Events that are not there are left out.
func eventsOf(ctx context.Context, v *view, keys []eventlist.Key) ([]event.Event, error) {
	ids := make([]event.ID, 0, len(keys))
	for _, k := range keys {
		if !k.Removed {
			ids = append(ids, k.ID)
		}
	}
	b := newEventBatch(len(keys))
	if len(ids) > 0 {
		first, last := slices.MinFunc(ids, event.ID.Compare), slices.MaxFunc(ids, event.ID.Compare)
		if err := v.each(ctx, b.scan, eventsSQL, v.ws, ids, first, last); err != nil {
			return nil, err
		}
	}
	if err := b.resolve(ctx, v); err != nil {
		return nil, err
	}
	if len(ids) == len(keys) {
		return b.events, nil
	}
	return eventlist.WithRemoved(b.events, keys), nil
}

// eventBatch reads rows of events, and then what they refer to by number, each number once.
type eventBatch struct {
	events []event.Event
	refs   []eventRef // of the event at the same index

	// One row is scanned into these, the same for every row: new variables would cost an allocation each.
	dest                                                []any
	id                                                  event.ID
	ref                                                 eventRef
	ordinal, updated, received, kind, class, source, by int64
	ip, facts, address                                  string
}

type eventRef struct{ campaign, link int64 }

func newEventBatch(n int) *eventBatch {
	b := &eventBatch{events: make([]event.Event, 0, n), refs: make([]eventRef, 0, n)}
	b.dest = []any{&b.id, &b.ref.campaign, &b.ordinal, &b.updated, &b.received, &b.ref.link, &b.kind, &b.class, &b.source, &b.by,
		&b.ip, &b.facts, &b.address}
	return b
}

func (b *eventBatch) scan(r row) (err error) {
	if err := r.Scan(b.dest...); err != nil {
		return err
	}
	b.refs = append(b.refs, b.ref)
	e := event.Event{
		ID: b.id, Type: event.Type(b.kind), Class: bounce.Class(b.class), Source: event.Source(b.source), Address: b.address,
		Recipient: recipient.Ordinal(b.ordinal), OccurredAt: b.id.Time(), UpdatedAt: fromMicros(b.updated), ReceivedAt: fromMicros(b.received),
	}
	if rule := event.Rule(b.by); rule != 0 {
		e.Actor, e.ActorReason = rule.Actor(), rule.String()
	}
	e.Facts, err = event.FactsOf(b.ip, b.facts)
	b.events = append(b.events, e)
	return err
}

// campaignRef is what events tell of their campaign.
type campaignRef struct {
	id         campaign.ID
	name       string
	provider   provider.Name
	providerID string
	runs       []campaign.Run // by start: when they began, and their ids
}

// resolve fills in what the events refer to.
func (b *eventBatch) resolve(ctx context.Context, v *view) error {
	campaigns, links := map[int64]*campaignRef{}, map[int64]event.Link{}
	for _, ref := range b.refs {
		if ref.campaign != 0 {
			campaigns[ref.campaign] = &campaignRef{}
		}
		if ref.link != 0 {
			links[ref.link] = event.Link{}
		}
	}
	if err := v.fillRefs(ctx, campaigns, links); err != nil {
		return err
	}
	for i := range b.events {
		e, ref := &b.events[i], b.refs[i]
		e.Link = links[ref.link]
		e.Provider = provider.Campaigner // of an event of no campaign: the only one there is
		if cm := campaigns[ref.campaign]; cm != nil {
			e.Campaign, e.CampaignName, e.ProviderCampaignID, e.Provider = cm.id, cm.name, cm.providerID, cm.provider
			e.Run = campaign.RunAt(cm.runs, e.OccurredAt)
		}
	}
	return nil
}

// fillRefs fills in the campaigns and links of these numbers, all in one message, which is the last of a read.
func (v *view) fillRefs(ctx context.Context, campaigns map[int64]*campaignRef, links map[int64]event.Link) error {
	var batch pgx.Batch
	ask := func(scan func(row) error, text string, nums []int64) {
		batch.Queue(text, v.ws, nums).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				if err := scan(rows); err != nil {
					return err
				}
			}
			return rows.Err()
		})
	}
	var num int64
	if len(campaigns) > 0 {
		nums := slices.Sorted(maps.Keys(campaigns))
		ask(func(r row) error {
			var c campaignRef
			err := r.Scan(&num, &c.id, &c.name, &c.provider, &c.providerID)
			*campaigns[num] = c
			return err
		}, "SELECT num, id, name, provider, provider_campaign_id FROM campaigns WHERE workspace_id = $1 AND num = ANY ($2)", nums)
		ask(func(r row) error {
			var run campaign.Run
			var started int64
			err := r.Scan(&num, &run.ID, &started)
			run.StartedAt = fromMicros(started)
			campaigns[num].runs = append(campaigns[num].runs, run)
			return err
		}, "SELECT campaign, id, started_at FROM runs WHERE workspace_id = $1 AND campaign = ANY ($2) ORDER BY started_at, id", nums)
	}
	if len(links) > 0 {
		ask(func(r row) error {
			var l event.Link
			err := r.Scan(&num, &l.ID, &l.URL)
			links[num] = l
			return err
		}, "SELECT num, link_id, url FROM links WHERE workspace_id = $1 AND num = ANY ($2)", slices.Sorted(maps.Keys(links)))
	}
	if batch.Len() == 0 {
		return nil
	}
	return sendLast(ctx, v.tx, &batch)
}
