package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"monterey/internal/loadgen"
)

const connections = 64

// posts measures the webhook on a copy of the data set, against a server that does nothing but answer.
func (e *engine) posts(ctx context.Context, set *dataset) (err error) {
	const name = "copy"
	defer func() { err = errors.Join(err, e.remove(context.WithoutCancel(ctx), name)) }()
	at, err := e.copy(ctx, dataName, name)
	if err != nil {
		return err
	}
	bare, err := e.startBare(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.stop()) }()
	p := &poster{engine: e, bare: bare.url, key: webhookKey, began: time.Now()}
	var yard, paused []float64
	if err := e.withServer(ctx, set.Token, at, "webhooks, drain paused", func(s *server) error {
		yard, paused, err = p.turns(ctx, s)
		return err
	}, "--pause-drain"); err != nil {
		return err
	}
	e.add(row{what: "bare net/http answering 202, 64 connections", measured: rate(median(yard)), yardstick: yardstick{what: "is the yardstick"}})
	e.acknowledged("acknowledged webhooks, drain paused", e.of(limits{.35, .45}, limits{}), yard, paused)
	var running []float64
	if err := e.withServer(ctx, set.Token, at, "webhooks, drain on", func(s *server) error {
		if yard, running, err = p.turns(ctx, s); err != nil { // it drains what the turns before left, too
			return err
		}
		e.acknowledged("acknowledged webhooks, drain on", e.of(limits{.2, .2}, limits{}), yard, running)
		return p.counted(ctx, s)
	}); err != nil {
		return err
	}
	_, peak, err := memory(bare.cmd.Process.Pid)
	e.peaks = append([]memoryOf{{"bare", peak}}, e.peaks...)
	return err
}

func (b *bench) startBare(ctx context.Context) (*server, error) {
	c, err := start(ctx, b.self, place{dir: b.dir}, bareChild)
	if err != nil {
		return nil, err
	}
	var at struct{ URL string }
	if err := c.line(&at); err != nil {
		return nil, c.failed(err)
	}
	return &server{child: c, url: at.URL}, nil
}

// withServer runs f with a server that is stopped afterwards.
func (e *engine) withServer(ctx context.Context, token string, at place, who string, f func(*server) error, args ...string) error {
	s, err := e.serve(ctx, token, at, args...)
	if err != nil {
		return err
	}
	if err := f(s); err != nil {
		return s.failed(err)
	}
	if err := e.keepPeak(who, s.child); err != nil {
		return s.failed(err)
	}
	return s.stop()
}

func (e *engine) acknowledged(what string, l limits, bare, got []float64) {
	r := row{what: what, measured: rate(median(got)), ratio: median(got) / median(bare), yardstick: yardstick{"bare net/http, the turns between", rate(median(bare))}}
	e.add(r.judged(l, r.ratio, func(n float64) string { return fmt.Sprintf("≥ %.2f ×", n) }))
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}

// poster posts workloads that differ: each run has events of its own.
type poster struct {
	*engine
	bare  string
	key   string // in the webhooks
	began time.Time
	runs  uint64
}

// today is a workload of events that happen today, as live ones do.
func (p *poster) today(events int) loadgen.Workload {
	p.runs++
	return loadgen.Workload{Seed: 1000 + p.runs, Key: p.key, Events: events, Campaigns: p.campaigns, Recipients: p.recipients, Days: 1,
		End: p.began.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)}
}

// turns posts to the bare server and to s by turns, one event a request, and returns the rates.
func (p *poster) turns(ctx context.Context, s *server) (bare, got []float64, err error) {
	for range p.rounds {
		for _, to := range []struct {
			url   string
			rates *[]float64
		}{{p.bare, &bare}, {s.url + "/campaign-events/webhook", &got}} {
			r, err := p.post(ctx, to.url, 400_000, 1, p.round)
			if err != nil {
				return nil, nil, err
			}
			*to.rates = append(*to.rates, r.RequestsPerSecond)
		}
	}
	say("posting: bare %.0f, server %.0f", bare, got)
	return bare, got, nil
}

// post posts for a time at the most (0 = all).
func (p *poster) post(ctx context.Context, url string, events, batch int, limit time.Duration) (loadgen.Report, error) {
	run := ctx
	if limit > 0 {
		var stop context.CancelFunc
		run, stop = context.WithTimeout(ctx, limit)
		defer stop()
	}
	r, err := loadgen.Run(run, loadgen.Options{URL: url, Workload: p.today(events), Connections: connections, Batch: batch})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = nil
	}
	if err == nil && (len(r.NotOK) > 0 || r.Requests == 0) {
		err = fmt.Errorf("posting to %s: %s", url, r)
	}
	return r, err
}

// counted measures from the first post to the last event counted, at 100 events a request.
func (p *poster) counted(ctx context.Context, s *server) error {
	const batch = 100
	if err := p.waitIdle(ctx, s); err != nil {
		return err
	}
	before, err := s.received(ctx)
	if err != nil {
		return err
	}
	events := max(20_000, min(500_000, p.events/10))
	bare, err := p.post(ctx, p.bare, events, batch, 0)
	if err != nil {
		return err
	}
	began := time.Now()
	r, err := p.post(ctx, s.url+"/campaign-events/webhook", events, batch, 0)
	if err != nil {
		return err
	}
	for {
		now, err := s.received(ctx)
		if err != nil {
			return err
		}
		if now-before >= r.Events {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.rate("HTTP to counted, 100 events a request", p.of(limits{25_000, 25_000}, limits{}), float64(r.Events)/time.Since(began).Seconds(),
		yardstick{"bare net/http, 100 events a request", rate(bare.EventsPerSecond)})
	return nil
}

// waitIdle returns once the server counts nothing more.
func (p *poster) waitIdle(ctx context.Context, s *server) error {
	for last := -1; ; {
		now, err := s.received(ctx)
		if err != nil || now == last {
			return err
		}
		last = now
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(4 * time.Second): // longer than a batch lingers and the schedule's tick
		}
	}
}

// syncTime is how long the disk takes to make a small write durable.
func syncTime(path string) (median time.Duration, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	took := make([]time.Duration, 100)
	for i := range took {
		began := time.Now()
		if _, err := f.Write(make([]byte, 4<<10)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}
