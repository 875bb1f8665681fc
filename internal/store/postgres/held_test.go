package postgres

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/provider"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// TestReadThenWrite: who decides by what it reads does not overwrite what another was just writing, but waits and then reads that.
func TestReadThenWrite(t *testing.T) {
	ctx := t.Context()
	s := openMigrated(t)
	id := workspace.NewID()
	if err := s.CreateWorkspace(ctx, workspace.Workspace{ID: id, Name: "one", Timezone: "UTC"}); err != nil {
		t.Fatal(err)
	}
	c := workspace.System(id)
	ws, err := s.workspace(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	// during runs first in a transaction that is not over until second waits for it.
	during := func(t *testing.T, first func(pgx.Tx) error, second func() error) error {
		t.Helper()
		result := make(chan error, 1)
		err := s.write(ctx, "first", func(tx pgx.Tx) error {
			if err := first(tx); err != nil {
				return err
			}
			go func() { result <- second() }()
			awaitRow(t, s, "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return <-result
	}
	newTask := func(t *testing.T) task.ID {
		t.Helper()
		k := task.New(task.Campaigns, task.Params{}, "Ann", time.Now())
		if err := s.CreateTask(ctx, c, k); err != nil {
			t.Fatal(err)
		}
		return k.ID
	}
	put := func(k task.ID, rows ...campaign.Reported) (got campaign.Upserted, err error) {
		err = s.PutReported(ctx, c, provider.Campaigner, rows, time.Now(), func(u campaign.Upserted) (task.Step, error) {
			got = u
			return task.Step{Task: k}, nil
		})
		return got, err
	}

	t.Run("a campaign that is renamed", func(t *testing.T) {
		cm := campaign.Campaign{ID: campaign.NewID(), Name: "1", Provider: provider.Campaigner, ProviderCampaignID: "1", Discovered: true}
		if err := s.CreateCampaign(ctx, c, cm); err != nil {
			t.Fatal(err)
		}
		k := newTask(t)
		cm.Rename("mine")
		err := during(t, func(tx pgx.Tx) error {
			var b pgx.Batch
			updateCampaign(&b, ws.num, cm)
			return tx.SendBatch(ctx, &b).Close()
		}, func() error {
			_, err := put(k, campaign.Reported{ProviderCampaignID: "1", Name: "theirs", Status: "Sent"})
			return err
		})
		got, getErr := s.GetCampaign(ctx, c, cm.ID)
		if err != nil || getErr != nil || got.Name != "mine" || got.Status != "Sent" {
			t.Errorf("it is called %q and is %q, want mine and Sent: %v, %v", got.Name, got.Status, err, getErr)
		}
		if err := s.FinishTask(ctx, c, k, "", time.Now()); err != nil {
			t.Error(err)
		}
	})

	t.Run("a campaign that is made", func(t *testing.T) {
		k := newTask(t)
		var got campaign.Upserted
		err := during(t, func(tx pgx.Tx) error {
			num, err := nextCampaigns(ctx, tx, ws.num, 1)
			var b pgx.Batch
			insertCampaign(&b, ws.num, num, campaign.Campaign{ID: campaign.NewID(), Name: "2", Provider: provider.Campaigner, ProviderCampaignID: "2"})
			if err != nil {
				return err
			}
			return tx.SendBatch(ctx, &b).Close()
		}, func() (err error) {
			got, err = put(k, campaign.Reported{ProviderCampaignID: "2", Name: "theirs"}, campaign.Reported{ProviderCampaignID: "3"}, campaign.Reported{ProviderCampaignID: "3"})
			return err
		})
		if want := (campaign.Upserted{Inserted: 1, Updated: 1, Unchanged: 1}); err != nil || got != want {
			t.Errorf("got %+v, want %+v: %v", got, want, err)
		}
		if err := s.FinishTask(ctx, c, k, "", time.Now()); err != nil {
			t.Error(err)
		}
	})

	t.Run("a task that is cancelled", func(t *testing.T) {
		k := newTask(t)
		err := during(t, func(tx pgx.Tx) error {
			_, err := changeTaskIn(ctx, tx, ws.num, k, "status = 'cancelled'")
			return err
		}, func() error { return s.FinishTask(ctx, c, k, "", time.Now()) })
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("to finish it: %v, want a conflict", err)
		}
	})

	t.Run("a workspace that is deleted", func(t *testing.T) {
		conn := provider.Connection{ID: provider.ID{UUID: uuid.New()}, Workspace: id, Provider: provider.Campaigner, WebhookMAC: []byte("mac")}
		err := during(t, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE workspaces SET deleted_at = 1 WHERE num = $1", ws.num)
			return err
		}, func() error { return s.CreateConnection(ctx, c, conn) })
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("to make a connection there: %v, want that there is no such workspace", err)
		}
		exec(t, s, "UPDATE workspaces SET deleted_at = 0")
		err = during(t, func(tx pgx.Tx) error {
			_, err := heldWorkspace(ctx, tx, id)
			return err
		}, func() error { return s.DeleteWorkspace(ctx, id, time.Now()) })
		if err != nil {
			t.Error(err)
		}
	})
}
