// Package bounce owns the classes of bounces, the pure functions that decide them from what a provider says, and the history of
// bounces that a provider keeps. Bounces as events are internal/event's.
package bounce

import "monterey/internal/fault"

// Class of a bounce. The zero Class is of events that are no bounces.
type Class uint8

// The classes.
const (
	None Class = iota
	Hard
	Soft
	Block
	Unknown
)

var names = [...]string{"", "hard", "soft", "block", "unknown"}

// Classes are those that a bounce may have.
var Classes = []Class{Hard, Soft, Block, Unknown}

func (c Class) String() string { return names[c] }

// ParseClass reads the name of a class, in lower case; the fault is Invalid.
func ParseClass(s string) (Class, error) {
	for _, c := range Classes {
		if names[c] == s {
			return c, nil
		}
	}
	return None, fault.New(fault.Invalid, "%q is not a bounce type; hard, soft, block and unknown are", s)
}

// Detail is what a bounce says beside its class. Unknown parts are "" or 0.
type Detail struct {
	SMTPCode     int    `json:"smtp,omitempty"`     // three digits, as 550
	EnhancedCode string `json:"enhanced,omitempty"` // RFC 3463, as 5.1.1
	Label        string `json:"label,omitempty"`    // the provider's own name of the class, verbatim
	Reason       string `json:"reason,omitempty"`   // the text of the refusal, verbatim
	Code         string `json:"code,omitempty"`     // the provider's own code of it, verbatim; nothing is concluded from it
}
