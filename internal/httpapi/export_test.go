package httpapi

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"monterey/internal/event"
	"monterey/internal/workspace"
)

// stored is a list of events by id, which may change while it is read.
type stored struct {
	mu     sync.Mutex
	events []event.Event
	err    error // of reading behind the events
	change func(p event.ListParams)
}

func (s *stored) ListEvents(_ context.Context, _ workspace.Caller, p event.ListParams) (out event.List, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.change != nil {
		s.change(p)
	}
	if !p.NoTotal || p.Order != event.OldestFirst {
		return out, errors.New("this is no export by time")
	}
	from := 0
	if p.After != nil {
		for from < len(s.events) && s.events[from].ID.Compare(p.After.ID) <= 0 {
			from++
		}
	}
	from = min(from+p.Offset, len(s.events))
	to := min(from+p.Limit, len(s.events))
	out.Items, out.More = slices.Clone(s.events[from:to]), to < len(s.events) || s.err != nil
	if s.err != nil && from+p.Limit > len(s.events) {
		return event.List{}, s.err
	}
	return out, nil
}

func (s *stored) GetEvent(context.Context, workspace.Caller, event.ID) (event.Event, error) {
	return event.Event{}, errors.New("not asked for")
}

func anEvent(n int) event.Event {
	at := time.Date(2026, 1, 2, 3, 4, n, 0, time.UTC)
	return event.Event{ID: event.ID{UUID: uuid.UUID{13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}}, Type: event.Click, Address: "=cmd|' /C calc'!A0@example.com",
		CampaignName: "Spring, \"sale\"\nnow", OccurredAt: at, ReceivedAt: at, UpdatedAt: at, Link: event.Link{URL: "https://x.example/?a=1"}}
}

func TestExportCSV(t *testing.T) {
	h := testAPI(t, Config{Events: &stored{events: []event.Event{anEvent(1), anEvent(2), anEvent(3)}}})
	a := ask(t, h, "GET", "/campaign-events/export?sort=occurred_at&event_type=click", "", asViewer)
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
	h = testAPI(t, Config{Events: &stored{events: []event.Event{anEvent(1)}}})
	if a := ask(t, h, "GET", "/campaign-events/export?sort=occurred_at&raw=true", "", asViewer); !strings.Contains(a.Body.String(), ",=cmd|") {
		t.Errorf("raw: %s", a.Body)
	}
}

func TestExportNDJSON(t *testing.T) {
	gone := event.Event{ID: event.ID{UUID: uuid.UUID{15: 9}}, UpdatedAt: time.Unix(9, 0), Removed: true}
	h := testAPI(t, Config{Events: &stored{events: []event.Event{anEvent(1), gone}}})
	a := ask(t, h, "GET", "/campaign-events/export?sort=occurred_at&updated_from=2026-01-01", "", asViewer, "Accept: text/csv;q=0.5, application/x-ndjson")
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
	server := func(c *stored) *httptest.Server {
		s := httptest.NewServer(testAPI(t, Config{Events: c}))
		s.Config.ErrorLog = nil
		t.Cleanup(s.Close)
		return s
	}
	get := func(s *httptest.Server) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/campaign-events/export?sort=occurred_at", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer viewer")
		return http.DefaultClient.Do(r)
	}
	resp, err := get(server(&stored{err: broken}))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 500 || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("failure before the first row: %d %v", resp.StatusCode, resp.Header)
	}
	for _, n := range []int{exportChunk, exportChunk * 5 / 4, exportChunk * 7 / 4} { // in the first half of the second chunk, and in its second
		resp, err = get(server(&stored{events: manyEvents(n), err: broken}))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("failure half-way looks like a complete file: %v, %d bytes", err, len(body))
		}
	}
}

func manyEvents(n int) []event.Event {
	out := make([]event.Event, n)
	for i := range out {
		out[i] = anEvent(10 * (i + 1))
	}
	return out
}

// However long the list is, and whatever comes and goes while it is read, each row that stays is written once, in order.
func TestExportOfManyChunks(t *testing.T) {
	for _, n := range []int{0, 1, exportChunk/2 - 1, exportChunk / 2, exportChunk/2 + 1, exportChunk - 1, exportChunk, exportChunk + 1, 3*exportChunk + 7} {
		for _, changing := range []bool{false, true} {
			list := &stored{events: manyEvents(n)}
			rnd, gone := rand.New(rand.NewPCG(1, uint64(n))), map[uuid.UUID]bool{}
			if changing {
				list.change = func(event.ListParams) {
					for range rnd.IntN(3) {
						if i := rnd.IntN(len(list.events) + 1); i < len(list.events) && rnd.IntN(2) == 0 {
							gone[list.events[i].ID.UUID] = true
							list.events = slices.Delete(list.events, i, i+1)
						} else if e := anEvent(10*rnd.IntN(n+1) + 1 + rnd.IntN(9)); !slices.ContainsFunc(list.events, func(o event.Event) bool { return o.ID == e.ID }) {
							list.events = append(list.events, e)
							slices.SortFunc(list.events, func(a, b event.Event) int { return a.ID.Compare(b.ID) })
						}
					}
				}
			}
			a := ask(t, testAPI(t, Config{Events: list}), "GET", "/campaign-events/export?sort=occurred_at", "", asViewer)
			rows, err := csv.NewReader(a.Body).ReadAll()
			if err != nil || a.Code != 200 {
				t.Fatal(a.Code, err)
			}
			var before string
			seen := map[string]bool{}
			for _, row := range rows[1:] {
				if row[0] <= before {
					t.Fatalf("of %d: %s comes behind %s", n, row[0], before)
				}
				before, seen[row[0]] = row[0], true
			}
			for _, e := range manyEvents(n) {
				if !seen[e.ID.String()] && !gone[e.ID.UUID] {
					t.Fatalf("of %d: %s is missing", n, e.ID)
				}
			}
			if !changing && len(seen) != n {
				t.Errorf("%d rows, want %d", len(seen), n)
			}
		}
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
