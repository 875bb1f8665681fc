package main

import (
	"context"
	"log/slog"
	"time"

	"monterey/internal/account/directory"
	"monterey/internal/backfill"
	"monterey/internal/campaigner"
	"monterey/internal/campaignsync"
	"monterey/internal/provider"
	"monterey/internal/recovery"
	"monterey/internal/task"
	"monterey/internal/task/jobs"
)

// taskEngine runs tasks, and makes those that are scheduled.
type taskEngine struct {
	store   database
	runner  *task.Runner
	history *backfill.Backfill
	now     func() time.Time
	log     *slog.Logger
}

// scheduleTick is how often schedules are looked at.
const scheduleTick = time.Minute

// An outside directory is read and taken in by one job, which is cut off after jobs.Timeout: directoryAnswer is for the
// answer, the rest for the import. Whatever takes longer must say so itself, or the task would begin anew without end.
const (
	directoryAnswer = 3 * time.Minute
	directoryLimit  = jobs.Timeout - 10*time.Second
)

func (p *program) taskEngine(store database, keys *provider.Keys, rate float64, log *slog.Logger) *taskEngine {
	limits := campaigner.NewLimits(rate, campaigner.DefaultAtOnce)
	if turns, several := store.(provider.Turns); several {
		limits.Share(turns)
	}
	accounts := &campaigner.Accounts{Connections: store, Keys: keys, Limits: limits,
		AllowPrivate: p.common.AllowPrivateProviders, Now: p.now}
	history := &backfill.Backfill{Accounts: accounts, Bounces: store, Tasks: store, Now: p.now, Slice: jobs.Slice,
		Together: 150 * time.Millisecond}
	reconcile := &recovery.Recovery{Accounts: accounts, Campaigns: store, Statistics: store, Deliveries: store, Inbox: store, Comparisons: store,
		Tasks: store, Now: p.now, Slice: jobs.Slice, Wait: 100 * time.Millisecond}
	campaigns := &campaignsync.Sync{Accounts: accounts, Campaigns: store, Tasks: store, Now: p.now, Slice: jobs.Slice}
	outside := &directory.Job{Accounts: store, Keys: keys, Tasks: store, Now: p.now, Log: log, Answer: directoryAnswer, Limit: directoryLimit}
	e := &taskEngine{store: store, now: p.now, log: log, history: history, runner: &task.Runner{
		Store: store, Now: p.now, Watch: time.Second,
		Work: map[task.Kind]task.Work{task.Backfill: history.Work, task.Campaigns: campaigns.Work, task.Reconciliation: reconcile.Work,
			task.Accounts: outside.Work},
	}}
	e.note(func(t task.Task, what string, err error) {
		log.Warn("task "+what, "task", t.ID, "kind", t.Kind, "error", err)
	})
	return e
}

// note says who is told of what requesters are not shown; before run.
func (e *taskEngine) note(f func(t task.Task, what string, err error)) {
	e.runner.Note, e.history.Note = f, f
}

// run runs tasks until ctx ends.
func (e *taskEngine) run(ctx context.Context) error { return e.store.RunTasks(ctx, e.runner, e.log) }

// schedule makes scheduled tasks until ctx ends. What could not be made is made by the next tick.
func (e *taskEngine) schedule(ctx context.Context) error {
	tick := time.NewTicker(scheduleTick)
	defer tick.Stop()
	for {
		if err := task.Tick(ctx, e.store, e.now()); err != nil && ctx.Err() == nil {
			e.log.Error("schedules could not be looked at", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
