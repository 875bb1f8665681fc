package backfill_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"monterey/internal/backfill"
	"monterey/internal/bounce"
	"monterey/internal/campaigner"
	"monterey/internal/campaigner/campaignersim"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/store"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// zone is what times without a zone are in: one whose clocks do not change, as an hour that comes twice cannot be told apart.
const zone = "Asia/Kathmandu"

// clock goes on only when somebody sleeps: no test waits.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return ctx.Err()
}

// rig is a workspace that is connected to a simulated account.
type rig struct {
	*testing.T
	store   store.Database
	caller  workspace.Caller
	conn    provider.Connection
	account *campaignersim.Account
	sim     *campaignersim.Server
	clock   *clock
	work    *backfill.Backfill
	runner  *task.Runner
	notes   []string

	mu      sync.Mutex
	asked   []string                            // paths and queries
	tamper  func(path string, o map[string]any) // changes the objects of answers
	replace func(w http.ResponseWriter, r *http.Request) bool
	killAt  int // the context of work ends at the request of this number; 0 = never
	kill    context.CancelFunc
}

// newRig is a rig with so many bounces from before its campaigns, and some hundred of its campaigns.
func newRig(t *testing.T, s store.Database, seed uint64, bounces int) *rig {
	t.Helper()
	in, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, store: s, clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	r.account = campaignersim.NewAccount(campaignersim.Options{Seed: seed, Now: r.clock.now(), Campaigns: 3, Recipients: 500, Days: 20, Bounces: bounces,
		Forms: campaignersim.Forms{Zone: in}})
	r.sim = campaignersim.NewServer(r.account, "key")
	r.sim.Seed, r.sim.Now = seed, r.clock.now
	r.sim.Sleep = func(ctx context.Context, d time.Duration) { _ = r.clock.sleep(ctx, d) } // the request has gone
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)

	keys, err := provider.NewKeys(provider.NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	w := workspace.Workspace{ID: workspace.NewID(), Name: t.Name(), Timezone: "UTC", CreatedAt: r.clock.now(), UpdatedAt: r.clock.now()}
	r.caller = workspace.System(w.ID)
	r.conn = provider.Connection{ID: provider.ID{UUID: uuid.New()}, Workspace: w.ID, Provider: provider.Campaigner, Timezone: zone, BaseURL: server.URL + "/v1",
		APIKey: keys.Seal("key"), CreatedAt: r.clock.now(), UpdatedAt: r.clock.now()}
	if err := errors.Join(s.CreateWorkspace(t.Context(), w), s.CreateConnection(t.Context(), r.caller, r.conn)); err != nil {
		t.Fatal(err)
	}
	note := func(_ task.Task, what string, err error) { r.notes = append(r.notes, what+": "+err.Error()) }
	r.work = &backfill.Backfill{Bounces: s, Tasks: s, Now: r.clock.now, Slice: time.Hour, Note: note,
		Accounts: &campaigner.Accounts{Connections: s, Keys: keys, Limits: campaigner.NewLimits(0, 0), AllowPrivate: true, Now: r.clock.now, Sleep: r.clock.sleep}}
	r.runner = &task.Runner{Store: s, Work: map[task.Kind]task.Work{task.Backfill: r.work.Work}, Now: r.clock.now, Watch: time.Hour, Note: note}
	return r
}

// ServeHTTP is the simulated account, with what the test changes of it.
func (r *rig) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.asked = append(r.asked, req.URL.RequestURI())
	if r.killAt == len(r.asked) {
		r.kill()
	}
	tamper, replace := r.tamper, r.replace
	r.mu.Unlock()
	switch {
	case replace != nil && replace(w, req):
	case tamper != nil:
		got := httptest.NewRecorder()
		r.sim.ServeHTTP(got, req)
		var o map[string]any
		if err := json.Unmarshal(got.Body.Bytes(), &o); err != nil {
			w.WriteHeader(got.Code) // a refusal without a body
			return
		}
		tamper(req.URL.Path, o)
		text, _ := json.Marshal(o) // it was JSON
		w.Header().Set("Date", got.Header().Get("Date"))
		w.WriteHeader(got.Code)
		_, _ = w.Write(text) // who asked has gone
	default:
		r.sim.ServeHTTP(w, req)
	}
}

// requests are those that came since the last call.
func (r *rig) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

func (r *rig) create(p task.Params) task.ID {
	r.Helper()
	t := task.New(task.Backfill, p, "test", r.clock.now())
	if err := r.store.CreateTask(r.Context(), r.caller, t); err != nil {
		r.Fatal(err)
	}
	return t.ID
}

// once calls the runner once, which ends at the request of this number (0 = not); ended says whether the task has.
func (r *rig) once(id task.ID, killAt int) (ended bool) {
	r.Helper()
	ctx, kill := context.WithCancel(r.Context())
	defer kill()
	r.mu.Lock()
	r.kill, r.killAt, r.asked = kill, killAt, nil
	r.mu.Unlock()
	err := r.runner.Run(ctx, r.caller.Workspace(), id)
	_, later := errors.AsType[*task.Later](err)
	if err != nil && !later && (!errors.Is(err, context.Canceled) || ctx.Err() == nil) {
		r.Fatal(err)
	}
	return err == nil
}

func (r *rig) task(id task.ID) task.Task {
	r.Helper()
	t, err := r.store.GetTask(r.Context(), r.caller, id)
	if err != nil {
		r.Fatal(err)
	}
	return t
}

// backfill does a backfill to its end, and sees that its sums are right.
func (r *rig) backfill(p task.Params) task.Task {
	r.Helper()
	id := r.create(p)
	for !r.once(id, 0) {
	}
	return r.ended(id)
}

// ended is a task that has ended.
func (r *rig) ended(id task.ID) task.Task {
	r.Helper()
	t := r.task(id)
	g := t.Progress
	if !t.Status.Ended() || g.Fetched != g.Inserted+g.Updated+g.Unchanged+g.Unreadable {
		r.Fatalf("%s with sums that are wrong: %+v", t.Status, g)
	}
	return t
}

func (r *rig) succeeds(p task.Params) task.Task {
	r.Helper()
	t := r.backfill(p)
	if t.Status != task.Succeeded {
		r.Fatalf("%s: %s", t.Status, t.Error)
	}
	return t
}

// fact is what of a bounce must be exact.
type fact struct {
	Address, Reason, Code string
	At                    time.Time
	Class                 bounce.Class
}

// truth is the account's history by id.
func (r *rig) truth() map[string]fact {
	out := map[string]fact{}
	for b := range r.account.Bounces() {
		class := bounce.Soft
		if b.Kind == campaignersim.HardBounce {
			class = bounce.Hard
		}
		out[strconv.FormatInt(b.ID, 10)] = fact{recipient.Normalise(b.Address), b.Reason, strconv.Itoa(b.NDRCode), b.At.UTC().Truncate(time.Second), class}
	}
	return out
}

// held is what the store has.
func (r *rig) held() map[string]fact {
	r.Helper()
	list, err := r.store.ListBounces(r.Context(), r.caller, bounce.ListParams{Limit: 1 << 20})
	if err != nil {
		r.Fatal(err)
	}
	out := map[string]fact{}
	for _, b := range list.Items {
		out[b.ProviderEventID] = fact{b.Address, b.Detail.Reason, b.Detail.Code, b.OccurredAt, b.Class}
	}
	if len(out) != len(list.Items) {
		r.Errorf("%d rows are of %d ids", len(list.Items), len(out))
	}
	return out
}

// exact sees that the store has the account's history and nothing else. Where rows lack fields, the texts may be absent.
func (r *rig) exact(lacking bool) {
	r.Helper()
	want, got := r.truth(), r.held()
	if lacking {
		for id, b := range got {
			w := want[id]
			if b.Reason == "" {
				w.Reason = ""
			}
			if b.Code == "" {
				w.Code = ""
			}
			if want[id].At.IsZero() {
				continue // it is none of the account's
			}
			want[id] = w
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.Fatalf("%d bounces are stored, want %d (-want +got):\n%.2000s", len(got), len(want), diff)
	}
}
