package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/fault"
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
	err = s.read(ctx, "get event", func(tx *sql.Tx) error {
		got, err := eventsOf(ctx, s.newView(tx, ws.num, time.Time{}), []eventlist.Key{{ID: id}})
		if err != nil {
			return err
		}
		if len(got) == 0 {
			return fault.New(fault.NotFound, "there is no such event")
		}
		e = got[0]
		return nil
	})
	return e, err
}

// readColumns are what eventBatch reads, of events e and addresses a. The small numbers come as one, a byte each: every column
// costs a tenth of a microsecond.
const readColumns = `e.id, e.campaign, e.ordinal, e.updated_at, e.received_at, e.link,
	e.type | (e.class << 8) | (e.source << 16) | (e.actor << 24), coalesce(e.ip, ''), coalesce(e.facts, ''), coalesce(a.address, '')`

// eventsSQL reads the events whose ids stand one after another in a blob, in that order: a statement each would cost twice
// as much, and ids as JSON half as much again. n counts up and CROSS JOIN keeps it the outer loop; an ORDER BY would sort.
const eventsSQL = `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
	SELECT ` + readColumns + ` FROM n CROSS JOIN events e ON e.workspace = ? AND e.id = substr(?, n.i * 16 + 1, 16)
	LEFT JOIN addresses a ON a.workspace = e.workspace AND a.ordinal = e.ordinal`

// eventsOf reads the events of these keys, in order. Events that are not there are left out.
func eventsOf(ctx context.Context, v *view, keys []eventlist.Key) ([]event.Event, error) {
	ids := make([]byte, 0, 16*len(keys))
	removed := 0
	for _, k := range keys {
		if k.Removed {
			removed++
		} else {
			ids = append(ids, k.ID.UUID[:]...)
		}
	}
	b := newEventBatch(len(keys))
	if n := len(ids) / 16; n > 0 {
		if err := v.each(ctx, b.scan, eventsSQL, n, v.ws, ids); err != nil {
			return nil, err
		}
	}
	if err := b.resolve(ctx, v); err != nil {
		return nil, err
	}
	if removed == 0 {
		return b.events, nil
	}
	return eventlist.WithRemoved(b.events, keys), nil
}

// eventBatch reads rows of events, and then what they refer to by number, each number once.
type eventBatch struct {
	events []event.Event
	refs   []eventRef // of the event at the same index

	// One row is scanned into these, the same for every row: new variables would cost an allocation each.
	dest                              []any
	id                                sql.RawBytes
	ref                               eventRef
	ordinal, updated, received, small int64
	ip, facts, address                string
}

type eventRef struct{ campaign, link int64 }

func newEventBatch(n int) *eventBatch {
	b := &eventBatch{events: make([]event.Event, 0, n), refs: make([]eventRef, 0, n)}
	b.dest = []any{&b.id, &b.ref.campaign, &b.ordinal, &b.updated, &b.received, &b.ref.link, &b.small, &b.ip, &b.facts, &b.address}
	return b
}

func (b *eventBatch) scan(r row) (err error) {
	if err := r.Scan(b.dest...); err != nil {
		return err
	}
	b.refs = append(b.refs, b.ref)
	b.events = append(b.events, event.Event{
		Type: event.Type(b.small), Class: bounce.Class(b.small >> 8), Source: event.Source(b.small >> 16), Address: b.address,
		Recipient: recipient.Ordinal(b.ordinal), UpdatedAt: fromMicros(b.updated), ReceivedAt: fromMicros(b.received),
	})
	e := &b.events[len(b.events)-1]
	copy(e.ID.UUID[:], b.id)
	e.OccurredAt = e.ID.Time()
	if rule := event.Rule(b.small >> 24); rule != 0 {
		e.Actor, e.ActorReason = rule.Actor(), rule.String()
	}
	e.Facts, err = event.FactsOf(b.ip, b.facts)
	return err
}

// campaignRef is what events tell of their campaign.
type campaignRef struct {
	id         campaign.ID
	name       string
	provider   provider.Name
	providerID string
	runs       []campaign.Run // by start, of each the id and the start
}

func (b *eventBatch) resolve(ctx context.Context, v *view) error {
	campaigns, links := map[int64]*campaignRef{}, map[int64]event.Link{}
	for _, ref := range b.refs {
		if ref.campaign != 0 {
			campaigns[ref.campaign] = nil
		}
		if ref.link != 0 {
			links[ref.link] = event.Link{}
		}
	}
	if err := v.campaignRefs(ctx, campaigns); err != nil {
		return err
	}
	if err := v.fillLinks(ctx, links); err != nil {
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

// campaignRefs fills in the campaigns of these numbers, with their runs.
func (v *view) campaignRefs(ctx context.Context, byNum map[int64]*campaignRef) error {
	if len(byNum) == 0 {
		return nil
	}
	nums := numsJSON(byNum)
	err := v.each(ctx, func(r row) error {
		var num int64
		c := &campaignRef{}
		err := r.Scan(&num, &c.id, &c.name, &c.provider, &c.providerID)
		byNum[num] = c
		return err
	}, "SELECT num, id, name, provider, provider_campaign_id FROM campaigns WHERE workspace = ? AND num IN (SELECT value FROM json_each(?))", v.ws, nums)
	if err != nil {
		return err
	}
	return v.each(ctx, func(r row) error {
		var num, started int64
		var id campaign.RunID
		err := r.Scan(&num, &id, &started)
		if c := byNum[num]; c != nil {
			c.runs = append(c.runs, campaign.Run{ID: id, StartedAt: fromMicros(started)})
		}
		return err
	}, runStartsSQL, v.ws, nums)
}

// runStartsSQL is answered by the index alone: every part of an export asks for all its campaigns.
const runStartsSQL = `SELECT campaign, id, started_at FROM runs INDEXED BY runs_by_start
	WHERE workspace = ? AND campaign IN (SELECT value FROM json_each(?)) ORDER BY campaign, started_at, id`

// fillLinks fills in the links of these numbers.
func (v *view) fillLinks(ctx context.Context, byNum map[int64]event.Link) error {
	if len(byNum) == 0 {
		return nil
	}
	return v.each(ctx, func(r row) error {
		var num int64
		var l event.Link
		err := r.Scan(&num, &l.ID, &l.URL)
		byNum[num] = l
		return err
	}, "SELECT num, link_id, url FROM links WHERE workspace = ? AND num IN (SELECT value FROM json_each(?))", v.ws, numsJSON(byNum))
}

func numsJSON[V any](byNum map[int64]V) string {
	nums := make([]int64, 0, len(byNum))
	for n := range byNum {
		nums = append(nums, n)
	}
	slices.Sort(nums)
	return listJSON(nums)
}
