package ingest

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/recipient"
)

// What was read from a provider's API (recovered) and what its webhooks say are reports of the same events, but the
// provider's clocks may differ by a little, and so their ids. Before reports are stored, the ids of those that are of an
// event that is there already become the ids of that event: this is what identify does, and storing them then finds
// duplicates as ever. A match by nearness is kept as an alias, so that it holds for good.

// nearness is how far the clocks of one provider may be apart.
const nearness = 120 * time.Second

// furtherOpen is why an open that was read from the provider is no event: its recipient's open is known, and only the
// first is one.
const furtherOpen = "a further open of the recipient"

// group is where the reports and the events lie that may be the same.
type group struct {
	campaign campaign.ID
	kind     event.Type
	ordinal  recipient.Ordinal
}

// Known is a stored event as recovery looks at it.
type Known struct {
	ID        event.ID
	Recipient recipient.Ordinal
	Link      event.Link
}

// Recovered is an event that a recovery brought and that no webhook has reported.
type Recovered struct {
	Known
	event.Recovery
}

// Alias says that an id is another name of an event, and which delivery showed it.
type Alias struct {
	ID       event.ID
	Event    event.ID
	Delivery delivery.ID
}

// identify gives the reports that are of stored events those events' ids. Reports that are no events get their result and
// are taken out. It does nothing where nothing was ever recovered.
func (c *counting) identify(ctx context.Context, tx WorkspaceTx, campaigns map[string]campaign.ID) error {
	groups, err := c.groups(ctx, tx, campaigns)
	if err != nil || len(groups) == 0 {
		return err
	}
	if c.source == event.Sync {
		err = c.matchRecovered(ctx, tx, groups)
	} else {
		err = c.matchWebhooks(ctx, tx, groups)
	}
	for _, of := range groups {
		for _, o := range of {
			o.share()
		}
	}
	c.reports = slices.DeleteFunc(c.reports, func(o counted) bool { return o.settled })
	c.sort() // ids are others
	return err
}

// share lets the reports that have the id of this one follow it.
func (o *counted) share() {
	for _, s := range o.same {
		s.id, s.aliased, s.settled = o.id, o.aliased, o.settled
		if o.settled {
			s.set(o.d.Results[o.index])
		}
	}
}

// groups are the reports of campaigns that something was recovered of; reports of one id are there once, and with it the
// others.
func (c *counting) groups(ctx context.Context, tx WorkspaceTx, campaigns map[string]campaign.ID) (map[group][]*counted, error) {
	if c.source == event.Sync {
		if err := tx.MarkRecovered(ctx, campaigns); err != nil {
			return nil, err
		}
	}
	concerned, err := tx.RecoveredCampaigns(ctx)
	if err != nil || len(concerned) == 0 {
		return nil, err
	}
	out, first := map[group][]*counted{}, map[event.ID]*counted{}
	for i := range c.reports {
		o := &c.reports[i]
		id := campaigns[o.Report.CampaignRef]
		if !concerned[id] {
			continue
		}
		if f := first[o.id]; f != nil {
			f.same = append(f.same, o)
			continue
		}
		k := group{id, o.Report.Type, o.ordinal}
		first[o.id], out[k] = o, append(out[k], o)
	}
	return out, nil
}

// matchWebhooks finds what of the webhooks' reports was recovered before: known aliases first, then the nearest of the
// recovered events that no webhook has reported, if they happened before the recovery was fetched.
func (c *counting) matchWebhooks(ctx context.Context, tx WorkspaceTx, groups map[group][]*counted) error {
	var ids []event.ID
	for _, of := range groups {
		for _, o := range of {
			ids = append(ids, o.id)
		}
	}
	known, err := tx.Resolve(ctx, ids)
	if err != nil {
		return err
	}
	var replaced []event.ID
	for _, k := range sortedGroups(groups) {
		var left []*counted
		for _, o := range groups[k] {
			if id, ok := known[o.id]; ok {
				o.id = id
			} else {
				left = append(left, o)
			}
		}
		more, err := matchTwins(ctx, tx, k, left)
		if err != nil {
			return err
		}
		replaced = append(replaced, more...)
	}
	return replace(ctx, tx, replaced)
}

// matchTwins matches what is left of a group. Recovered opens that a webhook's open is to replace come back.
func matchTwins(ctx context.Context, tx WorkspaceTx, k group, left []*counted) (replaced []event.ID, err error) {
	if len(left) == 0 {
		return nil, nil
	}
	recovered, err := tx.RecoveredOf(ctx, k.campaign, k.kind, k.ordinal)
	if err != nil || len(recovered) == 0 {
		return nil, err
	}
	taken := make([]bool, len(recovered))
	for _, m := range nearest(left, recovered, mayBeTwin) {
		o, twin := left[m.report], recovered[m.event]
		if err := alias(ctx, tx, o, twin.ID); err != nil {
			return nil, err
		}
		taken[m.event] = true
		if err := tx.Enrich(ctx, twin.ID, o.Report.Facts); err != nil {
			return nil, err
		}
	}
	if k.kind != event.Open || !slices.ContainsFunc(left, func(o *counted) bool { return !o.aliased }) {
		return nil, nil
	}
	for i, r := range recovered {
		if !taken[i] && !r.AllOpens {
			replaced = append(replaced, r.ID)
		}
	}
	return replaced, nil
}

// mayBeTwin says whether a webhook's report can be of a recovered event: not if it happened after that was fetched. A
// recovered open is rather replaced, where one alone a recipient counts.
func mayBeTwin(o *counted, r Recovered) bool {
	return o.Report.OccurredAt.Before(r.Fetched) && (o.Report.Type != event.Open || r.AllOpens)
}

// replace takes recovered opens back, in whose place webhooks' are stored next.
func replace(ctx context.Context, tx WorkspaceTx, opens []event.ID) error {
	if len(opens) == 0 {
		return nil
	}
	gone, err := tx.RemoveEvents(ctx, opens)
	if err != nil {
		return err
	}
	if err := uncount(ctx, tx, gone); err != nil {
		return err
	}
	return tx.Removed(ctx, gone)
}

// matchRecovered finds the events that recovered reports are of: by their ids, by aliases, and then by nearness, one to
// one. What is left is new, but of opens at most the first of a recipient, where not all are wanted.
func (c *counting) matchRecovered(ctx context.Context, tx WorkspaceTx, groups map[group][]*counted) error {
	stored, aliases, err := c.stored(ctx, tx, groups)
	if err != nil {
		return err
	}
	for _, k := range sortedGroups(groups) {
		reports, events := groups[k], stored[k]
		taken := make([]bool, len(events))
		left := matchExactly(reports, events, aliases, taken)
		free := make([]Recovered, 0, len(events))
		for i, e := range events {
			if !taken[i] {
				free = append(free, Recovered{Known: e})
			}
		}
		for _, m := range nearest(left, free, func(*counted, Recovered) bool { return true }) {
			if err := alias(ctx, tx, left[m.report], free[m.event].ID); err != nil {
				return err
			}
		}
		if k.kind == event.Open {
			firstOpenOnly(left, len(events) > 0)
		}
	}
	return nil
}

// stored are the events of all groups, and the aliases of their reports.
func (c *counting) stored(ctx context.Context, tx WorkspaceTx, groups map[group][]*counted) (map[group][]Known, map[event.ID]event.ID, error) {
	type list struct {
		campaign campaign.ID
		kind     event.Type
	}
	who := map[list][]recipient.Ordinal{}
	var ids []event.ID
	for k, of := range groups {
		l := list{k.campaign, k.kind}
		who[l] = append(who[l], k.ordinal)
		for _, o := range of {
			ids = append(ids, o.id)
		}
	}
	out := map[group][]Known{}
	for l, ordinals := range who {
		slices.Sort(ordinals)
		err := tx.EventsOf(ctx, l.campaign, l.kind, ordinals, func(e Known) {
			k := group{l.campaign, l.kind, e.Recipient}
			out[k] = append(out[k], e)
		})
		if err != nil {
			return nil, nil, err
		}
	}
	aliases, err := tx.Resolve(ctx, ids)
	return out, aliases, err
}

// matchExactly gives reports the ids of the events that they name, by either identity or by an alias whose event no other
// report names, and returns those that name none.
func matchExactly(reports []*counted, events []Known, aliases map[event.ID]event.ID, taken []bool) (left []*counted) {
	at := make(map[event.ID]int, len(events))
	for i, e := range events {
		at[e.ID] = i
	}
	var rest []*counted
	for _, o := range reports {
		i, ok := at[o.id]
		if !ok && o.Report.Other != "" {
			i, ok = at[o.other]
		}
		if !ok {
			rest = append(rest, o)
			continue
		}
		o.id, taken[i] = events[i].ID, true
	}
	for _, o := range rest {
		i, ok := at[aliases[o.id]]
		if !ok || taken[i] {
			left = append(left, o)
			continue
		}
		o.id, o.aliased, taken[i] = events[i].ID, true, true
	}
	return left
}

// firstOpenOnly settles all opens that are left but the earliest, and that one too where the recipient's open is known.
func firstOpenOnly(left []*counted, known bool) {
	var first *counted
	for _, o := range left {
		if o.aliased || o.Report.Recovery.AllOpens {
			continue
		}
		if first == nil || o.Report.OccurredAt.Before(first.Report.OccurredAt) {
			first = o
		}
	}
	for _, o := range left {
		if o.aliased || o.Report.Recovery.AllOpens || !known && o.id == first.id {
			continue
		}
		o.settled = true
		o.set(delivery.Result{Outcome: delivery.Ignored, Reason: furtherOpen})
	}
}

// alias makes a report one of a stored event under another id, for good.
func alias(ctx context.Context, tx WorkspaceTx, o *counted, to event.ID) error {
	err := tx.AddAlias(ctx, Alias{ID: o.id, Event: to, Delivery: o.d.ID})
	o.id, o.aliased = to, true
	return err
}

// pair is a report and an event that are near each other, by their places.
type pair struct{ report, event int }

// nearest pairs reports and events of one group within nearness, the nearest first, each once.
func nearest(reports []*counted, events []Recovered, may func(*counted, Recovered) bool) []pair {
	type candidate struct {
		pair
		apart time.Duration
	}
	var all []candidate
	for i, o := range reports {
		for j, e := range events {
			apart := o.Report.OccurredAt.Sub(e.ID.Time()).Abs()
			if apart <= nearness && o.Report.Link.Same(e.Link) && may(o, e) {
				all = append(all, candidate{pair{i, j}, apart})
			}
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.apart, b.apart), bytes.Compare(reports[a.report].id.UUID[:], reports[b.report].id.UUID[:]),
			bytes.Compare(events[a.event].ID.UUID[:], events[b.event].ID.UUID[:]))
	})
	var out []pair
	usedReport, usedEvent := map[int]bool{}, map[int]bool{}
	for _, c := range all {
		if !usedReport[c.report] && !usedEvent[c.event] {
			usedReport[c.report], usedEvent[c.event] = true, true
			out = append(out, c.pair)
		}
	}
	return out
}

// sortedGroups is the groups in one order, so that the same batch does the same again.
func sortedGroups(groups map[group][]*counted) []group {
	out := make([]group, 0, len(groups))
	for k := range groups {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b group) int {
		return cmp.Or(bytes.Compare(a.campaign.UUID[:], b.campaign.UUID[:]), cmp.Compare(a.kind, b.kind), cmp.Compare(a.ordinal, b.ordinal))
	})
	return out
}
