// Package delivery owns what arrived at the webhook: each accepted request is a delivery with a state, counts and the
// outcome of each of its objects. Its raw body is kept, so that what could not be read can be replayed.
package delivery

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

// ID names a delivery. It is made of the inbox's epoch (60 random bits) and the sequence number there (62 bits), so that
// a delivery has its id as soon as it is durable and before it is counted. Its form is that of a UUIDv8.
type ID struct{ uuid.UUID }

// IDOf is the id of the delivery with this place in the inbox.
func IDOf(epoch uint64, seq int64) (id ID) {
	var hi, lo [8]byte
	epoch &= 1<<60 - 1
	binary.BigEndian.PutUint64(hi[:], epoch>>12<<16|8<<12|epoch&0xfff)
	binary.BigEndian.PutUint64(lo[:], uint64(seq)&(1<<62-1)|1<<63)
	copy(id.UUID[:8], hi[:])
	copy(id.UUID[8:], lo[:])
	return id
}

// Place is the inverse of IDOf.
func (id ID) Place() (epoch uint64, seq int64) {
	hi, lo := binary.BigEndian.Uint64(id.UUID[:8]), binary.BigEndian.Uint64(id.UUID[8:])
	return hi>>16<<12 | hi&0xfff, int64(lo & (1<<62 - 1))
}

// ParseID reads an id in its usual form; the fault is Invalid.
func ParseID(s string) (ID, error) {
	u, err := uuid.Parse(s)
	if err != nil {
		return ID{}, fault.New(fault.Invalid, "%q is not a delivery id (a UUID)", s)
	}
	return ID{u}, nil
}

// State of a delivery.
type State uint8

// The states.
const (
	Pending     State = iota // durable, not counted yet
	Done                     // all of it counted
	Partial                  // some objects could not be read
	Quarantined              // no object could be read
)

var stateNames = [...]string{"pending", "done", "partial", "quarantined"}

// States are all of them.
var States = []State{Pending, Done, Partial, Quarantined}

func (s State) String() string { return stateNames[s] }

// ParseState reads the name of a state, in lower case; the fault is Invalid.
func ParseState(s string) (State, error) {
	for _, st := range States {
		if stateNames[st] == s {
			return st, nil
		}
	}
	return 0, fault.New(fault.Invalid, "%q is not a state; pending, done, partial and quarantined are", s)
}

// Outcome of one object of a delivery.
type Outcome uint8

// The outcomes. Received = inserted + duplicate + ignored + quarantined, always.
const (
	Inserted  Outcome = iota
	Duplicate         // the event was there already
	Ignored           // a kind of report that is no engagement
	Held              // quarantined: it could not be read
)

var outcomeNames = [...]string{"inserted", "duplicate", "ignored", "quarantined"}

func (o Outcome) String() string { return outcomeNames[o] }

// Counts of outcomes.
type Counts struct{ Inserted, Duplicate, Ignored, Quarantined int }

// Add counts one more outcome (n = 1), or one less (n = -1).
func (c *Counts) Add(o Outcome, n int) {
	*[...]*int{&c.Inserted, &c.Duplicate, &c.Ignored, &c.Quarantined}[o] += n
}

// State that these counts make.
func (c Counts) State() State {
	switch {
	case c.Quarantined == 0:
		return Done
	case c.Inserted+c.Duplicate+c.Ignored == 0:
		return Quarantined
	}
	return Partial
}

// Result is what became of one object. Event is set where it was inserted or a duplicate of an event; Reason where it was
// ignored (the provider's name of the kind) or held (the field and its text).
type Result struct {
	Outcome Outcome
	Event   event.ID
	Reason  string
}

// Delivery is one accepted request.
type Delivery struct {
	ID         ID
	Workspace  workspace.ID
	Connection provider.ID
	Provider   provider.Name
	ReceivedAt time.Time
	State      State
	Objects    int // in the body
	Bytes      int // of the body, unpacked
	Counts     Counts
	RawKept    bool     // the body is still there
	Results    []Result // in the body's order; only of GetDelivery, and not while pending
}

// Object is one object of a body as its provider's decoder reads it. Exactly one of Report, Mark, Ignored and Fault is set.
type Object struct {
	Report  *event.Report
	Mark    *Mark
	Ignored string // the provider's name of a kind that is no engagement
	Fault   string // why it cannot be read: the field and its text
}

// Mark is a report about a run of a campaign.
type Mark struct {
	CampaignRef string
	campaign.Mark
}

// Store answers what arrived. Writing is ingest's.
type Store interface {
	// ListDeliveries is sorted by arrival, newest first (or oldest: p.Sort "received_at"). states = nil means all.
	// Deliveries not yet counted are in it.
	ListDeliveries(ctx context.Context, c workspace.Caller, states []State, p page.Params) (page.Of[Delivery], error)
	GetDelivery(ctx context.Context, c workspace.Caller, id ID) (Delivery, error)
	// AsOf is the time before which everything received in the workspace is counted in every snapshot opened after the
	// call: when its oldest delivery not yet counted was received, or now.
	AsOf(ctx context.Context, c workspace.Caller) (time.Time, error)
}
