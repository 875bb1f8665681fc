package oracle

import (
	"cmp"
	"slices"
	"strings"
)

// Filter chooses events; empty fields choose all.
type Filter struct {
	Types     []string
	Campaigns []string // the provider's ids
	Addresses []string // in any form
	Actor     string   // human or machine
	From, To  *int64
}

// Events are those of the filter in the order of SortEvents. run_started_at, no field of the answer, is when the event's
// run began, nil for none.
func (o *Oracle) Events(f Filter) []map[string]any {
	list := []map[string]any{}
	for _, e := range o.events {
		if !f.takes(e) {
			continue
		}
		m := map[string]any{"event_type": e.Type, "recipient_email": e.person, "occurred_at": stamp(e.At), "actor": "human",
			"provider_campaign_id": text(e.Campaign), "url": text(e.URL), "bounce_type": text(e.Class), "source": "webhook",
			"run_started_at": nil}
		if e.machine {
			m["actor"] = "machine"
		}
		for _, r := range o.Runs(e.Campaign) {
			if e.Campaign != "" && r.Start <= e.At {
				m["run_started_at"] = stamp(r.Start)
			}
		}
		list = append(list, m)
	}
	SortEvents(list)
	return list
}

func (f Filter) takes(e happened) bool {
	mine := func(a string) bool { return Person(a) == e.person }
	return (len(f.Types) == 0 || slices.Contains(f.Types, e.Type)) &&
		(len(f.Campaigns) == 0 || slices.Contains(f.Campaigns, e.Campaign)) &&
		(len(f.Addresses) == 0 || slices.ContainsFunc(f.Addresses, mine)) &&
		(f.Actor == "" || (f.Actor == "machine") == e.machine) &&
		within(e.At, f.From, f.To)
}

// SortEvents brings events, ours or the server's, into one order: newest first, then by what they say, as the ids that
// break the server's ties are its own.
func SortEvents(list []map[string]any) {
	key := func(m map[string]any) string {
		var b strings.Builder
		for _, f := range []string{"event_type", "provider_campaign_id", "recipient_email", "url"} {
			s, _ := m[f].(string)
			b.WriteString(s + "\n")
		}
		return b.String()
	}
	slices.SortStableFunc(list, func(a, b map[string]any) int {
		at, bt := a["occurred_at"].(string), b["occurred_at"].(string)
		return cmp.Or(cmp.Compare(bt, at), cmp.Compare(key(a), key(b)))
	})
}

// Links of a campaign, over [from, to), by LinkKey.
func (o *Oracle) Links(campaign string, from, to *int64) map[string]map[string]any {
	clicks := map[string][]happened{}
	for _, e := range o.counted([]string{campaign}, from, to, ByEvent) {
		if e.Type == "click" {
			clicks[e.link] = append(clicks[e.link], e)
		}
	}
	links := map[string]map[string]any{}
	for _, on := range clicks {
		t := o.tally(on, perCampaign)
		m := map[string]any{"link_id": text(on[0].LinkID), "url": text(on[0].URL),
			"clicks": num(t.clicks), "unique_clicks": num(len(t.clicked)),
			"human_clicks": num(t.humanClicks), "unique_human_clicks": num(len(t.humanClicked)),
			"first_click_at": stamp(on[0].At), "last_click_at": stamp(on[len(on)-1].At)}
		links[LinkKey(m)] = m
	}
	return links
}

// LinkKey names a row of links, ours or the server's.
func LinkKey(row map[string]any) string {
	if id, ok := row["link_id"].(string); ok && id != "" {
		return "id " + id
	}
	url, _ := row["url"].(string)
	return "url " + url
}

// Domains of a campaign's recipients, over [from, to), by domain: all of them, with no row for the rest.
func (o *Oracle) Domains(campaign string, from, to *int64) map[string]map[string]any {
	events := map[string][]happened{}
	for _, e := range o.counted([]string{campaign}, from, to, ByEvent) {
		domain := e.person[strings.LastIndex(e.person, "@")+1:]
		events[domain] = append(events[domain], e)
	}
	domains := map[string]map[string]any{}
	for d, of := range events {
		t := o.tally(of, perCampaign)
		domains[d] = o.people([]string{campaign}, t)
		domains[d]["domain"], domains[d]["recipients"] = d, num(len(t.anyone))
	}
	return domains
}

// Suppressed are the entries of the suppression list by address: email, since, reasons (sorted) and causes, which are the
// earliest time of each reason.
func (o *Oracle) Suppressed() map[string]map[string]any {
	causes := map[string]map[string]any{}
	for _, e := range o.events { // by time, so the first is the earliest
		reason := map[string]string{"unsubscribe": "unsubscribe", "complaint": "complaint"}[e.Type]
		if e.Type == "bounce" && e.Class == "hard" {
			reason = "hard_bounce"
		}
		if reason == "" {
			continue
		}
		if causes[e.person] == nil {
			causes[e.person] = map[string]any{}
		}
		if causes[e.person][reason] == nil {
			causes[e.person][reason] = stamp(e.At)
		}
	}
	entries := map[string]map[string]any{}
	for person, why := range causes {
		reasons, since := []any{}, ""
		for _, r := range sorted(why) {
			reasons = append(reasons, r)
			if at := why[r].(string); since == "" || at < since {
				since = at
			}
		}
		entries[person] = map[string]any{"email": person, "since": since, "reasons": reasons, "causes": why}
	}
	return entries
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}
