package apptest_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"monterey/internal/apptest"
	"monterey/internal/campaigner/campaignersim"
)

// TestHolesAreFilled drops three webhooks in ten, doubles and shuffles the rest, lets the real program read the simulated
// account, queues everything again, and compares all statistics but the human ones with what happened.
func TestHolesAreFilled(t *testing.T) { apptest.OnEach(t, testHolesAreFilled) }

func testHolesAreFilled(t *testing.T, o apptest.Options) {
	account := campaignersim.NewAccount(campaignersim.Options{Seed: 11, Campaigns: 6, Recipients: 400, Days: 25, Bounces: -1})
	api := campaignersim.NewServer(account, "sim-key")
	api.Now = func() time.Time { return account.Options().Now }
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	o.Args = []string{"--allow-private-providers", "--provider-rate", "0"}
	app := apptest.Start(t, o)
	app.MustRunInput("sim-key", "connection", "set", "--allow-private-providers", "--workspace", app.Workspace, "--provider", "campaigner",
		"--api-key-file", "-", "--base-url", server.URL+"/v1")
	rnd := rand.New(rand.NewPCG(11, 11))
	some := func(share float64) (events []int) {
		for i, e := range account.Events() {
			if !e.Kind.HasWebhook() || rnd.Float64() >= share {
				continue
			}
			for range 1 + rnd.IntN(8)/7 {
				events = append(events, i)
			}
		}
		rnd.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		return events
	}
	postAll := func(events []int) {
		for part := range slices.Chunk(events, 50) {
			var body []byte
			for _, i := range part {
				body = append(account.AppendWebhook(body, account.Events()[i], apptest.WebhookKey), '\n')
			}
			if status, _, err := app.Post(body); err != nil || status != http.StatusAccepted {
				t.Fatal(status, err)
			}
		}
		app.WaitCounted(time.Minute)
	}
	before := some(0.7)
	postAll(before)
	runTask(t, app, "/email-campaigns/sync")
	runTask(t, app, "/reconciliation/")
	sameStatistics(t, app, "recovered", account.RecoveredTruth(before, nil))
	again := some(1)
	postAll(again)
	sameStatistics(t, app, "queued again", account.RecoveredTruth(before, again))
	runTask(t, app, "/reconciliation/")
	sameStatistics(t, app, "reconciled again", account.RecoveredTruth(before, again))

	var list struct {
		Total int64            `json:"total"`
		Items []map[string]any `json:"items"`
	}
	app.Get(&list, "/reconciliation/")
	if int(list.Total) != len(account.Campaigns()) {
		t.Errorf("%d comparisons of %d campaigns", list.Total, len(account.Campaigns()))
	}
	for _, c := range list.Items {
		if hard := c["unexplained"].(map[string]any)["hard_bounces"]; hard != 0.0 || c["error"] != nil {
			t.Errorf("unexplained: %v", c)
		}
	}
}

// runTask starts a task and waits until it has succeeded.
func runTask(t *testing.T, app *apptest.App, path string) {
	t.Helper()
	got, err := app.Ask("POST", path, nil)
	var k struct {
		TaskID string          `json:"task_id"`
		Status string          `json:"status"`
		Error  json.RawMessage `json:"error"`
	}
	if err != nil || got.Status != 202 || json.Unmarshal(got.Body, &k) != nil {
		t.Fatalf("POST %s: %v %d %s", path, err, got.Status, got.Body)
	}
	for end := time.Now().Add(time.Minute); k.Status == "queued" || k.Status == "running"; time.Sleep(20 * time.Millisecond) {
		if app.Get(&k, "/tasks/"+k.TaskID); time.Now().After(end) {
			t.Fatalf("the task does not end")
		}
	}
	if k.Status != "succeeded" {
		t.Fatalf("%s: %s: %s", path, k.Status, k.Error)
	}
}

func sameStatistics(t *testing.T, app *apptest.App, when string, truth *campaignersim.Truth) {
	t.Helper()
	var list struct {
		Items []map[string]any `json:"items"`
	}
	app.Get(&list, "/campaign-statistics/", "page_size", "500")
	for _, id := range truth.CampaignIDs() {
		i := slices.IndexFunc(list.Items, func(s map[string]any) bool { return s["provider_campaign_id"] == id })
		if i < 0 {
			t.Errorf("%s: campaign %s is not there", when, id)
			continue
		}
		var want map[string]any
		text, _ := json.Marshal(truth.Statistics(id, time.Time{}, time.Time{})) // cannot fail
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		for field, w := range want {
			got := list.Items[i][field]
			if field == "sent" || strings.Contains(field, "human") || w == nil {
				continue // sent is of runs; of recovered events less is known of who acted
			}
			if fmt.Sprint(got) != fmt.Sprint(w) {
				t.Errorf("%s: campaign %s: %s is %v, want %v", when, id, field, got, w)
			}
		}
	}
}
