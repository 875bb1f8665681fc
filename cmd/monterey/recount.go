package main

import (
	"context"
	"fmt"

	"monterey/internal/ingest"
	"monterey/internal/workspace"
)

type recountCommand struct {
	Workspace string `help:"Only this workspace." placeholder:"ID"`
}

// recounted is what a recount found in one workspace.
type recounted struct {
	Workspace string `json:"workspace_id"`
	Days      int    `json:"days"`
	Rows      int    `json:"rows"`
	Drifted   int    `json:"drifted"`
}

// Run works the rollups out anew from the events, beside a running server too, and puts right what differs.
func (c *recountCommand) Run(ctx context.Context, p *program) error {
	var wrong []string
	if c.Workspace != "" {
		if _, err := workspace.ParseID(c.Workspace); err != nil {
			wrong = append(wrong, "--workspace: "+err.Error())
		}
	}
	if err := p.check(wrong...); err != nil {
		return err
	}
	store, err := p.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	spaces, err := c.workspaces(ctx, store)
	if err != nil {
		return err
	}
	all := make([]recounted, 0, len(spaces))
	drifted := 0
	for _, w := range spaces {
		d, err := ingest.Rebuild(ctx, store, workspace.System(w.ID))
		if err != nil {
			return fmt.Errorf("recount %s (%s): %w", w.ID, w.Name, err)
		}
		p.sayDrift(w, d)
		all = append(all, recounted{w.ID.String(), d.Days, d.Rows, d.Drifted})
		drifted += d.Drifted
	}
	rows := [][]string{{"WORKSPACE", "DAYS", "ROWS", "DRIFTED"}}
	for _, r := range all {
		rows = append(rows, []string{r.Workspace, fmt.Sprint(r.Days), fmt.Sprint(r.Rows), fmt.Sprint(r.Drifted)})
	}
	return p.result(struct {
		Drifted    int         `json:"drifted"`
		Workspaces []recounted `json:"workspaces"`
	}{drifted, all}, table(rows))
}

// sayDrift names the first rows that a recount has put right.
func (p *program) sayDrift(w workspace.Workspace, d ingest.Drift) {
	for _, k := range d.First {
		p.say("%s: campaign %s, span %d, bucket %d did not equal its events; it does now", w.Name, k.Campaign, k.Span, k.Bucket)
	}
}

func (c *recountCommand) workspaces(ctx context.Context, store database) ([]workspace.Workspace, error) {
	if c.Workspace == "" {
		return allWorkspaces(ctx, store)
	}
	id, err := workspace.ParseID(c.Workspace)
	if err != nil {
		return nil, err
	}
	w, err := store.GetWorkspace(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("workspace %s: %w", id, err)
	}
	return []workspace.Workspace{w}, nil
}
