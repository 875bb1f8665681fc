package campaignersim

import (
	"slices"
	"time"
)

// RecoveredTruth is what Monterey must hold of everything that has happened so far, once every report of the API was read.
// before are the events of webhooks that arrived before the first reading, after those that came only when a reading had
// found their rows; both may be in any order and repeat.
//
// An event keeps the time that it was first told with: a webhook's, or the API's where that was first, but an open takes the
// time of its webhook even then. Bounces of no campaign are in no report, so they are there only if their webhook is.
// Objects, Duplicates and Ignored are those of the webhooks; Inserted counts what the API brought too.
func (a *Account) RecoveredTruth(before, after []int) *Truth {
	t := a.TruthOf(slices.Concat(before, after))
	told := map[int]bool{}
	for _, i := range before {
		told[i] = true
	}
	campaigns, contacts, events := a.Campaigns(), a.Contacts(), a.Events()
	for _, i := range after {
		told[i] = told[i] || events[i].Kind == Open || events[i].Campaign < 0
	}
	var all []fact
	seen := map[identity]bool{}
	add := func(f fact) {
		if !seen[f.identity()] {
			seen[f.identity()] = true
			all = append(all, f)
		}
	}
	for i, e := range events {
		if told[i] && e.Contact >= 0 && !e.Kind.Ignored() {
			add(factOf(e, campaigns, contacts))
		}
	}
	for i, e := range events {
		if !told[i] && e.Contact >= 0 && e.Campaign >= 0 && !e.Kind.Ignored() {
			f := factOf(e, campaigns, contacts)
			f.at, f.sync = e.Reported.Unix(), true
			add(f)
		}
	}
	t.Inserted -= t.EventCount() - len(all)
	t.recovered = true
	clear(t.campaigns)
	for _, f := range all {
		t.campaigns[f.campaign] = append(t.campaigns[f.campaign], f)
	}
	t.settle()
	return t
}

// Held is an event of a contact that Monterey must hold.
type Held struct {
	Type       string // open, click, bounce, unsubscribe or complaint
	BounceType string // of bounces: hard or soft
	Address    string // in lower case
	LinkID     string // of clicks
	URL        string // of clicks
	At         time.Time
	Source     string // webhook or sync
}

var heldTypes = map[Kind]string{Open: "open", Click: "click", HardBounce: "bounce", SoftBounce: "bounce", Unsubscribe: "unsubscribe", Complaint: "complaint"}

// Events are those of the campaign with the provider's id, by time; "" = of no campaign.
func (t *Truth) Events(campaign string) (events []Held) {
	for _, f := range t.campaigns[campaign] {
		h := Held{Type: heldTypes[f.kind], Address: f.person, LinkID: f.link, URL: f.url, At: time.Unix(f.at, 0).UTC(), Source: "webhook"}
		switch f.kind {
		case HardBounce:
			h.BounceType = "hard"
		case SoftBounce:
			h.BounceType = "soft"
		}
		if f.sync {
			h.Source = "sync"
		}
		events = append(events, h)
	}
	return events
}
