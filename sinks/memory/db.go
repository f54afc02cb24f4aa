// Package memory is a sink into the memory of the process, with the semantics of a transactional
// destination: it serves simulations and tests. Each effect can be made to fail.
package memory

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// DB is the destination. Several sinks may be open on it; their transactions take turns.
type DB struct {
	mu     sync.Mutex
	tables map[string]*table // by schema and name
	stages map[string]rows
	// streams is cdc_progress: writer, Mark and the states of tables.
	streams    map[string]progress
	quarantine map[entryKey]Entry
	writes     int // counts row versions
}

type progress struct {
	writer string
	mark   change.Mark
	states map[string]sinks.TableState
}

type table struct {
	shape        *change.Table
	stream, from string // owner; "" a foreigner
	rows         rows
	refused      []refusal
	uniques      []string
	drift        drift
}

// refusal is what a check constraint would say: column <> text.
type refusal struct{ column, text string }

type rows map[change.Key]Row

// Row is a row as the destination keeps it; rows are never changed in place.
type Row struct {
	Row change.Row
	// Deleted marks a soft-deleted row.
	Deleted bool
	// Version grows with each write.
	Version int
	// Position and AppliedAt are the extra columns, zero where the target has none.
	Position  change.Seq
	AppliedAt time.Time
}

// Entry is a quarantined key.
type Entry struct {
	Stream, Table, Key string
	Seq                change.Seq
	Reason             string
}

type entryKey struct{ stream, table, key string }

// NewDB returns an empty destination.
func NewDB() *DB {
	return &DB{
		tables: map[string]*table{}, stages: map[string]rows{}, streams: map[string]progress{},
		quarantine: map[entryKey]Entry{},
	}
}

// Snapshot is what a reader sees at one moment.
type Snapshot struct {
	// Rows holds each table's rows in key order, soft-deleted ones included.
	Rows map[string][]Row
	// Marks and States hold cdc_progress per stream.
	Marks      map[string]change.Mark
	States     map[string]map[string]sinks.TableState
	Quarantine []Entry
}

// Snapshot returns what is visible now, by table name ("schema.name", or the name alone).
func (db *DB) Snapshot() Snapshot {
	db.mu.Lock()
	defer db.mu.Unlock()
	s := Snapshot{Rows: map[string][]Row{}, Marks: map[string]change.Mark{}, States: map[string]map[string]sinks.TableState{}}
	for name, t := range db.tables {
		s.Rows[name] = t.rows.sorted()
	}
	for name, p := range db.streams {
		s.Marks[name], s.States[name] = p.mark, maps.Clone(p.states)
	}
	for _, e := range db.quarantine {
		s.Quarantine = append(s.Quarantine, e)
	}
	slices.SortFunc(s.Quarantine, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Key, b.Key))
	})
	return s
}

func (r rows) sorted() []Row {
	out := make([]Row, 0, len(r))
	for _, k := range slices.Sorted(maps.Keys(r)) {
		out = append(out, r[k])
	}
	return out
}

// Backup copies the whole destination.
func (db *DB) Backup() *DB {
	db.mu.Lock()
	defer db.mu.Unlock()
	c := NewDB()
	c.writes = db.writes
	for n, t := range db.tables {
		tc := *t
		tc.rows = maps.Clone(t.rows)
		c.tables[n] = &tc
	}
	for n, r := range db.stages {
		c.stages[n] = maps.Clone(r)
	}
	for n, p := range db.streams {
		p.states = maps.Clone(p.states)
		c.streams[n] = p
	}
	maps.Copy(c.quarantine, db.quarantine)
	return c
}

// Restore puts the destination back to a backup, which may be restored again.
func (db *DB) Restore(backup *DB) {
	c := backup.Backup()
	db.mu.Lock()
	defer db.mu.Unlock()
	db.tables, db.stages, db.streams, db.quarantine = c.tables, c.stages, c.streams, c.quarantine
}

// Plant writes rows as a foreigner would, past any stream; it makes the table unless it exists.
func (db *DB) Plant(name string, shape *change.Table, planted ...change.Row) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	t := db.tables[name]
	if t == nil {
		t = &table{shape: shape, rows: rows{}}
		db.tables[name] = t
	}
	for _, r := range planted {
		k, err := shape.RowKey(r)
		if err != nil {
			return err
		}
		db.writes++
		t.rows[k] = Row{Row: r, Version: db.writes}
	}
	return nil
}

// Refuse makes the table refuse rows whose column holds the text.
func (db *DB) Refuse(name, column, text string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	t := db.tables[name]
	t.refused = append(t.refused, refusal{column, text})
}

// Unique adds a unique index over the column; NULLs differ.
func (db *DB) Unique(name, column string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	t := db.tables[name]
	t.uniques = append(t.uniques, column)
}

// tableName is the name of a target's table in a Snapshot.
func tableName(t sinks.Target) string {
	if t.Schema == "" {
		return t.To
	}
	return t.Schema + "." + t.To
}
