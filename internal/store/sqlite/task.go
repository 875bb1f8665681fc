package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/task"
	"monterey/internal/task/jobs"
	"monterey/internal/workspace"
)

const taskColumns = "id, kind, status, params, requested_by, progress, state, stalls, error, created_at, started_at, finished_at"

func scanTask(r row) (t task.Task, err error) {
	var params, progress []byte
	var state sql.NullString
	var created, started, finished int64
	if err := r.Scan(&t.ID, &t.Kind, &t.Status, &params, &t.RequestedBy, &progress, &state, &t.Stalls, &t.Error, &created, &started, &finished); err != nil {
		return t, err
	}
	if state.Valid {
		t.State = json.RawMessage(state.String)
	}
	t.CreatedAt, t.StartedAt, t.FinishedAt = fromMicros(created), fromMicros(started), fromMicros(finished)
	return t, errors.Join(json.Unmarshal(params, &t.Params), json.Unmarshal(progress, &t.Progress))
}

// CreateTask implements task.Store.
func (s *Store) CreateTask(ctx context.Context, c workspace.Caller, t task.Task) error {
	return s.write(ctx, "create task", func(tx *sql.Tx) error {
		ws, err := liveWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		var running task.ID
		err = tx.QueryRowContext(ctx, "SELECT id FROM tasks WHERE workspace = ? AND kind = ? AND status IN ('queued', 'running')", ws, string(t.Kind)).Scan(&running)
		if err == nil {
			return &task.RunningError{Task: running}
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		return s.insertTask(ctx, tx, ws, c.Workspace(), t)
	})
}

// insertTask keeps a task and makes its job.
func (s *Store) insertTask(ctx context.Context, tx *sql.Tx, num int64, ws workspace.ID, t task.Task) error {
	params, err := json.Marshal(t.Params)
	if err != nil {
		return fmt.Errorf("sqlite: task: %w", err)
	}
	progress, err := json.Marshal(t.Progress)
	if err != nil {
		return fmt.Errorf("sqlite: task: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO tasks (workspace, id, kind, status, params, requested_by, progress, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		num, t.ID.UUID[:], string(t.Kind), string(t.Status), string(params), t.RequestedBy, string(progress), micros(t.CreatedAt))
	if err != nil {
		return taken(err, "a task of this kind is not done yet")
	}
	return s.queue.Enqueue(ctx, tx, ws, t.ID)
}

// GetTask implements task.Store.
func (s *Store) GetTask(ctx context.Context, c workspace.Caller, id task.ID) (t task.Task, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return t, err
	}
	err = s.read(ctx, "get task", func(tx *sql.Tx) error {
		t, err = getTask(ctx, tx, ws.num, id)
		return err
	})
	return t, err
}

func getTask(ctx context.Context, tx *sql.Tx, ws int64, id task.ID) (task.Task, error) {
	t, err := scanTask(tx.QueryRowContext(ctx, "SELECT "+taskColumns+" FROM tasks WHERE workspace = ? AND id = ?", ws, id.UUID[:]))
	return t, found(err, "task")
}

// ListTasks implements task.Store.
func (s *Store) ListTasks(ctx context.Context, c workspace.Caller, f task.Filter, p page.Params) (out page.Of[task.Task], err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	err = s.read(ctx, "list tasks", func(tx *sql.Tx) error {
		l := list[task.Task]{columns: taskColumns, from: "tasks", scan: scanTask, id: "id", sort: "-created_at",
			sorts: map[string]string{"created_at": "created_at"}}
		l.where.add("workspace = ?", ws.num)
		if len(f.Kinds) > 0 {
			l.where.add("kind IN (SELECT value FROM json_each(?))", listJSON(f.Kinds))
		}
		if len(f.Statuses) > 0 {
			l.where.add("status IN (SELECT value FROM json_each(?))", listJSON(f.Statuses))
		}
		out, err = l.page(ctx, tx, p)
		return err
	})
	return out, err
}

// changeTask runs a statement that changes a task which has not ended, and reads the task; Conflict when it has.
func (s *Store) changeTask(ctx context.Context, c workspace.Caller, id task.ID, set string, args ...any) (t task.Task, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return t, err
	}
	err = s.write(ctx, "change task", func(tx *sql.Tx) error {
		t, err = changeTaskIn(ctx, tx, ws.num, id, set, args...)
		return err
	})
	return t, err
}

func changeTaskIn(ctx context.Context, tx *sql.Tx, ws int64, id task.ID, set string, args ...any) (task.Task, error) {
	t, err := getTask(ctx, tx, ws, id)
	if err != nil {
		return t, err
	}
	if t.Status.Ended() {
		return t, fault.New(fault.Conflict, "the task has ended: it is %s", t.Status)
	}
	if _, err := tx.ExecContext(ctx, "UPDATE tasks SET "+set+" WHERE workspace = ? AND id = ?", append(args, ws, id.UUID[:])...); err != nil {
		return t, err
	}
	return getTask(ctx, tx, ws, id)
}

// CancelTask implements task.Store.
func (s *Store) CancelTask(ctx context.Context, c workspace.Caller, id task.ID, now time.Time) (task.Task, error) {
	return s.changeTask(ctx, c, id, "status = 'cancelled', finished_at = ?", micros(now))
}

// StartTask implements task.Store.
func (s *Store) StartTask(ctx context.Context, c workspace.Caller, id task.ID, now time.Time) (task.Task, error) {
	return s.changeTask(ctx, c, id, "status = 'running', started_at = iif(started_at = 0, ?, started_at)", micros(now))
}

// SaveStep implements task.Store.
func (s *Store) SaveStep(ctx context.Context, c workspace.Caller, step task.Step) error {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return err
	}
	return s.write(ctx, "save step", func(tx *sql.Tx) error { return saveStep(ctx, tx, ws.num, step) })
}

func saveStep(ctx context.Context, tx *sql.Tx, ws int64, step task.Step) error {
	progress, err := json.Marshal(step.Progress)
	if err != nil {
		return fmt.Errorf("sqlite: step: %w", err)
	}
	if step.Shown {
		_, err = changeTaskIn(ctx, tx, ws, step.Task, "progress = ?", string(progress))
		return err
	}
	var state any // NULL
	if step.State != nil {
		state = string(step.State)
	}
	_, err = changeTaskIn(ctx, tx, ws, step.Task, "progress = ?, state = ?, stalls = 0", string(progress), state)
	return err
}

// StallTask implements task.Store.
func (s *Store) StallTask(ctx context.Context, c workspace.Caller, id task.ID) (int, error) {
	t, err := s.changeTask(ctx, c, id, "stalls = stalls + 1")
	return t.Stalls, err
}

// FinishTask implements task.Store.
func (s *Store) FinishTask(ctx context.Context, c workspace.Caller, id task.ID, message string, now time.Time) error {
	status := task.Succeeded
	if message != "" {
		status = task.Failed
	}
	_, err := s.changeTask(ctx, c, id, "status = ?, error = ?, finished_at = ?", string(status), message, micros(now))
	return err
}

// Schedules implements task.Store.
func (s *Store) Schedules(ctx context.Context) (out []task.Schedule, err error) {
	err = s.read(ctx, "schedules", func(tx *sql.Tx) error {
		out, err = query(ctx, tx, scanSchedule(task.Campaigns, task.Backfill, task.Reconciliation),
			`SELECT w.id, n.id, n.sync_schedule, n.provider_timezone, coalesce(d.last_due, 0) FROM connections n
			JOIN workspaces w ON w.num = n.workspace AND w.deleted_at = 0
			LEFT JOIN schedules d ON d.workspace = n.workspace AND d.of = n.id
			WHERE n.deleted_at = 0 AND n.sync_schedule <> '' AND n.api_key IS NOT NULL ORDER BY n.num`)
		if err != nil {
			return err
		}
		directories, err := query(ctx, tx, scanSchedule(task.Accounts),
			`SELECT w.id, w.id, a.schedule, w.timezone, coalesce(d.last_due, 0) FROM account_sources a
			JOIN workspaces w ON w.num = a.workspace AND w.deleted_at = 0
			LEFT JOIN schedules d ON d.workspace = a.workspace AND d.of = w.id
			WHERE a.schedule <> '' ORDER BY a.workspace`)
		out = append(out, directories...)
		return err
	})
	return out, err
}

func scanSchedule(kinds ...task.Kind) func(row) (task.Schedule, error) {
	return func(r row) (d task.Schedule, err error) {
		var due int64
		err = r.Scan(&d.Workspace, &d.Of, &d.Cron, &d.Timezone, &due)
		d.LastDue, d.Kinds = fromMicros(due), kinds
		return d, err
	}
}

// FireSchedule implements task.Store.
func (s *Store) FireSchedule(ctx context.Context, d task.Schedule, at time.Time, tasks []task.Task) (fired bool, err error) {
	err = s.write(ctx, "fire schedule", func(tx *sql.Tx) error {
		ws, err := liveWorkspace(ctx, tx, d.Workspace)
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO schedules (workspace, of, last_due) VALUES (?, ?, ?)
			ON CONFLICT (workspace, of) DO UPDATE SET last_due = excluded.last_due WHERE last_due = ?`,
			ws, d.Of[:], micros(at), micros(d.LastDue))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		fired = true
		for _, t := range tasks {
			var busy bool
			if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM tasks WHERE workspace = ? AND kind = ? AND status IN ('queued', 'running'))",
				ws, string(t.Kind)).Scan(&busy); err != nil {
				return err
			}
			if busy {
				continue
			}
			if err := s.insertTask(ctx, tx, ws, d.Workspace, t); err != nil {
				return err
			}
		}
		return nil
	})
	return fired, err
}

// RunTasks runs the jobs of tasks until ctx ends. One process alone may do so: jobs that another has begun and not ended
// are taken for those of a process that was killed.
func (s *Store) RunTasks(ctx context.Context, r *task.Runner, log *slog.Logger) error {
	err := s.write(ctx, "requeue jobs", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE river_job SET state = 'available' WHERE state = 'running'")
		return err
	})
	if err != nil {
		return err
	}
	return s.queue.Run(ctx, r, log, jobs.Options{})
}
