package httpapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"monterey/internal/delivery"
	"monterey/internal/fault"
)

type fakeIntake struct {
	got []byte
	err error
}

func (f *fakeIntake) Receive(_ context.Context, body []byte) (delivery.ID, int, time.Time, error) {
	f.got = body
	return delivery.ID{UUID: uuid.Nil}, 3, time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)), f.err
}

func packed(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s)) // a buffer takes everything
	_ = z.Close()
	return b.String()
}

func TestWebhook(t *testing.T) {
	const limit = 1000
	plain := `{"key":"k"}`
	half := packed(strings.Repeat("0123456789abcdef", 50))
	for _, tt := range []struct {
		name, body string
		headers    []string
		status     int
		got        string
	}{
		{"plain", plain, nil, 202, plain},
		{"any type", plain, []string{"Content-Type: image/png"}, 202, plain},
		{"gzip", packed(plain), []string{"Content-Encoding: gzip"}, 202, plain},
		{"gzip without saying so", packed(plain), nil, 202, plain},
		{"two gzip members", packed(plain) + packed(plain), nil, 202, plain + plain},
		{"plain that says gzip", plain, []string{"Content-Encoding: gzip"}, 202, plain},
		{"just at the bound", strings.Repeat("x", limit), nil, 202, strings.Repeat("x", limit)},
		{"just at the bound, packed", packed(strings.Repeat("x", limit)), nil, 202, strings.Repeat("x", limit)},
		{"over the bound", strings.Repeat("x", limit+1), nil, 413, ""},
		{"over the bound unpacked", packed(strings.Repeat("x", limit+1)), nil, 413, ""},
		{"a bomb", packed(strings.Repeat("\x00", 800_000)), nil, 413, ""},
		{"cut gzip", half[:len(half)-9], nil, 400, ""},
		{"cut gzip header", half[:5], nil, 400, ""},
		{"damaged gzip", half[:20] + "\xff\xff" + half[22:], nil, 400, ""},
		{"gzip with a tail", packed(plain) + "tail", nil, 400, ""},
	} {
		in := &fakeIntake{}
		h := testAPI(t, Config{Intake: in, MaxWebhookBytes: limit})
		a := ask(t, h, "POST", "/campaign-events/webhook?from=campaigner", tt.body, tt.headers...)
		if a.Code != tt.status || string(in.got) != tt.got {
			t.Errorf("%s: %d, got %.40q: %s", tt.name, a.Code, in.got, a.Body)
		}
		if tt.status != 202 {
			continue
		}
		var w map[string]any
		if err := json.Unmarshal(a.Body.Bytes(), &w); err != nil || len(w) != 3 || w["events"] != 3.0 || w["received_at"] != "2026-01-02T02:04:05.000000006Z" || w["delivery_id"] == nil {
			t.Errorf("%s: %s", tt.name, a.Body)
		}
	}
}

func TestWebhookFaults(t *testing.T) {
	for status, err := range map[int]error{
		400: fault.New(fault.Malformed, "line 3 is no object"),
		401: fault.New(fault.Unauthorized, "unknown key"),
		503: &fault.Error{Code: fault.Unavailable, Message: "the inbox is full", RetryAfter: 1500 * time.Millisecond},
		500: errors.New("secret"),
	} {
		a := ask(t, testAPI(t, Config{Intake: &fakeIntake{err: err}}), "POST", "/campaign-events/webhook", "{}")
		if a.Code != status || strings.Contains(a.Body.String(), "secret") {
			t.Errorf("%v: %d %s", err, a.Code, a.Body)
		}
		if got := a.Header().Get("Retry-After"); status == 503 && got != "2" {
			t.Errorf("Retry-After is %q", got)
		}
	}
}

// TestLargeBodiesShareMemory: bodies beyond what all may take together are refused for the moment, small ones never; and what
// was taken is given back, also by bodies that are refused for themselves.
func TestLargeBodiesShareMemory(t *testing.T) {
	const limit = 1 << 20
	large := strings.Repeat("x", limit)
	a := newAPI(Config{Intake: &fakeIntake{}, MaxWebhookBytes: limit})
	h := a.handler()
	post := func(body string) int {
		return ask(t, h, "POST", "/campaign-events/webhook", body).Code
	}
	for range 50 {
		for body, want := range map[string]int{large: 202, large + "x": 413, packed(large): 202, packed(large + "x"): 413, packed(large)[:1000]: 400} {
			if got := post(body); got != want {
				t.Fatalf("a body of %d bytes: %d, want %d", len(body), got, want)
			}
		}
	}
	all := int64(8 * limit)
	if !a.bodies.TryAcquire(all) {
		t.Fatal("bodies hold memory after their requests")
	}
	a.bodies.Release(2 * limit)
	if got := ask(t, h, "POST", "/campaign-events/webhook", large); got.Code != 202 {
		t.Errorf("a body that there is room for: %d %s", got.Code, got.Body)
	}
	if !a.bodies.TryAcquire(2 * limit) {
		t.Fatal("a body holds memory after its request")
	}
	for _, body := range []string{large, packed(large)} {
		if got := ask(t, h, "POST", "/campaign-events/webhook", body); got.Code != 503 || got.Header().Get("Retry-After") != "1" {
			t.Errorf("without room: %d, Retry-After %q: %s", got.Code, got.Header().Get("Retry-After"), got.Body)
		}
	}
	for _, body := range []string{"{}", large[:freeBody-512], packed(large[:freeBody/2])} {
		if got := post(body); got != 202 {
			t.Errorf("a small body of %d bytes: %d", len(body), got)
		}
	}
}
