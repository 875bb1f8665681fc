package campaigner

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"monterey/internal/provider"
)

// The limits that hold where none are set. What Campaigner allows is written down nowhere; its newer API names 10 requests
// a second.
const (
	DefaultRate   = 5 // requests a second
	DefaultAtOnce = 2
)

// Limit bounds the requests to one account, by all jobs together. It may be used by many goroutines.
type Limit struct {
	rate   *rate.Limiter
	slots  chan struct{}  // nil = any number at once
	shared provider.Turns // nil = no other process asks
	id     provider.ID    // where shared
	every  time.Duration  // where shared: the time from one turn to the next

	mu    sync.Mutex
	until time.Time // no request before: the provider said so
}

// NewLimit makes a limit of so many requests a second, evenly spaced, and so many at once; 0 lifts either.
func NewLimit(perSecond float64, atOnce int) *Limit {
	l := &Limit{rate: rate.NewLimiter(rate.Inf, 1)}
	if perSecond > 0 {
		l.rate.SetLimit(rate.Limit(perSecond))
	}
	if atOnce > 0 {
		l.slots = make(chan struct{}, atOnce)
	}
	return l
}

// acquire waits for its turn, which release ends. It is a *LaterError when the provider wants no request for longer than
// most, at once and without a turn taken.
func (l *Limit) acquire(ctx context.Context, now func() time.Time, sleep sleeper, most time.Duration) (release func(), err error) {
	release = func() {}
	if l.slots != nil {
		select {
		case l.slots <- struct{}{}:
			release = func() { <-l.slots }
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := l.await(ctx, now, sleep, most); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// await waits for the turn, and before for the end of what holds requests back, which may be prolonged in the meantime by the
// answer to another one.
func (l *Limit) await(ctx context.Context, now func() time.Time, sleep sleeper, most time.Duration) error {
	for {
		pause := l.held().Sub(now())
		if pause <= 0 {
			held, err := l.turn(ctx, now(), sleep)
			if err != nil || held <= 0 {
				return err
			}
			pause = held
		}
		if pause > most {
			return &LaterError{After: pause, Cause: "campaigner: the account is over its limit of requests"}
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// turn waits until the rate allows a request; held is for how long another process lets none be made.
func (l *Limit) turn(ctx context.Context, now time.Time, sleep sleeper) (held time.Duration, err error) {
	if l.shared == nil {
		return 0, l.ownTurn(ctx, now, sleep)
	}
	wait, held, err := l.shared.TakeTurn(ctx, l.id, l.every)
	if err != nil || held > 0 {
		return held, err
	}
	return 0, sleep(ctx, max(wait, 0))
}

func (l *Limit) ownTurn(ctx context.Context, now time.Time, sleep sleeper) error {
	r := l.rate.ReserveN(now, 1)
	pause := r.DelayFrom(now)
	if pause <= 0 {
		return ctx.Err()
	}
	if err := sleep(ctx, pause); err != nil {
		r.CancelAt(now)
		return err
	}
	return nil
}

// hold keeps every request back until then.
func (l *Limit) hold(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until.After(l.until) {
		l.until = until
	}
}

// holdAll is hold for all processes.
func (l *Limit) holdAll(ctx context.Context, now time.Time, during time.Duration) {
	l.hold(now.Add(during))
	if l.shared != nil {
		_ = l.shared.HoldTurns(ctx, l.id, during) // the others are told by the provider then
	}
}

func (l *Limit) held() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// Limits hands out one Limit a connection. It may be used by many goroutines.
type Limits struct {
	perSecond float64
	atOnce    int
	shared    provider.Turns

	mu sync.Mutex
	of map[provider.ID]*Limit
}

// NewLimits makes limits as NewLimit does.
func NewLimits(perSecond float64, atOnce int) *Limits {
	return &Limits{perSecond: perSecond, atOnce: atOnce, of: make(map[provider.ID]*Limit)}
}

// Share lets other processes that do the same have a part of the rate, and hear of what holds requests back; before the first
// use. How many requests there are at once stays each process's own, and so does a rate of more than 1000 a second.
func (l *Limits) Share(t provider.Turns) { l.shared = t }

// Of is the connection's limit, the same one every time.
func (l *Limits) Of(id provider.ID) *Limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := l.of[id]
	if limit == nil {
		limit = NewLimit(l.perSecond, l.atOnce)
		if l.perSecond > 0 && l.perSecond <= 1000 {
			limit.shared, limit.id, limit.every = l.shared, id, time.Duration(float64(time.Second)/l.perSecond)
		}
		l.of[id] = limit
	}
	return limit
}

// sleeper waits for a time or until ctx ends, whose error it is then.
type sleeper func(ctx context.Context, d time.Duration) error

func sleepFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
