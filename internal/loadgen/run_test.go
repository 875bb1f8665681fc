package loadgen

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sink keeps the lines that it acknowledged.
type sink struct {
	mu    sync.Mutex
	lines map[string]int
	count int
}

func (s *sink) take(r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range bytes.Lines(b) {
		s.lines[string(line)]++
		s.count++
	}
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL + "/campaign-events/webhook?x=1"
}

func TestRunPostsEverythingOnce(t *testing.T) {
	for name, rough := range map[string]func(w http.ResponseWriter, n int64) bool{
		"a good server": func(http.ResponseWriter, int64) bool { return true },
		"busy now and then": func(w http.ResponseWriter, n int64) bool {
			if n%10 == 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return n%10 != 0
		},
		"cutting connections": func(w http.ResponseWriter, n int64) bool {
			if n%25 == 0 {
				panic(http.ErrAbortHandler)
			}
			return true
		},
		"closing connections politely": func(w http.ResponseWriter, n int64) bool {
			if n%5 == 0 {
				w.Header().Set("Connection", "close")
			}
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sink{lines: map[string]int{}}
			var n atomic.Int64
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.RequestURI() != "/campaign-events/webhook?x=1" || r.Method != http.MethodPost {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				if !rough(w, n.Add(1)) {
					return
				}
				s.take(r)
				w.WriteHeader(http.StatusAccepted)
				_, _ = io.WriteString(w, strings.Repeat(`{"delivery_id":"x"}`, 300)) // long enough to come in chunks
			})
			load := small()
			load.Events = 3000
			report, err := Run(t.Context(), Options{URL: url, Workload: load, Connections: 8, Batch: 10})
			if err != nil {
				t.Fatal(err)
			}
			if report.Events != 3000 || report.Requests != 300 || s.count != 3000 {
				t.Errorf("%+v; the server took %d events", report, s.count)
			}
			for line := range bytes.Lines(all(load, 100)) {
				if s.lines[string(line)] != 1 {
					t.Fatalf("taken %d times: %s", s.lines[string(line)], line)
				}
			}
			if report.P50 <= 0 || report.P50 > report.P95 || report.P95 > report.P99 || report.EventsPerSecond <= 0 {
				t.Errorf("figures: %s", report)
			}
			if busy := name == "busy now and then"; busy != (report.NotOK[503] > 0) {
				t.Errorf("answers other than 2xx: %v", report.NotOK)
			}
			if cut := name == "cutting connections"; cut != (report.Broken > 0) {
				t.Errorf("%d connections broke", report.Broken)
			}
		})
	}
}

func TestRunCountsRefusals(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) })
	load := small()
	load.Events = 500
	report, err := Run(t.Context(), Options{URL: url, Workload: load, Connections: 4})
	if err != nil || report.Events != 0 || report.NotOK[401] != 500 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestRunAtARate(t *testing.T) {
	s := &sink{lines: map[string]int{}}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { s.take(r); w.WriteHeader(202) })
	load := small()
	load.Events = 200
	report, err := Run(t.Context(), Options{URL: url, Workload: load, Connections: 4, Rate: 1000})
	if err != nil || report.Events != 200 {
		t.Fatalf("%+v, %v", report, err)
	}
	if report.Took < 190*time.Millisecond {
		t.Errorf("200 events at 1000 a second took %s", report.Took)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		<-r.Context().Done() // never answers
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, Options{URL: url, Workload: small(), Connections: 2}); err == nil {
		t.Error("no error though the context ended")
	}
}

func TestRunWithoutAServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if _, err = Run(t.Context(), Options{URL: "http://" + l.Addr().String(), Workload: small(), Connections: 2}); err == nil {
		t.Error("no error though nobody listens")
	}
	for _, bad := range []string{"", "localhost:8000", "ftp://x/", "http://"} {
		if _, err = Run(t.Context(), Options{URL: bad}); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	for share, want := range map[float64]time.Duration{.5: 500 * time.Millisecond, .95: 950 * time.Millisecond, .99: 990 * time.Millisecond} {
		if got := h.quantile(share); got < want || got > want*104/100 {
			t.Errorf("quantile %v is %s, want %s to within 4 %%", share, got, want)
		}
	}
	if got := h.quantile(1); got < time.Second {
		t.Errorf("the greatest is %s", got)
	}
}

// How fast one-event requests go to a handler that does nothing: what a server under test is compared with.
func BenchmarkRunAgainstBareHandler(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	for name, batch := range map[string]int{"1 event": 1, "100 events": 100} {
		b.Run(name, func(b *testing.B) {
			report, err := Run(b.Context(), Options{URL: server.URL, Workload: Workload{Key: "whk", Events: b.N * batch}, Batch: batch})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(report.RequestsPerSecond, "requests/s")
			b.ReportMetric(report.EventsPerSecond, "events/s")
			b.Log(report)
		})
	}
}
