package httpapi

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"monterey/internal/event"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

// chunks answers a list of events a chunk at a time and then, where err is set, fails.
type chunks struct {
	chunks [][]event.Event
	err    error
	asked  []event.ListParams
}

func (c *chunks) ListEvents(_ context.Context, _ workspace.Caller, p event.ListParams) (event.List, error) {
	n := len(c.asked)
	c.asked = append(c.asked, p)
	if n == len(c.chunks) {
		return event.List{}, c.err
	}
	return event.List{Of: page.Of[event.Event]{Items: c.chunks[n]}, More: n+1 < len(c.chunks) || c.err != nil}, nil
}

func (c *chunks) GetEvent(context.Context, workspace.Caller, event.ID) (event.Event, error) {
	return event.Event{}, errors.New("not asked for")
}

func anEvent(n byte) event.Event {
	at := time.Date(2026, 1, 2, 3, 4, int(n), 0, time.UTC)
	return event.Event{ID: event.ID{UUID: uuid.UUID{15: n}}, Type: event.Click, Address: "=cmd|' /C calc'!A0@example.com",
		CampaignName: "Spring, \"sale\"\nnow", OccurredAt: at, ReceivedAt: at, UpdatedAt: at, Link: event.Link{URL: "https://x.example/?a=1"}}
}

func TestExportCSV(t *testing.T) {
	events := &chunks{chunks: [][]event.Event{{anEvent(1), anEvent(2)}, {anEvent(3)}}}
	h := testAPI(t, Config{Events: events})
	a := ask(t, h, "GET", "/campaign-events/export?event_type=click", "", asViewer)
	if a.Code != 200 || !strings.HasPrefix(a.Header().Get("Content-Type"), "text/csv") || !strings.Contains(a.Header().Get("Content-Disposition"), "attachment") {
		t.Fatal(a.Code, a.Header(), a.Body)
	}
	rows, err := csv.NewReader(a.Body).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatal(err, rows)
	}
	want := []string{"id", "campaign_id", "campaign_name", "provider_campaign_id", "run_id", "event_type", "recipient_email", "occurred_at",
		"received_at", "updated_at", "provider_name", "provider_event_id", "source", "actor", "actor_reason", "url", "ip_address", "user_agent",
		"bounce_type", "detail"}
	if d := cmp.Diff(want, rows[0]); d != "" {
		t.Errorf("header (-want +got):\n%s", d)
	}
	if rows[1][6] != "'=cmd|' /C calc'!A0@example.com" || rows[1][2] != "Spring, \"sale\"\nnow" || rows[3][7] != "2026-01-02T03:04:03Z" || rows[1][1] != "" {
		t.Errorf("row: %q", rows[1])
	}
	if after := events.asked[1].After; after == nil || after.ID != anEvent(2).ID || events.asked[0].After != nil || !events.asked[0].NoTotal {
		t.Errorf("the second chunk was asked behind %v", after)
	}
	h = testAPI(t, Config{Events: &chunks{chunks: [][]event.Event{{anEvent(1)}}}})
	if a := ask(t, h, "GET", "/campaign-events/export?raw=true", "", asViewer); !strings.Contains(a.Body.String(), ",=cmd|") {
		t.Errorf("raw: %s", a.Body)
	}
}

func TestExportNDJSON(t *testing.T) {
	gone := event.Event{ID: event.ID{UUID: uuid.UUID{15: 9}}, UpdatedAt: time.Unix(9, 0), Removed: true}
	h := testAPI(t, Config{Events: &chunks{chunks: [][]event.Event{{anEvent(1), gone}}}})
	a := ask(t, h, "GET", "/campaign-events/export?updated_from=2026-01-01", "", asViewer, "Accept: text/csv;q=0.5, application/x-ndjson")
	lines := strings.Split(strings.TrimSuffix(a.Body.String(), "\n"), "\n")
	if len(lines) != 2 || a.Header().Get("Content-Type") != "application/x-ndjson" {
		t.Fatal(a.Header(), lines)
	}
	var first map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || first["event_type"] != "click" {
		t.Error(err, lines[0])
	}
	if lines[1] != `{"id":"00000000-0000-0000-0000-000000000009","updated_at":"1970-01-01T00:00:09Z","removed":true}` {
		t.Error(lines[1])
	}
}

func TestExportThatFails(t *testing.T) {
	broken := errors.New("disk gone")
	server := func(c *chunks) *httptest.Server {
		s := httptest.NewServer(testAPI(t, Config{Events: c}))
		s.Config.ErrorLog = nil
		t.Cleanup(s.Close)
		return s
	}
	get := func(s *httptest.Server) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/campaign-events/export", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer viewer")
		return http.DefaultClient.Do(r)
	}
	resp, err := get(server(&chunks{err: broken}))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 500 || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("failure before the first row: %d %v", resp.StatusCode, resp.Header)
	}
	resp, err = get(server(&chunks{chunks: [][]event.Event{{anEvent(1)}}, err: broken}))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("failure half-way looks like a complete file: %v\n%s", err, body)
	}
}

func TestFormula(t *testing.T) {
	for cell, want := range map[string]bool{"": false, "a": false, "a=b": false, "=1": true, "+1": true, "-1": true, "@x": true,
		"\t=1": true, "\r=1": true, "  =1": true, "＝1": true, "'=1": false, "5.1.1": false} {
		if formula(cell) != want {
			t.Errorf("formula(%q) = %v", cell, !want)
		}
	}
}
