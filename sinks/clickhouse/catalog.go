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

// lookup reads a table's entry in the catalog; nil if there is none.
func (s *session) lookup(ctx context.Context, database, name string) (*relation, error) {
	r := &relation{columns: map[string]attribute{}}
	found := false
	err := s.query(ctx, fmt.Sprintf("SELECT engine, engine_full, comment FROM system.tables WHERE database = %s AND name = %s",
		literal(database), literal(name)), func(scan func(...any) error) error {
		found = true
		return scan(&r.engine, &r.merge, &r.comment)
	})
	if err != nil {
		return nil, fmt.Errorf("look up table %s.%s: %w", database, name, err)
	}
	if !found {
		return nil, nil
	}
	err = s.query(ctx, fmt.Sprintf("SELECT name, type, is_in_sorting_key, is_in_partition_key FROM system.columns WHERE database = %s AND table = %s ORDER BY position",
		literal(database), literal(name)), func(scan func(...any) error) error {
		var column string
		var a attribute
		var sort, part uint8
		if err := scan(&column, &a.text, &sort, &part); err != nil {
			return err
		}
		a.form, a.nullable, a.known = parseForm(a.text)
		a.inSort, a.inPart = sort == 1, part == 1
		if a.inSort {
			r.sorting = append(r.sorting, column)
		}
		r.columns[column] = a
		r.order = append(r.order, column)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up columns of %s.%s: %w", database, name, err)
	}
	return r, nil
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
