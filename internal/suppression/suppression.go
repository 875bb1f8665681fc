// Package suppression owns who must never be mailed again, and why: who hard-bounced, complained or unsubscribed.
package suppression

import (
	"context"
	"time"

	"github.com/google/uuid"

	"monterey/internal/bounce"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

// Reason to suppress an address.
type Reason uint8

// The reasons.
const (
	HardBounce Reason = iota + 1
	Complaint
	Unsubscribe
)

var names = [...]string{"", "hard_bounce", "complaint", "unsubscribe"}

// Reasons are all of them.
var Reasons = []Reason{HardBounce, Complaint, Unsubscribe}

func (r Reason) String() string { return names[r] }

// ParseReason reads the name of a reason, in lower case; the fault is Invalid.
func ParseReason(s string) (Reason, error) {
	for _, r := range Reasons {
		if names[r] == s {
			return r, nil
		}
	}
	return 0, fault.New(fault.Invalid, "%q is not a reason; hard_bounce, complaint and unsubscribe are", s)
}

// ReasonOf is why an event of this type and class suppresses its recipient; 0 = it does not.
func ReasonOf(t event.Type, c bounce.Class) Reason {
	switch {
	case t == event.Bounce && c == bounce.Hard:
		return HardBounce
	case t == event.Complaint:
		return Complaint
	case t == event.Unsubscribe:
		return Unsubscribe
	}
	return 0
}

// Source is what a cause was learned from. Those of events have the numbers of event.Source.
type Source uint8

// The sources.
const (
	Webhook = Source(event.Webhook)
	Sync    = Source(event.Sync)
	History = Source(2) // the provider's history of bounces
)

func (s Source) String() string {
	if s == History {
		return "history"
	}
	return event.Source(s).String()
}

// Cause is the earliest event or historical bounce that gives a reason.
type Cause struct {
	Reason     Reason
	OccurredAt time.Time
	Source     Source
	ID         uuid.UUID // of the event, or of the historical bounce
}

// Entry is a suppressed address with all its causes, one a reason, by reason.
type Entry struct {
	Address   string
	Causes    []Cause
	Since     time.Time // the earliest of the causes
	UpdatedAt time.Time // when the newest reason was added or an earlier cause found
}

// Filter chooses entries; empty fields choose all.
type Filter struct {
	Reasons     []Reason // any of them
	Address     []string // normalised
	UpdatedFrom time.Time
}

// ListParams is a filter with a place in the list, which is sorted by since (newest first) or by updated_at ascending.
type ListParams struct {
	Filter
	page.Params // Sort: since, updated_at or email; default -since
}

// Store answers who is suppressed. Writing is ingest's.
type Store interface {
	ListSuppressions(ctx context.Context, c workspace.Caller, p ListParams) (page.Of[Entry], error)
	// CheckSuppressions finds the causes of each normalised address, at most 10 000, some of them perhaps twice. They are in the
	// order of the addresses; of one that is not suppressed there are none.
	CheckSuppressions(ctx context.Context, c workspace.Caller, addresses []string) ([][]Cause, error)
}
