// Package oracle answers Monterey's questions by brute force, for tests: it keeps plain lists, walks all of them for every
// number, and follows the written contract alone. It shares no arithmetic with the program (it imports the standard
// library only), so where the two agree, neither has copied the other's mistake.
//
// Answers have the shape that encoding/json gives an answer of the server: maps, float64, nil, times as RFC 3339 in UTC.
// Fields that the contract leaves open, and ids that the server makes, are absent; see Diff.
package oracle

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Event is one report of something that happened to a recipient. Two reports may be of the same event.
type Event struct {
	Campaign string // the provider's id; "" = none
	Type     string // open, click, bounce, unsubscribe, complaint or delivered
	Address  string // as reported, in any case, with spaces around it
	At       int64  // unix seconds
	LinkID   string // of clicks; "" = the provider gave the URL only
	URL      string // of clicks; "" = the provider gave the id only
	Class    string // of bounces; "" = hard
}

// Kinds of mark.
const (
	Started = "started"
	Sent    = "sent"
)

// Mark is what a provider says of a run: it began, or all of it has been sent.
type Mark struct {
	Campaign string
	Kind     string
	At       int64
	Sent     *int64 // of Sent: the number of mails, where it is said
}

// Run is one send of a campaign: registered by hand, or worked out from marks.
type Run struct {
	Campaign        string
	Start           int64
	End             *int64
	Sent, Delivered *int64
}

// World is all that was reported to one workspace, in any order, doubled or not.
type World struct {
	Events []Event
	Marks  []Mark
	Runs   []Run // registered by hand
	// Ignored objects are of kinds that are no engagement.
	Ignored int
	// SoftBounces and Complaints tell that a source which reports them has been read for all campaigns; webhooks alone are
	// none. Read tells it of some campaigns, by the fields soft_bounces and complaints.
	SoftBounces, Complaints bool
	Read                    map[string][]string
	// Figures are the provider's own of a campaign, by their names in provider_reported; a name that is absent is unknown.
	// They were asked for after all runs had ended.
	Figures map[string]map[string]int64
}

// Oracle knows the truth about a world.
type Oracle struct {
	world  World
	events []happened // each event once, by time
	marks  int        // distinct marks
	runs   []Run      // by start
}

// happened is an event that counts once.
type happened struct {
	Event
	person  string // the address in its one form
	link    string // what makes two clicks be on one link
	machine bool
}

// New works a world out.
func New(w World) *Oracle {
	o := &Oracle{world: w}
	seen := map[string]bool{}
	for _, e := range w.Events {
		h := happened{Event: e, person: Person(e.Address)}
		if e.Type == "click" {
			h.link = "url " + e.URL
			if e.LinkID != "" {
				h.link = "id " + e.LinkID
			}
		}
		if e.Type == "bounce" && e.Class == "" {
			h.Class = "hard"
		}
		key := strings.Join([]string{e.Campaign, e.Type, h.person, stamp(e.At), h.link}, "\n")
		if !seen[key] {
			seen[key] = true
			o.events = append(o.events, h)
		}
	}
	slices.SortStableFunc(o.events, func(a, b happened) int { return cmp.Compare(a.At, b.At) })
	o.findMachines()
	o.findRuns()
	return o
}

// Person is the one form of an address.
func Person(address string) string { return strings.ToLower(strings.TrimSpace(address)) }

// Inserted is how many events and marks were new, Received how many objects a provider sends for the world when it sends
// every report once.
func (o *Oracle) Inserted() int { return len(o.events) + o.marks }

// Received: see Inserted.
func (o *Oracle) Received() int { return len(o.world.Events) + len(o.world.Marks) + o.world.Ignored }

// Ignored is how many objects are of kinds that are no engagement.
func (o *Oracle) Ignored() int { return o.world.Ignored }

// findMachines marks the clicks of every window of at most 10 s in which one recipient clicked on three different links.
func (o *Oracle) findMachines() {
	clicks := map[string][]int{}
	for i, e := range o.events {
		if e.Type == "click" {
			clicks[e.person] = append(clicks[e.person], i)
		}
	}
	for _, mine := range clicks {
		for _, first := range mine {
			begin := o.events[first].At
			links, window := map[string]bool{}, []int{}
			for _, i := range mine {
				if e := o.events[i]; begin <= e.At && e.At <= begin+10 {
					links[e.Campaign+"\n"+e.link] = true
					window = append(window, i)
				}
			}
			if len(links) < 3 {
				continue
			}
			for _, i := range window {
				o.events[i].machine = true
			}
		}
	}
}

// findRuns takes each distinct mark once. For each Started it looks for the Sent that ends it; the Sents that nothing took
// are runs of their own.
func (o *Oracle) findRuns() {
	starts, ends := map[string][]int64{}, map[string]map[int64]*int64{}
	seen := map[Mark]bool{}
	for _, m := range o.world.Marks {
		id := Mark{Campaign: m.Campaign, Kind: m.Kind, At: m.At}
		if seen[id] {
			continue
		}
		seen[id] = true
		if m.Kind == Started {
			starts[m.Campaign] = append(starts[m.Campaign], m.At)
			continue
		}
		if ends[m.Campaign] == nil {
			ends[m.Campaign] = map[int64]*int64{}
		}
		ends[m.Campaign][m.At] = m.Sent
	}
	o.marks = len(seen)
	o.runs = slices.Clone(o.world.Runs)
	for c, begun := range starts {
		for _, start := range begun {
			run := Run{Campaign: c, Start: start}
			if end, ok := firstEnd(start, begun, ends[c]); ok {
				run.End, run.Sent = &end, ends[c][end]
				delete(ends[c], end)
			}
			o.runs = append(o.runs, run)
		}
	}
	for c, left := range ends {
		for at, sent := range left {
			o.runs = append(o.runs, Run{Campaign: c, Start: at, End: &at, Sent: sent})
		}
	}
	o.findSent()
	slices.SortFunc(o.runs, func(a, b Run) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Campaign, b.Campaign))
	})
}

// findSent takes what the provider says was sent for what one run sent, where that is all there is and nobody said better.
func (o *Oracle) findSent() {
	for c, figures := range o.world.Figures {
		n, said := figures["sent"]
		at := slices.IndexFunc(o.runs, func(r Run) bool { return r.Campaign == c })
		if said && at >= 0 && len(o.Runs(c)) == 1 && o.runs[at].Sent == nil {
			o.runs[at].Sent = &n
		}
	}
}

// firstEnd is the earliest of ends from start on and before the next of starts.
func firstEnd(start int64, starts []int64, ends map[int64]*int64) (end int64, ok bool) {
	for at := range ends {
		late := slices.ContainsFunc(starts, func(next int64) bool { return next > start && next <= at })
		if at >= start && !late && (!ok || at < end) {
			end, ok = at, true
		}
	}
	return end, ok
}

// Campaigns are the provider's ids of all campaigns, sorted.
func (o *Oracle) Campaigns() []string {
	all := map[string]bool{}
	for _, e := range o.events {
		all[e.Campaign] = true
	}
	for _, m := range o.world.Marks {
		all[m.Campaign] = true
	}
	for _, r := range o.runs {
		all[r.Campaign] = true
	}
	for c := range o.world.Figures {
		all[c] = true
	}
	delete(all, "")
	return sorted(all)
}

// Runs of a campaign, by start.
func (o *Oracle) Runs(campaign string) []Run {
	return slices.DeleteFunc(slices.Clone(o.runs), func(r Run) bool { return r.Campaign != campaign })
}

// within tells whether at lies in [from, to); nil = open.
func within(at int64, from, to *int64) bool {
	return (from == nil || at >= *from) && (to == nil || at < *to)
}

func stamp(at int64) string { return time.Unix(at, 0).UTC().Format(time.RFC3339) }

func stampOf(at *int64) any {
	if at == nil {
		return nil
	}
	return stamp(*at)
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
