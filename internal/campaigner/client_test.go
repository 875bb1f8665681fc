package campaigner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const testKey = "Secret+Key/0123=="

// testClock moves only when someone sleeps.
type testClock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	return ctx.Err()
}

// testAccount is a client of a real server on loopback, with a clock that costs nothing.
type testAccount struct {
	*Client
	clock *testClock
	mu    sync.Mutex
	asked []string // the requests' paths and queries
}

func (a *testAccount) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

func newAccount(t *testing.T, change func(*ClientConfig), handler http.HandlerFunc) *testAccount {
	t.Helper()
	a := &testAccount{clock: &testClock{now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.asked = append(a.asked, strings.TrimPrefix(r.URL.String(), "/v1"))
		a.mu.Unlock()
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	config := ClientConfig{BaseURL: server.URL + "/v1/", APIKey: testKey + "\n", AllowPrivate: true, Limit: NewLimit(0, 0),
		Now: a.clock.Now, Sleep: a.clock.Sleep}
	if change != nil {
		change(&config)
	}
	client, err := NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	a.Client = client
	return a
}

// answers gives these answers in turn, the last one again and again.
func answers(handlers ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := handlers[min(n, len(handlers)-1)]
		n++
		mu.Unlock()
		h(w, r)
	}
}

func status(code int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// cut promises more than it sends.
func cut(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = w.Write([]byte(`{"CampaignID": 7, "Na`))
}

// cutSilently ends in an orderly way, but inside its JSON.
var cutSilently = status(200, `{"CampaignID": 7, "Name": "Spr`)

func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

var good = status(200, `{"CampaignID": 7, "Name": "Spring"}`)

func TestRequest(t *testing.T) {
	var got *http.Request
	a := newAccount(t, nil, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(t.Context())
		status(200, `{"AccountName": "Acme"}`)(w, r)
	})
	name, err := a.Ping(t.Context())
	if err != nil || name != "Acme" {
		t.Fatalf("Ping = %q, %v", name, err)
	}
	if got.Method != "GET" || got.URL.String() != "/v1/Ping" || got.Header.Get("ApiKey") != testKey || got.Header.Get("Accept") != "application/json" {
		t.Errorf("asked %s %s with %v", got.Method, got.URL, got.Header)
	}
}

func TestPassing(t *testing.T) {
	date := func(ahead time.Duration) string {
		return time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC).Add(ahead).Format(http.TimeFormat)
	}
	tests := []struct {
		name   string
		first  http.HandlerFunc
		least  time.Duration // that the client must have slept
		most   time.Duration
		asksOf int // requests in all; 0 = 2
	}{
		{name: "408", first: status(408, "")},
		{name: "429 without a wait", first: status(429, "")},
		{name: "429 in seconds", first: status(429, "", "Retry-After", "9"), least: 9 * time.Second, most: 9 * time.Second},
		{name: "429 as a date", first: status(429, "", "Retry-After", date(12*time.Second), "Date", date(0)), least: 12 * time.Second, most: 12 * time.Second},
		{name: "429 as a date of a clock an hour ahead", first: status(429, "", "Retry-After", date(time.Hour+4*time.Second), "Date", date(time.Hour)),
			least: 4 * time.Second, most: 4 * time.Second},
		{name: "429 in the past", first: status(429, "", "Retry-After", date(-time.Hour), "Date", date(0))},
		{name: "429 of 0 seconds", first: status(429, "", "Retry-After", "0")},
		{name: "429 of nonsense", first: status(429, "", "Retry-After", "soon")},
		{name: "429 in words", first: status(429, `{"ErrorCode": 1, "Message": "Maximum API calls allowed: 10 per 1 second(s). Please try again in 9 second(s)."}`),
			least: 9 * time.Second, most: 9 * time.Second},
		{name: "500", first: status(500, "<html>")},
		{name: "502", first: status(502, "")},
		{name: "503 in seconds", first: status(503, "", "Retry-After", "20"), least: 20 * time.Second, most: 20 * time.Second},
		{name: "504", first: status(504, "")},
		{name: "hung up", first: hangUp, asksOf: -1}, // net/http may ask again by itself
		{name: "body cut", first: cut},
		{name: "JSON cut", first: cutSilently},
		{name: "empty", first: status(200, "")},
		{name: "204", first: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAccount(t, nil, answers(tt.first, good))
			got, err := a.Campaign(t.Context(), "7")
			if err != nil || got.Name != "Spring" {
				t.Fatalf("Campaign = %+v, %v", got, err)
			}
			if tt.asksOf == 0 && len(a.requests()) != 2 {
				t.Errorf("asked %v", a.requests())
			}
			if tt.asksOf < 0 {
				return
			}
			if tt.most == 0 {
				tt.least, tt.most = 500*time.Millisecond, 1500*time.Millisecond
			}
			// After a 429 the limit of the account may take over what is left of the wait.
			var slept time.Duration
			for _, d := range a.clock.slept {
				slept += d
			}
			if slept < tt.least || slept > tt.most+time.Millisecond {
				t.Errorf("slept %v, want from %v to %v", a.clock.slept, tt.least, tt.most)
			}
		})
	}
}

func TestLater(t *testing.T) {
	tests := []struct {
		name        string
		handler     http.HandlerFunc
		asks        int
		least, most time.Duration
		cause       string
	}{
		{"a long wait", status(429, `{"Message": "too many"}`, "Retry-After", "31"), 1, 31 * time.Second, 31 * time.Second, "status 429: too many"},
		{"a very long wait", status(503, "", "Retry-After", "99999999999999999999999"), 1, 24 * time.Hour, 24 * time.Hour, "status 503"},
		{"a date in a year", status(429, "", "Retry-After", "Mon, 01 Mar 2027 10:00:00 GMT", "Date", "Sun, 01 Mar 2026 10:00:00 GMT"), 1, 24 * time.Hour, 24 * time.Hour,
			"status 429"},
		{"hung up every time", hangUp, 5, time.Minute, time.Minute, "no answer: EOF"},
		{"attempts exhausted", status(500, ""), 5, time.Minute, time.Minute, "status 500"},
		{"cut every time", cut, 5, time.Minute, time.Minute, "the answer was cut off: unexpected EOF"},
		{"JSON cut every time", cutSilently, 5, time.Minute, time.Minute, "the answer ends inside its JSON, at byte 30"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAccount(t, nil, tt.handler)
			_, err := a.Campaign(t.Context(), "7")
			later, ok := errors.AsType[*LaterError](err)
			if !ok || later.After < tt.least || later.After > tt.most {
				t.Fatalf("the error %#v", err)
			}
			if want := "campaigner: GET /Campaigns/7: " + tt.cause; later.Cause != want {
				t.Errorf("the cause %q, want %q", later.Cause, want)
			}
			if len(a.requests()) != tt.asks {
				t.Errorf("asked %v", a.requests())
			}
			for i, d := range a.clock.slept {
				if base := min(time.Second<<i, 20*time.Second); d < base/2 || d > base*3/2+1 {
					t.Errorf("wait %d is %v", i, d)
				}
			}
		})
	}
}

// One job's 429 keeps the other jobs of the account waiting too.
func TestHeldLimit(t *testing.T) {
	limit := NewLimit(0, 0)
	share := func(c *ClientConfig) { c.Limit = limit }
	a := newAccount(t, share, status(429, "", "Retry-After", "600"))
	b := newAccount(t, share, good)
	if _, err := a.Campaign(t.Context(), "7"); err == nil {
		t.Fatal("no error")
	}
	_, err := b.Campaign(t.Context(), "7")
	if later, ok := errors.AsType[*LaterError](err); !ok || later.After != 10*time.Minute || len(b.requests()) != 0 {
		t.Fatalf("the error %v, asked %v", err, b.requests())
	}
	b.clock.now = b.clock.now.Add(590 * time.Second)
	if _, err := b.Campaign(t.Context(), "7"); err != nil || len(b.clock.slept) != 1 || b.clock.slept[0] != 10*time.Second {
		t.Fatalf("the error %v, slept %v", err, b.clock.slept)
	}
}

func TestPermanent(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    Error
	}{
		{"400", status(400, `{"ErrorCode": 12, "Message": "Invalid\r\n 'Since'"}`), Error{Status: 400, Code: "12", Message: "Invalid   'Since'"}},
		{"400 with a code as text", status(400, `{"errorCode": "E12", "message": null}`), Error{Status: 400, Code: "E12"}},
		{"400 with a bare text", status(400, "no such thing", "Content-Type", "text/plain"), Error{Status: 400, Message: "no such thing"}},
		{"400 with a page", status(400, "<html>no</html>", "Content-Type", "text/html"), Error{Status: 400}},
		{"401", status(401, ""), Error{Status: 401}},
		{"403", status(403, `{"ErrorCode": 3}`), Error{Status: 403, Code: "3"}},
		{"404", status(404, ""), Error{Status: 404}},
		{"405", status(405, "[]"), Error{Status: 405}},
		{"redirect", status(302, "", "Location", "/v1/Ping"), Error{Status: 302, Message: "a redirect, which is not followed; is the base URL right?"}},
		{"a web page", status(200, "<html></html>", "Content-Type", "text/html; charset=x"), Error{Status: 200,
			Message: "the answer is text/html; charset=x, not JSON; is the base URL right?"}},
		{"no JSON", status(200, `{"CampaignID": Secret}`), Error{Message: "the answer is not JSON at byte 15"}},
		{"two values", status(200, `{} {}`), Error{Message: "something follows the JSON that ends at byte 2"}},
		{"no object", status(200, `7`), Error{Message: "the answer is not an object"}},
		{"too large", status(200, strings.Repeat(" ", 1001)), Error{Status: 200, Message: "the answer is larger than 1000 bytes; smaller pages may do"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAccount(t, func(c *ClientConfig) { c.MaxBody = 1000 }, tt.handler)
			_, err := a.Campaign(t.Context(), "7")
			got, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("the error %#v", err)
			}
			tt.want.Path = "/Campaigns/7"
			if d := cmp.Diff(tt.want, *got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			if len(a.requests()) != 1 || len(a.clock.slept) != 0 {
				t.Errorf("asked %v, slept %v", a.requests(), a.clock.slept)
			}
		})
	}
}

func TestBodyBound(t *testing.T) {
	body := `{"CampaignID": 7, "Name": "Spring"}`
	a := newAccount(t, func(c *ClientConfig) { c.MaxBody = int64(len(body)) }, status(200, body))
	if _, err := a.Campaign(t.Context(), "7"); err != nil {
		t.Error(err)
	}
}

// However the provider echoes the key, no error shows it.
func TestKeyNeverShown(t *testing.T) {
	echo := func(form string) map[string]http.HandlerFunc {
		quoted, _ := json.Marshal(form)
		return map[string]http.HandlerFunc{
			"message":        status(400, `{"ErrorCode": 1, "Message": `+string(quoted)+`}`),
			"long message":   status(400, `{"Message": "`+strings.Repeat("x", maxQuoted-8)+strings.Trim(string(quoted), `"`)+`"}`),
			"code":           status(401, `{"ErrorCode": `+string(quoted)+`}`),
			"text":           status(403, form, "Content-Type", "text/plain"),
			"content type":   status(200, "x", "Content-Type", "text/"+form),
			"passing":        status(500, `{"Message": `+string(quoted)+`}`),
			"location":       status(302, "", "Location", "https://"+form+"/"),
			"a broken value": status(200, `{"CampaignID": `+form+`}`),
			"malformed answer": func(w http.ResponseWriter, r *http.Request) {
				if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
					_, _ = fmt.Fprintf(conn, "HTTP/1.1 %s\r\n\r\n", form)
					_ = conn.Close()
				}
			},
		}
	}
	forms := []string{testKey, strings.ToUpper(testKey), url.QueryEscape(testKey), url.PathEscape(testKey), "U2VjcmV0K0tleS8wMTIzPT0="}
	for _, form := range forms {
		for name, handler := range echo(form) {
			a := newAccount(t, func(c *ClientConfig) { c.Attempts = 1 }, handler)
			_, err := a.Campaign(t.Context(), "7")
			if err == nil {
				t.Errorf("%s: no error", name)
				continue
			}
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
				if containsKey(text) {
					t.Errorf("%s of %s: %s", name, form, text)
				}
			}
		}
	}
}

// containsKey looks for enough of the key to be of use, in any of the forms.
func containsKey(text string) bool {
	text = strings.ToLower(text)
	for _, part := range []string{"secret+", "secret%2b", "key/0123", "key%2f0123", "u2vjcmv0"} {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

func TestKeyNeverPrinted(t *testing.T) {
	config := ClientConfig{APIKey: testKey}
	a := newAccount(t, nil, good)
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", config.APIKey, "config", config)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", config.APIKey)
	fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d %v %+v", config, config, config, config.APIKey, config.APIKey, config.APIKey, config.APIKey, a.Client, *a.Client)
	if text := out.String(); containsKey(text) || strings.Contains(text, fmt.Sprintf("%x", testKey)) {
		t.Error(text)
	}
}

func TestRowFaultWithoutKey(t *testing.T) {
	a := newAccount(t, nil, status(200, `{"CampaignID": 7, "Created": "`+testKey+`", "Opens": "`+testKey+`"}`))
	got, err := a.Campaign(t.Context(), "7")
	if err != nil || got.Fault == "" || containsKey(got.Fault) {
		t.Errorf("the fault %q, %v", got.Fault, err)
	}
}

func TestCancelled(t *testing.T) {
	entered := make(chan struct{})
	a := newAccount(t, func(c *ClientConfig) { c.Attempts = 1 }, func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	if _, err := a.Campaign(ctx, "7"); !errors.Is(err, context.Canceled) || len(a.requests()) != 1 {
		t.Errorf("the error %v, asked %v", err, a.requests())
	}
	if _, err := a.Campaign(ctx, "7"); !errors.Is(err, context.Canceled) {
		t.Errorf("the error %v", err)
	}
}

func TestSlowAnswer(t *testing.T) {
	a := newAccount(t, func(c *ClientConfig) { c.Timeout = 20 * time.Millisecond; c.Attempts = 2 }, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	})
	_, err := a.Campaign(t.Context(), "7")
	later, ok := errors.AsType[*LaterError](err)
	if !ok || later.Cause != "campaigner: GET /Campaigns/7: no answer within 20ms" || len(a.requests()) != 2 {
		t.Errorf("the error %#v, asked %v", err, a.requests())
	}
}

func TestRedirectNotFollowed(t *testing.T) {
	a := newAccount(t, nil, answers(status(307, "", "Location", "/v1/Campaigns/8"), good))
	if _, err := a.Campaign(t.Context(), "7"); err == nil || len(a.requests()) != 1 {
		t.Errorf("the error %v, asked %v", err, a.requests())
	}
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		config ClientConfig
		want   string
	}{
		{ClientConfig{APIKey: " \n"}, "campaigner: there is no API key"},
		{ClientConfig{APIKey: "k", BaseURL: "http://edapi.campaigner.com/v1"}, "campaigner: the base URL must begin with https://"},
		{ClientConfig{APIKey: "k", BaseURL: "https://127.0.0.1/v1"}, "campaigner: the base URL must not be a loopback or private address"},
	} {
		if _, err := NewClient(tt.config); err == nil || err.Error() != tt.want {
			t.Errorf("NewClient(%v): %v, want %s", tt.config, err, tt.want)
		}
	}
	c, err := NewClient(ClientConfig{APIKey: "k"})
	if err != nil || c.config.BaseURL != DefaultBaseURL {
		t.Errorf("the base URL %s, %v", c.config.BaseURL, err)
	}
}

// A name may lead to another address than when the base URL was set.
func TestDialCheck(t *testing.T) {
	server := httptest.NewUnstartedServer(good)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshakes that fail below
	server.StartTLS()
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if !leadsToLoopback(t, "localhost") {
		t.Skip("localhost does not lead to loopback here")
	}
	t.Setenv("HTTPS_PROXY", server.URL) // must not lead around the check
	clock := &testClock{}
	c, err := NewClient(ClientConfig{APIKey: testKey, Now: clock.Now, Sleep: clock.Sleep})
	if err != nil {
		t.Fatal(err)
	}
	c.config.BaseURL = "https://localhost:" + port // as if the name had been another one
	_, err = c.Campaign(t.Context(), "7")
	got, ok := errors.AsType[*Error](err)
	if !ok || got.Message != "the name of the base URL leads to an address that is not public" || len(clock.slept) != 0 {
		t.Errorf("the error %v, slept %v", err, clock.slept)
	}
	c.http = newHTTPClient(true)
	if _, err = c.Campaign(t.Context(), "7"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with private addresses: %v", err) // so the connection was made, and its certificate refused
	}
}

func leadsToLoopback(t *testing.T, host string) bool {
	t.Helper()
	addrs, err := net.DefaultResolver.LookupNetIP(t.Context(), "ip", host)
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if !netip.Addr.IsLoopback(a.Unmap()) {
			return false
		}
	}
	return len(addrs) > 0
}
