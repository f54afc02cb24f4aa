package statestore

import (
	"encoding/binary"
	"math/rand"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
)

// TestRowCache: whatever is asked, kept and dropped, the cache gives back what was kept last under a key or
// nothing, stays within its memory, and counts that right.
func TestRowCache(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(1))
	c := rowCache{limit: 64 << 10}
	kept := map[string]change.Row{}
	for range 200_000 {
		key := binary.BigEndian.AppendUint16([]byte{spaceRow}, uint16(r.Intn(600)))
		switch row, ok := c.get(key); {
		case r.Intn(4) == 0:
			c.mu.Lock()
			c.drop(key)
			c.mu.Unlock()
			delete(kept, string(key))
		case ok:
			if want := kept[string(key)]; want == nil || !row.Equal(want) {
				t.Fatalf("key %x gives %v, kept is %v", key, row, want)
			}
		default:
			row := change.Row{change.IntValue(r.Int63()), change.StringValue(string(make([]byte, r.Intn(400))))}
			c.put(key, row)
			kept[string(key)] = row
		}
		if c.bytes > c.limit {
			t.Fatalf("%d bytes, limit %d", c.bytes, c.limit)
		}
	}
	bytes, rows := len(c.slots)*slotSize, 0
	for i := range c.slots {
		if bytes += c.slots[i].size(); c.slots[i].key != "" {
			rows++
		}
	}
	if bytes != c.bytes || rows < 30 || c.hits == 0 {
		t.Errorf("%d rows of %d bytes, counted are %d; %d hits", rows, bytes, c.bytes, c.hits)
	}
	if c.clear(); c.bytes != 0 {
		t.Errorf("%d bytes after clear", c.bytes)
	}
	if _, ok := c.get([]byte{spaceRow, 0, 1}); ok {
		t.Error("a row after clear")
	}
}
