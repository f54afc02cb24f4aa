package joiner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
)

// A batch that outgrows its memory is cut into parts. The net changes of a part are evaluated like a
// batch of their own, against the state as the parts before it left it; rows, outputs and notes then go
// to the scratch store, and memory is free for the next part. What is seen outside stays one batch: the
// outputs of all parts meet again under their keys (first old, last new), the rows are flushed as one.
//
// Keys of the scratch store:
//
//	r table row-key                      -> 0, or 1 and the row's kept values
//	i index join-key row-key             -> 0 (left) or 1 (entered)
//	o view output-key part 0 (old) or 1 (new) -> the row's values and its problem
//	o view output-key part 2 (both)           -> both sides (appendSides)
//	n table row-key                      -> nothing
const (
	scratchRow    = 'r'
	scratchIndex  = 'i'
	scratchOutput = 'o'
	scratchNote   = 'n'
)

func scratchPrefix(b []byte, space byte, number int) []byte {
	return binary.BigEndian.AppendUint16(append(b, space), uint16(number))
}

const scratchPrefixSize = 3

// spillIfFull moves the batch's parts to scratch when the memory limit is reached.
func (b *Batch) spillIfFull() error {
	if b.o.Limit <= 0 || b.o.Scratch == nil || b.mem < b.o.Limit || b.moved != nil {
		return nil
	}
	if err := b.openScratch(); err != nil {
		return err
	}
	if err := b.resolve(); err != nil {
		return err
	}
	b.stats.Spilled++
	for _, v := range b.e.views {
		if !b.emit[v.number] {
			continue
		}
		if err := b.evaluate(v); err != nil {
			return fmt.Errorf("evaluate view %s: %w", v.plan.Name, err)
		}
		if err := b.moveOutputs(v); err != nil {
			return err
		}
	}
	b.spills++ // what follows is the next part
	return b.moveRows()
}

func (b *Batch) openScratch() error {
	if b.scratch != nil {
		return nil
	}
	s, err := b.o.Scratch()
	if err != nil {
		return fmt.Errorf("open scratch store: %w", err)
	}
	b.scratch = s
	b.spilled = make([]bool, len(b.e.views))
	return nil
}

// moveRows moves the overlay to scratch and lays scratch over the state.
func (b *Batch) moveRows() error {
	under, ok := b.state.(*layered)
	if !ok {
		under = &layered{e: b.e, base: b.base, scratch: b.scratch, rows: make([]bool, len(b.e.tables))}
	}
	var key, value []byte
	for _, t := range b.e.tables {
		o := &b.tables[t.slot]
		for _, n := range o.list {
			if !n.changed {
				continue
			}
			under.rows[t.slot] = true
			key = append(scratchPrefix(key[:0], scratchRow, t.slot), n.key...)
			value = append(value[:0], 0)
			if n.new != nil {
				value = change.AppendRow(append(value[:0], 1), n.new, t.kept)
			}
			if err := b.scratch.Set(key, value); err != nil {
				return err
			}
			if err := b.moveEntries(t, n); err != nil {
				return err
			}
		}
		for k := range o.noted {
			if err := b.scratch.Set(append(scratchPrefix(key[:0], scratchNote, t.slot), k...), nil); err != nil {
				return err
			}
			o.notesMoved = true
		}
		b.tables[t.slot] = overlay{note: o.note, clear: o.clear, notesMoved: o.notesMoved}
	}
	b.state, b.arena, b.mem, b.seen = under, arena{}, 0, true
	for _, w := range b.walk {
		if w != nil {
			w.forget()
		}
	}
	return nil
}

// moveEntries writes the index entries that the row has left and entered. One that it keeps is entered anew:
// what the state says of a row in scratch does not count any more.
func (b *Batch) moveEntries(t *table, n *entry) error {
	for _, x := range t.indexes {
		was, had := x.appendEntry(scratchPrefix(b.joinOld[:0], scratchIndex, x.slot), n.old)
		is, has := x.appendEntry(scratchPrefix(b.joinBuf[:0], scratchIndex, x.slot), n.new)
		b.joinOld, b.joinBuf = was, is
		if had && !(has && string(was) == string(is)) {
			if err := b.scratch.Set(append(was, n.key...), []byte{0}); err != nil {
				return err
			}
		}
		if has {
			if err := b.scratch.Set(append(is, n.key...), []byte{1}); err != nil {
				return err
			}
		}
	}
	return nil
}

// spillOutputsIfFull moves what was accumulated of a view when it takes too much memory.
func (b *Batch) spillOutputsIfFull(v *viewState) error {
	if b.o.Limit <= 0 || b.o.Scratch == nil || b.acc.size() < b.o.Limit/2 {
		return nil
	}
	if err := b.openScratch(); err != nil {
		return err
	}
	b.stats.Spilled++
	return b.moveOutputs(v)
}

func (b *Batch) spilledView(v *viewState) bool { return b.scratch != nil && b.spilled[v.number] }

// What a record of an output holds.
const (
	outputOld byte = iota
	outputNew
	outputBoth
)

// moveOutputs writes the accumulated rows to scratch under their keys and the current part. They go in
// order, which is cheaper for an ordered store.
func (b *Batch) moveOutputs(v *viewState) error {
	var key, value []byte
	set := func(k []byte, kind byte) error {
		key = append(scratchPrefix(key[:0], scratchOutput, v.number), k...)
		key = append(binary.BigEndian.AppendUint64(key, b.spills), kind)
		return b.scratch.Set(key, value)
	}
	var out []byte
	for _, k := range slices.Sorted(maps.Keys(b.acc.rows)) {
		p := b.acc.rows[k]
		out = append(out[:0], k...)
		for i, s := range [2]*side{&p.old, &p.new} {
			if !s.set {
				continue
			}
			value = appendSide(value[:0], s)
			if err := set(out, byte(i)); err != nil {
				return err
			}
		}
	}
	u := &b.acc.updates
	u.sort()
	for i := range u.len() {
		value = append(value[:0], u.encoded(i)...)
		if err := set(u.key(i), outputBoth); err != nil {
			return err
		}
	}
	b.acc = accumulator{}
	b.spilled[v.number] = true
	return nil
}

func appendSide(b []byte, s *side) []byte {
	problem := ""
	if s.problem != nil {
		problem = s.problem.Error()
	}
	b = change.AppendValue(b, change.StringValue(problem))
	return change.AppendRow(b, s.row, nil)
}

func decodeSide(raw []byte, width int) (side, error) {
	problem, rest, err := change.DecodeValue(raw)
	if err != nil {
		return side{}, err
	}
	s := side{row: make(change.Row, width), set: true}
	if problem.Text() != "" {
		s.problem = errors.New(problem.Text())
	}
	return s, change.DecodeRow(rest, s.row, nil)
}

// spilledOutputs yields the net changes of a view whose rows are in scratch.
func (b *Batch) spilledOutputs(v *viewState, yield func(Output, error) bool) {
	if err := b.moveOutputs(v); err != nil {
		yield(Output{}, err)
		return
	}
	c := contributions{width: len(v.plan.Select)}
	more := true
	var failed error
	lo := scratchPrefix(nil, scratchOutput, v.number)
	err := b.scratch.Range(lo, prefixEnd(nil, lo), func(key, value []byte) bool {
		out, kind := key[scratchPrefixSize:len(key)-9], key[len(key)-1]
		if string(out) != c.key || !c.any {
			if more = c.emit(yield); !more {
				return false
			}
			c.key, c.any = string(out), false
		}
		if failed = c.add(kind, value); failed != nil {
			return false
		}
		return true
	})
	switch err = errors.Join(failed, err); {
	case !more:
	case err != nil:
		yield(Output{}, err)
	default:
		c.emit(yield)
	}
}

// contributions gathers the parts' old and new rows of one output key: the first decides what there was
// before the batch, the last what there is after it.
type contributions struct {
	width       int
	key         string
	any         bool
	first, last []byte
	firstOld    bool
	lastNew     bool
}

// add takes the next record of the key.
func (c *contributions) add(kind byte, value []byte) error {
	old, new := value, value
	if kind == outputBoth {
		var err error
		if old, new, err = splitSides(value); err != nil {
			return fmt.Errorf("read scratch store: %w", err)
		}
	}
	if !c.any {
		c.any, c.firstOld = true, kind != outputNew
		c.first = append(c.first[:0], old...)
	}
	c.lastNew = kind != outputOld
	c.last = append(c.last[:0], new...)
	return nil
}

func (c *contributions) emit(yield func(Output, error) bool) bool {
	if !c.any {
		return true
	}
	var p pair
	var err error
	if c.firstOld {
		p.old, err = decodeSide(c.first, c.width)
	}
	if c.lastNew && err == nil {
		p.new, err = decodeSide(c.last, c.width)
	}
	if err != nil {
		return yield(Output{}, fmt.Errorf("read scratch store: %w", err))
	}
	out, ok := p.output(c.key)
	return !ok || yield(out, nil)
}

// flushScratch writes the net changes of the rows in scratch.
func (b *Batch) flushScratch(w Writer) error {
	for _, t := range b.e.tables {
		lo := scratchPrefix(nil, scratchRow, t.slot)
		var failed error
		err := b.scratch.Range(lo, prefixEnd(nil, lo), func(key, value []byte) bool {
			key = key[scratchPrefixSize:]
			var old, new change.Row
			if new, failed = t.decodeScratch(value); failed != nil {
				return false
			}
			if old, failed = b.base.Row(t.slot, key); failed != nil {
				return false
			}
			if differ(old, new) {
				failed = b.flushRow(w, t, key, old, new)
			}
			return failed == nil
		})
		if err = errors.Join(failed, err); err != nil {
			return err
		}
	}
	return nil
}

// decodeScratch returns a row from scratch; nil of one that was removed.
func (t *table) decodeScratch(value []byte) (change.Row, error) {
	if len(value) == 0 || value[0] == 0 {
		return nil, nil
	}
	row := make(change.Row, len(t.shape.Columns))
	for _, c := range t.dropped {
		row[c] = change.AbsentValue()
	}
	return row, change.DecodeRow(value[1:], row, t.kept)
}
