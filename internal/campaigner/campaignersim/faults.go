package campaignersim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Faults of webhooks, by name.
const (
	WebhookDrop    = "webhook-drop"    // some are never posted
	WebhookDouble  = "webhook-double"  // some are posted again some time later
	WebhookReorder = "webhook-reorder" // some overtake others
	WebhookLate    = "webhook-late"    // some come much later
)

// WebhookFaults are the names of all of them.
var WebhookFaults = []string{WebhookDrop, WebhookDouble, WebhookReorder, WebhookLate}

// CheckFaults names every fault that there is not, neither of webhooks nor of the API.
func CheckFaults(names []string) error {
	return checkAmong(slices.Concat(WebhookFaults, APIFaults), names)
}

func checkAmong(faults, names []string) error {
	unknown := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(faults, n) })
	if len(unknown) > 0 {
		return fmt.Errorf("campaignersim: no fault %s; there are %s", strings.Join(unknown, ", "), strings.Join(faults, ", "))
	}
	return nil
}

// queued is an event that is to be posted.
type queued struct {
	event int
	due   time.Time
}

// faulter decides when events are posted.
type faulter struct {
	*rand.Rand
	names []string
	ratio float64
	// How long, at most, events lag behind that overtake each other, are repeated, are late.
	reorder, double, late time.Duration
}

// queue tells when an event of this time is posted: not at all, once or twice.
func (f faulter) queue(event int, at time.Time) []queued {
	if f.hits(WebhookDrop) {
		return nil
	}
	first := queued{event, at}
	if f.hits(WebhookReorder) {
		first.due = first.due.Add(f.upTo(f.reorder))
	}
	if f.hits(WebhookLate) {
		first.due = first.due.Add(f.late/4 + f.upTo(f.late*3/4))
	}
	if f.hits(WebhookDouble) {
		return []queued{first, {event, first.due.Add(f.upTo(f.double))}}
	}
	return []queued{first}
}

func (f faulter) hits(name string) bool {
	return slices.Contains(f.names, name) && f.Float64() < f.ratio
}

func (f faulter) upTo(d time.Duration) time.Duration { return time.Duration(f.Float64() * float64(d)) }

func sortQueue(q []queued) {
	slices.SortStableFunc(q, func(a, b queued) int { return a.due.Compare(b.due) })
}
