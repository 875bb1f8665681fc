// Package task owns long work: what is to be done, for whom, how far it is, and how it ended. A task is kept in the store
// for as long as its workspace; what runs it is a job of River (package jobs), which is made in the transaction that makes
// the task and may be run again at any time. What a kind of task does is the business of the package that does it.
//
//	queued ─► running ─► succeeded | failed
//	   └──────────┴────► cancelled
package task

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

// ID names a task.
type ID struct{ uuid.UUID }

// ParseID reads an id in its usual form; the fault is Invalid.
func ParseID(s string) (ID, error) {
	u, err := uuid.Parse(s)
	if err != nil {
		return ID{}, fault.New(fault.Invalid, "%q is not a task id (a UUID)", s)
	}
	return ID{u}, nil
}

// Kind of work. In a workspace at most one task of a kind is queued or running.
type Kind string

// The kinds.
const (
	Backfill       Kind = "historical_bounces" // reads the provider's bounces
	Campaigns      Kind = "campaigns"          // reads the provider's campaigns
	Reconciliation Kind = "reconciliation"     // compares counts, and fetches what is missing
	Accounts       Kind = "accounts"           // reads the account directory
)

// Kinds are all of them.
var Kinds = []Kind{Backfill, Campaigns, Reconciliation, Accounts}

func (k Kind) String() string { return string(k) }

// Status of a task.
type Status string

// The statuses.
const (
	Queued    Status = "queued"
	Running   Status = "running"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// Statuses are all of them.
var Statuses = []Status{Queued, Running, Succeeded, Failed, Cancelled}

func (s Status) String() string { return string(s) }

// Ended says whether nothing more will be done.
func (s Status) Ended() bool { return s == Succeeded || s == Failed || s == Cancelled }

// BySchedule is who requests the tasks that schedules make.
const BySchedule = "schedule"

// Params are what was asked for. Only Backfill has any; both at once are not valid.
type Params struct {
	Full  bool      `json:"full_backfill,omitempty"` // read everything
	Since time.Time `json:"since,omitzero"`          // read what happened from here on; zero = not asked for
}

// Progress is how far a task is, in rows of the provider.
type Progress struct {
	Fetched    int64  `json:"fetched"`
	Inserted   int64  `json:"inserted"`
	Updated    int64  `json:"updated"`
	Unchanged  int64  `json:"unchanged"`
	Removed    int64  `json:"removed,omitempty"`    // of Accounts: were there, and the answer has them no more
	Unreadable int64  `json:"unreadable,omitempty"` // rows that the provider has not written so that they could be read
	Total      *int64 `json:"total"`                // that there are to fetch, as far as the provider said; nil = unknown
	Pages      int64  `json:"pages"`
}

// Percent is 0 to 100; nil while the total is unknown. A provider's total may be too small: more than all is 100.
func (p Progress) Percent() *float64 {
	if p.Total == nil {
		return nil
	}
	percent := 100.0
	if *p.Total > 0 {
		percent = min(100, 100*float64(p.Fetched)/float64(*p.Total))
	}
	return &percent
}

// Task is one piece of long work.
type Task struct {
	ID          ID
	Kind        Kind
	Status      Status
	Params      Params
	RequestedBy string // for people: the name of a user, a key, or BySchedule
	CreatedAt   time.Time
	StartedAt   time.Time // zero = not yet
	FinishedAt  time.Time // zero = not yet
	Progress    Progress
	Error       string // why it failed, safe to show; "" unless it failed
	// State is where the work stands, for the work itself: a JSON object of its own form; nil at first.
	State json.RawMessage
	// Stalls is how often the work had to wait since its last step.
	Stalls int
}

// New is a queued task.
func New(k Kind, p Params, requestedBy string, now time.Time) Task {
	return Task{ID: ID{uuid.Must(uuid.NewV7())}, Kind: k, Status: Queued, Params: p, RequestedBy: requestedBy, CreatedAt: now}
}

// Step is what a task saves each time it has got further.
type Step struct {
	Task     ID
	Progress Progress
	State    json.RawMessage
	// Shown says that the work has not got further: the progress is to be seen, but when the work is called again it begins
	// anew. State and stalls stay as they are.
	Shown bool
}

// Filter chooses tasks; empty fields choose all.
type Filter struct {
	Kinds    []Kind
	Statuses []Status
}

// Store keeps tasks, and their jobs.
type Store interface {
	// CreateTask keeps a queued task and makes its job, both or neither. Conflict, as a *RunningError, while another of its
	// kind is queued or running in the workspace.
	CreateTask(ctx context.Context, c workspace.Caller, t Task) error
	GetTask(ctx context.Context, c workspace.Caller, id ID) (Task, error)
	// ListTasks sorts by created_at (default, descending), newest first.
	ListTasks(ctx context.Context, c workspace.Caller, f Filter, p page.Params) (page.Of[Task], error)
	// CancelTask ends a task that is queued or running, at once; Conflict when it has ended. What it did stays.
	CancelTask(ctx context.Context, c workspace.Caller, id ID, now time.Time) (Task, error)

	// StartTask makes a queued task running, and reads it; one that runs already (its job is run again) is read only.
	// Conflict when it has ended.
	StartTask(ctx context.Context, c workspace.Caller, id ID, now time.Time) (Task, error)
	// SaveStep keeps progress and state of a running task; Conflict when it has ended.
	SaveStep(ctx context.Context, c workspace.Caller, s Step) error
	// StallTask counts that the task has to wait, and says how often since its last step. Conflict when it has ended.
	StallTask(ctx context.Context, c workspace.Caller, id ID) (stalls int, err error)
	// FinishTask ends a running task as succeeded (no message) or failed. Conflict when it has ended.
	FinishTask(ctx context.Context, c workspace.Caller, id ID, message string, now time.Time) error

	// Schedules are all there are, each with when it was last due: of the connections that have a sync schedule and an API
	// key, and of the account directories that are read.
	Schedules(ctx context.Context) ([]Schedule, error)
	// FireSchedule records that a schedule was due, unless another process has (fired is false then), and creates the tasks
	// that are given but of whose kind one is queued or running already: all in one transaction.
	FireSchedule(ctx context.Context, s Schedule, at time.Time, tasks []Task) (fired bool, err error)
}

// Schedule is when something of a workspace is to be read.
type Schedule struct {
	Workspace workspace.ID
	Of        uuid.UUID // the connection, or the workspace itself for its account directory
	Kinds     []Kind    // of the tasks that it makes
	Cron      string    // as provider.Connection.SyncSchedule
	Timezone  string    // IANA name
	LastDue   time.Time // zero = it was not looked at before
}

// RunningError is why a task cannot be created: another of its kind is not done. It is a Conflict.
type RunningError struct{ Task ID }

func (e *RunningError) Error() string { return "a task of this kind is running: " + e.Task.String() }

// Unwrap makes it a fault.
func (e *RunningError) Unwrap() error {
	return fault.New(fault.Conflict, "a task of this kind is not done yet: %s", e.Task)
}

// Later is why work stops for now: it is to be taken up again, after a while. It says nothing of the task's end.
type Later struct {
	After time.Duration
	Err   error // why; nil = to give way
}

func (e *Later) Error() string {
	if e.Err == nil {
		return "to be continued"
	}
	return e.Err.Error()
}

// Unwrap is why.
func (e *Later) Unwrap() error { return e.Err }

// Work does a task, or a part of it, from where its State stands. It saves its steps itself, so that it may be stopped
// anywhere and called again. It returns
//
//   - nil: the task is done;
//   - a *Later, or a fault Unavailable: it is called again;
//   - a Conflict that SaveStep gave: the task has ended, and nothing more is to be done;
//   - anything else: the task has failed. Only a fault's message is shown.
type Work func(ctx context.Context, c workspace.Caller, t Task) error

// ErrEnded is the cause of the context of work whose task was cancelled meanwhile.
var ErrEnded = errors.New("the task was cancelled")
