package ingest

import (
	"context"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/rollup"
	"monterey/internal/suppression"
	"monterey/internal/workspace"
)

// Body is what one request brought, verified.
type Body struct {
	Workspace  workspace.ID
	Connection provider.ID
	Raw        []byte // unpacked, its keys blanked
	Objects    int
}

// Item is a delivery that waits in the inbox.
type Item struct {
	Body
	ID         delivery.ID
	ReceivedAt time.Time
}

// Inbox keeps bodies until they are counted.
type Inbox interface {
	// Append returns once the body is durable. ReceivedAt is stamped while it is made so, and grows. Unavailable when the
	// body could not be stored, or the inbox is full.
	Append(ctx context.Context, b Body) (delivery.ID, time.Time, error)
	// Peek reads what is not counted yet, oldest first, behind the item after (nil = from the oldest): as many as hold
	// maxObjects objects or maxBytes bytes together, at least one. None means that there is nothing for this process: the inbox
	// is drained, or others count what is in it. What nil gives again may have been counted by others since.
	Peek(ctx context.Context, after *Item, maxObjects, maxBytes int) ([]Item, error)
	// Arrived receives something after bodies have been appended; it may miss none but may tell of several at once.
	Arrived() <-chan struct{}
}

// Store is what counting needs of a driver. A database that gives up a transaction for the sake of another runs its function
// again, which must therefore begin anew with all that it keeps.
type Store interface {
	Inbox
	// IdentityKey is the key of a workspace's identities; it never changes.
	IdentityKey(ctx context.Context, ws workspace.ID) (event.Key, error)
	// Connection finds where deliveries came through, also when it has been deleted since.
	Connection(ctx context.Context, ws workspace.ID, id provider.ID) (provider.Connection, error)
	// Count runs f in one transaction, which also marks the items (consecutive ones, as Peek gave them) as counted. When f
	// or the commit fails nothing has happened. A fault of kind Data or Conflict, and a panic in f, come from the data; Taken
	// says that another process counts these items or their workspace, and is no failure; all other errors are the store's.
	Count(ctx context.Context, items []Item, f func(Tx) error) error
	// Rewrite runs f in one transaction of the workspace, as its only writer. It waits for others, but not for ever: then the
	// fault is Unavailable.
	Rewrite(ctx context.Context, c workspace.Caller, f func(WorkspaceTx) error) error
	// TryRewrite is Rewrite for work that can wait: while another process writes to the workspace the fault is Taken, within a
	// second.
	TryRewrite(ctx context.Context, c workspace.Caller, f func(WorkspaceTx) error) error
	// AsOf is that of delivery.Store.
	AsOf(ctx context.Context, c workspace.Caller) (time.Time, error)
	// Workspaces are those that have ever counted something and were not deleted.
	Workspaces(ctx context.Context) ([]workspace.ID, error)
	// FillHistory brings the recipients' history up to date by at most so many events, and says whether more are left. Where
	// fewer than the least wait it does nothing.
	FillHistory(ctx context.Context, c workspace.Caller, least, most int) (more bool, err error)
	// PruneArchives forgets raw bodies received before the time given, but keeps those of deliveries with held objects.
	// It does a part and says whether more are left.
	PruneArchives(ctx context.Context, before time.Time) (more bool, err error)
}

// Tx is a counting transaction over several workspaces.
type Tx interface {
	Workspace(ctx context.Context, ws workspace.ID) (WorkspaceTx, error)
}

// WorkspaceTx is a transaction's part of one workspace.
type WorkspaceTx interface {
	rollup.Source

	// Campaigns finds the campaigns with these ids of the provider, and makes the unknown ones (discovered).
	Campaigns(ctx context.Context, p provider.Name, refs []string) (map[string]campaign.ID, error)
	// Recipients finds the ordinals of these recipients, in their order, and gives the unknown ones the next.
	Recipients(ctx context.Context, rs []Recipient) ([]recipient.Ordinal, error)
	// Stamps reserves n values of updated_at, a microsecond apart, above all given out before; the first comes back.
	Stamps(ctx context.Context, n int) (time.Time, error)
	// InsertEvents stores those that are not there yet and says which; events come sorted by id, each id once. Delivery is
	// remembered as the first to report it.
	InsertEvents(ctx context.Context, events []event.Event, from []delivery.ID) (inserted []bool, err error)
	// AddReports remembers that deliveries reported events that were there already.
	AddReports(ctx context.Context, reports []Report) error
	// RemoveReports forgets that the delivery reported these events, and removes those that no other delivery reported.
	// The removed ones come back; those that are not to be inserted again must be told to Removed.
	RemoveReports(ctx context.Context, from delivery.ID, ids []event.ID) (removed []event.Event, err error)
	// Removed records that events were taken back, if they are not there now.
	Removed(ctx context.Context, events []event.Event) error

	RecoveryTx

	// JoinRollups reads what is stored of the rows with these keys, none of Quarter or Lifetime.
	JoinRollups(ctx context.Context, keys []rollup.Key) (Join, error)
	// PutRollups replaces rows; a row without events is removed.
	PutRollups(ctx context.Context, rows map[rollup.Key]*rollup.Row) error
	// FactsByCampaign calls f for each event of the workspace with from <= At < to, in order of id.
	FactsByCampaign(ctx context.Context, from, to int64, f func(campaign.ID, rollup.Fact) error) error
	// CampaignIDs are all that have rollups, the zero ID ("no campaign") too where it has.
	CampaignIDs(ctx context.Context) ([]campaign.ID, error)
	// Days are those (Unix seconds), in order, that hold events, rows of the workspace or days of campaigns.
	Days(ctx context.Context) ([]int64, error)

	// Suppress adds causes, of which the earliest of each (recipient, reason) stays.
	Suppress(ctx context.Context, causes []Suppression) error
	// Unsuppress works the causes of these recipients out anew, from their events and from the provider's history of bounces.
	Unsuppress(ctx context.Context, recipients []recipient.Ordinal) error

	// AddMarks stores marks and says which were not there yet.
	AddMarks(ctx context.Context, marks []Mark) (inserted []bool, err error)
	// RemoveMarks forgets that the delivery reported marks, and returns the campaigns of those; a mark goes with its last
	// report.
	RemoveMarks(ctx context.Context, from delivery.ID) ([]campaign.ID, error)
	// DerivedRuns are a campaign's marks, each as it was first reported, and the runs that were derived from them.
	DerivedRuns(ctx context.Context, c campaign.ID) ([]campaign.Mark, []campaign.Run, error)
	// PutDerivedRuns replaces a campaign's derived runs.
	PutDerivedRuns(ctx context.Context, c campaign.ID, runs []campaign.Run) error

	// Archive begins to pack the raw bodies of new deliveries together; save stores them with these, when they are counted: once, or
	// never. raw must stay as it is until the transaction has ended.
	Archive(raw [][]byte) (save func(ctx context.Context, ds []delivery.Delivery) error)
	// UpdateDelivery replaces results, counts and state of one.
	UpdateDelivery(ctx context.Context, d delivery.Delivery) error
	// Delivery reads one with its raw body; Conflict when the body is gone, NotFound when it is not counted yet.
	Delivery(ctx context.Context, id delivery.ID) (delivery.Delivery, []byte, error)

	// HumanMark is up to which updated_at the rules that look at several events have seen; Newest is the newest there is.
	HumanMark(ctx context.Context) (seen, newest time.Time, err error)
	// SetHumanMark moves it. asOf is up to when everything received has been seen with it; zero leaves that as it was.
	SetHumanMark(ctx context.Context, seen, asOf time.Time) error
	// ClicksChanged are the times (Unix seconds) of clicks stored or removed with an updated_at in (after, up to and with
	// until], of the first limit events changed; until comes back as far as was read.
	ClicksChanged(ctx context.Context, after, until time.Time, limit int) (at []int64, read time.Time, err error)
	// Clicks calls f for each click of the workspace in these ranges, which are sorted and apart, in order of time.
	Clicks(ctx context.Context, in []Range, f func(Click) error) error
	// SetRules gives these events another rule and a new updated_at.
	SetRules(ctx context.Context, ids []event.ID, r []event.Rule) error
}

// Join adds rows, of the keys given to JoinRollups and of their quarters, to what was stored of them then. It may be called beside whatever
// the transaction does but for writing rollups, and again for other rows; write stores one sum.
type Join func(rows map[rollup.Key]*rollup.Row) (write Write, err error)

// Write writes what was made ready.
type Write func(ctx context.Context) error

// RecoveryTx is what recovery needs of a transaction's part of a workspace (see recovery.go).
type RecoveryTx interface {
	// MarkRecovered remembers that something was recovered of these campaigns.
	MarkRecovered(ctx context.Context, campaigns map[string]campaign.ID) error
	// RecoveredCampaigns are all that MarkRecovered was told of.
	RecoveredCampaigns(ctx context.Context) (map[campaign.ID]bool, error)
	// Resolve finds the events that ids name: themselves, or through an alias. Others are absent.
	Resolve(ctx context.Context, ids []event.ID) (map[event.ID]event.ID, error)
	// EventsOf calls f for the events of these recipients, which are sorted, in order of id.
	EventsOf(ctx context.Context, c campaign.ID, t event.Type, of []recipient.Ordinal, f func(Known)) error
	// RecoveredOf are a recipient's recovered events that have no alias, in order of id.
	RecoveredOf(ctx context.Context, c campaign.ID, t event.Type, of recipient.Ordinal) ([]Recovered, error)
	// AddRecovered remembers by which recovery events were inserted.
	AddRecovered(ctx context.Context, events []event.Event, by []event.Recovery) error
	// AddAlias replaces what the id was an alias of before.
	AddAlias(ctx context.Context, a Alias) error
	// RemoveAliases forgets those that the delivery showed.
	RemoveAliases(ctx context.Context, from delivery.ID) error
	// Enrich adds the facts that an event has not, and stamps it if there are any.
	Enrich(ctx context.Context, id event.ID, f event.Facts) error
	// RemoveEvents removes events whoever reported them. The removed ones come back; tell them to Removed.
	RemoveEvents(ctx context.Context, ids []event.ID) ([]event.Event, error)
}

// Recipient is how a recipient is found, and named when it is new.
type Recipient struct {
	Hash    recipient.Hash
	Address string // normalised
}

// Report says that a delivery reported an event.
type Report struct {
	Event    event.ID
	Delivery delivery.ID
}

// Suppression is a cause with the recipient it is about.
type Suppression struct {
	suppression.Cause
	Recipient recipient.Ordinal
	UpdatedAt time.Time
}

// Mark is a report about a run, with the delivery that brought it.
type Mark struct {
	campaign.Mark
	Campaign campaign.ID
	Delivery delivery.ID
}

// Range are the times from one to another, both included, in Unix seconds.
type Range struct{ From, To int64 }

// Click is what the rules look at.
type Click struct {
	ID        event.ID
	At        int64
	Recipient recipient.Ordinal
	Campaign  campaign.ID
	Link      int64 // a number that tells the workspace's links apart
	Rule      event.Rule
}
