package postgres

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/jackc/pgx/v5"

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
func liveWorkspace(ctx context.Context, tx pgx.Tx, id workspace.ID) (num int64, err error) {
	err = tx.QueryRow(ctx, "SELECT num FROM workspaces WHERE id = $1 AND deleted_at = 0", id).Scan(&num)
	return num, found(err, "workspace")
}

// heldWorkspace is liveWorkspace for who writes: nobody deletes the workspace until the transaction ends.
func heldWorkspace(ctx context.Context, tx pgx.Tx, id workspace.ID) (num int64, err error) {
	err = tx.QueryRow(ctx, "SELECT num FROM workspaces WHERE id = $1 AND deleted_at = 0 FOR SHARE", id).Scan(&num)
	return num, found(err, "workspace")
}

// CreateWorkspace implements workspace.Store. The workspace gets its identity key and its counters.
func (s *Store) CreateWorkspace(ctx context.Context, w workspace.Workspace) error {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails (crypto/rand)
	return s.write(ctx, "create workspace", func(tx pgx.Tx) error {
		var num int64
		err := tx.QueryRow(ctx, `INSERT INTO workspaces (id, name, timezone, identity_key, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6) RETURNING num`,
			w.ID, w.Name, w.Timezone, key[:], micros(w.CreatedAt), micros(w.UpdatedAt)).Scan(&num)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO counters (workspace_id) VALUES ($1)", num)
		return err
	})
}

// GetWorkspace implements workspace.Store.
func (s *Store) GetWorkspace(ctx context.Context, id workspace.ID) (w workspace.Workspace, err error) {
	err = s.look(ctx, "get workspace", func(b *pgx.Batch) {
		b.Queue("SELECT "+workspaceColumns+" FROM workspaces WHERE id = $1 AND deleted_at = 0", id).QueryRow(func(r pgx.Row) (err error) {
			w, err = scanWorkspace(r)
			return found(err, "workspace")
		})
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
		l.where.add("id = ANY (?::uuid[])", only)
	}
	err = s.read(ctx, "list workspaces", func(tx pgx.Tx) error {
		out, err = l.page(ctx, tx, p)
		return err
	})
	return out, err
}

// UpdateWorkspace implements workspace.Store.
func (s *Store) UpdateWorkspace(ctx context.Context, w workspace.Workspace) error {
	return s.write(ctx, "update workspace", func(tx pgx.Tx) error {
		res, err := tx.Exec(ctx, "UPDATE workspaces SET name = $1, timezone = $2, updated_at = $3 WHERE id = $4 AND deleted_at = 0",
			w.Name, w.Timezone, micros(w.UpdatedAt), w.ID)
		return changed(res, err, "workspace")
	})
}

// DeleteWorkspace implements workspace.Store. Connections go with it: their webhook keys are free for others again.
func (s *Store) DeleteWorkspace(ctx context.Context, id workspace.ID, now time.Time) error {
	err := s.write(ctx, "delete workspace", func(tx pgx.Tx) error {
		var num int64
		err := tx.QueryRow(ctx, "UPDATE workspaces SET deleted_at = $1 WHERE id = $2 AND deleted_at = 0 RETURNING num", micros(now), id).Scan(&num)
		if err != nil {
			return found(err, "workspace")
		}
		_, err = tx.Exec(ctx, "UPDATE connections SET deleted_at = $1, webhook_mac = NULL, api_key = NULL WHERE workspace_id = $2 AND deleted_at = 0",
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
