package postgres

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// relation is what the destination's catalog says of a table.
type relation struct {
	oid     uint32
	kind    string // "r" a table, "p" a partitioned one
	comment string
	columns map[string]attribute
	uniques []unique
}

// attribute is a column of an existing table.
type attribute struct {
	typ string // as format_type prints it
	// collation is the qualified name of a text column's collation, "" otherwise.
	collation string
	notNull   bool
	// filled says that a row without a value for the column gets one (default, identity, generated).
	filled bool
}

// unique is a unique index whose columns are plain; partial and expression indexes have none.
type unique struct {
	name    string
	columns []string
	primary bool
	// nullsEqual says NULLS NOT DISTINCT.
	nullsEqual bool
	plain      bool
}

const relationSQL = `SELECT n.nspname, c.relname, c.oid, c.relkind::text, coalesce(obj_description(c.oid, 'pg_class'), '')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (n.nspname, c.relname) IN (SELECT w.s, w.t FROM unnest($1::text[], $2::text[]) w(s, t))`

const attributesSQL = `SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
  a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '',
  coalesce(quote_ident(cn.nspname) || '.' || quote_ident(co.collname), '')
FROM pg_catalog.pg_attribute a
LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace
WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped`

const uniquesSQL = `SELECT i.indrelid, ic.relname, i.indisprimary, %s, i.indpred IS NULL AND i.indexprs IS NULL,
  ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(n, o)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n
        WHERE k.o <= i.indnkeyatts ORDER BY k.o)
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
WHERE i.indrelid = ANY($1::oid[]) AND i.indisunique AND i.indisvalid ORDER BY ic.relname`

// tableName names a table of the database.
type tableName struct{ schema, name string }

// catalog holds what was found of the tables that were looked up.
type catalog map[tableName]*relation

// lookup reads a table's entry in the catalog; nil if there is none.
func (s *Sink) lookup(ctx context.Context, tx pgx.Tx, schema, name string) (*relation, error) {
	at := tableName{schema, name}
	c, err := s.lookupAll(ctx, tx, []tableName{at})
	return c[at], err
}

// lookupAll reads the entries of all tables that are named, by three statements however many they are.
func (s *Sink) lookupAll(ctx context.Context, tx pgx.Tx, names []tableName) (catalog, error) {
	schemas, tables := make([]string, len(names)), make([]string, len(names))
	for i, n := range names {
		schemas[i], tables[i] = n.schema, n.name
	}
	c, byOID, oids := catalog{}, map[uint32]*relation{}, []uint32{}
	var at tableName
	var r relation
	rows, err := tx.Query(ctx, relationSQL, schemas, tables)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&at.schema, &at.name, &r.oid, &r.kind, &r.comment}, func() error {
			found := r
			found.columns = map[string]attribute{}
			c[at], byOID[r.oid], oids = &found, &found, append(oids, r.oid)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("look up tables %s: %w", strings.Join(tables, ", "), err)
	}
	if len(oids) == 0 {
		return c, nil
	}
	var oid uint32
	var col string
	var a attribute
	if rows, err = tx.Query(ctx, attributesSQL, oids); err == nil {
		_, err = pgx.ForEachRow(rows, []any{&oid, &col, &a.typ, &a.notNull, &a.filled, &a.collation}, func() error {
			byOID[oid].columns[col] = a
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("look up columns of %s: %w", strings.Join(tables, ", "), err)
	}
	nulls := "false"
	if s.version >= nullsNotDistinct {
		nulls = "i.indnullsnotdistinct"
	}
	var u unique
	if rows, err = tx.Query(ctx, fmt.Sprintf(uniquesSQL, nulls), oids); err == nil {
		_, err = pgx.ForEachRow(rows, []any{&oid, &u.name, &u.primary, &u.nullsEqual, &u.plain, &u.columns}, func() error {
			byOID[oid].uniques = append(byOID[oid].uniques, u)
			u.columns = nil
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("look up indexes of %s: %w", strings.Join(tables, ", "), err)
	}
	return c, nil
}

// catalogOf looks up all tables of targets and their staging tables.
func (s *Sink) catalogOf(ctx context.Context, tx pgx.Tx, targets map[string]*target) (catalog, error) {
	var names []tableName
	for _, tg := range targets {
		names = append(names, tableName{tg.schema, tg.To}, tableName{tg.schema, tg.stageN})
	}
	return s.lookupAll(ctx, tx, names)
}

// keyIndex reports whether a unique index over exactly these columns exists, in any order; one over
// nullable columns must treat NULLs as equal.
func (r *relation) keyIndex(columns []string, nullable bool) bool {
	want := slices.Sorted(slices.Values(columns))
	for _, u := range r.uniques {
		if u.plain && (u.nullsEqual || u.primary || !nullable) && slices.Equal(slices.Sorted(slices.Values(u.columns)), want) {
			return true
		}
	}
	return false
}

// Ownership is kept in a table's comment, because it must travel with the table through backups and
// renames: "[cdc stream=NAME from=NAME v=1]", after whatever the comment says besides.
var ownerMark = regexp.MustCompile(`\s*\[cdc stream=(\S+) from=((?s:.+?)) v=(\d+)\]`)

// owner returns the stream and source table that a table was made for; "" if it is not ours.
func (r *relation) owner() (stream, from string) {
	if m := ownerMark.FindStringSubmatch(r.comment); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

func ownerComment(comment, stream, from string) string {
	return strings.TrimSpace(ownerMark.ReplaceAllString(comment, "") + fmt.Sprintf(" [cdc stream=%s from=%s v=1]", stream, from))
}

func ident(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// literal quotes text for the few statements that take no parameters.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
