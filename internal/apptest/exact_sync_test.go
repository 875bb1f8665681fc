package apptest_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"monterey/internal/apptest"
	"monterey/internal/oracle"
)

// TestExactWithFigures is TestExact of worlds whose campaigns the provider was asked for, before their webhooks came or
// after.
func TestExactWithFigures(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			apptest.OnEach(t, func(t *testing.T, o apptest.Options) { examineWithFigures(t, o, seed) })
		})
	}
}

func examineWithFigures(t *testing.T, o apptest.Options, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 8))
	world := oracle.WithFigures(oracle.Random(rng, 150), rng)
	provider := newFigures(t, world)
	o.Args = []string{"--allow-private-providers"}
	app := apptest.Start(t, o)
	app.MustRunInput("figures-key", "connection", "set", "--allow-private-providers", "--workspace", app.Workspace, "--provider", "campaigner",
		"--api-key-file", "-", "--base-url", provider.URL+"/v1")
	x := newExam(&site{T: t, app: app}, world, rng)
	began := time.Now()
	if seed%2 == 0 {
		x.sync()
	}
	x.report(world)
	if seed%2 == 1 {
		x.sync()
	}
	x.compare()
	x.runs()
	x.names(world, began)
}

// newFigures is a provider that knows the figures of a world: of every other campaign in its list, of the others one by one.
func newFigures(t *testing.T, w oracle.World) *httptest.Server {
	names := map[string]string{"sent": "EmailsSent", "delivered": "Delivered", "opens": "Opens", "clicks": "TotalClicks",
		"unique_clicks": "UniqueClicks", "hard_bounces": "HardBounces", "soft_bounces": "SoftBounces", "complaints": "Complaints", "unsubscribes": "Removes"}
	var list []map[string]any
	one := map[string]map[string]any{}
	for c, figures := range w.Figures {
		row := map[string]any{"CampaignID": c, "Name": "The provider's " + c, "Status": "Sent", "Created": "2024-01-01T00:00:00Z"}
		full := map[string]any{"CampaignID": c, "Name": "The provider's " + c, "Status": "Sent"}
		for name, n := range figures {
			full[names[name]] = n
			if len(figures) == len(names) && len(list)%2 == 0 {
				row[names[name]] = n
			}
		}
		list, one[c] = append(list, row), full
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		id := strings.TrimPrefix(r.URL.Path, "/v1/Campaigns/")
		switch {
		case r.Header.Get("ApiKey") != "figures-key":
			w.WriteHeader(http.StatusUnauthorized)
		case id == "All":
			_ = json.NewEncoder(w).Encode(map[string]any{"PageSize": 100, "TotalRecords": len(list), "Items": list}) // a lost answer is asked for again
		case one[id] != nil:
			_ = json.NewEncoder(w).Encode(one[id]) // as above
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// sync reads the campaigns and waits until that is done.
func (x *exam) sync() {
	x.Helper()
	code, k := x.try("POST", "/email-campaigns/sync", nil, nil)
	if code != http.StatusAccepted || k["kind"] != "campaigns" {
		x.Fatalf("sync: %d %v", code, k)
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		switch k = x.get("/tasks/"+k["task_id"].(string), nil); k["status"] {
		case "succeeded":
			return
		case "failed", "cancelled":
			x.Fatalf("the sync: %v", k)
		}
	}
	x.Fatalf("the sync does not end: %v", k)
}

// runs compares what the runs of each campaign say was sent.
func (x *exam) runs() {
	for _, c := range x.o.Campaigns() {
		var want []string
		for _, r := range x.o.Runs(c) {
			n := any(nil)
			if r.Sent != nil {
				n = float64(*r.Sent)
			}
			want = append(want, fmt.Sprint(zulu(r.Start), " ", n))
		}
		var got []string
		for _, r := range x.pages("/campaign-runs/", url.Values{"campaign_id": {x.ids[c]}}, 2, false) {
			got = append(got, fmt.Sprint(r["started_at"], " ", r["sent"]))
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			x.Errorf("runs of %s: %v, want %v", c, got, want)
		}
	}
}

// names looks at what of a campaign is no number.
func (x *exam) names(w oracle.World, began time.Time) {
	for _, c := range x.rows(x.get("/email-campaigns/", url.Values{"page_size": {"500"}})) {
		id := c["provider_campaign_id"].(string)
		_, known := w.Figures[id]
		if named := c["name"] == "The provider's "+id; named != (known && !x.own[id]) || known && (c["provider_created_at"] != "2024-01-01T00:00:00Z" || c["status"] != "Sent") {
			x.Errorf("campaign %s: %v", id, c)
		}
		reported, _ := x.get("/campaign-statistics/"+c["id"].(string), nil)["provider_reported"].(map[string]any)
		if known && (moment(reported["as_of"]).Before(began) || moment(reported["as_of"]).After(time.Now())) {
			x.Errorf("campaign %s: figures as of %v", id, reported["as_of"])
		}
	}
}
