package joiner

import (
	"bytes"
	"hash/maphash"

	"github.com/etlsandbox/cdc/schemas/change"
)

// memo remembers what one access path found in the state, for the length of a batch: where many rows change,
// their tuples meet the same few customers, films and categories again and again. It is a direct-mapped
// cache: each join key has one slot, and the next key there replaces it. What the batch changes is laid over
// at each lookup, so that a memo need never forget while the state stays the same. What it takes, beside the
// batch's own limit, is about 1.2 MiB for each access path that is worth remembering.
type memo struct {
	seed    maphash.Seed
	slots   []memoSlot
	lookups int
	hits    int
	bytes   int // of keys and rows, about
	adding  []keyed
	skip    bool // what is being found is not remembered
	off     bool
}

type memoSlot struct {
	key  []byte
	rows []keyed
	size int // in bytes; 0: unused
}

// keyed is a stored row with its primary key; the key is not kept where it is the join key itself.
type keyed struct {
	key []byte
	row change.Row
}

const (
	// memoSlots is the number of slots of one memo (Engine.memoSlots, save in tests).
	memoSlots = 4096
	// memoAfter is how many lookups a batch makes through one access path before they are remembered: small
	// batches would only pay (Engine.memoAfter, save in tests).
	memoAfter = 256
	// memoRows is the most rows of one join key that are remembered.
	memoRows = 16
	// memoBytes bounds the content of one memo.
	memoBytes = 1 << 20
	// memoTrial is after how many lookups a memo that is of no use is given up: fewer than one in memoWorth hit.
	memoTrial = 1024
	memoWorth = 16
)

func (m *memo) slot(key []byte) *memoSlot {
	return &m.slots[maphash.Bytes(m.seed, key)%uint64(len(m.slots))]
}

// get returns the rows remembered of a join key.
func (m *memo) get(e *Engine, key []byte) (rows []keyed, ok bool) {
	m.skip = true
	if m.off {
		return nil, false
	}
	if m.lookups++; m.slots == nil {
		if m.lookups < e.memoAfter {
			return nil, false
		}
		m.seed, m.slots = maphash.MakeSeed(), make([]memoSlot, e.memoSlots)
	}
	if m.lookups%memoTrial == 0 {
		if m.hits < memoTrial/memoWorth {
			*m = memo{off: true, skip: true}
			return nil, false
		}
		m.hits = 0
	}
	if s := m.slot(key); s.size > 0 && bytes.Equal(s.key, key) {
		m.hits++
		return s.rows, true
	}
	return nil, false
}

// one is get of a whole primary key: a nil row when there is none.
func (m *memo) one(e *Engine, key []byte) (row change.Row, ok bool) {
	rows, ok := m.get(e, key)
	if len(rows) == 1 {
		row = rows[0].row
	}
	return row, ok
}

// begin starts to remember what is found under the join key that get did not know.
func (m *memo) begin() {
	m.adding, m.skip = m.adding[:0], m.slots == nil
}

// add takes a row that is found; the key is copied.
func (m *memo) add(key []byte, row change.Row) {
	if m.skip {
		return
	}
	if len(m.adding) == memoRows {
		m.skip = true
		return
	}
	m.adding = append(m.adding, keyed{bytes.Clone(key), row})
}

// put remembers what was added as all that there is under the join key.
func (m *memo) put(key []byte) {
	if m.skip {
		return
	}
	size := 64 + len(key)
	for i := range m.adding {
		size += len(m.adding[i].key) + m.adding[i].row.MemSize()
	}
	s := m.slot(key)
	if m.bytes += size - s.size; m.bytes > memoBytes {
		clear(m.slots)
		m.bytes = size
	}
	s.key, s.rows, s.size = append(s.key[:0], key...), append(s.rows[:0], m.adding...), size
}

// forget drops what is remembered: the state is another one.
func (m *memo) forget() { *m = memo{} }
