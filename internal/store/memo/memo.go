// Package memo remembers what never changes in a database: the numbers of recipients, links and campaigns.
package memo

import (
	"maps"
	"sync"
)

// Memo is numbers by key and workspace, which is known by its number in the database. It holds at most a given number of all
// workspaces, beside what one Add brings. The older half is forgotten at once, when the newer one is full: to delete single keys
// from a large map leaves it as large. It is safe for concurrent use.
type Memo[K comparable, V any] struct {
	half     int
	mu       sync.Mutex
	new, old part[K, V]
}

// part holds numbers by workspace, and then by key: with the workspace in each key it would be half as large again.
type part[K comparable, V any] struct {
	known map[int64]map[K]V
	size  int
}

func (p *part[K, V]) add(workspace int64, found map[K]V) {
	if p.known == nil {
		p.known = map[int64]map[K]V{}
	}
	known := p.known[workspace]
	if known == nil {
		known = map[K]V{}
		p.known[workspace] = known
	}
	before := len(known)
	maps.Copy(known, found)
	p.size += len(known) - before
}

// New is one that remembers nothing yet.
func New[K comparable, V any](most int) *Memo[K, V] {
	return &Memo[K, V]{half: most / 2}
}

// Get is what is remembered of a key, if anything is.
func (m *Memo[K, V]) Get(workspace int64, key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.get(workspace, key)
}

func (m *Memo[K, V]) get(workspace int64, key K) (V, bool) {
	v, ok := m.new.known[workspace][key]
	if !ok {
		v, ok = m.old.known[workspace][key]
	}
	return v, ok
}

// All is what is remembered of many keys, the zero value of those of which nothing is.
func (m *Memo[K, V]) All(workspace int64, keys []K) []V {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]V, len(keys))
	for i, k := range keys {
		all[i], _ = m.get(workspace, k)
	}
	return all
}

// Add remembers what is committed already.
func (m *Memo[K, V]) Add(workspace int64, found map[K]V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.new.add(workspace, found)
	if m.new.size >= m.half {
		m.old, m.new = m.new, part[K, V]{}
	}
}

// How many of them a process remembers, at about 30, 70 and 40 bytes each.
const (
	Recipients = 1 << 20
	Links      = 1 << 15
	Campaigns  = 1 << 15
)
