package main

import (
	"context"
	"fmt"
	"time"

	"monterey/internal/campaigner"
	"monterey/internal/delivery"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

type redecodeCommand struct {
	Workspace string `required:"" help:"The workspace." placeholder:"ID"`
	Since     string `help:"Only what was received at or after this time or day (in UTC)." placeholder:"TIME"`
}

// redecoded says what a redecode did. Kept are deliveries whose raw body is gone: they stay as they are.
type redecoded struct {
	Redecoded int      `json:"redecoded"`
	Kept      int      `json:"kept"`
	KeptIDs   []string `json:"kept_ids"`
}

// Run reads deliveries again from their raw bodies, each in a transaction, beside a running server too. It may be repeated.
func (c *redecodeCommand) Run(ctx context.Context, p *program) error {
	var wrong []string
	var since time.Time
	if c.Since != "" {
		var err error
		if since, err = parseMoment(c.Since); err != nil {
			wrong = append(wrong, "--since: "+err.Error())
		}
	}
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
	done, err := redecode(ctx, store, workspace.System(ws), since, p.now)
	if err != nil {
		return fmt.Errorf("redecode stopped after %d deliveries; run it again to finish: %w", done.Redecoded, err)
	}
	for _, id := range done.KeptIDs {
		p.say("%s: its raw body is gone; it stays as it is", id)
	}
	return p.result(done, fmt.Sprintf("%d deliveries were decoded again, %d stay as they are\n", done.Redecoded, done.Kept))
}

func redecode(ctx context.Context, store database, c workspace.Caller, since time.Time, now func() time.Time) (done redecoded, err error) {
	done.KeptIDs = []string{}
	// The list is read whole before anything changes, so that pages do not shift.
	all, err := everyPage(func(q page.Params) (page.Of[delivery.Delivery], error) {
		q.Sort = "received_at"
		return store.ListDeliveries(ctx, c, []delivery.State{delivery.Done, delivery.Partial, delivery.Quarantined}, q)
	})
	if err != nil {
		return done, err
	}
	r := ingest.NewReplayer(store, campaigner.Webhook{}, now)
	for _, d := range all {
		if d.ReceivedAt.Before(since) {
			continue
		}
		_, err := r.Redecode(ctx, c, d.ID)
		switch {
		case fault.Is(err, fault.Conflict):
			done.Kept++
			done.KeptIDs = append(done.KeptIDs, d.ID.String())
		case err != nil:
			return done, fmt.Errorf("delivery %s: %w", d.ID, err)
		default:
			done.Redecoded++
		}
	}
	return done, nil
}
