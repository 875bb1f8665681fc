package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"monterey/internal/task/jobs"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Migrate brings the database to this release and says from and to which version. Of several processes one does it while the
// others wait.
func (s *Store) Migrate(ctx context.Context) (from, to int64, err error) {
	p, db, err := s.migrations()
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if from, _, err = s.Version(ctx); err != nil {
		return 0, 0, err
	}
	if _, err = p.Up(ctx); err != nil {
		return from, from, translate("migrate", err)
	}
	if err = s.EnsurePartitions(ctx); err != nil {
		return from, from, err
	}
	to, _, err = s.Version(ctx)
	return from, to, err
}

// Version is the database's schema version, 0 before the first migration, and the one this release needs.
func (s *Store) Version(ctx context.Context) (has, needs int64, err error) {
	err = s.read(ctx, "version", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&has)
	})
	if code(err) == undefinedTable {
		err = nil
	}
	return has, s.needs, err
}

func (s *Store) lastMigration() (int64, error) {
	p, db, err := s.migrations()
	if err != nil {
		return 0, err
	}
	sources := p.ListSources() // sorted
	return sources[len(sources)-1].Version, db.Close()
}

// migrations needs a database without PgBouncer: its lock is the session's. Close the database when done; it connects when
// it is needed.
func (s *Store) migrations() (*goose.Provider, *sql.DB, error) {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, nil, fmt.Errorf("postgres: migrations: %w", err)
	}
	jobTables := goose.NewGoMigration(6, &goose.GoFunc{RunDB: func(ctx context.Context, _ *sql.DB) error {
		direct, err := s.directPool(ctx, "monterey")
		if err != nil {
			return err
		}
		defer direct.Close()
		return jobs.MigrateSteps(ctx, riverpgxv5.New(direct))
	}}, nil)
	quarters := goose.NewGoMigration(12, &goose.GoFunc{RunTx: moveQuarters}, nil)
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // asks each second
	if err != nil {
		return nil, nil, fmt.Errorf("postgres: migrations: %w", err)
	}
	db := stdlib.OpenDB(*s.direct)
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(jobTables, quarters),
		goose.WithSessionLocker(locker))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("postgres: migrations: %w", err), db.Close())
	}
	return p, db, nil
}
