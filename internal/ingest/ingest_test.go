package ingest_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"monterey/internal/campaigner"
	"monterey/internal/ingest"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/rollup"
	"monterey/internal/store"
	"monterey/internal/store/testdb"
	"monterey/internal/workspace"
)

const webhookKey = "the-webhook-key"

// rig is a store with a workspace, a connection, an intake and a worker that runs until the test ends.
type rig struct {
	t      testing.TB
	db     *testdb.DB
	store  store.Database
	ws     workspace.Caller
	intake *ingest.Intake
	worker *ingest.Worker
	stop   func()
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, db: testdb.New(t)}
	r.setUp()
	r.start()
	return r
}

// setUp opens the database and makes a workspace with a connection.
func (r *rig) setUp() {
	t := r.t
	t.Helper()
	r.open()
	ctx := t.Context()
	now := time.Now()
	w := workspace.Workspace{ID: workspace.NewID(), Name: "Test", Timezone: "UTC", CreatedAt: now, UpdatedAt: now}
	if err := r.store.CreateWorkspace(ctx, w); err != nil {
		t.Fatal(err)
	}
	r.ws = workspace.System(w.ID)
	keys := testKeys(t)
	conn := provider.Connection{ID: provider.ID{UUID: uuid.New()}, Workspace: w.ID, Provider: provider.Campaigner, Timezone: "UTC",
		WebhookMAC: keys.WebhookMAC(webhookKey), CreatedAt: now, UpdatedAt: now}
	if err := r.store.CreateConnection(ctx, r.ws, conn); err != nil {
		t.Fatal(err)
	}
}

func testKeys(t testing.TB) *provider.Keys {
	keys, err := provider.NewKeys([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// open opens the database without counting.
func (r *rig) open() {
	r.t.Helper()
	s := r.db.Open()
	r.store = s
	r.intake = ingest.NewIntake(s, s, testKeys(r.t), campaigner.Webhook{}, time.Now)
	r.worker = ingest.NewWorker(s, campaigner.Webhook{}, ingest.Options{Linger: 20 * time.Millisecond})
}

// start counts until the rig is closed.
func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.worker.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
		if err := r.store.Close(); err != nil {
			r.t.Error(err)
		}
		r.stop = func() {}
	}
	r.t.Cleanup(func() { r.stop() })
}

func (r *rig) post(objects ...string) {
	r.t.Helper()
	if _, _, _, err := r.intake.Receive(r.t.Context(), []byte(strings.Join(objects, "\n"))); err != nil {
		r.t.Fatal(err)
	}
}

// counted waits until everything posted is counted.
func (r *rig) counted() {
	r.t.Helper()
	posted := time.Now()
	for deadline := posted.Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		asOf, err := r.store.AsOf(r.t.Context(), r.ws)
		if err != nil {
			r.t.Fatal(err)
		}
		if asOf.After(posted) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("not counted: as of %s, posted %s, ready: %v", asOf, posted, r.worker.Ready())
		}
	}
}

// totals are the worker's once it has received so many objects: it adds them up a moment after they are counted.
func (r *rig) totals(received uint64) ingest.Totals {
	for deadline := time.Now().Add(5 * time.Second); r.worker.Totals().Received < received && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	return r.worker.Totals()
}

func (r *rig) statistics(ref string) rollup.Statistics {
	r.t.Helper()
	var out rollup.Statistics
	err := r.store.Snapshot(r.t.Context(), r.ws, func(v rollup.View) error {
		l, err := rollup.List(r.t.Context(), v, rollup.ListParams{Params: page.Params{Number: 1, Size: 50}})
		for _, s := range l.Items {
			if *s.ProviderCampaignID == ref {
				out = s
			}
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func click(campaign int, address, at string, link int) string {
	return fmt.Sprintf(`{"key":%q,"type":"Campaign Clicked","email":%q,"clicked_on":%q,"campaign_id":%d,"url_id":%d,"click_url":"https://x.test/%d","ip":"192.0.2.1"}`,
		webhookKey, address, at, campaign, link, link)
}

func open(campaign int, address, at string) string {
	return fmt.Sprintf(`{"key":%q,"type":"Campaign Opened","email":%q,"opened_at":%q,"campaign_id":%d,"ip":"192.0.2.1"}`, webhookKey, address, at, campaign)
}

func TestReplayedWebhooksMoveNothing(t *testing.T) {
	r := newRig(t)
	objects := []string{
		open(1, "Ann@x.test", "2026-03-01T10:00:00Z"), open(1, "ann@x.test ", "2026-03-01T10:00:00.7Z"), // the same
		open(1, "bob@x.test", "2026-03-01T10:00:00Z"),
		click(1, "ann@x.test", "2026-03-01T10:00:05Z", 1), click(1, "ann@x.test", "2026-03-01T10:00:05Z", 2),
	}
	for range 20 {
		r.post(objects...)
	}
	r.counted()
	got := r.statistics("1")
	if got.Opens != 2 || got.UniqueOpens != 2 || got.Clicks != 2 || got.UniqueClicks != 1 {
		t.Errorf("got %+v", got)
	}
	if n := r.totals(100); n.Received != 100 || n.Inserted != 4 || n.Duplicate != 96 {
		t.Errorf("totals %+v", n)
	}
}

// spoil changes the main file behind the store's back.
func (r *rig) spoil(statement string) {
	r.t.Helper()
	db, err := sql.Open("sqlite", r.db.SQLiteFile())
	if err != nil {
		r.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		r.t.Fatal(err)
	}
}

// TestTheKeyIsNotKept: wherever a body carries the webhook key, what is kept of the body does not.
func TestTheKeyIsNotKept(t *testing.T) {
	r := newRig(t)
	r.post(`{"key":"the-webhook-key","Key":"the-webhook-key","type":"Campaign Opened","email":"a@x.test","opened_at":"2026-03-01T10:00:00Z","campaign_id":1,` +
		`"custom_fields":{"key":"the-webhook-key","note":"the-webhook-keys are secret"}}`)
	r.counted()
	if got := r.statistics("1"); got.Opens != 1 {
		t.Errorf("got %+v", got)
	}
	list, err := r.store.ListDeliveries(t.Context(), r.ws, nil, page.Params{Number: 1, Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	err = r.store.Rewrite(t.Context(), r.ws, func(tx ingest.WorkspaceTx) error {
		_, raw, err := tx.Delivery(t.Context(), list.Items[0].ID)
		if strings.Contains(string(raw), `"the-webhook-key"`) || !strings.Contains(string(raw), "the-webhook-keys are secret") {
			t.Errorf("kept: %s", raw)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAKeyThatMeansSomething: blanking a key that is the name of a field, a type or an address costs no event.
func TestAKeyThatMeansSomething(t *testing.T) {
	for _, key := range []string{"email", "type", "campaign_id", "Campaign Opened", "a@x.test", "2026-03-01T10:00:00Z"} {
		r := newRig(t)
		ws := r.another(key)
		body := fmt.Sprintf(`{"key":%q,"type":"Campaign Opened","email":"a@x.test","opened_at":"2026-03-01T10:00:00Z","campaign_id":1}`, key)
		if _, _, _, err := r.intake.Receive(t.Context(), []byte(body)); err != nil {
			t.Fatal(err)
		}
		r.ws = ws
		r.counted()
		if got := r.statistics("1"); got.Opens != 1 {
			t.Errorf("with the key %q: %d opens, totals %+v", key, got.Opens, r.worker.Totals())
		}
	}
}
