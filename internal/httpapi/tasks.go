package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/provider"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

func (a *api) taskRoutes() {
	const tag = "Tasks"
	handle(a, operation{ID: "listTasks", Method: http.MethodGet, Path: "/tasks/", Tag: tag, Rule: viewer,
		Summary: "List tasks of every kind, newest first"}, a.listTasks)
	handle(a, operation{ID: "getTask", Method: http.MethodGet, Path: "/tasks/{id}", Tag: tag, Rule: viewer,
		Summary: "Get a task with its progress"}, a.getTask)
	handle(a, operation{ID: "cancelTask", Method: http.MethodDelete, Path: "/tasks/{id}", Tag: tag, Rule: editor, Status: http.StatusAccepted,
		Errors: []int{http.StatusConflict}, Summary: "Cancel a task", Description: "What it did stays. One that has ended is a conflict."}, a.cancelTask)
}

func (a *api) backfillRoutes() {
	const tag = "Historical bounces"
	handle(a, operation{ID: "startBackfill", Method: http.MethodPost, Path: "/historical-bounces/backfill", Tag: tag, Rule: editor,
		Status: http.StatusAccepted, Errors: []int{http.StatusConflict}, Summary: "Read the provider's bounce history",
		Description: "Everything with full_backfill, what happened since a time with since, else what is new since the last success. " +
			"Either as body or as query. While one runs the answer is a conflict with the id of its task in task_id."}, a.startBackfill)
	handle(a, operation{ID: "listBackfills", Method: http.MethodGet, Path: "/historical-bounces/backfill/", Tag: tag, Rule: viewer,
		Summary: "List backfills, newest first"}, a.listBackfills)
	handle(a, operation{ID: "getBackfill", Method: http.MethodGet, Path: "/historical-bounces/backfill/{id}", Tag: tag, Rule: viewer,
		Summary: "Get a backfill with its progress"}, a.getBackfill)
	handle(a, operation{ID: "cancelBackfill", Method: http.MethodDelete, Path: "/historical-bounces/backfill/{id}", Tag: tag, Rule: editor,
		Status: http.StatusAccepted, Errors: []int{http.StatusConflict}, Summary: "Cancel a backfill"}, a.cancelBackfill)
}

type taskWire struct {
	TaskID       uuid.UUID    `json:"task_id" format:"uuid"`
	Kind         string       `json:"kind" enum:"historical_bounces,campaigns,reconciliation,accounts" example:"historical_bounces"`
	Status       string       `json:"status" enum:"queued,running,succeeded,failed,cancelled" example:"running"`
	CreatedAt    time.Time    `json:"created_at"`
	StartedAt    *time.Time   `json:"started_at"`
	FinishedAt   *time.Time   `json:"finished_at"`
	RequestedBy  string       `json:"requested_by" doc:"Name of the user or key, or schedule" example:"dashboard"`
	Progress     progressWire `json:"progress"`
	Error        *string      `json:"error" doc:"Why it failed"`
	FullBackfill *bool        `json:"full_backfill,omitempty" doc:"Of a backfill: everything is read"`
	Since        *time.Time   `json:"since,omitempty" doc:"Of a backfill: what was asked for"`

	path string // below which it is served, where it was started just now
}

type progressWire struct {
	Fetched    int64    `json:"fetched" doc:"Rows read" example:"12000"`
	Inserted   int64    `json:"inserted" example:"11000"`
	Updated    int64    `json:"updated" example:"10"`
	Unchanged  int64    `json:"unchanged" example:"990"`
	Removed    int64    `json:"removed" doc:"Of the account directory: accounts that are not in the answer any more" example:"0"`
	Unreadable int64    `json:"unreadable" doc:"Rows that could not be read" example:"0"`
	Total      *int64   `json:"total" doc:"Rows that there are; null = unknown" example:"48000"`
	Percent    *float64 `json:"percent" example:"25"`
	Pages      int64    `json:"pages" example:"12"`
}

func wireTask(t task.Task) taskWire {
	p := t.Progress
	w := taskWire{TaskID: t.ID.UUID, Kind: string(t.Kind), Status: string(t.Status), CreatedAt: t.CreatedAt.UTC(), StartedAt: instant(t.StartedAt),
		FinishedAt: instant(t.FinishedAt), RequestedBy: t.RequestedBy, Error: orNil(t.Error),
		Progress: progressWire{p.Fetched, p.Inserted, p.Updated, p.Unchanged, p.Removed, p.Unreadable, p.Total, p.Percent(), p.Pages}}
	if t.Kind == task.Backfill {
		w.FullBackfill, w.Since = &t.Params.Full, instant(t.Params.Since)
	}
	return w
}

// location is where a task that was started can be looked at.
func (t taskWire) location() string {
	if t.path == "" {
		return ""
	}
	return t.path + t.TaskID.String()
}

type taskKinds struct{}

func (taskKinds) all() []task.Kind { return task.Kinds }

type taskStatuses struct{}

func (taskStatuses) all() []task.Status { return task.Statuses }

type taskSorts struct{}

func (taskSorts) choices() []string { return sortable("created_at") }

// taskFilter is what a list of tasks may be filtered by beside its kind.
type taskFilter struct {
	SortedParams[taskSorts]
	Status enumList[task.Status, taskStatuses] `query:"status" example:"running"`
}

func (a *api) listTasks(ctx context.Context, c call, in *struct {
	taskFilter
	Kind enumList[task.Kind, taskKinds] `query:"kind" example:"historical_bounces"`
}) (ListOf[taskWire], error) {
	return a.tasks(ctx, c, in.taskFilter, in.Kind)
}

func (a *api) listBackfills(ctx context.Context, c call, in *taskFilter) (ListOf[taskWire], error) {
	return a.tasks(ctx, c, *in, []task.Kind{task.Backfill})
}

func (a *api) tasks(ctx context.Context, c call, f taskFilter, kinds []task.Kind) (ListOf[taskWire], error) {
	got, err := a.Tasks.ListTasks(ctx, c.Caller, task.Filter{Kinds: kinds, Statuses: f.Status}, f.params())
	return newList(f.params(), got, wireTask), err
}

func (a *api) getTask(ctx context.Context, c call, in *byID) (taskWire, error) {
	t, err := a.Tasks.GetTask(ctx, c.Caller, task.ID(in.ID))
	return wireTask(t), err
}

func (a *api) getBackfill(ctx context.Context, c call, in *byID) (taskWire, error) {
	t, err := a.backfill(ctx, c, in)
	return wireTask(t), err
}

// backfill is a task that is one; NotFound for others.
func (a *api) backfill(ctx context.Context, c call, in *byID) (task.Task, error) {
	t, err := a.Tasks.GetTask(ctx, c.Caller, task.ID(in.ID))
	if err == nil && t.Kind != task.Backfill {
		err = fault.New(fault.NotFound, "there is no such backfill")
	}
	return t, err
}

func (a *api) cancelTask(ctx context.Context, c call, in *byID) (taskWire, error) {
	t, err := a.Tasks.CancelTask(ctx, c.Caller, task.ID(in.ID), a.Now().UTC())
	return wireTask(t), err
}

func (a *api) cancelBackfill(ctx context.Context, c call, in *byID) (taskWire, error) {
	if _, err := a.backfill(ctx, c, in); err != nil {
		return taskWire{}, err
	}
	return a.cancelTask(ctx, c, in)
}

type backfillInput struct {
	FullBackfill bool   `query:"full_backfill" doc:"Read everything"`
	Since        moment `query:"since" doc:"Read what happened from this time or day on"`
	Body         backfillBody

	params task.Params
}

type backfillBody struct {
	FullBackfill bool   `json:"full_backfill,omitempty" doc:"Read everything" example:"true"`
	Since        moment `json:"since,omitempty" doc:"Read what happened from this time or day on" example:"2026-01-31"`
}

func (in *backfillInput) checkInput(e env) (bad []fault.Field, _ error) {
	loc, err := e.zone()
	if err != nil {
		return nil, err
	}
	full, since, at := in.Body.FullBackfill, in.Body.Since, "body"
	if in.FullBackfill || in.Since.given() {
		if full || since.given() {
			bad = append(bad, fault.Field{Loc: []string{"query"}, Msg: "cannot be given together with a body", Type: "conflict"})
		}
		full, since, at = in.FullBackfill, in.Since, "query"
	}
	in.params.Full = full
	if since.given() {
		in.params.Since = since.start(loc)
	}
	if in.params.Full && since.given() {
		bad = append(bad, fault.Field{Loc: []string{at, "since"}, Msg: "cannot be given together with full_backfill", Type: "conflict"})
	}
	if in.params.Since.After(e.now) {
		bad = append(bad, fault.Field{Loc: []string{at, "since"}, Msg: "must not lie in the future", Type: "range"})
	}
	return bad, nil
}

func (a *api) startBackfill(ctx context.Context, c call, in *backfillInput) (taskWire, error) {
	return a.start(ctx, c, task.Backfill, in.params, "/historical-bounces/backfill/")
}

// start makes a task that reads the provider; where it can be looked at is path and its id.
func (a *api) start(ctx context.Context, c call, k task.Kind, p task.Params, path string) (taskWire, error) {
	if err := a.needAPIKey(ctx, c.Caller); err != nil {
		return taskWire{}, err
	}
	return a.queue(ctx, c, k, p, path)
}

// queue makes a task; where it can be looked at is path and its id.
func (a *api) queue(ctx context.Context, c call, k task.Kind, p task.Params, path string) (taskWire, error) {
	t := task.New(k, p, c.Name(), a.Now().UTC())
	w := wireTask(t)
	w.path = path
	return w, conflictOf(a.Tasks.CreateTask(ctx, c.Caller, t))
}

// needAPIKey refuses what cannot be done for want of a connection that can be asked.
func (a *api) needAPIKey(ctx context.Context, c workspace.Caller) error {
	_, err := provider.Readable(ctx, a.Connections, c)
	return err
}

// conflictOf lets the answer name the task that is in the way.
func conflictOf(err error) error {
	if running, ok := errors.AsType[*task.RunningError](err); ok {
		return &fault.Error{Code: fault.Conflict, Message: "a task of this kind is not done yet", Task: running.Task.UUID.String()}
	}
	return err
}
