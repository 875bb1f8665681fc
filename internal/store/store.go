// Package store puts the nouns' stores together: what a database must do to be Monterey's. Package storetest checks that
// one does it, sqlite is one.
package store

import (
	"monterey/internal/account"
	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/ingest"
	"monterey/internal/provider"
	"monterey/internal/reconciliation"
	"monterey/internal/rollup"
	"monterey/internal/suppression"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// Store is safe for concurrent use. Every call is atomic: it does all or nothing, and reads one snapshot.
//
// Times are kept in UTC to the microsecond; finer parts are cut off. Texts compare bytewise, in keys, filters and sorts alike; a
// search alone ignores case. Lists are sorted by the field asked for, unknown values last, and then by id in the same
// direction; the fault of a field that a list is not sorted by is Invalid (deliveries, which have one order, take any field
// for it). A method with ids of another workspace finds
// nothing, and a deleted workspace is one that never was: at once for directory, keys and connections; for the rest, in the
// process that deleted it (others still ask the directory first).
type Store interface {
	workspace.Store
	provider.Store
	campaign.Store
	event.Store
	delivery.Store
	bounce.Store
	suppression.Store
	account.Store
	rollup.Store
	task.Store
	reconciliation.Store
	ingest.Store
}
