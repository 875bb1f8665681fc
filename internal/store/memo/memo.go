// Package memo remembers what never changes in a database: the numbers of recipients, links and campaigns.
package memo

import "sync"

// Memo is numbers by key and workspace, which is known by its number in the database. It holds at most a given number of all
// workspaces and forgets an arbitrary part when it is full. It is safe for concurrent use.
type Memo[K comparable, V any] struct {
	most  int
	mu    sync.Mutex
	known map[of[K]]V
}

type of[K comparable] struct {
	workspace int64
	key       K
}

// New is one that remembers nothing yet.
func New[K comparable, V any](most int) *Memo[K, V] {
	return &Memo[K, V]{most: most, known: map[of[K]]V{}}
}

// Get is what is remembered of a key, if anything is.
func (m *Memo[K, V]) Get(workspace int64, key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.known[of[K]{workspace, key}]
	return v, ok
}

// Add remembers what is committed already.
func (m *Memo[K, V]) Add(workspace int64, found map[K]V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, v := range found {
		m.known[of[K]{workspace, k}] = v
	}
	for k := range m.known {
		if len(m.known) <= m.most {
			break
		}
		delete(m.known, k)
	}
}

// How many of them a process remembers, at about 50 and 100 bytes each.
const (
	Recipients = 1 << 20
	Links      = 1 << 15
	Campaigns  = 1 << 15
)
