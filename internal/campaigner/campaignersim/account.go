package campaignersim

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Options make an account. The same options make the same account, to the byte of its webhooks.
type Options struct {
	Seed uint64
	// Now is when the history ends; zero = the first of March 2026, noon UTC.
	Now        time.Time
	Campaigns  int // that were sent; 0 = 24
	Recipients int // on the list at first; 0 = 5,000
	Days       int // that the history reaches back; 0 = 60
	Forms      Forms
	// Bounces is the number of bounces from before the campaigns, spread over the six years before them; 0 = 20,000,
	// negative = none, at most MaxBounces.
	Bounces int
	// Skew is how far the API's times lie from the webhooks' at most: on some events, never so that it is doubtful which row
	// is of which event; 0 = 3 s, negative = not at all, at most MaxSkew.
	Skew time.Duration
}

// The bounds of Options.
const (
	MaxBounces = 1_000_000
	MaxSkew    = 119 * time.Second // recovery looks 120 s around
)

func (o Options) withDefaults() Options {
	if o.Now.IsZero() {
		o.Now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	}
	for n, standard := range map[*int]int{&o.Campaigns: 24, &o.Recipients: 5000, &o.Days: 60} {
		if *n <= 0 {
			*n = standard
		}
	}
	if o.Forms.Zone == nil {
		o.Forms.Zone = time.UTC
	}
	if o.Bounces == 0 {
		o.Bounces = 20_000
	}
	if o.Skew == 0 {
		o.Skew = 3 * time.Second
	}
	o.Bounces, o.Skew = min(max(o.Bounces, 0), MaxBounces), min(max(o.Skew, 0), MaxSkew)
	return o
}

// Kind is what happened.
type Kind uint8

// The kinds. Soft bounces and complaints have no webhook; only the provider's API tells of them.
const (
	SendingStarted Kind = iota + 1
	Sent
	Open // the first of a contact in a campaign
	Click
	HardBounce
	SoftBounce
	Unsubscribe
	Complaint
	Subscribe
	AddressChanged
)

// HasWebhook tells whether a webhook brings events of the kind.
func (k Kind) HasWebhook() bool { return k != SoftBounce && k != Complaint }

// Ignored tells whether the kind is no engagement, so that Monterey keeps it raw and counts it nowhere.
func (k Kind) Ignored() bool { return k == Subscribe || k == AddressChanged }

// Campaign is a campaign that was sent at least once. Its place in the list is its index elsewhere.
type Campaign struct {
	ID                  int64
	Name, Subject       string
	FromName, FromEmail string
	Created             time.Time
	Links               []Link
	Runs                []Run // by start
}

// Link is a tracked link of a campaign.
type Link struct {
	ID   int64
	URL  string
	Name string
}

// Run is one send of a campaign.
type Run struct {
	Started, Finished time.Time
	Recipients        []int // indices of the contacts mailed, in the order of the mails
	// SaysCount: its webhook Campaign Sent has the number of mails in `sent`; else the time is there and the number unknown.
	SaysCount bool
}

// Status of the campaign in the provider's words, at a time: Scheduled, Sending or Sent.
func (c Campaign) Status(now time.Time) string {
	status := "Scheduled"
	for _, r := range c.Runs {
		switch {
		case !now.Before(r.Finished):
			status = "Sent"
		case !now.Before(r.Started):
			return "Sending"
		}
	}
	return status
}

// Contact is somebody on the list. Its place in the list is its index elsewhere.
type Contact struct {
	EmailID      int64
	Address      string // as the contact wrote it, which may be in capitals
	First, Last  string
	City         string
	IP           string
	Joined, Left time.Time // Left zero = still there; who changes the address leaves, and joins with the new one
	profile      profile
	Successor    int // the index of the contact with the new address; -1 = none
}

// Event is something that happened. Its place in the list is its index elsewhere; the list is ordered by time.
type Event struct {
	ID       int64 // the provider's id of the webhook, in the order of the list
	Kind     Kind
	At       time.Time // UTC, in ticks of 100 ns like the provider's clock
	Campaign int       // index; -1 = of no campaign
	Run      int       // index among the campaign's; -1 = of none
	Contact  int       // index; -1 for SendingStarted and Sent
	Link     int       // index among the campaign's; -1 for all but clicks
	BounceID int64     // of bounces, growing with the list; else 0
	NDRCode  int       // of bounces: the provider's code
	Reason   string    // of bounces: what the other server said
	Reported time.Time // when it happened by the clock of the API; see Options.Skew
}

// Account is an invented account. It may be used by several goroutines.
type Account struct {
	Company string
	Domain  string // of the company's own addresses and links
	options Options

	history    *history
	unsent     []Unsent
	mu         sync.RWMutex
	campaigns  []Campaign
	contacts   []Contact
	events     []Event
	lastBounce int64
	now        time.Time // until when everything has happened

	live  sync.Mutex // held by who drives time on: maker and later are theirs
	maker *maker
	later []Event // what will happen after the last event, by time
}

// NewAccount makes an account with its history up to o.Now.
func NewAccount(o Options) *Account {
	o = o.withDefaults()
	rng := rand.New(rand.NewPCG(o.Seed, 1))
	company := companies[rng.IntN(len(companies))]
	a := &Account{Company: company.name, Domain: company.domain, options: o, lastBounce: 40_000_000 + rng.Int64N(1_000_000)}
	a.maker = newMaker(a)
	all := a.maker.history()
	a.history = newHistory(o, a.maker.begin, a.lastBounce, a.contacts[:o.Recipients])
	a.unsent, a.now = a.plans(), o.Now
	past := len(all)
	for past > 0 && all[past-1].At.After(o.Now) {
		past--
	}
	a.publish(all[:past])
	a.later = all[past:]
	return a
}

// Options are those that the account was made with, filled up with the defaults.
func (a *Account) Options() Options { return a.options }

// Campaigns in the order of their first run.
func (a *Account) Campaigns() []Campaign {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.campaigns
}

// Contacts are all who are or were on the list.
func (a *Account) Contacts() []Contact {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.contacts
}

// Events are all that has happened so far, by time.
func (a *Account) Events() []Event {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.events
}

// publish makes events have happened; the index of the first comes back.
func (a *Account) publish(events []Event) (first int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first = len(a.events)
	for _, e := range events {
		e.ID = 700_000_000 + int64(len(a.events))
		if e.Kind == HardBounce || e.Kind == SoftBounce {
			a.lastBounce++
			e.BounceID = a.lastBounce
		}
		a.events = append(a.events, e)
	}
	return first
}

// addCampaign makes a campaign known; its index comes back.
func (a *Account) addCampaign(c Campaign) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.campaigns = append(a.campaigns, c)
	return len(a.campaigns) - 1
}
