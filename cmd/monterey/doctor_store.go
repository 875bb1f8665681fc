package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"monterey/internal/delivery"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

// examineStores asks the nouns' stores about each workspace.
func (p *program) examineStores(ctx context.Context, all *findings, store database, serverRuns bool) error {
	spaces, err := allWorkspaces(ctx, store)
	if err != nil {
		return err
	}
	pending, oldest, err := store.Waiting(ctx)
	if err != nil {
		return err
	}
	var quarantined, sealed, unsealed int64
	var newest time.Time
	keys, keysErr := p.common.openKeys()
	for _, w := range spaces {
		caller := workspace.System(w.ID)
		held, err := store.ListDeliveries(ctx, caller, []delivery.State{delivery.Quarantined, delivery.Partial}, page.Params{Number: 1, Size: 1})
		if err != nil {
			return err
		}
		last, err := store.ListDeliveries(ctx, caller, nil, page.Params{Number: 1, Size: 1, Sort: "received_at", Desc: true})
		if err != nil {
			return err
		}
		quarantined += held.Total
		if len(last.Items) > 0 && last.Items[0].ReceivedAt.After(newest) {
			newest = last.Items[0].ReceivedAt
		}
		if keysErr == nil {
			n, opened, err := sealedOf(ctx, store, keys, caller)
			if err != nil {
				return err
			}
			sealed, unsealed = sealed+n, unsealed+n-opened
		}
	}
	p.judge(all, judged{pending: pending, quarantined: quarantined, sealed: sealed, unsealed: unsealed, oldest: oldest, newest: newest,
		workspaces: len(spaces), serverRuns: serverRuns})
	return nil
}

// sealedOf counts what is sealed in a workspace, and what of it the secret key opens.
func sealedOf(ctx context.Context, store database, keys *provider.Keys, c workspace.Caller) (sealed, opened int64, err error) {
	try := func(text []byte) {
		sealed++
		if _, err := keys.Open(text); err == nil {
			opened++
		}
	}
	conns, err := everyPage(func(q page.Params) (page.Of[provider.Connection], error) {
		return store.ListConnections(ctx, c, q)
	})
	if err != nil {
		return 0, 0, err
	}
	for _, conn := range conns {
		if len(conn.APIKey) > 0 {
			try(conn.APIKey)
		}
	}
	src, err := store.GetSource(ctx, c)
	if err == nil {
		try(src.URL)
	}
	if fault.Is(err, fault.NotFound) {
		err = nil
	}
	return sealed, opened, err
}

// judged is what the stores said.
type judged struct {
	pending, quarantined, sealed, unsealed int64
	oldest, newest                         time.Time // of the pending deliveries; of all deliveries
	workspaces                             int
	serverRuns                             bool
}

func (p *program) judge(all *findings, j judged) {
	now := p.now()
	if j.workspaces == 0 {
		all.add("workspaces", warning, "monterey workspace create NAME", "there is none yet")
	}
	state := fine
	if j.unsealed > 0 {
		state = broken
	}
	all.add("provider keys", state, "put the secret key back that sealed them, or set them again with monterey connection set and monterey accounts set",
		"%d of %d stored API keys and directories' addresses can be opened", j.sealed-j.unsealed, j.sealed)

	state, advice := fine, ""
	switch age := now.Sub(j.oldest); {
	case j.pending > 0 && !j.serverRuns:
		state, advice = warning, "start the server: it counts them"
	case j.pending > 0 && age > 5*time.Minute:
		state, advice = broken, "look into the server's log for why it does not count; /readyz says whether its store works"
	}
	all.add("inbox", state, advice, "%d deliveries wait to be counted", j.pending)

	state = fine
	if j.quarantined > 0 {
		state = warning
	}
	all.add("quarantine", state, "GET /webhook-deliveries/?state=quarantined,partial says why; POST …/{id}/replay tries again",
		"%d deliveries hold something that could not be read", j.quarantined)

	switch {
	case j.newest.After(now.Add(time.Minute)):
		all.add("clock", broken, "set the clock (NTP)", "it is %s, but a delivery was received at %s", stamp(now), stamp(j.newest))
	default:
		all.add("clock", fine, "", "%s", stamp(now))
	}
}

// examineDatabase opens the database as it is; it migrates nothing.
func (p *program) examineDatabase(ctx context.Context, all *findings) {
	if len(p.common.databaseMistakes()) > 0 {
		return // said with the settings
	}
	repair := "restore a backup: monterey restore FILE"
	if p.common.onPostgres() {
		repair = "look whether PostgreSQL runs at this address and lets this user in; if its data is damaged, restore its backup (docs/operations.md)"
	} else if _, err := os.Stat(p.common.databasePath()); err != nil {
		state := warning
		if !errors.Is(err, fs.ErrNotExist) {
			state = broken
		}
		all.add("database", state, "the first command makes it; if it was there, look for it with --data-dir or --database", "%v", err)
		return
	}
	store, err := p.openDatabase(ctx)
	if err != nil {
		all.add("database", broken, repair, "%v", err)
		return
	}
	defer store.Close()
	has, needs, err := store.Version(ctx)
	if err == nil && p.common.onPostgres() {
		p.examineSecret(all, has == 0)
	}
	switch {
	case err != nil:
		all.add("migrations", broken, repair, "%v", err)
		return
	case has > needs:
		all.add("migrations", broken, "install the newer release", "the database has version %d, this release knows %d", has, needs)
		return
	case has < needs:
		all.add("migrations", warning, "monterey migrate, or start the server", "the database has version %d, this release needs %d", has, needs)
		return
	}
	all.add("migrations", fine, "", "version %d", has)
	if files, ok := store.(*sqliteDatabase); ok {
		if err := files.Check(ctx); err != nil {
			all.add("integrity", broken, "stop the server, keep the data folder as it is, and restore a backup", "%v", err)
		} else {
			all.add("integrity", fine, "", "quick_check found nothing")
		}
	}
	served, err := store.Served(ctx)
	if err == nil {
		err = p.examineStores(ctx, all, store, served)
	}
	if err != nil {
		all.add("database", broken, "look into the server's log", "%v", err)
	}
}
