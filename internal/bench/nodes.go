package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"monterey/internal/loadgen"
)

// nodes are processes on one database, and the two workspaces whose webhooks they take in.
type nodes struct {
	*engine
	at      place
	tokens  [2]string
	posters [2]poster
	events  int // a workspace and round
	stored  int // of all rounds, as the workers say
}

// nodeRows measures two processes that answer and two that count against one of each. All share the processors with the
// generator and the database, so the gain is less than there would be on machines of their own.
func (e *engine) nodeRows(ctx context.Context) (err error) {
	const name = "nodes"
	defer func() { err = errors.Join(err, e.remove(context.WithoutCancel(ctx), name)) }()
	at, err := e.create(ctx, name)
	if err != nil {
		return err
	}
	n := &nodes{engine: e, at: at, events: max(20_000, min(200_000, e.events/25))}
	for i := range n.tokens {
		key := fmt.Sprint(webhookKey, i)
		if n.tokens[i], err = e.connected(ctx, at, key, ""); err != nil {
			return err
		}
		n.posters[i] = poster{engine: e, key: key, began: time.Now()}
	}
	if _, err := n.counted(ctx, 1); err != nil { // makes what is made once
		return err
	}
	var one, two []float64
	for range e.rounds {
		for _, turn := range []struct {
			processes int
			rates     *[]float64
		}{{1, &one}, {2, &two}} {
			r, err := n.counted(ctx, turn.processes)
			if err != nil {
				return err
			}
			*turn.rates = append(*turn.rates, r)
		}
	}
	say("two workspaces: one api and one worker %.0f, two of each %.0f", one, two)
	if err := n.nothingLost(ctx); err != nil {
		return err
	}
	e.add(row{what: "two workspaces, HTTP to counted: 2 api, 2 workers", measured: rate(median(two)),
		yardstick: yardstick{"1 api, 1 worker, the turns between", rate(median(one))}, ratio: median(two) / median(one)})
	e.note("those processes lost nothing: all that was acknowledged was counted, and what was new, %d events, is there once.", n.stored)
	return nil
}

// counted is how many events a second so many processes of each role took in and counted, from the first post to the last event.
func (n *nodes) counted(ctx context.Context, processes int) (perSecond float64, err error) {
	var apis, workers []*server
	defer func() {
		for _, s := range append(apis, workers...) {
			err = errors.Join(err, s.stop())
		}
	}()
	for range processes {
		for role, all := range map[string]*[]*server{"api": &apis, "worker": &workers} {
			s, err := n.serve(ctx, "", n.at, "--role", role)
			if err != nil {
				return 0, err
			}
			*all = append(*all, s)
		}
	}
	began := time.Now()
	var reports [2]loadgen.Report
	posting, working := errgroup.WithContext(ctx)
	for i := range n.posters {
		posting.Go(func() (err error) {
			reports[i], err = n.posters[i].post(working, apis[i%processes].url+"/campaign-events/webhook", n.events, 100, 0)
			return err
		})
	}
	if err := posting.Wait(); err != nil {
		return 0, err
	}
	sent := reports[0].Events + reports[1].Events
	for {
		received, err := sum(ctx, workers, "monterey_ingest_received_total")
		if err != nil {
			return 0, err
		}
		if received >= sent {
			if perSecond = float64(sent) / time.Since(began).Seconds(); received > sent && reports[0].Broken+reports[1].Broken == 0 {
				return 0, fmt.Errorf("%d events were posted, %d were counted", sent, received)
			}
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	stored, err := sum(ctx, workers, `monterey_ingest_objects_total{outcome="inserted"}`)
	n.stored += stored
	for i, w := range workers {
		if counted, err := w.received(ctx); err == nil {
			say("%d + %d processes: worker %d counted %d of %d", processes, processes, i+1, counted, sent)
		}
	}
	return perSecond, err
}

// sum is that of a figure of several servers' metrics.
func sum(ctx context.Context, servers []*server, name string) (total int, err error) {
	for _, s := range servers {
		n, err := s.counter(ctx, name)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// nothingLost compares what the workers stored with what the API lists and with the marks of runs, which no list shows.
func (n *nodes) nothingLost(ctx context.Context) error {
	var there int
	err := withConn(ctx, n.at.url, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT count(DISTINCT (workspace_id, campaign, kind, at)) FROM run_marks").Scan(&there)
	})
	if err != nil {
		return err
	}
	return n.withServer(ctx, "", n.at, "reads of two workspaces", func(s *server) error {
		for _, token := range n.tokens {
			s.token = token
			r := &reader{engine: n.engine, s: s, client: http.DefaultClient}
			var page struct{ Total int }
			if err := r.get(ctx, "/campaign-events/", &page); err != nil {
				return err
			}
			there += page.Total
		}
		if there != n.stored {
			return fmt.Errorf("the workers say that they stored %d events and marks of runs, %d are there", n.stored, there)
		}
		return nil
	}, "--role", "api")
}
