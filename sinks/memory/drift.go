package memory

import (
	"fmt"
	"math"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// drift is what somebody did to a table, past any sink, until a sink is prepared again.
type drift struct {
	lost   string // a column that was dropped
	narrow string // a column of integers that is one of 16 bits now
}

// AddColumn adds an integer column of somebody's own to a table, past any sink.
func (db *DB) AddColumn(name, column string) {
	db.alter(name, func(s *change.Table) {
		s.Columns = append(s.Columns, change.Column{Name: column, Type: change.Type{Kind: change.Int, Name: "int"}, Nullable: true})
	})
}

// DropColumn drops a column of a table, past any sink; none of the key.
func (db *DB) DropColumn(name, column string) {
	db.alter(name, func(s *change.Table) {
		s.Columns = slices.DeleteFunc(s.Columns, func(c change.Column) bool { return c.Name == column })
	})
	db.mu.Lock()
	defer db.mu.Unlock()
	db.tables[name].drift.lost = column
}

// Narrow makes a column of integers one of 16 bits, past any sink.
func (db *DB) Narrow(name, column string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.tables[name].drift.narrow = column
}

// DropTable drops a table, past any sink.
func (db *DB) DropTable(name string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	delete(db.tables, name)
}

func (db *DB) alter(name string, do func(*change.Table)) {
	db.mu.Lock()
	defer db.mu.Unlock()
	t := db.tables[name]
	shape := *t.shape
	shape.Columns = slices.Clone(shape.Columns)
	do(&shape)
	t.rows, t.shape = t.rows.reshaped(t.shape, &shape), &shape
}

// unaltered stops over a table that is gone, or lacks a column that it is given.
func (a *apply) unaltered(from string) error {
	name, t := tableName(a.st.targets[from]), a.table(from)
	switch {
	case t == nil:
		return sinks.OfTarget(from, &sinks.StopError{What: fmt.Sprintf("table %s is gone", name), Hint: "restart the sink to have it made and filled again"})
	case t.drift.lost != "":
		return sinks.OfTarget(from, &sinks.StopError{
			What: fmt.Sprintf("table %s lacks the column %s", name, t.drift.lost),
			Hint: "restart the sink, which adds it again without its values, then give them back by cdc resync --sink NAME",
		})
	}
	return nil
}

// tooWide says that a row does not fit into a column that somebody narrowed.
func (t *table) tooWide(row change.Row) string {
	if t.drift.narrow == "" {
		return ""
	}
	v := row[t.shape.Column(t.drift.narrow)]
	if v.Kind() == change.Int && (v.Int() > math.MaxInt16 || v.Int() < math.MinInt16) {
		return fmt.Sprintf("column %s is out of range", t.drift.narrow)
	}
	return ""
}
