package campaignersim

import (
	"iter"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounce is a row of the provider's list of bounces.
type Bounce struct {
	ID       int64
	Kind     Kind // HardBounce or SoftBounce
	EmailID  int64
	Address  string
	At       time.Time // by the clock of the API
	SendType string
	NDRCode  int
	Reason   string
}

// Bounces are all bounces of the account so far, those from before its campaigns too, in the order of their ids.
func (a *Account) Bounces() iter.Seq[Bounce] {
	return func(yield func(Bounce) bool) {
		for i := range a.history.n {
			if !yield(a.history.row(i)) {
				return
			}
		}
		contacts := a.Contacts()
		for _, e := range a.Events() {
			if e.BounceID != 0 && !yield(bounceOf(e, contacts)) {
				return
			}
		}
	}
}

// Bounce is the one with an id, if there is one.
func (a *Account) Bounce(id int64) (Bounce, bool) {
	if i, ok := a.history.find(id); ok {
		return a.history.row(i), true
	}
	events := a.Events()
	from := sort.Search(len(events), func(i int) bool { return a.bouncesUntil(events, i) >= id })
	if from == len(events) || events[from].BounceID != id {
		return Bounce{}, false
	}
	return bounceOf(events[from], a.Contacts()), true
}

// bouncesUntil is the id of the last bounce among the events up to one of them; 0 = there is none.
func (a *Account) bouncesUntil(events []Event, i int) int64 {
	for ; i >= 0; i-- {
		if events[i].BounceID != 0 {
			return events[i].BounceID
		}
	}
	return 0
}

func bounceOf(e Event, contacts []Contact) Bounce {
	c := contacts[e.Contact]
	b := Bounce{ID: e.BounceID, Kind: e.Kind, EmailID: c.EmailID, Address: c.Address, At: e.Reported, SendType: "Campaign", NDRCode: e.NDRCode, Reason: e.Reason}
	if e.Campaign < 0 {
		b.SendType = "Workflow"
	}
	return b
}

// history is the bounces from before the campaigns, oldest first. A row is worked out from the seed and its number whenever
// somebody asks, so that a million of them cost nothing until then.
type history struct {
	seed     uint64
	n        int
	begin    time.Time
	step     time.Duration // between two rows, about
	firstID  int64
	contacts []Contact // some rows are of who is on the list now

	firsts, lasts []string // names as addresses have them

	index sync.Once
	kinds map[Kind][]int32 // the rows of a kind
}

const (
	historyYears = 6
	idsPerBounce = 7 // of the provider's numbers most belong to other accounts
)

func newHistory(o Options, end time.Time, lastID int64, contacts []Contact) *history {
	h := &history{seed: o.Seed, n: o.Bounces, begin: end.AddDate(-historyYears, 0, 0), contacts: contacts}
	h.step = end.Sub(h.begin) / time.Duration(max(h.n, 1))
	h.firstID = lastID - int64(h.n)*idsPerBounce
	for _, name := range firstNames {
		h.firsts = append(h.firsts, ascii(name))
	}
	for _, name := range lastNames {
		h.lasts = append(h.lasts, ascii(name))
	}
	return h
}

// hash is the same for the same row and purpose, and otherwise like chance (the finalizer of SplitMix64).
func (h *history) hash(row int, purpose uint64) uint64 {
	x := h.seed ^ purpose<<40 ^ uint64(row)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (h *history) id(i int) int64 {
	return h.firstID + int64(i)*idsPerBounce + int64(h.hash(i, 1)%idsPerBounce)
}

// find is the row with an id.
func (h *history) find(id int64) (row int, ok bool) {
	if id < h.firstID {
		return 0, false
	}
	i := (id - h.firstID) / idsPerBounce
	return int(i), i < int64(h.n) && h.id(int(i)) == id
}

func (h *history) at(i int) time.Time {
	return tick(h.begin.Add(time.Duration(i)*h.step + time.Duration(h.hash(i, 2)%uint64(h.step))))
}

// since is the first row not before a time.
func (h *history) since(t time.Time) int {
	return sort.Search(h.n, func(i int) bool { return !h.at(i).Before(t) })
}

func (h *history) kind(i int) Kind {
	if h.hash(i, 3)%100 < 45 && !h.ofList(i) {
		return HardBounce
	}
	return SoftBounce
}

// ofList tells whether a row is of somebody who is on the list now.
func (h *history) ofList(i int) bool { return h.hash(i, 4)%20 == 0 && len(h.contacts) > 0 }

// ofKind are the rows of a kind.
func (h *history) ofKind(k Kind) []int32 {
	h.index.Do(func() {
		h.kinds = map[Kind][]int32{}
		for i := range h.n {
			h.kinds[h.kind(i)] = append(h.kinds[h.kind(i)], int32(i))
		}
	})
	return h.kinds[k]
}

func (h *history) row(i int) Bounce {
	b := Bounce{ID: h.id(i), Kind: h.kind(i), At: h.at(i), SendType: "Campaign"}
	switch h.hash(i, 5) % 20 {
	case 0:
		b.SendType = "Workflow"
	case 1:
		b.SendType = "RelaySend"
	}
	if h.ofList(i) {
		c := h.contacts[h.hash(i, 6)%uint64(len(h.contacts))]
		b.EmailID, b.Address = c.EmailID, c.Address
	} else {
		b.EmailID, b.Address = h.person(int(h.hash(i, 7) % uint64(h.n*3/5+1)))
	}
	rng := rand.New(rand.NewPCG(h.seed, h.hash(i, 8)))
	if b.Kind == HardBounce {
		b.NDRCode, b.Reason = hardRefusal(rng, b.Address)
	} else {
		b.NDRCode, b.Reason = softRefusal(rng, b.Address)
	}
	return b
}

// person is somebody who was on the list once; several bounces may be of one. Nobody on the list has such an address.
func (h *history) person(n int) (emailID int64, address string) {
	m := contactMaker{Rand: rand.New(rand.NewPCG(h.seed^0xb0b, uint64(n)))}
	first, last := pick(m.Rand, h.firsts), pick(m.Rand, h.lasts)
	domain, _ := m.domain()
	address = first + "." + last + "." + strconv.Itoa(n) + "@" + domain
	if m.IntN(25) == 0 {
		address = strings.ToUpper(address[:1]) + address[1:]
	}
	return 11_000_000 + int64(n)*7, address
}
