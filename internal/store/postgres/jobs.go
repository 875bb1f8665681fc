package postgres

import (
	"context"
	"fmt"
	"log/slog"

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

// RunTasks runs the jobs of tasks until ctx ends; any number of processes may. River listens, so it goes past PgBouncer, and
// does not wait for connections that others hold.
func (s *Store) RunTasks(ctx context.Context, r *task.Runner, log *slog.Logger) error {
	cfg := s.pool.Config()
	cfg.ConnConfig, cfg.MaxConns, cfg.MinConns = s.direct.Copy(), jobConns, 1
	cfg.ConnConfig.RuntimeParams["application_name"] = workerName
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("postgres: jobs: %w", err)
	}
	defer pool.Close()
	queue, err := jobs.NewQueue(riverpgxv5.New(pool))
	if err != nil {
		return err
	}
	return queue.Run(ctx, r, log, lease{pool})
}

// lease is how the processes that run jobs tell which of them are alive: a running job's attempted_at is when it was renewed
// last.
type lease struct{ pool *pgxpool.Pool }

// Renew implements jobs.Lease.
func (l lease) Renew(ctx context.Context, client string, working []int64) ([]int64, error) {
	rows, err := l.pool.Query(ctx, `WITH mine AS (
			UPDATE river_job SET attempted_at = clock_timestamp()
			WHERE id = ANY ($1) AND state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = $2 RETURNING id)
		SELECT id FROM unnest($1::bigint[]) AS working (id) WHERE id NOT IN (SELECT id FROM mine)`, working, client)
	if err != nil {
		return nil, translate("renew jobs", err)
	}
	lost, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, translate("renew jobs", err)
	}
	_, err = l.pool.Exec(ctx, `UPDATE river_job SET state = 'available', scheduled_at = clock_timestamp()
		WHERE state = 'running' AND attempted_at < clock_timestamp() - $1 * interval '1 second'`, jobs.LeaseFor.Seconds())
	return lost, translate("renew jobs", err)
}

// Served says whether a process runs jobs.
func (s *Store) Served(ctx context.Context) (served bool, err error) {
	err = s.read(ctx, "served", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1)",
			workerName).Scan(&served)
	})
	return served, err
}
