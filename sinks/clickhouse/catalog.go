package clickhouse

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// relation is what the destination's catalog says of a table.
type relation struct {
	engine  string
	comment string
	// merge is the full engine clause; sorting the columns of the sorting key.
	merge   string
	sorting []string
	columns map[string]attribute
	order   []string // of the columns
	rows    uint64   // in all versions; of a view 0
}

// attribute is a column of an existing table.
type attribute struct {
	text     string // the type as the server prints it
	form     form
	nullable bool
	known    bool // form says what it is
	inSort   bool
	inPart   bool
}

// relationName names a table or view of a database.
type relationName struct{ database, name string }

// catalog holds what was found of the tables that were looked up.
type catalog map[relationName]*relation

// lookup reads a table's entry in the catalog; nil if there is none.
func (s *session) lookup(ctx context.Context, database, name string) (*relation, error) {
	at := relationName{database, name}
	c, err := s.lookupAll(ctx, []relationName{at})
	return c[at], err
}

// lookupAll reads the entries of all tables that are named, by two statements however many they are.
func (s *session) lookupAll(ctx context.Context, names []relationName) (catalog, error) {
	c := make(catalog, len(names))
	if len(names) == 0 {
		return c, nil
	}
	// A database and a name at a time is what the server looks up directly; of pairs that come out besides, none is
	// asked for.
	var databases, tables []string
	wanted := make(map[relationName]bool, len(names))
	for _, n := range names {
		wanted[n] = true
		databases, tables = append(databases, literal(n.database)), append(tables, literal(n.name))
	}
	slices.Sort(databases)
	in := fmt.Sprintf("IN (%s)", strings.Join(slices.Compact(databases), ", "))
	of := fmt.Sprintf("IN (%s)", strings.Join(tables, ", "))
	err := s.query(ctx, fmt.Sprintf("SELECT database, name, engine, engine_full, comment, ifNull(total_rows, 0) FROM system.tables WHERE database %s AND name %s", in, of),
		func(scan func(...any) error) error {
			var at relationName
			r := &relation{columns: map[string]attribute{}}
			if err := scan(&at.database, &at.name, &r.engine, &r.merge, &r.comment, &r.rows); err != nil || !wanted[at] {
				return err
			}
			c[at] = r
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("look up tables (%s): %w", strings.Join(tables, ", "), err)
	}
	if len(c) == 0 {
		return c, nil
	}
	return c, s.readColumns(ctx, c, in, of)
}

// readColumns fills in the columns of the relations in a catalog, of databases and tables that two conditions select.
func (s *session) readColumns(ctx context.Context, c catalog, in, of string) error {
	err := s.query(ctx, fmt.Sprintf("SELECT database, table, name, type, is_in_sorting_key, is_in_partition_key FROM system.columns WHERE database %s AND table %s ORDER BY database, table, position", in, of),
		func(scan func(...any) error) error {
			var at relationName
			var column string
			var a attribute
			var sort, part uint8
			if err := scan(&at.database, &at.name, &column, &a.text, &sort, &part); err != nil {
				return err
			}
			if r := c[at]; r != nil { // else it was made a moment ago, and is not looked at
				a.form, a.nullable, a.known = parseForm(a.text)
				a.inSort, a.inPart = sort == 1, part == 1
				r.add(column, a)
			}
			return nil
		})
	if err != nil {
		return fmt.Errorf("look up columns of tables %s: %w", of, err)
	}
	return nil
}

// columns looks up the columns of a table alone; nil if there is none.
func (s *session) columns(ctx context.Context, at relationName) (*relation, error) {
	r := &relation{columns: map[string]attribute{}}
	err := s.readColumns(ctx, catalog{at: r}, "= "+literal(at.database), "= "+literal(at.name))
	if err != nil || len(r.columns) == 0 {
		return nil, err
	}
	return r, nil
}

func (r *relation) add(column string, a attribute) {
	if a.inSort {
		r.sorting = append(r.sorting, column)
	}
	r.columns[column] = a
	r.order = append(r.order, column)
}

// owner returns the stream and source table that a table was made for; "" if it is not ours.
func (r *relation) owner() (stream, from string) {
	if m := ownerMark.FindStringSubmatch(r.comment); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

// replaces reports whether the engine keeps the highest version of a key, by our columns.
func (r *relation) replaces() bool {
	return r.engine == "ReplacingMergeTree" && strings.Contains(r.merge, "ReplacingMergeTree("+colVersion+", "+colFlag+")")
}

// table is a table that a stream left somewhere.
type table struct {
	database, name string
	from           string // of an owned one
	view           bool
}

func (t table) quoted() string { return quoteName(t.database, t.name) }

// owned returns the tables of versions, and their views, that carry the stream's mark, wherever they are.
func (s *session) owned(ctx context.Context, stream string) ([]table, error) {
	return s.marked(ctx, "[cdc stream="+stream+" from=", func(comment string) (from string, ok bool) {
		r := relation{comment: comment}
		owner, from := r.owner()
		return from, owner == stream
	})
}

// scratch returns staging tables and inboxes of the stream.
func (s *session) scratch(ctx context.Context, stream string) ([]table, error) {
	return s.marked(ctx, scratchComment(stream), func(comment string) (from string, ok bool) {
		m := scratchMark.FindStringSubmatch(comment)
		return "", m != nil && m[1] == stream
	})
}

func (s *session) marked(ctx context.Context, mark string, take func(comment string) (from string, ok bool)) ([]table, error) {
	var out []table
	err := s.query(ctx, fmt.Sprintf("SELECT database, name, comment, engine = 'View' FROM system.tables WHERE position(comment, %s) > 0 ORDER BY database, name",
		literal(mark)), func(scan func(...any) error) error {
		var t table
		var comment string
		var view uint8
		if err := scan(&t.database, &t.name, &comment, &view); err != nil {
			return err
		}
		var ok bool
		if t.from, ok = take(comment); ok {
			t.view = view == 1
			out = append(out, t)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for tables marked %s: %w", mark, err)
	}
	return out, nil
}

// drop drops tables whose names are quoted.
func (s *session) drop(ctx context.Context, step string, tables ...string) error {
	for _, t := range tables {
		if err := s.exec(ctx, step, "DROP TABLE IF EXISTS "+t+" SYNC", nil); err != nil {
			return err
		}
	}
	return nil
}

// sourcesOf returns the source tables of owned tables, without views.
func sourcesOf(tables []table) []string {
	set := map[string]bool{}
	for _, t := range tables {
		if !t.view {
			set[t.from] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}
