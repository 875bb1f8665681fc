// Package store puts the nouns' stores together: what a database must do to be Monterey's. Package storetest checks that
// one does it, sqlite is one.
package store

import (
	"context"
	"log/slog"
	"time"

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

// Database is a Store with what those need who run it. It is opened as it is: Migrate brings it to this release.
type Database interface {
	Store

	// Migrate says from and to which version. It may be called by many at once, also when there is nothing to do.
	Migrate(ctx context.Context) (from, to int64, err error)
	// Version is the schema version that it has, 0 when it is new, and the one that this release needs.
	Version(ctx context.Context) (has, needs int64, err error)
	// Ready says whether it answers and has the schema of this release or a later one.
	Ready(ctx context.Context) error
	// Waiting is how many deliveries of all workspaces wait to be counted, and when the oldest was received (zero: none).
	Waiting(ctx context.Context) (n int64, oldest time.Time, err error)
	// RunTasks runs the jobs of tasks until ctx ends.
	RunTasks(ctx context.Context, r *task.Runner, log *slog.Logger) error

	Close() error
}
