package ingest

import (
	"context"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/recipient"
	"monterey/internal/rollup"
	"monterey/internal/suppression"
	"monterey/internal/workspace"
)

// Replayer reads deliveries again from their raw bodies.
type Replayer struct {
	store   Store
	decoder Decoder
	now     func() time.Time
}

// NewReplayer may be used beside a running worker, by the same process or another.
func NewReplayer(s Store, d Decoder, now func() time.Time) *Replayer {
	return &Replayer{store: s, decoder: d, now: now}
}

// Replay reads the held and the ignored objects of a delivery again and counts what can now be counted; the others stay as
// they are. It may be called as often as one likes. NotFound for a delivery that is not there or waits to be counted,
// Conflict when its raw body is gone.
func (r *Replayer) Replay(ctx context.Context, c workspace.Caller, id delivery.ID) (delivery.Delivery, error) {
	var out delivery.Delivery
	err := r.store.Rewrite(ctx, c, func(tx WorkspaceTx) error {
		d, raw, err := tx.Delivery(ctx, id)
		if err != nil {
			return err
		}
		read, err := r.read(ctx, &d, raw)
		if err != nil {
			return err
		}
		again := counting{source: read.source()}
		for i := range read.objects {
			if o := d.Results[i].Outcome; o == delivery.Held || o == delivery.Ignored {
				again.add(&d, i, &read.objects[i])
			}
		}
		out, err = r.finish(ctx, tx, again, d)
		return err
	})
	return out, err
}

// Redecode takes a delivery back and counts it anew, after its mapping was mistaken (a wrong time zone, say): its events go
// unless another delivery reported them too. All of it happens, or nothing. Faults as of Replay.
func (r *Replayer) Redecode(ctx context.Context, c workspace.Caller, id delivery.ID) (delivery.Delivery, error) {
	var out delivery.Delivery
	err := r.store.Rewrite(ctx, c, func(tx WorkspaceTx) error {
		d, raw, err := tx.Delivery(ctx, id)
		if err != nil {
			return err
		}
		read, err := r.read(ctx, &d, raw)
		if err != nil {
			return err
		}
		gone, sent, err := takeBack(ctx, tx, d)
		if err != nil {
			return err
		}
		all := counting{source: read.source()}
		for i := range read.objects {
			all.add(&d, i, &read.objects[i])
		}
		if out, err = r.finish(ctx, tx, all, d); err != nil {
			return err
		}
		for _, id := range sent { // not before: a run whose marks come back keeps its id
			if err := deriveRuns(ctx, tx, id, r.now()); err != nil {
				return err
			}
		}
		return tx.Removed(ctx, gone)
	})
	return out, err
}

// takeBack removes what d alone reported, and counts the quarter hours of it anew. sent are the campaigns of whose runs d
// reported something: these are still as they were.
func takeBack(ctx context.Context, tx WorkspaceTx, d delivery.Delivery) (gone []event.Event, sent []campaign.ID, err error) {
	var ids []event.ID
	seen := map[event.ID]bool{{}: true}
	for _, res := range d.Results {
		if !seen[res.Event] {
			seen[res.Event], ids = true, append(ids, res.Event)
		}
	}
	if gone, err = tx.RemoveReports(ctx, d.ID, ids); err != nil {
		return nil, nil, err
	}
	if err := uncount(ctx, tx, gone); err != nil {
		return nil, nil, err
	}
	if err := tx.RemoveAliases(ctx, d.ID); err != nil {
		return nil, nil, err
	}
	sent, err = tx.RemoveMarks(ctx, d.ID)
	return gone, sent, err
}

// uncount counts anew what events counted in that were removed.
func uncount(ctx context.Context, tx WorkspaceTx, gone []event.Event) error {
	quarters := map[rollup.Key]bool{}
	var suppressed []recipient.Ordinal
	for i := range gone {
		e := &gone[i]
		quarters[rollup.Key{Campaign: e.Campaign, Span: rollup.Quarter, Bucket: rollup.Quarter.Bucket(e.OccurredAt.Unix())}] = true
		if suppression.ReasonOf(e.Type, e.Class) != 0 {
			suppressed = append(suppressed, e.Recipient)
		}
	}
	if err := recount(ctx, tx, quarters); err != nil {
		return err
	}
	return tx.Unsuppress(ctx, suppressed)
}

// read decodes a delivery's body, and makes room for its results where the decoder finds another number of objects.
func (r *Replayer) read(ctx context.Context, d *delivery.Delivery, raw []byte) (readItem, error) {
	it := Item{ID: d.ID, ReceivedAt: d.ReceivedAt, Body: Body{Workspace: d.Workspace, Connection: d.Connection, Raw: raw, Objects: d.Objects}}
	read, err := newReader(r.store, r.decoder).item(ctx, &it)
	if err != nil {
		return readItem{}, err
	}
	for len(d.Results) < len(read.objects) {
		d.Results = append(d.Results, delivery.Result{Outcome: delivery.Held, Reason: "not read before"})
	}
	d.Objects = len(d.Results)
	return read, nil
}

func (r *Replayer) finish(ctx context.Context, tx WorkspaceTx, objects counting, d delivery.Delivery) (delivery.Delivery, error) {
	// The objects' results are written into the delivery that they were added with, whose results d shares.
	objects.ready()
	if err := objects.run(ctx, tx, r.now()); err != nil {
		return d, err
	}
	tally(&d)
	return d, tx.UpdateDelivery(ctx, d)
}
