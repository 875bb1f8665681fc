package recipient

import "sync"

// Cache remembers the ordinals of recipients, which never change. It holds at most maxCached of all workspaces (about 50 bytes
// each) and forgets an arbitrary part when it is full. It is safe for concurrent use.
type Cache struct {
	mu    sync.Mutex
	known map[cached]Ordinal
}

const maxCached = 1 << 20

// cached is a recipient of a workspace, which is known by its number in the database.
type cached struct {
	workspace int64
	hash      Hash
}

// NewCache is one that remembers nothing yet.
func NewCache() *Cache { return &Cache{known: map[cached]Ordinal{}} }

// Get is a recipient's ordinal, if it is remembered.
func (c *Cache) Get(workspace int64, h Hash) (Ordinal, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.known[cached{workspace, h}]
	return o, ok
}

// Add remembers ordinals, which must be stored already.
func (c *Cache) Add(workspace int64, found map[Hash]Ordinal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for h, o := range found {
		c.known[cached{workspace, h}] = o
	}
	for k := range c.known {
		if len(c.known) <= maxCached {
			break
		}
		delete(c.known, k)
	}
}
