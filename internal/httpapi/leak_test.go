package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"monterey/internal/account"
	"monterey/internal/bounce"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/suppression"
	"monterey/internal/workspace"
)

// populate gives Alice's workspace a row of every kind; the ids come back by the path that they belong to.
func populate(alice client, ws workspace.ID) (ids map[string]string, all []string) {
	alice.Helper()
	id := func(answer map[string]any) string { return answer["id"].(string) }
	ids = map[string]string{}
	ids["/provider-connections/"] = id(alice.do(201, "POST", "/provider-connections/", map[string]any{"webhook_key": "alice-webhook-key", "api_key": "alice-api-key"}))
	ids["/email-campaigns/"] = id(alice.do(201, "POST", "/email-campaigns/", map[string]any{"name": "alice-campaign", "provider_campaign_id": "4711", "tags": []string{"alice-tag"}}))
	ids["/campaign-statistics/"] = ids["/email-campaigns/"]
	ids["/campaign-runs/"] = id(alice.do(201, "POST", "/campaign-runs/", map[string]any{"campaign_id": ids["/email-campaigns/"], "provider_run_id": "alice-run", "started_at": "2026-01-01", "sent": 9}))
	ids["/api-keys/"] = id(alice.do(201, "POST", "/api-keys/", map[string]any{"name": "alice-key", "role": "viewer"}))
	user := workspace.User{ID: workspace.UserID{UUID: workspace.NewID().UUID}, Email: "member@example.com", DisplayName: "Member", CreatedAt: time.Now()}
	if err := alice.store.PutUser(alice.Context(), user); err != nil {
		alice.Fatal(err)
	}
	if a := ask(alice.T, alice.http, "POST", "/accounts/import", "account_number,email\nalice-account,alice-account@example.com", "Authorization: Bearer "+alice.token); a.Code != 200 {
		alice.Fatal(a.Code, a.Body)
	}
	if err := alice.store.PutSource(alice.Context(), workspace.System(ws), account.Source{URL: []byte("alice-url"), Query: "alice-query"}); err != nil {
		alice.Fatal(err)
	}
	alice.do(201, "POST", "/workspace-memberships/", map[string]any{"user_id": user.ID.String(), "role": "viewer"})
	ids["/workspace-memberships/"] = user.ID.String()

	ids["/tasks/"] = alice.do(202, "POST", "/historical-bounces/backfill", nil)["task_id"].(string)
	ids["/historical-bounces/backfill/"] = ids["/tasks/"]
	history := []bounce.Historical{{ProviderEventID: "alice-bounce-id", Address: "alice-bounce@example.com", OccurredAt: moment1, Class: bounce.Hard,
		Detail: bounce.Detail{Reason: "alice-reason"}}}
	if _, err := alice.store.PutBounces(alice.Context(), workspace.System(ws), provider.Campaigner, history); err != nil {
		alice.Fatal(err)
	}
	if got := alice.items("/historical-bounces/"); len(got) != 1 || !strings.Contains(fmt.Sprint(got), "alice-reason") {
		alice.Fatalf("Alice's history: %v", got)
	}

	for path, id := range map[string]uuid.UUID{"/campaign-events/": click.ID.UUID, "/bounce-events/": bounced.ID.UUID, "/webhook-deliveries/": arrived.ID.UUID} {
		ids[path] = id.String()
	}
	for path, id := range ids {
		if path != "/workspace-memberships/" { // users belong to no workspace
			all = append(all, id)
		}
	}
	return ids, all
}

var (
	moment1 = time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC)
	click   = event.Event{ID: event.ID{UUID: workspace.NewID().UUID}, CampaignName: "alice-campaign", Type: event.Click, Address: "alice-click@example.com",
		OccurredAt: moment1, ReceivedAt: moment1, UpdatedAt: moment1, Provider: provider.Campaigner,
		Link: event.Link{URL: "https://alice.example/"}, Facts: event.Facts{IP: "192.0.2.7"}}
	bounced = event.Event{ID: event.ID{UUID: workspace.NewID().UUID}, CampaignName: "alice-campaign", Type: event.Bounce, Address: "alice-bounce@example.com",
		OccurredAt: moment1, ReceivedAt: moment1, UpdatedAt: moment1, Provider: provider.Campaigner, Class: bounce.Hard,
		Facts: event.Facts{Bounce: bounce.Detail{SMTPCode: 550, EnhancedCode: "5.1.1", Reason: "alice-reason"}}}
	arrived = delivery.Delivery{ID: delivery.IDOf(7, 7), Provider: provider.Campaigner, ReceivedAt: moment1, State: delivery.Partial, Objects: 2,
		Counts: delivery.Counts{Inserted: 1, Quarantined: 1}, Results: []delivery.Result{{Event: click.ID}, {Outcome: delivery.Held, Reason: "alice-soon"}}}
)

// one is what one workspace holds: an event, a bounce, a delivery and a suppressed address. Other callers find nothing.
type one struct{ ws *workspace.ID }

func (o one) is(c workspace.Caller) bool { return c.Workspace() == *o.ws }

func (o one) ListEvents(_ context.Context, c workspace.Caller, p event.ListParams) (l event.List, _ error) {
	for _, e := range []event.Event{click, bounced} {
		if o.is(c) && (len(p.Types) == 0 || slices.Contains(p.Types, e.Type)) && (len(p.Address) == 0 || slices.Contains(p.Address, e.Address)) {
			l.Items = append(l.Items, e)
			l.Total++
		}
	}
	return l, nil
}

func (o one) GetEvent(_ context.Context, c workspace.Caller, id event.ID) (event.Event, error) {
	for _, e := range []event.Event{click, bounced} {
		if o.is(c) && e.ID == id {
			return e, nil
		}
	}
	return event.Event{}, fault.New(fault.NotFound, "there is no such event")
}

func (o one) ListDeliveries(_ context.Context, c workspace.Caller, _ []delivery.State, _ page.Params) (l page.Of[delivery.Delivery], _ error) {
	if o.is(c) {
		l.Items, l.Total = []delivery.Delivery{arrived}, 1
	}
	return l, nil
}

func (o one) GetDelivery(_ context.Context, c workspace.Caller, id delivery.ID) (delivery.Delivery, error) {
	if o.is(c) && id == arrived.ID {
		return arrived, nil
	}
	return delivery.Delivery{}, fault.New(fault.NotFound, "there is no such delivery")
}

func (o one) Replay(ctx context.Context, c workspace.Caller, id delivery.ID) (delivery.Delivery, error) {
	return o.GetDelivery(ctx, c, id)
}

func (o one) AsOf(context.Context, workspace.Caller) (time.Time, error) { return moment1, nil }

var suppressed = suppression.Entry{Address: "alice-bounce@example.com", Since: moment1, UpdatedAt: moment1,
	Causes: []suppression.Cause{{Reason: suppression.HardBounce, OccurredAt: moment1, ID: bounced.ID.UUID}}}

func (o one) ListSuppressions(_ context.Context, c workspace.Caller, _ suppression.ListParams) (l page.Of[suppression.Entry], _ error) {
	if o.is(c) {
		l.Items, l.Total = []suppression.Entry{suppressed}, 1
	}
	return l, nil
}

func (o one) CheckSuppressions(_ context.Context, c workspace.Caller, addresses []string) ([][]suppression.Cause, error) {
	out := make([][]suppression.Cause, len(addresses))
	if i := slices.Index(addresses, suppressed.Address); o.is(c) && i >= 0 {
		out[i] = suppressed.Causes
	}
	return out, nil
}

// bodies with which Bob tries what takes a body.
func bobsBody(operationID string, ids map[string]string) any {
	switch operationID {
	case "createRun":
		return map[string]any{"campaign_id": ids["/email-campaigns/"], "started_at": "2026-01-01"}
	case "checkSuppressions", "checkHistoricalBounces":
		return map[string]any{"emails": []string{"alice-bounce@example.com"}}
	case "changeMembership":
		return map[string]any{"role": "admin"}
	}
	return map[string]any{"name": "bob", "archived": true, "provider_campaign_id": "4711"}
}

// A second workspace's admin walks every route of the document with Alice's ids and addresses, and sees and changes nothing.
func TestNobodySeesAnothersRows(t *testing.T) {
	alices := one{new(workspace.ID)}
	s := openSite(t, func(c *Config) {
		c.Events, c.Deliveries, c.Suppressions, c.Replayer = alices, alices, alices, alices
	})
	alice, bob := s.newWorkspace("alice-workspace", workspace.Admin), s.newWorkspace("Bob's", workspace.Admin)
	alicesID := alice.do(200, "GET", "/auth/me", nil)["memberships"].([]any)[0].(map[string]any)["workspace_id"].(string)
	*alices.ws = workspace.ID{UUID: uuid.MustParse(alicesID)}
	ids, all := populate(alice, *alices.ws)
	ids["/workspaces/"] = alicesID
	secret := regexp.MustCompile(`(?i)alice|192\.0\.2\.7|` + strings.Join(append(all, alicesID), "|"))
	before := alice.everything(ids)

	for path, methods := range readDocument(t).Paths {
		for method, op := range methods {
			if op.Access == "public" {
				continue
			}
			target, named := target(t, path, ids)
			queries := []string{""}
			for _, p := range op.Parameters {
				for name, value := range map[string]string{"campaign_id": ids["/email-campaigns/"], "provider_campaign_id": "4711",
					"recipient_email": "alice-bounce@example.com", "email": "alice-bounce@example.com", "search": "alice", "account_number": "alice-account"} {
					if p.In == "query" && p.Name == name {
						queries = append(queries, "?"+name+"="+value)
					}
				}
			}
			var body any
			if op.RequestBody != nil {
				body = bobsBody(op.OperationID, ids)
			}
			for _, query := range queries {
				for _, names := range []string{"", "workspace_id: " + alicesID} {
					a := bob.try(strings.ToUpper(method), target+query, body, names)
					what := fmt.Sprintf("%s %s%s %s", method, target, query, names)
					text := a.Body.String()
					if op.OperationID == "checkSuppressions" || op.OperationID == "checkHistoricalBounces" {
						text = strings.ReplaceAll(text, `"email":"alice-bounce@example.com"`, "") // as asked
						if names == "" && !strings.Contains(text, `"suppressed":false`) {
							t.Errorf("%s: %s", what, text)
						}
					}
					if found := secret.FindString(text); found != "" {
						t.Errorf("%s: shows %q: %d %s", what, found, a.Code, text)
					}
					inWorkspace := slices.Contains([]string{"viewer", "editor", "admin"}, op.Access)
					want := 0
					switch {
					case op.Access == "platform_admin", names != "" && inWorkspace:
						want = 403
					case named || op.OperationID == "createRun":
						want = 404
					}
					if op.OperationID == "revokeAPIKey" && names == "" {
						want = 404
					}
					if want != 0 && a.Code != want || a.Code >= 500 {
						t.Errorf("%s: %d, want %d: %s", what, a.Code, want, text)
					}
				}
			}
		}
	}
	if a := bob.try("GET", "/bounce-events/?workspace_id="+alicesID, nil, ""); a.Code != 403 {
		t.Errorf("bounces of a workspace in the query: %d %s", a.Code, a.Body)
	}
	if d := cmp.Diff(before, alice.everything(ids)); d != "" {
		t.Errorf("Bob changed Alice's rows (-before +after):\n%s", d)
	}
	root := s.key(workspace.ID{}, workspace.PlatformAdmin)
	if got := root.items("/bounce-events/?workspace_id=" + alicesID); len(got) != 1 { // as the only name of a workspace
		t.Errorf("a platform admin sees %d bounces", len(got))
	}
}

// target is the path with Alice's ids. A path with an id that populate does not know fails the test.
func target(t *testing.T, path string, ids map[string]string) (target string, named bool) {
	i := strings.IndexByte(path, '{')
	if i < 0 {
		return path, false
	}
	id, ok := ids[path[:i]]
	if !ok {
		t.Fatalf("%s: the leak test has no row of this kind; add one to populate", path)
	}
	return path[:i] + id + path[strings.IndexByte(path, '}')+1:], true
}

// try is do without a wish; header is "Name: value" or empty.
func (c client) try(method, target string, body any, header string) *httptest.ResponseRecorder {
	c.Helper()
	headers := []string{"Authorization: Bearer " + c.token}
	if header != "" {
		headers = append(headers, header)
	}
	sent := ""
	if body != nil {
		b, _ := json.Marshal(body)
		sent = string(b)
	}
	return ask(c.T, c.http, method, target, sent, headers...).ResponseRecorder
}

// everything is what Alice reads, without what the clock changes.
func (c client) everything(ids map[string]string) map[string]string {
	c.Helper()
	clock := regexp.MustCompile(`"(as_of|human_as_of|last_used_at)":("[^"]*"|null)`)
	out := map[string]string{}
	for path, methods := range readDocument(c.T).Paths {
		if op, ok := methods["get"]; ok && slices.Contains([]string{"viewer", "editor", "admin"}, op.Access) && path != "/workspace-memberships/candidates" && path != "/workspace-memberships/{user_id}" {
			target, _ := target(c.T, path, ids)
			a := c.try("GET", target, nil, "")
			if a.Code != 200 {
				c.Errorf("Alice: GET %s: %d %s", target, a.Code, a.Body)
			} else if !strings.HasSuffix(target, "/export") {
				c.do(200, "GET", target, nil) // is what the document says
			}
			out[path] = clock.ReplaceAllString(a.Body.String(), "")
		}
	}
	return out
}
