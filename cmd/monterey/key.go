package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

type keyCreate struct {
	Workspace     string `help:"The workspace that the key opens." placeholder:"ID"`
	PlatformAdmin bool   `help:"A key for every workspace and for the workspaces themselves."`
	Name          string `help:"Who or what will use it." placeholder:"NAME"`
	Role          string `help:"viewer, editor or admin." placeholder:"ROLE"`
	Expires       string `help:"The last day (in UTC) or the time until which it works." placeholder:"DATE"`
}

func (c *keyCreate) Run(ctx context.Context, p *program) error {
	key, token, wrong := c.key(p.now().UTC())
	if err := p.check(wrong...); err != nil {
		return err
	}
	open := p.openStore
	if key.PlatformAdmin {
		open = p.firstStore // nothing need be there
	}
	store, err := open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	if !key.PlatformAdmin {
		if _, err := store.GetWorkspace(ctx, key.Workspace); err != nil {
			return fmt.Errorf("workspace %s: %w", key.Workspace, err)
		}
	}
	if err := store.CreateKey(ctx, key); err != nil {
		return fmt.Errorf("create key: %w", err)
	}
	p.say("Key %s (%s) was created. It is shown only now.", key.ID, key.Name)
	return p.result(struct {
		ID  string `json:"id"`
		Key string `json:"key"`
	}{key.ID.String(), token}, token+"\n")
}

// key is the key that the flags ask for; all that is wrong with them is said at once.
func (c *keyCreate) key(now time.Time) (key workspace.APIKey, token string, wrong []string) {
	var ws workspace.ID
	var err error
	switch {
	case c.PlatformAdmin && (c.Workspace != "" || c.Role != ""):
		wrong = append(wrong, "--platform-admin is for every workspace: leave --workspace and --role out")
	case !c.PlatformAdmin && c.Workspace == "":
		wrong = append(wrong, "--workspace ID is needed, or --platform-admin")
	case !c.PlatformAdmin:
		if ws, err = workspace.ParseID(c.Workspace); err != nil {
			wrong = append(wrong, "--workspace: "+err.Error())
		}
	}
	key, token = workspace.NewKey(ws, c.Name, workspace.Role(c.Role), now)
	key.PlatformAdmin = c.PlatformAdmin
	if c.Expires != "" {
		if key.ExpiresAt, err = parseExpiry(c.Expires); err != nil {
			wrong = append(wrong, "--expires: "+err.Error())
		}
	}
	return key, token, append(wrong, fieldMistakes(key.Validate(now))...)
}

type keyList struct {
	Workspace string `help:"Only the keys of this workspace." placeholder:"ID"`
}

func (c *keyList) Run(ctx context.Context, p *program) error {
	var only *workspace.ID
	if c.Workspace != "" {
		id, err := workspace.ParseID(c.Workspace)
		if err != nil {
			return p.check("--workspace: " + err.Error())
		}
		only = &id
	}
	if err := p.check(); err != nil {
		return err
	}
	store, err := p.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	keys, err := listKeys(ctx, store, only)
	if err != nil {
		return err
	}
	type item struct {
		ID            string `json:"id"`
		WorkspaceID   string `json:"workspace_id,omitempty"`
		PlatformAdmin bool   `json:"platform_admin"`
		Name          string `json:"name"`
		Role          string `json:"role"`
		CreatedAt     string `json:"created_at"`
		ExpiresAt     string `json:"expires_at,omitempty"`
		LastUsedAt    string `json:"last_used_at,omitempty"`
		RevokedAt     string `json:"revoked_at,omitempty"`
	}
	items := make([]item, 0, len(keys))
	rows := [][]string{{"ID", "WORKSPACE", "NAME", "ROLE", "CREATED", "EXPIRES", "LAST USED", "REVOKED"}}
	for _, k := range keys {
		i := item{ID: k.ID.String(), PlatformAdmin: k.PlatformAdmin, Name: k.Name, Role: string(k.Role), CreatedAt: stamp(k.CreatedAt),
			ExpiresAt: stamp(k.ExpiresAt), LastUsedAt: stamp(k.LastUsedAt), RevokedAt: stamp(k.RevokedAt)}
		where := "every one"
		if k.PlatformAdmin {
			i.Role = string(workspace.PlatformAdmin)
		} else {
			i.WorkspaceID = k.Workspace.String()
			where = i.WorkspaceID
		}
		items = append(items, i)
		rows = append(rows, []string{i.ID, where, i.Name, i.Role, i.CreatedAt, dash(i.ExpiresAt), dash(i.LastUsedAt), dash(i.RevokedAt)})
	}
	return p.result(list[item]{items}, table(rows))
}

// listKeys are the keys of one workspace, or of all and of the platform.
func listKeys(ctx context.Context, store workspace.Store, only *workspace.ID) ([]workspace.APIKey, error) {
	var spaces []workspace.Workspace
	var keys []workspace.APIKey
	var err error
	if only != nil {
		w, err := store.GetWorkspace(ctx, *only)
		if err != nil {
			return nil, fmt.Errorf("workspace %s: %w", only, err)
		}
		spaces = append(spaces, w)
	} else {
		if spaces, err = allWorkspaces(ctx, store); err != nil {
			return nil, err
		}
		if keys, err = store.ListPlatformKeys(ctx); err != nil {
			return nil, err
		}
	}
	for _, w := range spaces {
		part, err := everyPage(func(q page.Params) (page.Of[workspace.APIKey], error) {
			return store.ListKeys(ctx, workspace.System(w.ID), q)
		})
		if err != nil {
			return nil, err
		}
		keys = append(keys, part...)
	}
	return keys, nil
}

type keyRevoke struct {
	ID string `arg:"" name:"id" help:"The key's id, as key list shows it (not the key itself)."`
}

func (c *keyRevoke) Run(ctx context.Context, p *program) error {
	id, err := uuid.Parse(c.ID)
	if err != nil {
		return p.check(fmt.Sprintf("%q is not the id of a key (a UUID)", c.ID))
	}
	if err := p.check(); err != nil {
		return err
	}
	store, err := p.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := revokeKey(ctx, store, workspace.KeyID{UUID: id}, p.now().UTC()); err != nil {
		return err
	}
	p.say("Key %s is revoked.", id)
	return p.result(struct {
		ID string `json:"id"`
	}{id.String()}, "")
}

// revokeKey finds the key wherever it belongs.
func revokeKey(ctx context.Context, store workspace.Store, id workspace.KeyID, now time.Time) error {
	keys, err := listKeys(ctx, store, nil)
	if err != nil {
		return err
	}
	for _, k := range keys {
		switch {
		case k.ID != id:
		case k.PlatformAdmin:
			return store.RevokePlatformKey(ctx, id, now)
		default:
			return store.RevokeKey(ctx, workspace.System(k.Workspace), id, now)
		}
	}
	return fault.New(fault.NotFound, "there is no key %s", id)
}

// dash shows that a column is empty.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
