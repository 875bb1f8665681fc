package loadgen

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a run.
type Options struct {
	URL string // of the webhook, as http://127.0.0.1:8000/campaign-events/webhook
	Workload
	Connections int // 0 = 64
	Batch       int // events a request; 0 = 1
	// Rate of events a second; 0 = as fast as the server answers. With a rate, a request's latency counts from the moment that
	// it was due, so that a server that stalls does not look fast by being asked less.
	Rate float64
}

// Report is what a run measured. Only requests answered 2xx count as acknowledged, and only they have a latency.
type Report struct {
	Requests          int           `json:"requests"` // acknowledged
	Events            int           `json:"events"`   // acknowledged
	Bytes             int64         `json:"bytes"`    // of acknowledged bodies
	Took              time.Duration `json:"took_ns"`
	RequestsPerSecond float64       `json:"requests_per_second"`
	EventsPerSecond   float64       `json:"events_per_second"`
	P50               time.Duration `json:"p50_ns"`
	P95               time.Duration `json:"p95_ns"`
	P99               time.Duration `json:"p99_ns"`
	Max               time.Duration `json:"max_ns"`
	NotOK             map[int]int   `json:"not_ok"` // answers other than 2xx, by status
	Broken            int           `json:"broken"` // connections that broke; their request was posted again
}

func (r Report) String() string {
	return fmt.Sprintf("%d events in %d requests in %s: %.0f requests/s, %.0f events/s; p50 %s, p95 %s, p99 %s, most %s; not 2xx: %v; broken: %d",
		r.Events, r.Requests, r.Took.Round(time.Millisecond), r.RequestsPerSecond, r.EventsPerSecond, r.P50, r.P95, r.P99, r.Max, r.NotOK, r.Broken)
}

// Run posts a workload, in the order of its events but for what several connections overtake. A request answered 503, or not at
// all, is posted again, after Retry-After where the answer says it, until the context ends; one answered otherwise is counted
// and left. The error tells that the URL is wrong, the server cannot be reached, or the context ended; the report is right all
// the same.
func Run(ctx context.Context, o Options) (Report, error) {
	to, err := url.Parse(o.URL)
	if err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
		return Report{}, fmt.Errorf("loadgen: %q is not an http or https URL", o.URL)
	}
	if o.Connections <= 0 {
		o.Connections = 64
	}
	if o.Batch <= 0 {
		o.Batch = 1
	}
	r := &run{Options: o, to: to, generator: NewGenerator(o.Workload), begun: time.Now(), report: Report{NotOK: map[int]int{}}}
	r.Workload = r.generator.w
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wait sync.WaitGroup
	for range o.Connections {
		wait.Go(func() {
			w := worker{run: r, notOK: map[int]int{}}
			if err := w.work(ctx); err != nil {
				stop(err)
			}
			r.add(&w)
		})
	}
	wait.Wait()
	return r.end(), context.Cause(ctx)
}

// run is what the workers share.
type run struct {
	Options
	to        *url.URL
	generator *Generator
	begun     time.Time
	next      atomic.Int64 // the number of the first event that nobody posts yet

	mu      sync.Mutex
	report  Report
	latency histogram
}

func (r *run) add(w *worker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Requests += w.requests
	r.report.Events += w.events
	r.report.Bytes += w.bytes
	r.report.Broken += w.broken
	r.report.Max = max(r.report.Max, w.longest)
	for status, n := range w.notOK {
		r.report.NotOK[status] += n
	}
	r.latency.merge(&w.latency)
}

func (r *run) end() Report {
	p := &r.report
	p.Took = time.Since(r.begun)
	p.RequestsPerSecond = float64(p.Requests) / p.Took.Seconds()
	p.EventsPerSecond = float64(p.Events) / p.Took.Seconds()
	p.P50, p.P95, p.P99 = r.latency.quantile(.50), r.latency.quantile(.95), r.latency.quantile(.99)
	return *p
}

// worker posts over one connection.
type worker struct {
	*run
	conn    *conn
	unwatch func() bool

	requests, events, broken int
	bytes                    int64
	longest                  time.Duration
	notOK                    map[int]int
	latency                  histogram
}

func (w *worker) work(ctx context.Context) error {
	defer w.hangUp()
	var body []byte
	for {
		first := int(w.next.Add(int64(w.Batch))) - w.Batch
		if first >= w.Workload.Events {
			return nil
		}
		n := min(w.Batch, w.Workload.Events-first)
		body = w.generator.AppendBody(body[:0], first, n)
		began := time.Now()
		if w.Rate > 0 {
			began = w.begun.Add(time.Duration(float64(first) / w.Rate * float64(time.Second)))
			if !sleep(ctx, time.Until(began)) {
				return ctx.Err()
			}
		}
		ok, err := w.deliver(ctx, body, began)
		if err != nil {
			return err
		}
		if ok {
			w.requests++
			w.events += n
			w.bytes += int64(len(body))
		}
	}
}

// tries is how often in a row a worker may find the server out of reach.
const tries = 10

// deliver posts a body until it is acknowledged (ok) or refused.
func (w *worker) deliver(ctx context.Context, body []byte, began time.Time) (ok bool, err error) {
	failures := 0
	for {
		a, err := w.try(ctx, body)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case err != nil:
			w.hangUp()
			w.broken++
			if failures++; failures == tries {
				return false, fmt.Errorf("loadgen: the server is out of reach: %w", err)
			}
			sleep(ctx, time.Duration(failures-1)*50*time.Millisecond)
		case a.status/100 == 2:
			took := time.Since(began)
			w.latency.add(took)
			w.longest = max(w.longest, took)
			return true, nil
		default:
			w.notOK[a.status]++
			if a.status != 503 {
				return false, nil
			}
			sleep(ctx, max(a.retryAfter, 10*time.Millisecond))
		}
	}
}

// try posts a body once, on a connection that is made where there is none.
func (w *worker) try(ctx context.Context, body []byte) (answer, error) {
	if w.conn == nil {
		c, err := dial(ctx, w.to)
		if err != nil {
			return answer{}, err
		}
		w.conn = c
		w.unwatch = context.AfterFunc(ctx, func() { _ = c.Close() }) // what waits for it ends
	}
	a, err := w.conn.post(body)
	if err == nil && a.closed {
		w.hangUp()
	}
	return a, err
}

func (w *worker) hangUp() {
	if w.conn == nil {
		return
	}
	w.unwatch()
	_ = w.conn.Close() // nothing is left to be sent
	w.conn = nil
}

// sleep tells whether the context still stands.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
