package binlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/cdc/ddl"
	"github.com/etlsandbox/cdc/schemas/change"
)

// SchemaKind says what a statement means for a captured table, and what the reader does about it.
type SchemaKind uint8

// The kinds of schema changes.
const (
	// Followed: the table has the shape New from here on; the reader reads it so. It may have the columns that
	// it had, and others that are not captured.
	Followed SchemaKind = iota + 1
	// RowsChanged: the shape stays, the rows are others than the log says. The reader goes on; only a
	// cover of the table makes what is downstream true again.
	RowsChanged
	// Created: a table that the filter captures appeared. The reader passes over it until Track.
	Created
	// Gone: the table was dropped or has another name now. The reader no longer reads it.
	Gone
	// Unsupported: the reader passes over the table until Track; Reason and Hint say why and what then.
	Unsupported
)

// SchemaChange is one effect of a statement on a captured table.
type SchemaChange struct {
	Kind  SchemaKind
	Table change.TableID
	SQL   string
	Old   *change.Table // nil of Created, and of Gone while it was paused
	New   *change.Table // of Followed
	// Refill, of Followed, says that rows which exist got a value in a new column without being logged:
	// the table needs a cover.
	Refill bool
	Reason string // of RowsChanged, Gone and Unsupported
	Hint   string // of Unsupported
}

// apply turns a statement into items, and changes what the reader reads accordingly.
func (r *Reader) apply(ctx context.Context, st statement) ([]Item, error) {
	// MySQL logs CREATE TABLE … SELECT with this ending, which is not SQL.
	changes, err := ddl.Read(strings.TrimSuffix(st.sql, "START TRANSACTION"), st.session)
	if errors.Is(err, ddl.ErrUnreadable) {
		created, ok := ddl.Created(st.sql, st.session)
		switch {
		case ok:
			changes = []ddl.Change{created}
		case isWrite(st.sql):
			changes = r.mentioned(st, ddl.Write)
		default:
			changes = r.mentioned(st, ddl.Reshape)
		}
	}
	var items []Item
	for _, c := range changes {
		if c.Action == ddl.Write {
			paused, err := r.written(c)
			if err != nil {
				return nil, err
			}
			items = append(items, paused...)
			continue
		}
		made, err := r.applyOne(ctx, c)
		if err != nil {
			return nil, err
		}
		for i := range made {
			made[i].SQL = st.sql
			items = append(items, Item{Kind: Schema, Tx: r.tx, Schema: &made[i]})
		}
	}
	if len(items) > 0 {
		r.forget()
	}
	return items, nil
}

func isWrite(sql string) bool {
	w := firstWords(sql)
	return slices.ContainsFunc([]string{"INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH"}, func(p string) bool { return strings.HasPrefix(w, p) })
}

func (r *Reader) applyOne(ctx context.Context, c ddl.Change) ([]SchemaChange, error) {
	if c.Action == ddl.DropAll {
		var all []SchemaChange
		for _, t := range r.Tables() {
			if t.ID.DB == c.Table.DB || r.src.Server().FoldNames && strings.EqualFold(t.ID.DB, c.Table.DB) {
				all = append(all, r.gone(r.layouts[t.ID], c.What))
			}
		}
		for id := range r.paused {
			if id.DB == c.Table.DB || r.src.Server().FoldNames && strings.EqualFold(id.DB, c.Table.DB) {
				all = append(all, r.goneWhilePaused(id, c.What)...)
			}
		}
		return all, nil
	}
	l, tracked := r.find(c.Table)
	switch c.Action {
	case ddl.Create, ddl.Replace:
		if tracked && c.IfNotExists {
			return nil, nil
		}
		return r.appeared(c.Table, c.What), nil
	case ddl.Rename:
		var all []SchemaChange
		if tracked {
			all = append(all, r.gone(l, c.What+" to "+c.To.String()))
		} else {
			all = r.goneWhilePaused(c.Table, c.What+" to "+c.To.String())
		}
		return append(all, r.appeared(c.To, c.What)...), nil
	}
	if !tracked && c.Action == ddl.Drop {
		return r.goneWhilePaused(c.Table, c.What), nil
	}
	if !tracked {
		return nil, nil
	}
	switch c.Action {
	case ddl.Drop:
		return []SchemaChange{r.gone(l, c.What)}, nil
	case ddl.Rows:
		return []SchemaChange{{Kind: RowsChanged, Table: l.Table.ID, Old: l.Table, Reason: c.What}}, nil
	case ddl.AddColumns:
		return r.addColumns(ctx, l, c)
	case ddl.Keys:
		return r.keys(ctx, l, c)
	default:
		return r.reshape(ctx, l, c)
	}
}

// appeared: a table of this name exists from now on; one of that name that was read is gone.
func (r *Reader) appeared(id change.TableID, what string) []SchemaChange {
	var all []SchemaChange
	if l, ok := r.find(id); ok {
		all = append(all, r.gone(l, what+" put another table in its place"))
	}
	delete(r.paused, id)
	if r.filter.HasTable(id) {
		all = append(all, SchemaChange{Kind: Created, Table: id, Reason: what})
	}
	return all
}

func (r *Reader) gone(l *cdc.Layout, what string) SchemaChange {
	delete(r.layouts, l.Table.ID)
	return SchemaChange{Kind: Gone, Table: l.Table.ID, Old: l.Table, Reason: what}
}

// goneWhilePaused says that a table is gone of which no rows are read.
func (r *Reader) goneWhilePaused(id change.TableID, what string) []SchemaChange {
	for p := range r.paused {
		if p == id || r.src.Server().FoldNames && strings.EqualFold(p.DB, id.DB) && strings.EqualFold(p.Name, id.Name) {
			delete(r.paused, p)
			return []SchemaChange{{Kind: Gone, Table: p, Reason: what}}
		}
	}
	return nil
}

func (r *Reader) unsupported(l *cdc.Layout, reason, hint string) []SchemaChange {
	delete(r.layouts, l.Table.ID)
	r.paused[l.Table.ID] = true
	if hint == "" {
		hint = "run cdc resync " + l.Table.ID.String()
	}
	return []SchemaChange{{Kind: Unsupported, Table: l.Table.ID, Old: l.Table, Reason: reason, Hint: hint}}
}

// now reads a table's present shape. A nil layout comes with why the table cannot be followed.
func (r *Reader) now(ctx context.Context, id change.TableID) (l *cdc.Layout, why cdc.Unfit, err error) {
	l, err = r.src.Layout(ctx, r.filter, id)
	if unfit, ok := cdc.UnfitTables(err); ok && len(unfit) > 0 {
		return nil, unfit[0], nil
	}
	if err == nil && l == nil {
		return nil, cdc.Unfit{Table: id, Reason: "the table does not exist any more"}, nil
	}
	return l, cdc.Unfit{}, err
}

// addColumns follows ADD COLUMN: where the columns stand is in the statement, what they are in the
// catalog.
func (r *Reader) addColumns(ctx context.Context, l *cdc.Layout, c ddl.Change) ([]SchemaChange, error) {
	now, why, err := r.now(ctx, l.Table.ID)
	if err != nil {
		return nil, err
	}
	if now == nil {
		return r.unsupported(l, c.What+": "+why.Reason, why.Hint), nil
	}
	fields := slices.Clone(l.Fields)
	refill, captured := false, false
	for _, col := range c.Columns {
		if fieldIndex(fields, col.Name) >= 0 {
			continue // IF NOT EXISTS
		}
		i := fieldIndex(now.Fields, col.Name)
		if i < 0 {
			return r.unsupported(l, fmt.Sprintf("ADD COLUMN %s: the column has changed again since", col.Name), ""), nil
		}
		at := len(fields)
		if col.First {
			at = 0
		} else if col.After != "" {
			if at = fieldIndex(fields, col.After) + 1; at == 0 {
				return r.unsupported(l, fmt.Sprintf("ADD COLUMN %s AFTER %s: no such column", col.Name, col.After), ""), nil
			}
		}
		fields = slices.Insert(fields, at, now.Fields[i])
		if now.Fields[i].Column >= 0 {
			captured, refill = true, refill || col.Filled
		}
	}
	if len(fields) == len(l.Fields) {
		return nil, nil
	}
	next := &cdc.Layout{Charset: now.Charset, Collation: now.Collation, Engine: now.Engine, Generated: now.Generated, Fields: fields}
	if next.Table = withFields(l.Table, fields); captured {
		next.Table = grow(l, now, fields)
	}
	r.layouts[l.Table.ID] = next
	return []SchemaChange{{Kind: Followed, Table: l.Table.ID, Old: l.Table, New: next.Table, Refill: refill}}, nil
}

// withFields returns the table with other columns that are not captured.
func withFields(t *change.Table, fields []cdc.Field) *change.Table {
	n := *t
	n.Fields = fieldNames(fields)
	return &n
}

func fieldNames(fs []cdc.Field) []string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = f.Name
	}
	return names
}

func fieldIndex(fs []cdc.Field, name string) int {
	return slices.IndexFunc(fs, func(f cdc.Field) bool { return strings.EqualFold(f.Name, name) })
}

// grow makes the table of the fields given, old columns as they were, new ones as they are now, and
// numbers the fields' columns.
func grow(l, now *cdc.Layout, fields []cdc.Field) *change.Table {
	old := l.Table
	t := &change.Table{ID: old.ID, ForeignKeys: old.ForeignKeys, Fields: fieldNames(fields), Version: old.Version + 1}
	for i := range fields {
		f := &fields[i]
		if f.Column < 0 {
			continue
		}
		if c := old.Column(f.Name); c >= 0 {
			t.Columns = append(t.Columns, old.Columns[c])
		} else {
			t.Columns = append(t.Columns, now.Table.Columns[now.Table.Column(f.Name)])
		}
		f.Column = len(t.Columns) - 1
	}
	for _, k := range old.Key {
		t.Key = append(t.Key, t.Column(old.Columns[k].Name))
	}
	return t
}

// keys follows changes of indexes and foreign keys: they do not touch rows, unless they change what the
// table's rows are known by.
func (r *Reader) keys(ctx context.Context, l *cdc.Layout, c ddl.Change) ([]SchemaChange, error) {
	now, why, err := r.now(ctx, l.Table.ID)
	if err != nil {
		return nil, err
	}
	if now == nil {
		return r.unsupported(l, c.What+": "+why.Reason, why.Hint), nil
	}
	if !slices.Equal(keyNames(l.Table), keyNames(now.Table)) {
		return r.unsupported(l, fmt.Sprintf("%s: the key was (%s) and is (%s)", c.What,
			strings.Join(keyNames(l.Table), ", "), strings.Join(keyNames(now.Table), ", ")), ""), nil
	}
	if slices.EqualFunc(l.Table.ForeignKeys, now.Table.ForeignKeys, sameForeignKey) {
		return nil, nil
	}
	next, table := *l, *l.Table
	table.ForeignKeys, table.Version = now.Table.ForeignKeys, table.Version+1
	next.Table = &table
	r.layouts[table.ID] = &next
	return []SchemaChange{{Kind: Followed, Table: table.ID, Old: l.Table, New: &table}}, nil
}

func keyNames(t *change.Table) []string {
	names := make([]string, len(t.Key))
	for i, c := range t.Key {
		names[i] = strings.ToLower(t.Columns[c].Name)
	}
	return names
}

func sameForeignKey(a, b change.ForeignKey) bool {
	return a.Name == b.Name && slices.Equal(a.Columns, b.Columns) && a.Parent == b.Parent &&
		slices.Equal(a.ParentBy, b.ParentBy) && a.OnDelete == b.OnDelete && a.OnUpdate == b.OnUpdate && a.Logged == b.Logged
}

// reshape follows a change of columns that are not captured; any other one it cannot.
func (r *Reader) reshape(ctx context.Context, l *cdc.Layout, c ddl.Change) ([]SchemaChange, error) {
	mine := len(c.Columns) == 0
	for _, col := range c.Columns {
		mine = mine || l.Table.Column(col.Name) >= 0 || r.filter.HasColumn(l.Table.ID, col.Name)
	}
	now, why, err := r.now(ctx, l.Table.ID)
	if err != nil {
		return nil, err
	}
	switch {
	case why.Hint != "": // what it has got, and not the statement, is in the way
		return r.unsupported(l, c.What+": "+why.Reason, why.Hint), nil
	case mine:
		return r.unsupported(l, c.What+" changes captured columns", ""), nil
	case now == nil:
		return r.unsupported(l, c.What+": "+why.Reason, ""), nil
	case !now.Table.SameShape(l.Table):
		return r.unsupported(l, c.What+": captured columns have changed as well since", ""), nil
	}
	next := *now
	next.Table = withFields(l.Table, now.Fields)
	r.layouts[l.Table.ID] = &next
	return []SchemaChange{{Kind: Followed, Table: l.Table.ID, Old: l.Table, New: next.Table}}, nil
}
