// Package backfill reads the provider's whole history of bounces, a page a step, or a few pages that come fast. They, the place
// behind them and the progress are stored in one transaction, so a backfill may be killed anywhere and goes on behind its last step.
//
// What is read: everything (full_backfill), what happened since a time (since), or else what is new since the mark of the
// last backfill that left no gap, and everything when there was none. The mark is the provider's own clock at the beginning
// of the walk; from it goes campaigner.SinceOverlap further back, since nobody says which time Since looks at. A provider that
// does not say its time leaves no mark, and everything is read each time.
//
// A row that cannot be read costs itself alone: it is asked for once more by its id, and then counted as unreadable. Where
// the provider counts more rows than it gives, the task fails, and the next one walks anew.
package backfill

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"monterey/internal/bounce"
	"monterey/internal/campaigner"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// Backfill is the work of tasks of the kind task.Backfill. All fields are needed.
type Backfill struct {
	Accounts *campaigner.Accounts
	Bounces  bounce.Store
	Tasks    task.Store
	Now      func() time.Time
	Slice    time.Duration // after so long the work gives way, once it has got further by a page
	// Together is within how long pages must come to be stored together, as a transaction for each costs more than its rows;
	// at the usual rate of requests each page is stored by itself. 0 = each is.
	Together time.Duration
	// Note is told what is wrong with rows that cannot be read, as task.Runner's.
	Note func(t task.Task, what string, err error)
}

// resumeWithin is how long after it was created a backfill that did not succeed is taken up again by the next one that is
// asked for the same.
const resumeWithin = 24 * time.Hour

// state is where a backfill stands.
type state struct {
	Connection uuid.UUID `json:"connection"`
	Since      time.Time `json:"since,omitzero"`   // from where it reads; zero = everything
	Covers     bool      `json:"covers,omitempty"` // it leaves no gap behind the last mark, so its own mark is good
	Mark       time.Time `json:"mark,omitzero"`
	List       int       `json:"list,omitempty"`    // of lists
	Unclear    bool      `json:"unclear,omitempty"` // the list of all bounces does not say of each whether it is hard or soft
	Cursor     campaigner.Cursor
	Done       bool   `json:"done,omitempty"`
	Fault      string `json:"fault,omitempty"` // of the first row that could not be read
}

// anew is the state in which the same is read from the beginning.
func (s state) anew() state {
	return state{Connection: s.Connection, Since: s.Since, Covers: s.Covers, Cursor: campaigner.Cursor{Since: s.Since}}
}

// begun says whether a page was read.
func (s state) begun() bool { return s.List > 0 || s.Cursor.Page > 0 }

// lists are read one after the other; the last two only where the first leaves a class unclear.
var lists = []campaigner.BounceList{campaigner.AllBounces, campaigner.HardBounces, campaigner.SoftBounces}

// Work implements task.Work.
func (b *Backfill) Work(ctx context.Context, c workspace.Caller, t task.Task) error {
	client, conn, err := b.Accounts.Open(ctx, c)
	if err != nil {
		return err
	}
	defer client.Close()
	r := &run{Backfill: b, client: client, caller: c, task: t, provider: conn.Provider, until: b.Now().Add(b.Slice)}
	if err := r.begin(ctx, conn.ID.UUID); err != nil {
		return err
	}
	for !r.state.Done {
		if err := r.walk(ctx); err != nil {
			return err
		}
	}
	if r.state.Fault != "" {
		b.Note(r.task, "could not read every row", fmt.Errorf("%d unreadable; the first: %s", r.task.Progress.Unreadable, r.state.Fault))
	}
	return nil
}

// begin finds where to go on: where the task stands, where one like it was broken off, or at the beginning.
func (r *run) begin(ctx context.Context, connection uuid.UUID) error {
	if r.task.State != nil {
		if err := json.Unmarshal(r.task.State, &r.state); err != nil {
			return fmt.Errorf("backfill: state: %w", err)
		}
		if r.state.Connection != connection {
			return fault.New(fault.Conflict, "the connection was replaced while the history was read; start anew")
		}
		return nil
	}
	mark, err := r.lastMark(ctx, connection)
	if err != nil {
		return err
	}
	s, overlap := state{Connection: connection, Covers: true}, mark.Add(-campaigner.SinceOverlap)
	switch p := r.task.Params; {
	case p.Full:
	case !p.Since.IsZero():
		s.Since, s.Covers = p.Since, !mark.IsZero() && !p.Since.After(overlap)
	case !mark.IsZero():
		s.Since = overlap
	}
	r.state, r.task.Progress = s.anew(), task.Progress{}
	return r.resume(ctx)
}

// lastMark is that of the newest backfill of this connection that left no gap; zero where there is none.
func (r *run) lastMark(ctx context.Context, connection uuid.UUID) (mark time.Time, err error) {
	err = r.ended(ctx, []task.Status{task.Succeeded}, func(_ task.Task, s state) bool {
		if s.Connection == connection && s.Covers && !s.Mark.IsZero() {
			mark = s.Mark
		}
		return mark.IsZero()
	})
	return mark, err
}

// resume takes over where the last backfill stands that did not succeed, if it was asked for the same not long ago. One that
// ended before its first page says nothing.
func (r *run) resume(ctx context.Context) error {
	return r.ended(ctx, nil, func(t task.Task, s state) bool {
		if t.State == nil {
			return true
		}
		same := t.Status != task.Succeeded && t.Params.Full == r.task.Params.Full && t.Params.Since.Equal(r.task.Params.Since) &&
			s.Connection == r.state.Connection && s.Since.Equal(r.state.Since) && r.Now().Sub(t.CreatedAt) < resumeWithin
		if same && s.begun() {
			r.state, r.task.Progress = s, t.Progress
		}
		return false
	})
}

// ended calls f for the workspace's backfills of these statuses, newest first, until it says false.
func (r *run) ended(ctx context.Context, statuses []task.Status, f func(task.Task, state) bool) error {
	for p := (page.Params{Number: 1, Size: page.DefaultSize}); ; p.Number++ {
		list, err := r.Tasks.ListTasks(ctx, r.caller, task.Filter{Kinds: []task.Kind{task.Backfill}, Statuses: statuses}, p)
		if err != nil {
			return err
		}
		for _, t := range list.Items {
			var s state
			if t.State != nil && json.Unmarshal(t.State, &s) != nil {
				continue // of another release
			}
			if !f(t, s) {
				return nil
			}
		}
		if len(list.Items) < p.Size {
			return nil
		}
	}
}
