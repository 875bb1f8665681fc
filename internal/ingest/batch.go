package ingest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/workspace"
)

// maxReason bounds the reason that is kept of an object, in bytes.
const maxReason = 500

// batch is deliveries that are read and ready to be counted, in the inbox's order.
type batch struct {
	items   []Item
	read    []readItem // one an item
	objects int
	parts   []*part           // by workspace
	counts  []delivery.Counts // of each delivery, once it is counted
}

// part is what of a batch belongs to one workspace.
type part struct {
	workspace  workspace.ID
	raw        [][]byte
	deliveries []delivery.Delivery // their results are set when they are counted
	countings  []*counting
}

// newBatch makes everything ready that needs no transaction: that is done while the batch before is written.
func newBatch(items []Item, read []readItem) *batch {
	b := &batch{items: items, read: read}
	of := map[workspace.ID][]int{}
	for i, it := range items {
		if of[it.Workspace] == nil {
			b.parts = append(b.parts, &part{workspace: it.Workspace})
		}
		of[it.Workspace] = append(of[it.Workspace], i)
		b.objects += len(read[i].objects)
	}
	for _, p := range b.parts {
		p.fill(b, of[p.workspace])
	}
	return b
}

// fill makes the part of the items at some places of the batch.
func (p *part) fill(b *batch, places []int) {
	p.raw, p.deliveries = make([][]byte, len(places)), make([]delivery.Delivery, len(places))
	var c *counting
	for i, n := range places {
		it, read := &b.items[n], &b.read[n]
		if source := read.source(); c == nil || source != c.source {
			c = &counting{source: source}
			p.countings = append(p.countings, c)
		}
		p.raw[i] = it.Raw
		p.deliveries[i] = delivery.Delivery{ID: it.ID, Workspace: it.Workspace, Connection: it.Connection, Provider: read.provider,
			ReceivedAt: it.ReceivedAt, Objects: len(read.objects), Bytes: len(it.Raw), Results: make([]delivery.Result, len(read.objects))}
		for j := range read.objects {
			c.add(&p.deliveries[i], j, &read.objects[j])
		}
	}
	for _, c := range p.countings {
		c.ready()
	}
}

// readItem is a delivery as its provider's decoder reads it.
type readItem struct {
	provider provider.Name
	objects  []readObject
}

// source of a delivery's reports: a recovery's are all read from the provider.
func (r *readItem) source() event.Source {
	for _, o := range r.objects {
		if o.Report != nil {
			return o.Report.Source
		}
	}
	return event.Webhook
}

// readObject is an object with what its identities make of it; they and hash are set where it is a report.
type readObject struct {
	delivery.Object
	id    event.ID
	other event.ID // zero = it has but one identity
	hash  recipient.Hash
}

// reader makes batches. It belongs to one goroutine.
type reader struct {
	store   Store
	decoder Decoder
	conns   map[provider.ID]readConnection // of this batch: a zone may be changed before the next
	macs    map[workspace.ID]*workspace.MAC
}

type readConnection struct {
	provider provider.Name
	zone     *time.Location
}

func newReader(s Store, d Decoder) *reader {
	return &reader{store: s, decoder: d, conns: map[provider.ID]readConnection{}, macs: map[workspace.ID]*workspace.MAC{}}
}

func (r *reader) batch(ctx context.Context, items []Item) (*batch, error) {
	clear(r.conns)
	read := make([]readItem, len(items))
	for i := range items {
		var err error
		if read[i], err = r.item(ctx, &items[i]); err != nil {
			return nil, err
		}
	}
	return newBatch(items, read), nil
}

// item reads one delivery. An error is the store's; what is wrong with the data is in the objects.
func (r *reader) item(ctx context.Context, it *Item) (readItem, error) {
	conn, err := r.connection(ctx, it)
	if err != nil {
		return readItem{}, err
	}
	mac := r.macs[it.Workspace]
	if mac == nil {
		key, err := r.store.IdentityKey(ctx, it.Workspace)
		if err != nil {
			return readItem{}, err
		}
		mac = workspace.NewMAC(key)
		r.macs[it.Workspace] = mac
	}
	objects := decode(r.decoder, it, conn.zone)
	out := readItem{provider: conn.provider, objects: make([]readObject, len(objects))}
	for i, o := range objects {
		ro := readObject{Object: o}
		if rep := o.Report; rep != nil {
			ro.id = event.IDWith(mac, string(conn.provider), rep.OccurredAt, rep.Identity)
			if rep.Other != "" {
				ro.other = event.IDWith(mac, string(conn.provider), rep.OccurredAt, rep.Other)
			}
			ro.hash = recipient.HashWith(mac, rep.Address)
		}
		out.objects[i] = ro
	}
	return out, nil
}

func (r *reader) connection(ctx context.Context, it *Item) (readConnection, error) {
	if c, ok := r.conns[it.Connection]; ok {
		return c, nil
	}
	conn, err := r.store.Connection(ctx, it.Workspace, it.Connection)
	if err != nil {
		return readConnection{}, err
	}
	zone, err := time.LoadLocation(conn.Timezone)
	if err != nil {
		return readConnection{}, fault.Wrap(fault.Internal, err, "the connection's time zone %q is unknown here", conn.Timezone)
	}
	c := readConnection{provider: conn.Provider, zone: zone}
	r.conns[it.Connection] = c
	return c, nil
}

// decode is d.Decode, but a panic of the decoder holds every object of the one delivery that caused it.
func decode(d Decoder, it *Item, zone *time.Location) (objects []delivery.Object) {
	defer func() {
		if p := recover(); p != nil {
			objects = slices.Repeat([]delivery.Object{{Fault: clip(fmt.Sprintf("the decoder failed: %v", p))}}, it.Objects)
		}
	}()
	return d.Decode(it.Raw, zone, it.ReceivedAt)
}

func clip(s string) string {
	if len(s) > maxReason {
		s = s[:maxReason]
	}
	return s
}
