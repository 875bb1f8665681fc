package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"monterey/internal/campaigner/campaignersim"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

type demoCommand struct {
	serverSettings `embed:""`
	Once           bool    `help:"Load the history, wait until it is counted, print a JSON summary and exit."`
	Seed           uint64  `help:"The same seed makes the same account." default:"1" placeholder:"N"`
	Campaigns      int     `help:"Campaigns of the history." default:"24" placeholder:"N"`
	Recipients     int     `help:"Recipients on the list." default:"5000" placeholder:"N"`
	Days           int     `help:"Days that the history reaches back." default:"60" placeholder:"N"`
	Rate           float64 `help:"Live events a second, about." default:"3" placeholder:"R"`
}

// Run serves a folder that is gone afterwards. With --once it needs no fixed address, so several may run at a time.
func (c *demoCommand) Run(ctx context.Context, p *program) (err error) {
	addr, metricsAddr := defaultAddr, defaultMetricsAddr
	if c.Once {
		addr, metricsAddr = "127.0.0.1:0", ""
	}
	c.fill(addr, metricsAddr)
	folder, err := os.MkdirTemp("", "monterey-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	p.common.DataDir, p.common.Database, p.common.SecretKeyFile = folder, "", ""
	p.common.AllowPrivateProviders = true
	if err := p.check(append(c.mistakes(false), c.sizes()...)...); err != nil {
		return err
	}
	server, err := p.startServer(ctx, &c.serverSettings)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- server.run(ctx)
		stop() // a server that failed ends the demo
	}()
	err = c.show(ctx, p, server)
	stop()
	if errors.Is(err, context.Canceled) {
		err = nil // Ctrl-C is how a demo ends
	}
	return errors.Join(err, <-ended)
}

func (c *demoCommand) sizes() (wrong []string) {
	for name, n := range map[string]int{"--campaigns": c.Campaigns, "--recipients": c.Recipients, "--days": c.Days} {
		if n < 1 {
			wrong = append(wrong, name+" must be 1 or more")
		}
	}
	if !(c.Rate > 0) {
		wrong = append(wrong, "--rate must be more than 0")
	}
	return wrong
}

// demo is what a visitor needs to look around.
type demo struct {
	URL       string `json:"url"`
	Token     string `json:"token"`
	Workspace string `json:"workspace_id"`

	caller     workspace.Caller
	webhookKey string
}

// show makes a workspace with a simulated account, has its bounces read, posts its history and then what happens in it.
func (c *demoCommand) show(ctx context.Context, p *program, s *server) error {
	began := p.now()
	account := campaignersim.NewAccount(campaignersim.Options{
		Seed: c.Seed, Now: began.UTC(), Campaigns: c.Campaigns, Recipients: c.Recipients, Days: c.Days, Bounces: demoBounces,
	})
	baseURL, closeEDAPI, err := serveEDAPI(account, !c.Once)
	if err != nil {
		return err
	}
	defer closeEDAPI()
	d, err := c.settle(ctx, p, s, baseURL)
	if err != nil {
		return err
	}
	if err := d.directory(ctx, s, account); err != nil {
		return err
	}
	history, err := d.backfill(ctx, s)
	if err != nil {
		return err
	}
	if !c.Once && !p.common.JSON {
		fmt.Fprintf(p.stdout, "Monterey runs on %s with a simulated Campaigner account.\n\n  token         %s\n  workspace id  %s\n\n", d.URL, d.Token, d.Workspace)
		p.say("Posting the history of %d campaigns …", c.Campaigns)
	}
	poster := &campaignersim.Poster{URL: d.URL + "/campaign-events/webhook", Key: d.webhookKey, Seed: c.Seed}
	report, err := poster.Post(ctx, account)
	if err != nil {
		return err
	}
	if err := d.waitCounted(ctx, s); err != nil {
		return err
	}
	if c.Once {
		bounces, err := d.waitHistory(ctx, s, history)
		if err != nil {
			return err
		}
		return d.summary(ctx, p, report, bounces, p.now().Sub(began))
	}
	if err := d.invite(ctx, p, report, p.now().Sub(began)); err != nil {
		return err
	}
	_, err = poster.Live(ctx, account, c.Rate)
	return err
}

// settle makes the workspace, a key and the connection.
func (c *demoCommand) settle(ctx context.Context, p *program, s *server, baseURL string) (d demo, err error) {
	now := p.now().UTC()
	w := workspace.Workspace{ID: workspace.NewID(), Name: "Demo", Timezone: "UTC", CreatedAt: now, UpdatedAt: now}
	key, token := workspace.NewKey(w.ID, "demo", workspace.Admin, now)
	d = demo{URL: "http://" + s.api.addr(), Token: token, Workspace: w.ID.String(), caller: workspace.System(w.ID), webhookKey: "demo-" + uuid.NewString()}
	if err := s.store.CreateWorkspace(ctx, w); err != nil {
		return d, err
	}
	if err := s.store.CreateKey(ctx, key); err != nil {
		return d, err
	}
	return d, s.store.CreateConnection(ctx, d.caller, provider.Connection{
		ID: provider.ID{UUID: uuid.Must(uuid.NewV7())}, Workspace: w.ID, Provider: provider.Campaigner, Timezone: "UTC",
		WebhookMAC: s.keys.WebhookMAC(d.webhookKey), APIKey: s.keys.Seal(demoAPIKey), BaseURL: baseURL, CreatedAt: now, UpdatedAt: now,
	})
}

// waitCounted returns once everything received before the call is in the numbers, and the rules that tell machines from
// people have seen it.
func (d demo) waitCounted(ctx context.Context, s *server) error {
	since := s.now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		counted, err := s.store.AsOf(ctx, d.caller)
		if err != nil {
			return err
		}
		var judged struct {
			At *time.Time `json:"human_as_of"`
		}
		if counted.After(since) {
			if err := d.get(ctx, "/campaign-statistics/overview", &judged); err != nil {
				return err
			}
		}
		if judged.At != nil && judged.At.After(since) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// get asks the server like any client.
func (d demo) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+d.Token)
	req.Header.Set("X-Workspace-ID", d.Workspace)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", path, resp.Status, text)
	}
	return json.Unmarshal(text, into)
}

// summary prints what --once found: the answers as the API gives them.
func (d demo) summary(ctx context.Context, p *program, r campaignersim.Report, bounces int64, took time.Duration) error {
	var overview, campaigns json.RawMessage
	if err := d.get(ctx, "/campaign-statistics/overview", &overview); err != nil {
		return err
	}
	if err := d.get(ctx, "/campaign-statistics/?page_size=500", &campaigns); err != nil {
		return err
	}
	e := json.NewEncoder(p.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(struct {
		EventsSent int             `json:"events_sent"`
		Requests   int             `json:"requests"`
		Seconds    float64         `json:"seconds"`
		Posting    float64         `json:"posting_seconds"`
		Bounces    int64           `json:"historical_bounces"`
		Statistics json.RawMessage `json:"statistics"`
		Campaigns  json.RawMessage `json:"campaigns"`
	}{r.Objects, r.Bodies, took.Seconds(), r.Took.Seconds(), bounces, overview, campaigns})
}

// invite prints what to try.
func (d demo) invite(ctx context.Context, p *program, r campaignersim.Report, took time.Duration) error {
	var newest struct {
		Items []struct {
			ID string `json:"campaign_id"`
		} `json:"items"`
	}
	if err := d.get(ctx, "/campaign-statistics/?page_size=1", &newest); err != nil {
		return err
	}
	if len(newest.Items) == 0 {
		return errors.New("the history has no campaign")
	}
	lines := make([]string, 0, 3)
	for _, path := range []string{
		"/campaign-statistics/overview",
		"/campaign-statistics/" + newest.Items[0].ID + "/time-series?granularity=day",
		"/campaign-events/?event_type=open&date_from=2026-01-01",
	} {
		lines = append(lines, fmt.Sprintf("curl -s -H 'Authorization: Bearer %s' -H 'workspace_id: %s' '%s%s'", d.Token, d.Workspace, d.URL, path))
	}
	plain := fmt.Sprintf("%d events were posted and counted in %.1f s. Try:\n\n", r.Objects, took.Seconds())
	for _, l := range lines {
		plain += "  " + l + "\n"
	}
	plain += fmt.Sprintf("\nIts history of bounces is being read: %s/tasks/ tells how far it is.", d.URL)
	plain += fmt.Sprintf("\nThe API is described at %s/docs. Live traffic goes on until Ctrl-C; then the folder %s is removed.\n", d.URL, filepath.Base(p.common.DataDir))
	return p.result(struct {
		demo
		EventsSent int      `json:"events_sent"`
		Curl       []string `json:"curl"`
	}{d, r.Objects, lines}, plain)
}
