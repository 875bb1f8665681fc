package sqlite

import (
	"encoding/json"
	"fmt"
	"strings"

	"monterey/internal/bounce"
	"monterey/internal/event"
)

// storedFacts is events.facts: the facts that have no column of their own.
type storedFacts struct {
	ProviderEventID string        `json:"id,omitempty"`
	UserAgent       string        `json:"agent,omitempty"`
	Bounce          bounce.Detail `json:"bounce,omitzero"`
}

const (
	onlyID    = `{"id":"`
	onlyIDEnd = `"}`
)

// encodeFacts are the columns ip and facts; nil is NULL.
func encodeFacts(f event.Facts) (ip, facts any) {
	if f.IP != "" {
		ip = f.IP
	}
	s := storedFacts{f.ProviderEventID, f.UserAgent, f.Bounce}
	if s == (storedFacts{}) {
		return ip, nil
	}
	if s == (storedFacts{ProviderEventID: s.ProviderEventID}) && plain(s.ProviderEventID) {
		return ip, onlyID + s.ProviderEventID + onlyIDEnd // nearly all events: a tenth of the time of the encoder
	}
	text, _ := json.Marshal(s) // cannot fail for texts and numbers
	return ip, string(text)
}

// decodeFacts is the inverse; "" is NULL.
func decodeFacts(ip, facts string) (f event.Facts, err error) {
	f.IP = ip
	if facts == "" {
		return f, nil
	}
	if id, ok := strings.CutPrefix(facts, onlyID); ok {
		if id, ok = strings.CutSuffix(id, onlyIDEnd); ok && plain(id) {
			f.ProviderEventID = id
			return f, nil
		}
	}
	var s storedFacts
	if err := json.Unmarshal([]byte(facts), &s); err != nil {
		return f, fmt.Errorf("facts of an event: %w", err)
	}
	f.ProviderEventID, f.UserAgent, f.Bounce = s.ProviderEventID, s.UserAgent, s.Bounce
	return f, nil
}

// plain says whether a text stands in JSON as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
