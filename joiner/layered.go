package joiner

import (
	"bytes"

	"github.com/etlsandbox/cdc/schemas/change"
)

// layered is the state with the rows of a batch's earlier parts, in scratch, laid over it.
type layered struct {
	e       *Engine
	base    State
	scratch Scratch
	rows    []bool // per table: scratch has rows of it
	key     []byte
}

// row returns the row that scratch has under the key; found is false when it has nothing to say.
func (l *layered) row(t *table, key []byte) (row change.Row, found bool, err error) {
	l.key = append(scratchPrefix(l.key[:0], scratchRow, t.slot), key...)
	value, ok, err := l.scratch.Get(l.key)
	if err != nil || !ok {
		return nil, false, err
	}
	row, err = t.decodeScratch(value)
	return row, true, err
}

// Row implements State.
func (l *layered) Row(table int, key []byte) (change.Row, error) {
	if l.rows[table] {
		if row, found, err := l.row(l.e.tables[table], key); found || err != nil {
			return row, err
		}
	}
	return l.base.Row(table, key)
}

// Rows implements State: a merge of both, scratch winning.
func (l *layered) Rows(table int, lo, hi []byte, yield func(key []byte, row change.Row) bool) error {
	if !l.rows[table] {
		return l.base.Rows(table, lo, hi, yield)
	}
	t := l.e.tables[table]
	over := newPager(l.scratch, t, lo, hi)
	more := true
	var failed error
	err := l.base.Rows(table, lo, hi, func(key []byte, row change.Row) bool {
		for {
			p, err := over.peek()
			if err != nil {
				failed = err
				return false
			}
			if p == nil || bytes.Compare(p.key, key) > 0 {
				more = yield(key, row)
				return more
			}
			over.next()
			if p.row != nil {
				if more = yield(p.key, p.row); !more {
					return false
				}
			}
			if bytes.Equal(p.key, key) {
				return true
			}
		}
	})
	if err == nil {
		err = failed
	}
	for err == nil && more {
		var p *page
		if p, err = over.peek(); p == nil || err != nil {
			return err
		}
		over.next()
		if p.row != nil {
			more = yield(p.key, p.row)
		}
	}
	return err
}

// Index implements State. Entries come in no particular order.
func (l *layered) Index(index int, join []byte, yield func(key []byte) bool) error {
	t := l.e.indexes[index].table
	if !l.rows[t.slot] {
		return l.base.Index(index, join, yield)
	}
	more := true
	var failed error
	err := l.base.Index(index, join, func(key []byte) bool {
		_, found, err := l.row(t, key)
		if err != nil {
			failed = err
			return false
		}
		if !found {
			more = yield(key)
		}
		return more
	})
	if err == nil {
		err = failed
	}
	if err != nil || !more {
		return err
	}
	lo := append(scratchPrefix(nil, scratchIndex, index), join...)
	return l.scratch.Range(lo, prefixEnd(nil, lo), func(key, value []byte) bool {
		return len(value) == 0 || value[0] == 0 || yield(key[len(lo):])
	})
}

// Noted implements State.
func (l *layered) Noted(table int, key []byte) (bool, error) { return l.base.Noted(table, key) }

// pager reads a range of a table's rows from scratch, a page at a time, so that nothing is held open
// while others read and write.
type pager struct {
	scratch Scratch
	t       *table
	lo, hi  []byte
	pages   []page
	at      int
	done    bool
}

// page is one row; row is nil of a removed one.
type page struct {
	key []byte
	row change.Row
}

const pageRows = 256

func newPager(s Scratch, t *table, lo, hi []byte) *pager {
	p := &pager{scratch: s, t: t}
	p.lo = append(scratchPrefix(nil, scratchRow, t.slot), lo...)
	if hi == nil {
		p.hi = prefixEnd(nil, scratchPrefix(nil, scratchRow, t.slot))
	} else {
		p.hi = append(scratchPrefix(nil, scratchRow, t.slot), hi...)
	}
	return p
}

// peek returns the next row, or nil at the end.
func (p *pager) peek() (*page, error) {
	if p.at < len(p.pages) {
		return &p.pages[p.at], nil
	}
	if p.done {
		return nil, nil
	}
	p.pages, p.at = make([]page, 0, pageRows), 0
	var failed error
	err := p.scratch.Range(p.lo, p.hi, func(key, value []byte) bool {
		if len(p.pages) == pageRows {
			p.lo = append(p.lo[:0], key...)
			return false
		}
		var row change.Row
		if row, failed = p.t.decodeScratch(value); failed != nil {
			return false
		}
		p.pages = append(p.pages, page{append([]byte(nil), key[scratchPrefixSize:]...), row})
		return true
	})
	if err == nil {
		err = failed
	}
	p.done = len(p.pages) < pageRows
	if err != nil || len(p.pages) == 0 {
		return nil, err
	}
	return &p.pages[0], nil
}

func (p *pager) next() { p.at++ }
