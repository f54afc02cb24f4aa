package statestore

import (
	"hash/maphash"
	"math/bits"
	"sync"

	"github.com/etlsandbox/cdc/schemas/change"
)

// rowCache keeps decoded rows of the newest committed version. It is set-associative with two places: a key
// belongs to one pair of slots, of which the first holds what was asked for last; a new row pushes the second
// out. Where the rows outgrow the memory, a hand goes round the slots and empties them. That costs no
// bookkeeping per row, which counts where millions pass by.
type rowCache struct {
	mu           sync.Mutex
	seed         maphash.Seed
	slots        []cachedRow // a power of two, made when the first row comes
	hand         int
	bytes        int
	limit        int // in bytes, the slots included
	hits, misses uint64
}

// cachedRow is a slot; an empty one has no key.
type cachedRow struct {
	key string
	row change.Row
}

const (
	// rowOverhead is what a cached row costs besides key and row, in bytes.
	rowOverhead = 24
	// rowEach is about what a cached row takes in all; slotSize is what its slot takes.
	rowEach  = 512
	slotSize = 40
)

func (r *cachedRow) size() int {
	if r.key == "" {
		return 0
	}
	return rowOverhead + len(r.key) + r.row.MemSize()
}

// pair is the pair of slots of a key.
func (c *rowCache) pair(key []byte) []cachedRow {
	at := maphash.Bytes(c.seed, key) & uint64(len(c.slots)-1) &^ 1
	return c.slots[at : at+2 : at+2]
}

func (c *rowCache) get(key []byte) (change.Row, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots != nil {
		p := c.pair(key)
		if p[1].key == string(key) {
			p[0], p[1] = p[1], p[0]
		}
		if p[0].key == string(key) {
			c.hits++
			return p[0].row, true
		}
	}
	c.misses++
	return nil, false
}

// put keeps a row that get did not find.
func (c *rowCache) put(key []byte, row change.Row) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots == nil {
		n := 2 << bits.Len(uint(c.limit/rowEach/2))
		c.seed, c.slots, c.bytes, c.hand = maphash.MakeSeed(), make([]cachedRow, n), n*slotSize, 0
	}
	p := c.pair(key)
	c.bytes -= p[1].size()
	p[0], p[1] = cachedRow{string(key), row}, p[0]
	c.bytes += p[0].size()
	for turns := 0; c.bytes > c.limit && turns < len(c.slots); turns++ {
		s := &c.slots[c.hand]
		c.hand = (c.hand + 1) & (len(c.slots) - 1)
		c.bytes -= s.size()
		*s = cachedRow{}
	}
}

// drop forgets a row that a commit changes. The caller holds mu.
func (c *rowCache) drop(key []byte) {
	if c.slots == nil {
		return
	}
	p := c.pair(key)
	for i := range p {
		if p[i].key == string(key) {
			c.bytes -= p[i].size()
			p[i] = cachedRow{}
		}
	}
}

func (c *rowCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slots, c.bytes = nil, 0
}
