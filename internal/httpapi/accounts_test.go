package httpapi

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"monterey/internal/account"
	"monterey/internal/workspace"
)

// form is a body of multipart/form-data and its type; fields are name, value, name, value.
func form(fields ...string) (body, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		var part io.Writer
		if fields[i] == "file" {
			part, _ = w.CreateFormFile("file", "accounts.csv") // a buffer takes everything
		} else {
			part, _ = w.CreateFormField(fields[i]) // likewise
		}
		_, _ = io.WriteString(part, fields[i+1]) // likewise
	}
	_ = w.Close() // likewise
	return b.String(), "Content-Type: " + w.FormDataContentType()
}

// upload sends a file and gives the answer, which must be what the document says.
func (c client) upload(query, body, contentType string) answered {
	c.Helper()
	a := ask(c.T, c.http, "POST", "/accounts/import"+query, body, "Authorization: Bearer "+c.token, contentType)
	r := httptest.NewRequest("POST", "/accounts/import"+query, nil)
	if ok, errs := c.valid.ValidateHttpResponse(r, &http.Response{StatusCode: a.Code, Header: a.Header(), Body: io.NopCloser(bytes.NewReader(a.Body.Bytes()))}); !ok {
		c.Errorf("%s: not what the document says: %v\n%s", query, errs, a.Body)
	}
	return a
}

func (c client) accounts(query string) (out []string) {
	c.Helper()
	for _, item := range c.items("/accounts/" + query) {
		out = append(out, fmt.Sprint(item.(map[string]any)["account_number"], " ", item.(map[string]any)["email"]))
	}
	return out
}

func TestAccounts(t *testing.T) {
	alice := openSite(t, nil).newWorkspace("Alice's", workspace.Editor)
	file, kind := form("file", "email,account_number\nA@x.com,2\nb@x.com,10\n")
	for _, tt := range []struct {
		query, body, kind, want string
	}{
		{"", file, kind, `{"inserted":2,"unchanged":0,"removed":0,"errors_left":0,"errors":[]}`},
		{"", file, kind, `{"inserted":0,"unchanged":2,"removed":0,"errors_left":0,"errors":[]}`},
		{"?replace=true", "account_number,email\n10,b@x.com\n10,c+d@x.com", "Content-Type: application/x-www-form-urlencoded", `{"inserted":1,"unchanged":1,"removed":1,"errors_left":0,"errors":[]}`},
		{"?partial=true", "account_number,email\n11,b@x.com\n12,\n", "", `{"inserted":1,"unchanged":0,"removed":0,"errors_left":0,"errors":[{"line":3,"msg":"has no email"}]}`},
		{"?partial=1", "account_number,email\n" + strings.Repeat("12,\n", 1001), "", `"errors_left":1,`},
	} {
		if a := alice.upload(tt.query, tt.body, tt.kind); a.Code != 200 || !strings.Contains(a.Body.String(), tt.want) {
			t.Errorf("import%s: %d %.200s", tt.query, a.Code, a.Body)
		}
	}
	for query, want := range map[string][]string{
		"":                        {"10 b@x.com", "10 c+d@x.com", "11 b@x.com"},
		"?sort=-email":            {"10 c+d@x.com", "11 b@x.com", "10 b@x.com"},
		"?account_number=11,12":   {"11 b@x.com"},
		"?email=C+D@X.com":        {"10 c+d@x.com"},
		"?page=2&page_size=2":     {"11 b@x.com"},
		"?email=nobody@x.com":     nil,
		"?sort=account_number":    {"10 b@x.com", "10 c+d@x.com", "11 b@x.com"},
		"?sort=-ACCOUNT_NUMBER":   {"11 b@x.com", "10 c+d@x.com", "10 b@x.com"},
		"?email=b@x.com&email=,,": {"10 b@x.com", "11 b@x.com"},
	} {
		if d := cmp.Diff(want, alice.accounts(query)); d != "" {
			t.Errorf("accounts%s (-want +got):\n%s", query, d)
		}
	}
}

// What is refused says why, and changes nothing.
func TestImportIsRefused(t *testing.T) {
	s := openSite(t, func(c *Config) { c.MaxImportBytes = 4000 })
	alice := s.newWorkspace("Alice's", workspace.Editor)
	if a := alice.upload("", "account_number,email\n1,a@x.com", ""); a.Code != 200 {
		t.Fatal(a.Code, a.Body)
	}
	const good = "account_number,email\n2,b@x.com\n"
	file, kind := form("file", good)
	long, longKind := form("file", good+strings.Repeat("2,b@x.com\n", 400))
	none, noneKind := form()
	strange, strangeKind := form("replace", "true", "file", good)
	behind, behindKind := form("file", good, "replace", "true")
	twice, twiceKind := form("file", good, "file", good)
	inFile, inEnd := file[:strings.Index(file, "2,b@x.com")+4], file[:len(file)-4]
	for name, tt := range map[string]struct {
		body, kind string
		status     int
		want       string
	}{
		"nothing":               {"", "", 422, "is empty"},
		"bad rows":              {good + "3,\n4\n", "Content-Type: text/csv", 422, `"line":3},{"loc":["body"],"msg":"has another number of cells (1) than the header row (2)","type":"row","line":4}`},
		"JSON":                  {`{"account_number":"2"}`, "Content-Type: application/json", 422, "header row"},
		"too large":             {good + strings.Repeat("2,b@x.com\n", 400), "", 413, "4000"},
		"a form too large":      {long, longKind, 413, "4000"},
		"no boundary":           {file, "Content-Type: multipart/form-data", 400, "boundary"},
		"another boundary":      {file, "Content-Type: multipart/form-data; boundary=x", 400, "form"},
		"no field":              {none, noneKind, 422, `["body","file"]`},
		"an empty form":         {"", kind, 400, "form"},
		"a field before":        {strange, strangeKind, 422, `["body","replace"]`},
		"a field behind":        {behind, behindKind, 422, `["body","replace"]`},
		"two files":             {twice, twiceKind, 422, `["body","file"]`},
		"cut inside the file":   {inFile, kind, 400, "form"},
		"cut behind the file":   {inEnd, kind, 400, "form"},
		"a damaged form's head": {strings.Replace(file, "Content-Disposition:", "Content-Disposition", 1), kind, 400, "form"},
	} {
		for _, query := range []string{"", "?replace=true"} {
			if a := alice.upload(query, tt.body, tt.kind); a.Code != tt.status || !strings.Contains(a.Body.String(), tt.want) {
				t.Errorf("%s%s: %d %s", name, query, a.Code, a.Body)
			}
		}
	}
	if d := cmp.Diff([]string{"1 a@x.com"}, alice.accounts("")); d != "" {
		t.Errorf("the directory changed:\n%s", d)
	}
	if a := s.newWorkspace("Bob's", workspace.Viewer).upload("", good, ""); a.Code != 403 {
		t.Errorf("a viewer imports: %d", a.Code)
	}
}

// A body that stops half-way, over a real connection.
func TestImportThatIsCutOff(t *testing.T) {
	s := openSite(t, nil)
	alice := s.newWorkspace("Alice's", workspace.Editor)
	server := httptest.NewServer(s.http)
	defer server.Close()
	body := io.MultiReader(strings.NewReader("account_number,email\n1,a@x.com\n2,b@x"), iotest.ErrReader(io.ErrClosedPipe))
	r, _ := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/accounts/import", body) // the method and the address are right
	r.ContentLength = 100
	r.Header.Set("Authorization", "Bearer "+alice.token)
	if resp, err := http.DefaultClient.Do(r); err == nil {
		t.Errorf("half a body was answered: %s", resp.Status)
		_ = resp.Body.Close() // nothing is read of it
	}
	server.Close() // waits for the request
	if got := alice.accounts(""); len(got) != 0 {
		t.Errorf("half a file was taken in: %v", got)
	}
}

// The directory is read by a task, once the operator has said from where. Of that the API shows nothing.
func TestSyncAccounts(t *testing.T) {
	s := openSite(t, nil)
	alice := s.newWorkspace("Alice's", workspace.Editor)
	ws := s.workspaceOf(alice)
	if a := alice.try("POST", "/accounts/sync", nil, ""); a.Code != 409 || !strings.Contains(a.Body.String(), "monterey accounts set") {
		t.Errorf("nothing to read: %d %s", a.Code, a.Body)
	}
	if got := alice.items("/tasks/"); len(got) != 0 {
		t.Errorf("what was refused is there: %v", got)
	}
	src := account.Source{URL: []byte("the-sealed-url"), Query: "SELECT the-query"}
	if err := s.store.PutSource(t.Context(), workspace.System(ws), src); err != nil {
		t.Fatal(err)
	}
	if a := s.key(ws, workspace.Viewer).try("POST", "/accounts/sync", nil, ""); a.Code != 403 {
		t.Errorf("a viewer syncs: %d", a.Code)
	}
	a := alice.try("POST", "/accounts/sync", nil, "")
	k := alice.items("/tasks/?kind=accounts")[0].(map[string]any)
	if a.Code != 202 || k["kind"] != "accounts" || k["status"] != "queued" || a.Header().Get("Location") != "/tasks/"+k["task_id"].(string) {
		t.Errorf("sync: %d %v %s", a.Code, a.Header(), a.Body)
	}
	if strings.Contains(a.Body.String(), "the-") {
		t.Errorf("the source is shown: %s", a.Body)
	}
	if again := alice.do(409, "POST", "/accounts/sync", nil); again["task_id"] != k["task_id"] {
		t.Errorf("a second one: %v", again)
	}
	s.newWorkspace("Bob's", workspace.Editor).do(409, "POST", "/accounts/sync", nil) // Alice's source is not his
	alice.do(202, "DELETE", "/tasks/"+k["task_id"].(string), nil)
	if next := alice.do(202, "POST", "/accounts/sync", nil); next["task_id"] == k["task_id"] {
		t.Errorf("the next one: %v", next)
	}
}
