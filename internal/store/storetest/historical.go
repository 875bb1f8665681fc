package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"monterey/internal/bounce"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/store"
	"monterey/internal/suppression"
	"monterey/internal/workspace"
)

// historicals are n different bounces of 7 recipients and all classes, in no order of time, several at one time.
func historicals(n int) (out []bounce.Historical) {
	for i := range n {
		out = append(out, bounce.Historical{ProviderEventID: strconv.Itoa(1000 + i), Address: fmt.Sprintf("bounced%d@example.com", i%7),
			OccurredAt: at(i / 2 * 7919 % 400_000), Class: bounce.Classes[i%len(bounce.Classes)], Status: "Hard Bounced",
			Detail: bounce.Detail{SMTPCode: 550, EnhancedCode: "5.1.1", Label: "Hard", Code: strconv.Itoa(i % 30), Reason: "550 5.1.1 <no, \"such\"\r\nuser> 🙂 " + strconv.Itoa(i)}})
	}
	return out
}

func put(t *testing.T, s store.Store, c workspace.Caller, want bounce.Upserted, rows ...bounce.Historical) {
	t.Helper()
	same(t, "what was put", must(s.PutBounces(t.Context(), c, provider.Campaigner, rows))(t), want)
}

// history is everything, newest first.
func history(t *testing.T, s store.Store, c workspace.Caller) []bounce.Historical {
	t.Helper()
	return must(s.ListBounces(t.Context(), c, bounce.ListParams{Limit: 1000}))(t).Items
}

// asPut are bounces without what the store sets.
func asPut(rows []bounce.Historical) []bounce.Historical {
	out := slices.Clone(rows)
	for i := range out {
		b := &out[i]
		b.ID, b.Provider, b.Recipient, b.UpdatedAt, b.AccountNumbers = bounce.ID{}, "", 0, time.Time{}, nil
	}
	slices.SortFunc(out, func(a, b bounce.Historical) int { return cmp.Compare(a.ProviderEventID, b.ProviderEventID) })
	return out
}

// testHistory puts the same bounces in two workspaces, and asks for them in every way.
func testHistory(t *testing.T, s store.Store) {
	mine, theirs := addCaller(t, s, "mine"), addCaller(t, s, "theirs")
	rows := historicals(90)
	put(t, s, mine, bounce.Upserted{Inserted: 60}, rows[:60]...)
	put(t, s, theirs, bounce.Upserted{Inserted: 90}, rows...)
	put(t, s, mine, bounce.Upserted{Inserted: 30, Unchanged: 30}, rows[30:]...)
	got := history(t, s, mine)
	same(t, "the rows", asPut(got), rows)
	key := must(s.IdentityKey(t.Context(), mine.Workspace()))(t)
	for _, b := range got {
		same(t, "id", b.ID, bounce.IDOf(key, provider.Campaigner, b.ProviderEventID))
		if b.Provider != provider.Campaigner || b.Recipient == 0 || b.UpdatedAt.IsZero() || b.AccountNumbers == nil {
			t.Errorf("not set: %+v", b)
		}
	}
	for name, f := range map[string]bounce.Filter{
		"all": {}, "recipients": {Address: []string{"bounced3@example.com", "bounced5@example.com"}}, "nobody": {Address: []string{"BOUNCED3@example.com"}},
		"class": {Classes: []bounce.Class{bounce.Block}}, "classes": {Classes: []bounce.Class{bounce.Hard, bounce.Unknown, bounce.Hard}},
		"range": {From: got[80].OccurredAt, To: got[10].OccurredAt}, "fine range": {From: got[80].OccurredAt.Add(1), To: got[10].OccurredAt.Add(1)},
		"updated": {UpdatedFrom: got[20].UpdatedAt}, "no time": {From: at(10), To: at(10)},
		"several":                       {Classes: []bounce.Class{bounce.Soft, bounce.Hard}, Address: []string{"bounced1@example.com", "bounced2@example.com"}, From: got[70].OccurredAt},
		"updated of a class and a time": {UpdatedFrom: got[20].UpdatedAt, Classes: []bounce.Class{bounce.Hard, bounce.Soft}, To: got[5].OccurredAt},
	} {
		for _, order := range []bounce.Order{bounce.NewestFirst, bounce.OldestFirst, bounce.UpdatedFirst, bounce.UpdatedLatest} {
			checkHistory(t, s, mine, fmt.Sprintf("%s, order %d", name, order), bounce.ListParams{Filter: f, Order: order}, got)
		}
	}
}

// checkHistory reads a list whole, by offset and by cursor, and compares it with what the filter chooses of all.
func checkHistory(t *testing.T, s store.Store, c workspace.Caller, what string, p bounce.ListParams, all []bounce.Historical) {
	t.Helper()
	var want []bounce.Historical
	for _, b := range all {
		if choosesBounce(p.Filter, b) {
			want = append(want, b)
		}
	}
	slices.SortFunc(want, func(a, b bounce.Historical) int {
		d := cmp.Or(a.OccurredAt.Compare(b.OccurredAt), slices.Compare(a.ID.UUID[:], b.ID.UUID[:]))
		if p.Order == bounce.UpdatedFirst || p.Order == bounce.UpdatedLatest {
			d = a.UpdatedAt.Compare(b.UpdatedAt)
		}
		if p.Order == bounce.NewestFirst || p.Order == bounce.UpdatedLatest {
			return -d
		}
		return d
	})
	p.Limit = 1000
	whole := must(s.ListBounces(t.Context(), c, p))(t)
	same(t, what, whole.Items, want)
	same(t, what+": total", whole.Total, int64(len(want)))

	p.Limit = 7
	var paged, walked []bounce.Historical
	for p.Offset = 0; p.Offset <= len(want); p.Offset += p.Limit {
		paged = append(paged, must(s.ListBounces(t.Context(), c, p))(t).Items...)
	}
	same(t, what+": by offset", paged, want)
	for p.Offset = 0; ; {
		part := must(s.ListBounces(t.Context(), c, p))(t)
		walked = append(walked, part.Items...)
		if !part.More || len(walked) > len(want) {
			break
		}
		last := part.Items[len(part.Items)-1]
		p.After = &bounce.Cursor{ID: last.ID, OccurredAt: last.OccurredAt, UpdatedAt: last.UpdatedAt}
	}
	same(t, what+": by cursor", walked, want)
}

func choosesBounce(f bounce.Filter, b bounce.Historical) bool {
	return (len(f.Address) == 0 || slices.Contains(f.Address, b.Address)) && (len(f.Classes) == 0 || slices.Contains(f.Classes, b.Class)) &&
		(f.From.IsZero() || !b.OccurredAt.Before(f.From)) && (f.To.IsZero() || b.OccurredAt.Before(f.To)) &&
		(f.UpdatedFrom.IsZero() || !b.UpdatedAt.Before(f.UpdatedFrom))
}

// testHistoryChanges: what is known says new things, one thing after the other, and keeps its id.
func testHistoryChanges(t *testing.T, s store.Store) {
	ctx, c := t.Context(), addCaller(t, s, "one")
	b := historicals(1)[0]
	put(t, s, c, bounce.Upserted{Inserted: 1}, b)
	first := history(t, s, c)[0]
	last := first
	for name, change := range map[string]func(){
		"class": func() { b.Class = bounce.Soft }, "time": func() { b.OccurredAt = at(-100_000) }, "address": func() { b.Address = "other@example.com" },
		"reason": func() { b.Detail.Reason = "other" }, "label": func() { b.Detail.Label = "other" }, "code": func() { b.Detail.SMTPCode = 421 },
		"enhanced code": func() { b.Detail.EnhancedCode = "4.0.0" }, "provider's code": func() { b.Detail.Code = "77" }, "status": func() { b.Status = "Active" },
	} {
		change()
		put(t, s, c, bounce.Upserted{Updated: 1}, b)
		put(t, s, c, bounce.Upserted{Unchanged: 1}, b)
		got := must(s.ListBounces(ctx, c, bounce.ListParams{Limit: 9, Filter: bounce.Filter{UpdatedFrom: last.UpdatedAt.Add(time.Microsecond)}}))(t)
		if len(got.Items) != 1 || got.Total != 1 {
			t.Fatalf("the %s changed: %d rows of %d are new", name, len(got.Items), got.Total)
		}
		same(t, name, asPut(got.Items), []bounce.Historical{b})
		same(t, "id", got.Items[0].ID, first.ID)
		same(t, "the newest update", got.NewestUpdate, got.Items[0].UpdatedAt)
		last = got.Items[0]
		for _, class := range bounce.Classes {
			n := int64(0)
			if class == b.Class {
				n = 1
			}
			same(t, "total of a class", must(s.ListBounces(ctx, c, bounce.ListParams{Limit: 1, Filter: bounce.Filter{Classes: []bounce.Class{class}}}))(t).Total, n)
		}
	}

	bare := bounce.Historical{ProviderEventID: b.ProviderEventID, Address: b.Address, OccurredAt: b.OccurredAt, Class: bounce.Unknown}
	put(t, s, c, bounce.Upserted{Unchanged: 1}, bare)
	same(t, "after an answer that leaves all open", asPut(history(t, s, c)), []bounce.Historical{b})
	bare.Detail.Reason, b.Detail = "no longer", bounce.Detail{Label: b.Detail.Label, Code: b.Detail.Code, Reason: "no longer"}
	put(t, s, c, bounce.Upserted{Updated: 1}, bare)
	same(t, "after another reason, without codes", asPut(history(t, s, c)), []bounce.Historical{b})

	twice := historicals(3)
	twice[1].ProviderEventID, twice[2].ProviderEventID = "twice", "twice"
	put(t, s, c, bounce.Upserted{Inserted: 1, Updated: 1}, twice...)
	same(t, "the last of two", asPut(history(t, s, c)), asPut([]bounce.Historical{twice[0], twice[2]}))
	twice[1].ProviderEventID, twice[2] = "in part", bounce.Historical{ProviderEventID: "in part", Address: twice[2].Address, OccurredAt: twice[2].OccurredAt, Class: bounce.Unknown}
	put(t, s, c, bounce.Upserted{Inserted: 1}, twice[1:]...)
	same(t, "the last of two, over the first", asPut(history(t, s, c))[1], twice[2].Over(twice[1]))
	put(t, s, c, bounce.Upserted{})
}

// testHistoryFaults: a bounce that cannot be kept leaves nothing of its page.
func testHistoryFaults(t *testing.T, s store.Store) {
	c := addCaller(t, s, "one")
	for name, spoil := range map[string]func(*bounce.Historical){
		"no id": func(b *bounce.Historical) { b.ProviderEventID = "" }, "no address": func(b *bounce.Historical) { b.Address = "" },
		"no class": func(b *bounce.Historical) { b.Class = bounce.None }, "an unknown class": func(b *bounce.Historical) { b.Class = 9 },
		"no time": func(b *bounce.Historical) { b.OccurredAt = time.Time{} }, "too early": func(b *bounce.Historical) { b.OccurredAt = bounce.First.Add(-1) },
		"too late": func(b *bounce.Historical) { b.OccurredAt = bounce.End },
	} {
		rows := historicals(3)
		spoil(&rows[1])
		_, err := s.PutBounces(t.Context(), c, provider.Campaigner, rows)
		wantFault(t, name, err, fault.Data)
		same(t, name+": what was kept", len(history(t, s, c)), 0)
	}
	edges := historicals(2)
	edges[0].OccurredAt, edges[1].OccurredAt = bounce.First, bounce.End.Add(-time.Microsecond)
	put(t, s, c, bounce.Upserted{Inserted: 2}, edges...)
	same(t, "the first and the last time", asPut(history(t, s, c)), edges)
	ids := func(f bounce.Filter) []string {
		return names(must(s.ListBounces(t.Context(), c, bounce.ListParams{Limit: 9, Filter: f}))(t).Items, func(b bounce.Historical) string { return b.ProviderEventID })
	}
	same(t, "from a time before all", ids(bounce.Filter{From: time.Date(2, 1, 1, 0, 0, 0, 0, time.UTC), To: at(0)}), []string{edges[0].ProviderEventID})
	same(t, "to a time after all", ids(bounce.Filter{From: at(0), To: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}), []string{edges[1].ProviderEventID})
	same(t, "before all", ids(bounce.Filter{To: time.Date(2, 1, 1, 0, 0, 0, 0, time.UTC)}), []string(nil))
}

// testHistorySuppresses: the earliest hard bounce of events and history together is the cause, whatever becomes of either.
func testHistorySuppresses(t *testing.T, s store.Store) {
	ctx := t.Context()
	th := fill(t, s, 1)
	c, address := th.caller, "person@example.com"
	key := must(s.IdentityKey(ctx, c.Workspace()))(t)
	hard := event.Report{Type: event.Bounce, Class: bounce.Hard, Address: address, OccurredAt: at(0).Truncate(time.Second), Identity: event.Identity("hard"), CampaignRef: "a"}
	ofEvent := suppression.Cause{Reason: suppression.HardBounce, OccurredAt: hard.OccurredAt, Source: suppression.Webhook,
		ID: key.IDOf("campaigner", hard.OccurredAt, hard.Identity).UUID}
	left := event.Report{Type: event.Unsubscribe, Address: address, OccurredAt: at(500).Truncate(time.Second), Identity: event.Identity("left"), CampaignRef: "a"}
	unsubscribed := suppression.Cause{Reason: suppression.Unsubscribe, OccurredAt: left.OccurredAt, Source: suppression.Webhook,
		ID: key.IDOf("campaigner", left.OccurredAt, left.Identity).UUID}
	b := bounce.Historical{ProviderEventID: "7", Address: address, OccurredAt: at(100), Class: bounce.Hard}
	ofHistory := func(id string, at time.Time) suppression.Cause {
		return suppression.Cause{Reason: suppression.HardBounce, OccurredAt: at, Source: suppression.History, ID: bounce.IDOf(key, provider.Campaigner, id).UUID}
	}
	check := func(what string, want ...suppression.Cause) {
		t.Helper()
		same(t, what, must(s.CheckSuppressions(ctx, c, []string{address}))(t)[0], want)
		if listed := must(s.ListSuppressions(ctx, c, suppression.ListParams{Params: everything}))(t); len(want) > 0 {
			same(t, what+": listed", listed, page.Of[suppression.Entry]{Total: 1, Items: []suppression.Entry{{Address: address, Causes: want,
				Since: slices.MinFunc(want, func(a, b suppression.Cause) int { return a.OccurredAt.Compare(b.OccurredAt) }).OccurredAt, UpdatedAt: listed.Items[0].UpdatedAt}}})
		}
	}
	change := func(f func()) {
		f()
		put(t, s, c, bounce.Upserted{Updated: 1}, b)
	}
	put(t, s, c, bounce.Upserted{Inserted: 1}, b)
	check("the history alone", ofHistory("7", at(100)))
	change(func() { b.Class = bounce.Soft })
	check("a soft bounce")
	change(func() { b.Class = bounce.Hard })
	check("hard again", ofHistory("7", at(100)))

	var d script
	sent := d.send(t, s, th, delivery.Object{Report: &hard}, delivery.Object{Report: &left})
	d.count(t, s)
	check("an earlier event", ofEvent, unsubscribed)
	change(func() { b.OccurredAt = at(-100) })
	check("earlier than the event", ofHistory("7", at(-100)), unsubscribed)
	before := must(s.ListSuppressions(ctx, c, suppression.ListParams{Params: everything}))(t).Items[0].UpdatedAt
	change(func() { b.OccurredAt = at(200) })
	check("later than the event", ofEvent, unsubscribed)
	if after := must(s.ListSuppressions(ctx, c, suppression.ListParams{Params: everything}))(t).Items[0].UpdatedAt; !after.After(before) {
		t.Errorf("another cause is stamped %s, the one before %s", after, before)
	}
	change(func() { b.Address = "other@example.com" })
	same(t, "another's bounce", must(s.CheckSuppressions(ctx, c, []string{b.Address}))(t)[0], []suppression.Cause{ofHistory("7", at(200))})
	change(func() { b.Address = address })
	same(t, "and back", len(must(s.CheckSuppressions(ctx, c, []string{"other@example.com"}))(t)[0]), 0)
	put(t, s, c, bounce.Upserted{Inserted: 1}, bounce.Historical{ProviderEventID: "8", Address: address, OccurredAt: at(150), Class: bounce.Hard})

	ok(t, s.Rewrite(ctx, c, func(tx ingest.WorkspaceTx) error { // as a replay that finds neither
		gone, err := tx.RemoveReports(ctx, sent, []event.ID{key.IDOf("campaigner", hard.OccurredAt, hard.Identity), key.IDOf("campaigner", left.OccurredAt, left.Identity)})
		if err != nil || len(gone) != 2 {
			t.Fatalf("%d events were removed: %v", len(gone), err)
		}
		if err := tx.Removed(ctx, gone); err != nil {
			return err
		}
		return tx.Unsuppress(ctx, []recipient.Ordinal{gone[0].Recipient})
	}))
	check("events taken back", ofHistory("8", at(150)))
}
