package sqlite

import (
	"context"
	"database/sql"

	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/ingest"
	"monterey/internal/recipient"
)

// MarkRecovered implements ingest.RecoveryTx.
func (w *workspaceTx) MarkRecovered(ctx context.Context, campaigns map[string]campaign.ID) error {
	for _, id := range campaigns {
		num, err := w.must(ctx, id)
		if err != nil {
			return err
		}
		if _, err := w.exec(ctx, "INSERT INTO recovered_campaigns (workspace, campaign) VALUES (?, ?) ON CONFLICT DO NOTHING", w.ws, num); err != nil {
			return err
		}
	}
	return nil
}

// RecoveredCampaigns implements ingest.RecoveryTx.
func (w *workspaceTx) RecoveredCampaigns(ctx context.Context) (map[campaign.ID]bool, error) {
	out := map[campaign.ID]bool{}
	return out, w.each(ctx, func(r row) error {
		var id campaign.ID
		err := r.Scan(&id)
		out[id] = true
		return err
	}, `SELECT c.id FROM recovered_campaigns r JOIN campaigns c ON c.workspace = r.workspace AND c.num = r.campaign WHERE r.workspace = ?`, w.ws)
}

// Resolve implements ingest.RecoveryTx.
func (w *workspaceTx) Resolve(ctx context.Context, ids []event.ID) (map[event.ID]event.ID, error) {
	out := make(map[event.ID]event.ID, len(ids))
	var to []byte
	for _, id := range ids {
		err := w.each(ctx, func(r row) error {
			if err := r.Scan(&to); err != nil {
				return err
			}
			var found event.ID
			copy(found.UUID[:], to)
			out[id] = found
			return nil
		}, `SELECT coalesce((SELECT id FROM events WHERE workspace = ?1 AND id = ?2), (SELECT event FROM aliases WHERE workspace = ?1 AND id = ?2)) AS found
			WHERE found IS NOT NULL`, w.ws, id.UUID[:])
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// eventsOfSQL looks through the campaign's events of the type once, in the index alone, for all recipients.
const eventsOfSQL = `SELECT e.id, e.ordinal, coalesce(l.link_id, ''), coalesce(l.url, '') FROM
	(SELECT id, ordinal FROM events INDEXED BY events_by_campaign WHERE workspace = ?1 AND campaign = ?2 AND type = ?3
		AND ordinal IN (SELECT value FROM json_each(?4))) k
	CROSS JOIN events e ON e.workspace = ?1 AND e.id = k.id
	LEFT JOIN links l ON l.workspace = ?1 AND l.num = e.link ORDER BY e.id`

// EventsOf implements ingest.RecoveryTx.
func (w *workspaceTx) EventsOf(ctx context.Context, c campaign.ID, t event.Type, of []recipient.Ordinal, f func(ingest.Known)) error {
	num, err := w.must(ctx, c)
	if err != nil {
		return err
	}
	return w.each(ctx, func(r row) error {
		var k ingest.Known
		var ordinal int64
		err := r.Scan(&k.ID, &ordinal, &k.Link.ID, &k.Link.URL)
		k.Recipient = recipient.Ordinal(ordinal)
		f(k)
		return err
	}, eventsOfSQL, w.ws, num, int64(t), listJSON(int64s(of)))
}

// RecoveredOf implements ingest.RecoveryTx.
func (w *workspaceTx) RecoveredOf(ctx context.Context, c campaign.ID, t event.Type, of recipient.Ordinal) (out []ingest.Recovered, err error) {
	num, err := w.must(ctx, c)
	if err != nil {
		return nil, err
	}
	return out, w.each(ctx, func(r row) error {
		var k ingest.Recovered
		var fetched int64
		err := r.Scan(&k.ID, &fetched, &k.AllOpens, &k.Link.ID, &k.Link.URL)
		k.Recipient, k.Fetched = of, fromMicros(fetched)
		out = append(out, k)
		return err
	}, `SELECT r.id, r.fetched, r.all_opens, coalesce(l.link_id, ''), coalesce(l.url, '') FROM recovered r
		JOIN events e ON e.workspace = r.workspace AND e.id = r.id
		LEFT JOIN links l ON l.workspace = e.workspace AND l.num = e.link
		WHERE r.workspace = ? AND r.campaign = ? AND r.type = ? AND r.ordinal = ?
		AND NOT EXISTS (SELECT 1 FROM aliases a WHERE a.workspace = r.workspace AND a.event = r.id) ORDER BY r.id`, w.ws, num, int64(t), int64(of))
}

// AddRecovered implements ingest.RecoveryTx.
func (w *workspaceTx) AddRecovered(ctx context.Context, events []event.Event, by []event.Recovery) error {
	args := make([]any, 0, 7*len(events))
	for i := range events {
		e := &events[i]
		num, err := w.must(ctx, e.Campaign)
		if err != nil {
			return err
		}
		args = append(args, w.ws, num, int64(e.Type), int64(e.Recipient), e.ID.UUID[:], micros(by[i].Fetched), by[i].AllOpens)
	}
	return w.insertMany(ctx, "recovered (workspace, campaign, type, ordinal, id, fetched, all_opens)", 7, args)
}

// AddAlias implements ingest.RecoveryTx.
func (w *workspaceTx) AddAlias(ctx context.Context, a ingest.Alias) error {
	num, err := w.deliveryNum(ctx, a.Delivery)
	if err != nil {
		return err
	}
	_, err = w.exec(ctx, `INSERT INTO aliases (workspace, id, event, delivery) VALUES (?, ?, ?, ?)
		ON CONFLICT (workspace, id) DO UPDATE SET event = excluded.event, delivery = excluded.delivery`, w.ws, a.ID.UUID[:], a.Event.UUID[:], num)
	return err
}

// RemoveAliases implements ingest.RecoveryTx.
func (w *workspaceTx) RemoveAliases(ctx context.Context, from delivery.ID) error {
	num, err := w.deliveryNum(ctx, from)
	if err != nil {
		return err
	}
	_, err = w.exec(ctx, "DELETE FROM aliases WHERE workspace = ? AND delivery = ?", w.ws, num)
	return err
}

// Enrich implements ingest.RecoveryTx.
func (w *workspaceTx) Enrich(ctx context.Context, id event.ID, f event.Facts) error {
	var ip, facts sql.NullString
	err := w.each(ctx, func(r row) error { return r.Scan(&ip, &facts) }, "SELECT ip, facts FROM events WHERE workspace = ? AND id = ?", w.ws, id.UUID[:])
	if err != nil {
		return err
	}
	had, err := event.FactsOf(ip.String, facts.String)
	if err != nil {
		return err
	}
	more := had.Or(f)
	if more == had {
		return nil
	}
	stamp, err := w.Stamps(ctx, 1)
	if err != nil {
		return err
	}
	_, err = w.exec(ctx, "UPDATE events SET ip = ?, facts = ?, updated_at = ? WHERE workspace = ? AND id = ?", null(more.IP), null(more.Other()), micros(stamp), w.ws, id.UUID[:])
	return err
}

// RemoveEvents implements ingest.RecoveryTx.
func (w *workspaceTx) RemoveEvents(ctx context.Context, ids []event.ID) ([]event.Event, error) {
	var gone []event.Event
	for _, id := range ids {
		e, first, err := w.eventOf(ctx, id)
		if err != nil {
			return nil, err
		}
		if first == 0 {
			continue
		}
		if _, err := w.exec(ctx, "DELETE FROM reports WHERE workspace = ? AND event = ?", w.ws, id.UUID[:]); err != nil {
			return nil, err
		}
		if err := w.deleteEvent(ctx, e); err != nil {
			return nil, err
		}
		gone = append(gone, e)
	}
	return gone, nil
}

// deleteEvent removes an event's row and what is kept of it beside, but not its reports.
func (w *workspaceTx) deleteEvent(ctx context.Context, e event.Event) error {
	num, err := w.must(ctx, e.Campaign)
	if err != nil {
		return err
	}
	id := e.ID.UUID[:]
	for _, d := range []struct {
		text string
		args []any
	}{
		{"DELETE FROM events WHERE workspace = ? AND id = ?", []any{w.ws, id}},
		{"DELETE FROM history WHERE workspace = ? AND ordinal = ? AND id = ?", []any{w.ws, int64(e.Recipient), id}},
		{"DELETE FROM recovered WHERE workspace = ? AND campaign = ? AND type = ? AND ordinal = ? AND id = ?", []any{w.ws, num, int64(e.Type), int64(e.Recipient), id}},
		{"DELETE FROM aliases WHERE workspace = ? AND event = ?", []any{w.ws, id}},
	} {
		if _, err := w.exec(ctx, d.text, d.args...); err != nil {
			return err
		}
	}
	return nil
}
