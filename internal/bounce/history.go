package bounce

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// ID names a historical bounce. It is made of the provider and the provider's bounce id alone, so it stays whatever else
// of the bounce changes, and reading the history anew finds the same.
type ID struct{ uuid.UUID }

// IDOf is the id of a provider's bounce under the workspace's identity key: a UUIDv8 (RFC 9562, section 5.8) of an HMAC.
func IDOf(key []byte, p provider.Name, providerEventID string) ID {
	return IDWith(workspace.NewMAC(key), p, providerEventID)
}

// IDWith is IDOf under the key of m.
func IDWith(m *workspace.MAC, p provider.Name, providerEventID string) (id ID) {
	copy(id.UUID[:], m.Sum("historical bounce", string(p), providerEventID))
	id.UUID[6] = id.UUID[6]&0x0f | 0x80 // version 8
	id.UUID[8] = id.UUID[8]&0x3f | 0x80 // variant of RFC 9562
	return id
}

// Historical is a bounce of the provider's own history, which goes back to before Monterey was there. It is no event: it
// belongs to no campaign, and no statistics count it.
type Historical struct {
	ID              ID // IDOf
	Provider        provider.Name
	ProviderEventID string // the provider's bounce id
	Recipient       recipient.Ordinal
	Address         string // normalised (recipient.Normalise); "" once erased
	OccurredAt      time.Time
	Class           Class
	Detail          Detail
	Status          string    // the provider's status of the contact, verbatim
	UpdatedAt       time.Time // unique and strictly growing in a workspace, together with events
	// AccountNumbers are the accounts that hold the address in the account directory now, sorted bytewise; never nil in what
	// a store answers.
	AccountNumbers []string
}

// Over is h where before was said of the same bounce: what h leaves open stays as it was. So an answer with fewer fields takes
// nothing away. The codes belong to the reason that they stand in: another reason without any has none.
func (h Historical) Over(before Historical) Historical {
	if h.Class == Unknown {
		h.Class = before.Class
	}
	if h.Detail.Reason == "" {
		h.Detail.Reason = before.Detail.Reason
		h.Detail.SMTPCode = cmp.Or(h.Detail.SMTPCode, before.Detail.SMTPCode)
		h.Detail.EnhancedCode = cmp.Or(h.Detail.EnhancedCode, before.Detail.EnhancedCode)
	}
	h.Detail.Label = cmp.Or(h.Detail.Label, before.Detail.Label)
	h.Detail.Code = cmp.Or(h.Detail.Code, before.Detail.Code)
	h.Status = cmp.Or(h.Status, before.Status)
	return h
}

// Times that a historical bounce can have: First <= OccurredAt < End. There was no e-mail before, and cursors tell places in
// nanoseconds of 64 bits.
var (
	First = time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC)
	End   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Upserted is what became of the bounces of one call; each is counted once.
type Upserted struct{ Inserted, Updated, Unchanged int }

// Order of a list of historical bounces.
type Order uint8

// The orders; ids break ties.
const (
	NewestFirst   Order = iota // by occurred_at, descending
	OldestFirst                // by occurred_at
	UpdatedFirst               // by updated_at: what changed longest ago first
	UpdatedLatest              // by updated_at, descending
)

// Filter chooses historical bounces; empty fields choose all. Values of one field are alternatives, fields must all hold.
type Filter struct {
	Address     []string // normalised
	Accounts    []string // account numbers: the bounces of the addresses that these accounts hold now
	Classes     []Class
	From, To    time.Time // of occurred_at, half-open, to any precision; zero = open
	UpdatedFrom time.Time // of updated_at, inclusive
}

// ListParams is a filter with a place in the list.
type ListParams struct {
	Filter
	Order   Order
	Offset  int     // rows to skip from the beginning, or behind After
	Limit   int     // at least 1
	After   *Cursor // continue behind this row
	NoTotal bool    // leave Total 0; exports do not need it
}

// Cursor is a row's place: UpdatedAt is used by the orders by update, OccurredAt and ID by the others.
type Cursor struct {
	ID         ID
	OccurredAt time.Time
	UpdatedAt  time.Time
}

// List is a part of the list of historical bounces.
type List struct {
	page.Of[Historical]
	More bool // there is more behind Items
	// NewestUpdate is the newest updated_at of the workspace in the snapshot that was read; zero where nothing was stored.
	NewestUpdate time.Time
}

// Store keeps the history. Nothing is ever deleted from it.
type Store interface {
	// PutBounces stores what the provider's history says, all of it or nothing: a bounce whose provider id is new is inserted,
	// one that says something else than before replaces it, and one that says the same changes nothing. What a row leaves open
	// stays as it was (Historical.Over). Rows with the same provider id are one, each said over those before it. Of a row, ID, Provider, Recipient, UpdatedAt and AccountNumbers are the store's to
	// set. Hard bounces suppress their recipients; where one is hard no longer, or later, its recipient's cause is worked out
	// anew. Of an erased recipient no texts are kept. Data for a row without a provider id, an address or a class, or of a
	// time outside First and End.
	PutBounces(ctx context.Context, c workspace.Caller, p provider.Name, rows []Historical) (Upserted, error)
	// PutPage is PutBounces together with the step that a task makes by it, which step works out from what became of the
	// rows; step may be called twice. Conflict when the task has ended: then nothing is stored.
	PutPage(ctx context.Context, c workspace.Caller, p provider.Name, rows []Historical, step func(Upserted) (task.Step, error)) error
	// ListBounces lists the history with the accounts of each address.
	ListBounces(ctx context.Context, c workspace.Caller, p ListParams) (List, error)
}
