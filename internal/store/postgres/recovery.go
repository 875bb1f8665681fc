package postgres

import (
	"context"

	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/ingest"
	"monterey/internal/recipient"
)

// MarkRecovered implements ingest.RecoveryTx.
func (w *workspaceTx) MarkRecovered(ctx context.Context, campaigns map[string]campaign.ID) error {
	nums := make([]int64, 0, len(campaigns))
	for _, id := range campaigns {
		num, err := w.must(ctx, id)
		if err != nil {
			return err
		}
		nums = append(nums, num)
	}
	_, err := w.exec(ctx, "INSERT INTO recovered_campaigns (workspace_id, campaign) SELECT $1, c FROM unnest($2::integer[]) AS c ON CONFLICT DO NOTHING", w.ws, nums)
	return err
}

// RecoveredCampaigns implements ingest.RecoveryTx.
func (w *workspaceTx) RecoveredCampaigns(ctx context.Context) (map[campaign.ID]bool, error) {
	out := map[campaign.ID]bool{}
	return out, w.each(ctx, func(r row) error {
		var id campaign.ID
		err := r.Scan(&id)
		out[id] = true
		return err
	}, `SELECT c.id FROM recovered_campaigns r JOIN campaigns c ON c.workspace_id = r.workspace_id AND c.num = r.campaign WHERE r.workspace_id = $1`, w.ws)
}

// Resolve implements ingest.RecoveryTx.
func (w *workspaceTx) Resolve(ctx context.Context, ids []event.ID) (map[event.ID]event.ID, error) {
	out := make(map[event.ID]event.ID, len(ids))
	var id, to event.ID
	dest := []any{&id, &to}
	return out, w.each(ctx, func(r row) error {
		err := r.Scan(dest...)
		out[id] = to
		return err
	}, `SELECT id, found FROM (SELECT k.id, coalesce((SELECT id FROM events WHERE workspace_id = $1 AND id = k.id),
		(SELECT event FROM aliases WHERE workspace_id = $1 AND id = k.id)) AS found FROM unnest($2::uuid[]) AS k (id)) f WHERE found IS NOT NULL`, w.ws, array(ids))
}

// eventsOfSQL looks through the campaign's events of the type once, in the index alone, for all recipients.
const eventsOfSQL = `SELECT e.id, e.ordinal, coalesce(l.link_id, ''), coalesce(l.url, '') FROM
	(SELECT id, ordinal FROM events WHERE workspace_id = $1 AND campaign = $2 AND type = $3 AND ordinal = ANY ($4) OFFSET 0) k
	CROSS JOIN LATERAL (SELECT id, ordinal, link FROM events WHERE workspace_id = $1 AND id = k.id OFFSET 0) e
	LEFT JOIN links l ON l.workspace_id = $1 AND l.num = e.link ORDER BY e.id`

// EventsOf implements ingest.RecoveryTx.
func (w *workspaceTx) EventsOf(ctx context.Context, c campaign.ID, t event.Type, of []recipient.Ordinal, f func(ingest.Known)) error {
	num, err := w.must(ctx, c)
	if err != nil {
		return err
	}
	ordinals := make([]int64, len(of))
	for i, o := range of {
		ordinals[i] = int64(o)
	}
	return w.each(ctx, func(r row) error {
		var k ingest.Known
		var ordinal int64
		err := r.Scan(&k.ID, &ordinal, &k.Link.ID, &k.Link.URL)
		k.Recipient = recipient.Ordinal(ordinal)
		f(k)
		return err
	}, eventsOfSQL, w.ws, num, int64(t), ordinals)
}

// RecoveredOf implements ingest.RecoveryTx.
func (w *workspaceTx) RecoveredOf(ctx context.Context, c campaign.ID, t event.Type, of recipient.Ordinal) (out []ingest.Recovered, err error) {
	num, err := w.must(ctx, c)
	if err != nil {
		return nil, err
	}
	if may, err := w.mayBeRecovered(ctx, recoveredKey{num, int64(t)}, int64(of)); err != nil || !may {
		return nil, err
	}
	err = w.each(ctx, func(r row) error {
		var k ingest.Recovered
		var fetched int64
		err := r.Scan(&k.ID, &fetched, &k.AllOpens, &k.Link.ID, &k.Link.URL)
		k.Recipient, k.Fetched = of, fromMicros(fetched)
		out = append(out, k)
		return err
	}, `SELECT r.id, r.fetched, r.all_opens, coalesce(l.link_id, ''), coalesce(l.url, '') FROM recovered r
		CROSS JOIN LATERAL (SELECT link FROM events WHERE workspace_id = r.workspace_id AND id = r.id OFFSET 0) e
		LEFT JOIN links l ON l.workspace_id = r.workspace_id AND l.num = e.link
		WHERE r.workspace_id = $1 AND r.campaign = $2 AND r.type = $3 AND r.ordinal = $4
		AND NOT EXISTS (SELECT 1 FROM aliases a WHERE a.workspace_id = r.workspace_id AND a.event = r.id) ORDER BY r.id`, w.ws, num, int64(t), int64(of))
	return out, err
}

// recoveredKey is what recovered events are asked for by, beside their recipient.
type recoveredKey struct{ campaign, kind int64 }

// knownRecovered is up to how many recipients are remembered of whom something was recovered. RecoveredOf is asked for each of
// a batch, nearly all of whom are others.
const knownRecovered = 20_000

// mayBeRecovered says whether anything may have been recovered of a recipient.
func (w *workspaceTx) mayBeRecovered(ctx context.Context, k recoveredKey, of int64) (bool, error) {
	known, asked := w.recovered[k]
	if !asked {
		known = map[int64]bool{}
		err := w.each(ctx, func(r row) error {
			n, err := scanNum(r)
			known[n] = true
			return err
		}, "SELECT ordinal FROM recovered WHERE workspace_id = $1 AND campaign = $2 AND type = $3 GROUP BY ordinal LIMIT $4", w.ws, k.campaign, k.kind, knownRecovered+1)
		if err != nil {
			return false, err
		}
		if len(known) > knownRecovered {
			known = nil
		}
		w.recovered[k] = known
	}
	return known == nil || known[of], nil
}

// AddRecovered implements ingest.RecoveryTx.
func (w *workspaceTx) AddRecovered(ctx context.Context, events []event.Event, by []event.Recovery) error {
	n := len(events)
	campaigns, types, ordinals, fetched := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	ids, allOpens := make([]event.ID, n), make([]bool, n)
	for i := range events {
		e := &events[i]
		num, err := w.must(ctx, e.Campaign)
		if err != nil {
			return err
		}
		delete(w.recovered, recoveredKey{num, int64(e.Type)})
		campaigns[i], types[i], ordinals[i], fetched[i], ids[i], allOpens[i] = num, int64(e.Type), int64(e.Recipient), micros(by[i].Fetched), e.ID, by[i].AllOpens
	}
	_, err := w.exec(ctx, `INSERT INTO recovered (workspace_id, campaign, type, ordinal, id, fetched, all_opens)
		SELECT $1, r.campaign, r.type, r.ordinal, r.id, r.fetched, r.all_opens
		FROM unnest($2::integer[], $3::smallint[], $4::integer[], $5::uuid[], $6::bigint[], $7::boolean[]) AS r (campaign, type, ordinal, id, fetched, all_opens)`,
		w.ws, campaigns, types, ordinals, ids, fetched, allOpens)
	return err
}

// AddAlias implements ingest.RecoveryTx.
func (w *workspaceTx) AddAlias(ctx context.Context, a ingest.Alias) error {
	num, err := w.deliveryNum(ctx, a.Delivery)
	if err != nil {
		return err
	}
	_, err = w.exec(ctx, `INSERT INTO aliases (workspace_id, id, event, delivery) VALUES ($1, $2, $3, $4)
		ON CONFLICT (workspace_id, id) DO UPDATE SET event = excluded.event, delivery = excluded.delivery`, w.ws, a.ID, a.Event, num)
	return err
}

// RemoveAliases implements ingest.RecoveryTx.
func (w *workspaceTx) RemoveAliases(ctx context.Context, from delivery.ID) error {
	num, err := w.deliveryNum(ctx, from)
	if err != nil {
		return err
	}
	_, err = w.exec(ctx, "DELETE FROM aliases WHERE workspace_id = $1 AND delivery = $2", w.ws, num)
	return err
}

// Enrich implements ingest.RecoveryTx.
func (w *workspaceTx) Enrich(ctx context.Context, id event.ID, f event.Facts) error {
	var ip, other string
	err := w.each(ctx, func(r row) error { return r.Scan(&ip, &other) },
		"SELECT coalesce(ip, ''), coalesce(facts, '') FROM events WHERE workspace_id = $1 AND id = $2", w.ws, id)
	if err != nil {
		return err
	}
	had, err := event.FactsOf(ip, other)
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
	_, err = w.exec(ctx, "UPDATE events SET ip = nullif($3, ''), facts = nullif($4, ''), updated_at = $5 WHERE workspace_id = $1 AND id = $2",
		w.ws, id, more.IP, more.Other(), micros(stamp))
	return err
}

// RemoveEvents implements ingest.RecoveryTx.
func (w *workspaceTx) RemoveEvents(ctx context.Context, ids []event.ID) ([]event.Event, error) {
	gone, _, err := w.eventsOf(ctx, ids)
	if err != nil || len(gone) == 0 {
		return nil, err
	}
	if _, err := w.exec(ctx, "DELETE FROM reports WHERE workspace_id = $1 AND event = ANY ($2::uuid[])", w.ws, ids); err != nil {
		return nil, err
	}
	return gone, w.deleteEvents(ctx, gone)
}

// deleteEvents removes the rows of events and what is kept of them beside, but not their reports.
func (w *workspaceTx) deleteEvents(ctx context.Context, events []event.Event) error {
	if len(events) == 0 {
		return nil
	}
	ids := make([]event.ID, len(events))
	campaigns, types, ordinals := make([]int64, len(events)), make([]int64, len(events)), make([]int64, len(events))
	for i := range events {
		e := &events[i]
		num, err := w.must(ctx, e.Campaign)
		if err != nil {
			return err
		}
		ids[i], campaigns[i], types[i], ordinals[i] = e.ID, num, int64(e.Type), int64(e.Recipient)
	}
	if _, err := w.exec(ctx, "DELETE FROM events WHERE workspace_id = $1 AND id = ANY ($2::uuid[])", w.ws, ids); err != nil {
		return err
	}
	if _, err := w.exec(ctx, "DELETE FROM aliases WHERE workspace_id = $1 AND event = ANY ($2::uuid[])", w.ws, ids); err != nil {
		return err
	}
	_, err := w.exec(ctx, `DELETE FROM recovered r USING unnest($2::integer[], $3::smallint[], $4::integer[], $5::uuid[]) AS k (campaign, type, ordinal, id)
		WHERE r.workspace_id = $1 AND r.campaign = k.campaign AND r.type = k.type AND r.ordinal = k.ordinal AND r.id = k.id`, w.ws, campaigns, types, ordinals, ids)
	return err
}
