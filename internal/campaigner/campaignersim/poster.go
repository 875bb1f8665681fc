package campaignersim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Poster posts an account's webhooks, as Campaigner does and on demand as it does on a bad day.
type Poster struct {
	URL string // of the webhook, as http://127.0.0.1:8000/campaign-events/webhook
	Key string // the webhook key
	// Client is nil for one of the poster's own, with a time limit of 30 s a request.
	Client      *http.Client
	Seed        uint64   // of sizes, forms and faults
	Batch       int      // objects in a body; 0 = a mix of 1 to 500
	Plain       bool     // every body is uncompressed lines; else all forms are mixed
	Connections int      // that post at once; 0 = 4. With one, bodies arrive in order
	Faults      []string // of WebhookFaults
	Ratio       float64  // of the events that a fault hits; 0 = 0.3
	// Tries is how often a body is posted before the poster gives it up, when the server says 503 or cannot be reached; 0 = 20.
	Tries int
}

// Report is what became of posted events. Indices are those of the account's events.
type Report struct {
	Bodies, Objects int   // that were acknowledged
	Acknowledged    []int // the event of each object acknowledged, in no order, repeated where it was posted twice
	Dropped         []int // events never posted, by the fault
	// Failed are events of bodies that were posted and not acknowledged; where no answer came they may have been taken all
	// the same.
	Failed   []int
	Statuses map[int]int // how often each status was answered, also before trying again
	Retries  int
	Took     time.Duration
}

// Post posts everything that has happened in the account, in the order of time but for the faults, and returns when all of
// it is answered. The error tells of bodies that were refused or given up, and of the context's end; the report is right
// all the same.
func (p *Poster) Post(ctx context.Context, a *Account) (Report, error) {
	if err := checkAmong(WebhookFaults, p.Faults); err != nil {
		return Report{}, err
	}
	rng := rand.New(rand.NewPCG(p.Seed, 3))
	f := p.faulter(rng)
	f.reorder, f.double, f.late = 2*time.Hour, 3*24*time.Hour, 20*24*time.Hour
	var queue []queued
	s := newSession(p)
	for i, e := range a.Events() {
		if !e.Kind.HasWebhook() {
			continue
		}
		q := f.queue(i, e.At)
		if len(q) == 0 {
			s.report.Dropped = append(s.report.Dropped, i)
		}
		queue = append(queue, q...)
	}
	sortQueue(queue)
	posts := make(chan post)
	var workers sync.WaitGroup
	for range max(1, p.connections()) {
		workers.Go(func() {
			for next := range posts {
				s.send(ctx, next)
			}
		})
	}
	for len(queue) > 0 {
		n := min(p.size(rng), len(queue))
		posts <- p.pack(a, rng, queue[:n])
		queue = queue[n:]
	}
	close(posts)
	workers.Wait()
	return s.end(ctx)
}

func (p *Poster) connections() int {
	if p.Connections == 0 {
		return 4
	}
	return p.Connections
}

func (p *Poster) faulter(rng *rand.Rand) faulter {
	f := faulter{Rand: rng, names: p.Faults, ratio: p.Ratio}
	if f.ratio == 0 {
		f.ratio = 0.3
	}
	return f
}

func (p *Poster) size(rng *rand.Rand) int {
	if p.Batch > 0 {
		return p.Batch
	}
	return pick(rng, []int{1, 1, 2, 5, 25, 100, 250, 500})
}

// pack makes one post of queued events.
func (p *Poster) pack(a *Account, rng *rand.Rand, q []queued) post {
	next, form := post{contentType: "application/json"}, Lines
	all := a.Events()
	var objects [][]byte
	for _, one := range q {
		next.events = append(next.events, one.event)
		objects = append(objects, a.AppendWebhook(nil, all[one.event], p.Key))
	}
	if !p.Plain {
		form = formOf(rng, len(objects))
		next.contentType = pick(rng, contentTypes[:])
		next.gzip = rng.IntN(3) == 0
	}
	next.body = pack(objects, form)
	if next.gzip {
		next.body = compress(next.body)
	}
	return next
}

// session is one run of a poster.
type session struct {
	*Poster
	client *http.Client
	begun  time.Time

	mu     sync.Mutex
	report Report
	first  error // the first thing that went wrong for good
}

func newSession(p *Poster) *session {
	s := &session{Poster: p, client: p.Client, begun: time.Now(), report: Report{Statuses: map[int]int{}}}
	if s.client == nil {
		s.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: p.connections()}}
	}
	return s
}

// end tells what came of it.
func (s *session) end(ctx context.Context) (Report, error) {
	if s.Client == nil {
		s.client.CloseIdleConnections()
	}
	s.report.Took = time.Since(s.begun)
	if ctx.Err() != nil {
		return s.report, ctx.Err()
	}
	return s.report, s.first
}

// send posts a body until it is acknowledged, refused or given up.
func (s *session) send(ctx context.Context, next post) {
	tries := s.Tries
	if tries == 0 {
		tries = 20
	}
	wait := 100 * time.Millisecond
	for try := 1; ; try++ {
		again, err := s.once(ctx, next)
		if err == nil {
			s.note(func(r *Report) {
				r.Bodies++
				r.Objects += len(next.events)
				r.Acknowledged = append(r.Acknowledged, next.events...)
			})
			return
		}
		if again < 0 || try == tries || !sleep(ctx, max(again, wait)) {
			s.note(func(r *Report) { r.Failed = append(r.Failed, next.events...) })
			s.fail(err)
			return
		}
		s.note(func(r *Report) { r.Retries++ })
		wait = min(2*wait, 5*time.Second)
	}
}

func (s *session) note(f func(*Report)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.report)
}

func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.first = err
	}
}

// once posts a body. With an error comes how long to wait, at least, before it may be posted again; negative = never.
func (s *session) once(ctx context.Context, next post) (again time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(next.body))
	if err != nil {
		return -1, fmt.Errorf("campaignersim: post to %s: %w", s.URL, err)
	}
	if next.contentType != "" {
		req.Header.Set("Content-Type", next.contentType)
	}
	if next.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("campaignersim: %w", err)
	}
	answer, readErr := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	err = errors.Join(readErr, res.Body.Close())
	s.note(func(r *Report) { r.Statuses[res.StatusCode]++ })
	switch {
	case res.StatusCode/100 == 2: // the status alone acknowledges
		return 0, nil
	case res.StatusCode == http.StatusServiceUnavailable:
		return retryAfter(res), fmt.Errorf("campaignersim: the server is unavailable: %s", answer)
	case err != nil:
		return 0, fmt.Errorf("campaignersim: %w", err)
	}
	return -1, fmt.Errorf("campaignersim: %d objects refused with %s: %s", len(next.events), res.Status, answer)
}

// retryAfter is how long an answer asks to wait: seconds or a date, at most a minute; 0 where it does not say.
func retryAfter(res *http.Response) time.Duration {
	value := res.Header.Get("Retry-After")
	d := time.Duration(0)
	if n, err := strconv.Atoi(value); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = time.Until(at)
	}
	return min(max(d, 0), time.Minute)
}

// sleep tells whether it slept to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
