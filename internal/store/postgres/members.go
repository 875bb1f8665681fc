package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/page"
	"monterey/internal/workspace"
)

const userColumns = "u.id, u.email, u.display_name, u.platform_admin, u.created_at"

// scanUser reads userColumns; more are the columns that follow them.
func scanUser(r row, more ...any) (u workspace.User, err error) {
	var created int64
	err = r.Scan(append([]any{&u.ID, &u.Email, &u.DisplayName, &u.PlatformAdmin, &created}, more...)...)
	u.CreatedAt = fromMicros(created)
	return u, err
}

const (
	memberColumns = userColumns + ", w.id, w.name, m.role, m.created_at"
	memberTables  = "memberships m JOIN users u ON u.id = m.user_id JOIN workspaces w ON w.num = m.workspace_id AND w.deleted_at = 0"
)

func scanMember(r row) (m workspace.Membership, err error) {
	var created int64
	m.User, err = scanUser(r, &m.Workspace, &m.WorkspaceName, &m.Role, &created)
	m.CreatedAt = fromMicros(created)
	return m, err
}

// PutUser implements workspace.Store. Who is a platform admin is decided when the user is created.
func (s *Store) PutUser(ctx context.Context, u workspace.User) error {
	return s.write(ctx, "put user", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO users (id, email, display_name, platform_admin, created_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (id) DO UPDATE SET email = excluded.email, display_name = excluded.display_name`,
			u.ID, u.Email, u.DisplayName, u.PlatformAdmin, micros(u.CreatedAt))
		return err
	})
}

// GetUser implements workspace.Store.
func (s *Store) GetUser(ctx context.Context, id workspace.UserID) (u workspace.User, err error) {
	err = s.read(ctx, "get user", func(tx pgx.Tx) error {
		u, err = scanUser(tx.QueryRow(ctx, "SELECT "+userColumns+" FROM users u WHERE u.id = $1", id))
		return found(err, "user")
	})
	return u, err
}

// MembershipsOf implements workspace.Store.
func (s *Store) MembershipsOf(ctx context.Context, id workspace.UserID) (out []workspace.Membership, err error) {
	err = s.read(ctx, "memberships of user", func(tx pgx.Tx) error {
		out, err = query(ctx, tx, scanMember, "SELECT "+memberColumns+" FROM "+memberTables+" WHERE m.user_id = $1 ORDER BY w.name, w.id", id)
		return err
	})
	return out, err
}

// ListMembers implements workspace.Store.
func (s *Store) ListMembers(ctx context.Context, c workspace.Caller, p page.Params) (out page.Of[workspace.Membership], err error) {
	err = s.read(ctx, "list members", func(tx pgx.Tx) error {
		ws, err := liveWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		l := list[workspace.Membership]{
			columns: memberColumns, from: memberTables, scan: scanMember, id: "u.id", sort: "-created_at",
			sorts: map[string]string{"created_at": "m.created_at"},
		}
		l.where.add("m.workspace_id = ?", ws)
		out, err = l.page(ctx, tx, p)
		return err
	})
	return out, err
}

// Candidates implements workspace.Store. They are sorted by name.
func (s *Store) Candidates(ctx context.Context, c workspace.Caller, search string, limit int) (out []workspace.User, err error) {
	err = s.read(ctx, "membership candidates", func(tx pgx.Tx) error {
		ws, err := liveWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "SELECT "+userColumns+` FROM users u
			WHERE NOT EXISTS (SELECT 1 FROM memberships m WHERE m.workspace_id = $1 AND m.user_id = u.id) ORDER BY u.display_name, u.id`, ws)
		if err != nil {
			return err
		}
		defer rows.Close()
		for len(out) < limit && rows.Next() {
			u, err := scanUser(rows)
			if err != nil {
				return err
			}
			if contains(search, u.DisplayName, u.Email) {
				out = append(out, u)
			}
		}
		return rows.Err()
	})
	return out, err
}

// AddMember implements workspace.Store.
func (s *Store) AddMember(ctx context.Context, c workspace.Caller, user workspace.UserID, role workspace.Role, now time.Time) (m workspace.Membership, err error) {
	err = s.write(ctx, "add member", func(tx pgx.Tx) error {
		ws, err := heldWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT 1 FROM users WHERE id = $1", user).Scan(new(int)); err != nil {
			return found(err, "user")
		}
		if _, err := tx.Exec(ctx, "INSERT INTO memberships (workspace_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)",
			ws, user, string(role), micros(now)); err != nil {
			return taken(err, "the user is a member already")
		}
		m, err = member(ctx, tx, ws, user)
		return err
	})
	return m, err
}

// SetRole implements workspace.Store.
func (s *Store) SetRole(ctx context.Context, c workspace.Caller, user workspace.UserID, role workspace.Role) (m workspace.Membership, err error) {
	err = s.write(ctx, "set role", func(tx pgx.Tx) error {
		ws, err := heldWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		res, err := tx.Exec(ctx, "UPDATE memberships SET role = $1 WHERE workspace_id = $2 AND user_id = $3", string(role), ws, user)
		if err := changed(res, err, "member"); err != nil {
			return err
		}
		m, err = member(ctx, tx, ws, user)
		return err
	})
	return m, err
}

func member(ctx context.Context, tx pgx.Tx, ws int64, user workspace.UserID) (workspace.Membership, error) {
	return scanMember(tx.QueryRow(ctx, "SELECT "+memberColumns+" FROM "+memberTables+" WHERE m.workspace_id = $1 AND m.user_id = $2", ws, user))
}

// RemoveMember implements workspace.Store.
func (s *Store) RemoveMember(ctx context.Context, c workspace.Caller, user workspace.UserID) error {
	return s.write(ctx, "remove member", func(tx pgx.Tx) error {
		ws, err := heldWorkspace(ctx, tx, c.Workspace())
		if err != nil {
			return err
		}
		res, err := tx.Exec(ctx, "DELETE FROM memberships WHERE workspace_id = $1 AND user_id = $2", ws, user)
		return changed(res, err, "member")
	})
}
