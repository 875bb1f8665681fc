package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

const taskColumns = "id, kind, status, params, requested_by, progress, state, stalls, error, created_at, started_at, finished_at"

func scanTask(r row) (t task.Task, err error) {
	var params, progress []byte
	var state []byte
	var created, started, finished int64
	if err := r.Scan(&t.ID, &t.Kind, &t.Status, &params, &t.RequestedBy, &progress, &state, &t.Stalls, &t.Error, &created, &started, &finished); err != nil {
		return t, err
	}
	t.State = state
	t.CreatedAt, t.StartedAt, t.FinishedAt = fromMicros(created), fromMicros(started), fromMicros(finished)
	return t, errors.Join(json.Unmarshal(params, &t.Params), json.Unmarshal(progress, &t.Progress))
}

// CreateTask implements task.Store.
func (s *Store) CreateTask(ctx context.Context, c workspace.Caller, t task.Task) error {
	return s.write(ctx, "create task", func(tx pgx.Tx) error {
		ws, err := heldWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		made, err := s.insertTask(ctx, tx, ws, c.Workspace(), t)
		if err != nil || made {
			return err
		}
		var running task.ID
		err = tx.QueryRow(ctx, "SELECT id FROM tasks WHERE workspace_id = $1 AND kind = $2 AND status IN ('queued', 'running')", ws, string(t.Kind)).Scan(&running)
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.New(fault.Conflict, "a task of this kind was not done until just now; try again")
		}
		if err != nil {
			return err
		}
		return &task.RunningError{Task: running}
	})
}

// insertTask keeps a task and makes its job, unless one of its kind is queued or running.
func (s *Store) insertTask(ctx context.Context, tx pgx.Tx, num int64, ws workspace.ID, t task.Task) (made bool, err error) {
	params, err := json.Marshal(t.Params)
	if err != nil {
		return false, fmt.Errorf("postgres: task: %w", err)
	}
	progress, err := json.Marshal(t.Progress)
	if err != nil {
		return false, fmt.Errorf("postgres: task: %w", err)
	}
	tag, err := tx.Exec(ctx, `INSERT INTO tasks (workspace_id, id, kind, status, params, requested_by, progress, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (workspace_id, kind) WHERE status IN ('queued', 'running') DO NOTHING`,
		num, t.ID, string(t.Kind), string(t.Status), string(params), t.RequestedBy, string(progress), micros(t.CreatedAt))
	if err != nil || tag.RowsAffected() == 0 {
		return false, err
	}
	return true, s.queue.Enqueue(ctx, tx, ws, t.ID)
}

// GetTask implements task.Store.
func (s *Store) GetTask(ctx context.Context, c workspace.Caller, id task.ID) (t task.Task, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return t, err
	}
	err = s.read(ctx, "get task", func(tx pgx.Tx) error {
		t, err = getTask(ctx, tx, ws.num, id)
		return err
	})
	return t, err
}

func getTask(ctx context.Context, tx pgx.Tx, ws int64, id task.ID) (task.Task, error) {
	t, err := scanTask(tx.QueryRow(ctx, "SELECT "+taskColumns+" FROM tasks WHERE workspace_id = $1 AND id = $2", ws, id))
	return t, found(err, "task")
}

// ListTasks implements task.Store.
func (s *Store) ListTasks(ctx context.Context, c workspace.Caller, f task.Filter, p page.Params) (out page.Of[task.Task], err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	err = s.read(ctx, "list tasks", func(tx pgx.Tx) error {
		l := list[task.Task]{columns: taskColumns, from: "tasks", scan: scanTask, id: "id", sort: "-created_at",
			sorts: map[string]string{"created_at": "created_at"}}
		l.where.add("workspace_id = ?", ws.num)
		if len(f.Kinds) > 0 {
			l.where.add("kind = ANY (?)", f.Kinds)
		}
		if len(f.Statuses) > 0 {
			l.where.add("status = ANY (?)", f.Statuses)
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
	err = s.write(ctx, "change task", func(tx pgx.Tx) error {
		t, err = changeTaskIn(ctx, tx, ws.num, id, set, args...)
		return err
	})
	return t, err
}

func changeTaskIn(ctx context.Context, tx pgx.Tx, ws int64, id task.ID, set string, args ...any) (task.Task, error) {
	t, err := scanTask(tx.QueryRow(ctx, "SELECT "+taskColumns+" FROM tasks WHERE workspace_id = $1 AND id = $2 FOR UPDATE", ws, id))
	if err != nil {
		return t, found(err, "task")
	}
	if t.Status.Ended() {
		return t, fault.New(fault.Conflict, "the task has ended: it is %s", t.Status)
	}
	text := fmt.Sprintf("UPDATE tasks SET %s WHERE workspace_id = $%d AND id = $%d", set, len(args)+1, len(args)+2)
	if _, err := tx.Exec(ctx, text, append(args, ws, id)...); err != nil {
		return t, err
	}
	return getTask(ctx, tx, ws, id)
}

// CancelTask implements task.Store.
func (s *Store) CancelTask(ctx context.Context, c workspace.Caller, id task.ID, now time.Time) (task.Task, error) {
	return s.changeTask(ctx, c, id, "status = 'cancelled', finished_at = $1", micros(now))
}

// StartTask implements task.Store.
func (s *Store) StartTask(ctx context.Context, c workspace.Caller, id task.ID, now time.Time) (task.Task, error) {
	return s.changeTask(ctx, c, id, "status = 'running', started_at = CASE started_at WHEN 0 THEN $1 ELSE started_at END", micros(now))
}

// SaveStep implements task.Store.
func (s *Store) SaveStep(ctx context.Context, c workspace.Caller, step task.Step) error {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return err
	}
	return s.write(ctx, "save step", func(tx pgx.Tx) error { return saveStep(ctx, tx, ws.num, step) })
}

func saveStep(ctx context.Context, tx pgx.Tx, ws int64, step task.Step) error {
	progress, err := json.Marshal(step.Progress)
	if err != nil {
		return fmt.Errorf("postgres: step: %w", err)
	}
	if step.Shown {
		_, err = changeTaskIn(ctx, tx, ws, step.Task, "progress = $1", string(progress))
		return err
	}
	var state any // NULL
	if step.State != nil {
		state = string(step.State)
	}
	_, err = changeTaskIn(ctx, tx, ws, step.Task, "progress = $1, state = $2, stalls = 0", string(progress), state)
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
	_, err := s.changeTask(ctx, c, id, "status = $1, error = $2, finished_at = $3", string(status), message, micros(now))
	return err
}

// Schedules implements task.Store.
func (s *Store) Schedules(ctx context.Context) (out []task.Schedule, err error) {
	err = s.read(ctx, "schedules", func(tx pgx.Tx) error {
		out, err = query(ctx, tx, scanSchedule(task.Campaigns, task.Backfill, task.Reconciliation),
			`SELECT w.id, n.id, n.sync_schedule, n.provider_timezone, coalesce(d.last_due, 0) FROM connections n
			JOIN workspaces w ON w.num = n.workspace_id AND w.deleted_at = 0
			LEFT JOIN schedules d ON d.workspace_id = n.workspace_id AND d.of = n.id
			WHERE n.deleted_at = 0 AND n.sync_schedule <> '' AND n.api_key IS NOT NULL ORDER BY n.num`)
		if err != nil {
			return err
		}
		directories, err := query(ctx, tx, scanSchedule(task.Accounts),
			`SELECT w.id, w.id, a.schedule, w.timezone, coalesce(d.last_due, 0) FROM account_sources a
			JOIN workspaces w ON w.num = a.workspace_id AND w.deleted_at = 0
			LEFT JOIN schedules d ON d.workspace_id = a.workspace_id AND d.of = w.id
			WHERE a.schedule <> '' ORDER BY a.workspace_id`)
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
	err = s.write(ctx, "fire schedule", func(tx pgx.Tx) error {
		fired = false
		ws, err := liveWorkspace(ctx, tx, d.Workspace)
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `INSERT INTO schedules (workspace_id, of, last_due) VALUES ($1, $2, $3)
			ON CONFLICT (workspace_id, of) DO UPDATE SET last_due = excluded.last_due WHERE schedules.last_due = $4`,
			ws, d.Of, micros(at), micros(d.LastDue))
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		fired = true
		for _, t := range tasks {
			if _, err := s.insertTask(ctx, tx, ws, d.Workspace, t); err != nil {
				return err
			}
		}
		return nil
	})
	return fired, err
}
