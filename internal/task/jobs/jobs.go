// Package jobs runs tasks by River, on whichever database River has a driver for. A job is nothing but the name of a task:
// it may run twice, or again after the process was killed, and goes on where the task's state stands.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"

	"monterey/internal/task"
	"monterey/internal/workspace"
)

// Job names a task.
type Job struct {
	Workspace uuid.UUID `json:"workspace"`
	Task      uuid.UUID `json:"task"`
}

// Kind implements river.JobArgs.
func (Job) Kind() string { return "task" }

// Times of a job. River cannot tell a job whose process was killed from one that takes long, so jobs are short: work gives
// way after Slice, is cut off after Timeout, and a job that has not ended after rescue is run again. Where several processes
// share a database, Keep finds out sooner.
const (
	Slice   = 20 * time.Second
	Timeout = 5 * time.Minute
	rescue  = Timeout + time.Minute
	workers = 4 // tasks at the same time

	// attempts are those that fail because the store does. A task's own failures end the task, not the job.
	attempts = 10_000
)

// Queue puts jobs into a database with transactions of type TTx.
type Queue[TTx any] struct {
	driver riverdriver.Driver[TTx]
	client *river.Client[TTx]
}

// NewQueue makes a queue. It runs nothing (see Run).
func NewQueue[TTx any](driver riverdriver.Driver[TTx]) (*Queue[TTx], error) {
	client, err := river.NewClient(driver, &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return &Queue[TTx]{driver, client}, nil
}

// Version is the version of River's tables that this release needs.
const Version = 8

// Migrate brings River's tables to Version in the transaction tx.
func Migrate[TTx any](ctx context.Context, driver riverdriver.Driver[TTx], tx TTx) error {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("jobs: migrate: %w", err)
	}
	//lint:ignore SA1019 goose's transaction has the only connection, and the versions up to Version do go into one
	_, err = m.MigrateTx(ctx, tx, rivermigrate.DirectionUp, &rivermigrate.MigrateOpts{TargetVersion: Version})
	return err
}

// MigrateSteps brings River's tables to Version, each step in a transaction of its own: PostgreSQL lets an enumeration's new
// values be used only when the transaction that added them is over.
func MigrateSteps[TTx any](ctx context.Context, driver riverdriver.Driver[TTx]) error {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("jobs: migrate: %w", err)
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, &rivermigrate.MigrateOpts{TargetVersion: Version})
	return err
}

// Enqueue makes the job of a task in the transaction tx.
func (q *Queue[TTx]) Enqueue(ctx context.Context, tx TTx, ws workspace.ID, id task.ID) error {
	_, err := q.client.InsertTx(ctx, tx, Job{ws.UUID, id.UUID}, &river.InsertOpts{MaxAttempts: attempts})
	return err
}

// Options of Run.
type Options struct {
	Keep     Keep // nil where one process alone runs jobs
	PollOnly bool // look for jobs each second, and do not listen for them
}

// Run runs jobs until ctx ends; those that run then are stopped, and run again by the next Run.
func (q *Queue[TTx]) Run(ctx context.Context, r *task.Runner, log *slog.Logger, o Options) error {
	all := river.NewWorkers()
	k := &keeper{keep: o.Keep}
	river.AddWorker(all, &worker{runner: r, keeper: k})
	client, err := river.NewClient(q.driver, &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}}, Workers: all, Logger: slog.New(warnings{log.Handler()}),
		JobTimeout: Timeout, RescueStuckJobsAfter: rescue, PollOnly: o.PollOnly,
		// The tasks keep what there is to know of a job that has ended.
		CompletedJobRetentionPeriod: time.Hour, CancelledJobRetentionPeriod: time.Hour, DiscardedJobRetentionPeriod: 24 * time.Hour,
	})
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("jobs: start: %w", err)
	}
	k.run(ctx, log)
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	return client.StopAndCancel(end)
}

// warnings is a log without what River tells of its ordinary life.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}
func (w warnings) WithAttrs(a []slog.Attr) slog.Handler { return warnings{w.Handler.WithAttrs(a)} }
func (w warnings) WithGroup(name string) slog.Handler   { return warnings{w.Handler.WithGroup(name)} }

type worker struct {
	river.WorkerDefaults[Job]
	runner *task.Runner
	keeper *keeper
}

// NextRetry implements river.Worker: soon, as it was the store that failed.
func (w *worker) NextRetry(j *river.Job[Job]) time.Time {
	return time.Now().Add(min(time.Minute, time.Duration(j.Attempt)*time.Second))
}

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, j *river.Job[Job]) error {
	ctx, end := w.keeper.begin(ctx, j)
	defer end()
	err := w.runner.Run(ctx, workspace.ID{UUID: j.Args.Workspace}, task.ID{UUID: j.Args.Task})
	if later, ok := errors.AsType[*task.Later](err); ok {
		return river.JobSnooze(later.After)
	}
	return err // of the store: River tries again, later and later
}
