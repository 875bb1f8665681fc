package ingest_test

import (
	"testing"
	"time"

	"monterey/internal/fault"
)

func TestADeletedWorkspaceTakesNothingIn(t *testing.T) {
	r := newRig(t)
	r.post(open(1, "a@x.test", "2026-03-01T10:00:00Z")) // its key is known now
	if err := r.store.DeleteWorkspace(t.Context(), r.ws.Workspace(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := r.intake.Receive(t.Context(), []byte(open(1, "b@x.test", "2026-03-01T10:00:00Z"))); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("posted to a deleted workspace: %v", err)
	}
}
