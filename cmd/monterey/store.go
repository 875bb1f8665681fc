package main

import (
	"context"
	"errors"
	"fmt"

	"monterey/internal/store/sqlite"
)

// openStore opens the database and brings it to this release. The first command makes the data folder.
func (p *program) openStore(ctx context.Context) (*sqlite.Store, error) {
	if err := p.common.makeFolder(); err != nil {
		return nil, err
	}
	store, err := sqlite.Open(p.common.databasePath(), p.now)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if _, _, err := migrate(ctx, store); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// migrate brings the database to this release. One that a newer release has changed is left alone.
func migrate(ctx context.Context, store *sqlite.Store) (from, to int64, err error) {
	has, needs, err := store.Version(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("read the database's version: %w", err)
	}
	if has > needs {
		return has, has, fmt.Errorf("the database has version %d, made by a newer release; this one knows %d: install the newer release", has, needs)
	}
	if has == needs {
		return has, has, nil
	}
	if from, to, err = store.Migrate(ctx); err != nil {
		return from, to, fmt.Errorf("migrate the database: %w", err)
	}
	return from, to, nil
}
