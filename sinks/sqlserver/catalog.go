package sqlserver

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// relation is what the destination's catalog says of a table.
type relation struct {
	id      int64
	isTable bool
	owner   string // the mark of who delivers it, "" if nobody does
	columns []attribute
	uniques []unique
}

func (r *relation) names() []string {
	names := make([]string, len(r.columns))
	for i, c := range r.columns {
		names[i] = c.name
	}
	return names
}

// attribute is a column of an existing table.
type attribute struct {
	name      string
	typ       sqlType
	collation string
	nullable  bool
	// filled says that a row without a value for the column gets one; generated, that it takes no other (identity,
	// computed, period of a temporal table).
	filled, generated bool
}

// unique is a unique index.
type unique struct {
	name    string
	columns []string
	primary bool
	// filtered says that it does not speak of all rows.
	filtered bool
}

// column finds a column by its name, whatever the case.
func (r *relation) column(name string) (attribute, bool) {
	i := slices.IndexFunc(r.columns, func(a attribute) bool { return strings.EqualFold(a.name, name) })
	if i < 0 {
		return attribute{}, false
	}
	return r.columns[i], true
}

// keyIndex names a unique index over exactly these columns, in any order; "" if there is none.
func (r *relation) keyIndex(columns []string) string {
	want := sortedFold(columns)
	for _, u := range r.uniques {
		if !u.filtered && slices.Equal(sortedFold(u.columns), want) {
			return u.name
		}
	}
	return ""
}

// exists tells whether there is a table of the quoted name.
func (s *session) exists(ctx context.Context, name string) (bool, error) {
	found := 0
	if _, err := s.one(ctx, existsSQL.with(), []any{sql.Named("name", name)}, &found); err != nil {
		return false, fmt.Errorf("look for table %s: %w", name, err)
	}
	return found == 1, nil
}

// lookup reads a table's entry in the catalog; nil if there is none.
func (s *session) lookup(ctx context.Context, schema, name string) (*relation, error) {
	r := &relation{}
	var kind string
	var owner sql.NullString
	found, err := s.one(ctx, relationSQL.with(), []any{sql.Named("schema", schema), sql.Named("name", name)}, &r.id, &kind, &owner)
	if err != nil {
		return nil, fmt.Errorf("look up table %s.%s: %w", schema, name, err)
	}
	if !found {
		return nil, nil
	}
	r.isTable, r.owner = strings.TrimSpace(kind) == "U", owner.String
	var a attribute
	var length, precision, scale int
	err = s.each(ctx, columnsSQL.with(), []any{sql.Named("object_id", r.id)}, func() error {
		a.typ.precision, a.typ.scale, a.typ.length = precision, scale, length
		if length > 0 && (a.typ.name == "nvarchar" || a.typ.name == "nchar") {
			a.typ.length = length / 2 // bytes
		}
		a.filled = a.filled || a.generated
		r.columns = append(r.columns, a)
		return nil
	}, &a.name, &a.typ.name, &length, &precision, &scale, &a.nullable, &a.filled, &a.generated, &a.collation)
	if err != nil {
		return nil, fmt.Errorf("look up columns of %s.%s: %w", schema, name, err)
	}
	var u unique
	var column string
	err = s.each(ctx, indexesSQL.with(), []any{sql.Named("object_id", r.id)}, func() error {
		if n := len(r.uniques); n == 0 || r.uniques[n-1].name != u.name {
			r.uniques = append(r.uniques, u)
		}
		last := &r.uniques[len(r.uniques)-1]
		last.columns = append(last.columns, column)
		return nil
	}, &u.name, &u.primary, &u.filtered, &column)
	if err != nil {
		return nil, fmt.Errorf("look up indexes of %s.%s: %w", schema, name, err)
	}
	return r, nil
}

// Ownership is an extended property "cdc" of a table, because that travels with it through backups and renames:
// "stream=NAME from=NAME v=1".
var ownerMark = regexp.MustCompile(`^stream=(.+?) from=((?s:.+)) v=(\d+)$`)

// parseOwner returns the stream and source table that a mark names; "" if it is none of ours.
func parseOwner(mark string) (stream, from string) {
	if m := ownerMark.FindStringSubmatch(mark); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

func ownerOf(stream, from string) string { return fmt.Sprintf("stream=%s from=%s v=1", stream, from) }

// marked is a table that carries a mark.
type marked struct{ schema, name, owner string }

// marked returns the tables of the database that carry the mark of any stream.
func (s *session) marked(ctx context.Context) ([]marked, error) {
	var out []marked
	var m marked
	err := s.each(ctx, ownedSQL.with(), nil, func() error { out = append(out, m); return nil }, &m.schema, &m.name, &m.owner)
	if err != nil {
		return nil, fmt.Errorf("look for tables of the sink: %w", err)
	}
	return out, nil
}
