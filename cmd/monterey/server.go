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
	"monterey/internal/store/sqlite"
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
	store   *sqlite.Store
	keys    *provider.Keys
	auth    *auth.Authenticator
	worker  *ingest.Worker
	tasks   *taskEngine
	paused  bool // the worker does not run
	api     *endpoint
	metrics *endpoint // nil = off
}

// startServer opens the database and takes the addresses; run answers. The settings have been checked.
func (p *program) startServer(ctx context.Context, set *serverSettings) (*server, error) {
	sqlite.LimitHeap()
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
	if err := p.common.makeFolder(); err != nil {
		return err
	}
	if s.unlock, err = p.common.lockServer(); err != nil {
		return err
	}
	if s.store, err = p.openStore(ctx); err != nil {
		return err
	}
	if s.keys, err = p.common.openKeys(); err != nil {
		return err
	}
	if err := s.store.OpenInbox(ctx, p.common.inboxPath(), sqlite.InboxOptions{}); err != nil {
		return fmt.Errorf("open the inbox: %w", err)
	}
	if s.auth, err = auth.New(ctx, auth.Config{Store: s.store, Now: p.now, Log: s.log, DevAuth: set.DevAuth}); err != nil {
		return err
	}
	decoder := campaigner.Webhook{}
	s.worker = ingest.NewWorker(s.store, decoder, ingest.Options{Now: p.now, Log: s.log})
	s.tasks = p.taskEngine(s.store, s.keys, set.ProviderRate, s.log)
	m := newMetrics()
	m.intake(s.worker.Totals)
	intake := ingest.NewIntake(s.store, s.store, s.keys, decoder, p.now)
	return s.listen(ctx, set, intake, m, p.common.AllowPrivateProviders)
}

// listen takes the addresses and writes down the one that was taken.
func (s *server) listen(ctx context.Context, set *serverSettings, intake *ingest.Intake, m *metrics, allowPrivate bool) (err error) {
	handler := httpapi.New(httpapi.Config{
		Auth: s.auth, Workspaces: s.store, Connections: s.store, Campaigns: s.store, Events: s.store, Bounces: s.store, Deliveries: s.store,
		Suppressions: s.store, Statistics: s.store, Tasks: s.store, Comparisons: s.store, Accounts: s.store,
		Intake: intake, Replayer: ingest.NewReplayer(s.store, campaigner.Webhook{}, s.now), Keys: s.keys,
		Now: s.now, Log: s.log, Ready: s.ready, Version: release(), Observe: m.observe,
		CORSOrigins: set.CORSOrigin, AllowPrivateProviders: allowPrivate,
	})
	if s.api, err = listen(ctx, set.Addr, handler, s.log); err != nil {
		return fmt.Errorf("%w; --addr takes another address", err)
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

// ready says whether the server can do its work: the database answers, and the worker counts.
func (s *server) ready(ctx context.Context) error {
	return errors.Join(s.store.Ready(ctx), s.worker.Ready())
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
	s.log.Info("listening", "addr", s.api.addr(), "metrics_addr", s.metricsAddr(), "version", release())
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	failed := make(chan error, 6) // room for each part's end
	var workers, endpoints sync.WaitGroup
	if !s.paused {
		workers.Go(func() { failed <- s.worker.Run(work) })
	}
	workers.Go(func() { failed <- s.auth.Run(work) })
	workers.Go(func() { failed <- s.tasks.run(work) })
	workers.Go(func() { failed <- s.tasks.schedule(work) })
	endpoints.Go(func() { failed <- s.api.serve() })
	if s.metrics != nil {
		endpoints.Go(func() { failed <- s.metrics.serve() })
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
	s.api.stop(end)
	if s.metrics != nil {
		s.metrics.stop(end)
	}
	endpoints.Wait()
	stopWork()
	if !waitFor(&workers, workEnd) {
		return errors.Join(err, errors.New("the worker did not end in time; nothing is lost, the next start goes on"))
	}
	s.log.Info("stopped")
	return err
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
	for _, e := range []*endpoint{s.api, s.metrics} {
		if e != nil {
			_ = e.server.Close()   // stopped before, unless starting failed
			_ = e.listener.Close() // likewise
		}
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
