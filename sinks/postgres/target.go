package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Version numbers as server_version_num has them.
const (
	oldestServer     = 120000
	nullsNotDistinct = 150000
)

// Columns of the table that COPY fills, beside the target's own.
const (
	colOp    = "cdc_op"    // opDelete, opUpsert or opKeep
	colNulls = "cdc_nulls" // bit i: key column i is NULL
	colOrd   = "cdc_ord"   // order of arrival: the last per key wins
	colSeq   = "cdc_seq"   // unit of the last event of the key
	colKey   = "cdc_key"   // the key as cdc_quarantine prints it, when it is needed
)

// What becomes of a key.
const (
	opDelete = 0
	opUpsert = 1
	opKeep   = 2 // poison: the destination keeps what it has
)

// column is a delivered column.
type column struct {
	name     string
	typ      change.Type
	form     form
	ddl      string // type of a column made for it
	nullable bool   // in the source
	// actual and collation are those of the destination's column.
	actual    string
	collation string
	exact     func(change.Value) error // refuses what the column would not keep as it is; nil: nothing to ask
}

// target is one delivered table with everything that its statements need. It is rebuilt when a shape
// changes.
type target struct {
	sinks.Target
	table   *change.Table
	schema  string
	columns []column
	key     []int // indexes into columns, in key order
	// uniques are the columns of other unique indexes: a row whose value in one changes is deleted first.
	uniques []string

	name   string // quoted table
	stage  string // quoted staging table
	stageN string // its bare name
	inbox  string // quoted temporary table that COPY fills

	// quarantined says that cdc_quarantine may hold keys of the table.
	quarantined bool
	inboxMade   bool
	shapes      map[*change.Table][]int // event shape -> index of each of columns, -1 when it lacks it
}

func newTarget(t sinks.Target, schema string, n int) (*target, error) {
	if t.Schema != "" {
		schema = t.Schema
	}
	tg := &target{Target: t, schema: schema, name: ident(schema, t.To)}
	tg.stageN = stageName(t.To)
	tg.stage = ident(schema, tg.stageN)
	tg.inbox = ident("pg_temp", fmt.Sprintf("cdc_stage_in_%d", n))
	for _, name := range []string{schema, t.To} {
		if len(name) > maxName {
			return nil, &sinks.StopError{
				What: fmt.Sprintf("%s cannot be delivered as %s.%s: PostgreSQL cuts names at %d bytes, and %s has %d", t.From, schema, t.To, maxName, name, len(name)),
				Hint: "give it a shorter name in deliver (to, schema), or leave the table out of deliver",
			}
		}
	}
	return tg, tg.setShape(t.Table)
}

// maxName is the length, in bytes, at which PostgreSQL cuts names without an error: two names could become one.
const maxName = 63

// stageName is cdc_stage_<table>, with a hash instead of the end of a name that would be cut at 63 bytes.
func stageName(table string) string {
	const limit, prefix, hash = maxName, "cdc_stage_", 12
	if len(prefix)+len(table) <= limit {
		return prefix + table
	}
	sum := sha256.Sum256([]byte(table))
	return strings.ToValidUTF8(prefix+table[:limit-len(prefix)-hash-1], "") + "_" + hex.EncodeToString(sum[:])[:hash]
}

func (tg *target) setShape(t *change.Table) error {
	if len(t.Key) == 0 {
		return &sinks.StopError{
			What: fmt.Sprintf("table %s has no usable key, and %s.%s needs one to be kept equal", t.ID, tg.schema, tg.To),
			Hint: "declare a primary key or a unique key over NOT NULL columns at the source, or leave the table out of deliver",
		}
	}
	if err := tg.CheckColumns(t); err != nil {
		return err
	}
	tg.table, tg.columns, tg.key = t, nil, slices.Clone(t.Key)
	tg.shapes = map[*change.Table][]int{}
	for i, c := range t.Columns {
		if c.Name == tg.Identity {
			return &sinks.StopError{
				What: fmt.Sprintf("%s has a column %s of its own, which identity names too", t.ID, c.Name),
				Hint: "leave identity out of deliver, or give it another name",
			}
		}
		if len(c.Name) > maxName {
			return &sinks.StopError{
				What: fmt.Sprintf("column %s of %s cannot be delivered: PostgreSQL cuts names at %d bytes, and this one has %d", c.Name, t.ID, maxName, len(c.Name)),
				Hint: "give it a shorter name in a view (SELECT … AS …), or exclude the column at the source",
			}
		}
		f, ddl := typeOf(c.Type)
		tg.columns = append(tg.columns, column{name: c.Name, typ: c.Type, form: f, ddl: ddl, nullable: c.Nullable, actual: ddl})
		if f == formText && t.IsKey(i) {
			tg.columns[i].collation = keyCollation
		}
	}
	return nil
}

// keyCollation is the collation of a text column of a key that is made for it: the order of bytes, as the
// source's keys compare here.
const keyCollation = `pg_catalog."C"`

// identityType is the type of a surrogate column: the server numbers it and takes no value for it.
const identityType = " bigint NOT NULL GENERATED ALWAYS AS IDENTITY"

// sinkColumn is a column that the sink fills beside the shape's.
type sinkColumn struct{ name, ddl string }

// sinkColumns are those of the visible table. An extra one is NULL in rows from before it was added.
func (tg *target) sinkColumns() (out []sinkColumn) {
	if tg.Soft {
		out = append(out, sinkColumn{tg.MarkColumn(), "boolean NOT NULL DEFAULT false"})
	}
	if name := tg.Extra.Position; name != "" {
		out = append(out, sinkColumn{name, "bigint"})
	}
	if name := tg.Extra.AppliedAt; name != "" {
		out = append(out, sinkColumn{name, "timestamp with time zone"})
	}
	return out
}

// bind takes over what the catalog says of the existing table.
func (tg *target) bind(r *relation) {
	tg.columns = slices.Clone(tg.columns) // what is encoded ahead has those of before
	for i := range tg.columns {
		if a, ok := r.columns[tg.columns[i].name]; ok {
			tg.columns[i].actual, tg.columns[i].collation = a.typ, a.collation
			tg.columns[i].exact = tg.columns[i].exactly()
		}
	}
	tg.uniques = nil
	keys := slices.Sorted(slices.Values(tg.keyNames()))
	for _, u := range r.uniques {
		if slices.Equal(slices.Sorted(slices.Values(u.columns)), keys) {
			continue
		}
		for _, c := range u.columns {
			if tg.columnIndex(c) >= 0 && !slices.Contains(keys, c) && !slices.Contains(tg.uniques, c) {
				tg.uniques = append(tg.uniques, c)
			}
		}
	}
}

func (tg *target) columnIndex(name string) int {
	return slices.IndexFunc(tg.columns, func(c column) bool { return c.name == name })
}

func (tg *target) keyNames() []string {
	names := make([]string, len(tg.key))
	for i, c := range tg.key {
		names[i] = tg.columns[c].name
	}
	return names
}

func (tg *target) nullableKey() bool {
	return slices.ContainsFunc(tg.key, func(c int) bool { return tg.columns[c].nullable })
}

// errUnknownColumn says that rows hold a column which the target's shape lacks.
var errUnknownColumn = errors.New("a column is unknown")

// mapping returns, for each column of the target, its index in rows of the given shape, or -1.
func (tg *target) mapping(shape *change.Table) ([]int, error) {
	if m, ok := tg.shapes[shape]; ok {
		return m, nil
	}
	m := make([]int, len(tg.columns))
	for i, c := range tg.columns {
		if m[i] = shape.Column(c.name); m[i] < 0 && tg.table.IsKey(i) {
			return nil, fmt.Errorf("rows of %s lack the key column %s", shape.ID, c.name)
		}
	}
	for _, c := range shape.Columns {
		if tg.table.Column(c.Name) < 0 {
			return nil, fmt.Errorf("%w: %s of %s", errUnknownColumn, c.Name, shape.ID)
		}
	}
	if len(tg.shapes) > 16 {
		clear(tg.shapes) // shapes are few; a caller that makes one per event must not grow this
	}
	tg.shapes[shape] = m
	return m, nil
}

// createTable is the DDL of the visible table.
func (tg *target) createTable() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (", tg.name)
	if tg.Identity != "" {
		b.WriteString(ident(tg.Identity) + identityType + ", ")
	}
	for i, c := range tg.columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(ident(c.name) + " " + c.ddl + collate(c.collation))
		if !c.nullable {
			b.WriteString(" NOT NULL")
		}
	}
	for _, c := range tg.sinkColumns() {
		b.WriteString(", " + ident(c.name) + " " + c.ddl)
	}
	b.WriteString(", " + tg.keyConstraint() + ")")
	return b.String()
}

func (tg *target) keyConstraint() string {
	keys := list(tg.keyNames(), "")
	if tg.nullableKey() {
		return "UNIQUE NULLS NOT DISTINCT (" + keys + ")"
	}
	return "PRIMARY KEY (" + keys + ")"
}

// createStage is the DDL of the staging table. Its columns have the visible table's types, so that a value
// that the destination refuses is found when it is staged.
func (tg *target) createStage() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (", tg.stage)
	for _, c := range tg.columns {
		b.WriteString(ident(c.name) + " " + c.actual + collate(c.collation) + ", ")
	}
	b.WriteString(tg.keyConstraint() + ")")
	return b.String()
}

// createInbox is the DDL of the temporary table that COPY fills.
func (tg *target) createInbox() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TEMPORARY TABLE %s (", tg.inbox)
	for _, c := range tg.columns {
		typ, collation := wire[c.form], c.collation
		if c.form != formText && c.form != formJSON {
			collation = ""
		}
		b.WriteString(ident(c.name) + " " + typ + collate(collation) + ", ")
	}
	fmt.Fprintf(&b, "%s smallint, %s integer, %s bigint, %s bigint, %s text) ON COMMIT DELETE ROWS",
		colOp, colNulls, colOrd, colSeq, colKey)
	return b.String()
}

func collate(collation string) string {
	if collation == "" {
		return ""
	}
	return " COLLATE " + collation
}

// list joins quoted column names, each behind a prefix such as "t.".
func list(names []string, prefix string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = prefix + ident(n)
	}
	return strings.Join(q, ", ")
}
