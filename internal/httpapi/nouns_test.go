package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	validator "github.com/pb33f/libopenapi-validator"

	"monterey/internal/auth"
	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/provider"
	"monterey/internal/store"
	"monterey/internal/store/testdb"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// site is the API on a real store. What it answers is checked against the OpenAPI document.
type site struct {
	*testing.T
	http  http.Handler
	store store.Database
	valid validator.Validator
}

func openSite(t *testing.T, change func(*Config)) *site {
	t.Helper()
	store := testdb.Open(t)
	keys, err := provider.NewKeys(provider.NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	who, err := auth.New(t.Context(), auth.Config{Store: store, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Auth: who, Workspaces: store, Connections: store, Campaigns: store, Bounces: store,
		Statistics: store, Suppressions: store, Tasks: store, Comparisons: store, Accounts: store, Deliveries: still{}, Keys: keys}
	if change != nil {
		change(&cfg)
	}
	return &site{T: t, http: New(cfg), store: store, valid: newValidator(t)}
}

// still has counted everything.
type still struct{ delivery.Store }

func (still) AsOf(context.Context, workspace.Caller) (time.Time, error) { return time.Now(), nil }

// client asks as the owner of a key.
type client struct {
	*site
	token string
	ws    workspace.ID // zero = the request names none
}

// newWorkspace makes a workspace, and a client with a key of it.
func (s *site) newWorkspace(name string, role workspace.Role) client {
	s.Helper()
	now := time.Now().UTC()
	w := workspace.Workspace{ID: workspace.NewID(), Name: name, Timezone: "Europe/Paris", CreatedAt: now, UpdatedAt: now}
	if err := s.store.CreateWorkspace(s.Context(), w); err != nil {
		s.Fatal(err)
	}
	return s.key(w.ID, role)
}

func (s *site) key(ws workspace.ID, role workspace.Role) client {
	s.Helper()
	k, token := workspace.NewKey(ws, "test", role, time.Now().UTC())
	k.PlatformAdmin = role == workspace.PlatformAdmin
	if err := s.store.CreateKey(s.Context(), k); err != nil {
		s.Fatal(err)
	}
	return client{site: s, token: token}
}

// do sends a request and gives the answer, which must have the status.
func (c client) do(status int, method, target string, body any) map[string]any {
	c.Helper()
	var sent []byte
	if body != nil {
		sent, _ = json.Marshal(body)
	}
	r := httptest.NewRequest(method, target, bytes.NewReader(sent))
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	if c.ws != (workspace.ID{}) {
		r.Header.Set("workspace_id", c.ws.String())
	}
	w := httptest.NewRecorder()
	c.http.ServeHTTP(w, r)
	if w.Code != status {
		c.Fatalf("%s %s %s: %d, want %d: %s", method, target, sent, w.Code, status, w.Body)
	}
	text := w.Body.String()
	if ok, errs := c.valid.ValidateHttpResponse(r, w.Result()); !ok {
		for _, e := range errs {
			c.Errorf("%s %s: not what the document says: %v %v\n%s", method, target, e, e.SchemaValidationErrors, text)
		}
	}
	var out map[string]any
	if text != "" && strings.HasPrefix(w.Header().Get("Content-Type"), "application/") {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			c.Fatalf("%s %s: %v: %s", method, target, err, text)
		}
	}
	return out
}

// items are the rows of a list.
func (c client) items(target string) []any {
	c.Helper()
	return c.do(200, "GET", target, nil)["items"].([]any)
}

func TestWorkspaces(t *testing.T) {
	s := openSite(t, nil)
	root, alice := s.key(workspace.ID{}, workspace.PlatformAdmin), s.newWorkspace("Alice's", workspace.Admin)
	made := root.do(201, "POST", "/workspaces/", map[string]any{"name": " Bob's "})
	path := "/workspaces/" + made["id"].(string)
	if made["name"] != "Bob's" || made["timezone"] != "UTC" {
		t.Errorf("made %v", made)
	}
	if got := root.do(200, "PUT", path, map[string]any{"timezone": "Asia/Tokyo"}); got["name"] != "Bob's" || got["timezone"] != "Asia/Tokyo" {
		t.Errorf("changed to %v", got)
	}
	if got := root.do(200, "GET", path, nil); got["timezone"] != "Asia/Tokyo" {
		t.Errorf("kept %v", got)
	}
	if n := len(root.items("/workspaces/")); n != 2 {
		t.Errorf("the platform admin sees %d workspaces", n)
	}
	if n := len(alice.items("/workspaces/?sort=-created_at")); n != 1 {
		t.Errorf("Alice sees %d workspaces", n)
	}
	alice.do(403, "GET", path, nil)
	alice.do(403, "POST", "/workspaces/", map[string]any{"name": "x"})
	root.do(204, "DELETE", path, nil)
	root.do(404, "GET", path, nil)
	root.do(404, "DELETE", path, nil)
	me := alice.do(200, "GET", "/auth/me", nil)
	if m := me["memberships"].([]any); me["email"] != nil || me["is_platform_admin"] != false || len(m) != 1 || m[0].(map[string]any)["workspace_name"] != "Alice's" {
		t.Errorf("me: %v", me)
	}
}

func TestKeysAndMembers(t *testing.T) {
	s := openSite(t, nil)
	alice := s.newWorkspace("Alice's", workspace.Admin)
	made := alice.do(201, "POST", "/api-keys/", map[string]any{"name": "BI", "role": "VIEWER", "expires_at": "2099-12-31"})
	if made["expires_at"] != "2099-12-31T23:00:00Z" || made["role"] != "viewer" {
		t.Errorf("made %v", made)
	}
	bi := client{site: s, token: made["key"].(string)}
	bi.do(200, "GET", "/email-campaigns/", nil)
	bi.do(403, "GET", "/api-keys/", nil)
	if list := alice.items("/api-keys/"); len(list) != 2 || list[0].(map[string]any)["key"] != nil {
		t.Errorf("keys: %v", list)
	}
	alice.do(204, "DELETE", "/api-keys/"+made["id"].(string), nil)
	alice.do(204, "DELETE", "/api-keys/"+made["id"].(string), nil)

	user := workspace.User{ID: workspace.UserID{UUID: workspace.NewID().UUID}, Email: "ada@example.com", DisplayName: "Ada", CreatedAt: time.Now()}
	if err := s.store.PutUser(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	if list := alice.items("/workspace-memberships/candidates?search=ADA"); len(list) != 1 {
		t.Errorf("candidates: %v", list)
	}
	body := map[string]any{"user_id": user.ID.String(), "role": "viewer"}
	if got := alice.do(201, "POST", "/workspace-memberships/", body); got["email"] != "ada@example.com" {
		t.Errorf("member: %v", got)
	}
	alice.do(409, "POST", "/workspace-memberships/", body)
	path := "/workspace-memberships/" + user.ID.String()
	if got := alice.do(200, "PUT", path, map[string]any{"role": "Editor"}); got["role"] != "editor" {
		t.Errorf("role: %v", got)
	}
	if list := alice.items("/workspace-memberships/"); len(list) != 1 || len(alice.items("/workspace-memberships/candidates")) != 0 {
		t.Errorf("members: %v", list)
	}
	alice.do(204, "DELETE", path, nil)
	alice.do(404, "DELETE", path, nil)
}

func TestConnections(t *testing.T) {
	s := openSite(t, nil)
	alice, bob := s.newWorkspace("Alice's", workspace.Admin), s.newWorkspace("Bob's", workspace.Admin)
	made := alice.do(201, "POST", "/provider-connections/", map[string]any{"provider": "Campaigner", "api_key": "secret-1", "webhook_key": "secret-2",
		"sync_schedule": "0 3 * * *", "base_url": "https://edapi.campaigner.com/v1"})
	path := "/provider-connections/" + made["id"].(string)
	if made["has_api_key"] != true || made["has_webhook_key"] != true || made["provider_timezone"] != "UTC" || made["sync_schedule"] != "0 3 * * *" {
		t.Errorf("made %v", made)
	}
	alice.do(409, "POST", "/provider-connections/", map[string]any{})
	bob.do(409, "POST", "/provider-connections/", map[string]any{"webhook_key": "secret-2"})
	got := alice.do(200, "PUT", path, map[string]any{"api_key": "", "provider_timezone": "America/New_York"})
	if got["has_api_key"] != false || got["has_webhook_key"] != true || got["provider_timezone"] != "America/New_York" {
		t.Errorf("changed to %v", got)
	}
	for _, answer := range []any{alice.items("/provider-connections/"), alice.do(200, "GET", path, nil), made, got} {
		if text, _ := json.Marshal(answer); strings.Contains(string(text), "secret-") {
			t.Errorf("a key is shown: %s", text)
		}
	}
	bob.do(404, "GET", path, nil)
	bob.do(404, "PUT", path, map[string]any{})
	bob.do(404, "DELETE", path, nil)
	alice.do(204, "DELETE", path, nil)
	alice.do(404, "GET", path, nil)
}

func TestCampaignsAndRuns(t *testing.T) {
	s := openSite(t, nil)
	alice, bob := s.newWorkspace("Alice's", workspace.Editor), s.newWorkspace("Bob's", workspace.Editor)
	body := map[string]any{"name": "Spring", "provider_campaign_id": "4711", "tags": []string{"retail"}}
	made := alice.do(201, "POST", "/email-campaigns/", body)
	path := "/email-campaigns/" + made["id"].(string)
	if made["provider_name"] != "campaigner" || made["discovered"] != false || made["status"] != nil {
		t.Errorf("made %v", made)
	}
	if d := cmp.Diff(made, alice.do(200, "GET", path, nil)); d != "" {
		t.Errorf("made and stored differ (-made +stored):\n%s", d)
	}
	alice.do(409, "POST", "/email-campaigns/", body)
	bob.do(201, "POST", "/email-campaigns/", body)
	if got := alice.do(200, "PUT", path, map[string]any{"status": "sent"}); got["status"] != "sent" || got["name"] != "Spring" {
		t.Errorf("changed to %v", got)
	}
	for query, n := range map[string]int{"": 1, "?search=SPR": 1, "?search=47": 1, "?search=autumn": 0, "?tags=retail,x": 1, "?tags=x": 0,
		"?status=sent": 1, "?provider_name=CAMPAIGNER": 1, "?provider_campaign_id=4711": 1, "?provider_campaign_id=4712": 0,
		"?campaign_id=" + workspace.NewID().String(): 0} {
		if got := alice.items("/email-campaigns/" + query); len(got) != n {
			t.Errorf("%s: %d campaigns, want %d", query, len(got), n)
		}
	}
	run := alice.do(201, "POST", "/campaign-runs/", map[string]any{"campaign_id": made["id"], "started_at": "2026-01-02T10:00:00.123456789", "sent": 9007199254740993})
	if run["started_at"] != "2026-01-02T09:00:00.123456Z" || run["delivered"] != nil {
		t.Errorf("run: %v", run)
	}
	alice.do(422, "POST", "/campaign-runs/", map[string]any{"campaign_id": made["id"], "started_at": "2026-01-02", "sent": int64(math.MaxInt64)})
	bob.do(404, "POST", "/campaign-runs/", map[string]any{"campaign_id": made["id"], "started_at": "2026-01-02"})
	if d := cmp.Diff(run, alice.do(200, "GET", "/campaign-runs/"+run["id"].(string), nil)); d != "" {
		t.Errorf("run made and stored differ (-made +stored):\n%s", d)
	}
	bob.do(404, "GET", "/campaign-runs/"+run["id"].(string), nil)
	if n := len(alice.items("/campaign-runs/?campaign_id=" + made["id"].(string))); n != 1 {
		t.Errorf("%d runs", n)
	}
	alice.do(204, "DELETE", path, nil)
	alice.do(204, "DELETE", path, nil)
	if got := alice.do(200, "GET", path, nil); got["archived"] != true {
		t.Errorf("archived: %v", got)
	}
	if a, b := len(alice.items("/email-campaigns/")), len(alice.items("/email-campaigns/?include_archived=true")); a != 0 || b != 1 {
		t.Errorf("archived campaigns: %d and %d are listed", a, b)
	}
}

// What the provider says of a campaign is asked for by a task, shown, and never replaces a name that was given here.
func TestSyncCampaigns(t *testing.T) {
	s := openSite(t, nil)
	alice := s.newWorkspace("Alice's", workspace.Admin)
	viewer := s.key(s.workspaceOf(alice), workspace.Viewer)
	alice.do(409, "POST", "/email-campaigns/sync", nil) // nobody to ask
	alice.do(201, "POST", "/provider-connections/", map[string]any{"api_key": "secret"})
	viewer.do(403, "POST", "/email-campaigns/sync", nil)
	a := alice.try("POST", "/email-campaigns/sync", nil, "")
	k := alice.items("/tasks/?kind=campaigns")[0].(map[string]any)
	if a.Code != 202 || k["kind"] != "campaigns" || a.Header().Get("Location") != "/tasks/"+k["task_id"].(string) {
		t.Errorf("sync: %d %v %s", a.Code, a.Header(), a.Body)
	}
	if again := alice.do(409, "POST", "/email-campaigns/sync", nil); again["task_id"] != k["task_id"] {
		t.Errorf("a second one: %v", again)
	}

	made := alice.do(201, "POST", "/email-campaigns/", map[string]any{"name": "Mine", "provider_campaign_id": "1"})
	id, err := task.ParseID(k["task_id"].(string))
	if err != nil || made["scheduled_at"] != nil || made["provider_created_at"] != nil {
		t.Fatal(made, err)
	}
	ws := workspace.System(s.workspaceOf(alice))
	rows := []campaign.Reported{{ProviderCampaignID: "1", Name: "Theirs", Status: "Sent", ScheduledAt: moment1, CreatedAt: moment1, Figures: &campaign.Figures{AsOf: moment1, Sent: new(int64(9)), SoftBounces: new(int64)}}}
	if err := s.store.PutReported(t.Context(), ws, provider.Campaigner, rows, moment1, func(campaign.Upserted) (task.Step, error) { return task.Step{Task: id}, nil }); err != nil {
		t.Fatal(err)
	}
	got := alice.do(200, "GET", "/email-campaigns/"+made["id"].(string), nil)
	if got["name"] != "Mine" || got["status"] != "Sent" || got["scheduled_at"] != "2026-01-02T10:00:00Z" || got["provider_created_at"] != "2026-01-02T10:00:00Z" {
		t.Errorf("campaign: %v", got)
	}
	for _, path := range []string{made["id"].(string), "overview"} {
		got := alice.do(200, "GET", "/campaign-statistics/"+path, nil)
		theirs := got["provider_reported"].(map[string]any)
		if theirs["sent"] != 9.0 || theirs["opens"] != nil || theirs["as_of"] != "2026-01-02T10:00:00Z" || got["soft_bounces"] != 0.0 || got["complaints"] != nil {
			t.Errorf("statistics of %s: %v", path, got)
		}
	}
}

// workspaceOf is the only one of a client's key.
func (s *site) workspaceOf(c client) workspace.ID {
	s.Helper()
	id := c.do(200, "GET", "/auth/me", nil)["memberships"].([]any)[0].(map[string]any)["workspace_id"].(string)
	ws, err := workspace.ParseID(id)
	if err != nil {
		s.Fatal(err)
	}
	return ws
}

// A campaign without events: everything is there, unknown is null, and the answers are what the document says.
func TestStatisticsOfNothing(t *testing.T) {
	s := openSite(t, nil)
	alice, bob := s.newWorkspace("Alice's", workspace.Editor), s.newWorkspace("Bob's", workspace.Editor)
	id := alice.do(201, "POST", "/email-campaigns/", map[string]any{"name": "Spring", "provider_campaign_id": "4711"})["id"].(string)
	alice.do(201, "POST", "/campaign-runs/", map[string]any{"campaign_id": id, "started_at": "2026-01-02T10:00:00", "sent": 10, "delivered": 8})
	one := alice.do(200, "GET", "/campaign-statistics/"+id, nil)
	if one["sent"] != 10.0 || one["delivered"] != 8.0 || one["delivered_source"] != "runs" || one["delivery_rate"] != 0.8 || one["opens"] != 0.0 ||
		one["bounces"] != nil || one["provider_reported"] != nil || one["date_from"] != nil {
		t.Errorf("one: %v", one)
	}
	list := alice.do(200, "GET", "/campaign-statistics/?date_from=2026-01-01&date_to=2026-01-31&basis=SEND&sort=-open_rate", nil)
	if len(list["items"].([]any)) != 1 || list["date_from"] != "2025-12-31T23:00:00Z" || list["basis"] != "send" || list["as_of"] == nil {
		t.Errorf("list: %v", list)
	}
	whole := alice.do(200, "GET", "/campaign-statistics/overview?date_from=2026-01-01&date_to=2026-01-31", nil)
	if whole["sent"] != 10.0 || whole["previous"] == nil || whole["previous"].(map[string]any)["sent"] != nil || whole["distinct_openers"] != 0.0 {
		t.Errorf("overview: %v", whole)
	}
	if got := alice.do(200, "GET", "/campaign-statistics/overview", nil); got["previous"] != nil {
		t.Errorf("previous of an open range: %v", got["previous"])
	}
	series := alice.do(200, "GET", "/campaign-statistics/"+id+"/time-series?granularity=Hour&date_from=2026-03-29&date_to=2026-03-29", nil)
	if len(series["points"].([]any)) != 23 || series["timezone"] != "Europe/Paris" || series["week_start"] != "monday" || series["granularity"] != "hour" {
		t.Errorf("series: %v", series)
	}
	if got := alice.do(200, "GET", "/campaign-statistics/"+id+"/time-series?granularity=day", nil); got["points"] == nil || len(got["points"].([]any)) != 0 {
		t.Errorf("open series: %v", got)
	}
	long := alice.do(422, "GET", "/campaign-statistics/"+id+"/time-series?granularity=hour&date_from=2020-01-01&date_to=2026-01-01", nil)
	if long["errors"].([]any)[0].(map[string]any)["loc"].([]any)[1] != "date_to" {
		t.Errorf("too long a series: %v", long)
	}
	for _, rows := range []string{"/links", "/domains?limit=3"} {
		if got := alice.do(200, "GET", "/campaign-statistics/"+id+rows, nil); len(got["items"].([]any)) != 0 || got["total"] != 0.0 {
			t.Errorf("%s: %v", rows, got)
		}
	}
	for _, path := range []string{"", "/time-series", "/links", "/domains"} {
		bob.do(404, "GET", "/campaign-statistics/"+id+path, nil)
	}
	if list := bob.items("/campaign-statistics/?campaign_id=" + id); len(list) != 0 {
		t.Errorf("Bob sees %v", list)
	}
	if list := alice.items("/metrics/definitions"); len(list) < 25 {
		t.Errorf("%d definitions", len(list))
	}
	alice.do(422, "GET", "/campaign-statistics/"+id+"?basis=send", nil) // of lists only
}

// A key that was revoked opens nothing any more, also if it was used just before.
func TestRevokedAtOnce(t *testing.T) {
	s := openSite(t, nil)
	alice := s.newWorkspace("Alice's", workspace.Admin)
	made := alice.do(201, "POST", "/api-keys/", map[string]any{"name": "short", "role": "viewer"})
	short := client{site: s, token: made["key"].(string)}
	short.do(200, "GET", "/email-campaigns/", nil)
	alice.do(204, "DELETE", "/api-keys/"+made["id"].(string), nil)
	short.do(401, "GET", "/email-campaigns/", nil)
}
