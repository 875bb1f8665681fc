package store

import (
	"os"
	"runtime/debug"
)

// gcPercent lets a heap that is far below its limit grow before it is collected: most of an answer, and of a batch, is garbage at once,
// and collecting after each doubling costs a reader a fifth of its time.
const gcPercent = 400

// LimitHeap sets how a server collects garbage, where its operator has not set GOMEMLIMIT or GOGC: its heap is to stay below so
// many bytes.
func LimitHeap(most int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(most)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
