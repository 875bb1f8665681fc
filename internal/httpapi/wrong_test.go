package httpapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// wrongValues of a parameter, by its name and schema; each must be refused.
func wrongValues(name, typ, format string, enum bool) []string {
	switch {
	case strings.HasPrefix(name, "date_") || strings.HasPrefix(name, "occurred_") || name == "updated_from":
		return []string{"yesterday", "2026-02-30", "1700000000", "2026-01-01T25:00:00Z", "2026-01-01,2026-01-02"}
	case name == "timezone":
		return []string{"Mars/Olympus", "Local", "../../etc/passwd", "+02:00"}
	case name == "cursor":
		return []string{"x", strings.Repeat("A", 48), "%25"}
	case format == "uuid":
		return []string{"x", "123", "{0190a1b2-0000-7000-8000-000000000001}"}
	case format == "email":
		return []string{"nobody", "@", "a@"}
	case enum:
		return []string{"nope", "%00"}
	case typ == "integer":
		return []string{"x", "0", "-1", "1.5", "99999999999999999999", "9007199254740993", "1e3"}
	case typ == "boolean":
		return []string{"maybe", "2"}
	}
	return []string{"%00", "%ff"}
}

// The first wrong value of every parameter and field at once: the answer names all of them, and no store was asked (there is
// none). Then each wrong value by itself.
func TestEveryWrongValueIsNamed(t *testing.T) {
	h := testAPI(t, Config{})
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct {
					Type json.RawMessage `json:"type"`
				} `json:"properties"`
			} `json:"schemas"`
		} `json:"components"`
	}
	text, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range readDocument(t).Paths {
		for method, op := range methods {
			if op.Access == "public" {
				continue
			}
			token, ws := "Authorization: Bearer root", "workspace_id: "+testWorkspace.String()
			query, want := url.Values{"date_form": {"1"}}, []string{"query.date_form"}
			bad, good := path, path
			type single struct{ name, target string }
			var singles []single
			for _, p := range op.Parameters {
				if p.In == "header" {
					ws = "workspace_id: x"
					want = append(want, "header.workspace_id")
				}
				if p.In == "path" {
					good = strings.ReplaceAll(good, "{"+p.Name+"}", uuid.NewString())
				}
			}
			for _, p := range op.Parameters {
				var items struct {
					Format string   `json:"format"`
					Enum   []string `json:"enum"`
				}
				if p.Schema.Items != nil {
					if err := json.Unmarshal(p.Schema.Items, &items); err != nil {
						t.Fatal(err)
					}
				}
				wrong := wrongValues(p.Name, p.Schema.Type, p.Schema.Format+items.Format, p.Schema.Enum != nil || items.Enum != nil)
				switch p.In {
				case "path":
					bad = strings.ReplaceAll(bad, "{"+p.Name+"}", "x")
					want = append(want, "path."+p.Name)
				case "query":
					if p.Name == "workspace_id" { // it overrides the header
						want = slices.DeleteFunc(want, func(s string) bool { return s == "header.workspace_id" })
					}
					query.Set(p.Name, mustUnescape(wrong[0]))
					want = append(want, "query."+p.Name)
					for _, v := range wrong {
						singles = append(singles, single{"query." + p.Name, good + "?" + p.Name + "=" + url.QueryEscape(mustUnescape(v))})
					}
				}
			}
			body := map[string]any{}
			var content struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					} `json:"schema"`
				} `json:"content"`
			}
			if op.RequestBody != nil {
				if err := json.Unmarshal(op.RequestBody, &content); err != nil {
					t.Fatal(err)
				}
				ref := content.Content["application/json"].Schema.Ref
				for name, p := range doc.Components.Schemas[ref[strings.LastIndexByte(ref, '/')+1:]].Properties {
					body[name] = map[string]any{"wrong": true}
					if !strings.Contains(string(p.Type), "object") {
						want = append(want, "body."+name)
					}
				}
			}
			sent, _ := json.Marshal(body)
			if op.RequestBody == nil {
				sent = nil
			}
			a := ask(t, h, strings.ToUpper(method), bad+"?"+query.Encode(), string(sent), token, ws)
			got := a.locs()
			slices.Sort(got)
			slices.Sort(want)
			if d := cmp.Diff(want, got); a.Code != 422 || d != "" {
				t.Errorf("%s %s: %d (-want +got):\n%s", method, path, a.Code, d)
			}
			for _, s := range singles {
				a := ask(t, h, strings.ToUpper(method), s.target, "", token, "workspace_id: "+testWorkspace.String())
				if a.Code != 422 || !slices.Contains(a.locs(), s.name) {
					t.Errorf("%s %s: %d %v", method, s.target, a.Code, a.locs())
				}
			}
			if content.Content["application/json"].Schema.Ref != "" {
				for raw, status := range map[string]int{`{`: 400, `[]`: 422, `"x"`: 422, `7`: 422} {
					if a := ask(t, h, strings.ToUpper(method), good, raw, token, "workspace_id: "+testWorkspace.String()); a.Code != status {
						t.Errorf("%s %s with %s: %d %s", method, good, raw, a.Code, a.Body)
					}
				}
			}
		}
	}
}

func mustUnescape(s string) string {
	out, err := url.QueryUnescape(s)
	if err != nil {
		panic(err)
	}
	return out
}

func TestWrongBodies(t *testing.T) {
	h := testAPI(t, Config{})
	id, long := uuid.NewString(), strings.Repeat("x", 600)
	for _, tt := range []struct {
		method, path, body string
		locs               []string
	}{
		{"POST", "/workspaces/", ``, []string{"body.name"}},
		{"POST", "/workspaces/", `{"name":" ","timezone":"Mars"}`, []string{"body.name", "body.timezone"}},
		{"PUT", "/workspaces/x", `{"timezone":1,"name":""}`, []string{"body.name", "body.timezone", "path.id"}},
		{"POST", "/workspace-memberships/", `{}`, []string{"body.role", "body.user_id"}},
		{"POST", "/workspace-memberships/", `{"user_id":7,"role":"platform_admin"}`, []string{"body.role", "body.user_id"}},
		{"PUT", "/workspace-memberships/" + id, `{"role":"owner"}`, []string{"body.role"}},
		{"POST", "/api-keys/", `{"expires_at":"2001-01-01"}`, []string{"body.expires_at", "body.name", "body.role"}},
		{"POST", "/provider-connections/", `{"provider":"mailchimp","base_url":"http://127.0.0.1","provider_timezone":"x","sync_schedule":"daily","api_key":"` + long + `"}`,
			[]string{"body.api_key", "body.base_url", "body.provider", "body.provider_timezone", "body.sync_schedule"}},
		{"POST", "/email-campaigns/", `{}`, []string{"body.name", "body.provider_campaign_id"}},
		{"POST", "/email-campaigns/", `{"name":"` + long + `","provider_campaign_id":4,"provider_name":"x","tags":[""],"status":"` + long + `"}`,
			[]string{"body.name", "body.provider_campaign_id", "body.provider_name", "body.status", "body.tags"}},
		{"POST", "/campaign-runs/", `{}`, []string{"body.campaign_id", "body.started_at"}},
		{"POST", "/campaign-runs/", `{"campaign_id":"` + id + `","started_at":"2026-01-02","finished_at":"2026-01-01","sent":-1,"delivered":9223372036854775808}`,
			[]string{"body.delivered", "body.finished_at", "body.sent"}},
		{"POST", "/suppressions/check", `{}`, []string{"body.emails"}},
		{"POST", "/suppressions/check", `{"emails":["a\u0000@b.c","b@b.c"]}`, []string{"body.emails.0"}},
		{"POST", "/suppressions/check", `{"emails":["a@b.c",1,null]}`, []string{"body.emails.1", "body.emails.2"}},
		{"POST", "/historical-bounces/check", `{"emails":[` + strings.Repeat(`"a",`, 10_000) + `"a"]}`, []string{"body.emails"}},
	} {
		a := ask(t, h, tt.method, tt.path, tt.body, "Authorization: Bearer root", "workspace_id: "+testWorkspace.String())
		got := a.locs()
		slices.Sort(got)
		if d := cmp.Diff(tt.locs, got); a.Code != 422 || d != "" {
			t.Errorf("%s %s %.80s: %d (-want +got):\n%s", tt.method, tt.path, tt.body, a.Code, d)
		}
	}
	for _, query := range []string{"?occurred_after=2026-01-02&occurred_before=2026-01-01", "?occurred_after=2026-01-02T00:00:01Z&occurred_before=2026-01-02T00:00:00Z",
		"?occurred_after=2026-01-02T00:00:00&occurred_before=2026-01-02T00:00:00Z&timezone=America/New_York"} {
		for _, path := range []string{"/historical-bounces/", "/historical-bounces/export"} {
			if a := ask(t, h, "GET", path+query, "", asViewer); a.Code != 422 || a.locs()[0] != "query.occurred_before" {
				t.Errorf("%s%s: %d %v", path, query, a.Code, a.locs())
			}
		}
	}
	for _, query := range []string{"?date_from=2026-01-02&date_to=2026-01-01", "?date_from=2026-01-02T00:00:01Z&date_to=2026-01-02T00:00:00Z",
		"?date_from=2026-01-02T00:00:00&date_to=2026-01-02T00:00:00Z&timezone=America/New_York"} {
		if a := ask(t, h, "GET", "/campaign-statistics/"+query, "", asViewer); a.Code != 422 || a.locs()[0] != "query.date_to" {
			t.Errorf("%s: %d %v", query, a.Code, a.locs())
		}
	}
}

// Rules hold: with too low a role, and without a token, nothing is answered.
func TestRules(t *testing.T) {
	h := testAPI(t, Config{})
	allowed := map[string][]string{"viewer": {"viewer", "signed-in"}, "editor": {"viewer", "editor", "signed-in"}}
	for path, methods := range readDocument(t).Paths {
		for method, op := range methods {
			if op.Access == "public" {
				continue
			}
			target := path
			for _, p := range op.Parameters {
				target = strings.ReplaceAll(target, "{"+p.Name+"}", "x")
			}
			target += "?date_form=1"
			for _, who := range slices.Sorted(maps.Keys(allowed)) {
				want := http.StatusForbidden
				if slices.Contains(allowed[who], op.Access) {
					want = http.StatusUnprocessableEntity
				}
				if a := ask(t, h, strings.ToUpper(method), target, "", "Authorization: Bearer "+who); a.Code != want {
					t.Errorf("%s %s as %s: %d, want %d", method, path, who, a.Code, want)
				}
			}
			if a := ask(t, h, strings.ToUpper(method), target, ""); a.Code != http.StatusUnauthorized {
				t.Errorf("%s %s without a token: %d", method, path, a.Code)
			}
		}
	}
}
