package main

import (
	"context"
	"fmt"
	"strings"

	"monterey/internal/account"
	"monterey/internal/account/directory"
	"monterey/internal/workspace"
)

type accountsSet struct {
	Workspace string `required:"" help:"The workspace." placeholder:"ID"`
	URLFile   string `name:"url-file" required:"" help:"A file with the database's URL, postgres://user:password@host/database or sqlserver://…; it is kept sealed." placeholder:"FILE"`
	QueryFile string `required:"" help:"A file with a query that gives account_number and email." placeholder:"FILE"`
	Schedule  string `help:"When it is read, as a cron expression in the workspace's zone; without, only when asked to." placeholder:"CRON"`
}

// Run sets all of it, in the place of what was set before. Nothing is connected to.
func (c *accountsSet) Run(ctx context.Context, p *program) error {
	config, wrong := c.read(p)
	ws, err := p.workspaceFlag(c.Workspace, wrong...)
	if err != nil {
		return err
	}
	store, err := p.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	if _, err := store.GetWorkspace(ctx, ws); err != nil {
		return fmt.Errorf("workspace %s: %w", ws, err)
	}
	keys, err := p.common.openKeys()
	if err != nil {
		return err
	}
	src := account.Source{URL: keys.Seal(config.URL), Query: config.Query, Schedule: c.Schedule}
	if err := store.PutSource(ctx, workspace.System(ws), src); err != nil {
		return fmt.Errorf("set account directory: %w", err)
	}
	p.say("The account directory is read from %s.", config)
	return p.result(sourceResult{ws.String(), config.String(), c.Schedule}, config.String()+"\n")
}

// sourceResult is where a directory is read from; it shows no password.
type sourceResult struct {
	Workspace string `json:"workspace_id"`
	Source    string `json:"source"`
	Schedule  string `json:"schedule"`
}

// read reads the files and says all that is wrong with them and with the schedule.
func (c *accountsSet) read(p *program) (config directory.Config, wrong []string) {
	wrong = fieldMistakes(account.Source{Schedule: c.Schedule}.Validate())
	if c.URLFile == "-" && c.QueryFile == "-" {
		return config, append(wrong, "--url-file and --query-file cannot both be standard input")
	}
	url, err := p.readInput(c.URLFile)
	if err != nil {
		wrong = append(wrong, "--url-file: "+err.Error())
	}
	query, queryErr := p.readInput(c.QueryFile)
	if queryErr != nil {
		wrong = append(wrong, "--query-file: "+queryErr.Error())
	}
	config = directory.Config{URL: strings.TrimSpace(string(url)), Query: strings.TrimSpace(string(query))}
	_, bad := directory.New(config)
	for _, m := range fieldMistakes(bad) {
		name, msg, _ := strings.Cut(m, " ")
		if name == "--url" && err != nil || name == "--query" && queryErr != nil {
			continue // said already
		}
		wrong = append(wrong, name+"-file "+msg)
	}
	return config, wrong
}

type accountsUnset struct {
	Workspace string `required:"" help:"The workspace." placeholder:"ID"`
}

// Run forgets the URL, the query and the schedule.
func (c *accountsUnset) Run(ctx context.Context, p *program) error {
	ws, err := p.workspaceFlag(c.Workspace)
	if err != nil {
		return err
	}
	store, err := p.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.DeleteSource(ctx, workspace.System(ws)); err != nil {
		return fmt.Errorf("workspace %s: %w", ws, err)
	}
	p.say("The account directory is read no more; it stays as it is.")
	return p.result(struct {
		Workspace string `json:"workspace_id"`
	}{ws.String()}, "")
}
