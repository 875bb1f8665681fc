package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"monterey/internal/ingest"
)

// metrics are the numbers of one server, in a registry of its own.
type metrics struct {
	ready    func(context.Context) error
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
}

func newMetrics(ready func(context.Context) error) *metrics {
	m := &metrics{
		ready:    ready,
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "monterey_http_request_seconds",
			Help:    "How long requests took, by operation of the OpenAPI document, method and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"operation", "method", "status"}),
	}
	m.registry.MustRegister(m.requests, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe is told of each request. Paths and methods that are not ours are one each, as outsiders choose them.
func (m *metrics) observe(operation, method string, status int, took time.Duration) {
	if operation == "" {
		operation, method = "none", "other"
	}
	m.requests.WithLabelValues(operation, method, strconv.Itoa(status)).Observe(took.Seconds())
}

// intake exposes what the worker has counted since the process began. The outcomes always add up to what was received.
func (m *metrics) intake(totals func() ingest.Totals) {
	for _, c := range []struct {
		name, help, outcome string
		of                  func(ingest.Totals) uint64
	}{
		{"monterey_ingest_deliveries_total", "Webhook requests counted.", "", func(t ingest.Totals) uint64 { return t.Deliveries }},
		{"monterey_ingest_received_total", "Objects of webhooks counted: inserted + duplicate + ignored + quarantined.", "",
			func(t ingest.Totals) uint64 { return t.Received }},
		{"monterey_ingest_objects_total", outcomeHelp, "inserted", func(t ingest.Totals) uint64 { return t.Inserted }},
		{"monterey_ingest_objects_total", outcomeHelp, "duplicate", func(t ingest.Totals) uint64 { return t.Duplicate }},
		{"monterey_ingest_objects_total", outcomeHelp, "ignored", func(t ingest.Totals) uint64 { return t.Ignored }},
		{"monterey_ingest_objects_total", outcomeHelp, "quarantined", func(t ingest.Totals) uint64 { return t.Quarantined }},
	} {
		opts := prometheus.CounterOpts{Name: c.name, Help: c.help}
		if c.outcome != "" {
			opts.ConstLabels = prometheus.Labels{"outcome": c.outcome}
		}
		m.registry.MustRegister(prometheus.NewCounterFunc(opts, func() float64 { return float64(c.of(totals())) }))
	}
}

const outcomeHelp = "Objects of webhooks counted, by what became of them."

// readyTimeout bounds a check, so that who asks every few seconds is answered.
const readyTimeout = 3 * time.Second

// handler answers /metrics, and for a worker, which has no API, what others ask the API: whether it is alive and ready.
func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeStatus(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := m.ready(ctx); err != nil {
			writeStatus(w, http.StatusServiceUnavailable, "not ready")
			return
		}
		writeStatus(w, http.StatusOK, "ok")
	})
	return mux
}

func writeStatus(w http.ResponseWriter, code int, status string) {
	w.Header().Set("Content-Type", "application/json")
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	w.WriteHeader(code)
	fmt.Fprintf(w, "{\"status\":%q}\n", status) // the client went away
}
