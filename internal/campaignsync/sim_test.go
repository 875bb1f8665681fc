package campaignsync

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"monterey/internal/campaigner/campaignersim"
	"monterey/internal/task"
)

// clock is a time that passes when somebody sleeps.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(_ context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return nil
}

// TestSimulated reads a whole simulated account under each fault of its API, a step a call.
func TestSimulated(t *testing.T) {
	for _, fault := range append([]string{""}, campaignersim.APIFaults...) {
		t.Run(fault, func(t *testing.T) {
			r := newRig(t)
			account := campaignersim.NewAccount(campaignersim.Options{Seed: 3, Campaigns: 9, Recipients: 300, Days: 20, Bounces: -1})
			c := &clock{now: account.Options().Now}
			api := campaignersim.NewServer(account, "the-key")
			api.Now, api.Sleep = c.Now, func(ctx context.Context, d time.Duration) { _ = c.Sleep(ctx, d) } // never fails
			var faults []string
			if fault != "" {
				faults = append(faults, fault)
			}
			if err := api.SetFaults(faults...); err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(api)
			t.Cleanup(server.Close)
			r.conn.BaseURL = server.URL + "/v1"
			if err := r.store.UpdateConnection(t.Context(), r.ws, r.conn); err != nil {
				t.Fatal(err)
			}
			r.sync.Slice, r.sync.Now, r.sync.Accounts.Now, r.sync.Accounts.Sleep = 0, c.Now, c.Now, c.Sleep
			k := r.start()
			for calls := 0; ; calls++ {
				err := r.work(k.ID)
				if err == nil {
					break
				}
				later, ok := errors.AsType[*task.Later](err)
				if !ok || calls > 200 {
					t.Fatalf("call %d: %v", calls, err)
				}
				_ = c.Sleep(t.Context(), later.After) // never fails
			}
			r.holds(account, r.task(k.ID))
		})
	}
}

// holds compares the campaigns with those of the account.
func (r *rig) holds(a *campaignersim.Account, k task.Task) {
	r.Helper()
	got := r.campaigns()
	n := len(a.Campaigns()) + len(a.Unsent())
	if len(got) != n || k.Progress.Fetched != int64(n) || k.Progress.Unreadable != 0 {
		r.Errorf("%d campaigns, want %d; progress %s", len(got), n, text(k.Progress))
	}
	for i, c := range a.Campaigns() {
		s := a.Summary(i)
		want := fmt.Sprint(c.Name, " ", s.EmailsSent, " ", s.Delivered, " ", s.Opens, " ", s.TotalClicks, " ", s.UniqueClicks, " ", s.HardBounces, " ",
			s.SoftBounces, " ", s.Complaints, " ", s.Removes, " ")
		mine := got[strconv.FormatInt(c.ID, 10)]
		if text := mine.Name + " " + figures(mine); text != want || mine.Status != c.Status(a.Options().Now) {
			r.Errorf("campaign %d is %q, %s, want %q", c.ID, text, mine.Status, want)
		}
	}
	for _, u := range a.Unsent() {
		if c := got[strconv.FormatInt(u.ID, 10)]; c.Name != u.Name || c.Figures != nil || c.Status != "Draft" && c.Status != "Scheduled" {
			r.Errorf("campaign %d, which was never sent, is %+v", u.ID, c)
		}
	}
}
