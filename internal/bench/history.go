package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// history is a server on a folder of its own, whose two workspaces are connected to one simulated account.
type history struct {
	*reader
	poster poster
	sim    string // the base URL of its API
	tokens [2]string
}

// accountSize is how many addresses the account has by whose number bounces are looked for.
const accountSize = 1000

// historyRows measures the provider's history of bounces: reading it, reads of what was stored, and counting meanwhile.
func (e *engine) historyRows(ctx context.Context) (err error) {
	const name = "history"
	defer func() { err = errors.Join(err, e.remove(context.WithoutCancel(ctx), name)) }()
	at, err := e.create(ctx, name)
	if err != nil {
		return err
	}
	sim, err := start(ctx, e.binary, at, "campaigner-sim", "--json", "--addr", "127.0.0.1:0", "--bounces", fmt.Sprint(e.bounces))
	if err != nil {
		return err
	}
	var taken struct{ URL string }
	if err := sim.line(&taken); err != nil {
		return sim.failed(fmt.Errorf("the simulator did not start: %w", err))
	}
	defer func() { err = errors.Join(err, sim.stop()) }()
	h := &history{sim: taken.URL, poster: poster{key: webhookKey + "0", began: time.Now()}}
	for i := range h.tokens {
		if h.tokens[i], err = e.connected(ctx, at, fmt.Sprint(webhookKey, i), h.sim); err != nil {
			return err
		}
	}
	return e.withServer(ctx, h.tokens[0], at, "history", func(s *server) error {
		h.poster.engine = e
		h.reader = &reader{engine: e, s: s, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}}}
		defer h.client.CloseIdleConnections()
		if h.health, err = h.p95(ctx, func(int) string { return "/healthz" }); err != nil {
			return err
		}
		// Counting comes first: a server that works has its caches filled, and they are no part of what a backfill needs.
		if _, err := h.counted(ctx); err != nil {
			return err
		}
		if err := h.backfill(ctx); err != nil {
			return err
		}
		if err := e.settle(ctx, at); err != nil {
			return err
		}
		if err := h.lists(ctx); err != nil {
			return err
		}
		return h.beside(ctx)
	}, "--allow-private-providers", "--provider-rate=0")
}

// connected makes a workspace that is connected to the provider at baseURL, or to none whose API is read, and an admin key of it.
func (b *bench) connected(ctx context.Context, at place, webhookKey, baseURL string) (token string, err error) {
	files := map[string]string{"api": "sim-key", "webhook": webhookKey}
	for name, key := range files {
		if err := os.WriteFile(filepath.Join(at.dir, name), []byte(key), 0o600); err != nil {
			return "", err
		}
	}
	ws, err := b.command(ctx, at, "workspace", "create", "Bench")
	if err != nil {
		return "", err
	}
	key, err := b.command(ctx, at, "key", "create", "--workspace", ws.ID, "--name", "bench", "--role", "admin")
	if err != nil {
		return "", err
	}
	set := []string{"connection", "set", "--workspace", ws.ID, "--provider", "campaigner", "--webhook-key-file", filepath.Join(at.dir, "webhook")}
	if baseURL != "" {
		set = append(set, "--allow-private-providers", "--base-url", baseURL, "--api-key-file", filepath.Join(at.dir, "api"))
	}
	_, err = b.command(ctx, at, set...)
	return key.Key, err
}

// command runs a command of the program.
func (b *bench) command(ctx context.Context, at place, args ...string) (made struct{ ID, Key string }, err error) {
	c, err := start(ctx, b.binary, at, append(args, "--json")...)
	if err != nil {
		return made, err
	}
	if err := c.line(&made); err != nil {
		return made, c.failed(err)
	}
	return made, c.wait()
}

// backfill reads the history into an empty workspace. Its yardstick reads the pages and does nothing with them.
func (h *history) backfill(ctx context.Context) error {
	began := time.Now()
	const pages = 100
	for n := range pages {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/Bounces?PageSize=1000&PageNumber=%d", h.sim, 1+n%10), nil)
		if err != nil {
			return err
		}
		req.Header.Set("ApiKey", "sim-key")
		if _, err := h.do(req); err != nil {
			return err
		}
	}
	yard := pages * 1000 / time.Since(began).Seconds()
	pid := h.s.cmd.Process.Pid
	before, _, err := memory(pid)
	if err != nil {
		return err
	}
	if err := forgetPeak(pid); err != nil {
		return err
	}
	began = time.Now()
	done, err := h.startBackfill(ctx, h.tokens[0])
	if err != nil {
		return err
	}
	rows, err := done()
	if err != nil {
		return err
	}
	perSecond := float64(rows) / time.Since(began).Seconds()
	_, peak, err := memory(pid)
	if err != nil {
		return err
	}
	say("backfill of %d bounces: %.0f rows/s", rows, perSecond)
	h.rate(fmt.Sprintf("backfill of %d bounces, no rate limit, rows", rows), h.of(limits{20_000, 20_000}, limits{}), perSecond, yardstick{"reading the pages alone", rate(yard)})
	more := max(0, peak-before)
	h.add(row{what: "memory that the backfill takes more", must: "< 128 MiB", measured: mib(more), yardstick: yardstick{"before it", mib(before)},
		ratio: float64(more) / float64(before), verdict: atLeast(-float64(more), -128<<20, -128<<20)})
	return nil
}

// startBackfill starts one; done waits until it has ended and tells how many rows it stored.
func (h *history) startBackfill(ctx context.Context, token string) (done func() (rows int, err error), err error) {
	ask := func(method, path string) (t struct {
		TaskID   string `json:"task_id"`
		Status   string
		Progress struct{ Inserted int }
	}, err error) {
		text, err := h.send(ctx, method, path, token, nil)
		if err == nil {
			err = json.Unmarshal(text, &t)
		}
		return t, err
	}
	t, err := ask(http.MethodPost, "/historical-bounces/backfill?full_backfill=true")
	return func() (int, error) {
		for {
			now, err := ask(http.MethodGet, "/tasks/"+t.TaskID)
			if err != nil || now.Status == "succeeded" {
				return now.Progress.Inserted, err
			}
			if now.Status != "queued" && now.Status != "running" {
				return 0, fmt.Errorf("the backfill is %s", now.Status)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}, err
}

// send asks with a token and a body.
func (h *history) send(ctx context.Context, method, path, token string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, h.s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return h.do(req)
}

func (h *history) do(req *http.Request) ([]byte, error) {
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	_, err = text.ReadFrom(resp.Body)
	if err == nil && resp.StatusCode > 299 {
		err = fmt.Errorf("%s %s: %s: %s", req.Method, req.URL.Path, resp.Status, text.Bytes())
	}
	return text.Bytes(), err
}

// lists reads what was stored.
func (h *history) lists(ctx context.Context) error {
	const list = "/historical-bounces/"
	addresses, err := h.addresses(ctx, 10_000)
	if err != nil {
		return err
	}
	accounts := "account_number,email\n"
	for _, a := range addresses[:min(accountSize, len(addresses))] {
		accounts += "A-1," + a + "\n"
	}
	if _, err := h.send(ctx, http.MethodPost, "/accounts/import", h.s.token, []byte(accounts)); err != nil {
		return err
	}
	var byAddress []string
	for _, a := range addresses[:100] {
		byAddress = append(byAddress, list+query("recipient_email", a))
	}
	ms := time.Millisecond
	if err := errors.Join(
		h.row(ctx, question{what: "history, page 1", must: 5 * ms, hope: 5 * ms, paths: []string{list}}),
		h.row(ctx, question{what: "history of an address", must: 5 * ms, hope: 5 * ms, paths: byAddress}),
		h.row(ctx, question{what: fmt.Sprintf("history of an account of %d addresses", accountSize), must: 10 * ms, hope: 10 * ms, paths: []string{list + query("account_number", "A-1")}, median: true}),
		h.check(ctx, addresses),
	); err != nil {
		return err
	}
	began := time.Now()
	rows, size, err := h.download(ctx, list+"export")
	if err != nil {
		return err
	}
	say("the CSV has %d rows, %s", rows, mib(size))
	h.time(fmt.Sprintf("CSV of about %d historical bounces", h.bounces), 8*time.Second, 8*time.Second, time.Since(began), "/healthz, p95", h.health)
	return nil
}

// addresses are n different ones of the history, or all of a smaller one.
func (h *history) addresses(ctx context.Context, n int) (out []string, err error) {
	met := map[string]bool{}
	for cursor := ""; len(out) < n; {
		path := "/historical-bounces/" + query("page_size", "500")
		if cursor != "" {
			path += "&" + query("cursor", cursor)[1:]
		}
		var page struct {
			Items []struct {
				Email string `json:"recipient_email"`
			}
			Next string `json:"next_cursor"`
		}
		if err := h.get(ctx, path, &page); err != nil {
			return nil, err
		}
		for _, i := range page.Items {
			if !met[i.Email] && len(out) < n {
				met[i.Email], out = true, append(out, i.Email)
			}
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	return out, nil
}

// check asks which of many addresses are suppressed.
func (h *history) check(ctx context.Context, addresses []string) error {
	body, err := json.Marshal(map[string][]string{"emails": addresses})
	if err != nil {
		return err
	}
	took := make([]float64, 0, 20)
	for i := range warm + cap(took) {
		began := time.Now()
		if _, err := h.send(ctx, http.MethodPost, "/historical-bounces/check", h.s.token, body); err != nil {
			return err
		}
		if i >= warm {
			took = append(took, time.Since(began).Seconds())
		}
	}
	got := time.Duration(median(took) * float64(time.Second))
	say("check of %d addresses: %s", len(addresses), duration(got))
	h.time(fmt.Sprintf("check of %d addresses, median", len(addresses)), 50*time.Millisecond, 50*time.Millisecond, got, "/healthz, p95", h.health)
	return nil
}

// counted posts events, 100 a request, and is how many a second were counted, from the first post to the last event.
func (h *history) counted(ctx context.Context) (float64, error) {
	before, err := h.s.received(ctx)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	r, err := h.poster.post(ctx, h.s.url+"/campaign-events/webhook", 200_000, 100, 0)
	if err != nil {
		return 0, err
	}
	for {
		now, err := h.s.received(ctx)
		if err != nil || now-before >= r.Events {
			return float64(r.Events) / time.Since(began).Seconds(), err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// beside counts before, while and after the history is read into the other workspace: the database grows meanwhile, which is nothing
// that the backfill does to counting.
func (h *history) beside(ctx context.Context) error {
	before, err := h.counted(ctx)
	if err != nil {
		return err
	}
	done, err := h.startBackfill(ctx, h.tokens[1])
	if err != nil {
		return err
	}
	got, err := h.counted(ctx)
	if err != nil {
		return err
	}
	if _, err := done(); err != nil {
		return err
	}
	after, err := h.counted(ctx)
	if err != nil {
		return err
	}
	alone := (before + after) / 2
	say("counting alone %.0f/s before and %.0f/s after, beside a backfill %.0f/s", before, after, got)
	h.add(row{what: "HTTP to counted while a backfill runs", must: "≥ 0.70 ×", measured: rate(got), ratio: got / alone,
		yardstick: yardstick{"without one", rate(alone)}, verdict: atLeast(got/alone, .7, .7)})
	return nil
}
