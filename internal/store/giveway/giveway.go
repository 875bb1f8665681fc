// Package giveway lets jobs that store much give way to counting, where both share the writer of a file or the processors of a server.
package giveway

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// Lull is how long nothing must be counted until there seems to be nothing to count.
const Lull = 100 * time.Millisecond

// Share is how much longer a job waits for counting than it has worked.
const Share = 5

// Counting knows whether this process counts. The zero value is ready; it is safe for concurrent use.
type Counting struct {
	Share time.Duration // 0 = Share; it is set before use

	mu      sync.Mutex
	running int
	ended   time.Time // when it was done last, by the computer's clock
}

// Begin tells that something is being counted, or waits to be, until done is called.
func (c *Counting) Begin() (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running--
		c.ended = time.Now()
	}
}

func (c *Counting) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running > 0 || time.Since(c.ended) < Lull
}

// GoFirst waits, after a job has worked for a while, until there is a lull in counting, but not longer than Share times as long.
func (c *Counting) GoFirst(ctx context.Context, worked time.Duration) {
	over := time.After(cmp.Or(c.Share, Share) * worked)
	for c.busy() {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-time.After(Lull / 10):
		}
	}
}
