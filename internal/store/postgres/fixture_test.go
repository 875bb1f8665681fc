package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/rollup"
	"monterey/internal/store/rolluprow"
	"monterey/internal/workspace"
)

// fixture is a workspace whose rows were inserted by SQL, and the events that a reader should see.
type fixture struct {
	*Store
	t         testing.TB
	ws        int64
	key       []byte
	caller    workspace.Caller
	rnd       *rand.Rand
	campaigns []campaign.Campaign // number - 1
	runs      map[campaign.ID][]campaign.Run
	links     []event.Link // number - 1; the campaign is the number modulo the number of campaigns
	addresses []string     // ordinal - 1
	events    []event.Event
	removed   []removedEvent
	stamp     int64
}

// removedEvent is an event that was taken back, as far as that is known.
type removedEvent struct {
	event.Event
	campaign int64
}

// fixtureStart lets a few days lie in two partitions.
var fixtureStart = time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC)

// newFixture makes a workspace of nothing but campaigns, links and recipients, beside another one with the same numbers.
func newFixture(t testing.TB, seed uint64, campaigns, recipients int) *fixture {
	now := func() time.Time { return fixtureStart.AddDate(0, 6, 0) }
	s := openStore(t, database(t), now)
	id := workspace.NewID()
	f := &fixture{Store: s, t: t, key: []byte("0123456789abcdef0123456789abcdef"), caller: workspace.System(id),
		rnd: rand.New(rand.NewPCG(seed, 1)), runs: map[campaign.ID][]campaign.Run{}, stamp: fixtureStart.UnixMicro()}
	other := workspace.NewID()
	f.write(func(tx pgx.Tx) {
		for i, w := range []workspace.ID{other, id} {
			f.exec(tx, "INSERT INTO workspaces OVERRIDING SYSTEM VALUE VALUES ($1, $2, 'w', 'UTC', $3, 1, 1, 0)", i+1, w, f.key)
			f.exec(tx, "INSERT INTO counters (workspace_id) VALUES ($1)", i+1)
		}
		f.ws = 2
		for range campaigns {
			f.addCampaign(tx)
		}
		for i := range recipients {
			f.addRecipient(tx, fmt.Sprintf("p%d@d%d.example", i, i%7))
		}
		for range 3 * campaigns {
			f.addLink(tx)
		}
	})
	return f
}

func (f *fixture) write(fn func(pgx.Tx)) {
	f.t.Helper()
	if err := f.Store.write(context.Background(), "fixture", func(tx pgx.Tx) error { fn(tx); return nil }); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) exec(tx pgx.Tx, text string, args ...any) {
	f.t.Helper()
	if _, err := tx.Exec(context.Background(), text, args...); err != nil {
		f.t.Fatalf("%s: %v", text, err)
	}
}

func (f *fixture) addCampaign(tx pgx.Tx) {
	num := len(f.campaigns) + 1
	c := campaign.Campaign{ID: campaign.NewID(), Name: fmt.Sprintf("Campaign %d", num), Provider: provider.Campaigner, ProviderCampaignID: fmt.Sprint(1000 + num)}
	f.campaigns = append(f.campaigns, c)
	f.exec(tx, "INSERT INTO campaigns (workspace_id, num, id, provider, provider_campaign_id, name, tags, status, discovered, archived, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, '{}', '', false, false, 1, 1)", f.ws, num, c.ID, string(c.Provider), c.ProviderCampaignID, c.Name)
	for i := range num % 3 {
		r := campaign.Run{ID: campaign.RunID{UUID: uuid.Must(uuid.NewV7())}, Campaign: c.ID, StartedAt: fixtureStart.Add(time.Duration(num+5*i) * 7 * time.Hour)}
		f.runs[c.ID] = append(f.runs[c.ID], r)
		f.exec(tx, "INSERT INTO runs VALUES ($1, $2, $3, NULL, $4, 0, NULL, NULL, false, 1, 1)", f.ws, r.ID, num, r.StartedAt.UnixMicro())
	}
}

func (f *fixture) addRecipient(tx pgx.Tx, address string) {
	f.addresses = append(f.addresses, address)
	hash := recipient.HashOf(f.key, address)
	f.exec(tx, "INSERT INTO recipients (workspace_id, hash, ordinal) VALUES ($1, $2, $3)", f.ws, [16]byte(hash), len(f.addresses))
	f.exec(tx, "INSERT INTO addresses VALUES ($1, $2, $3)", f.ws, len(f.addresses), address)
}

func (f *fixture) addLink(tx pgx.Tx) {
	num := len(f.links) + 1
	l := event.Link{URL: fmt.Sprintf("https://shop.example/%d", num)}
	if num%2 == 0 {
		l.ID = fmt.Sprint(num)
	}
	f.links = append(f.links, l)
	f.exec(tx, "INSERT INTO links (workspace_id, num, campaign, key, link_id, url) VALUES ($1, $2, $3, sha256(convert_to($4, 'UTF8')), $5, $6)", f.ws, num, f.linkCampaign(num), l.Key(), l.ID, l.URL)
}

func (f *fixture) linkCampaign(num int) int { return (num-1)%len(f.campaigns) + 1 }

// fixtureTypes are how often types come.
var fixtureTypes = []event.Type{event.Sent, event.Sent, event.Sent, event.Delivered, event.Open, event.Open, event.Click, event.Bounce, event.Unsubscribe, event.Complaint}

// grow adds n random events of a span of time and brings the rollups up to date.
func (f *fixture) grow(n int, span time.Duration) {
	f.add(n, span)
	f.write(f.rollUp)
}

// add adds n random events of a span of time, stamped nearly in their order.
func (f *fixture) add(n int, span time.Duration) {
	var months []month
	for m := monthOf(fixtureStart); m <= monthOf(fixtureStart.Add(span)); m++ {
		months = append(months, m)
	}
	if err := f.makeMonths(context.Background(), months); err != nil {
		f.t.Fatal(err)
	}
	f.write(func(tx pgx.Tx) {
		batch := make([]event.Event, n)
		nums := make([]int64, n)
		order := make([]int, n)
		for i := range batch {
			batch[i], nums[i] = f.randomEvent(span)
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int { return slices.Compare(batch[a].ID.UUID[:], batch[b].ID.UUID[:]) })
		for at := range order { // mostly by time, some late
			if f.rnd.IntN(10) == 0 {
				to := f.rnd.IntN(n)
				order[at], order[to] = order[to], order[at]
			}
		}
		rows := make([][]any, 0, n)
		for _, i := range order {
			e := &batch[i]
			f.stamp += 1 + f.rnd.Int64N(3)
			e.UpdatedAt, e.ReceivedAt = fromMicros(f.stamp), fromMicros(f.stamp-7)
			link := int64(0)
			if e.Link != (event.Link{}) {
				link = int64(slices.Index(f.links, e.Link)) + 1
			}
			args := []any{f.ws, e.ID, nums[i], int64(e.Type), int64(e.Recipient), f.stamp, f.stamp - 7, int64(e.Actor), int64(e.Class), int64(e.Source), link,
				int64(1), null(e.Facts.IP), null(e.Facts.Other())}
			rows = append(rows, args)
			if i%3 == 0 && len(f.events) < 1000 {
				others := slices.Clone(args)
				others[0], others[4] = int64(1), int64(1) // another workspace's, of the same id
				rows = append(rows, others)
			}
			f.events = append(f.events, *e)
		}
		if _, err := tx.CopyFrom(context.Background(), pgx.Identifier{"events"}, []string{"workspace_id", "id", "campaign", "type", "ordinal", "updated_at", "received_at",
			"actor", "class", "source", "link", "delivery", "ip", "facts"}, pgx.CopyFromRows(rows)); err != nil {
			f.t.Fatal(err)
		}
		f.exec(tx, "UPDATE counters SET stamp = $1 WHERE workspace_id = $2", f.stamp, f.ws)
	})
}

func (f *fixture) randomEvent(span time.Duration) (event.Event, int64) {
	e := event.Event{
		Type: fixtureTypes[f.rnd.IntN(len(fixtureTypes))], OccurredAt: fixtureStart.Add(time.Duration(f.rnd.Int64N(int64(span/time.Second))) * time.Second),
		Recipient: recipient.Ordinal(1 + f.rnd.IntN(len(f.addresses))), Provider: provider.Campaigner,
	}
	num := int64(cmp.Or(f.rnd.IntN(3)*f.rnd.IntN(len(f.campaigns)+1), 1)) % int64(len(f.campaigns)+1)
	if num > 0 {
		c := f.campaigns[num-1]
		e.Campaign, e.CampaignName, e.ProviderCampaignID = c.ID, c.Name, c.ProviderCampaignID
		for _, r := range f.runs[c.ID] {
			if !r.StartedAt.After(e.OccurredAt) {
				e.Run = r.ID
			}
		}
	}
	e.Address = f.addresses[e.Recipient-1]
	switch e.Type {
	case event.Open, event.Click:
		if f.rnd.IntN(4) == 0 {
			e.Actor, e.ActorReason = event.Machine, event.RuleName(1)
		}
		if e.Type == event.Click && num > 0 {
			e.Link = f.links[num-1+int64(len(f.campaigns)*f.rnd.IntN(3))]
		}
		e.Facts.IP = "203.0.113.9"
	case event.Bounce:
		e.Class = bounce.Classes[f.rnd.IntN(len(bounce.Classes))]
		e.Facts.Bounce = bounce.Detail{SMTPCode: 550, Reason: "no \"such\" user"}
	}
	e.Facts.ProviderEventID = fmt.Sprint(f.rnd.Uint32())
	e.ID = event.Key(f.key).IDOf("campaigner", e.OccurredAt, fmt.Sprint(f.rnd.Uint64()))
	return e, num
}

// takeBack removes n random events and leaves their removals.
func (f *fixture) takeBack(n int) {
	f.write(func(tx pgx.Tx) {
		for range n {
			i := f.rnd.IntN(len(f.events))
			e := f.events[i]
			f.events = slices.Delete(f.events, i, i+1)
			f.stamp++
			num := f.numOf(e.Campaign)
			f.exec(tx, "DELETE FROM events WHERE workspace_id = $1 AND id = $2", f.ws, e.ID)
			f.exec(tx, "INSERT INTO removals (workspace_id, updated_at, id, type, ordinal, campaign) VALUES ($1, $2, $3, $4, $5, $6)", f.ws, f.stamp, e.ID, int64(e.Type), int64(e.Recipient), num)
			e.UpdatedAt = fromMicros(f.stamp)
			f.removed = append(f.removed, removedEvent{e, num})
		}
		f.exec(tx, "UPDATE counters SET stamp = $1 WHERE workspace_id = $2", f.stamp, f.ws)
		f.rollUp(tx)
	})
}

func (f *fixture) numOf(id campaign.ID) int64 {
	return int64(slices.IndexFunc(f.campaigns, func(c campaign.Campaign) bool { return c.ID == id })) + 1
}

// rollUp writes all rollups and domains anew from the events.
func (f *fixture) rollUp(tx pgx.Tx) {
	rows := map[rollup.Key]*rollup.Row{}
	for i := range f.events {
		e := &f.events[i]
		fact := factOfEvent(e)
		for _, c := range []campaign.ID{e.Campaign, rollup.Workspace} {
			for _, s := range []rollup.Span{rollup.Quarter, rollup.Hour, rollup.Day, rollup.Week} {
				k := rollup.Key{Campaign: c, Span: s, Bucket: s.Bucket(fact.At)}
				if rows[k] == nil {
					rows[k] = rollup.NewRow()
				}
				if c == rollup.Workspace {
					rows[k].AddCount(fact)
				} else {
					rows[k].Add(fact)
				}
			}
		}
	}
	f.exec(tx, "DELETE FROM rollups")
	f.putRollups(tx, rows)
	f.exec(tx, "DELETE FROM domains")
	for name, members := range f.domains() {
		for it := members.Iterator(); it.HasNext(); {
			chunk := it.PeekNext() >> 16
			part := roaring.New()
			part.AddRange(uint64(chunk)<<16, uint64(chunk+1)<<16)
			part.And(members)
			b, _ := part.ToBytes()
			f.exec(tx, "INSERT INTO domains (workspace_id, domain, chunk, members) VALUES ($1, $2, $3, $4)", f.ws, name, chunk, b)
			it.AdvanceIfNeeded((chunk + 1) << 16)
		}
	}
}

func factOfEvent(e *event.Event) rollup.Fact {
	return rollup.Fact{At: e.OccurredAt.Unix(), Recipient: e.Recipient, Type: e.Type, Class: e.Class, Actor: e.Actor}
}

func (f *fixture) domains() map[string]*roaring.Bitmap {
	out := map[string]*roaring.Bitmap{}
	for i, a := range f.addresses {
		d := recipient.Domain(a)
		if out[d] == nil {
			out[d] = roaring.New()
		}
		out[d].Add(uint32(i + 1))
	}
	return out
}

// null is a text for a column where nothing is NULL.
func null(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// putRollups stores rows of which none is there.
func (f *fixture) putRollups(tx pgx.Tx, rows map[rollup.Key]*rollup.Row) {
	sorted, err := rolluprow.Sorted(rows, func(c campaign.ID) (int64, error) {
		if c == rollup.Workspace {
			return -1, nil
		}
		return f.numOf(c), nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, r := range rolluprow.Pack(sorted) {
		f.exec(tx, "INSERT INTO rollups (workspace_id, campaign, span, bucket, counts, sets, quarters) VALUES ($1, $2, $3, $4, $5, $6, $7)", f.ws, r.Campaign, int64(r.Span), r.Bucket, r.Counts, r.Sets, r.Quarters)
	}
}
