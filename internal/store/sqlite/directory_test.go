package sqlite

import (
	"bytes"
	"database/sql"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

var testDay = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

func createWorkspace(t *testing.T, s *Store) workspace.Caller {
	t.Helper()
	w := workspace.Workspace{ID: workspace.NewID(), Name: "Acme", Timezone: "UTC", CreatedAt: testDay, UpdatedAt: testDay}
	if err := s.CreateWorkspace(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	return workspace.System(w.ID)
}

func createCampaign(t *testing.T, s *Store, c workspace.Caller, providerID string) campaign.Campaign {
	t.Helper()
	cm := campaign.Campaign{ID: campaign.NewID(), Name: providerID, Provider: provider.Campaigner, ProviderCampaignID: providerID,
		CreatedAt: testDay, UpdatedAt: testDay}
	if err := s.CreateCampaign(t.Context(), c, cm); err != nil {
		t.Fatal(err)
	}
	return cm
}

// TestDeletedByAnotherProcess: a workspace that another process deletes opens nothing here any more, though its number is
// still remembered.
func TestDeletedByAnotherProcess(t *testing.T) {
	ctx := t.Context()
	s := openMigrated(t)
	c := createWorkspace(t, s)
	key, _ := workspace.NewKey(c.Workspace(), "key", workspace.Admin, testDay)
	conn := provider.Connection{ID: provider.ID{UUID: uuid.Must(uuid.NewV7())}, Provider: provider.Campaigner, Timezone: "UTC",
		WebhookMAC: []byte("mac"), APIKey: []byte("sealed"), CreatedAt: testDay, UpdatedAt: testDay}
	if err := s.CreateKey(ctx, key); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateConnection(ctx, c, conn); err != nil {
		t.Fatal(err)
	}
	createCampaign(t, s, c, "1") // so that its number is remembered

	other, err := Open(s.path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if err := other.DeleteWorkspace(ctx, c.Workspace(), testDay); err != nil {
		t.Fatal(err)
	}

	if _, err := s.KeyByHash(ctx, key.Hash); !fault.Is(err, fault.NotFound) {
		t.Errorf("its key: %v", err)
	}
	if _, err := s.ConnectionByWebhook(ctx, conn.WebhookMAC); !fault.Is(err, fault.NotFound) {
		t.Errorf("its webhook: %v", err)
	}
	if err := s.CreateConnection(ctx, c, conn); !fault.Is(err, fault.NotFound) {
		t.Errorf("a new connection: %v", err)
	}
	var secrets int
	err = s.readers.QueryRowContext(ctx, "SELECT count(*) FROM connections WHERE webhook_mac IS NOT NULL OR api_key IS NOT NULL").Scan(&secrets)
	if err != nil || secrets != 0 {
		t.Errorf("%d deleted connections kept their secrets: %v", secrets, err)
	}
}

// TestWorkspaceKey: each workspace has an identity key of its own, which stays.
func TestWorkspaceKey(t *testing.T) {
	s := openMigrated(t)
	a, errA := s.workspace(t.Context(), createWorkspace(t, s))
	b, errB := s.workspace(t.Context(), createWorkspace(t, s))
	if errA != nil || errB != nil || len(a.key) != 32 || len(b.key) != 32 || bytes.Equal(a.key, b.key) || a.num == b.num {
		t.Errorf("workspaces %v, %v: %v, %v", a, b, errA, errB)
	}
}

// TestNumbersOfWorkspace: campaigns have numbers from 1 in each workspace; one that could not be kept takes none.
func TestNumbersOfWorkspace(t *testing.T) {
	ctx := t.Context()
	s := openMigrated(t)
	for range 2 {
		c := createWorkspace(t, s)
		cms := []campaign.Campaign{createCampaign(t, s, c, "1"), createCampaign(t, s, c, "2")}
		clash := cms[0]
		clash.ID = campaign.NewID()
		if err := s.CreateCampaign(ctx, c, clash); !fault.Is(err, fault.Conflict) {
			t.Fatalf("the same campaign: %v", err)
		}
		cms = append(cms, createCampaign(t, s, c, "3"))
		ws, err := s.workspace(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		err = s.read(ctx, "test", func(tx *sql.Tx) error {
			for i, cm := range cms {
				if num, err := campaignNum(ctx, tx, ws.num, cm.ID); err != nil || num != int64(i+1) {
					t.Errorf("campaign %d has number %d: %v", i+1, num, err)
				}
			}
			if num, err := campaignNum(ctx, tx, ws.num, campaign.ID{}); err != nil || num != 0 {
				t.Errorf("no campaign has number %d: %v", num, err)
			}
			if _, err := campaignNum(ctx, tx, ws.num, campaign.NewID()); !fault.Is(err, fault.NotFound) {
				t.Errorf("an unknown campaign: %v", err)
			}
			all, err := campaignsOf(ctx, tx, ws.num, campaign.Filter{})
			if !slices.EqualFunc(all, cms, func(a, b campaign.Campaign) bool { return a.ID == b.ID }) {
				t.Errorf("campaigns %v", all)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestRunsOf: all of a workspace's runs, or those of some campaigns; no other workspace's.
func TestRunsOf(t *testing.T) {
	ctx := t.Context()
	s := openMigrated(t)
	for range 2 {
		c := createWorkspace(t, s)
		a, b := createCampaign(t, s, c, "a"), createCampaign(t, s, c, "b")
		for i, cm := range []campaign.Campaign{a, b, a} {
			run := campaign.Run{ID: campaign.RunID{UUID: uuid.Must(uuid.NewV7())}, Campaign: cm.ID, StartedAt: testDay.Add(-time.Duration(i) * time.Hour)}
			if err := s.CreateRun(ctx, c, run); err != nil {
				t.Fatal(err)
			}
		}
		ws, err := s.workspace(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []struct {
			campaigns []campaign.ID
			want      []campaign.ID // of the runs, by start
		}{
			{nil, []campaign.ID{a.ID, b.ID, a.ID}},
			{[]campaign.ID{a.ID, campaign.NewID()}, []campaign.ID{a.ID, a.ID}},
			{[]campaign.ID{}, nil},
		} {
			var got []campaign.ID
			err := s.read(ctx, "test", func(tx *sql.Tx) error {
				runs, err := runsOf(ctx, tx, ws.num, x.campaigns)
				for _, r := range runs {
					got = append(got, r.Campaign)
				}
				return err
			})
			if err != nil || !slices.Equal(got, x.want) {
				t.Errorf("runs of %v: %v, %v; want %v", x.campaigns, got, err, x.want)
			}
		}
	}
}
