package bounce

import (
	"encoding/json"
	"fmt"
	"slices"

	"monterey/internal/fault"
)

// Check is a fault of the code Data where a row cannot be stored.
func (h Historical) Check() error {
	switch {
	case h.ProviderEventID == "":
		return fault.New(fault.Data, "a historical bounce has no id of the provider")
	case h.Address == "":
		return fault.New(fault.Data, "the historical bounce %q has no address", h.ProviderEventID)
	case !slices.Contains(Classes, h.Class):
		return fault.New(fault.Data, "the historical bounce %q has no class", h.ProviderEventID)
	case h.OccurredAt.Before(First) || !h.OccurredAt.Before(End):
		return fault.New(fault.Data, "the historical bounce %q has no time that a bounce can have", h.ProviderEventID)
	}
	return nil
}

// Same says whether h says nothing new of a stored bounce.
func (h Historical) Same(before Historical) bool {
	return h.Recipient == before.Recipient && h.OccurredAt.Equal(before.OccurredAt) && h.Class == before.Class && h.Detail == before.Detail &&
		h.Status == before.Status
}

// facts are what is stored as one text; rows have few different ones.
type facts struct {
	Detail
	Status string `json:"status,omitempty"`
}

// Facts is the status and the detail but the reason, of which there are many, as one text (JSON) to be stored; "" = nothing.
func (h *Historical) Facts() string {
	f := facts{h.Detail, h.Status}
	f.Reason = ""
	if f == (facts{}) {
		return ""
	}
	text, _ := json.Marshal(f) // cannot fail for texts and numbers
	return string(text)
}

// FactsReader reads what Facts wrote, each text once.
type FactsReader map[string]facts

// Read sets the detail and the status.
func (known FactsReader) Read(text []byte, reason string, h *Historical) error {
	f, ok := known[string(text)]
	if !ok && len(text) > 0 {
		if err := json.Unmarshal(text, &f); err != nil {
			return fmt.Errorf("facts of a historical bounce: %w", err)
		}
		known[string(text)] = f
	}
	f.Reason = reason
	h.Detail, h.Status = f.Detail, f.Status
	return nil
}
