package storetest

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/provider"
	"monterey/internal/store"
)

// testCountAfterDelete: what was accepted is counted, also when its connection or its workspace has been deleted since.
func testCountAfterDelete(t *testing.T, s store.Store) {
	ctx := t.Context()
	noConnection, noWorkspace, other := fill(t, s, 1), fill(t, s, 2), fill(t, s, 3)
	var d script
	for _, th := range []things{noConnection, noWorkspace, other} {
		d.send(t, s, th, reports(5)...)
	}
	ok(t, s.DeleteConnection(ctx, noConnection.caller, noConnection.conn.ID))
	ok(t, s.DeleteWorkspace(ctx, noWorkspace.caller.Workspace(), at(1)))
	d.count(t, s)
	for _, th := range []things{noConnection, other} {
		got := must(s.ListEvents(ctx, th.caller, event.ListParams{Limit: 10}))(t)
		same(t, "events", got.Total, int64(5))
	}
	_, err := s.ListEvents(ctx, noWorkspace.caller, event.ListParams{Limit: 10})
	wantFault(t, "events of a deleted workspace", err, fault.NotFound)
}

// testCountFails: nothing stays of a count that fails half-way, whatever fails it, and it can be done again.
func testCountFails(t *testing.T, s store.Store) {
	ctx := t.Context()
	th := fill(t, s, 1)
	var d script
	id := d.send(t, s, th, reports(5)...)
	items := must(s.Peek(ctx, nil, 100, 1<<20))(t)
	same(t, "what waits", names(items, func(i ingest.Item) string { return i.ID.String() }), []string{id.String()})
	same(t, "its body", string(items[0].Raw), "0")

	half := func(tx ingest.Tx) {
		w := must(tx.Workspace(ctx, th.caller.Workspace()))(t)
		must(w.Campaigns(ctx, provider.Campaigner, []string{"new"}))(t)
		must(w.Recipients(ctx, []ingest.Recipient{{Address: "a@example.com"}}))(t)
		must(w.Stamps(ctx, 3))(t)
		must(w.AddMarks(ctx, []ingest.Mark{{Campaign: th.campaign.ID, Delivery: id}}))(t)
	}
	broken := errors.New("broken")
	if err := s.Count(ctx, items, func(tx ingest.Tx) error { half(tx); return broken }); !errors.Is(err, broken) {
		t.Errorf("a count that fails: %v", err)
	}
	err := s.Count(ctx, items, func(tx ingest.Tx) error { half(tx); panic("broken") })
	wantFault(t, "a count that panics", err, fault.Data)
	cancelled, cancel := context.WithCancel(ctx)
	if err := s.Count(cancelled, items, func(tx ingest.Tx) error { half(tx); cancel(); return nil }); err == nil {
		t.Error("a count whose context ended was kept")
	}

	checkThings(t, s, th) // no campaign came
	same(t, "what waits still", len(must(s.Peek(ctx, nil, 100, 1<<20))(t)), 1)
	d.count(t, s)
	same(t, "events", must(s.ListEvents(ctx, th.caller, event.ListParams{Limit: 10}))(t).Total, int64(5))
	if err := s.Count(ctx, items, func(ingest.Tx) error { return nil }); err == nil {
		t.Error("the same items were counted again")
	}
}

// testInbox: bodies wait in the order in which they came, and are read in parts.
func testInbox(t *testing.T, s store.Store) {
	ctx := t.Context()
	one, two := fill(t, s, 1), fill(t, s, 2)
	var d script
	var sent, read []delivery.ID
	for i := range 9 {
		sent = append(sent, d.send(t, s, []things{one, two}[i%2], reports(2)...))
	}
	var after *ingest.Item
	for {
		items := must(s.Peek(ctx, after, 5, 1<<20))(t)
		if len(items) == 0 {
			break
		}
		if len(items) > 3 {
			t.Errorf("%d items of 2 objects when 5 were asked for", len(items))
		}
		for i := range items {
			same(t, "body", string(items[i].Raw), strconv.Itoa(len(read)))
			same(t, "connection", items[i].Connection, []things{one, two}[len(read)%2].conn.ID)
			if after != nil && items[i].ReceivedAt.Before(after.ReceivedAt) {
				t.Error("receive times go back")
			}
			read, after = append(read, items[i].ID), &items[i]
		}
	}
	same(t, "in order", read, sent)
	same(t, "at least one, however large", len(must(s.Peek(ctx, nil, 1, 1))(t)), 1)
	select {
	case <-s.Arrived():
	default:
		t.Error("nothing told of what arrived")
	}
}
