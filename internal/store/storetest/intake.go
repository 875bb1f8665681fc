package storetest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/rollup"
	"monterey/internal/store"
	"monterey/internal/workspace"
)

// script is a decoder whose bodies are numbers of prepared lists of objects.
type script [][]delivery.Object

func (*script) Open([]byte) (int, []string, []byte, error) { panic("bodies come opened") }

func (s *script) Decode(body []byte, _ *time.Location, _ time.Time) []delivery.Object {
	n, _ := strconv.Atoi(string(body)) // what send wrote
	return (*s)[n]
}

// send appends a delivery of these objects.
func (s *script) send(t *testing.T, st store.Store, th things, objects ...delivery.Object) delivery.ID {
	t.Helper()
	*s = append(*s, objects)
	id, at, err := st.Append(t.Context(), ingest.Body{Workspace: th.caller.Workspace(), Connection: th.conn.ID,
		Raw: []byte(strconv.Itoa(len(*s) - 1)), Objects: len(objects)})
	ok(t, err)
	if at.IsZero() {
		t.Error("a body was received at no time")
	}
	return id
}

// count lets a worker count all that waits.
func (s *script) count(t *testing.T, st store.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error)
	go func() { ended <- ingest.NewWorker(st, s, ingest.Options{Linger: time.Millisecond}).Run(ctx) }()
	for {
		items, err := st.Peek(ctx, nil, 1, 1)
		ok(t, err)
		if len(items) == 0 {
			break
		}
		time.Sleep(time.Millisecond) // a driver tells of arrivals, not of their end
	}
	cancel()
	ok(t, <-ended)
}

// reports are n different reports of all types, of 3 campaigns and none, 7 recipients, in no order of time.
func reports(n int) []delivery.Object {
	var out []delivery.Object
	for i := range n {
		r := event.Report{Type: event.Types[i%len(event.Types)], CampaignRef: []string{"a", "A", "", "b"}[i%4],
			Address: fmt.Sprintf("person%d@example.com", i%5), OccurredAt: day.Truncate(time.Second).Add(time.Duration(i*37%n) * time.Minute),
			Identity: event.Identity("report", strconv.Itoa(i)), Facts: event.Facts{IP: "192.0.2.1", UserAgent: "ua"}}
		switch r.Type {
		case event.Click:
			r.Link = event.Link{URL: "https://example.com/" + strconv.Itoa(i%3)}
		case event.Bounce:
			r.Class = bounce.Classes[i%len(bounce.Classes)]
		}
		out = append(out, delivery.Object{Report: &r})
	}
	return out
}

// testEvents counts the same reports in two workspaces, and one half of them twice, and asks for them in every way.
func testEvents(t *testing.T, s store.Store) {
	ctx := t.Context()
	mine, theirs := fill(t, s, 1), fill(t, s, 2)
	var d script
	all := reports(90)
	first := d.send(t, s, mine, all[:60]...)
	d.send(t, s, theirs, all...)
	d.count(t, s)
	d.send(t, s, mine, all[30:]...)
	d.count(t, s)

	got := must(s.ListEvents(ctx, mine.caller, event.ListParams{Limit: 1000}))(t)
	same(t, "total", got.Total, int64(len(all)))
	checkEvents(t, s, mine.caller, all, got.Items)
	for name, f := range map[string]event.Filter{
		"all": {}, "types": {Types: []event.Type{event.Click, event.Bounce}}, "campaign": {Campaigns: []campaign.ID{got.Items[0].Campaign}},
		"no campaign": {Campaigns: []campaign.ID{{}}}, "recipient": {Address: []string{"person3@example.com"}},
		"nobody": {Address: []string{"PERSON3@example.com"}}, "classes": {Classes: []bounce.Class{bounce.Hard, bounce.Unknown}},
		"range":                        {From: got.Items[50].OccurredAt, To: got.Items[10].OccurredAt},
		"several":                      {Types: []event.Type{event.Open}, Address: []string{"person1@example.com", "person2@example.com"}, From: got.Items[80].OccurredAt},
		"updated":                      {UpdatedFrom: got.Items[20].UpdatedAt},
		"another workspace's campaign": {Campaigns: []campaign.ID{theirs.campaign.ID}},
	} {
		for _, order := range []event.Order{event.NewestFirst, event.OldestFirst, event.UpdatedFirst, event.UpdatedLatest} {
			checkList(t, s, mine.caller, fmt.Sprintf("%s, order %d", name, order), event.ListParams{Filter: f, Order: order}, got.Items)
		}
	}
	for _, e := range must(s.ListEvents(ctx, theirs.caller, event.ListParams{Limit: 1000}))(t).Items {
		_, err := s.GetEvent(ctx, mine.caller, e.ID)
		wantFault(t, "another workspace's event", err, fault.NotFound)
	}
	if again := must(s.ListEvents(ctx, mine.caller, event.ListParams{Limit: 1}))(t); !again.More || first == (delivery.ID{}) {
		t.Error("the first event is not followed by more")
	}
	ok(t, s.Snapshot(ctx, mine.caller, func(v rollup.View) error { return checkRows(t, v, got.Items) }))
}

// checkEvents compares stored events with the reports that they were made of.
func checkEvents(t *testing.T, s store.Store, c workspace.Caller, objects []delivery.Object, got []event.Event) {
	t.Helper()
	key := must(s.IdentityKey(t.Context(), c.Workspace()))(t)
	byID := map[event.ID]event.Event{}
	for _, e := range got {
		byID[e.ID] = e
		same(t, "one event", must(s.GetEvent(t.Context(), c, e.ID))(t), e)
	}
	for _, o := range objects {
		r := o.Report
		e := byID[key.IDOf("campaigner", r.OccurredAt, r.Identity)]
		same(t, "the event", event.Report{Type: e.Type, CampaignRef: e.ProviderCampaignID, Address: e.Address, OccurredAt: e.OccurredAt,
			Identity: r.Identity, Link: e.Link, Class: e.Class, Source: e.Source, Facts: e.Facts}, *r)
	}
}

// checkList reads a list whole, by offset and by cursor, and compares it with what the filter chooses of all events.
func checkList(t *testing.T, s store.Store, c workspace.Caller, what string, p event.ListParams, all []event.Event) {
	t.Helper()
	var want []event.ID
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b event.Event) int {
		d := slices.Compare(a.ID.UUID[:], b.ID.UUID[:])
		if p.Order == event.UpdatedFirst || p.Order == event.UpdatedLatest {
			d = a.UpdatedAt.Compare(b.UpdatedAt)
		}
		if p.Order == event.NewestFirst || p.Order == event.UpdatedLatest {
			return -d
		}
		return d
	})
	for _, e := range sorted {
		if chooses(p.Filter, e) {
			want = append(want, e.ID)
		}
	}
	ids := func(l event.List) (out []event.ID) {
		for _, e := range l.Items {
			out = append(out, e.ID)
		}
		return out
	}
	p.Limit = 1000
	whole := must(s.ListEvents(t.Context(), c, p))(t)
	same(t, what, ids(whole), want)
	same(t, what+": total", whole.Total, int64(len(want)))

	p.Limit = 7
	var paged, walked []event.ID
	for p.Offset = 0; p.Offset <= len(want); p.Offset += p.Limit {
		paged = append(paged, ids(must(s.ListEvents(t.Context(), c, p))(t))...)
	}
	same(t, what+": by offset", paged, want)
	for p.Offset = 0; ; {
		part := must(s.ListEvents(t.Context(), c, p))(t)
		walked = append(walked, ids(part)...)
		if !part.More || len(walked) > len(want) {
			break
		}
		last := part.Items[len(part.Items)-1]
		p.After = &event.Cursor{ID: last.ID, UpdatedAt: last.UpdatedAt}
	}
	same(t, what+": by cursor", walked, want)
}

func chooses(f event.Filter, e event.Event) bool {
	return (len(f.Types) == 0 || slices.Contains(f.Types, e.Type)) &&
		(len(f.Campaigns) == 0 || slices.Contains(f.Campaigns, e.Campaign)) &&
		(len(f.Address) == 0 || slices.Contains(f.Address, e.Address)) &&
		(len(f.Classes) == 0 || slices.Contains(f.Classes, e.Class)) &&
		(f.From.IsZero() || !e.OccurredAt.Before(f.From)) && (f.To.IsZero() || e.OccurredAt.Before(f.To)) &&
		(f.UpdatedFrom.IsZero() || !e.UpdatedAt.Before(f.UpdatedFrom))
}

// checkRows compares the quarters of the whole workspace with its events.
func checkRows(t *testing.T, v rollup.View, all []event.Event) error {
	t.Helper()
	want, got := map[int64]uint64{}, map[int64]uint64{}
	for _, e := range all {
		if e.Type == event.Open {
			want[rollup.Quarter.Bucket(e.OccurredAt.Unix())]++
		}
	}
	last := int64(0)
	err := v.Rows(t.Context(), []rollup.Stretch{{Campaign: rollup.Workspace, Span: rollup.Quarter, To: 1 << 40}}, func(_ int, bucket int64, counts, sets []byte) error {
		r, err := rollup.Unmarshal(counts, sets)
		if err != nil {
			return err
		}
		if bucket <= last {
			t.Errorf("bucket %d comes after %d", bucket, last)
		}
		if n := r.Count[rollup.Open]; n > 0 {
			got[bucket] = n
		}
		last = bucket
		return nil
	})
	same(t, "opens by quarter hour", got, want)
	return err
}
