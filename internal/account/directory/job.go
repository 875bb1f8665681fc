package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"monterey/internal/account"
	"monterey/internal/fault"
	"monterey/internal/provider"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// Job is the work of tasks of the kind task.Accounts. All fields are needed.
//
// An answer cannot be read on from its middle, so each call of Work reads it anew, and has to do so within the time that a
// job may take: Answer is how long the outside directory may take, and what Limit leaves behind it is for the import.
//
// Progress: fetched counts the rows of the answer and, once it was read, is the total; inserted, unchanged and removed count
// what became of the directory, in which rows that come twice are one; unreadable counts rows that were left out.
type Job struct {
	Accounts account.Store
	Keys     *provider.Keys
	Tasks    task.Store
	Now      func() time.Time
	Log      *slog.Logger
	Answer   time.Duration // as Config.Limit
	Limit    time.Duration // of a call of Work
}

// showEvery is how often the rows that were read are shown.
const showEvery = time.Second

// Work implements task.Work. Where it is killed between the import and its last step, the next call finds all unchanged.
func (j *Job) Work(ctx context.Context, c workspace.Caller, t task.Task) error {
	src, err := j.open(ctx, c)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, j.Limit)
	defer cancel()
	var p task.Progress
	shown := j.Now()
	r, err := sync(limited, j.Accounts, c, src, func(rows int64) error {
		p.Fetched = rows
		now := j.Now()
		if now.Sub(shown) < showEvery {
			return nil
		}
		shown = now
		return j.Tasks.SaveStep(limited, c, task.Step{Task: t.ID, Progress: p, Shown: true})
	})
	switch {
	case err != nil && ctx.Err() == nil && limited.Err() != nil:
		return &task.Later{Err: fault.Wrap(fault.Unavailable, err, "the account directory could not be taken in within %s", j.Limit)}
	case err != nil:
		return outcome(err)
	}
	if r.ErrorRows > 0 {
		j.Log.Warn("rows of the outside directory were left out", "workspace", c.Workspace(), "task", t.ID, "rows", r.ErrorRows,
			"first", fmt.Sprintf("row %d %s", r.Errors[0].Line, r.Errors[0].Msg))
	}
	p.Inserted, p.Unchanged, p.Removed, p.Unreadable, p.Total = r.Inserted, r.Unchanged, r.Removed, r.ErrorRows, &p.Fetched
	return j.Tasks.SaveStep(ctx, c, task.Step{Task: t.ID, Progress: p})
}

// open is the outside directory of the caller's workspace; the fault is Conflict when there is none that can be used.
func (j *Job) open(ctx context.Context, c workspace.Caller) (*Source, error) {
	set, err := account.Readable(ctx, j.Accounts, c)
	if err != nil {
		return nil, err
	}
	address, err := j.Keys.Open(set.URL)
	if err != nil {
		return nil, fault.Wrap(fault.Conflict, err, "the address of the outside directory was sealed with another secret key; set it anew")
	}
	src, err := New(Config{URL: address, Query: set.Query, Limit: j.Answer})
	if err != nil {
		return nil, fault.Wrap(fault.Conflict, err, "the outside directory cannot be used as it is set; set it anew")
	}
	return src, nil
}

// outcome turns what Sync returned into what a task makes of it: to come again later, or to fail with a message that says why.
func outcome(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok && (f.Code == fault.Unavailable || f.Code == fault.Conflict) {
		return &task.Later{After: f.RetryAfter, Err: err}
	}
	return err
}
