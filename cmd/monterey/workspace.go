package main

import (
	"context"
	"fmt"

	"monterey/internal/page"
	"monterey/internal/workspace"
)

type workspaceCreate struct {
	Name     string `arg:"" help:"What people call it."`
	Timezone string `help:"IANA zone of plain dates." default:"UTC" placeholder:"ZONE"`
}

func (c *workspaceCreate) Run(ctx context.Context, p *program) error {
	now := p.now().UTC()
	w := workspace.Workspace{ID: workspace.NewID(), Name: c.Name, Timezone: c.Timezone, CreatedAt: now, UpdatedAt: now}
	if err := p.check(fieldMistakes(w.Validate())...); err != nil {
		return err
	}
	store, err := p.firstStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.CreateWorkspace(ctx, w); err != nil {
		return fmt.Errorf("create workspace: %w", err)
	}
	p.say("Workspace %s was created.", w.Name)
	return p.result(struct {
		ID string `json:"id"`
	}{w.ID.String()}, w.ID.String()+"\n")
}

type workspaceList struct{}

func (c *workspaceList) Run(ctx context.Context, p *program) error {
	if err := p.check(); err != nil {
		return err
	}
	store, err := p.firstStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	all, err := allWorkspaces(ctx, store)
	if err != nil {
		return err
	}
	type item struct {
		ID        string `json:"id"`
		Name      string `json:"name"`
		Timezone  string `json:"timezone"`
		CreatedAt string `json:"created_at"`
	}
	items := make([]item, 0, len(all))
	rows := [][]string{{"ID", "NAME", "TIME ZONE", "CREATED"}}
	for _, w := range all {
		i := item{w.ID.String(), w.Name, w.Timezone, stamp(w.CreatedAt)}
		items, rows = append(items, i), append(rows, []string{i.ID, i.Name, i.Timezone, i.CreatedAt})
	}
	return p.result(list[item]{items}, table(rows))
}

// list is the JSON form of every list command.
type list[T any] struct {
	Items []T `json:"items"`
}

func allWorkspaces(ctx context.Context, store workspace.Store) ([]workspace.Workspace, error) {
	return everyPage(func(q page.Params) (page.Of[workspace.Workspace], error) {
		q.Sort = "name"
		return store.ListWorkspaces(ctx, nil, q)
	})
}

// everyPage reads a list to its end.
func everyPage[T any](read func(page.Params) (page.Of[T], error)) ([]T, error) {
	var all []T
	for n := 1; ; n++ {
		part, err := read(page.Params{Number: n, Size: page.MaxSize})
		if err != nil {
			return nil, err
		}
		all = append(all, part.Items...)
		if len(part.Items) < page.MaxSize {
			return all, nil
		}
	}
}
