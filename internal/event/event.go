// Package event owns the event: the one form that every provider's reports are brought into, the identity that makes two
// reports the same event, and what may be asked of events. Counting them is internal/rollup's business.
package event

import (
	"cmp"
	"context"
	"time"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/workspace"
)

// Type is what happened.
type Type uint8

// The types.
const (
	Sent Type = iota + 1
	Delivered
	Open
	Click
	Bounce
	Unsubscribe
	Complaint
)

var typeNames = [...]string{"", "sent", "delivered", "open", "click", "bounce", "unsubscribe", "complaint"}

// Types are all of them.
var Types = []Type{Sent, Delivered, Open, Click, Bounce, Unsubscribe, Complaint}

func (t Type) String() string { return typeNames[t] }

// ParseType reads the name of a type, in lower case; the fault is Invalid.
func ParseType(s string) (Type, error) {
	for _, t := range Types {
		if typeNames[t] == s {
			return t, nil
		}
	}
	return 0, fault.New(fault.Invalid, "%q is not an event type; sent, delivered, open, click, bounce, unsubscribe and complaint are", s)
}

// Actor is who did it. In doubt an action is human, so human figures are an estimate.
type Actor uint8

// The actors.
const (
	Human   Actor = 0
	Machine Actor = 1
)

func (a Actor) String() string {
	if a == Machine {
		return "machine"
	}
	return "human"
}

// Source is how we learned of it.
type Source uint8

// The sources.
const (
	Webhook Source = 0
	Sync    Source = 1 // read from the provider's API because no webhook had brought it
)

func (s Source) String() string {
	if s == Sync {
		return "sync"
	}
	return "webhook"
}

// Link is what was clicked: the provider's id of it, its URL, or both.
type Link struct{ ID, URL string }

// Same says whether two names are of the same link: by the id, or by the URL.
func (l Link) Same(o Link) bool {
	return l.ID != "" && l.ID == o.ID || l.URL != "" && l.URL == o.URL || l == o
}

// Key is what makes two clicks be on the same link: the provider's id, else the URL.
func (l Link) Key() string {
	if l.ID != "" {
		return "#" + l.ID
	}
	return l.URL
}

// Facts of an event that a report may bring beside what counts. All are optional.
type Facts struct {
	ProviderEventID string
	IP              string
	UserAgent       string
	Bounce          bounce.Detail
}

// Or is f with what it leaves open taken from o.
func (f Facts) Or(o Facts) Facts {
	f.ProviderEventID, f.IP, f.UserAgent = cmp.Or(f.ProviderEventID, o.ProviderEventID), cmp.Or(f.IP, o.IP), cmp.Or(f.UserAgent, o.UserAgent)
	b, more := &f.Bounce, o.Bounce
	b.SMTPCode, b.EnhancedCode = cmp.Or(b.SMTPCode, more.SMTPCode), cmp.Or(b.EnhancedCode, more.EnhancedCode)
	b.Label, b.Reason, b.Code = cmp.Or(b.Label, more.Label), cmp.Or(b.Reason, more.Reason), cmp.Or(b.Code, more.Code)
	return f
}

// Report is what one report of a provider says, in the form of every provider.
type Report struct {
	Type        Type
	CampaignRef string // the provider's campaign id; "" = none
	Address     string // normalised (recipient.Normalise); never ""
	OccurredAt  time.Time
	// Identity is what makes two reports the same event, made by Identity; the provider's decoder decides what is in it.
	Identity string
	// Other is a second identity that the event may have instead; "" = none. A click is named by its link's id, but where it
	// was reported without one, by its URL.
	Other    string
	Link     Link // of clicks
	Class    bounce.Class
	Source   Source
	Recovery *Recovery // of Source Sync
	Facts    Facts
}

// Recovery is what brought reports that were read from a provider's API.
type Recovery struct {
	Fetched  time.Time // when its first report was fetched, by the provider's clock: what happened later is not in it
	AllOpens bool      // every open is an event; else one alone a recipient, which a webhook's replaces
}

// Event is a stored event.
type Event struct {
	ID                 ID
	Campaign           campaign.ID // zero = none
	CampaignName       string
	ProviderCampaignID string
	Run                campaign.RunID // the latest run of the campaign that had begun; zero = none
	Type               Type
	Recipient          recipient.Ordinal
	Address            string // normalised; "" once erased
	OccurredAt         time.Time
	ReceivedAt         time.Time
	UpdatedAt          time.Time // unique and strictly growing in a workspace
	Provider           provider.Name
	Source             Source
	Actor              Actor
	ActorReason        string // the rule that took it for a machine, with its version; "" = none
	Link               Link
	Class              bounce.Class
	Facts              Facts
	Removed            bool // taken back: only ID and UpdatedAt are set
}

// Order of a list of events.
type Order uint8

// The orders; ids break ties.
const (
	NewestFirst   Order = iota // by occurred_at, descending
	OldestFirst                // by occurred_at
	UpdatedFirst               // by updated_at: what changed longest ago first
	UpdatedLatest              // by updated_at, descending
)

// Filter chooses events; empty fields choose all. Values of one field are alternatives, fields must all hold.
type Filter struct {
	Types       []Type
	Campaigns   []campaign.ID
	Address     []string // normalised
	Actor       []Actor
	Classes     []bounce.Class
	From, To    time.Time // of occurred_at, half-open, to any precision; zero = open
	UpdatedFrom time.Time // of updated_at, inclusive; asked with it, events that were taken back come too
}

// ListParams is a filter with a place in the list.
type ListParams struct {
	Filter
	Order  Order
	Offset int     // rows to skip from the beginning, or behind After
	Limit  int     // at least 1
	After  *Cursor // continue behind this row
	// NoTotal leaves Total 0; exports do not need it.
	NoTotal bool
}

// Cursor is a row's place: UpdatedAt is used by the orders by update, ID by the others.
type Cursor struct {
	ID        ID
	UpdatedAt time.Time
}

// List is a part of the list of events.
type List struct {
	page.Of[Event]
	More bool // there is more behind Items
	// NewestUpdate is the newest updated_at of the workspace in the snapshot that was read; zero where there is no event.
	NewestUpdate time.Time
	// AsOf is the time before which everything received is in that snapshot (see rollup.View); zero where no total was
	// asked for, or no inbox is open.
	AsOf time.Time
}

// Store answers questions about stored events. Writing them is ingest's.
type Store interface {
	ListEvents(ctx context.Context, c workspace.Caller, p ListParams) (List, error)
	// GetEvent: NotFound for an id that is not there or was taken back.
	GetEvent(ctx context.Context, c workspace.Caller, id ID) (Event, error)
}
