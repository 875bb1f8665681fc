package campaignersim

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestPing(t *testing.T) {
	a := NewAccount(tiny(1))
	server := httptest.NewServer(NewServer(a, "sim-key"))
	defer server.Close()
	for _, test := range []struct {
		path, key string
		status    int
	}{{"/v1/Ping", "sim-key", 200}, {"/v1/Ping", "", 401}, {"/v1/Ping", "sim-kez", 401}, {"/v1/Nothing", "sim-key", 404}, {"/v1/Nothing", "x", 401}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("ApiKey", test.key)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != test.status {
			t.Errorf("%s with key %q: %d, want %d", test.path, test.key, res.StatusCode, test.status)
		}
		if test.status == 200 {
			var answer struct{ AccountName string }
			if err = json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.AccountName != a.Company {
				t.Errorf("%+v, %v", answer, err)
			}
		}
		_ = res.Body.Close()
	}
}

// The command posts the history and goes on live, and ends when it is told to.
func TestServe(t *testing.T) {
	s, p := receive(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	listening, ended := make(chan net.Addr, 1), make(chan error, 1)
	o := ServeOptions{Addr: "127.0.0.1:0", Account: tiny(1), WebhookURL: p.URL, WebhookKey: "whk", Listening: func(a net.Addr) { listening <- a }}
	o.Account.Now = time.Now().Add(-time.Minute)
	history := NewAccount(o.Account).Truth().Objects
	go func() { ended <- Serve(ctx, o) }()
	addr := <-listening
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr.String()+"/v1/Ping", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("ApiKey", "sim-key")
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	_ = res.Body.Close()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		s.mu.Lock()
		n := len(s.objects)
		s.mu.Unlock()
		if n > history {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d objects came, %d are history", n, history)
		}
	}
	stop()
	if err = <-ended; err != nil {
		t.Error(err)
	}
	if err = Serve(t.Context(), ServeOptions{Addr: "127.0.0.1:0", Faults: []string{"x"}}); err == nil {
		t.Error("no error for a fault that there is not")
	}
}

// Faults of both halves may be given to the command together.
func TestServeWithFaults(t *testing.T) {
	_, p := receive(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	listening, ended := make(chan net.Addr, 1), make(chan error, 1)
	o := ServeOptions{Addr: "127.0.0.1:0", Account: tiny(1), WebhookURL: p.URL, WebhookKey: "whk", Faults: []string{WebhookDouble, NullItems},
		Listening: func(a net.Addr) { listening <- a }}
	go func() { ended <- Serve(ctx, o) }()
	addr := <-listening
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr.String()+"/v1/Campaigns/Sending", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("ApiKey", "sim-key")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var l listAnswer
	if err = json.NewDecoder(res.Body).Decode(&l); err != nil || l.Items != nil || l.PageSize != standardPage {
		t.Errorf("%+v, %v", l, err)
	}
	stop()
	if err = <-ended; err != nil {
		t.Error(err)
	}
}
