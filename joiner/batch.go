package joiner

import (
	"errors"
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
)

// ErrIncomplete says that an event lacks values that the joiner needs and the state does not hold.
var ErrIncomplete = errors.New("the event does not carry all columns that views read; set binlog_row_image=FULL and resync the table")

// ErrShape says that a table's shape no longer fits what the views were compiled against.
var ErrShape = errors.New("the table changed in a way that the views do not fit; compile the views against the new shape")

// Options of a batch.
type Options struct {
	// Emit names the views whose changes are wanted: nil is all, an empty slice none (state only). A view
	// that is withheld while a table of it is under a cover is left out here.
	Emit []string
	// Limit is the memory in bytes that the batch may use before it moves to Scratch; 0 is no limit.
	Limit int
	// Scratch opens the store for what does not fit; nil: the limit is not applied.
	Scratch func() (Scratch, error)
	// Note lists the tables under an unordered cover: the keys of their rows are noted, streamed ones too.
	Note []change.TableID
}

// Batch folds one input batch. The order of calls is: Apply and Cover in the input's order, then Outputs
// for each view, then Flush, then Close. Nothing is changed outside the batch before Flush, so that a
// batch can be given up at any time by Close.
type Batch struct {
	e       *Engine
	base    State // as before the batch
	state   State // base, or base under what was moved to scratch
	o       Options
	emit    []bool // per view
	tables  []overlay
	arena   arena
	mem     int
	seen    bool // overlay entries are loaded and final
	stats   Stats
	moved   *change.Event // a delete that waits for the insert of its KeyMoved pair
	acc     accumulator
	scratch Scratch
	spilled []bool // per view: outputs are in scratch
	spills  uint64 // parts moved to scratch
	keyBuf  []byte
	joinBuf []byte
	joinOld []byte
	walk    []*walker // per view
}

// overlay is the changed rows of one table.
type overlay struct {
	rows map[string]*entry
	// list holds the entries in order of first change; sorted by key once resolved.
	list []*entry
	// waiting entries are not in added yet.
	waiting []*entry
	added   []map[string][]*entry // per index of the table (stored ones, then prefixes): entries by their new row's key
	note    bool
	clear   bool // notes are cleared by this batch
	noted   map[string]struct{}
	// notesMoved: scratch holds further notes.
	notesMoved bool
	sorted     bool
}

// entry is one changed row.
type entry struct {
	key    string
	old    change.Row // the state's row, once loaded
	new    change.Row // nil: no row
	before change.Row // the before-image to check old against
	check  check
	loaded bool
	queued bool // in waiting
	listed bool // was entered in added at least once
	// changed: the row differs from the state's; known once the batch is resolved.
	changed bool
}

// touched reports whether the batch gave the row its content, if only to remove it.
func (n *entry) touched() bool { return n.queued || n.listed }

func differ(a, b change.Row) bool {
	if a == nil || b == nil {
		return (a == nil) != (b == nil)
	}
	return !a.Equal(b)
}

// check says what the first event of a row claimed about the state.
type check uint8

const (
	unchecked check = iota
	wantNone        // an insert: there was no row
	wantSame        // an update or delete: the row was before
)

// Begin starts a batch over the state, which must not change until the batch is closed.
func (e *Engine) Begin(s State, o Options) (*Batch, error) {
	b := &Batch{e: e, base: s, state: s, o: o, emit: make([]bool, len(e.views)), tables: make([]overlay, len(e.tables)), walk: make([]*walker, len(e.views))}
	for i := range b.emit {
		b.emit[i] = o.Emit == nil
	}
	for _, name := range o.Emit {
		v := e.byName[name]
		if v == nil {
			return nil, fmt.Errorf("begin batch: there is no view %s", name)
		}
		b.emit[v.number] = true
	}
	for _, id := range o.Note {
		if t := e.byID[id]; t != nil {
			b.tables[t.slot].note = true
		}
	}
	return b, nil
}

// Apply adds one event. The event and its rows belong to the batch from here on.
func (b *Batch) Apply(ev *change.Event) error {
	if err := b.apply(ev); err != nil {
		return fmt.Errorf("apply %s of %s at seq %d: %w", ev.Op, ev.Table.ID, ev.Seq, err)
	}
	return b.spillIfFull()
}

func (b *Batch) apply(ev *change.Event) error {
	if ev.Flags&change.KeyMoved != 0 || b.moved != nil {
		var err error
		if ev, err = b.pair(ev); ev == nil {
			return err
		}
	}
	t := b.e.byID[ev.Table.ID]
	if t == nil {
		b.stats.Ignored++
		return b.watch(b.e.watched[ev.Table.ID], ev)
	}
	b.stats.Events++
	before, err := t.fit(ev.Table, ev.Before)
	if err != nil {
		return err
	}
	after, err := t.fit(ev.Table, ev.After)
	if err != nil {
		return err
	}
	switch ev.Op {
	case change.Delete:
		return b.remove(t, before, ev.Flags)
	case change.Update:
		return b.update(t, before, after, ev.Flags)
	case change.Insert, change.Read:
		return b.insert(t, after, ev.Op)
	}
	return fmt.Errorf("the operation is unknown")
}

// pair joins the delete and the insert of a moved key to one update. It returns nil while the insert is
// outstanding.
func (b *Batch) pair(ev *change.Event) (*change.Event, error) {
	first := b.moved
	b.moved = nil
	if ev.Flags&change.KeyMoved != 0 && ev.Op == change.Delete && first == nil {
		b.moved = ev
		return nil, nil
	}
	if first == nil {
		return ev, nil
	}
	if ev.Op != change.Insert || ev.Table.ID != first.Table.ID {
		return nil, fmt.Errorf("the delete of a moved key in %s is not followed by its insert", first.Table.ID)
	}
	both := *ev
	both.Op, both.Before, both.Flags = change.Update, first.Before, ev.Flags&^change.KeyMoved
	return &both, nil
}

func (b *Batch) insert(t *table, after change.Row, op change.Op) error {
	key, err := t.shape.AppendRowKey(b.keyBuf[:0], after)
	if err != nil {
		return err
	}
	b.keyBuf = key
	n := b.entry(t, key)
	if op == change.Insert {
		b.check(n, wantNone, nil)
	}
	if err := b.complete(t, n, n, after); err != nil {
		return err
	}
	b.set(t, n, after)
	return nil
}

func (b *Batch) update(t *table, before, after change.Row, flags change.Flags) error {
	key, err := t.shape.AppendRowKey(b.keyBuf[:0], before)
	if errors.Is(err, change.ErrAbsent) {
		key, err = t.shape.AppendRowKey(b.keyBuf[:0], after)
	}
	if err != nil {
		return err
	}
	b.keyBuf = key
	if t.sameKept(before, after) {
		b.stats.Unchanged++
		b.note(t, key)
		return nil
	}
	from := b.entry(t, key)
	b.check(from, wantSame, before)
	for _, c := range t.shape.Key {
		if after[c].IsAbsent() {
			after[c] = before[c]
		}
	}
	if key, err = t.shape.AppendRowKey(b.keyBuf[:0], after); err != nil {
		return err
	}
	b.keyBuf = key
	to := from
	if string(key) != from.key {
		to = b.entry(t, key)
		b.check(to, wantNone, nil)
	}
	if err := b.complete(t, from, to, after); err != nil {
		return err
	}
	if to != from {
		b.set(t, from, nil)
	}
	b.set(t, to, after)
	return b.cascade(t, before, after, flags, 0)
}

func (b *Batch) remove(t *table, before change.Row, flags change.Flags) error {
	key, err := t.shape.AppendRowKey(b.keyBuf[:0], before)
	if err != nil {
		return err
	}
	b.keyBuf = key
	n := b.entry(t, key)
	b.check(n, wantSame, before)
	b.set(t, n, nil)
	return b.cascade(t, before, nil, flags, 0)
}

// entry returns the overlay's entry of the key, a new one if there is none.
func (b *Batch) entry(t *table, key []byte) *entry {
	o := &b.tables[t.slot]
	if n := o.rows[string(key)]; n != nil {
		return n
	}
	if o.rows == nil {
		o.rows = make(map[string]*entry)
	}
	n := b.arena.entry()
	n.key = b.arena.text(key)
	o.rows[n.key] = n
	o.list = append(o.list, n)
	o.sorted, b.seen = false, false
	b.mem += entrySize + len(key)
	return n
}

// entrySize estimates the memory of an entry with its places in map and lists, in bytes.
const entrySize = 220

// set gives the row its new content; the batch owns row.
func (b *Batch) set(t *table, n *entry, row change.Row) {
	o := &b.tables[t.slot]
	b.mem += row.MemSize()
	n.new = row
	b.seen = false
	if !n.queued {
		n.queued = true
		o.waiting = append(o.waiting, n)
	}
	if row != nil && o.note {
		b.note(t, []byte(n.key))
	}
}

func (b *Batch) note(t *table, key []byte) {
	o := &b.tables[t.slot]
	if !o.note {
		return
	}
	if o.noted == nil {
		o.noted = map[string]struct{}{}
	}
	if _, ok := o.noted[string(key)]; !ok {
		o.noted[b.arena.text(key)] = struct{}{}
		b.mem += 64 + len(key)
	}
}

// check compares what the event says about the row before it with what the batch knows, at once or when
// the state's row is loaded.
func (b *Batch) check(n *entry, want check, before change.Row) {
	if n.loaded || n.touched() {
		if !agrees(want, before, n.new) {
			b.stats.Mismatches++
		}
		return
	}
	n.check, n.before = want, before
	b.mem += before.MemSize()
}

// agrees compares a before-image with a row; Absent values of the image claim nothing.
func agrees(want check, before, row change.Row) bool {
	switch want {
	case wantNone:
		return row == nil
	case wantSame:
		if row == nil {
			return false
		}
		for i, v := range before {
			if !v.IsAbsent() && v != row[i] {
				return false
			}
		}
	}
	return true
}

// complete fills the values that a partial row image lacks from the row as it stands.
func (b *Batch) complete(t *table, from, to *entry, after change.Row) error {
	missing := -1
	for _, c := range t.kept {
		if after[c].IsAbsent() {
			missing = c
			break
		}
	}
	if missing < 0 {
		return nil
	}
	if !from.touched() {
		if err := b.load(t, from); err != nil {
			return err
		}
		from.new = from.old
	}
	for _, c := range t.kept {
		if !after[c].IsAbsent() {
			continue
		}
		if from.new == nil || from.new[c].IsAbsent() {
			return fmt.Errorf("column %s of key %x: %w", t.shape.Columns[c].Name, to.key, ErrIncomplete)
		}
		after[c] = from.new[c]
	}
	return nil
}

// Stats returns what the batch met so far.
func (b *Batch) Stats() Stats { return b.stats }

// Close drops the batch. Without a Flush nothing has changed.
func (b *Batch) Close() error {
	for i, w := range b.walk {
		if w != nil {
			w.use(nil)
			b.e.views[i].idle = append(b.e.views[i].idle, w)
		}
	}
	b.tables, b.acc, b.walk = nil, accumulator{}, nil
	if b.scratch != nil {
		s := b.scratch
		b.scratch = nil
		if err := s.Close(); err != nil {
			return fmt.Errorf("drop the batch's scratch store: %w", err)
		}
	}
	return nil
}
