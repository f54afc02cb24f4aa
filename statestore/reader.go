package statestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Reader reads the state as it was committed when the reader was opened. It implements joiner.State.
// Calls may be nested inside each other's yield. Close it before the store, and soon: it holds back what
// compactions could free.
type Reader struct {
	s       *Store
	version uint64
	base    *pebble.Iterator   // only cloned: all iterators see the same state
	points  []*pebble.Iterator // per table, for Row
	idle    []*pebble.Iterator // for Rows and Index
	key     []byte
	bounds  [][]byte // idle buffers
	values  []change.Value
}

// Read opens a reader.
func (s *Store) Read() (*Reader, error) {
	if err := s.failure(); err != nil {
		return nil, err
	}
	it, err := s.db.NewIter(nil)
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	s.readers++
	return &Reader{s: s, version: s.version, base: it, points: make([]*pebble.Iterator, len(s.layouts))}, nil
}

// Close ends the use of the reader.
func (r *Reader) Close() error {
	if r.base == nil {
		return nil
	}
	all := append(append([]*pebble.Iterator{r.base}, r.points...), r.idle...)
	r.base, r.points, r.idle = nil, nil, nil
	r.s.readers--
	if r.s.failure() != nil {
		return nil //nolint:nilerr // told by the call that met it; Pebble's locks may be held for good
	}
	err := r.s.do(func() error {
		var err error
		for _, it := range all {
			if it != nil {
				err = errors.Join(err, it.Close())
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("close reader of the state: %w", err)
	}
	return nil
}

// Row implements joiner.State.
func (r *Reader) Row(table int, key []byte) (change.Row, error) {
	t := &r.s.layouts[table]
	r.key = append(appendPrefix(r.key[:0], spaceRow, t.number), key...)
	cached := r.version == r.s.version
	if cached {
		if row, ok := r.s.rows.get(r.key); ok {
			return row, nil
		}
	}
	value, ok, err := r.point(table, r.key)
	if !ok || err != nil {
		return nil, err
	}
	row, err := r.decode(t, value)
	if err != nil {
		return nil, fmt.Errorf("read row %x of %s: %w", key, t.name, err)
	}
	if cached {
		r.s.rows.put(r.key, row)
	}
	return row, nil
}

// point returns the value of a key, valid until the next call; ok is false when there is none.
func (r *Reader) point(table int, key []byte) (value []byte, ok bool, err error) {
	if err := r.s.failure(); err != nil {
		return nil, false, err
	}
	it := r.points[table]
	if it == nil {
		if it, err = r.base.Clone(pebble.CloneOptions{}); err != nil {
			return nil, false, fmt.Errorf("read state: %w", err)
		}
		r.points[table] = it
	}
	if !it.SeekGE(key) {
		if err := it.Error(); err != nil {
			return nil, false, fmt.Errorf("read state: %w", err)
		}
		return nil, false, nil
	}
	if !bytes.Equal(it.Key(), key) {
		return nil, false, nil
	}
	if value, err = it.ValueAndErr(); err != nil {
		return nil, false, fmt.Errorf("read state: %w", err)
	}
	return value, true, nil
}

// decode returns a stored row at full width.
func (r *Reader) decode(t *tableState, value []byte) (change.Row, error) {
	layout, n := binary.Uvarint(value)
	at, ok := t.read[uint16(layout)]
	if n <= 0 || layout > 0xffff || !ok {
		return nil, fmt.Errorf("%w: row layout %d is unknown", ErrFormat, layout)
	}
	width := len(t.blank)
	if len(r.values) < width {
		r.values = make([]change.Value, max(width, 256))
	}
	row := change.Row(r.values[:width:width])
	r.values = r.values[width:]
	copy(row, t.blank)
	return row, change.DecodeRow(value[n:], row, at)
}

// Rows implements joiner.State.
func (r *Reader) Rows(table int, lo, hi []byte, yield func(key []byte, row change.Row) bool) error {
	t := &r.s.layouts[table]
	from := append(appendPrefix(r.buffer(), spaceRow, t.number), lo...)
	to := r.buffer()
	if hi == nil {
		to = appendPrefixEnd(to, spaceRow, t.number)
	} else {
		to = append(appendPrefix(to, spaceRow, t.number), hi...)
	}
	return r.scan(from, to, func(key, value []byte) (bool, error) {
		row, err := r.decode(t, value)
		if err != nil {
			return false, fmt.Errorf("read row %x of %s: %w", key[prefixSize:], t.name, err)
		}
		return yield(key[prefixSize:], row), nil
	})
}

// Index implements joiner.State.
func (r *Reader) Index(index int, join []byte, yield func(key []byte) bool) error {
	from := append(appendPrefix(r.buffer(), spaceIndex, r.s.indexes[index]), join...)
	size := len(from)
	to := after(r.buffer(), from)
	return r.scan(from, to, func(key, _ []byte) (bool, error) { return yield(key[size:]), nil })
}

// Noted implements joiner.State.
func (r *Reader) Noted(table int, key []byte) (bool, error) {
	r.key = append(appendPrefix(r.key[:0], spaceNote, r.s.layouts[table].number), key...)
	_, ok, err := r.point(table, r.key)
	return ok, err
}

func (r *Reader) buffer() []byte {
	if n := len(r.bounds); n > 0 {
		b := r.bounds[n-1]
		r.bounds = r.bounds[:n-1]
		return b[:0]
	}
	return make([]byte, 0, 64)
}

// scan iterates over lo <= key < hi; it takes the two buffers back.
func (r *Reader) scan(lo, hi []byte, yield func(key, value []byte) (bool, error)) (err error) {
	if err := r.s.failure(); err != nil {
		return err
	}
	var it *pebble.Iterator
	if n := len(r.idle); n > 0 {
		it, r.idle = r.idle[n-1], r.idle[:n-1]
		it.SetBounds(lo, hi)
	} else if it, err = r.base.Clone(pebble.CloneOptions{IterOptions: &pebble.IterOptions{LowerBound: lo, UpperBound: hi}}); err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	defer func() {
		r.idle = append(r.idle, it)
		r.bounds = append(r.bounds, lo, hi)
	}()
	for valid := it.First(); valid; valid = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("read state: %w", err)
		}
		more, err := yield(it.Key(), value)
		if err != nil || !more {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	return nil
}
