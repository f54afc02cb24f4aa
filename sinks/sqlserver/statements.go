package sqlserver

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Statements speak of the destination's table as t and of the source of rows as s: the inbox (with an operation per
// row) or the staging table (every row an upsert).

// place is a table that rows are applied to.
type place struct {
	tg *target
	// name is the quoted table; soft, uniques and extra are off for the staging table.
	name    string
	soft    bool
	uniques []string
	extra   sinks.Extra
	// seq is the last unit of the batch, which what no inbox has a unit of comes from.
	seq change.Seq
}

// visible is the table that readers see, as a batch that ends with a unit changes it.
func (tg *target) visible(seq change.Seq) place {
	return place{tg: tg, name: tg.name, soft: tg.Soft, uniques: tg.uniques, extra: tg.Extra, seq: seq}
}

func (tg *target) staging() place { return place{tg: tg, name: tg.stage} }

// everyRow selects all rows of a source.
const everyRow = "1 = 1"

// op selects rows of the inbox by their operation.
func op(n int) string { return fmt.Sprintf("s.%s = %d", ident(colOp), n) }

// exactly are expressions that together are equal for identical values only: text by its code points and length,
// binary strings by bytes and length, because the server pads the shorter one.
func (c *column) exactly(alias string) []string {
	e := alias + "." + ident(c.dest)
	switch c.form {
	case formText:
		return []string{e + " COLLATE " + keyCollation, "DATALENGTH(" + e + ")"}
	case formBinary:
		return []string{e, "DATALENGTH(" + e + ")"}
	}
	return []string{e}
}

// match is true of two rows with identical keys, NULL equal to NULL. The plain comparisons are what an index serves;
// those that follow tell apart what it does not.
func (tg *target) match(a, b string) string {
	var conds, l, r []string
	for _, k := range tg.key {
		c := &tg.columns[k]
		name := ident(c.dest)
		if c.nullable {
			l, r = append(l, c.exactly(a)...), append(r, c.exactly(b)...)
			continue
		}
		conds = append(conds, fmt.Sprintf("%s.%s = %s.%[2]s", a, name, b))
		exact, other := c.exactly(a), c.exactly(b)
		if c.form == formText && isBinaryCollation(c.collation) {
			exact, other = exact[1:], other[1:]
		}
		if c.form == formBinary {
			exact, other = exact[1:], other[1:]
		}
		if len(exact) == 1 && c.form != formText && c.form != formBinary {
			continue
		}
		for i := range exact {
			conds = append(conds, exact[i]+" = "+other[i])
		}
	}
	if len(l) > 0 {
		conds = append(conds, fmt.Sprintf("EXISTS (SELECT %s INTERSECT SELECT %s)", strings.Join(l, ", "), strings.Join(r, ", ")))
	}
	return strings.Join(conds, " AND ")
}

// same is true of rows whose columns other than the key are identical and that are not marked as deleted.
func (p place) same() string {
	var l, r []string
	for i := range p.tg.columns {
		if c := &p.tg.columns[i]; !p.tg.table.IsKey(i) {
			l, r = append(l, c.exactly("t")...), append(r, c.exactly("s")...)
		}
	}
	var conds []string
	if len(l) > 0 {
		conds = append(conds, fmt.Sprintf("EXISTS (SELECT %s INTERSECT SELECT %s)", strings.Join(l, ", "), strings.Join(r, ", ")))
	}
	if p.soft {
		conds = append(conds, "t."+ident(p.tg.MarkColumn())+" = 0")
	}
	if len(conds) == 0 {
		return everyRow
	}
	return strings.Join(conds, " AND ")
}

// extras are the extra columns with the values of rows that are written now.
func (p place) extras(fromInbox bool) (names, values []string) {
	if p.extra.Position != "" {
		seq := strconv.FormatUint(uint64(p.seq), 10)
		if fromInbox {
			seq = "s." + ident(colSeq)
		}
		names, values = append(names, ident(p.extra.Position)), append(values, seq)
	}
	if p.extra.AppliedAt != "" {
		names, values = append(names, ident(p.extra.AppliedAt)), append(values, "SYSUTCDATETIME()")
	}
	return names, values
}

// assignments set columns to values.
func assignments(names, values []string) []string {
	out := make([]string, len(names))
	for i := range names {
		out[i] = names[i] + " = " + values[i]
	}
	return out
}

// marks are the assignments to rows that are marked as deleted.
func (p place) marks(fromInbox bool) string {
	sets := append([]string{ident(p.tg.MarkColumn()) + " = 1"}, assignments(p.extras(fromInbox))...)
	return strings.Join(sets, columnSeparator)
}

// delete removes, or marks, the rows of t that match rows of an inbox.
func (p place) delete(inbox, rows string) string {
	if p.soft {
		return softDeleteSQL.with("table", p.name, "source", inbox, "match", p.tg.match("t", "s"), "rows", rows,
			"marks", p.marks(true), "mark", ident(p.tg.MarkColumn()))
	}
	return deleteSQL.with("table", p.name, "source", inbox, "match", p.tg.match("t", "s"), "rows", rows)
}

// removeWhere removes, or marks, the rows of t that meet a condition.
func (p place) removeWhere(where string) string {
	if p.soft {
		return softRemoveRangeSQL.with("table", p.name, "where", where, "marks", p.marks(false), "mark", ident(p.tg.MarkColumn()))
	}
	return removeRangeSQL.with("table", p.name, "where", where)
}

// deleteMoved deletes for good the rows whose value in another unique index changes, so that two rows can
// swap such a value.
func (p place) deleteMoved(source, rows string) string {
	var l, r []string
	for _, u := range p.uniques {
		c := &p.tg.columns[p.tg.columnIndex(u)]
		l, r = append(l, c.exactly("t")...), append(r, c.exactly("s")...)
	}
	return deleteMovedSQL.with("table", p.name, "source", source, "match", p.tg.match("t", "s"), "rows", rows,
		"uniques", strings.Join(l, ", "), "new_uniques", strings.Join(r, ", "))
}

// update overwrites rows that differ; "" when there is nothing but the key.
func (p place) update(source, rows string, inbox bool) string {
	var sets []string
	for i, c := range p.tg.columns {
		if !p.tg.table.IsKey(i) {
			sets = append(sets, fmt.Sprintf("%s = s.%[1]s", ident(c.dest)))
		}
	}
	if p.soft {
		sets = append(sets, ident(p.tg.MarkColumn())+" = 0")
	}
	if len(sets) == 0 {
		return ""
	}
	sets = append(sets, assignments(p.extras(inbox))...)
	return updateSQL.with("table", p.name, "source", source, "match", p.tg.match("t", "s"), "rows", rows,
		"assignments", strings.Join(sets, ",\n    "), "differs", "NOT ("+p.same()+")")
}

// insert adds the rows that are not there.
func (p place) insert(source, rows string, inbox bool) string {
	all := p.tg.all()
	columns, values := p.tg.list(all, ""), p.tg.list(all, "s.")
	if p.soft {
		columns, values = columns+", "+ident(p.tg.MarkColumn()), values+", 0"
	}
	extra, extraValues := p.extras(inbox)
	for i := range extra {
		columns, values = columns+", "+extra[i], values+", "+extraValues[i]
	}
	return insertSQL.with("table", p.name, "source", source, "match", p.tg.match("t", "s"), "rows", rows,
		"columns", columns, "values", values)
}

// unmatched is true of rows of t that no row of a source matches.
func (p place) unmatched(source, rows string) string {
	match := p.tg.match("t", "s")
	if rows != everyRow {
		match = rows + " AND " + match
	}
	return fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s AS s WHERE %s)", source, match)
}

// statement is one text with its parameters.
type statement struct {
	step, sql string
	args      []any
}

// work is what must be done to a place with the rows of a source.
type work struct {
	place
	source string
	// inbox says that the source holds operations; otherwise every row is an upsert. removals says that there are any.
	inbox, removals bool
}

// statements returns the removals and, last, updates and insertions; of narrows the rows, "" takes all.
func (w work) statements(of string, args ...any) []statement {
	rows := func(n int) string {
		if !w.inbox {
			return everyRow + of
		}
		return op(n) + of
	}
	var out []statement
	add := func(step, sql string) {
		if sql != "" {
			out = append(out, statement{step, sql, args})
		}
	}
	if w.inbox && w.removals {
		add("delete", w.delete(w.source, rows(opDelete)))
	}
	if len(w.uniques) > 0 {
		add("delete moved", w.deleteMoved(w.source, rows(opUpsert)))
	}
	add("update", w.update(w.source, rows(opUpsert), w.inbox))
	add("insert", w.insert(w.source, rows(opUpsert), w.inbox))
	return out
}
