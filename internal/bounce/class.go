package bounce

import "strings"

// ClassOf decides a bounce's class, from the surest source to the least: the provider's type of the bounce where it says
// hard or soft; else that it came as a report of contacts that bounced for good (contactBounced); else the list it was
// read from (origin, as "/Bounces/Soft"); else the contact's status; else Unknown. Any text may be "". No text says block:
// that class is for providers that report it.
func ClassOf(bounceType, origin, status string, contactBounced bool) Class {
	if c := said(bounceType); c != Unknown {
		return c
	}
	if contactBounced {
		return Hard
	}
	if c := said(origin); c != Unknown {
		return c
	}
	return said(status)
}

// said finds hard or soft in a text in any spelling: Hard, HardBounce, hard_bounced. A text with both says neither.
func said(s string) Class {
	s = strings.ToLower(s)
	hard, soft := strings.Contains(s, "hard"), strings.Contains(s, "soft")
	switch {
	case hard && !soft:
		return Hard
	case soft && !hard:
		return Soft
	}
	return Unknown
}
