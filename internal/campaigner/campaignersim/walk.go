package campaignersim

import (
	"math/rand/v2"
	"sync"
)

// walks remember how far clients have come in each list, for the fault shifting_rows.
//
// What can be survived. Pages are places in a list, so rows that come at the front move all others back: who goes from page
// to page meets some twice, and misses only what came at the front behind the own back. Rows that leave the front, or a row
// that moves forward by itself, move others forward over the border of a page, where nothing short of reading everything
// again finds them; no bounded overlap helps, so the simulator does not do that in the middle of a list. What it does:
//
//   - The list is newest first. While it is walked through for the first time, up to a quarter of a page of the newest rows is
//     not there yet on page 1, and comes at the front by and by on later pages. TotalRecords and TotalPages grow with it.
//   - Up to another quarter is out of place: on page 1 missing, from page 2 on at the front, as rows whose order is not
//     settled. Who stops at the end has never seen them.
//   - Within a page, rows come in any order.
//
// Once every page has been answered the list is at rest: the next reading finds everything in its place, and all that can
// have been missed on page 1. So "go on until the page number reaches the TotalPages of the latest answer, then read page 1
// again, and upsert by id" gets every row. A list of less than two pages never shifts, as an answer is a snapshot. The second
// time that page 1 is asked for at rest, a new walk begins. Pages may be asked for again, and in any order: no page of a walk
// lies further forward than a page before it. Of a campaign's reports, whose rows have no id, the identity of the event takes
// the id's place.
type walks struct {
	mu    sync.Mutex
	lists map[string]*walk
}

// walk is one through a list of n rows that has not come to rest.
type walk struct {
	n, size    int
	late, sunk int // the newest rows that are not there yet, and the next newest that are out of place
	served     map[int]bool
	atRest     bool
	again      bool // page 1 was answered at rest
}

func (w *walks) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lists = nil
}

// page is which rows of a list of n, counted from the oldest, are on a page, and how many rows the list seems to have; served
// is to be called once the answer has gone out.
func (w *walks) page(key string, p page, n int, seed uint64) (places []int, total int, served func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lists == nil {
		w.lists = map[string]*walk{}
	}
	it := w.lists[key]
	if it == nil || it.atRest && it.again && p.number == 1 {
		it = &walk{n: n, size: p.size, late: p.size / 4, sunk: p.size / 4, served: map[int]bool{}, atRest: n < 2*p.size}
		w.lists[key] = it
	}
	from := 0 // the place of the list's front, counted from the newest row
	switch {
	case it.atRest:
	case p.number == 1:
		n = it.n - it.late
		from = it.late + it.sunk
	default:
		n = it.n
		from = it.late - it.come(p.number)
		n -= from
	}
	newest := it.n - 1
	if it.atRest {
		newest = n - 1
	}
	for i := (p.number - 1) * p.size; i < min(p.number*p.size, n); i++ {
		places = append(places, newest-from-i)
	}
	rng := rand.New(rand.NewPCG(seed^0x51f7, uint64(len(it.served)*1000+p.number)))
	rng.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
	return places, n, func() { w.served(it, p.number) }
}

// come is how many of the late rows have come by a page: all by what seems the last page at first.
func (w *walk) come(number int) int {
	last := (w.n - w.late + w.size - 1) / w.size
	return w.late * min(number-1, last-1) / (last - 1)
}

func (w *walks) served(it *walk, number int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if it.atRest {
		it.again = it.again || number == 1
		return
	}
	it.served[number] = true
	for p := 1; p <= (it.n+it.size-1)/it.size; p++ {
		if !it.served[p] {
			return
		}
	}
	it.atRest = true
}
