package postgres

import "sync"

// newness foresees whether events are new. To look for those that are there already takes a quarter of the time that inserting
// takes, so large batches are inserted without looking once many events in a row were new. Where one is there nevertheless the server
// undoes the insert: that costs the time and room of its rows, and an error in the server's log.
type newness struct {
	large, sure int // events of a batch, and events in a row, from which on nobody looks

	mu    sync.Mutex
	inRow map[int64]int // how many events of a workspace were found to be new since the last that was not
}

func newNewness() *newness { return &newness{large: 1_000, sure: 50_000, inRow: map[int64]int{}} }

// likely says whether n events of a workspace are likely to be new.
func (n *newness) likely(ws int64, events int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return events >= n.large && n.inRow[ws] >= n.sure
}

// saw remembers how many of a workspace's events were new, whatever becomes of the transaction: it is a guess.
func (n *newness) saw(ws int64, fresh, of int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if fresh < of {
		n.inRow[ws] = 0
	} else {
		n.inRow[ws] += fresh
	}
}
