package event

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"monterey/internal/bounce"
)

func TestFacts(t *testing.T) {
	text := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[0-9a-z{}":,\\<]{1,12}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		f := Facts{ProviderEventID: text.Draw(t, "id"), IP: text.Draw(t, "ip"), UserAgent: text.Draw(t, "agent")}
		if rapid.Bool().Draw(t, "bounce") {
			f.Bounce = bounce.Detail{SMTPCode: rapid.IntRange(0, 599).Draw(t, "smtp"), EnhancedCode: "5.1.1", Label: text.Draw(t, "label"), Reason: text.Draw(t, "reason")}
		}
		other := f.Other()
		if other != "" && !json.Valid([]byte(other)) {
			t.Fatalf("%s is no JSON", other)
		}
		if got, err := FactsOf(f.IP, other); err != nil || got != f {
			t.Fatalf("%q: error %v, got %+v, want %+v", other, err, got, f)
		}
	})
}

func TestFactsOfNothing(t *testing.T) {
	if other := (Facts{IP: "203.0.113.9"}).Other(); other != "" {
		t.Errorf("no other facts are %q", other)
	}
	if _, err := FactsOf("", "{"); err == nil {
		t.Error("damaged facts are read")
	}
}
