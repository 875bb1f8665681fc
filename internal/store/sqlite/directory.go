package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"time"

	"monterey/internal/page"
	"monterey/internal/workspace"
)

const workspaceColumns = "id, name, timezone, created_at, updated_at"

func scanWorkspace(r row) (w workspace.Workspace, err error) {
	var created, updated int64
	err = r.Scan(&w.ID, &w.Name, &w.Timezone, &created, &updated)
	w.CreatedAt, w.UpdatedAt = fromMicros(created), fromMicros(updated)
	return w, err
}

// liveWorkspace is the number of a workspace that was not deleted, also not by another process; else NotFound. The
// directory asks it in place of the numbers that Store remembers.
func liveWorkspace(ctx context.Context, tx *sql.Tx, id workspace.ID) (num int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT num FROM workspaces WHERE id = ? AND deleted_at = 0", id.UUID[:]).Scan(&num)
	return num, found(err, "workspace")
}

// CreateWorkspace implements workspace.Store. The workspace gets its identity key and its counters.
func (s *Store) CreateWorkspace(ctx context.Context, w workspace.Workspace) error {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails (crypto/rand)
	return s.write(ctx, "create workspace", func(tx *sql.Tx) error {
		var num int64
		err := tx.QueryRowContext(ctx, `INSERT INTO workspaces (id, name, timezone, identity_key, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?) RETURNING num`,
			w.ID.UUID[:], w.Name, w.Timezone, key[:], micros(w.CreatedAt), micros(w.UpdatedAt)).Scan(&num)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO counters (workspace) VALUES (?)", num)
		return err
	})
}

// GetWorkspace implements workspace.Store.
func (s *Store) GetWorkspace(ctx context.Context, id workspace.ID) (w workspace.Workspace, err error) {
	err = s.read(ctx, "get workspace", func(tx *sql.Tx) error {
		w, err = scanWorkspace(tx.QueryRowContext(ctx, "SELECT "+workspaceColumns+" FROM workspaces WHERE id = ? AND deleted_at = 0", id.UUID[:]))
		return found(err, "workspace")
	})
	return w, err
}

// ListWorkspaces implements workspace.Store.
func (s *Store) ListWorkspaces(ctx context.Context, only []workspace.ID, p page.Params) (out page.Of[workspace.Workspace], err error) {
	l := list[workspace.Workspace]{
		columns: workspaceColumns, from: "workspaces", scan: scanWorkspace, id: "id", sort: "name",
		sorts: map[string]string{"name": "name", "created_at": "created_at", "updated_at": "updated_at"},
	}
	l.where.add("deleted_at = 0")
	if only != nil {
		l.where.add("id IN (SELECT unhex(value) FROM json_each(?))", idsJSON(only))
	}
	err = s.read(ctx, "list workspaces", func(tx *sql.Tx) error {
		out, err = l.page(ctx, tx, p)
		return err
	})
	return out, err
}

// UpdateWorkspace implements workspace.Store.
func (s *Store) UpdateWorkspace(ctx context.Context, w workspace.Workspace) error {
	return s.write(ctx, "update workspace", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, "UPDATE workspaces SET name = ?, timezone = ?, updated_at = ? WHERE id = ? AND deleted_at = 0",
			w.Name, w.Timezone, micros(w.UpdatedAt), w.ID.UUID[:])
		return changed(res, err, "workspace")
	})
}

// DeleteWorkspace implements workspace.Store. Connections go with it: their webhook keys are free for others again.
func (s *Store) DeleteWorkspace(ctx context.Context, id workspace.ID, now time.Time) error {
	err := s.write(ctx, "delete workspace", func(tx *sql.Tx) error {
		num, err := liveWorkspace(ctx, tx, id)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE workspaces SET deleted_at = ? WHERE num = ?", micros(now), num); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE connections SET deleted_at = ?, webhook_mac = NULL, api_key = NULL WHERE workspace = ? AND deleted_at = 0",
			micros(now), num)
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.nums, id)
	s.mu.Unlock()
	return nil
}
