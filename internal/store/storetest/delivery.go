package storetest

import (
	"slices"
	"testing"
	"time"

	"monterey/internal/bounce"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/rollup"
	"monterey/internal/store"
	"monterey/internal/suppression"
	"monterey/internal/workspace"
)

// testDeliveries: deliveries of every state, listed and read, before and after they are counted.
func testDeliveries(t *testing.T, s store.Store) {
	ctx := t.Context()
	mine, theirs := fill(t, s, 1), fill(t, s, 2)
	c := mine.caller
	var d script
	rs := reports(4)
	bad, ignored := delivery.Object{Fault: "SentDate: no time"}, delivery.Object{Ignored: "Forward"}
	var sent []delivery.ID
	for _, objects := range [][]delivery.Object{{rs[0], rs[1], rs[0], ignored}, {rs[1], bad}, {bad, bad}} {
		sent = append(sent, d.send(t, s, mine, objects...))
	}
	d.send(t, s, theirs, rs...)
	checkDeliveries(t, s, mine, sent, []delivery.State{delivery.Pending, delivery.Pending, delivery.Pending})
	d.count(t, s)
	sent = append(sent, d.send(t, s, mine, rs[2], rs[3])) // waits
	checkDeliveries(t, s, mine, sent, []delivery.State{delivery.Done, delivery.Partial, delivery.Quarantined, delivery.Pending})

	key := must(s.IdentityKey(ctx, c.Workspace()))(t)
	idOf := func(o delivery.Object) event.ID {
		return key.IDOf("campaigner", o.Report.OccurredAt, o.Report.Identity)
	}
	got := must(s.GetDelivery(ctx, c, sent[0]))(t)
	same(t, "counts", got.Counts, delivery.Counts{Inserted: 2, Duplicate: 1, Ignored: 1})
	same(t, "results", got.Results, []delivery.Result{{Event: idOf(rs[0])}, {Event: idOf(rs[1])},
		{Outcome: delivery.Duplicate, Event: idOf(rs[0])}, {Outcome: delivery.Ignored, Reason: "Forward"}})
	got = must(s.GetDelivery(ctx, c, sent[1]))(t)
	same(t, "results of a partial one", got.Results, []delivery.Result{{Outcome: delivery.Duplicate, Event: idOf(rs[1])},
		{Outcome: delivery.Held, Reason: "SentDate: no time"}})

	for _, id := range append(sent, delivery.IDOf(1, 1)) {
		_, err := s.GetDelivery(ctx, theirs.caller, id)
		wantFault(t, "another workspace's delivery", err, fault.NotFound)
	}
	waits := must(s.GetDelivery(ctx, c, sent[3]))(t).ReceivedAt
	for what, asOf := range asOfs(t, s, c) {
		if !asOf.Equal(waits) {
			t.Errorf("%s: as of %s is not when the delivery that waits was received, %s", what, asOf, waits)
		}
	}
	d.count(t, s)
	for what, asOf := range asOfs(t, s, c) {
		if !asOf.After(waits) {
			t.Errorf("%s: as of %s when everything until %s is counted", what, asOf, waits)
		}
	}
}

// asOfs are the times that are said to be as_of: by itself, of a list, and of a snapshot, asked first and last there.
func asOfs(t *testing.T, s store.Store, c workspace.Caller) map[string]time.Time {
	t.Helper()
	ctx := t.Context()
	out := map[string]time.Time{"itself": must(s.AsOf(ctx, c))(t), "list": must(s.ListEvents(ctx, c, event.ListParams{Limit: 1}))(t).AsOf}
	ok(t, s.Snapshot(ctx, c, func(v rollup.View) error {
		out["snapshot"] = must(v.AsOf(ctx))(t)
		_, err := v.HumanAsOf(ctx)
		return err
	}))
	ok(t, s.Snapshot(ctx, c, func(v rollup.View) error {
		_, err := v.HumanAsOf(ctx)
		out["snapshot behind a question"] = must(v.AsOf(ctx))(t)
		return err
	}))
	return out
}

// checkDeliveries lists the deliveries that were sent, in that order, which have these states.
func checkDeliveries(t *testing.T, s store.Store, th things, sent []delivery.ID, states []delivery.State) {
	t.Helper()
	list := func(of []delivery.State, p page.Params) []delivery.ID {
		t.Helper()
		var ids []delivery.ID
		for _, d := range walk(t, 2, p, func(p page.Params) (page.Of[delivery.Delivery], error) {
			return s.ListDeliveries(t.Context(), th.caller, of, p)
		}) {
			n := slices.Index(sent, d.ID)
			if n < 0 || d.State != states[n] || d.Connection != th.conn.ID || d.Workspace != th.caller.Workspace() || !d.RawKept {
				t.Errorf("delivery %d is %+v", n, d)
			}
			ids = append(ids, d.ID)
		}
		return ids
	}
	same(t, "oldest first", list(nil, sorted("received_at", false)), sent)
	newest := slices.Clone(sent)
	slices.Reverse(newest)
	same(t, "newest first", list(nil, everything), newest)
	for _, some := range [][]delivery.State{{delivery.Pending}, {delivery.Done}, {delivery.Partial, delivery.Quarantined}, {delivery.Pending, delivery.Done}} {
		var want []delivery.ID
		for i, id := range sent {
			if slices.Contains(some, states[i]) {
				want = append(want, id)
			}
		}
		same(t, "by state", list(some, sorted("received_at", false)), want)
	}
	for i, id := range sent {
		same(t, "state", must(s.GetDelivery(t.Context(), th.caller, id))(t).State, states[i])
	}
}

// testSuppressions compares the list and the check with the reports.
func testSuppressions(t *testing.T, s store.Store) {
	ctx := t.Context()
	mine, theirs := fill(t, s, 1), fill(t, s, 2)
	c := mine.caller
	var d script
	all := reports(90)
	slices.Reverse(all) // a later cause often comes before an earlier one
	d.send(t, s, mine, all[:45]...)
	d.count(t, s)
	d.send(t, s, mine, all[45:]...)
	d.count(t, s)

	want := causes(t, s, mine, all)
	got := walk(t, 3, sorted("email", false), func(p page.Params) (page.Of[suppression.Entry], error) {
		return s.ListSuppressions(ctx, c, suppression.ListParams{Params: p})
	})
	if len(got) != len(want) || len(got) < 2 {
		t.Fatalf("%d addresses are suppressed, want %d", len(got), len(want))
	}
	found := map[string][]suppression.Cause{}
	addresses := []string{"nobody@example.com", "PERSON1@example.com"}
	for i, e := range got {
		if i > 0 && got[i-1].Address >= e.Address {
			t.Errorf("%s comes after %s", e.Address, got[i-1].Address)
		}
		first := slices.MinFunc(e.Causes, func(a, b suppression.Cause) int { return a.OccurredAt.Compare(b.OccurredAt) })
		same(t, "since", e.Since, first.OccurredAt)
		found[e.Address], addresses = e.Causes, append(addresses, e.Address)
	}
	same(t, "the list", found, want)
	check := func(what string, c workspace.Caller, addresses []string, want map[string][]suppression.Cause) {
		t.Helper()
		got := must(s.CheckSuppressions(ctx, c, addresses))(t)
		same(t, what+": addresses", len(got), len(addresses))
		for i, a := range addresses {
			same(t, what+": "+a, append([]suppression.Cause{}, got[i]...), append([]suppression.Cause{}, want[a]...))
		}
	}
	check("the check", c, addresses, want)
	check("the check of as many as may be", c, slices.Repeat(addresses, 10_000/len(addresses)), want)

	for _, f := range []suppression.Filter{{Reasons: []suppression.Reason{suppression.Complaint}}, {Address: addresses[:3]}, {UpdatedFrom: got[0].UpdatedAt}} {
		var chosen []string
		for _, e := range got {
			if (f.Reasons == nil || slices.ContainsFunc(e.Causes, func(c suppression.Cause) bool { return c.Reason == f.Reasons[0] })) &&
				(f.Address == nil || slices.Contains(f.Address, e.Address)) && !e.UpdatedAt.Before(f.UpdatedFrom) {
				chosen = append(chosen, e.Address)
			}
		}
		part := must(s.ListSuppressions(ctx, c, suppression.ListParams{Filter: f, Params: sorted("email", false)}))(t)
		same(t, "filtered", names(part.Items, func(e suppression.Entry) string { return e.Address }), chosen)
		same(t, "filtered: total", part.Total, int64(len(chosen)))
	}
	_, err := s.ListSuppressions(ctx, c, suppression.ListParams{Params: sorted("colour", false)})
	wantFault(t, "an unknown sort", err, fault.Invalid)
	same(t, "another workspace's list", must(s.ListSuppressions(ctx, theirs.caller, suppression.ListParams{Params: everything}))(t).Total, int64(0))
	check("another workspace's check", theirs.caller, addresses, nil)
}

// causes are, by address and reason, the earliest reports that suppress.
func causes(t *testing.T, s store.Store, th things, objects []delivery.Object) map[string][]suppression.Cause {
	t.Helper()
	key := must(s.IdentityKey(t.Context(), th.caller.Workspace()))(t)
	out := map[string][]suppression.Cause{}
	for _, reason := range suppression.Reasons {
		first := map[string]suppression.Cause{}
		for _, o := range objects {
			r := o.Report
			isReason := map[suppression.Reason]bool{suppression.HardBounce: r.Type == event.Bounce && r.Class == bounce.Hard,
				suppression.Complaint: r.Type == event.Complaint, suppression.Unsubscribe: r.Type == event.Unsubscribe}[reason]
			if old, ok := first[r.Address]; isReason && (!ok || r.OccurredAt.Before(old.OccurredAt)) {
				first[r.Address] = suppression.Cause{Reason: reason, OccurredAt: r.OccurredAt, Source: suppression.Source(r.Source),
					ID: key.IDOf("campaigner", r.OccurredAt, r.Identity).UUID}
			}
		}
		for address, c := range first {
			out[address] = append(out[address], c)
		}
	}
	return out
}
