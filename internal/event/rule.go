package event

import "time"

// Rule is a numbered reason to take an actor for a machine; 0 is none. A changed rule gets a new number and name, so that
// stored events say which version judged them.
type Rule uint8

// ClickBurst (version 1): one recipient clicked three or more different links within ten seconds, as scanners do that open
// every link of a mail before its reader sees it.
const ClickBurst Rule = 1

// The bounds of ClickBurst.
const (
	BurstLinks  = 3
	BurstWithin = 10 * time.Second
)

var ruleNames = [...]string{"", "click_burst_v1"}

// String is the name that answers give as actor_reason.
func (r Rule) String() string {
	if int(r) >= len(ruleNames) {
		return "unknown_rule"
	}
	return ruleNames[r]
}

// Actor that an event with this rule has.
func (r Rule) Actor() Actor {
	if r == 0 {
		return Human
	}
	return Machine
}

// ClickAt is what ClickBurst looks at: when a recipient clicked which link.
type ClickAt struct {
	At   int64 // Unix seconds
	Link int64 // any number that tells links apart
}

// Bursts says of each of one recipient's clicks, which must be sorted by time, whether ClickBurst holds: whether it lies in
// some span of BurstWithin, both ends included, in which BurstLinks different links were clicked.
func Bursts(clicks []ClickAt) []bool {
	out := make([]bool, len(clicks))
	if len(clicks) < BurstLinks {
		return out
	}
	within := int64(BurstWithin / time.Second)
	links := map[int64]int{} // of clicks[from:to], how often each
	to, said := 0, 0
	for from, c := range clicks {
		for ; to < len(clicks) && clicks[to].At-c.At <= within; to++ {
			links[clicks[to].Link]++
		}
		if len(links) >= BurstLinks {
			for said = max(said, from); said < to; said++ {
				out[said] = true
			}
		}
		if links[c.Link]--; links[c.Link] == 0 {
			delete(links, c.Link)
		}
	}
	return out
}

// RuleName is the name of a stored rule's number.
func RuleName(n int) string { return Rule(n).String() }
