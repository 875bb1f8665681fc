package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"monterey/internal/page"
	"monterey/internal/workspace"
)

const (
	keyColumns = `k.id, w.id, coalesce(w.name, ''), k.platform_admin, k.name, k.role, k.hash,
		k.created_at, k.expires_at, k.last_used_at, k.revoked_at`
	keyTables = "api_keys k LEFT JOIN workspaces w ON w.num = k.workspace_id"
)

// scanKey reads keyColumns.
func scanKey(r row) (k workspace.APIKey, err error) {
	var ws uuid.UUID
	var hash []byte
	var created, expires, used, revoked int64
	err = r.Scan(&k.ID, &ws, &k.WorkspaceName, &k.PlatformAdmin, &k.Name, &k.Role, &hash, &created, &expires, &used, &revoked)
	k.Workspace = workspace.ID{UUID: ws}
	copy(k.Hash[:], hash)
	k.CreatedAt, k.ExpiresAt = fromMicros(created), fromMicros(expires)
	k.LastUsedAt, k.RevokedAt = fromMicros(used), fromMicros(revoked)
	return k, err
}

// CreateKey implements workspace.Store.
func (s *Store) CreateKey(ctx context.Context, k workspace.APIKey) error {
	return s.write(ctx, "create key", func(tx pgx.Tx) error {
		var ws int64 // stays 0 for a key of the platform
		if !k.PlatformAdmin {
			var err error
			if ws, err = heldWorkspace(ctx, tx, k.Workspace); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `INSERT INTO api_keys (id, workspace_id, platform_admin, name, role, hash, created_at, expires_at,
			last_used_at, revoked_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			k.ID, ws, k.PlatformAdmin, k.Name, string(k.Role), k.Hash[:], micros(k.CreatedAt), micros(k.ExpiresAt),
			micros(k.LastUsedAt), micros(k.RevokedAt))
		return taken(err, "this key exists already")
	})
}

// ListKeys implements workspace.Store.
func (s *Store) ListKeys(ctx context.Context, c workspace.Caller, p page.Params) (out page.Of[workspace.APIKey], err error) {
	err = s.read(ctx, "list keys", func(tx pgx.Tx) error {
		ws, err := liveWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		l := list[workspace.APIKey]{
			columns: keyColumns, from: keyTables, scan: scanKey, id: "k.id", sort: "-created_at",
			sorts: map[string]string{"created_at": "k.created_at"},
		}
		l.where.add("k.workspace_id = ?", ws)
		out, err = l.page(ctx, tx, p)
		return err
	})
	return out, err
}

// ListPlatformKeys implements workspace.Store. The newest come first.
func (s *Store) ListPlatformKeys(ctx context.Context) (out []workspace.APIKey, err error) {
	err = s.read(ctx, "list platform keys", func(tx pgx.Tx) error {
		out, err = query(ctx, tx, scanKey, "SELECT "+keyColumns+" FROM "+keyTables+" WHERE k.workspace_id = 0 ORDER BY k.created_at DESC, k.id DESC")
		return err
	})
	return out, err
}

// RevokeKey implements workspace.Store.
func (s *Store) RevokeKey(ctx context.Context, c workspace.Caller, id workspace.KeyID, now time.Time) error {
	return s.write(ctx, "revoke key", func(tx pgx.Tx) error {
		ws, err := heldWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		return revoke(ctx, tx, ws, id, now)
	})
}

// RevokePlatformKey implements workspace.Store.
func (s *Store) RevokePlatformKey(ctx context.Context, id workspace.KeyID, now time.Time) error {
	return s.write(ctx, "revoke platform key", func(tx pgx.Tx) error { return revoke(ctx, tx, 0, id, now) })
}

// revoke leaves the time of a key that is revoked already.
func revoke(ctx context.Context, tx pgx.Tx, ws int64, id workspace.KeyID, now time.Time) error {
	res, err := tx.Exec(ctx, "UPDATE api_keys SET revoked_at = CASE revoked_at WHEN 0 THEN $1 ELSE revoked_at END WHERE id = $2 AND workspace_id = $3",
		micros(now), id, ws)
	return changed(res, err, "key")
}

// KeyByHash implements workspace.Store.
func (s *Store) KeyByHash(ctx context.Context, hash [32]byte) (k workspace.APIKey, err error) {
	err = s.look(ctx, "find key", func(b *pgx.Batch) {
		b.Queue("SELECT "+keyColumns+" FROM "+keyTables+" WHERE k.hash = $1 AND (k.workspace_id = 0 OR w.deleted_at = 0)", hash[:]).
			QueryRow(func(r pgx.Row) (err error) {
				k, err = scanKey(r)
				return found(err, "key")
			})
	})
	return k, err
}

// TouchKeys implements workspace.Store. Keys that are not there are passed over, and no time moves back.
func (s *Store) TouchKeys(ctx context.Context, used map[workspace.KeyID]time.Time) error {
	ids, times := make([]workspace.KeyID, 0, len(used)), make([]int64, 0, len(used))
	for id, at := range used {
		ids, times = append(ids, id), append(times, micros(at))
	}
	return s.write(ctx, "touch keys", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE api_keys k SET last_used_at = u.at FROM unnest($1::uuid[], $2::bigint[]) u (id, at)
			WHERE k.id = u.id AND k.last_used_at < u.at`, ids, times)
		return err
	})
}
