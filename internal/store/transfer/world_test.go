package transfer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"monterey/internal/account"
	"monterey/internal/bounce"
	"monterey/internal/campaigner"
	"monterey/internal/ingest"
	"monterey/internal/oracle"
	"monterey/internal/provider"
	"monterey/internal/store/sqlite"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// world is a SQLite database that random webhooks of two workspaces were counted into, and some wait in.
type world struct {
	t   testing.TB
	dir string
	*rand.Rand
	s       *sqlite.Store
	keys    *provider.Keys
	waiting int            // deliveries
	tasks   []task.ID      // unfinished
	spaces  []workspace.ID // the living
	intake  *ingest.Intake // while it is open
}

// newWorld makes one of about so many events a workspace, and closes it.
func newWorld(t *testing.T, seed uint64, size int) *world {
	t.Helper()
	keys, err := provider.NewKeys([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), Rand: rand.New(rand.NewPCG(seed, 3)), keys: keys}
	w.open()
	for i := range 3 {
		w.space(i)
	}
	for i := range 3 {
		w.post(i, oracle.Random(w.Rand, size))
	}
	w.count()
	w.ok(w.s.DeleteWorkspace(t.Context(), w.spaces[2], time.Now()))
	w.spaces = w.spaces[:2]
	w.post(0, oracle.Random(w.Rand, size/10)) // waits, and so does more that came to a server after this one
	w.close()
	w.open()
	w.post(1, oracle.Random(w.Rand, size/10))
	w.close()
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open() {
	w.t.Helper()
	var err error
	w.s, err = sqlite.Open(filepath.Join(w.dir, "monterey.db"), time.Now)
	w.ok(err)
	_, _, err = w.s.Migrate(w.t.Context())
	w.ok(err)
	w.ok(w.s.OpenInbox(w.t.Context(), filepath.Join(w.dir, sqlite.InboxFile), sqlite.InboxOptions{}))
	w.intake = ingest.NewIntake(w.s, w.s, w.keys, campaigner.Webhook{}, time.Now)
}

func (w *world) close() {
	w.t.Helper()
	w.ok(w.s.Close())
}

func webhookKey(i int) string { return fmt.Sprint("webhook-key-", i) }

// space makes a workspace with all that people set up.
func (w *world) space(i int) {
	w.t.Helper()
	ctx, now := w.t.Context(), time.Now()
	ws := workspace.Workspace{ID: workspace.NewID(), Name: fmt.Sprint("Wörkspace ", i), Timezone: "Europe/Berlin", CreatedAt: now, UpdatedAt: now}
	w.ok(w.s.CreateWorkspace(ctx, ws))
	w.spaces = append(w.spaces, ws.ID)
	c := workspace.System(ws.ID)
	w.ok(w.s.CreateConnection(ctx, c, provider.Connection{ID: provider.ID{UUID: uuid.New()}, Workspace: ws.ID, Provider: provider.Campaigner, Timezone: "UTC",
		WebhookMAC: w.keys.WebhookMAC(webhookKey(i)), APIKey: w.keys.Seal("the api key"), SyncSchedule: "15 3 * * *", CreatedAt: now, UpdatedAt: now}))
	k, _ := workspace.NewKey(ws.ID, "key", workspace.Admin, now)
	w.ok(w.s.CreateKey(ctx, k))
	u := workspace.User{ID: workspace.UserID{UUID: uuid.New()}, Email: fmt.Sprintf("u%d@x.test", i), DisplayName: "Ü", PlatformAdmin: i == 0, CreatedAt: now}
	w.ok(w.s.PutUser(ctx, u))
	_, err := w.s.AddMember(ctx, c, u.ID, workspace.Editor, now)
	w.ok(err)
	for n, kind := range []task.Kind{task.Backfill, task.Campaigns, task.Reconciliation} {
		tk := task.New(kind, task.Params{Full: true}, "test", now)
		w.ok(w.s.CreateTask(ctx, c, tk))
		if n == 0 {
			w.ok(w.s.FinishTask(ctx, c, tk.ID, "it failed", now))
			continue
		}
		if n == 1 {
			_, err := w.s.StartTask(ctx, c, tk.ID, now)
			w.ok(err)
			w.ok(w.s.SaveStep(ctx, c, task.Step{Task: tk.ID, State: []byte(`{"page":3}`)}))
		}
		if i < 2 {
			w.tasks = append(w.tasks, tk.ID)
		}
	}
	_, err = w.s.ImportAccounts(ctx, c, func(yield func(account.Entry, error) bool) {
		for n := range 50 {
			if !yield(account.Entry{Number: fmt.Sprint(n), Address: fmt.Sprintf("p%d@x.test", n/2)}, nil) {
				return
			}
		}
	}, i == 1)
	w.ok(err)
	var rows []bounce.Historical
	for n := range 40 {
		rows = append(rows, bounce.Historical{ProviderEventID: fmt.Sprint(n), Address: fmt.Sprintf("p%d@x.test", n/3), Class: bounce.Classes[n%len(bounce.Classes)],
			OccurredAt: now.Add(-time.Duration(n*n) * time.Hour), Detail: bounce.Detail{Reason: "550 5.1.1 né"}, Status: "Active"})
	}
	_, err = w.s.PutBounces(ctx, c, provider.Campaigner, rows)
	w.ok(err)
}

// post takes webhooks in, some that cannot be read among them.
func (w *world) post(i int, what oracle.World) {
	w.t.Helper()
	objects := oracle.Webhooks(what, w.Rand)
	for n := range 5 {
		objects = append(objects, []byte(fmt.Sprintf(`{"type":"Campaign Opened","email":"a%d@x.test","opened_at":"never","campaign_id":1}`, n)))
	}
	for _, b := range oracle.Bodies(objects, webhookKey(i), w.Rand) {
		_, _, _, err := w.intake.Receive(w.t.Context(), b)
		w.ok(err)
		w.waiting++
	}
}

// count counts what waits.
func (w *world) count() {
	w.t.Helper()
	worker := ingest.NewWorker(w.s, campaigner.Webhook{}, ingest.Options{Linger: time.Millisecond, BatchObjects: 200})
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	for {
		n, _, err := w.s.Waiting(ctx)
		w.ok(err)
		if n == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.ok(worker.Scheduled(ctx))
	cancel()
	w.ok(<-ended)
	w.waiting = 0
}
