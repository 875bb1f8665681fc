package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

const (
	connectionColumns = `n.id, w.id, n.provider, n.base_url, n.provider_timezone, n.sync_schedule, n.recover_opens, n.webhook_mac, n.api_key,
		n.created_at, n.updated_at`
	connectionTables = "connections n JOIN workspaces w ON w.num = n.workspace_id AND w.deleted_at = 0"
)

func scanConnection(r row) (conn provider.Connection, err error) {
	var created, updated int64
	err = r.Scan(&conn.ID, &conn.Workspace, &conn.Provider, &conn.BaseURL, &conn.Timezone, &conn.SyncSchedule, &conn.RecoverOpens, &conn.WebhookMAC, &conn.APIKey,
		&created, &updated)
	conn.CreatedAt, conn.UpdatedAt = fromMicros(created), fromMicros(updated)
	return conn, err
}

// Whose the webhook key is, is not said: it may be another workspace's.
const connectionTaken = "the workspace has a connection to this provider already, or the webhook key cannot be used"

// CreateConnection implements provider.Store.
func (s *Store) CreateConnection(ctx context.Context, c workspace.Caller, conn provider.Connection) error {
	return s.write(ctx, "create connection", func(tx pgx.Tx) error {
		ws, err := heldWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO connections (workspace_id, id, provider, base_url, provider_timezone, sync_schedule, recover_opens, webhook_mac,
			api_key, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			ws, conn.ID, string(conn.Provider), conn.BaseURL, conn.Timezone, conn.SyncSchedule, conn.RecoverOpens, orNull(conn.WebhookMAC), orNull(conn.APIKey),
			micros(conn.CreatedAt), micros(conn.UpdatedAt))
		return taken(err, connectionTaken)
	})
}

// orNull is NULL for no bytes.
func orNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// GetConnection implements provider.Store.
func (s *Store) GetConnection(ctx context.Context, c workspace.Caller, id provider.ID) (provider.Connection, error) {
	ws := c.Workspace()
	return s.connection(ctx, "w.id = $1 AND n.id = $2", ws, id)
}

// ConnectionByWebhook implements provider.Store.
func (s *Store) ConnectionByWebhook(ctx context.Context, mac []byte) (provider.Connection, error) {
	return s.connection(ctx, "n.webhook_mac = $1", orNull(mac))
}

func (s *Store) connection(ctx context.Context, cond string, args ...any) (conn provider.Connection, err error) {
	err = s.read(ctx, "find connection", func(tx pgx.Tx) error {
		conn, err = scanConnection(tx.QueryRow(ctx,
			"SELECT "+connectionColumns+" FROM "+connectionTables+" WHERE n.deleted_at = 0 AND "+cond, args...))
		return found(err, "connection")
	})
	return conn, err
}

// ListConnections implements provider.Store. They are sorted by provider.
func (s *Store) ListConnections(ctx context.Context, c workspace.Caller, p page.Params) (out page.Of[provider.Connection], err error) {
	err = s.read(ctx, "list connections", func(tx pgx.Tx) error {
		ws, err := liveWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		l := list[provider.Connection]{
			columns: connectionColumns, from: connectionTables, scan: scanConnection, id: "n.id", sort: "provider",
			sorts: map[string]string{"provider": "n.provider"},
		}
		l.where.add("n.workspace_id = ? AND n.deleted_at = 0", ws)
		out, err = l.page(ctx, tx, p)
		return err
	})
	return out, err
}

// UpdateConnection implements provider.Store. It overwrites all but id, provider and creation.
func (s *Store) UpdateConnection(ctx context.Context, c workspace.Caller, conn provider.Connection) error {
	return s.write(ctx, "update connection", func(tx pgx.Tx) error {
		ws, err := heldWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		res, err := tx.Exec(ctx, `UPDATE connections SET base_url = $1, provider_timezone = $2, sync_schedule = $3, recover_opens = $4, webhook_mac = $5, api_key = $6,
			updated_at = $7 WHERE workspace_id = $8 AND id = $9 AND deleted_at = 0`,
			conn.BaseURL, conn.Timezone, conn.SyncSchedule, conn.RecoverOpens, orNull(conn.WebhookMAC), orNull(conn.APIKey),
			micros(conn.UpdatedAt), ws, conn.ID)
		return changed(res, taken(err, connectionTaken), "connection")
	})
}

// DeleteConnection implements provider.Store. The row stays, since deliveries name it; its keys do not.
func (s *Store) DeleteConnection(ctx context.Context, c workspace.Caller, id provider.ID) error {
	return s.write(ctx, "delete connection", func(tx pgx.Tx) error {
		ws, err := heldWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		now, err := s.clock(ctx, tx)
		if err != nil {
			return err
		}
		res, err := tx.Exec(ctx, `UPDATE connections SET deleted_at = $1, webhook_mac = NULL, api_key = NULL
			WHERE workspace_id = $2 AND id = $3 AND deleted_at = 0`, micros(now), ws, id)
		return changed(res, err, "connection")
	})
}
