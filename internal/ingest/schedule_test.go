package ingest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"monterey/internal/campaigner"
	"monterey/internal/ingest"
	"monterey/internal/provider"
	"monterey/internal/rollup"
	"monterey/internal/workspace"
)

// another is a second workspace on the rig's store, with a connection whose webhook key is given.
func (r *rig) another(key string) workspace.Caller {
	r.t.Helper()
	now := time.Now()
	w := workspace.Workspace{ID: workspace.NewID(), Name: "Another", Timezone: "UTC", CreatedAt: now, UpdatedAt: now}
	if err := r.store.CreateWorkspace(r.t.Context(), w); err != nil {
		r.t.Fatal(err)
	}
	conn := provider.Connection{ID: provider.ID{UUID: uuid.New()}, Workspace: w.ID, Provider: provider.Campaigner, Timezone: "UTC",
		WebhookMAC: testKeys(r.t).WebhookMAC(key), CreatedAt: now, UpdatedAt: now}
	if err := r.store.CreateConnection(r.t.Context(), workspace.System(w.ID), conn); err != nil {
		r.t.Fatal(err)
	}
	return workspace.System(w.ID)
}

func TestADamagedWorkspaceDelaysNoOther(t *testing.T) {
	r := newRig(t)
	other := r.another("another-key")
	r.post(open(1, "a@x.test", "2026-03-01T10:00:00Z"))
	r.judged()
	r.stop()
	r.spoil("UPDATE rollups SET counts = x'00' WHERE workspace = 1 AND span = 4")
	r.open()
	if _, _, _, err := r.intake.Receive(t.Context(), []byte(`{"key":"another-key","type":"Campaign Opened","email":"b@x.test","opened_at":"2026-03-01T10:00:00Z","campaign_id":1}`)); err != nil {
		t.Fatal(err)
	}
	r.ws = other
	r.start()
	r.counted()
	human := func() (at time.Time) {
		err := r.store.Snapshot(t.Context(), other, func(v rollup.View) (err error) {
			at, err = v.HumanAsOf(t.Context())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for deadline := time.Now().Add(20 * time.Second); human().IsZero(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the other workspace is not judged")
		}
	}
}

func TestDaysAreFoldedThoughSomethingAlwaysWaits(t *testing.T) {
	r := newRig(t)
	r.post(open(1, "a@x.test", "2026-03-01T10:00:00Z"))
	r.counted()
	r.stop()
	r.spoil("DELETE FROM rollups WHERE span = 4") // the rig's own worker may have folded
	r.open()
	t.Cleanup(func() { _ = r.store.Close() }) // nothing is lost with it
	at := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	w := ingest.NewWorker(r.store, campaigner.Webhook{}, ingest.Options{Now: func() time.Time { return at }}) // has never seen an empty inbox
	for _, minutes := range []int{0, 9, 11} {
		at = time.Date(2026, 3, 5, 12, minutes, 0, 0, time.UTC)
		if err := w.Scheduled(t.Context()); err != nil {
			t.Fatal(err)
		}
		if rows := r.lifetimes(); (rows > 0) != (minutes > 10) {
			t.Errorf("after %d minutes there are %d lifetime rows", minutes, rows)
		}
	}
}

// lifetimes is how many lifetime rows there are, of campaigns and of the workspace.
func (r *rig) lifetimes() (n int) {
	r.t.Helper()
	err := r.store.Rewrite(r.t.Context(), r.ws, func(tx ingest.WorkspaceTx) error {
		ids, err := tx.CampaignIDs(r.t.Context())
		for _, id := range append(ids, rollup.Workspace) {
			life := rollup.Stretch{Campaign: id, Span: rollup.Lifetime, To: 1, Bare: true}
			err = errors.Join(err, tx.Rows(r.t.Context(), []rollup.Stretch{life}, func(int, int64, []byte, []byte) error { n++; return nil }))
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}
