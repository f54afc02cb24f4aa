package sqlserver

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

// oldestServer is the major version of SQL Server 2017.
const oldestServer = 14

// keyCollation is the collation of a text column of a key that is made for it.
const keyCollation = "Latin1_General_100_BIN2"

// Columns of the table that bulk load fills, beside the target's own.
const (
	colOp  = "cdc_op"  // opDelete, opUpsert or opKeep
	colOrd = "cdc_ord" // order of arrival: the last per key wins
	colSeq = "cdc_seq" // unit of the last event of the key
	colKey = "cdc_key" // the key as cdc_quarantine prints it, when it is needed
)

// What becomes of a key.
const (
	opDelete = 0
	opUpsert = 1
	opKeep   = 2 // poison: the destination keeps what it has
)

// column is a delivered column.
type column struct {
	name     string // at the source
	dest     string // at the destination, where case may differ
	typ      change.Type
	form     form
	ddl      sqlType // of a column made for it
	nullable bool    // in the source
	// actual and collation are those of the destination's column.
	actual    sqlType
	collation string
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
	// keyIndex is the name of the unique index over the key.
	keyIndex string

	name   string // quoted table
	stage  string // quoted staging table
	stageN string // its bare name
	inbox  string // quoted temporary table that bulk load fills
	number int    // of the target at its sink
	// parts are what small batches say of the table; a change of its shape ends them.
	parts map[smallForm]*smallPart

	// quarantined says that cdc_quarantine may hold keys of the table.
	quarantined bool
	inboxMade   bool
	shapes      map[*change.Table][]int // event shape -> index of each of columns, -1 when it lacks it
}

func newTarget(t sinks.Target, schema string, n int) (*target, error) {
	if t.Schema != "" {
		schema = t.Schema
	}
	tg := &target{Target: t, schema: schema, name: ident(schema, t.To), number: n}
	tg.stageN = stageName(t.To)
	tg.stage = ident(schema, tg.stageN)
	tg.inbox = ident(fmt.Sprintf("#cdc_stage_in_%d", n))
	return tg, tg.setShape(t.Table)
}

// stageName is cdc_stage_<table>, with a hash instead of the end of a name that would pass 128 characters.
func stageName(table string) string {
	const limit, prefix, hash = 128, "cdc_stage_", 12
	runes := []rune(table)
	if len(prefix)+len(runes) <= limit {
		return prefix + table
	}
	sum := sha256.Sum256([]byte(table))
	return prefix + string(runes[:limit-len(prefix)-hash-1]) + "_" + hex.EncodeToString(sum[:])[:hash]
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
	tg.shapes, tg.parts = map[*change.Table][]int{}, nil
	for i, c := range t.Columns {
		if tg.Identity != "" && strings.EqualFold(c.Name, tg.Identity) {
			return &sinks.StopError{
				What: fmt.Sprintf("%s has a column %s of its own, which identity names too", t.ID, c.Name),
				Hint: "leave identity out of deliver, or give it another name",
			}
		}
		f, ddl, err := typeOf(c.Type)
		if err != nil {
			return refuseType(t.ID, c.Name, err)
		}
		tg.columns = append(tg.columns, column{name: c.Name, dest: c.Name, typ: c.Type, form: f, ddl: ddl, nullable: c.Nullable, actual: ddl})
		if f == formText && t.IsKey(i) {
			tg.columns[i].collation = keyCollation
		}
	}
	return tg.checkKeyWidth()
}

// checkKeyWidth refuses keys that no index of SQL Server takes.
func (tg *target) checkKeyWidth() error {
	for _, k := range tg.key {
		if c := tg.columns[k]; c.actual.bytes() > indexKey {
			return &sinks.StopError{
				What: fmt.Sprintf("column %s of %s is part of the key and %s here, which no index of SQL Server takes (%d bytes at most)",
					c.name, tg.table.ID, c.actual, indexKey),
				Hint: "give it a shorter type at the source, or choose another key in a view",
			}
		}
	}
	if n := tg.keyWidth(); n > indexKey {
		return &sinks.StopError{
			What: fmt.Sprintf("the key of %s (%s) takes up to %d bytes, and an index of SQL Server %d", tg.table.ID, strings.Join(tg.keyNames(), ", "), n, indexKey),
			Hint: "give its text columns shorter types at the source, or choose another key in a view",
		}
	}
	return nil
}

func (tg *target) keyWidth() int {
	n := 0
	for _, k := range tg.key {
		n += tg.columns[k].actual.bytes()
	}
	return n
}

// bind takes over what the catalog says of the existing table.
func (tg *target) bind(r *relation) {
	tg.columns = slices.Clone(tg.columns) // what is encoded ahead has those of before
	for i := range tg.columns {
		if a, ok := r.column(tg.columns[i].name); ok {
			c := &tg.columns[i]
			c.dest, c.actual, c.collation = a.name, a.typ, ""
			if c.form == formText {
				c.collation = a.collation
			}
		}
	}
	tg.parts = nil
	tg.uniques, tg.keyIndex = nil, r.keyIndex(tg.keyNames())
	keys := sortedFold(tg.keyNames())
	for _, u := range r.uniques {
		if slices.Equal(sortedFold(u.columns), keys) {
			continue
		}
		for _, c := range u.columns {
			if i := tg.columnIndex(c); i >= 0 && !slices.Contains(tg.key, i) && !slices.Contains(tg.uniques, tg.columns[i].name) {
				tg.uniques = append(tg.uniques, tg.columns[i].name)
			}
		}
	}
}

func sortedFold(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strings.ToLower(n)
	}
	slices.Sort(out)
	return out
}

func (tg *target) columnIndex(name string) int {
	return slices.IndexFunc(tg.columns, func(c column) bool { return strings.EqualFold(c.name, name) })
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

// keyBlindness says in what keys may differ that the server does not tell apart.
func (tg *target) keyBlindness() string {
	var what []string
	for _, k := range tg.key {
		switch c := tg.columns[k]; {
		case c.form == formText && !isBinaryCollation(c.collation):
			what = append(what, fmt.Sprintf("trailing spaces and what the collation %s does not tell apart in %s", c.collation, c.name))
		case c.form == formText:
			what = append(what, "trailing spaces in "+c.name)
		case c.form == formBinary:
			what = append(what, "trailing zero bytes in "+c.name)
		}
	}
	return strings.Join(what, ", ")
}

func isBinaryCollation(name string) bool { return strings.Contains(strings.ToUpper(name), "_BIN2") }

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

// declare writes a column with its type; what is behind the type follows in options.
func declare(name string, typ sqlType, collation, options string) string {
	s := ident(name) + " " + typ.String()
	if collation != "" {
		s += " COLLATE " + collation
	}
	return s + " " + options
}

const columnSeparator = ",\n    "

// identityOptions are those of a surrogate column: the server numbers it and takes no value for it.
const identityOptions = "IDENTITY(1, 1) NOT NULL"

// sinkColumn is a column that the sink fills beside the shape's.
type sinkColumn struct{ name, ddl string }

// sinkColumns are those of the visible table. An extra one is NULL in rows from before it was added.
func (tg *target) sinkColumns() (out []sinkColumn) {
	add := func(name string, typ sqlType, options string) {
		out = append(out, sinkColumn{name, declare(name, typ, "", options)})
	}
	if tg.Soft {
		add(tg.MarkColumn(), sqlType{name: "bit"}, "NOT NULL DEFAULT 0")
	}
	if name := tg.Extra.Position; name != "" {
		add(name, sqlType{name: "bigint"}, "NULL")
	}
	if name := tg.Extra.AppliedAt; name != "" {
		add(name, sqlType{name: "datetime2", scale: 6}, "NULL")
	}
	return out
}

// createTable is the DDL of the visible table.
func (tg *target) createTable() string {
	var defs []string
	if tg.Identity != "" {
		defs = append(defs, declare(tg.Identity, sqlType{name: "bigint"}, "", identityOptions))
	}
	for _, c := range tg.columns {
		null := "NOT NULL"
		if c.nullable {
			null = "NULL"
		}
		defs = append(defs, declare(c.dest, c.ddl, c.collation, null))
	}
	for _, c := range tg.sinkColumns() {
		defs = append(defs, c.ddl)
	}
	return createTableSQL.with("table", tg.name, "columns", strings.Join(append(defs, tg.keyConstraint()), columnSeparator))
}

// keyConstraint: NULL equals NULL in a unique constraint of SQL Server. The rows are kept in the order of the key where
// it is short enough for a clustered index.
func (tg *target) keyConstraint() string {
	kind := "PRIMARY KEY" // clustered, unless it says otherwise
	switch wide := tg.keyWidth() > clusteredKey; {
	case wide && tg.nullableKey():
		kind = "UNIQUE"
	case wide:
		kind = "PRIMARY KEY NONCLUSTERED"
	case tg.nullableKey():
		kind = "UNIQUE CLUSTERED"
	}
	return fmt.Sprintf("%s (%s)", kind, tg.list(tg.key, ""))
}

// createStage is the DDL of the staging table. Its columns have the visible table's types, so that a value
// that the destination refuses is found when it is staged. One that only notes keys takes them all, also those that
// the server cannot tell apart.
func (tg *target) createStage(notes bool) string {
	var defs []string
	for i, c := range tg.columns {
		null := "NULL"
		if tg.table.IsKey(i) && !c.nullable {
			null = "NOT NULL"
		}
		defs = append(defs, declare(c.dest, c.actual, c.collation, null))
	}
	if !notes {
		defs = append(defs, tg.keyConstraint())
	}
	return createTableSQL.with("table", tg.stage, "columns", strings.Join(defs, columnSeparator))
}

// createInbox is the DDL of the temporary table that bulk load fills.
func (tg *target) createInbox() string {
	var defs []string
	for _, c := range tg.columns {
		defs = append(defs, declare(c.dest, c.actual, c.collation, "NULL"))
	}
	for _, name := range [...]string{colOp, colOrd, colSeq} {
		typ := sqlType{name: "bigint"}
		if name == colOp {
			typ.name = "int"
		}
		defs = append(defs, declare(name, typ, "", "NOT NULL"))
	}
	defs = append(defs, declare(colKey, sqlType{name: "nvarchar", length: lengthMax}, keyCollation, "NULL"))
	return createTableSQL.with("table", tg.inbox, "columns", strings.Join(defs, columnSeparator))
}

// list joins quoted names of columns, each behind a prefix such as "t.".
func (tg *target) list(columns []int, prefix string) string {
	q := make([]string, len(columns))
	for i, c := range columns {
		q[i] = prefix + ident(tg.columns[c].dest)
	}
	return strings.Join(q, ", ")
}

// all are the indexes of all columns.
func (tg *target) all() []int {
	out := make([]int, len(tg.columns))
	for i := range out {
		out[i] = i
	}
	return out
}
