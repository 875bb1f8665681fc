package main

import (
	"context"
	"fmt"
)

type migrateCommand struct{}

func (c *migrateCommand) Run(ctx context.Context, p *program) error {
	if err := p.check(); err != nil {
		return err
	}
	store, err := p.openFirst(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	from, to, err := migrate(ctx, store)
	if err != nil {
		return err
	}
	plain := fmt.Sprintf("The database was brought from version %d to %d.\n", from, to)
	if from == to {
		plain = fmt.Sprintf("The database has version %d already.\n", to)
	}
	return p.result(struct {
		From int64 `json:"from"`
		To   int64 `json:"to"`
	}{from, to}, plain)
}
