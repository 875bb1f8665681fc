package campaignersim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// ServeOptions are those of the command campaigner-sim.
type ServeOptions struct {
	Addr    string // to listen at; port 0 = any
	Account Options
	APIKey  string // "" = sim-key
	// WebhookURL is where to post webhooks from the start: the history, then live traffic. "" = nowhere.
	WebhookURL, WebhookKey string
	Faults                 []string     // of WebhookFaults and APIFaults
	Rate                   float64      // live events a second, about; see Live
	Log                    *slog.Logger // nil = nowhere
	// Listening, unless nil, is told the chosen address.
	Listening func(net.Addr)
}

// Serve serves a simulated account until the context ends, which is no error.
func Serve(ctx context.Context, o ServeOptions) error {
	if err := CheckFaults(o.Faults); err != nil {
		return err
	}
	if o.APIKey == "" {
		o.APIKey = "sim-key"
	}
	if o.Account.Now.IsZero() {
		o.Account.Now = time.Now()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return fmt.Errorf("campaignersim: %w", err)
	}
	if o.Listening != nil {
		o.Listening(l.Addr())
	}
	a := NewAccount(o.Account)
	api := NewServer(a, o.APIKey)
	if err := api.SetFaults(only(APIFaults, o.Faults)...); err != nil {
		return err
	}
	server := &http.Server{Handler: api, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn)}
	ctx, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	if o.WebhookURL != "" {
		wait.Go(func() { postAll(ctx, a, o) })
	}
	wait.Go(func() {
		<-ctx.Done()
		shut, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(shut) // what is cut off after five seconds has only itself to tell
	})
	err = server.Serve(l)
	stop()
	wait.Wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("campaignersim: %w", err)
	}
	return nil
}

// postAll posts the history and then what happens, and logs what became of it.
func postAll(ctx context.Context, a *Account, o ServeOptions) {
	p := &Poster{URL: o.WebhookURL, Key: o.WebhookKey, Seed: o.Account.Seed, Faults: only(WebhookFaults, o.Faults)}
	o.Log.Info("posting the history", "webhook_url", o.WebhookURL, "events", len(a.Events()))
	report, err := p.Post(ctx, a)
	o.Log.Info("posted the history", "acknowledged", report.Objects, "dropped", len(report.Dropped), "failed", len(report.Failed), "took", report.Took)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		o.Log.Error("some of the history was not taken", "error", err)
	}
	if report, err = p.Live(ctx, a, o.Rate); err != nil {
		o.Log.Error("some live events were not taken", "error", err, "failed", len(report.Failed))
	}
}

// only are the names that are among some.
func only(some, names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !slices.Contains(some, n) })
}
