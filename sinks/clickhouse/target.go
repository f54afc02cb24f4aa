package clickhouse

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Names of columns and tables that are ours.
const (
	// colVersion is the Seq of the unit that a row comes from; the highest of a key is what is shown.
	colVersion = "cdc_version"
	// colFlag is ReplacingMergeTree's is_deleted, and in an inbox one of the flags below.
	colFlag = "cdc_deleted"
	// colOrder is the order of arrival in an inbox: the last per key wins.
	colOrder = "cdc_order"

	versionsSuffix = "_versions"
	stagePrefix    = "cdc_stage_"
)

// What becomes of a key.
const (
	flagUpsert = 0
	flagDelete = 1
	flagKeep   = 2 // poison: the destination keeps what it has; in inboxes only
	flagErase  = 3 // a deletion that is written another way; in memory only
)

// column is a delivered column.
type column struct {
	name string
	typ  change.Type
	// form and nullable are those of the destination's column.
	form     form
	nullable bool
	// wanted and null are what the source asks for.
	wanted form
	null   bool
}

// actual is the column's type at the destination.
func (c *column) actual() string { return typeText(c.form, c.nullable) }

func typeText(f form, nullable bool) string {
	if nullable {
		return "Nullable(" + f.ddl() + ")"
	}
	return f.ddl()
}

// target is one delivered table with everything that its statements need.
type target struct {
	sinks.Target
	table    *change.Table
	database string
	columns  []column
	key      []int // indexes into columns, in key order
	settings TableSettings
	sync     bool // blocks reach the disk before they are answered
	native   bool // the protocol is ClickHouse's own

	name  string // quoted table of versions
	bare  string // its name
	view  string // quoted readers' view
	shown []string

	// quarantined says that cdc_quarantine may hold keys of the table.
	quarantined bool
	// newest is the highest version in the table when the sink was prepared.
	newest uint64
	shapes map[*change.Table][]int // event shape -> index of each of columns, -1 when it lacks it
}

func newTarget(t sinks.Target, cfg Config) (*target, error) {
	if t.Identity != "" {
		return nil, &sinks.StopError{
			What: fmt.Sprintf("deliver of %s asks for an identity column %s, and ClickHouse has none", t.From, t.Identity), Hint: "leave identity out",
		}
	}
	tg := &target{Target: t, database: cfg.Database, sync: !cfg.NoSync, native: cfg.Protocol == Native}
	if t.Schema != "" {
		tg.database = t.Schema
	}
	var own bool
	if tg.settings, own = cfg.Tables[t.To]; !own {
		tg.settings = cfg.Tables[""]
	}
	if strings.Contains(tg.database+t.To, "(") { // checkName says why
		return nil, &sinks.StopError{
			What: fmt.Sprintf("%s is delivered to %s.%s, and the driver of ClickHouse cannot send blocks to a name with a parenthesis", t.From, tg.database, t.To),
			Hint: "deliver to another name",
		}
	}
	tg.bare = t.To + versionsSuffix
	tg.name, tg.view = quoteName(tg.database, tg.bare), quoteName(tg.database, t.To)
	return tg, tg.setShape(t.Table)
}

// stage is the quoted staging table of a cover. Its name holds the cover's id, so that nobody who is late can
// drop or empty the staging of a later one.
func (tg *target) stage(cover string) string { return quoteName(tg.database, tg.stageBare(cover)) }

func (tg *target) stageBare(cover string) string {
	const most = 80 // bytes of the table's part
	name := tg.To
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "")
	}
	sum := sha256.Sum256([]byte(tg.To + "\x00" + cover))
	return stagePrefix + name + "_" + hex.EncodeToString(sum[:6])
}

func (tg *target) setShape(t *change.Table) error {
	if len(t.Key) == 0 {
		return &sinks.StopError{
			What: fmt.Sprintf("table %s has no usable key, and %s.%s needs one to be kept equal", t.ID, tg.database, tg.To),
			Hint: "declare a primary key or a unique key over NOT NULL columns at the source, or leave the table out of deliver",
		}
	}
	if err := tg.CheckColumns(t); err != nil {
		return err
	}
	tg.table, tg.columns, tg.key = t, nil, slices.Clone(t.Key)
	tg.shapes = map[*change.Table][]int{}
	for _, c := range t.Columns {
		if ours(c.Name) {
			return &sinks.StopError{
				What: fmt.Sprintf("%s has a column %s of its own, which the sink needs for itself", t.ID, c.Name),
				Hint: "rename the column in a view",
			}
		}
		if err := tg.checkName(c.Name); err != nil {
			return err
		}
		f := formOf(c.Type)
		tg.columns = append(tg.columns, column{name: c.Name, typ: c.Type, form: f, nullable: c.Nullable, wanted: f, null: c.Nullable})
	}
	return tg.checkOrder()
}

// checkName refuses a name of a column that the driver, which reads it back from the column list of an INSERT, does
// not understand: of parentheses it knows pairs, and on the native protocol, where it sorts blocks by that list, no
// escapes and no parentheses at all.
func (tg *target) checkName(name string) error {
	open := strings.Map(func(r rune) rune {
		if r == '(' || r == ')' {
			return r
		}
		return -1
	}, name)
	hint := "rename the column in a view"
	switch {
	case strings.ReplaceAll(open, "()", "") != "":
	case tg.native && strings.ContainsAny(name, "`\\()"):
		hint = "set protocol: http, or rename the column in a view"
	default:
		return nil
	}
	return &sinks.StopError{What: fmt.Sprintf("%s has a column %q, whose name the driver of ClickHouse cannot send in blocks", tg.From, name), Hint: hint}
}

func ours(name string) bool { return name == colVersion || name == colFlag || name == colOrder }

// checkOrder refuses a sorting key that is not the key: rows are replaced by sorting key.
func (tg *target) checkOrder() error {
	if len(tg.settings.OrderBy) == 0 {
		return nil
	}
	have := slices.Sorted(slices.Values(tg.settings.OrderBy))
	if want := slices.Sorted(slices.Values(tg.keyNames())); !slices.Equal(have, want) {
		return &sinks.StopError{
			What: fmt.Sprintf("order_by of %s names (%s)", tg.To, strings.Join(tg.settings.OrderBy, ", ")),
			Hint: fmt.Sprintf("name the key columns, all of them and no other, in the order you like: %s", strings.Join(want, ", ")),
		}
	}
	return nil
}

func (tg *target) columnIndex(name string) int {
	return slices.IndexFunc(tg.columns, func(c column) bool { return c.name == name })
}

func (tg *target) names() []string {
	names := make([]string, len(tg.columns))
	for i, c := range tg.columns {
		names[i] = c.name
	}
	return names
}

func (tg *target) keyNames() []string {
	names := make([]string, len(tg.key))
	for i, c := range tg.key {
		names[i] = tg.columns[c].name
	}
	return names
}

// keyTuple is the key as one expression.
func (tg *target) keyTuple() string { return "(" + list(tg.keyNames()) + ")" }

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

// bind takes over what the catalog says of the existing table.
func (tg *target) bind(r *relation) {
	tg.columns = slices.Clone(tg.columns) // what is encoded ahead has those of before
	for i := range tg.columns {
		if a, ok := r.columns[tg.columns[i].name]; ok {
			tg.columns[i].form, tg.columns[i].nullable = a.form, a.nullable
		}
	}
	tg.shown = nil
	for _, name := range r.order {
		if !ours(name) {
			tg.shown = append(tg.shown, name)
		}
	}
}

// showAll has the readers' view show the columns of a table that is yet to be made.
func (tg *target) showAll() {
	tg.shown = tg.names()
	for _, c := range tg.sinkColumns() {
		tg.shown = append(tg.shown, c.name)
	}
}

// showWith has it show the columns of a table that is yet to be altered: new ones come last.
func (tg *target) showWith(r *relation) {
	tg.showAll()
	added := slices.DeleteFunc(tg.shown, func(name string) bool { _, there := r.columns[name]; return there })
	tg.bind(r)
	tg.shown = append(tg.shown, added...)
}

// createVersions is the DDL of the table that holds the rows.
func (tg *target) createVersions(comment string) string {
	partition := ""
	if tg.settings.PartitionBy != "" {
		partition = "\nPARTITION BY " + tg.settings.PartitionBy
	}
	settings := append(tg.mergeTree(), tg.settings.Settings...)
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (\n%s\n) ENGINE = ReplacingMergeTree(%s, %s)%s\nORDER BY (%s)\nSETTINGS %s\nCOMMENT %s",
		tg.name, tg.body(tg.sinkColumns()...), colVersion, colFlag, partition, list(tg.sortingKey()), strings.Join(settings, ", "), literal(comment))
}

// createStage is the DDL of the staging table of a cover.
func (tg *target) createStage(cover, comment string) string {
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (\n%s\n) ENGINE = ReplacingMergeTree(%s, %s)\nORDER BY (%s)\nSETTINGS %s\nCOMMENT %s",
		tg.stage(cover), tg.body(), colVersion, colFlag, list(tg.sortingKey()), strings.Join(tg.mergeTree(), ", "), literal(comment))
}

// createInbox is the DDL of a table for one batch: it nets what is too large for memory, and holds a chunk
// while it is compared.
func (tg *target) createInbox(name, comment string) string {
	return fmt.Sprintf("CREATE TABLE %s (\n%s,\n  %s UInt64\n) ENGINE = ReplacingMergeTree(%s)\nORDER BY (%s)\nSETTINGS allow_nullable_key = 1\nCOMMENT %s",
		quoteName(tg.database, name), tg.body(), colOrder, colOrder, list(tg.keyNames()), literal(comment))
}

// body are the column definitions. Only key columns must have a value in a staging table or inbox: they also
// hold rows of which nothing but the key is known.
func (tg *target) body(more ...sinkColumn) string {
	var lines []string
	for i := range tg.columns {
		lines = append(lines, "  "+quoteName(tg.columns[i].name)+" "+tg.columns[i].actual())
	}
	for _, c := range more {
		lines = append(lines, "  "+quoteName(c.name)+" "+c.ddl)
	}
	lines = append(lines, "  "+colVersion+" UInt64", "  "+colFlag+" UInt8")
	return strings.Join(lines, ",\n")
}

func (tg *target) sortingKey() []string {
	if len(tg.settings.OrderBy) > 0 {
		return tg.settings.OrderBy
	}
	return tg.keyNames()
}

// mergeTree are the settings of tables that last. NULL is a value of a key; the last tokens of blocks are
// remembered, so that a block that was written is not written again.
func (tg *target) mergeTree() []string { return mergeTreeSettings(tg.sync) }

func mergeTreeSettings(sync bool) []string {
	s := []string{"allow_nullable_key = 1", "non_replicated_deduplication_window = 1000"}
	if sync {
		s = append(s, "fsync_after_insert = 1", "fsync_part_directory = 1")
	}
	return s
}

// createView is the DDL of the readers' view. FINAL keeps the highest version of each key and drops the
// deleted ones. The version of a row is its position.
func (tg *target) createView(comment string) string {
	columns := list(tg.shown)
	if name := tg.Extra.Position; name != "" {
		columns += ", " + colVersion + " AS " + quoteName(name)
	}
	return fmt.Sprintf("CREATE OR REPLACE VIEW %s AS SELECT %s FROM %s FINAL COMMENT %s", tg.view, columns, tg.name, literal(comment))
}

// viewColumns are the columns of the readers' view.
func (tg *target) viewColumns() []string {
	if tg.Extra.Position == "" {
		return tg.shown
	}
	return append(slices.Clip(tg.shown), tg.Extra.Position)
}

// sinkColumn is a column of the table of versions that the sink fills beside the shape's.
type sinkColumn struct{ name, ddl string }

// sinkColumns are those of a table that is made. No block brings the time of writing: the server fills it in.
func (tg *target) sinkColumns() (out []sinkColumn) {
	if tg.Soft {
		out = append(out, sinkColumn{tg.MarkColumn(), "Bool"})
	}
	if name := tg.Extra.AppliedAt; name != "" {
		out = append(out, sinkColumn{name, appliedType + " DEFAULT now64(6, 'UTC')"})
	}
	return out
}

const appliedType = "Nullable(DateTime64(6, 'UTC'))"

// Ownership is kept in a table's comment, because it must travel with the table through backups and
// renames: "[cdc stream=NAME from=NAME v=1]", after whatever the comment says besides. Tables of one batch
// or cover say "[cdc scratch stream=NAME]".
var (
	ownerMark   = regexp.MustCompile(`\s*\[cdc stream=(\S+) from=((?s:.+?)) v=(\d+)\]`)
	scratchMark = regexp.MustCompile(`^\[cdc scratch stream=(\S+)\]$`)
)

func ownerComment(comment, stream, from string) string {
	return strings.TrimSpace(ownerMark.ReplaceAllString(comment, "") + fmt.Sprintf(" [cdc stream=%s from=%s v=1]", stream, from))
}

func scratchComment(stream string) string { return fmt.Sprintf("[cdc scratch stream=%s]", stream) }
