package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"monterey/internal/fault"
	"monterey/internal/provider"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

type backfillCommand struct {
	Workspace    string  `required:"" help:"The workspace." placeholder:"ID"`
	Full         bool    `help:"Read everything, not only what is new." xor:"what"`
	Since        string  `help:"Read what happened from this time or day (in UTC) on." placeholder:"TIME" xor:"what"`
	ProviderRate float64 `help:"Requests a second to a provider's account; 0 lifts the limit." default:"5" setting:"MONTEREY_PROVIDER_RATE"`
}

// backfilled is how a backfill ended.
type backfilled struct {
	ID       string        `json:"id"`
	Status   task.Status   `json:"status"`
	Progress task.Progress `json:"progress"`
	Error    string        `json:"error,omitempty"`
}

// Run reads the provider's history of bounces and shows how far it is. Beside a running server the server does the work,
// else this process does. An interrupt cancels the backfill; running the command again goes on where it was.
func (c *backfillCommand) Run(ctx context.Context, p *program) error {
	params, wrong := c.params(p.now())
	ws, err := p.workspaceFlag(c.Workspace, wrong...)
	if err != nil {
		return err
	}
	store, err := p.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	caller := workspace.System(ws)
	if _, err := store.GetWorkspace(ctx, ws); err != nil {
		return fmt.Errorf("workspace %s: %w", ws, err)
	}
	if _, err := provider.Readable(ctx, store, caller); err != nil {
		return err
	}
	show := p.progress()
	t, err := c.do(ctx, p, store, caller, params, show)
	show.end(t.Status == task.Succeeded)
	if err != nil {
		return err
	}
	return p.reportBackfill(t)
}

// do starts the backfill and waits until it has ended.
func (c *backfillCommand) do(ctx context.Context, p *program, store database, caller workspace.Caller, params task.Params, show progress) (t task.Task, err error) {
	stop, here, err := p.workHere(ctx, store, c.ProviderRate, show)
	if err != nil {
		return t, err
	}
	defer stop()
	id, err := p.startBackfill(ctx, store, caller, params)
	if err != nil {
		return t, err
	}
	return p.watch(ctx, store, caller, id, show, here)
}

func (c *backfillCommand) params(now time.Time) (out task.Params, wrong []string) {
	out.Full = c.Full
	if c.ProviderRate < 0 {
		wrong = append(wrong, "--provider-rate must be 0 or more")
	}
	if c.Since == "" {
		return out, wrong
	}
	var err error
	if out.Since, err = parseMoment(c.Since); err != nil {
		wrong = append(wrong, "--since: "+err.Error())
	} else if out.Since.After(now) {
		wrong = append(wrong, "--since must not lie in the future")
	}
	return out, wrong
}

// workHere runs tasks in this process until stop is called, unless a server does: then it is not here.
func (p *program) workHere(ctx context.Context, store database, rate float64, show progress) (stop func(), here bool, err error) {
	if served, err := store.Served(ctx); served || err != nil {
		return func() {}, false, err
	}
	unlock, err := store.LockServer()
	if err != nil {
		return nil, false, err
	}
	keys, err := p.common.openKeys()
	if err != nil {
		unlock()
		return nil, false, err
	}
	engine := p.taskEngine(store, keys, rate, slog.New(slog.DiscardHandler))
	engine.note(func(t task.Task, what string, err error) { show.say(fmt.Sprintf("%s %s: %v", t.Kind, what, err)) })
	work, cancel := context.WithCancel(context.WithoutCancel(ctx)) // an interrupt cancels the task first
	done := make(chan error, 1)
	maps.DeleteFunc(engine.runner.Work, func(k task.Kind, _ task.Work) bool { return k != task.Backfill }) // the rest needs the inbox
	go func() { done <- engine.run(work) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			p.say("the work did not end well: %v", err)
		}
		unlock()
	}, true, nil
}

// startBackfill makes the task, or finds the one that is under way.
func (p *program) startBackfill(ctx context.Context, store database, c workspace.Caller, params task.Params) (task.ID, error) {
	t := task.New(task.Backfill, params, "command line", p.now())
	err := store.CreateTask(ctx, c, t)
	running, ok := errors.AsType[*task.RunningError](err)
	if !ok {
		return t.ID, err
	}
	other, err := store.GetTask(ctx, c, running.Task)
	if err != nil {
		return t.ID, err
	}
	if other.Params.Full != params.Full || !other.Params.Since.Equal(params.Since) {
		return t.ID, fmt.Errorf("another backfill is under way, which was asked for something else: %s; cancel it or wait for it", running.Task)
	}
	p.say("a backfill is under way already: %s", running.Task)
	return running.Task, nil
}

// watchEvery is how often the command looks how far the task is. The server that does the work is gone when it was not there
// at any of the last goneLooks.
const (
	watchEvery = 200 * time.Millisecond
	goneLooks  = 25
)

// watch shows progress until the task has ended, or the server that does the work is gone. When ctx ends first it cancels
// the task.
func (p *program) watch(ctx context.Context, store database, c workspace.Caller, id task.ID, show progress, here bool) (task.Task, error) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	always := context.WithoutCancel(ctx)
	for gone := 0; ; {
		t, err := store.GetTask(always, c, id)
		if err != nil {
			return t, err
		}
		show.at(taskStage(t))
		if t.Status.Ended() {
			return t, nil
		}
		if !here {
			served, err := store.Served(always)
			if gone++; served || err != nil {
				gone = 0 // a store that fails tells it when the task is read
			}
			if gone > goneLooks {
				return t, errors.New("the server that does the work has stopped; run it again to go on")
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t, err := store.CancelTask(always, c, id, p.now())
			if fault.Is(err, fault.Conflict) {
				return store.GetTask(always, c, id) // it has just ended by itself
			}
			return t, err
		}
	}
}

// taskStage is how far a task is.
func taskStage(t task.Task) stage {
	return stage{what: fmt.Sprint("page ", t.Progress.Pages), done: t.Progress.Fetched, total: t.Progress.Total, last: t.Status.Ended()}
}

func (p *program) reportBackfill(t task.Task) error {
	g := t.Progress
	err := p.result(backfilled{t.ID.String(), t.Status, g, t.Error}, fmt.Sprintf("%s: %d read on %d pages: %d new, %d changed, %d as before, %d unreadable\n",
		t.Status, g.Fetched, g.Pages, g.Inserted, g.Updated, g.Unchanged, g.Unreadable))
	switch {
	case err != nil:
		return err
	case t.Status == task.Cancelled:
		return errors.New("cancelled; run it again to go on")
	case t.Status == task.Failed:
		return errors.New(t.Error + "; run it again to go on")
	}
	return nil
}
