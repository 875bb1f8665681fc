package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"monterey/internal/auth"
	"monterey/internal/campaigner"
	"monterey/internal/httpapi"
	"monterey/internal/ingest"
	"monterey/internal/provider"
	"monterey/internal/store"
	"monterey/internal/store/postgres"
	"monterey/internal/store/sqlite"
	"monterey/internal/workspace"
)

// How long the parts of a server may take to end: together less than the 10 s that it promises.
const (
	requestsEnd = 5 * time.Second
	workEnd     = 4 * time.Second
)

// server is everything that runs in one process.
type server struct {
	now     func() time.Time
	log     *slog.Logger
	unlock  func()
	store   database
	keys    *provider.Keys
	auth    *auth.Authenticator // nil without the API
	worker  *ingest.Worker      // nil = others count
	tasks   *taskEngine         // nil = others do them
	paused  bool                // the worker does not run
	api     *endpoint           // nil = others answer
	metrics *endpoint           // nil = off
}

// startServer opens the database and takes the addresses; run answers. The settings have been checked.
func (p *program) startServer(ctx context.Context, set *serverSettings) (*server, error) {
	heap := int64(sqlite.HeapLimit)
	if p.common.onPostgres() {
		heap = postgres.HeapLimit
	}
	store.LimitHeap(heap)
	s := &server{now: p.now, log: p.logger(), paused: set.PauseDrain}
	if err := s.open(ctx, p, set); err != nil {
		s.close()
		return nil, err
	}
	if set.DevAuth {
		s.log.Warn("dev auth is on: any bearer token, or none, is a platform admin")
	}
	return s, nil
}

// open may fail half-way; close releases what it took.
func (s *server) open(ctx context.Context, p *program, set *serverSettings) (err error) {
	if s.store, err = p.openFor(ctx, set); err != nil {
		return err
	}
	if s.unlock, err = s.store.LockServer(); err != nil {
		return err
	}
	if set.NoMigrate {
		err = migrated(ctx, s.store)
	} else {
		_, _, err = migrate(ctx, s.store)
	}
	if err != nil {
		return err
	}
	if s.keys, err = p.common.openKeys(); err != nil {
		return err
	}
	if err := p.checkSecret(ctx, s.store, s.keys); err != nil {
		return err
	}
	if err := s.store.OpenInbox(ctx); err != nil {
		return fmt.Errorf("open the inbox: %w", err)
	}
	m := newMetrics(s.ready)
	if set.works() {
		s.worker = ingest.NewWorker(s.store, campaigner.Webhook{}, ingest.Options{Now: p.now, Log: s.log})
		s.tasks = p.taskEngine(s.store, s.keys, set.ProviderRate, s.log)
		m.intake(s.worker.Totals)
	}
	if set.api() {
		if err := s.openAPI(ctx, p, set, m); err != nil {
			return err
		}
	}
	if *set.MetricsAddr != "" {
		if s.metrics, err = listen(ctx, *set.MetricsAddr, m.handler(), s.log); err != nil {
			return fmt.Errorf("%w; --metrics-addr takes another address, and nothing when empty", err)
		}
	}
	if set.AddrFile != "" {
		if err := writeFile(set.AddrFile, []byte(s.api.addr())); err != nil {
			return fmt.Errorf("--addr-file: %w", err)
		}
	}
	return nil
}

// triedWorkspaces bounds how many are asked whether the secret key is the right one.
const triedWorkspaces = 100

// checkSecret refuses a secret key that opens nothing of what is sealed: it would find no webhook's connection either.
func (p *program) checkSecret(ctx context.Context, store database, keys *provider.Keys) error {
	spaces, err := allWorkspaces(ctx, store)
	if err != nil {
		return err
	}
	total := int64(0)
	for _, w := range spaces[:min(len(spaces), triedWorkspaces)] {
		sealed, opened, err := sealedOf(ctx, store, keys, workspace.System(w.ID))
		if err != nil || opened > 0 {
			return err
		}
		total += sealed
	}
	if total > 0 {
		return fmt.Errorf("the secret key %s is another one than that of this database: it opens none of %d stored API keys and directories' addresses, and would find no webhook's connection; %s",
			p.common.secretKeyPath(), total, p.common.secretAdvice())
	}
	return nil
}

// openFor opens the database of a server as it is. One server of several makes no secret, as they must all have the same.
func (p *program) openFor(ctx context.Context, set *serverSettings) (database, error) {
	if set.Role != roleAll {
		return p.openDatabase(ctx)
	}
	return p.openFirst(ctx)
}

// openAPI takes the API's address.
func (s *server) openAPI(ctx context.Context, p *program, set *serverSettings, m *metrics) (err error) {
	if s.auth, err = auth.New(ctx, auth.Config{Store: s.store, Now: p.now, Log: s.log, DevAuth: set.DevAuth}); err != nil {
		return err
	}
	decoder := campaigner.Webhook{}
	handler := httpapi.New(httpapi.Config{
		Auth: s.auth, Workspaces: s.store, Connections: s.store, Campaigns: s.store, Events: s.store, Bounces: s.store, Deliveries: s.store,
		Suppressions: s.store, Statistics: s.store, Tasks: s.store, Comparisons: s.store, Accounts: s.store,
		Intake: ingest.NewIntake(s.store, s.store, s.keys, decoder, p.now), Replayer: ingest.NewReplayer(s.store, decoder, s.now), Keys: s.keys,
		Now: s.now, Log: s.log, Ready: s.ready, Version: release(), Observe: m.observe,
		CORSOrigins: set.CORSOrigin, AllowPrivateProviders: p.common.AllowPrivateProviders,
	})
	if s.api, err = listen(ctx, set.Addr, handler, s.log); err != nil {
		return fmt.Errorf("%w; --addr takes another address", err)
	}
	return nil
}

// ready says whether the server can do its work: the database answers, and the worker counts.
func (s *server) ready(ctx context.Context) error {
	err := s.store.Ready(ctx)
	if s.worker != nil {
		err = errors.Join(err, s.worker.Ready())
	}
	return err
}

func (s *server) apiAddr() string {
	if s.api == nil {
		return ""
	}
	return s.api.addr()
}

func (s *server) metricsAddr() string {
	if s.metrics == nil {
		return ""
	}
	return s.metrics.addr()
}

// run answers and counts until ctx ends or a part fails. Then it takes no more requests, finishes those that it has, and
// closes everything: within 10 s. What was acknowledged and not counted yet is counted by the next server.
func (s *server) run(ctx context.Context) error {
	defer s.close()
	s.log.Info("listening", "addr", s.apiAddr(), "metrics_addr", s.metricsAddr(), "version", release())
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	failed := make(chan error, 6) // room for each part's end
	var workers, endpoints sync.WaitGroup
	start := func(g *sync.WaitGroup, part func() error) { g.Go(func() { failed <- part() }) }
	if s.worker != nil && !s.paused {
		start(&workers, func() error { return s.worker.Run(work) })
	}
	if s.tasks != nil {
		start(&workers, func() error { return s.tasks.run(work) })
		start(&workers, func() error { return s.tasks.schedule(work) })
	}
	if s.auth != nil {
		start(&workers, func() error { return s.auth.Run(work) })
	}
	for _, e := range s.endpoints() {
		start(&endpoints, e.serve)
	}

	var err error
	select {
	case <-ctx.Done():
		s.log.Info("stopping")
	case err = <-failed:
		s.log.Error("a part of the server ended", "error", err)
		if err == nil {
			err = errors.New("a part of the server ended by itself")
		}
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestsEnd)
	defer cancel()
	for _, e := range s.endpoints() {
		e.stop(end)
	}
	endpoints.Wait()
	stopWork()
	if !waitFor(&workers, workEnd) {
		return errors.Join(err, errors.New("the worker did not end in time; nothing is lost, the next start goes on"))
	}
	s.log.Info("stopped")
	return err
}

// endpoints are the addresses that it answers on.
func (s *server) endpoints() (all []*endpoint) {
	for _, e := range []*endpoint{s.api, s.metrics} {
		if e != nil {
			all = append(all, e)
		}
	}
	return all
}

// waitFor waits for a group, but not longer than limit.
func waitFor(g *sync.WaitGroup, limit time.Duration) bool {
	done := make(chan struct{})
	go func() {
		g.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}

// close releases what open took, also half of it.
func (s *server) close() {
	for _, e := range s.endpoints() {
		_ = e.server.Close()   // stopped before, unless starting failed
		_ = e.listener.Close() // likewise
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error("closing the database failed", "error", err)
		}
	}
	if s.unlock != nil {
		s.unlock()
	}
}
