package campaignersim

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// Live lets time go on in the account, from the clock's now, and posts what happens as it happens, until the context ends,
// which is no error. What was still to come of the history happens too. So that there is something to see, a new campaign begins at once and
// then every five minutes, and all in it goes sixty times as fast as in life; each brings about rate × 300 events (a rate of 0
// = 3 a second). One Live runs at a time. The report's indices are of the account's events, which grow meanwhile.
func (p *Poster) Live(ctx context.Context, a *Account, rate float64) (Report, error) {
	if err := checkAmong(WebhookFaults, p.Faults); err != nil {
		return Report{}, err
	}
	if rate <= 0 {
		rate = 3
	}
	a.live.Lock()
	defer a.live.Unlock()
	rng := rand.New(rand.NewPCG(p.Seed, 4))
	f := p.faulter(rng)
	f.reorder, f.double, f.late = 5*time.Second, 30*time.Second, 2*time.Minute
	s := newSession(p)
	var queue []queued
	var nextCampaign time.Time
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		now := time.Now().UTC()
		if !now.Before(nextCampaign) {
			a.launch(now, rate*launchEvery.Seconds())
			nextCampaign = now.Add(launchEvery)
		}
		from, until := a.advance(now)
		for i, e := range a.Events()[from:until] {
			if !e.Kind.HasWebhook() {
				continue
			}
			q := f.queue(from+i, e.At)
			if len(q) == 0 {
				s.report.Dropped = append(s.report.Dropped, from+i)
			}
			queue = append(queue, q...)
		}
		sortQueue(queue)
		for len(queue) > 0 && !queue[0].due.After(now) {
			n := 1
			for limit := p.size(rng); n < limit && n < len(queue) && !queue[n].due.After(now); n++ {
			}
			s.send(ctx, p.pack(a, rng, queue[:n]))
			queue = queue[n:]
		}
		select {
		case <-ctx.Done():
			report, _ := s.end(ctx) // that the context ended is what was asked for
			return report, s.first
		case <-ticker.C:
		}
	}
}

// launchEvery is the time between two live campaigns.
const launchEvery = 5 * time.Minute

// launch begins a campaign now, to as many as bring about so many events. The caller holds a.live.
func (a *Account) launch(now time.Time, events float64) {
	m := a.maker
	m.pace = 1.0 / 60
	const eventsPerMail = 0.35 // about, over all themes
	percent := int(100 * events / eventsPerMail / float64(len(m.a.contacts)))
	fresh := m.campaign(themes[m.IntN(len(themes))], now, min(max(percent, 1), 100))
	a.later = append(a.later, fresh...)
	slices.SortStableFunc(a.later, func(x, y Event) int { return x.At.Compare(y.At) })
}

// advance makes what is due happen; the events are those from one index until before another. The caller holds a.live.
func (a *Account) advance(now time.Time) (from, until int) {
	n := 0
	for n < len(a.later) && !a.later[n].At.After(now) {
		n++
	}
	from = a.publish(a.later[:n])
	a.later = a.later[n:]
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.After(a.now) {
		a.now = now
	}
	return from, from + n
}
