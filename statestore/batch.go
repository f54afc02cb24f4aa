package statestore

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/cockroachdb/pebble/v2"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Batch is one atomic change of the state. It implements joiner.Writer.
type Batch struct {
	s        *Store
	b        *pebble.Batch
	changed  [][]byte // row keys, to be dropped from the cache
	buf      []byte
	value    []byte
	marks    *Marks
	covering map[string]Covering
	own      map[string][]byte
	whole    []string // tables to be marked whole
	built    []int    // indexes to be marked built
	sorter   *Scratch // of a large batch: holds what b held
	sorted   []byte
}

// NewBatch starts a batch. Commit or Close it.
func (s *Store) NewBatch() *Batch { return &Batch{s: s, b: s.db.NewBatch()} }

// SetRow implements joiner.Writer.
func (b *Batch) SetRow(table int, key []byte, row change.Row) error {
	t := &b.s.layouts[table]
	b.buf = append(appendPrefix(b.buf[:0], spaceRow, t.number), key...)
	if b.sorter == nil {
		b.changed = append(b.changed, append([]byte(nil), b.buf...))
	}
	if row == nil {
		return b.delete(b.buf)
	}
	b.value = change.AppendRow(binary.AppendUvarint(b.value[:0], uint64(t.layout)), row, t.columns)
	return b.set(b.buf, b.value)
}

func (b *Batch) set(key, value []byte) error {
	if b.sorter != nil {
		return b.sort(sortSet, key, value)
	}
	if err := b.b.Set(key, value, nil); err != nil {
		return err
	}
	return b.growIfLarge()
}

func (b *Batch) delete(key []byte) error {
	if b.sorter != nil {
		return b.sort(sortDelete, key, nil)
	}
	if err := b.b.Delete(key, nil); err != nil {
		return err
	}
	return b.growIfLarge()
}

// SetIndex implements joiner.Writer.
func (b *Batch) SetIndex(index int, join, key []byte, present bool) error {
	b.buf = append(append(appendPrefix(b.buf[:0], spaceIndex, b.s.indexes[index]), join...), key...)
	if present {
		return b.set(b.buf, nil)
	}
	return b.delete(b.buf)
}

// Note implements joiner.Writer.
func (b *Batch) Note(table int, key []byte) error {
	b.buf = append(appendPrefix(b.buf[:0], spaceNote, b.s.layouts[table].number), key...)
	return b.set(b.buf, nil)
}

// ClearNotes implements joiner.Writer.
func (b *Batch) ClearNotes(table int) error {
	n := b.s.layouts[table].number
	lo, hi := appendPrefix(nil, spaceNote, n), appendPrefixEnd(nil, spaceNote, n)
	if b.sorter != nil {
		return b.sortRange(lo, hi)
	}
	return b.b.DeleteRange(lo, hi, nil)
}

// SetMarks moves the state's place in the streams.
func (b *Batch) SetMarks(m Marks) { b.marks = &m }

// SetCovering replaces the set of tables under a cover, by TableID.String.
func (b *Batch) SetCovering(c map[string]Covering) { b.covering = maps.Clone(c) }

// SetValue stores a value of the caller's under a name; nil removes it.
func (b *Batch) SetValue(name string, value []byte) {
	if b.own == nil {
		b.own = map[string][]byte{}
	}
	b.own[name] = append([]byte(nil), value...)
}

// SetWhole records that from here on the state holds every row of the table, with all columns of its
// layout: its cover has ended.
func (b *Batch) SetWhole(id change.TableID) { b.whole = append(b.whole, id.String()) }

// SetBuilt records that the index holds an entry of every row.
func (b *Batch) SetBuilt(index int) { b.built = append(b.built, index) }

// Close drops the batch, if it was not committed.
func (b *Batch) Close() error {
	if b.b == nil {
		return nil
	}
	err := b.b.Close()
	b.b = nil
	if b.sorter != nil {
		err = errors.Join(err, b.sorter.Close())
	}
	return err
}

// Commit applies the batch, all of it or nothing, without waiting for the disk (unless the batch is
// larger than memory): a crash of the process or the machine keeps a prefix of the batches committed
// since the last Sync. After an error the store has failed.
func (b *Batch) Commit() error {
	if err := b.commit(); err != nil {
		b.s.fail(fmt.Errorf("commit: %w", err))
		return fmt.Errorf("commit state: %w", err)
	}
	return nil
}

func (b *Batch) commit() error {
	c, err := b.setMeta()
	if err != nil {
		return err
	}
	err = b.s.do(func() error {
		if b.sorter != nil {
			return b.commitLarge()
		}
		return b.b.Commit(pebble.NoSync)
	})
	if err != nil {
		return err
	}
	b.committed(c)
	return b.Close()
}

// setMeta adds the changed meta entries to the batch. It returns the new catalog, or nil.
func (b *Batch) setMeta() (*catalog, error) {
	if b.marks != nil {
		if err := b.setJSON(metaMarks, b.marks); err != nil {
			return nil, err
		}
	}
	if b.covering != nil {
		if err := b.setJSON(metaCovering, b.covering); err != nil {
			return nil, err
		}
	}
	for name, value := range b.own {
		var err error
		if len(value) == 0 {
			err = b.delete(metaKey(metaOwn + name))
		} else {
			err = b.set(metaKey(metaOwn+name), value)
		}
		if err != nil {
			return nil, err
		}
	}
	if b.whole == nil && b.built == nil {
		return nil, nil
	}
	c := b.s.meta.catalog.clone()
	for _, name := range b.whole {
		e := c.Tables[name]
		if e == nil {
			return nil, fmt.Errorf("table %s is not configured", name)
		}
		e.Whole, e.Covered = true, e.Layouts[len(e.Layouts)-1].Columns
	}
	for _, x := range b.built {
		for _, e := range c.Indexes {
			if e.Number == b.s.indexes[x] {
				e.Built = true
			}
		}
	}
	return &c, b.setJSON(metaCatalog, &c)
}

func (b *Batch) setJSON(name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode meta entry %q: %w", name, err)
	}
	return b.set(metaKey(name), raw)
}

// committed brings what the store keeps in memory up to date.
func (b *Batch) committed(c *catalog) {
	s := b.s
	s.version++
	s.rows.mu.Lock()
	for _, key := range b.changed {
		s.rows.drop(key)
	}
	s.rows.mu.Unlock()
	if b.sorter != nil {
		s.rows.clear()
	}
	if b.marks != nil {
		s.meta.marks = *b.marks
	}
	if b.covering != nil {
		s.meta.covering = b.covering
	}
	for name, value := range b.own {
		if len(value) == 0 {
			delete(s.meta.own, name)
		} else {
			s.meta.own[name] = value
		}
	}
	if c != nil {
		s.meta.catalog = *c
	}
}
