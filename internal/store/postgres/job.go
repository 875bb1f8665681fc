package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"monterey/internal/task"
	"monterey/internal/task/jobs"
)

// startAgain is how long to wait before jobs are tried to be run again after the database did not let them.
const startAgain = 2 * time.Second

// RunTasks runs the jobs of tasks until ctx ends. Any number of processes may.
func (s *Store) RunTasks(ctx context.Context, r *task.Runner, log *slog.Logger) error {
	for {
		err := s.runTasks(ctx, r, log)
		if ctx.Err() != nil {
			return nil
		}
		log.Warn("jobs cannot be run at the moment", "error", err)
		select {
		case <-time.After(startAgain):
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Store) runTasks(ctx context.Context, r *task.Runner, log *slog.Logger) error {
	direct, err := s.directPool(ctx)
	if err != nil {
		return err
	}
	defer direct.Close()
	o := jobs.Options{Keep: s.keepJobs}
	if err := direct.Ping(ctx); err != nil {
		log.Warn("jobs are looked for each second: the direct connection to listen for them cannot be had", "error", err)
		o.PollOnly = true
	}
	queue, err := jobs.NewQueue(jobDriver{riverpgxv5.New(s.pool), riverpgxv5.New(direct)})
	if err != nil {
		return err
	}
	return queue.Run(ctx, r, log, o)
}

// directPool connects past PgBouncer, as it is needed.
func (s *Store) directPool(ctx context.Context) (*pgxpool.Pool, error) {
	cfg := s.pool.Config()
	cfg.ConnConfig = s.direct.Copy()
	cfg.MinConns, cfg.MinIdleConns, cfg.MaxConns = 0, 0, 2
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("postgres: direct connections: %w", err)
	}
	return pool, nil
}

// jobDriver is River's driver that listens on a direct connection.
type jobDriver struct {
	*riverpgxv5.Driver
	direct *riverpgxv5.Driver
}

// GetListener implements riverdriver.Driver.
func (d jobDriver) GetListener(p *riverdriver.GetListenenerParams) riverdriver.Listener {
	return d.direct.GetListener(p)
}

// keepJobs implements jobs.Keep: when a job was attempted is when it was last noted.
func (s *Store) keepJobs(ctx context.Context, running []jobs.Attempt) (lost []int64, err error) {
	ids, numbers := make([]int64, len(running)), make([]int, len(running))
	for i, j := range running {
		ids[i], numbers[i] = j.Job, j.Number
	}
	err = s.write(ctx, "keep jobs", func(tx pgx.Tx) error {
		ours := map[int64]bool{}
		_, err := query(ctx, tx, func(r row) (_ struct{}, err error) {
			var id int64
			err = r.Scan(&id)
			ours[id] = true
			return struct{}{}, err
		}, `UPDATE river_job j SET attempted_at = clock_timestamp() FROM unnest($1::bigint[], $2::integer[]) AS r (id, attempt)
			WHERE j.id = r.id AND j.attempt = r.attempt AND j.state = 'running' RETURNING j.id`, ids, numbers)
		if err != nil {
			return err
		}
		lost = nil
		for _, id := range ids {
			if !ours[id] {
				lost = append(lost, id)
			}
		}
		_, err = tx.Exec(ctx, `UPDATE river_job SET state = 'available' WHERE id IN (SELECT id FROM river_job
			WHERE state = 'running' AND attempted_at < clock_timestamp() - $1::interval FOR UPDATE SKIP LOCKED)`, s.times.abandoned)
		return err
	})
	return lost, err
}
