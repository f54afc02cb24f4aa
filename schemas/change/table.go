// Package change is the vocabulary of the product: tables, values, rows, events, positions, streams'
// units and covers. It imports the standard library only; every other package speaks through it.
package change

import (
	"slices"
	"strings"
)

// TableID names a table of the source, or a view (which has no database).
type TableID struct {
	DB   string `json:"db,omitempty"`
	Name string `json:"name"`
}

// String returns "db.name", or "name" of a view.
func (t TableID) String() string {
	if t.DB == "" {
		return t.Name
	}
	return t.DB + "." + t.Name
}

// ParseTableID is the inverse of String: everything before the first dot is the database.
func ParseTableID(s string) TableID {
	if db, name, ok := strings.Cut(s, "."); ok {
		return TableID{DB: db, Name: name}
	}
	return TableID{Name: s}
}

// Compare orders table ids by database, then name.
func (t TableID) Compare(o TableID) int {
	if c := strings.Compare(t.DB, o.DB); c != 0 {
		return c
	}
	return strings.Compare(t.Name, o.Name)
}

// Type is a column's type: the kind its values have, and what MySQL declares beyond it.
type Type struct {
	// Kind of every non-NULL value of the column.
	Kind Kind `json:"kind"`
	// Name is MySQL's name in lower case, without length and attributes: "int", "varchar", "enum".
	Name string `json:"name"`
	// Length is the declared length: characters of text, bytes of binary, bits of BIT; 0 if none.
	Length int `json:"length,omitempty"`
	// Precision and Scale of a decimal; Scale is also the fractional digits (0..6) of a temporal.
	Precision int `json:"precision,omitempty"`
	Scale     int `json:"scale,omitempty"`
	// Unsigned integers have Kind Uint; the flag also marks unsigned decimals and floats.
	Unsigned bool `json:"unsigned,omitempty"`
	// Charset and Collation of text; Collation is "binary" for binary strings, "" otherwise.
	Charset   string `json:"charset,omitempty"`
	Collation string `json:"collation,omitempty"`
	// Members of an ENUM or SET in definition order.
	Members []string `json:"members,omitempty"`
}

// Column is a column of a table.
type Column struct {
	Name     string `json:"name"`
	Type     Type   `json:"type"`
	Nullable bool   `json:"nullable,omitempty"`
}

// Action is what a foreign key does to its child rows.
type Action uint8

// The actions of a foreign key.
const (
	NoAction Action = iota // also RESTRICT
	Cascade
	SetNull
)

// ForeignKey is a foreign key of the table that holds it (the child).
type ForeignKey struct {
	Name     string   `json:"name"`
	Columns  []string `json:"columns"`
	Parent   TableID  `json:"parent"`
	ParentBy []string `json:"parent_columns"`
	OnDelete Action   `json:"on_delete,omitempty"`
	OnUpdate Action   `json:"on_update,omitempty"`
	// Logged says that the server writes this key's cascades to its binlog (MySQL 9.6 and later).
	Logged bool `json:"logged,omitempty"`
}

// Table is the shape of a table or view. It is immutable and shared by pointer; a change of shape
// makes a new Table with a higher Version.
type Table struct {
	ID      TableID  `json:"id"`
	Columns []Column `json:"columns"`
	// Key holds the indexes of the key columns in key order; empty for a table without usable key.
	// A view's key columns may be nullable (left joins), and there NULL equals NULL.
	Key         []int        `json:"key,omitempty"`
	ForeignKeys []ForeignKey `json:"foreign_keys,omitempty"`
	// Fields names all columns of the source's table in its order, those that are not captured included; nil
	// of a view, and where it is not known.
	Fields []string `json:"fields,omitempty"`
	// Version counts the shapes of this table that a stream has seen, from 1.
	Version int `json:"version,omitempty"`
}

// Column returns the index of the named column, or -1. Names compare without case, as MySQL's do.
func (t *Table) Column(name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return strings.EqualFold(c.Name, name) })
}

// IsKey reports whether the column at index i is part of the key.
func (t *Table) IsKey(i int) bool { return slices.Contains(t.Key, i) }

// KeyTypes returns the types of the key columns in key order.
func (t *Table) KeyTypes() []Type {
	ts := make([]Type, len(t.Key))
	for i, c := range t.Key {
		ts[i] = t.Columns[c].Type
	}
	return ts
}

// SameShape reports whether two tables have equal columns and key (foreign keys, fields and version aside).
func (t *Table) SameShape(o *Table) bool {
	return t.ID == o.ID && slices.Equal(t.Key, o.Key) &&
		slices.EqualFunc(t.Columns, o.Columns, func(a, b Column) bool {
			return a.Name == b.Name && a.Nullable == b.Nullable && a.Type.Equal(b.Type)
		})
}

// Equal reports whether two types are the same in every respect.
func (t Type) Equal(o Type) bool {
	return t.Kind == o.Kind && t.Name == o.Name && t.Length == o.Length && t.Precision == o.Precision &&
		t.Scale == o.Scale && t.Unsigned == o.Unsigned && t.Charset == o.Charset && t.Collation == o.Collation &&
		slices.Equal(t.Members, o.Members)
}
