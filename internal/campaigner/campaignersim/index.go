package campaignersim

import "sync"

// index knows which events each list of the API is of. It reads the account's events once each, as they happen.
type index struct {
	mu      sync.Mutex
	read    int // events
	reports map[report][]int32
	clicks  map[[2]int][]int32 // by campaign and link
	bounces []int32
}

// report is the events of a kind in a campaign; campaign everywhere = of the account, in a campaign or not.
type report struct {
	campaign int
	kind     Kind
}

const everywhere = -2

func newIndex() *index {
	return &index{reports: map[report][]int32{}, clicks: map[[2]int][]int32{}}
}

// catchUp reads what has happened since. The caller holds x.mu.
func (x *index) catchUp(events []Event) {
	for ; x.read < len(events); x.read++ {
		e, i := events[x.read], int32(x.read)
		x.reports[report{e.Campaign, e.Kind}] = append(x.reports[report{e.Campaign, e.Kind}], i)
		switch e.Kind {
		case Click:
			x.clicks[[2]int{e.Campaign, e.Link}] = append(x.clicks[[2]int{e.Campaign, e.Link}], i)
		case HardBounce, SoftBounce:
			x.bounces = append(x.bounces, i)
		case Unsubscribe, Complaint:
			x.reports[report{everywhere, e.Kind}] = append(x.reports[report{everywhere, e.Kind}], i)
		}
	}
}

// of are the indices of a report's events, by time.
func (x *index) of(events []Event, r report) []int32 {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.catchUp(events)
	return x.reports[r]
}

// ofLink are the clicks on a link.
func (x *index) ofLink(events []Event, campaign, link int) []int32 {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.catchUp(events)
	return x.clicks[[2]int{campaign, link}]
}

// ofBounces are all bounces, in a campaign or not.
func (x *index) ofBounces(events []Event) []int32 {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.catchUp(events)
	return x.bounces
}
