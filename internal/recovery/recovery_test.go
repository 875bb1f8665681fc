package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"monterey/internal/campaigner"
	"monterey/internal/campaigner/campaignersim"
	"monterey/internal/campaignsync"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/ingest"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/reconciliation"
	"monterey/internal/store"
	"monterey/internal/store/testdb"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

const webhookKey = "the-webhook-key"

// rig is a workspace that is connected to a simulated account, whose webhooks are counted.
type rig struct {
	*testing.T
	account  *campaignersim.Account
	api      *campaignersim.Server
	store    store.Database
	ws       workspace.Caller
	intake   *ingest.Intake
	recovery *Recovery
	rnd      *rand.Rand
}

func newRig(t *testing.T, o campaignersim.Options, recoverOpens string) *rig {
	t.Helper()
	r := &rig{T: t, account: campaignersim.NewAccount(o), rnd: rand.New(rand.NewPCG(o.Seed, 7))}
	now := r.account.Options().Now
	r.api = campaignersim.NewServer(r.account, "the-key")
	r.api.Now, r.api.Sleep = func() time.Time { return now }, func(context.Context, time.Duration) {}
	server := httptest.NewServer(r.api)
	t.Cleanup(server.Close)

	s := testdb.Open(t)
	keys, err := provider.NewKeys(provider.NewSecret())
	w := workspace.Workspace{ID: workspace.NewID(), Name: "Test", Timezone: "UTC", CreatedAt: now, UpdatedAt: now}
	conn := provider.Connection{ID: provider.ID{UUID: uuid.New()}, Workspace: w.ID, Provider: provider.Campaigner, Timezone: "UTC", BaseURL: server.URL + "/v1",
		RecoverOpens: recoverOpens, CreatedAt: now, UpdatedAt: now}
	if err == nil {
		conn.APIKey, conn.WebhookMAC = keys.Seal("the-key"), keys.WebhookMAC(webhookKey)
		err = s.CreateWorkspace(t.Context(), w)
	}
	r.store, r.ws = s, workspace.System(w.ID)
	if err == nil {
		err = s.CreateConnection(t.Context(), r.ws, conn)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.intake = ingest.NewIntake(s, s, keys, campaigner.Webhook{}, time.Now)
	var slept atomic.Int64 // waits cost nothing, but time passes by them
	accounts := &campaigner.Accounts{Connections: s, Keys: keys, Limits: campaigner.NewLimits(0, 2), AllowPrivate: true,
		Now:   func() time.Time { return time.Now().Add(time.Duration(slept.Load())) },
		Sleep: func(_ context.Context, d time.Duration) error { slept.Add(int64(d)); return nil }}
	r.recovery = &Recovery{Accounts: accounts, Campaigns: s, Statistics: s, Deliveries: s, Inbox: s, Comparisons: s, Tasks: s, Now: time.Now,
		Slice: time.Hour, Wait: time.Millisecond}
	r.count()
	return r
}

// count counts until the test ends.
func (r *rig) count() {
	ctx, cancel := context.WithCancel(context.Background())
	worker := ingest.NewWorker(r.store, campaigner.Webhook{}, ingest.Options{Linger: 5 * time.Millisecond})
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	r.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			r.Error(err)
		}
	})
}

// post posts webhooks of these events, in this order, a few at a time.
func (r *rig) post(events []int) {
	r.Helper()
	all := r.account.Events()
	for part := range slices.Chunk(events, 40) {
		var body []byte
		for _, i := range part {
			body = append(r.account.AppendWebhook(body, all[i], webhookKey), '\n')
		}
		if _, _, _, err := r.intake.Receive(r.Context(), body); err != nil {
			r.Error(err)
		}
	}
}

func (r *rig) counted() {
	r.Helper()
	posted := time.Now()
	for end := posted.Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		asOf, err := r.store.AsOf(r.Context(), r.ws)
		if err != nil || time.Now().After(end) {
			r.Fatal("not counted", err)
		}
		if asOf.After(posted) {
			return
		}
	}
}

// run does a whole task of the kind, as often as its work wants to be called.
func (r *rig) run(k task.Kind, by string, work task.Work) task.Task {
	r.Helper()
	t := task.New(k, task.Params{}, by, time.Now())
	if err := r.store.CreateTask(r.Context(), r.ws, t); err != nil {
		r.Fatal(err)
	}
	for calls := 0; ; calls++ {
		now, err := r.store.StartTask(r.Context(), r.ws, t.ID, time.Now())
		if err == nil {
			err = work(r.Context(), r.ws, now)
		}
		if err == nil {
			break
		}
		if _, ok := errors.AsType[*task.Later](err); !ok || calls > 1000 {
			r.Fatal(k, err)
		}
		time.Sleep(time.Millisecond)
	}
	if err := r.store.FinishTask(r.Context(), r.ws, t.ID, "", time.Now()); err != nil {
		r.Fatal(err)
	}
	done, err := r.store.GetTask(r.Context(), r.ws, t.ID)
	if err != nil {
		r.Fatal(err)
	}
	return done
}

func (r *rig) reconcile() task.Task {
	r.Helper()
	return r.run(task.Reconciliation, "test", r.recovery.Work)
}

// sync makes the account's campaigns known, also those of which no webhook came.
func (r *rig) sync() {
	r.Helper()
	s := &campaignsync.Sync{Accounts: r.recovery.Accounts, Campaigns: r.store, Tasks: r.store, Now: time.Now, Slice: time.Hour}
	r.run(task.Campaigns, "test", s.Work)
}

// held are the events of contacts that the store holds, and how often each but for its time: several may differ in that alone.
func (r *rig) held() map[string]int {
	r.Helper()
	out := map[string]int{}
	var after *event.Cursor
	for {
		l, err := r.store.ListEvents(r.Context(), r.ws, event.ListParams{Limit: 500, After: after, NoTotal: true})
		if err != nil {
			r.Fatal(err)
		}
		for _, e := range l.Items {
			out[fmt.Sprint(e.ProviderCampaignID, " ", e.Type, " ", e.Class, " ", e.Address, " ", e.Link.ID)]++
			after = &event.Cursor{ID: e.ID}
		}
		if !l.More {
			return out
		}
	}
}

func wanted(t *campaignersim.Truth) map[string]int {
	out := map[string]int{}
	for _, id := range append(t.CampaignIDs(), "") { // and of no campaign
		for _, h := range t.Events(id) {
			out[fmt.Sprint(id, " ", h.Type, " ", h.BounceType, " ", h.Address, " ", h.LinkID)]++
		}
	}
	return out
}

// some are events that have webhooks: a share of them, some doubled, in a disorder.
func (r *rig) some(share float64) (events []int) {
	for i, e := range r.account.Events() {
		if e.Kind.HasWebhook() && r.rnd.Float64() < share {
			events = append(events, i)
			if r.rnd.IntN(8) == 0 {
				events = append(events, i)
			}
		}
	}
	r.rnd.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	return events
}

func seeds() int {
	if os.Getenv("MONTEREY_SOAK") != "" {
		return 60
	}
	if testing.Short() {
		return 2
	}
	return 6
}

// TestRecoverySoak: webhooks dropped, doubled, reordered and late at once, before, while and after recovery runs, and queued
// again afterwards; with faults of the API. What is held is what happened, each event once.
func TestRecoverySoak(t *testing.T) {
	for seed := range seeds() {
		opens := []string{provider.FirstOpens, provider.AllOpens}[seed%2]
		t.Run(fmt.Sprint(seed, " ", opens), func(t *testing.T) {
			skew := []time.Duration{-1, 0, campaignersim.MaxSkew}[seed%3]
			r := newRig(t, campaignersim.Options{Seed: uint64(seed), Campaigns: 5, Recipients: 250, Days: 20, Bounces: -1, Skew: skew}, opens)
			faults := slices.Clone(campaignersim.APIFaults)
			r.rnd.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
			if err := r.api.SetFaults(faults[:r.rnd.IntN(4)]...); err != nil {
				t.Fatal(err)
			}
			r.recovery.Slice = []time.Duration{time.Hour, 0}[r.rnd.IntN(2)] // 0: a call a campaign
			if r.recovery.Slice == 0 {
				r.recovery.Slice = time.Millisecond
			}
			before, during := r.some(0.7), r.some(0.3)
			r.post(before)
			r.sync()
			posted := make(chan struct{})
			go func() {
				defer close(posted)
				r.post(during)
			}()
			r.reconcile()
			<-posted
			r.counted()
			r.reconcile() // what went on while the first ran
			r.counted()
			want := wanted(r.account.RecoveredTruth(slices.Concat(before, during), nil))
			if d := cmp.Diff(want, r.held()); d != "" {
				t.Fatalf("recovered (-want +got):\n%s", d)
			}
			again := r.some(1)
			r.post(again)
			r.counted()
			want = wanted(r.account.RecoveredTruth(slices.Concat(before, during), again))
			if d := cmp.Diff(want, r.held()); d != "" {
				t.Fatalf("queued again (-want +got):\n%s", d)
			}
			r.reconcile()
			if d := cmp.Diff(want, r.held()); d != "" {
				t.Fatalf("reconciled again (-want +got):\n%s", d)
			}
			r.explained()
			if d, err := ingest.Rebuild(t.Context(), r.store, r.ws); err != nil || d.Drifted > 0 {
				t.Errorf("drift %+v: %v", d, err)
			}
		})
	}
}

// explained: all counts are those of the provider, so nothing is left unexplained.
func (r *rig) explained() {
	r.Helper()
	list, err := r.store.ListComparisons(r.Context(), r.ws, nil, page.Params{Number: 1, Size: page.MaxSize})
	if err != nil || len(list.Items) != len(r.account.Campaigns()) {
		r.Fatalf("%d comparisons of %d campaigns: %v", len(list.Items), len(r.account.Campaigns()), err)
	}
	for _, c := range list.Items {
		more := c.Theirs.Minus(c.Ours)
		// They may count other activity too, a double click as two, and who bounced softly twice as two.
		more.Opens, more.Clicks, more.SoftBounces = nil, nil, nil
		more.Each(func(p **int64) {
			if *p != nil && **p != 0 {
				r.Errorf("campaign %s: theirs %s, ours %s", c.ProviderCampaignID, counts(c.Theirs), counts(c.Ours))
			}
		})
		if c.Fault != "" {
			r.Errorf("campaign %s: %s", c.ProviderCampaignID, c.Fault)
		}
	}
}

func counts(c reconciliation.Counts) string {
	text, _ := json.Marshal(c) // cannot fail for numbers
	return string(text)
}

// TestNothingIsFetchedTwice: what is equal is not fetched, and what differs not again by schedule while the provider says the
// same.
func TestNothingIsFetchedTwice(t *testing.T) {
	r := newRig(t, campaignersim.Options{Seed: 3, Campaigns: 3, Recipients: 200, Days: 20, Bounces: -1}, "")
	r.post(r.some(0.5))
	r.counted()
	r.reconcile()
	asked := r.api.Stats().Requests
	k := r.run(task.Reconciliation, task.BySchedule, r.recovery.Work)
	if n := r.api.Stats().Requests - asked; n != len(r.account.Campaigns()) || k.Progress.Inserted != 0 || k.Progress.Fetched != int64(n) {
		t.Errorf("%d requests for %d campaigns, %+v", n, len(r.account.Campaigns()), k.Progress)
	}
}

// TestKilled: a reconciliation that ends while rows wait to be counted goes on with those, and fetches nothing again.
func TestKilled(t *testing.T) {
	r := newRig(t, campaignersim.Options{Seed: 4, Campaigns: 2, Recipients: 200, Days: 20, Bounces: -1}, "")
	r.post(r.some(0.5))
	r.counted()
	k := task.New(task.Reconciliation, task.Params{}, "test", time.Now())
	if err := r.store.CreateTask(t.Context(), r.ws, k); err != nil {
		t.Fatal(err)
	}
	k, err := r.store.StartTask(t.Context(), r.ws, k.ID, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	killed := *r.recovery
	ctx, kill := context.WithCancel(t.Context())
	killed.Deliveries = never{r.store, kill}
	if err := killed.Work(ctx, r.ws, k); err == nil {
		t.Fatal("it was not killed")
	}
	r.counted()
	asked := r.api.Stats().Requests
	if k, err = r.store.GetTask(t.Context(), r.ws, k.ID); err != nil || k.State == nil {
		t.Fatal(err, "no state")
	}
	if err := r.recovery.Work(t.Context(), r.ws, k); err != nil {
		t.Fatal(err)
	}
	if n := r.api.Stats().Requests - asked; n != 0 {
		t.Errorf("%d requests after the kill", n)
	}
	r.explained()
}

// never is a store in which nothing is counted; asking whether it is kills.
type never struct {
	delivery.Store
	kill func()
}

func (n never) GetDelivery(ctx context.Context, _ workspace.Caller, _ delivery.ID) (delivery.Delivery, error) {
	n.kill()
	return delivery.Delivery{}, ctx.Err()
}
