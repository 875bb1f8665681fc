package sqlite

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"monterey/internal/bounce"
	"monterey/internal/event"
)

func TestFacts(t *testing.T) {
	text := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[0-9a-z{}":,\\<]{1,12}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		f := event.Facts{ProviderEventID: text.Draw(t, "id"), IP: text.Draw(t, "ip"), UserAgent: text.Draw(t, "agent")}
		if rapid.Bool().Draw(t, "bounce") {
			f.Bounce = bounce.Detail{SMTPCode: rapid.IntRange(0, 599).Draw(t, "smtp"), EnhancedCode: "5.1.1", Label: text.Draw(t, "label"), Reason: text.Draw(t, "reason")}
		}
		ip, facts := encodeFacts(f)
		if facts != nil && !json.Valid([]byte(facts.(string))) {
			t.Fatalf("%s is no JSON", facts)
		}
		gotIP, _ := ip.(string)
		gotFacts, _ := facts.(string)
		if got, err := decodeFacts(gotIP, gotFacts); err != nil || got != f {
			t.Fatalf("%q: error %v, got %+v, want %+v", gotFacts, err, got, f)
		}
	})
}

func TestFactsOfNothing(t *testing.T) {
	if ip, facts := encodeFacts(event.Facts{}); ip != nil || facts != nil {
		t.Errorf("no facts are %v and %v, not NULL", ip, facts)
	}
	if _, err := decodeFacts("", "{"); err == nil {
		t.Error("damaged facts are read")
	}
}
