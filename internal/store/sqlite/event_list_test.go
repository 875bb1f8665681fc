package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/workspace"
)

const fixtureSpan = 3 * 24 * time.Hour

// newListFixture has events, some taken back, and a history that is behind.
func newListFixture(t testing.TB) *fixture {
	f := newFixture(t, 7, 6, 40)
	f.grow(1500, fixtureSpan)
	f.fillHistory(f.stamp - 900)
	f.takeBack(60)
	f.grow(300, fixtureSpan)
	f.takeBack(20)
	return f
}

// choose is the list by brute force.
func (f *fixture) choose(p event.ListParams) (out []event.Event) {
	has := func(e event.Event, removed bool) bool {
		return (len(p.Types) == 0 || slices.Contains(p.Types, e.Type)) &&
			(len(p.Campaigns) == 0 || slices.Contains(p.Campaigns, e.Campaign)) &&
			(len(p.Address) == 0 || slices.Contains(p.Address, e.Address)) &&
			(removed || len(p.Actor) == 0 || slices.Contains(p.Actor, e.Actor)) &&
			(removed || len(p.Classes) == 0 || slices.Contains(p.Classes, e.Class)) &&
			(p.From.IsZero() || !e.OccurredAt.Before(p.From)) && (p.To.IsZero() || e.OccurredAt.Before(p.To)) &&
			(p.UpdatedFrom.IsZero() || !e.UpdatedAt.Before(p.UpdatedFrom))
	}
	for _, e := range f.events {
		if has(e, false) {
			out = append(out, e)
		}
	}
	for _, r := range f.removed {
		narrowed := len(p.Classes) > 0 && r.Type != event.Bounce ||
			len(p.Actor) > 0 && !slices.Contains(p.Actor, event.Human) && r.Type != event.Open && r.Type != event.Click
		if !p.UpdatedFrom.IsZero() && has(r.Event, true) && !narrowed {
			out = append(out, event.Event{ID: r.ID, UpdatedAt: r.UpdatedAt, Removed: true})
		}
	}
	slices.SortFunc(out, func(a, b event.Event) int {
		byID := bytes.Compare(a.ID.UUID[:], b.ID.UUID[:])
		switch p.Order {
		case event.NewestFirst:
			return -byID
		case event.OldestFirst:
			return byID
		case event.UpdatedFirst:
			return cmp.Or(a.UpdatedAt.Compare(b.UpdatedAt), byID)
		}
		return -cmp.Or(a.UpdatedAt.Compare(b.UpdatedAt), byID)
	})
	return out
}

func some[T any](t *rapid.T, name string, of []T) []T {
	if rapid.IntRange(0, 2).Draw(t, name+"?") > 0 {
		return nil
	}
	return rapid.SliceOfN(rapid.SampledFrom(of), 1, 3).Draw(t, name)
}

func (f *fixture) drawFilter(t *rapid.T) (p event.ListParams) {
	ids := []campaign.ID{{}, campaign.NewID()}
	for _, c := range f.campaigns {
		ids = append(ids, c.ID)
	}
	moment := func(name string, from time.Time, within time.Duration) time.Time {
		switch rapid.IntRange(0, 3).Draw(t, name+"?") {
		case 0:
			return from.Add(time.Duration(rapid.Int64Range(0, int64(within/time.Second)).Draw(t, name)) * time.Second)
		case 1:
			return from.Add(time.Duration(rapid.Int64Range(0, int64(within)).Draw(t, name)))
		}
		return time.Time{}
	}
	p.Types = some(t, "types", event.Types)
	p.Campaigns = some(t, "campaigns", ids)
	p.Actor = some(t, "actors", []event.Actor{event.Human, event.Machine})
	if rapid.IntRange(0, 4).Draw(t, "class?") == 0 {
		p.Classes = some(t, "classes", bounce.Classes)
	}
	if rapid.IntRange(0, 2).Draw(t, "address?") == 0 {
		p.Address = some(t, "addresses", append([]string{"nobody@example.com"}, f.addresses...))
	}
	p.From, p.To = moment("from", fixtureStart, fixtureSpan), moment("to", fixtureStart, fixtureSpan)
	p.UpdatedFrom = moment("updated", fixtureStart.Add(-time.Second), time.Duration(f.stamp-fixtureStart.UnixMicro())*time.Microsecond+time.Second)
	p.Order = event.Order(rapid.IntRange(0, 3).Draw(t, "order"))
	p.Limit = rapid.SampledFrom([]int{1, 2, 17, 300}).Draw(t, "limit")
	return p
}

func TestListEventsIsBruteForce(t *testing.T) {
	f := newListFixture(t)
	rapid.Check(t, func(t *rapid.T) {
		p := f.drawFilter(t)
		want := f.choose(p)
		p.Offset = rapid.IntRange(0, len(want)+1).Draw(t, "offset")
		got, err := f.ListEvents(context.Background(), f.caller, p)
		if err != nil {
			t.Fatal(err)
		}
		checkPart(t, got, want, p.Offset, p.Limit)
		if got.Total != int64(len(want)) {
			t.Fatalf("the total is %d, want %d", got.Total, len(want))
		}
		if !got.NewestUpdate.Equal(fromMicros(f.stamp)) {
			t.Fatalf("the newest update is %s, want %s", got.NewestUpdate, fromMicros(f.stamp))
		}
		if at := p.Offset; at > 0 && at <= len(want) {
			p.Offset, p.After = rapid.IntRange(0, 40).Draw(t, "offset behind"), &event.Cursor{ID: want[at-1].ID, UpdatedAt: want[at-1].UpdatedAt}
			p.NoTotal = rapid.Bool().Draw(t, "no total")
			if got, err = f.ListEvents(context.Background(), f.caller, p); err != nil {
				t.Fatal(err)
			}
			checkPart(t, got, want, at+p.Offset, p.Limit)
		}
	})
}

func checkPart(t *rapid.T, got event.List, want []event.Event, from, limit int) {
	t.Helper()
	from = min(from, len(want))
	to := min(from+limit, len(want))
	if diff := gocmp.Diff(append([]event.Event{}, want[from:to]...), got.Items); diff != "" {
		t.Fatalf("%d of %d rows behind %d are wrong:\n%s", len(got.Items), len(want), from, diff)
	}
	if got.More != (to < len(want)) {
		t.Fatalf("more is %v with %d of %d rows seen", got.More, to, len(want))
	}
}

func TestListEventsOfNobody(t *testing.T) {
	f := newListFixture(t)
	if _, err := f.ListEvents(context.Background(), workspace.System(workspace.NewID()), event.ListParams{Limit: 1}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a workspace that is not there answers %v", err)
	}
}

func TestListEventsOfManyCampaigns(t *testing.T) {
	f := newFixture(t, 3, 60, 20)
	f.grow(4000, 40*24*time.Hour)
	p := event.ListParams{Limit: 5}
	for _, c := range f.campaigns[5:] {
		p.Campaigns = append(p.Campaigns, c.ID)
	}
	want := f.choose(p)
	if len(want) < 2000 {
		t.Fatalf("%d events are too few to seek in", len(want))
	}
	for p.Offset = 0; p.Offset < len(want); p.Offset += 333 {
		for _, p.Order = range []event.Order{event.NewestFirst, event.OldestFirst} {
			got, err := f.ListEvents(context.Background(), f.caller, p)
			if err != nil || got.Total != int64(len(want)) {
				t.Fatalf("error %v, total %d, want %d", err, got.Total, len(want))
			}
			all := f.choose(p)
			if diff := gocmp.Diff(all[p.Offset:min(p.Offset+5, len(all))], got.Items); diff != "" {
				t.Fatalf("at %d in order %d:\n%s", p.Offset, p.Order, diff)
			}
		}
	}
}

func TestGetEvent(t *testing.T) {
	f := newListFixture(t)
	for _, e := range f.events[:50] {
		got, err := f.GetEvent(context.Background(), f.caller, e.ID)
		if diff := gocmp.Diff(e, got); err != nil || diff != "" {
			t.Fatalf("error %v:\n%s", err, diff)
		}
	}
	for _, id := range []event.ID{{}, f.removed[0].ID} {
		if _, err := f.GetEvent(context.Background(), f.caller, id); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s, which is not there: %v", id, err)
		}
	}
}
