package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/schemas/change"
)

// The source has two tables, buyers and items; an item names its buyer, who need not exist.
const (
	buyers = iota
	items
	tableCount
)

var rowsOf = [tableCount]int{buyers: 3, items: 6}

// content is all rows: 0 is no row, a buyer's value is the number in its name, an item's value is
// 4*quantity + buyer + 1.
type content struct {
	buyer [3]int32
	item  [6]int32
}

func (c *content) at(table, key int) *int32 {
	if table == buyers {
		return &c.buyer[key]
	}
	return &c.item[key]
}

func intType() change.Type { return change.Type{Kind: change.Int, Name: "int"} }

func textType() change.Type {
	return change.Type{Kind: change.String, Name: "varchar", Length: 20, Charset: "utf8mb4", Collation: "utf8mb4_bin"}
}

func shapes() [tableCount]*change.Table {
	return [tableCount]*change.Table{
		buyers: {
			ID:      change.TableID{DB: "shop", Name: "buyer"},
			Columns: []change.Column{{Name: "id", Type: intType()}, {Name: "name", Type: textType()}},
			Key:     []int{0},
		},
		items: {
			ID:      change.TableID{DB: "shop", Name: "item"},
			Columns: []change.Column{{Name: "id", Type: intType()}, {Name: "buyer_id", Type: intType()}, {Name: "quantity", Type: intType()}},
			Key:     []int{0},
		},
	}
}

// row returns the row as the source would answer it, or nil.
func row(table, key int, v int32) change.Row {
	switch {
	case v == 0:
		return nil
	case table == buyers:
		return change.Row{change.IntValue(int64(key)), change.StringValue(strconv.Itoa(int(v)))}
	}
	return change.Row{change.IntValue(int64(key)), change.IntValue(int64((v - 1) % 4)), change.IntValue(int64((v - 1) / 4))}
}

// rowChange moves a row from one key to another, which are equal but for a change of the key; before is 0
// of an insert, after of a delete.
type rowChange struct {
	table         int
	from, to      int
	before, after int32
}

func (c *content) apply(r rowChange) {
	if r.before != 0 {
		*c.at(r.table, r.from) = 0
	}
	if r.after != 0 {
		*c.at(r.table, r.to) = r.after
	}
}

// The stages of a transaction's commit at the source.
const (
	logged   = iota // in the log: a position exists, a dump thread may send it, its GTID is owned
	visible         // the engine shows its rows, its row locks are free
	executed        // its GTID is in the executed set, and no longer owned
)

// txn is a source transaction, in log order.
type txn struct {
	changes []rowChange
	ddl     int // a DDL that changed rows of this table without logging them; -1 none
	stage   int
	lost    bool // the source was set back behind it
}

// source is the database: its log, what the engine shows, and the history that the checks need.
type source struct {
	r         *rand.Rand
	note      func(format string, args ...any)
	exact     bool // a consistent snapshot tells its own place
	unordered bool // commits become visible out of order
	log       []*txn
	hist      []content // hist[i]: after the first i transactions
	engine    content
	purged    int // transactions before it are gone from the log
	locked    map[[2]int]bool
	next      int32
	base      int // every transaction before it is executed
}

func newSource(r *rand.Rand) *source {
	s := &source{r: r, locked: map[[2]int]bool{}, next: 1}
	s.exact = r.IntN(3) == 0
	s.unordered = !s.exact && r.IntN(2) == 0
	for k := range 3 {
		s.engine.buyer[k] = s.value(buyers)
	}
	for k := range 4 {
		s.engine.item[k] = s.value(items)
	}
	s.hist = []content{s.engine}
	return s
}

func (s *source) value(table int) int32 {
	if table == items {
		return 4*s.r.Int32N(3) + s.r.Int32N(3) + 1
	}
	s.next++
	return s.next
}

func (s *source) head() *content { return &s.hist[s.end()] }

// end is the place where the log ends.
func (s *source) end() int { return s.alive(len(s.log)) }

// alive is the place itself, or the last one before it that is not lost.
func (s *source) alive(place int) int {
	for s.lost(place) {
		place--
	}
	return place
}

func (s *source) lost(place int) bool { return place > 0 && place <= len(s.log) && s.log[place-1].lost }

// setBack loses the last transactions, as a crash does that had not synced the log; its places are not given
// again. It returns how many it lost.
func (s *source) setBack(n int) int {
	if !s.drained() {
		return 0
	}
	lost := 0
	for place := s.end(); lost < n && place > max(s.purged, 1); place = s.end() {
		s.log[place-1].lost = true
		lost++
	}
	s.engine = *s.head()
	return lost
}

// drained reports whether every transaction is executed.
func (s *source) drained() bool { return s.prefix(executed) == len(s.log) }

// prefix returns how many transactions at the beginning of the log have reached the stage.
func (s *source) prefix(stage int) int {
	for s.base < len(s.log) && s.log[s.base].stage == executed {
		s.base++
	}
	i := s.base
	for i < len(s.log) && s.log[i].stage >= stage {
		i++
	}
	return i
}

// commit logs a transaction of several rows: inserts, updates, deletes, a key deleted and inserted, moves.
func (s *source) commit() {
	if s.prefix(executed); len(s.log)-s.base > 8 {
		return
	}
	st, t := *s.head(), &txn{ddl: -1}
	put := func(c rowChange) {
		if c.before == c.after && c.from == c.to {
			return // the server does not log what changes nothing
		}
		t.changes = append(t.changes, c)
		st.apply(c)
	}
	for n := 1 + s.r.IntN(4); n > 0; n-- {
		table := s.r.IntN(tableCount)
		k, k2 := s.r.IntN(rowsOf[table]), s.r.IntN(rowsOf[table])
		if s.locked[[2]int{table, k}] || s.locked[[2]int{table, k2}] {
			continue // the row's lock is held until the earlier transaction is visible
		}
		v, has, has2 := s.value(table), *st.at(table, k), *st.at(table, k2)
		switch x := s.r.IntN(6); {
		case x == 0 && has != 0:
			put(rowChange{table, k, k, has, 0})
		case x == 1 && has != 0 && has2 == 0:
			put(rowChange{table, k, k2, has, has})
		case x == 2 && has != 0:
			put(rowChange{table, k, k, has, 0})
			put(rowChange{table, k, k, 0, v})
		default:
			put(rowChange{table, k, k, has, v})
		}
	}
	for _, c := range t.changes {
		s.locked[[2]int{c.table, c.from}], s.locked[[2]int{c.table, c.to}] = true, true
	}
	s.log, s.hist = append(s.log, t), append(s.hist, st)
	s.note("source commits transaction %d: %+v", len(s.log), t.changes)
}

// advance moves one transaction a stage further.
func (s *source) advance() {
	var can []*txn
	s.prefix(executed)
	for stage := logged; stage < executed; stage++ {
		for _, t := range s.log[s.base:] {
			if t.stage == stage {
				can = append(can, t)
				if !s.unordered {
					break
				}
			}
		}
	}
	if len(can) == 0 {
		return
	}
	t := can[s.r.IntN(len(can))]
	t.stage++
	s.note("source: transaction %d is at stage %d", slices.Index(s.log, t)+1, t.stage)
	if t.stage == visible {
		for _, c := range t.changes {
			s.engine.apply(c)
			delete(s.locked, [2]int{c.table, c.from})
			delete(s.locked, [2]int{c.table, c.to})
		}
	}
}

// ddl changes rows without logging them (a partition dropped or exchanged); the statement is in the log.
func (s *source) ddl() {
	if !s.drained() {
		return // metadata lock
	}
	table, st := s.r.IntN(tableCount), *s.head()
	s.scramble(table, &st)
	s.engine = st
	s.log, s.hist = append(s.log, &txn{ddl: table, stage: executed}), append(s.hist, st)
}

// silent changes rows and leaves no trace in the log: only a resync mends it. It returns the table, or -1.
func (s *source) silent() int {
	if !s.drained() {
		return -1
	}
	table := s.r.IntN(tableCount)
	s.scramble(table, s.head())
	s.engine = *s.head()
	return table
}

func (s *source) scramble(table int, st *content) {
	for k := range rowsOf[table] {
		switch s.r.IntN(4) {
		case 0:
			*st.at(table, k) = 0
		case 1:
			*st.at(table, k) = s.value(table)
		}
	}
}

// top is the end of the newest transaction whose stage lies between the two.
func (s *source) top(least, most int) int {
	for i := len(s.log); i > 0; i-- {
		if st := s.log[i-1].stage; st >= least && st <= most && !s.log[i-1].lost {
			return i
		}
	}
	return 0
}

const server = "source"

// position is the place behind the first n transactions.
func position(n int) change.Position {
	return change.Position{Server: server, File: "log.000001", Offset: uint64(n) + 4}
}

func placeOf(p change.Position) int { return int(p.Offset) - 4 }

// places compares positions.
type places struct{}

// Contains implements pipeline.Places.
func (places) Contains(have, want change.Position) (bool, error) {
	return have.Offset >= want.Offset, nil
}

// logReader is one process's connection to the source's log; it implements pipeline.Source.
type logReader struct {
	w      *world
	tables [tableCount]*change.Table
	at     int
	// rest are items that one Next did not hand over.
	rest []pipeline.LogItem
}

var errPurgedMeanwhile = errors.New("the log was purged under the reader")

// Open implements pipeline.Source.
func (l *logReader) Open(_ context.Context, from change.Position, _ []*change.Table) error {
	if err := l.w.effect(); err != nil {
		return err
	}
	l.at, l.rest = placeOf(from), nil
	switch src := l.w.src; {
	case src.lost(l.at):
		return pipeline.ErrUnmeant
	case l.at < src.purged:
		return pipeline.ErrPurged
	}
	return nil
}

// Now implements pipeline.Source: anywhere between what is executed and the end of the log.
func (l *logReader) Now(context.Context) (change.Position, error) {
	err := l.w.effect()
	done := l.w.src.prefix(executed)
	return position(l.w.src.alive(done + l.w.r.IntN(len(l.w.src.log)-done+1))), err
}

// Tables implements pipeline.Source.
func (l *logReader) Tables(context.Context) ([]*change.Table, error) {
	return l.tables[:], l.w.effect()
}

// Next implements pipeline.Source: a few items, now and then a transaction in two pieces.
func (l *logReader) Next(context.Context, time.Duration) ([]pipeline.LogItem, error) {
	if err := l.w.effect(); err != nil {
		return nil, err
	}
	src, r := l.w.src, l.w.r
	if l.w.faults["slow-log"] && !l.w.quiet && r.IntN(8) > 0 {
		return nil, nil
	}
	if src.lost(l.at) {
		return nil, pipeline.ErrUnmeant
	}
	out := l.rest
	l.rest = nil
	for len(out) == 0 || r.IntN(2) == 0 {
		for l.at < len(src.log) && src.log[l.at].lost {
			l.at++
		}
		if l.at >= len(src.log) {
			l.at = src.end()
			break
		}
		if l.at < src.purged {
			return nil, errors.Join(pipeline.ErrPurged, errPurgedMeanwhile)
		}
		out = l.append(out, src.log[l.at])
	}
	if n := len(out); n > 2 && r.IntN(4) == 0 {
		cut := 1 + r.IntN(n-1)
		l.rest, out = out[cut:], out[:cut]
	}
	return out, nil
}

func (l *logReader) append(out []pipeline.LogItem, t *txn) []pipeline.LogItem {
	l.at++
	at, micros := position(l.at), l.w.now().UnixMicro()
	if t.ddl >= 0 {
		return append(out, pipeline.LogItem{Kind: pipeline.DDL, Position: at, CommitMicros: micros, Change: &pipeline.SchemaChange{
			Statement: "ALTER", Changes: []pipeline.TableChange{{Table: l.tables[t.ddl].ID.String(), Unlogged: true}},
		}})
	}
	out = append(out, pipeline.LogItem{Kind: pipeline.TxBegin, CommitMicros: micros})
	for _, c := range t.changes {
		ev := change.Event{Table: l.tables[c.table], Op: change.Update, Before: row(c.table, c.from, c.before), After: row(c.table, c.to, c.after)}
		switch {
		case c.before == 0:
			ev.Op = change.Insert
		case c.after == 0:
			ev.Op = change.Delete
		}
		out = append(out, pipeline.LogItem{Kind: pipeline.TxRow, Event: ev})
	}
	return append(out, pipeline.LogItem{Kind: pipeline.TxCommit, Position: at, CommitMicros: micros})
}
