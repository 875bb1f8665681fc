package loadgen

import (
	"iter"
	"math"
	"sort"
	"time"
)

// Workload is what is generated. The zero value of a field is its default.
type Workload struct {
	Seed uint64
	// Key is the webhook key, printable ASCII without quotes and backslashes.
	Key        string
	Events     int       // 0 = 5,000,000
	Campaigns  int       // 0 = 200
	Recipients int       // of the biggest campaign; the k-th has a k-th of it, 100 at least; 0 = 500,000
	Days       int       // that the events are spread over; 0 = 90
	End        time.Time // when the last of them ends; zero = midnight UTC before the first of March 2026
	// Lifetime is how long after its start a campaign is busy: 80 % of its events come in an exponential decay of this mean,
	// the rest evenly until the end, and campaigns start one after the other. 0 = all are equally busy on all days, which touches
	// the most buckets there can be. With a lifetime the first events of a campaign may be three hours ahead of their order.
	Lifetime time.Duration
	// Jitter is how far an event may stand from its place in the order of time; 0 = 30 s, negative = none.
	Jitter time.Duration
	// Duplicates is the share of events that are one of the thousand before them once more.
	Duplicates float64
}

func (w Workload) withDefaults() Workload {
	for n, standard := range map[*int]int{&w.Events: 5_000_000, &w.Campaigns: 200, &w.Recipients: 500_000, &w.Days: 90} {
		if *n <= 0 {
			*n = standard
		}
	}
	if w.End.IsZero() {
		w.End = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	}
	if w.Jitter == 0 {
		w.Jitter = 30 * time.Second
	}
	return w
}

// Kind of an event, by the provider's names.
type Kind uint8

// The kinds, with their share of the events in 1,000.
const (
	Open         Kind = iota + 1 // 700
	Click                        // 240
	Bounce                       // 30
	Unsubscribe                  // 20
	Subscribe                    // 10; no engagement: the server ignores it
	SendingStart                 // one a campaign, at the head of the workload
	Sent                         // likewise, with the number of recipients
)

// Event is what the workload says happened.
type Event struct {
	Kind      Kind
	Campaign  int   // from 0, the biggest first; see CampaignID
	Recipient int   // from 0; see AppendAddress; -1 of SendingStart and Sent
	Link      int   // of clicks, from 0 to 7
	At        int64 // Unix seconds
}

// CampaignID is the provider's id of a campaign.
func CampaignID(campaign int) int { return 900_001 + campaign }

// Generator makes the events of a workload. It may be used by several goroutines.
type Generator struct {
	w     Workload
	begin int64 // Unix seconds
	size  []int // recipients of each campaign
	start []int64
	marks int // how many events at the head are marks of runs
	slots []slot
	jit   uint64
}

// slot is a stretch of time in which campaigns keep their shares.
type slot struct {
	begin, length int64    // Unix seconds, seconds
	first, events int      // numbers of the events in it
	until         []uint32 // for each campaign, the upper end of its part of the numbers below 2^32
}

// NewGenerator makes the tables of a workload: a few hundred kilobytes at most.
func NewGenerator(w Workload) *Generator {
	w = w.withDefaults()
	span := int64(w.Days) * 86400
	g := &Generator{w: w, begin: w.End.Unix() - span, jit: uint64(max(0, w.Jitter/time.Second))}
	slots := 1
	if w.Lifetime > 0 {
		slots = w.Days * 8
	}
	weights := make([][]float64, slots)
	for s := range weights {
		weights[s] = make([]float64, w.Campaigns)
	}
	for k := range w.Campaigns {
		g.size = append(g.size, min(w.Recipients, max(100, w.Recipients/(k+1))))
		g.start = append(g.start, g.begin)
		if w.Lifetime > 0 { // big and small ones by turns, the last a week before the end
			place := int64(k) * 7919 % int64(w.Campaigns)
			g.start[k] += place * max(1, span-7*86400) / int64(w.Campaigns)
		}
		for s := range weights {
			weights[s][k] = float64(g.size[k]) * g.busy(k, s, slots, span)
		}
	}
	if w.Events >= 10*w.Campaigns {
		g.marks = 2 * w.Campaigns
	}
	g.makeSlots(weights, span)
	return g
}

// busy is the share of a campaign's events that falls into a slot.
func (g *Generator) busy(k, s, slots int, span int64) float64 {
	if g.w.Lifetime <= 0 {
		return 1 / float64(slots)
	}
	length := float64(span) / float64(slots)
	from := float64(s)*length - float64(g.start[k]-g.begin)
	to := from + length
	if to <= 0 {
		return 0
	}
	from = max(from, 0)
	mean := g.w.Lifetime.Seconds()
	left := float64(span - (g.start[k] - g.begin))
	return 0.8*(math.Exp(-from/mean)-math.Exp(-to/mean)) + 0.2*(to-from)/left
}

func (g *Generator) makeSlots(weights [][]float64, span int64) {
	total := 0.0
	for _, s := range weights {
		for _, w := range s {
			total += w
		}
	}
	done, first := 0.0, g.marks
	length := span / int64(len(weights))
	for s, ws := range weights {
		sum, sumSoFar := 0.0, 0.0
		for _, w := range ws {
			sum += w
		}
		one := slot{begin: g.begin + int64(s)*length, length: length, first: first}
		for _, w := range ws {
			sumSoFar += w
			one.until = append(one.until, uint32(min(1, sumSoFar/max(sum, 1e-300))*math.MaxUint32))
		}
		done += sum
		next := g.marks + int(done/total*float64(g.w.Events-g.marks))
		if s == len(weights)-1 {
			next = g.w.Events
		}
		one.events = next - first
		first = next
		if one.events > 0 {
			g.slots = append(g.slots, one)
		}
	}
}

// Workload is that of the generator, filled up with the defaults.
func (g *Generator) Workload() Workload { return g.w }

// Event is the one of a number from 0 until Events.
func (g *Generator) Event(i int) Event {
	if i < g.marks {
		k := i / 2
		e := Event{Kind: SendingStart, Campaign: k, Recipient: -1, At: g.start[k]}
		if i%2 == 1 {
			e.Kind, e.At = Sent, e.At+60+int64(g.size[k]/500)
		}
		return e
	}
	return g.fresh(g.original(i))
}

// original is the number of the event that the event of a number is: its own, unless it is a duplicate.
func (g *Generator) original(i int) int {
	if g.w.Duplicates <= 0 || !g.duplicate(i) {
		return i
	}
	j := i - 1 - int(mix(g.w.Seed+0xd0b1, i)%1000)
	for j >= g.marks && g.duplicate(j) {
		j--
	}
	if j < g.marks {
		return i
	}
	return j
}

func (g *Generator) duplicate(i int) bool {
	return float64(mix(g.w.Seed+0xd0b0, i)>>11)/(1<<53) < g.w.Duplicates
}

func (g *Generator) fresh(i int) Event {
	a := mix(g.w.Seed, i)
	b := mix(a, i)
	s := &g.slots[0]
	if len(g.slots) > 1 {
		s = &g.slots[sort.Search(len(g.slots), func(n int) bool { return g.slots[n].first > i })-1]
	}
	e := Event{Kind: kindOf(uint32(a) % 1000)}
	which := uint32(a >> 32)
	e.Campaign = min(sort.Search(len(s.until), func(n int) bool { return s.until[n] > which }), len(s.until)-1)
	e.At = s.begin + s.length*int64(i-s.first)/int64(s.events)
	if g.jit > 0 {
		e.At += int64(b>>40)%int64(2*g.jit+1) - int64(g.jit)
	}
	e.At = min(max(e.At, g.start[e.Campaign]), g.w.End.Unix()-1)
	size := g.size[e.Campaign]
	// Each campaign goes to a part of the list of its own; parts overlap.
	offset := int(mix(0x0ff5e7, e.Campaign) % uint64(g.w.Recipients-size+1))
	e.Recipient = offset + int(uint64(uint32(b))*uint64(size)>>32)
	if e.Kind == Click {
		e.Link = int(b >> 37 & 7)
	}
	return e
}

func kindOf(n uint32) Kind {
	switch {
	case n < 700:
		return Open
	case n < 940:
		return Click
	case n < 970:
		return Bounce
	case n < 990:
		return Unsubscribe
	}
	return Subscribe
}

// Bodies are the bodies of the whole workload in order, of so many events each, with the number of events in each; a body is
// valid until the next.
func (g *Generator) Bodies(batch int) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		var b []byte
		for i := 0; i < g.w.Events; i += batch {
			n := min(batch, g.w.Events-i)
			if b = g.AppendBody(b[:0], i, n); !yield(n, b) {
				return
			}
		}
	}
}

// mix is a number that looks random, made of two (splitmix64).
func mix(seed uint64, i int) uint64 {
	z := seed + uint64(i+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
