package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"monterey/internal/task"
	"monterey/internal/task/jobs"
)

// workerName is what the connections of those are called who run jobs: Served finds them by it.
const workerName = "monterey worker"

// jobConns is how many connections jobs have to themselves: one listens, the others fetch jobs and keep what became of them.
const jobConns = 4

// startAgain is how long to wait before jobs are tried to be run again after the database did not let them.
const startAgain = 2 * time.Second

// RunTasks runs the jobs of tasks until ctx ends; any number of processes may.
func (s *Store) RunTasks(ctx context.Context, r *task.Runner, log *slog.Logger) error {
	for {
		err := s.runTasks(ctx, r, log)
		if ctx.Err() != nil {
			return nil
		}
		log.Warn("tasks cannot be run at the moment", "error", err)
		select {
		case <-time.After(startAgain):
		case <-ctx.Done():
			return nil
		}
	}
}

// runTasks lets River go past PgBouncer, where it can listen, and does not let it wait for connections that others hold.
func (s *Store) runTasks(ctx context.Context, r *task.Runner, log *slog.Logger) error {
	pool, err := s.directPool(ctx, workerName)
	if err != nil {
		return err
	}
	defer pool.Close()
	poll := false
	if err := pool.Ping(ctx); err != nil {
		log.Warn("tasks are looked for each second: the direct connection to listen for them cannot be had", "error", err)
		pool, poll = s.pool, true
	}
	queue, err := jobs.NewQueue(riverpgxv5.New(pool))
	if err != nil {
		return err
	}
	return queue.Run(ctx, r, log, jobs.Options{Keep: keeper{pool}.keep, PollOnly: poll})
}

// directPool connects past PgBouncer, as it is needed.
func (s *Store) directPool(ctx context.Context, name string) (*pgxpool.Pool, error) {
	cfg := s.pool.Config()
	cfg.ConnConfig, cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = s.direct.Copy(), jobConns, 1, 0
	cfg.ConnConfig.RuntimeParams["application_name"] = name
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("postgres: jobs: %w", err)
	}
	return pool, nil
}

// keeper is how the processes that run jobs tell which of them are alive: when a running job was attempted is when it was last
// noted.
type keeper struct{ pool *pgxpool.Pool }

// keep implements jobs.Keep.
func (k keeper) keep(ctx context.Context, running []jobs.Attempt) ([]int64, error) {
	ids, numbers := make([]int64, len(running)), make([]int, len(running))
	for i, j := range running {
		ids[i], numbers[i] = j.Job, j.Number
	}
	rows, err := k.pool.Query(ctx, `WITH running AS (SELECT * FROM unnest($1::bigint[], $2::integer[]) AS r (id, attempt)),
		ours AS (UPDATE river_job j SET attempted_at = clock_timestamp() FROM running r
			WHERE j.id = r.id AND j.attempt = r.attempt AND j.state = 'running' RETURNING j.id)
		SELECT id FROM running WHERE id NOT IN (SELECT id FROM ours)`, ids, numbers)
	if err != nil {
		return nil, translate("keep jobs", err)
	}
	lost, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, translate("keep jobs", err)
	}
	_, err = k.pool.Exec(ctx, `UPDATE river_job SET state = 'available' WHERE id IN (SELECT id FROM river_job
		WHERE state = 'running' AND attempted_at < clock_timestamp() - $1::interval FOR UPDATE SKIP LOCKED)`, jobs.Abandoned)
	return lost, translate("keep jobs", err)
}

// Served says whether a process runs jobs.
func (s *Store) Served(ctx context.Context) (served bool, err error) {
	err = s.read(ctx, "served", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1)",
			workerName).Scan(&served)
	})
	return served, err
}
