package statestore

import (
	"sync"

	"github.com/etlsandbox/cdc/schemas/change"
)

// rowCache keeps decoded rows of the newest committed version, in two generations: what was not asked
// for while one generation filled up goes.
type rowCache struct {
	mu           sync.Mutex
	young, old   map[string]change.Row
	bytes        int // of young
	oldBytes     int
	limit        int // of both, in bytes
	hits, misses uint64
}

// rowOverhead is what an entry costs besides key and row, in bytes.
const rowOverhead = 80

func (c *rowCache) get(key []byte) (change.Row, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if row, ok := c.young[string(key)]; ok {
		c.hits++
		return row, true
	}
	if row, ok := c.old[string(key)]; ok {
		c.hits++
		delete(c.old, string(key))
		c.add(string(key), row)
		return row, true
	}
	c.misses++
	return nil, false
}

func (c *rowCache) put(key []byte, row change.Row) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(string(key), row)
}

func (c *rowCache) add(key string, row change.Row) {
	if c.young == nil {
		c.young = map[string]change.Row{}
	}
	c.young[key] = row
	c.bytes += rowOverhead + len(key) + row.MemSize()
	if c.bytes > c.limit/2 {
		c.old, c.oldBytes, c.young, c.bytes = c.young, c.bytes, nil, 0
	}
}

// drop forgets a row that a commit changes.
func (c *rowCache) drop(key []byte) {
	delete(c.young, string(key))
	delete(c.old, string(key))
}

func (c *rowCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.young, c.old, c.bytes, c.oldBytes = nil, nil, 0, 0
}
