package main

import (
	"context"
	"errors"
	"fmt"
)

// openStore opens the database, which must be there, and brings it to this release.
func (p *program) openStore(ctx context.Context) (database, error) {
	if err := p.common.databaseThere(); err != nil {
		return nil, err
	}
	return p.firstStore(ctx)
}

// firstStore is openStore for commands that may be the first: they make the data folder.
func (p *program) firstStore(ctx context.Context) (database, error) {
	store, err := p.openFirst(ctx)
	if err != nil {
		return nil, err
	}
	if _, _, err := migrate(ctx, store); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// openFirst opens the database as it is, and makes the server's secret if the database is new.
func (p *program) openFirst(ctx context.Context) (database, error) {
	if err := p.common.makeFolder(); err != nil {
		return nil, err
	}
	store, err := p.openDatabase(ctx)
	if err != nil || !p.common.onPostgres() {
		return store, err
	}
	has, _, err := store.Version(ctx)
	if err != nil {
		err = fmt.Errorf("read the database's version: %w", err)
	} else if has == 0 {
		err = p.common.makeSecret()
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// migrate brings the database to this release. One that a newer release has changed is left alone.
func migrate(ctx context.Context, store database) (from, to int64, err error) {
	has, needs, err := checkVersion(ctx, store)
	if err != nil || has == needs {
		return has, has, err
	}
	if from, to, err = store.Migrate(ctx); err != nil {
		return from, to, fmt.Errorf("migrate the database: %w", err)
	}
	return from, to, nil
}

// checkVersion reads the version and refuses one of a newer release.
func checkVersion(ctx context.Context, store database) (has, needs int64, err error) {
	if has, needs, err = store.Version(ctx); err != nil {
		return 0, 0, fmt.Errorf("read the database's version: %w", err)
	}
	if has > needs {
		return has, needs, fmt.Errorf("the database has version %d, made by a newer release; this one knows %d: install the newer release", has, needs)
	}
	return has, needs, nil
}

// migrated makes sure that somebody else has brought the database to this release.
func migrated(ctx context.Context, store database) error {
	has, needs, err := checkVersion(ctx, store)
	if err == nil && has < needs {
		err = fmt.Errorf("the database has version %d, this release needs %d: run monterey migrate, or leave --no-migrate out", has, needs)
	}
	return err
}
