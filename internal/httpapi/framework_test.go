package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

// One operation of each kind, to try the framework on before and beside the real ones.

var testWorkspace = workspace.ID{UUID: uuid.MustParse("0190a1b2-0000-7000-8000-000000000001")}

type fixedAuth map[string]workspace.Identity

func (fixedAuth) Forget() {}

func (f fixedAuth) Authenticate(r *http.Request) (workspace.Identity, error) {
	who, ok := f[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if !ok {
		return who, fault.New(fault.Unauthorized, "who are you?")
	}
	return who, nil
}

type oneWorkspace struct {
	workspace.Store
	zone string
}

func (o oneWorkspace) GetWorkspace(_ context.Context, id workspace.ID) (workspace.Workspace, error) {
	if id != testWorkspace {
		return workspace.Workspace{}, fault.New(fault.NotFound, "no such workspace")
	}
	return workspace.Workspace{ID: id, Name: "Acme", Timezone: o.zone}, nil
}

type things struct{}

func (things) choices() []string { return sortable("name", "at") }

type eventTypeNames struct{}

func (eventTypeNames) all() []event.Type { return event.Types }

type thingsInput struct {
	CursorParams[things]
	RangeParams
	Types  enumList[event.Type, eventTypeNames] `query:"event_type"`
	IDs    idList                               `query:"campaign_id"`
	Emails addressList                          `query:"email"`
	Search string                               `query:"search"`
	Raw    bool                                 `query:"raw"`
}

type thingsAnswer struct {
	ListOf[string]
	RangeWire
	Types  []string `json:"types"`
	Emails []string `json:"emails"`
	Zone   string   `json:"zone"`
}

type thingBody struct {
	Body struct {
		Name  string   `json:"name,omitempty"`
		Count *int64   `json:"count,omitempty"`
		At    moment   `json:"at,omitempty"`
		Tags  []string `json:"tags,omitempty"`
		On    bool     `json:"on,omitempty"`
	}
}

type thingPath struct {
	ID pathID `path:"id"`
}

func testAPI(t *testing.T, cfg Config) http.Handler {
	t.Helper()
	member := func(r workspace.Role) []workspace.Membership {
		return []workspace.Membership{{Workspace: testWorkspace, WorkspaceName: "Acme", Role: r}}
	}
	cfg.Auth = fixedAuth{
		"viewer": {ID: uuid.New(), DisplayName: "v", Memberships: member(workspace.Viewer)},
		"editor": {ID: uuid.New(), DisplayName: "e", Memberships: member(workspace.Editor)},
		"person": {ID: uuid.New(), Email: "p@example.com", Memberships: member(workspace.Admin)},
		"root":   {ID: uuid.New(), DisplayName: "r", PlatformAdmin: true},
	}
	if cfg.Workspaces == nil {
		cfg.Workspaces = oneWorkspace{zone: "Europe/Paris"}
	}
	a := newAPI(cfg)
	handle(a, operation{ID: "tThings", Method: "GET", Path: "/t-things/", Rule: viewer}, func(_ context.Context, c call, in *thingsInput) (thingsAnswer, error) {
		zone, err := in.zone()
		out := thingsAnswer{ListOf: newList(in.params(), page.Of[string]{}, strings.ToUpper), RangeWire: in.resolved(), Zone: zone.String()}
		out.Types, out.Emails = names(in.Types), in.Emails
		out.NextCursor = in.next(c.Workspace().UUID, time.Unix(7, 8))
		return out, err
	})
	handle(a, operation{ID: "tCreate", Method: "POST", Path: "/t-things/", Rule: editor, Status: 201}, func(_ context.Context, _ call, in *thingBody) (any, error) {
		return map[string]any{"name": in.Body.Name, "count": in.Body.Count, "tags": in.Body.Tags, "on": in.Body.On}, nil
	})
	handle(a, operation{ID: "tOne", Method: "GET", Path: "/t-things/{id}", Rule: viewer}, func(_ context.Context, _ call, in *thingPath) (map[string]string, error) {
		return map[string]string{"id": in.ID.String()}, nil
	})
	handle(a, operation{ID: "tDelete", Method: "DELETE", Path: "/t-things/{id}", Rule: editor}, func(context.Context, call, *thingPath) (nothing, error) {
		return nothing{}, nil
	})
	handle(a, operation{ID: "tHook", Method: "POST", Path: "/t-things/hook", Rule: public}, func(context.Context, call, *struct{}) (nothing, error) {
		return nothing{}, nil
	})
	handle(a, operation{ID: "tFail", Method: "GET", Path: "/t-fail/{how}", Rule: public}, func(_ context.Context, _ call, in *struct {
		How string `path:"how"`
	}) (nothing, error) {
		return nothing{}, map[string]error{
			"secret": errors.New("password hunter2"), "busy": fault.Wrap(fault.Unavailable, errors.New("hunter2"), "the store is busy"),
			"data": fault.Wrap(fault.Data, errors.New("hunter2"), "hunter2"), "conflict": fault.New(fault.Conflict, "taken"),
			"wrapped": fmt.Errorf("store: %w", fault.New(fault.NotFound, "no such thing")),
		}[in.How]
	})
	handle(a, operation{ID: "tPanic", Method: "GET", Path: "/t-panic", Rule: public}, func(context.Context, call, *struct{}) (nothing, error) {
		panic("hunter2")
	})
	return a.handler()
}

type answered struct {
	*httptest.ResponseRecorder
	p problem
}

// ask sends a request; headers are "Name: value".
func ask(t *testing.T, h http.Handler, method, target, body string, headers ...string) answered {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answered{ResponseRecorder: w}
	if w.Header().Get("Content-Type") == "application/problem+json" {
		if err := json.Unmarshal(w.Body.Bytes(), &a.p); err != nil {
			t.Fatalf("%s %s: no problem document: %v\n%s", method, target, err, w.Body)
		}
	}
	return a
}

func (a answered) locs() (out []string) {
	for _, e := range a.p.Errors {
		out = append(out, strings.Join(e.Loc, "."))
	}
	return out
}

const asViewer, asEditor = "Authorization: Bearer viewer", "Authorization: Bearer editor"

func TestErrorsAreProblems(t *testing.T) {
	h := testAPI(t, Config{CORSOrigins: []string{"https://app.example"}})
	for _, tt := range []struct {
		method, target, auth string
		status               int
		code, header, value  string
	}{
		{"GET", "/nope", "", 404, "not_found", "", ""},
		{"GET", "/", "", 404, "not_found", "", ""},
		{"GET", "/t-things//", asViewer, 404, "not_found", "", ""},
		{"GET", "/t-things/../t-things/", asViewer, 404, "not_found", "", ""},
		{"PATCH", "/t-things/", asViewer, 405, "method_not_allowed", "Allow", "GET, HEAD, POST"},
		{"GET", "/t-things/hook", asViewer, 405, "method_not_allowed", "Allow", "POST"},
		{"GET", "/t-things/hook/", asViewer, 405, "method_not_allowed", "Allow", "POST"},
		{"POST", "/healthz", "", 405, "method_not_allowed", "Allow", "GET, HEAD"},
		{"GET", "/t-things/", "", 401, "unauthorized", "WWW-Authenticate", `Bearer realm="monterey"`},
		{"GET", "/t-things/", "Authorization: Bearer x", 401, "unauthorized", "WWW-Authenticate", `Bearer realm="monterey", error="invalid_token"`},
		{"POST", "/t-things/", asViewer, 403, "forbidden", "", ""},
		{"GET", "/t-things/x", asViewer, 422, "invalid", "", ""},
		{"GET", "/t-fail/secret", "", 500, "internal", "", ""},
		{"GET", "/t-fail/busy", "", 503, "unavailable", "Retry-After", "2"},
		{"GET", "/t-fail/data", "", 422, "invalid", "", ""},
		{"GET", "/t-fail/conflict", "", 409, "conflict", "", ""},
		{"GET", "/t-fail/wrapped", "", 404, "not_found", "", ""},
		{"GET", "/t-panic", "", 500, "internal", "", ""},
	} {
		a := ask(t, h, tt.method, tt.target, "", tt.auth, "Origin: https://app.example", "X-Request-ID: req-1")
		if a.Code != tt.status || a.p.Status != tt.status || a.p.Code != tt.code || a.p.RequestID != "req-1" || a.p.Detail == "" || a.p.Title == "" || a.p.Type == "" {
			t.Errorf("%s %s: %d %s", tt.method, tt.target, a.Code, a.Body)
		}
		if got := a.Header().Get(tt.header); got != tt.value {
			t.Errorf("%s %s: %s is %q", tt.method, tt.target, tt.header, got)
		}
		if got := a.Header().Get("Access-Control-Allow-Origin"); got != "https://app.example" {
			t.Errorf("%s %s: no CORS: %q", tt.method, tt.target, got)
		}
		if strings.Contains(a.Body.String(), "hunter2") {
			t.Errorf("%s %s shows internals: %s", tt.method, tt.target, a.Body)
		}
		if got := a.Header().Get("Cache-Control"); got != "private, no-cache" {
			t.Errorf("%s %s: Cache-Control is %q", tt.method, tt.target, got)
		}
	}
}

func TestUnknownErrorIsLoggedOnceWithItsRequest(t *testing.T) {
	var log strings.Builder
	h := testAPI(t, Config{Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))})
	ask(t, h, "GET", "/t-fail/secret", "", "X-Request-ID: bad id\twith tab")
	if n := strings.Count(log.String(), "hunter2"); n != 1 || strings.Contains(log.String(), "bad id") {
		t.Errorf("the cause is %d times in the log:\n%s", n, log.String())
	}
	log.Reset()
	ask(t, h, "GET", "/t-fail/conflict", "")
	if log.String() != "" {
		t.Errorf("a client's mistake is in the log: %s", log.String())
	}
}

func TestPaths(t *testing.T) {
	h := testAPI(t, Config{CORSOrigins: []string{"https://app.example"}})
	a := ask(t, h, "GET", "/t-things?search=a%20b&page=2", "", "Origin: https://app.example")
	if a.Code != 307 || a.Header().Get("Location") != "/t-things/?search=a%20b&page=2" || a.Header().Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("redirect: %d %v", a.Code, a.Header())
	}
	if a := ask(t, h, "POST", "/t-things", "{}"); a.Code != 307 {
		t.Errorf("POST redirects with %d", a.Code)
	}
	for _, target := range []string{"/healthz/", "/healthz", "/readyz", "/openapi.json", "/docs", "/docs/"} {
		if a := ask(t, h, "GET", target, ""); a.Code != 200 {
			t.Errorf("%s: %d", target, a.Code)
		}
	}
	id := uuid.NewString()
	for _, target := range []string{"/t-things/" + id, "/t-things/" + id + "/", "/t-things/"} {
		for _, method := range []string{"GET", "HEAD"} {
			if a := ask(t, h, method, target, "", asViewer); a.Code != 200 {
				t.Errorf("%s %s: %d", method, target, a.Code)
			}
		}
	}
	if a := ask(t, h, "DELETE", "/t-things/"+id, "", asEditor); a.Code != 204 || a.Body.Len() != 0 {
		t.Errorf("deletion: %d %q", a.Code, a.Body)
	}
}

func TestCORS(t *testing.T) {
	preflight := []string{"Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization, workspace_id"}
	h := testAPI(t, Config{CORSOrigins: []string{"https://app.example"}})
	a := ask(t, h, "OPTIONS", "/t-things/", "", append(preflight, "Origin: https://app.example")...)
	if a.Code != 204 || a.Header().Get("Access-Control-Allow-Origin") != "https://app.example" ||
		!strings.Contains(a.Header().Get("Access-Control-Allow-Headers"), "workspace_id") {
		t.Errorf("preflight: %d %v", a.Code, a.Header())
	}
	for _, h := range []http.Handler{h, testAPI(t, Config{})} {
		a := ask(t, h, "OPTIONS", "/t-things/", "", append(preflight, "Origin: https://evil.example")...)
		if a.Code < 400 || a.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("preflight of a stranger: %d %v", a.Code, a.Header())
		}
	}
}

func TestWorkspaceOfARequest(t *testing.T) {
	h := testAPI(t, Config{})
	ws, other := testWorkspace.String(), uuid.NewString()
	for _, tt := range []struct {
		auth, header string
		status       int
	}{
		{"viewer", "", 200}, // a key of one workspace
		{"viewer", "workspace_id: " + ws, 200},
		{"viewer", "X-Workspace-ID: " + ws, 200},
		{"viewer", "workspace_id: " + other, 403},
		{"viewer", "workspace_id: x", 422},
		{"person", "", 422},
		{"person", "workspace_id: " + ws, 200},
		{"person", "workspace_id: {" + ws + "}", 422},
		{"root", "", 422},
		{"root", "workspace_id: " + ws, 200},
		{"root", "workspace_id: " + other, 404},
	} {
		if a := ask(t, h, "GET", "/t-things/", "", "Authorization: Bearer "+tt.auth, tt.header); a.Code != tt.status {
			t.Errorf("%s %q: %d, want %d: %s", tt.auth, tt.header, a.Code, tt.status, a.Body)
		}
	}
	a := ask(t, h, "GET", "/t-things/?date_form=2026&page=0&page_size=501&sort=size&event_type=opne&campaign_id=7&email=bob&raw=maybe&cursor=x&date_from=yesterday&timezone=Mars%2FOlympus&search=%00",
		"", "Authorization: Bearer person")
	want := []string{"header.workspace_id", "query.date_form", "query.page", "query.page_size", "query.sort", "query.date_from",
		"query.event_type", "query.campaign_id", "query.email", "query.search", "query.raw", "query.cursor", "query.timezone"}
	if d := cmp.Diff(want, a.locs()); d != "" {
		t.Errorf("bad fields (-want +got):\n%s", d)
	}
}

func TestParameters(t *testing.T) {
	h := testAPI(t, Config{})
	a := ask(t, h, "GET", "/t-things/?event_type=OPEN,click&event_type=bounce&event_type=&search=&date_from=2026-03-29&date_to=2026-03-29&email=Bob+tag@x.com", "", asViewer)
	var got thingsAnswer
	if err := json.Unmarshal(a.Body.Bytes(), &got); err != nil || a.Code != 200 {
		t.Fatal(a.Code, a.Body)
	}
	if d := cmp.Diff([]string{"open", "click", "bounce"}, got.Types); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"bob+tag@x.com"}, got.Emails); d != "" {
		t.Error(d)
	}
	for _, part := range []string{`"items":[]`, `"date_from":"2026-03-28T23:00:00Z"`, `"date_to":"2026-03-29T22:00:00Z"`, `"page":1,"page_size":50,"total":0`} {
		if !strings.Contains(a.Body.String(), part) {
			t.Errorf("%s is not in %s", part, a.Body)
		}
	}
	if strings.Contains(a.Body.String(), "$schema") {
		t.Error("the answer has a $schema")
	}
	next := "&cursor=" + *got.NextCursor
	if a := ask(t, h, "GET", "/t-things/?search=a"+next, "", asViewer); a.Code != 422 || a.locs()[0] != "query.cursor" {
		t.Errorf("a cursor with other filters: %d %s", a.Code, a.Body)
	}
	same := "/t-things/?email=bob%2Btag@x.com&date_to=2026-03-29&date_from=2026-03-29&event_type=click,bounce,open"
	if a := ask(t, h, "GET", strings.Replace(same, "bob%2B", "Bob+", 1)+next, "", asViewer); a.Code != 200 || !strings.Contains(a.Body.String(), `"page":2`) {
		t.Errorf("the cursor with the same filters: %d %s", a.Code, a.Body)
	}
}

func TestBodies(t *testing.T) {
	h := testAPI(t, Config{})
	for _, tt := range []struct {
		body   string
		status int
		locs   []string
	}{
		{"", 201, nil},
		{"{}", 201, nil},
		{"null", 201, nil},
		{`{"name":null,"count":null,"tags":null,"other":{"x":[1]}}`, 201, nil},
		{`{"name":"x","count":9007199254740993,"at":"2026-01-01","tags":["a"],"on":true}`, 201, nil},
		{`{"name":1,"count":"x","at":"x","tags":["a",2,null],"on":"yes"}`, 422, []string{"body.name", "body.count", "body.at", "body.tags.1", "body.tags.2", "body.on"}},
		{`{"count":1e30,"tags":{}}`, 422, []string{"body.count", "body.tags"}},
		{`{"name":"a\u0000b"}`, 422, []string{"body.name"}},
		{`[]`, 422, []string{"body"}},
		{`{"name":"x"`, 400, nil},
		{`{"name":"x"} trailing`, 400, nil},
		{`{"name":"x","tags":[],"name":"x"}`, 400, nil},
		{`{"name":"x","other":{"y":1,"y":2}}`, 400, nil}, // of an unknown field too
		{"{\"name\":\"Ren\xe9\"}", 400, nil},
		{`{"name":"` + strings.Repeat("x", maxBody) + `"}`, 413, nil},
	} {
		a := ask(t, h, "POST", "/t-things/", tt.body, asEditor)
		if a.Code != tt.status {
			t.Errorf("%.60s: %d, want %d: %s", tt.body, a.Code, tt.status, a.Body)
		}
		if d := cmp.Diff(tt.locs, a.locs()); d != "" {
			t.Errorf("%.60s (-want +got):\n%s", tt.body, d)
		}
	}
	if a := ask(t, h, "POST", "/t-things/", `{"count":9007199254740993}`, asEditor); !strings.Contains(a.Body.String(), "9007199254740993") {
		t.Errorf("a number beyond 2^53 is not exact: %s", a.Body)
	}
}

func TestOperationWithoutRulePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an operation without a rule was taken")
		}
	}()
	handle(newAPI(Config{}), operation{ID: "x", Method: "GET", Path: "/x"}, func(context.Context, call, *struct{}) (nothing, error) {
		return nothing{}, nil
	})
}
