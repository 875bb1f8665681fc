package campaignersim

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"monterey/internal/oracle"
)

// receiver is a server that keeps what it acknowledged.
type receiver struct {
	mu      sync.Mutex
	objects []map[string]any
	forms   map[string]int
	refuse  func(n int) (status int, retryAfter string) // of the n-th request; 0 = none
	n       int
}

func (s *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	if s.refuse != nil {
		if status, after := s.refuse(s.n); status != 0 {
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(status)
			return
		}
	}
	objects, form, err := read(b, r.Header.Get("Content-Encoding"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.objects = append(s.objects, objects...)
	s.forms[form]++
	s.forms["type "+r.Header.Get("Content-Type")]++
	w.WriteHeader(http.StatusAccepted)
}

// read takes a body apart and names its form.
func read(b []byte, encoding string) (objects []map[string]any, form string, err error) {
	if encoding == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, "", err
		}
		if b, err = io.ReadAll(z); err != nil {
			return nil, "", err
		}
		form = "gzip "
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	switch {
	case b[0] == '[':
		return objects, form + "array", d.Decode(&objects)
	case bytes.Contains(b, []byte("\n\n")):
		form += "blank lines"
	case bytes.Contains(b, []byte("\r\n")):
		form += "crlf"
	case bytes.Contains(b, []byte("\n")):
		form += "lines"
	default:
		form += "single"
	}
	for d.More() {
		var o map[string]any
		if err = d.Decode(&o); err != nil {
			return nil, "", err
		}
		objects = append(objects, o)
	}
	return objects, form, nil
}

func receive(t *testing.T) (*receiver, *Poster) {
	t.Helper()
	s := &receiver{forms: map[string]int{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, &Poster{URL: server.URL, Key: "whk", Seed: 1}
}

func TestPostAllForms(t *testing.T) {
	a := NewAccount(Options{Seed: 1, Campaigns: 8, Recipients: 4000})
	s, p := receive(t)
	report, err := p.Post(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if want := a.Truth().Objects; report.Objects != want || len(s.objects) != want || len(report.Acknowledged) != want {
		t.Errorf("%d acknowledged, %d arrived, want %d", report.Objects, len(s.objects), want)
	}
	for _, form := range []string{"array", "blank lines", "crlf", "lines", "single"} {
		for _, zip := range []string{"", "gzip "} {
			if s.forms[zip+form] == 0 {
				t.Errorf("no body of the form %q: %v", zip+form, s.forms)
			}
		}
	}
	for _, ct := range contentTypes {
		if s.forms["type "+ct] == 0 {
			t.Errorf("no body of type %q", ct)
		}
	}
}

func TestPostPlain(t *testing.T) {
	a := NewAccount(tiny(1))
	s, p := receive(t)
	p.Plain, p.Batch, p.Connections = true, 50, 1
	if _, err := p.Post(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if len(s.forms) != 2 || s.forms["lines"] != (a.Truth().Objects+49)/50 {
		t.Errorf("forms: %v", s.forms)
	}
}

func TestPostTriesAgain(t *testing.T) {
	a := NewAccount(tiny(1))
	s, p := receive(t)
	s.refuse = func(n int) (int, string) {
		if n%4 == 0 {
			return http.StatusServiceUnavailable, ""
		}
		return 0, ""
	}
	p.Connections = 8
	report, err := p.Post(t.Context(), a)
	if err != nil || report.Retries == 0 || report.Statuses[503] != report.Retries || len(s.objects) != a.Truth().Objects {
		t.Errorf("%v; %d again, %v answers, %d arrived", err, report.Retries, report.Statuses, len(s.objects))
	}
}

func TestPostGivesUpWhatIsRefused(t *testing.T) {
	a := NewAccount(tiny(1))
	s, p := receive(t)
	s.refuse = func(n int) (int, string) {
		if n == 3 {
			return http.StatusUnauthorized, ""
		}
		return 0, ""
	}
	report, err := p.Post(t.Context(), a)
	if err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("error: %v", err)
	}
	if len(report.Failed) == 0 || len(report.Failed)+len(report.Acknowledged) != a.Truth().Objects || s.n != report.Bodies+1 {
		t.Errorf("%d failed, %d acknowledged of %d", len(report.Failed), len(report.Acknowledged), a.Truth().Objects)
	}
	compare(t, a.TruthOf(report.Acknowledged), oracle.New(worldOf(t, s.objects, time.UTC)), a.Options().Now)
}

// Each fault does what it says, and the truth of what was acknowledged is what arrived.
func TestFaults(t *testing.T) {
	a := NewAccount(tiny(1))
	want := a.Truth().Objects
	for name, check := range map[string]func(t *testing.T, r Report, disorder, span int){
		WebhookDrop: func(t *testing.T, r Report, _, _ int) {
			if n := len(r.Dropped); n < want*2/10 || n > want*4/10 || n+r.Objects != want {
				t.Errorf("%d dropped, %d posted of %d", n, r.Objects, want)
			}
		},
		WebhookDouble: func(t *testing.T, r Report, _, _ int) {
			if n := r.Objects - want; n < want*2/10 || n > want*4/10 {
				t.Errorf("%d of %d posted twice", n, want)
			}
		},
		WebhookReorder: func(t *testing.T, r Report, disorder, span int) {
			if r.Objects != want || disorder < want/20 {
				t.Errorf("%d posted, %d overtaken", r.Objects, disorder)
			}
		},
		WebhookLate: func(t *testing.T, r Report, disorder, span int) {
			if r.Objects != want || disorder < want/20 || span < want/4 {
				t.Errorf("%d posted, %d overtaken, the latest by %d", r.Objects, disorder, span)
			}
		},
		"none": func(t *testing.T, r Report, disorder, _ int) {
			if r.Objects != want || disorder != 0 {
				t.Errorf("%d posted, %d overtaken", r.Objects, disorder)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := receive(t)
			p.Connections = 1 // so that nothing but the fault takes things out of order
			if name != "none" {
				p.Faults = []string{name}
			}
			report, err := p.Post(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			disorder, span := 0, 0
			for i, n := range report.Acknowledged[1:] {
				if before := report.Acknowledged[i]; n < before {
					disorder++
					span = max(span, slices.Max(report.Acknowledged[:i+1])-n)
				}
			}
			check(t, report, disorder, span)
			compare(t, a.TruthOf(report.Acknowledged), oracle.New(worldOf(t, s.objects, time.UTC)), a.Options().Now)
		})
	}
}

func TestUnknownFault(t *testing.T) {
	p := &Poster{Faults: []string{"webhook-eat", WebhookDrop}}
	if _, err := p.Post(t.Context(), NewAccount(tiny(1))); err == nil || !strings.Contains(err.Error(), "webhook-eat") {
		t.Errorf("error: %v", err)
	}
}

// roundTrip answers requests without a network, so that time can be a test's own.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func answering(s *receiver) *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) *http.Response {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Result()
	})}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := tiny(1)
		o.Campaigns = 1
		a := NewAccount(o)
		s := &receiver{forms: map[string]int{}}
		s.refuse = func(n int) (int, string) {
			switch n {
			case 1:
				return 503, "7"
			case 2:
				return 503, time.Now().Add(11 * time.Second).UTC().Format(http.TimeFormat)
			}
			return 0, ""
		}
		begun := time.Now()
		p := &Poster{Client: answering(s), Connections: 1, Key: "whk", Batch: 10_000}
		report, err := p.Post(t.Context(), a)
		if took := time.Since(begun); err != nil || report.Retries != 2 || took < 17*time.Second || took > 19*time.Second {
			t.Errorf("took %s, tried again %d times: %v", took, report.Retries, err)
		}
	})
}

func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := tiny(1)
		o.Now = time.Now()
		a := NewAccount(o)
		past := len(a.Events())
		s := &receiver{forms: map[string]int{}}
		p := &Poster{Client: answering(s), Key: "whk", Faults: []string{WebhookDrop, WebhookDouble, WebhookReorder, WebhookLate}, Ratio: 0.1}
		ctx, stop := context.WithTimeout(t.Context(), 31*time.Minute)
		defer stop()
		report, err := p.Live(ctx, a, 1)
		if err != nil {
			t.Fatal(err)
		}
		fresh := a.Events()[past:]
		if len(fresh) < 200 || len(report.Dropped) == 0 {
			t.Errorf("%d events in half an hour, %d dropped", len(fresh), len(report.Dropped))
		}
		if n := len(a.Campaigns()) - o.Campaigns; n != 7 {
			t.Errorf("%d campaigns in 31 minutes, want 7", n)
		}
		if !slices.IsSortedFunc(fresh, func(x, y Event) int { return x.At.Compare(y.At) }) || fresh[len(fresh)-1].At.After(time.Now()) {
			t.Error("live events are not by time, or ahead of it")
		}
		compare(t, a.TruthOf(report.Acknowledged), oracle.New(worldOf(t, s.objects, time.UTC)), time.Now())
	})
}
