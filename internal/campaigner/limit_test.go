package campaigner

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"monterey/internal/provider"
)

// Many jobs of one account stay together under its limit.
func TestSharedLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := NewLimits(DefaultRate, DefaultAtOnce)
		id := provider.ID{UUID: uuid.UUID{1}}
		var mu sync.Mutex
		var begun []time.Time
		var running atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				release, err := limits.Of(id).acquire(t.Context(), time.Now, sleepFor, time.Minute)
				if err != nil {
					t.Error(err)
					return
				}
				defer release()
				if n := running.Add(1); n > DefaultAtOnce {
					t.Errorf("%d requests at once", n)
				}
				mu.Lock()
				begun = append(begun, time.Now())
				mu.Unlock()
				time.Sleep(900 * time.Millisecond) // longer than two turns of the rate
				running.Add(-1)
			})
		}
		wg.Wait()
		for i := 1; i < len(begun); i++ {
			if gap := begun[i].Sub(begun[i-1]); gap < time.Second/DefaultRate-time.Millisecond {
				t.Errorf("request %d came %v after the one before", i, gap)
			}
		}
		if took := begun[len(begun)-1].Sub(begun[0]); took != 9*900*time.Millisecond+time.Second/DefaultRate {
			t.Errorf("20 requests took %v", took)
		}
	})
}

func TestLimitsOfConnections(t *testing.T) {
	limits := NewLimits(DefaultRate, DefaultAtOnce)
	a, b := provider.ID{UUID: uuid.UUID{1}}, provider.ID{UUID: uuid.UUID{2}}
	if first := limits.Of(a); limits.Of(a) != first || limits.Of(b) == first {
		t.Error("not one limit a connection")
	}
}

func TestLiftedLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit, start := NewLimit(0, 0), time.Now()
		for range 1000 {
			if _, err := limit.acquire(t.Context(), time.Now, sleepFor, 0); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

// A hold that is prolonged while someone waits for its end makes him wait on.
func TestHoldProlonged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit, start := NewLimit(0, 1), time.Now()
		limit.hold(start.Add(10 * time.Second))
		go func() {
			time.Sleep(5 * time.Second)
			limit.hold(start.Add(20 * time.Second))
			limit.hold(start.Add(15 * time.Second)) // shortens nothing
		}()
		release, err := limit.acquire(t.Context(), time.Now, sleepFor, time.Minute)
		if err != nil || time.Since(start) != 20*time.Second {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
		release()
	})
}

// The limit holds over real requests of several clients, also those that fail, and no turn is lost.
func TestLimitOfClients(t *testing.T) {
	limit := NewLimit(0, 2)
	var running, most atomic.Int32
	meet := make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		select { // stay until another one comes, so that more than one is at work whenever that is allowed
		case meet <- struct{}{}:
		case <-meet:
		case <-time.After(10 * time.Millisecond):
		}
		[]http.HandlerFunc{good, status(500, ""), status(404, ""), cut, status(429, "", "Retry-After", "1")}[int(r.URL.Path[len(r.URL.Path)-1]-'0')](w, r)
	}
	var wg sync.WaitGroup
	for range 3 {
		a := newAccount(t, func(c *ClientConfig) { c.Limit = limit }, handler)
		for i := range 20 {
			wg.Go(func() {
				_, _ = a.Campaign(t.Context(), string(rune('0'+i%5))) // only the turns matter
			})
		}
	}
	wg.Wait()
	if most.Load() != 2 || len(limit.slots) != 0 {
		t.Errorf("%d requests at once, %d turns lost", most.Load(), len(limit.slots))
	}
}

// turns are what processes share: as a store's, by their own clock.
type turns struct {
	mu         sync.Mutex
	next, held time.Time
	fails      error
}

func (s *turns) TakeTurn(_ context.Context, _ provider.ID, every time.Duration) (wait, held time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.fails != nil || s.held.After(now) {
		return 0, s.held.Sub(now), s.fails
	}
	if s.next.Before(now) {
		s.next = now
	}
	wait = s.next.Sub(now)
	s.next = s.next.Add(every)
	return wait, 0, nil
}

func (s *turns) HoldTurns(_ context.Context, _ provider.ID, during time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = time.Now().Add(during)
	return nil
}

// Processes that share the turns stay together under the rate, and all keep still when one was told to.
func TestLimitOfProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, id := &turns{}, provider.ID{UUID: uuid.UUID{1}}
		var processes []*Limit
		for range 3 {
			l := NewLimits(DefaultRate, DefaultAtOnce)
			l.Share(shared)
			processes = append(processes, l.Of(id))
		}
		var mu sync.Mutex
		var begun []time.Time
		ask := func(l *Limit) {
			release, err := l.acquire(t.Context(), time.Now, sleepFor, time.Minute)
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			mu.Lock()
			begun = append(begun, time.Now())
			mu.Unlock()
		}
		var wg sync.WaitGroup
		for _, l := range processes {
			for range 10 {
				wg.Go(func() { ask(l) })
			}
		}
		wg.Wait()
		if took := begun[29].Sub(begun[0]); took != 29*time.Second/DefaultRate {
			t.Errorf("30 requests took %v", took)
		}

		processes[0].holdAll(t.Context(), time.Now(), 20*time.Second)
		start := time.Now()
		ask(processes[1])
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("another process waited %v", took)
		}
		processes[2].holdAll(t.Context(), time.Now(), time.Hour)
		_, err := processes[0].acquire(t.Context(), time.Now, sleepFor, time.Minute)
		if later, ok := errors.AsType[*LaterError](err); !ok || later.After != time.Hour {
			t.Errorf("held for an hour: %v", err)
		}
		shared.fails = errors.New("down")
		for range DefaultAtOnce + 1 { // no place is lost
			if _, err := processes[1].acquire(t.Context(), time.Now, sleepFor, time.Minute); !errors.Is(err, shared.fails) {
				t.Errorf("without the store: %v", err)
			}
		}
	})
}
