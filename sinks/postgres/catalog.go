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

const relationSQL = `SELECT c.oid, c.relkind::text, coalesce(obj_description(c.oid, 'pg_class'), '')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2`

const attributesSQL = `SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
  a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '',
  coalesce(quote_ident(cn.nspname) || '.' || quote_ident(co.collname), '')
FROM pg_catalog.pg_attribute a
LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped`

const uniquesSQL = `SELECT ic.relname, i.indisprimary, %s, i.indpred IS NULL AND i.indexprs IS NULL,
  ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(n, o)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n
        WHERE k.o <= i.indnkeyatts ORDER BY k.o)
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid ORDER BY ic.relname`

// lookup reads a table's entry in the catalog; nil if there is none.
func (s *Sink) lookup(ctx context.Context, tx pgx.Tx, schema, name string) (*relation, error) {
	r := &relation{columns: map[string]attribute{}}
	err := tx.QueryRow(ctx, relationSQL, schema, name).Scan(&r.oid, &r.kind, &r.comment)
	if err == pgx.ErrNoRows {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up table %s.%s: %w", schema, name, err)
	}
	rows, err := tx.Query(ctx, attributesSQL, r.oid)
	if err != nil {
		return nil, fmt.Errorf("look up columns of %s.%s: %w", schema, name, err)
	}
	var col string
	var a attribute
	_, err = pgx.ForEachRow(rows, []any{&col, &a.typ, &a.notNull, &a.filled, &a.collation}, func() error {
		r.columns[col] = a
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up columns of %s.%s: %w", schema, name, err)
	}
	nulls := "false"
	if s.version >= nullsNotDistinct {
		nulls = "i.indnullsnotdistinct"
	}
	rows, err = tx.Query(ctx, fmt.Sprintf(uniquesSQL, nulls), r.oid)
	if err != nil {
		return nil, fmt.Errorf("look up indexes of %s.%s: %w", schema, name, err)
	}
	var u unique
	_, err = pgx.ForEachRow(rows, []any{&u.name, &u.primary, &u.nullsEqual, &u.plain, &u.columns}, func() error {
		r.uniques = append(r.uniques, u)
		u.columns = nil
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up indexes of %s.%s: %w", schema, name, err)
	}
	return r, nil
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
