package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"monterey/internal/bounce"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

// held adds the accounts that a directory would.
type held struct {
	bounce.Store
	by map[string][]string
}

func (h held) ListBounces(ctx context.Context, c workspace.Caller, p bounce.ListParams) (bounce.List, error) {
	l, err := h.Store.ListBounces(ctx, c, p)
	for i := range l.Items {
		l.Items[i].AccountNumbers = h.by[l.Items[i].Address]
	}
	return l, err
}

// nastyTexts are what a CSV reader stumbles over.
var nastyTexts = []string{"550 5.1.1 <bob@example.com>: no, \"such\" user", "line\nbreak", "carriage\r\nreturn", "tab\there", `"`, `""`, ",", ";", " blanks ",
	"=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(1)", "\t=1", "  =1", "＝1", "🙂 Zażółć 日本語", "'quoted'", `\`, "NULL", "0", "1e5", "", "a\u2028b"}

// newHistory is Alice's workspace with a history of n bounces, a minute apart.
func newHistory(t *testing.T, n int) client {
	t.Helper()
	accounts := map[string][]string{"p1@example.com": {"A-1"}, "p2@example.com": {"A-1", "b,2", "c\"3"}}
	s := openSite(t, func(c *Config) { c.Bounces = held{c.Bounces, accounts} })
	alice := s.newWorkspace("Alice's", workspace.Viewer)
	var rows []bounce.Historical
	for i := range n {
		rows = append(rows, bounce.Historical{ProviderEventID: fmt.Sprint(100 + i), Address: fmt.Sprintf("p%d@example.com", i%5), Class: bounce.Classes[i%4],
			OccurredAt: time.Date(2024, 3, 4, 22, 59, 59, 0, time.UTC).Add(time.Duration(i) * time.Minute),
			Detail:     bounce.Detail{Reason: nastyTexts[i%len(nastyTexts)]}})
	}
	if _, err := s.store.PutBounces(t.Context(), workspace.System(alice.where(t)), provider.Campaigner, rows); err != nil {
		t.Fatal(err)
	}
	return alice
}

// where is the workspace of the client's key.
func (c client) where(t *testing.T) workspace.ID {
	t.Helper()
	id, err := workspace.ParseID(c.do(200, "GET", "/auth/me", nil)["memberships"].([]any)[0].(map[string]any)["workspace_id"].(string))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// The item's shape is what existing clients read.
func TestHistoricalShape(t *testing.T) {
	alice := newHistory(t, 3)
	a := alice.try("GET", "/historical-bounces/?page_size=1&sort=OCCURRED_AT", nil, "")
	var list struct {
		Page     int
		PageSize int `json:"page_size"`
		Total    int
		Items    []map[string]any
	}
	if err := json.Unmarshal(a.Body.Bytes(), &list); err != nil || list.Page != 1 || list.PageSize != 1 || list.Total != 3 || len(list.Items) != 1 {
		t.Fatal(err, a.Body)
	}
	got := list.Items[0]
	if _, err := time.Parse(time.RFC3339Nano, got["updated_at"].(string)); err != nil || len(got["id"].(string)) != 36 {
		t.Error(err, got["id"])
	}
	delete(got, "updated_at")
	delete(got, "id")
	want := map[string]any{"recipient_email": "p0@example.com", "occurred_at": "2024-03-04T22:59:59Z", "provider_name": "campaigner", "provider_event_id": "100",
		"bounce_type": "hard", "detail": nastyTexts[0], "account_numbers": []any{}, "account_match_count": 0.0}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	last := alice.items("/historical-bounces/?page_size=1")[0].(map[string]any)
	if d := cmp.Diff([]any{"A-1", "b,2", "c\"3"}, last["account_numbers"]); d != "" || last["account_match_count"] != 3.0 {
		t.Errorf("accounts: %v\n%s", last["account_match_count"], d)
	}
}

func TestHistoricalFilters(t *testing.T) {
	alice := newHistory(t, 120) // 2024-03-04 23:59:59 in Paris and the two hours after
	for query, total := range map[string]float64{
		"": 120, "recipient_email=P1@Example.com": 24, "recipient_email=p1@example.com,p2@example.com": 48, "bounce_type=HARD&bounce_type=soft": 60,
		"occurred_after=2024-03-05": 119, "occurred_before=2024-03-05": 1, "occurred_before=2024-03-05&timezone=UTC": 61, "occurred_before=2024-03-04": 0,
		"occurred_after=2024-03-05&timezone=UTC": 59, "occurred_after=2024-03-05&occurred_before=2024-03-05": 0, "occurred_after=2024-03-05&occurred_before=2024-03-06": 119,
		"occurred_after=2024-03-04T22:59:59Z&occurred_before=2024-03-04T23:00:59Z": 1, "occurred_after=2024-03-05T00:00:59&occurred_before=2024-03-05T00:01:00": 1,
		"occurred_after=2024-03-04T23:59:59 01:00": 120, "account_number=A-1": 0, "recipient_email=": 120, "updated_from=2024-01-01": 120, "updated_from=2099-01-01": 0,
	} {
		got := alice.do(200, "GET", "/historical-bounces/?"+strings.ReplaceAll(query, " ", "%20"), nil)
		if got["total"] != total {
			t.Errorf("%s: %v, want %v", query, got["total"], total)
		}
	}
	got := alice.do(200, "GET", "/historical-bounces/?occurred_after=2024-03-05&occurred_before=2024-03-06T00:00:00", nil)
	if got["date_from"] != "2024-03-04T23:00:00Z" || got["date_to"] != "2024-03-05T23:00:00Z" {
		t.Errorf("resolved to %v, %v", got["date_from"], got["date_to"])
	}
	alice.do(422, "GET", "/historical-bounces/?date_from=2024-03-05", nil)
}

// Every order walks by cursor through all of it, and following changes is complete up to as_of.
func TestHistoricalWalks(t *testing.T) {
	alice := newHistory(t, 53)
	ids := func(items []any) (out []string) {
		for _, i := range items {
			out = append(out, i.(map[string]any)["provider_event_id"].(string))
		}
		return out
	}
	for _, sort := range []string{"", "occurred_at", "-occurred_at", "updated_at", "-updated_at"} {
		base := "/historical-bounces/?sort=" + sort
		want := ids(alice.items(base + "&page_size=500"))
		if len(want) != 53 || slices.IsSorted(want) != (sort == "occurred_at" || sort == "updated_at") {
			t.Errorf("sort=%s: %v", sort, want)
		}
		var walked []string
		for cursor := ""; ; {
			part := alice.do(200, "GET", base+"&page_size=10&cursor="+cursor, nil)
			walked = append(walked, ids(part["items"].([]any))...)
			next, ok := part["next_cursor"].(string)
			if !ok || len(walked) > 60 {
				break
			}
			cursor = next
			alice.do(422, "GET", "/historical-bounces/?bounce_type=hard&cursor="+cursor+"&sort="+sort, nil)
		}
		if d := cmp.Diff(want, walked); d != "" {
			t.Errorf("sort=%s (-whole +walked):\n%s", sort, d)
		}
	}
	all := alice.do(200, "GET", "/historical-bounces/?sort=updated_at&page_size=500", nil)
	items := all["items"].([]any)
	if newest := items[len(items)-1].(map[string]any)["updated_at"]; all["as_of"] != newest {
		t.Errorf("changes are complete up to %v, the newest is %v", all["as_of"], newest)
	}
	if plain := alice.do(200, "GET", "/historical-bounces/", nil); plain["as_of"].(string) <= all["as_of"].(string) {
		t.Errorf("the list is as of %v, before %v", plain["as_of"], all["as_of"])
	}
}

// What Python's csv reads is what the list says.
func TestHistoricalExportInPython(t *testing.T) {
	alice := newHistory(t, 3*len(nastyTexts))
	server := httptest.NewServer(alice.http)
	defer server.Close()
	const program = `
import csv, io, json, sys, urllib.request
r = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]})
with urllib.request.urlopen(r) as answer:
    text = answer.read().decode("utf-8")
print(json.dumps(list(csv.DictReader(io.StringIO(text, newline=""), strict=True))))`
	read := func(query string) (rows []map[string]string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "python3", "-c", program, server.URL+"/historical-bounces/export"+query, alice.token)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err, string(out))
		}
		if err := json.Unmarshal(out, &rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	cell := func(v any) string {
		switch v := v.(type) {
		case nil:
			return ""
		case []any:
			var texts []string
			for _, s := range v {
				texts = append(texts, s.(string))
			}
			return strings.Join(texts, ";")
		}
		return fmt.Sprint(v)
	}
	for _, raw := range []bool{true, false} {
		var want []map[string]string
		for _, i := range alice.items("/historical-bounces/?page_size=500") {
			row := map[string]string{}
			for name, v := range i.(map[string]any) {
				if row[name] = cell(v); !raw && formula(row[name]) {
					row[name] = "'" + row[name]
				}
			}
			want = append(want, row)
		}
		if d := cmp.Diff(want, read(fmt.Sprint("?raw=", raw))); d != "" || len(want) != 3*len(nastyTexts) {
			t.Errorf("raw=%v: %d rows (-list +csv):\n%s", raw, len(want), d)
		}
	}
	if rows := read("?bounce_type=hard&recipient_email=p2@example.com&occurred_after=2024-03-05&sort=occurred_at"); len(rows) == 0 || rows[0]["account_numbers"] != "A-1;b,2;c\"3" {
		t.Errorf("filtered: %v", rows)
	}
}

// stops answers one chunk, and fails behind it.
type stops struct{ bounce.Store }

func (s stops) ListBounces(ctx context.Context, c workspace.Caller, p bounce.ListParams) (bounce.List, error) {
	if p.After != nil {
		return bounce.List{}, errors.New("disk gone")
	}
	p.Limit = 2
	return s.Store.ListBounces(ctx, c, p)
}

func TestHistoricalExportThatFails(t *testing.T) {
	s := openSite(t, func(c *Config) { c.Bounces = stops{c.Bounces} })
	alice := s.newWorkspace("Alice's", workspace.Viewer)
	rows := []bounce.Historical{}
	for i := range 5 {
		rows = append(rows, bounce.Historical{ProviderEventID: fmt.Sprint(i), Address: "a@example.com", Class: bounce.Hard, OccurredAt: moment1})
	}
	if _, err := s.store.PutBounces(t.Context(), workspace.System(alice.where(t)), provider.Campaigner, rows); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(alice.http)
	defer server.Close()
	server.Config.ErrorLog = nil
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/historical-bounces/export", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+alice.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || resp.StatusCode != 200 || strings.Count(string(body), "\r\n") != 3 {
		t.Errorf("a failure half-way looks like a complete file: %d, %v\n%s", resp.StatusCode, err, body)
	}
}

func TestHistoricalNDJSON(t *testing.T) {
	alice := newHistory(t, 4)
	a := alice.try("GET", "/historical-bounces/export", nil, "Accept: application/x-ndjson")
	lines := strings.Split(strings.TrimSuffix(a.Body.String(), "\n"), "\n")
	if len(lines) != 4 || a.Header().Get("Content-Type") != "application/x-ndjson" || !strings.Contains(a.Header().Get("Content-Disposition"), "historical-bounces.ndjson") {
		t.Fatal(a.Header(), lines)
	}
	for i, item := range alice.items("/historical-bounces/") {
		var line any
		if err := json.Unmarshal([]byte(lines[i]), &line); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(item, line); d != "" {
			t.Errorf("line %d (-list +line):\n%s", i, d)
		}
	}
}

// A hard bounce of the history suppresses, and says where it is from.
func TestHistoricalCheck(t *testing.T) {
	s := openSite(t, nil)
	alice := s.newWorkspace("Alice's", workspace.Viewer)
	rows := []bounce.Historical{{ProviderEventID: "1", Address: "hard@example.com", Class: bounce.Hard, OccurredAt: moment1},
		{ProviderEventID: "2", Address: "soft@example.com", Class: bounce.Soft, OccurredAt: moment1}}
	if _, err := s.store.PutBounces(t.Context(), workspace.System(alice.where(t)), provider.Campaigner, rows); err != nil {
		t.Fatal(err)
	}
	want := []any{
		map[string]any{"email": "soft@example.com", "suppressed": false, "reasons": []any{}},
		map[string]any{"email": " HARD@example.com", "suppressed": true, "reasons": []any{map[string]any{"reason": "hard_bounce",
			"occurred_at": "2026-01-02T10:00:00Z", "source": "history", "id": alice.items("/historical-bounces/?bounce_type=hard")[0].(map[string]any)["id"]}}},
	}
	for _, path := range []string{"/historical-bounces/check", "/suppressions/check"} {
		got := alice.do(200, "POST", path, map[string]any{"emails": []string{"soft@example.com", " HARD@example.com"}})
		if d := cmp.Diff(want, got["items"]); d != "" {
			t.Errorf("%s (-want +got):\n%s", path, d)
		}
	}
	if got := alice.items("/suppressions/"); len(got) != 1 {
		t.Errorf("suppressed: %v", got)
	}
}

// An answer that writes its JSON itself writes what json.Marshal does.
func TestCheckJSON(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	texts := []string{"", "bob@example.com", `"a\b"@example.com`, "<b>&@example.com", "ü\u2028@example.com", "tab\t\x7f\x00@example.com", "\U0001f600", "\xff@example.com"}
	text := func() string { return texts[rnd.IntN(len(texts))] }
	when := func() time.Time {
		return time.UnixMicro(rnd.Int64N(1 << 51)).UTC().Truncate(time.Duration(1+rnd.IntN(2)*999_999) * time.Microsecond)
	}
	for range 200 {
		w := checkWire{AsOf: when(), Items: []checkedWire{}}
		for range rnd.IntN(4) {
			item := checkedWire{Email: text(), Suppressed: rnd.IntN(2) == 0, Reasons: []causeWire{}}
			for range rnd.IntN(3) {
				item.Reasons = append(item.Reasons, causeWire{Reason: text(), OccurredAt: when(), Source: text(), ID: uuid.New()})
			}
			w.Items = append(w.Items, item)
		}
		want, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := marshal(w); err != nil || string(got) != string(want) {
			t.Fatalf("%s, error %v, want %s", got, err, want)
		}
	}
}
