package postgres

import (
	"context"
	"sync"

	"monterey/internal/ingest"
)

// turns lets those of one process who write to a workspace do so one after the other, before they ask for the database's lock:
// so they wait for each other without holding a connection, and what fails to get the lock has met another process.
type turns struct {
	mu   sync.Mutex
	held map[int64]chan struct{} // by workspace; closed when it is free again
}

// wait waits for the turn in these workspaces, which are sorted, and says how to end it.
func (t *turns) wait(ctx context.Context, nums []int64) (done func(), err error) {
	for i, n := range nums {
		if err := t.waitOne(ctx, n); err != nil {
			t.end(nums[:i])
			return nil, err
		}
	}
	return func() { t.end(nums) }, nil
}

func (t *turns) waitOne(ctx context.Context, n int64) error {
	for {
		t.mu.Lock()
		free := t.held[n]
		if free == nil {
			if t.held == nil {
				t.held = map[int64]chan struct{}{}
			}
			t.held[n] = make(chan struct{})
			t.mu.Unlock()
			return nil
		}
		t.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (t *turns) end(nums []int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range nums {
		close(t.held[n])
		delete(t.held, n)
	}
}

// began remembers that this process counts in workspaces, so that it does not take itself for another; ended is the opposite.
func (in *inbox) began(nums []int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, n := range nums {
		in.counting[n] = true
	}
}

func (in *inbox) ended(nums []int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, n := range nums {
		delete(in.counting, n)
	}
}

// counted forgets what is counted.
func (in *inbox) counted(items []ingest.Item) {
	size := int64(0)
	for i := range items {
		size += waitingBytes(len(items[i].Raw))
	}
	in.grow(-size)
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(items) > 0 {
		in.handed.counted(items[len(items)-1].ID)
	}
}
