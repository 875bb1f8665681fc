package ingest_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

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
	if err := r.worker.Scheduled(t.Context()); err == nil {
		t.Error("the damage is not told")
	}
	var human time.Time
	err := r.store.Snapshot(t.Context(), other, func(v rollup.View) (err error) {
		human, err = v.HumanAsOf(t.Context())
		return err
	})
	if err != nil || human.IsZero() {
		t.Errorf("the other workspace is judged up to %s: %v", human, err)
	}
}
