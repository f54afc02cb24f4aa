package postgres

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Statements speak of the destination's table as t and of the source of rows as s: the inbox (wire types,
// with an operation per row) or the staging table (the target's types, every row an upsert).

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

// value is the expression of a source column: what the inbox holds in another form is cast.
func (c column) value(fromInbox bool) string {
	e := "s." + ident(c.name)
	if fromInbox && (c.form == formJSON || c.form == formBits) {
		return e + "::" + c.actual
	}
	return e
}

// comparable wraps an expression of the column's actual type so that identical values are equal and others
// are not: text by its bytes, json (which has no equality) by its text.
func (c column) comparable(e string) string {
	switch {
	case c.actual == "json":
		return "(" + e + ")::text"
	case c.form == formText:
		return "(" + e + `) COLLATE "C"`
	}
	return e
}

// differs is true of rows whose non-key columns are not identical; other gives the expression to compare
// a column of t with.
func (p place) differs(other func(column) string) string {
	var l, r []string
	for i, c := range p.tg.columns {
		if !p.tg.table.IsKey(i) {
			l = append(l, c.comparable("t."+ident(c.name)))
			r = append(r, c.comparable(other(c)))
		}
	}
	var conds []string
	if len(l) > 0 {
		conds = append(conds, fmt.Sprintf("(%s) IS DISTINCT FROM (%s)", strings.Join(l, ", "), strings.Join(r, ", ")))
	}
	if p.soft {
		conds = append(conds, "t."+ident(p.tg.MarkColumn()))
	}
	if len(conds) == 0 {
		return "false"
	}
	return "(" + strings.Join(conds, " OR ") + ")"
}

// extras are the extra columns with the values of rows that are written now.
func (p place) extras(fromInbox bool) (names, values []string) {
	if p.extra.Position != "" {
		seq := strconv.FormatUint(uint64(p.seq), 10)
		if fromInbox {
			seq = "s." + colSeq
		}
		names, values = append(names, ident(p.extra.Position)), append(values, seq)
	}
	if p.extra.AppliedAt != "" {
		names, values = append(names, ident(p.extra.AppliedAt)), append(values, "statement_timestamp()")
	}
	return names, values
}

// upsert inserts or overwrites rows; identical ones are not rewritten.
func (p place) upsert(source string, fromInbox bool, where string) string {
	tg := p.tg
	var names, values, sets []string
	for i, c := range tg.columns {
		names = append(names, ident(c.name))
		values = append(values, c.value(fromInbox))
		if !tg.table.IsKey(i) {
			sets = append(sets, fmt.Sprintf("%s = EXCLUDED.%[1]s", ident(c.name)))
		}
	}
	if p.soft {
		names, values = append(names, ident(tg.MarkColumn())), append(values, "false")
		sets = append(sets, ident(tg.MarkColumn())+" = false")
	}
	extra, extraValues := p.extras(fromInbox)
	names, values = append(names, extra...), append(values, extraValues...)
	if len(sets) > 0 {
		for _, name := range extra {
			sets = append(sets, name+" = EXCLUDED."+name)
		}
	}
	action := "DO NOTHING"
	if len(sets) > 0 {
		excluded := func(c column) string { return "EXCLUDED." + ident(c.name) }
		action = fmt.Sprintf("DO UPDATE SET %s WHERE %s", strings.Join(sets, ", "), p.differs(excluded))
	}
	return fmt.Sprintf("INSERT INTO %s AS t (%s) SELECT %s FROM %s s WHERE %s ON CONFLICT (%s) %s",
		p.name, strings.Join(names, ", "), strings.Join(values, ", "), source, where, list(tg.keyNames(), ""), action)
}

// absentOrDifferent is true of source rows that the destination's part does not hold identically; a cover
// writes only those.
func (p place) absentOrDifferent(fromInbox bool, part string) string {
	value := func(c column) string { return c.value(fromInbox) }
	return fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s t WHERE %s AND %s AND NOT %s)",
		p.name, part, p.tg.sameKey("t", "s"), p.differs(value))
}

// remove deletes the rows of t that meet a condition, or marks them; using may be empty.
func (p place) remove(using, where string) string {
	if p.soft {
		from := ""
		if using != "" {
			from = " FROM " + using + " s"
		}
		mark := ident(p.tg.MarkColumn())
		sets := []string{mark + " = true"}
		names, values := p.extras(using != "")
		for i, name := range names {
			sets = append(sets, name+" = "+values[i])
		}
		return fmt.Sprintf("UPDATE %s AS t SET %s%s WHERE %s AND NOT t.%s", p.name, strings.Join(sets, ", "), from, where, mark)
	}
	if using != "" {
		using = " USING " + using + " s"
	}
	return fmt.Sprintf("DELETE FROM %s AS t%s WHERE %s", p.name, using, where)
}

// removeMoved deletes for good the rows whose value in another unique index changes, so that two rows can
// swap such a value.
func (p place) removeMoved(source string, fromInbox bool, where string) string {
	var l, r []string
	for _, u := range p.uniques {
		c := p.tg.columns[p.tg.columnIndex(u)]
		l = append(l, c.comparable("t."+ident(u)))
		r = append(r, c.comparable(c.value(fromInbox)))
	}
	return fmt.Sprintf("DELETE FROM %s AS t USING %s s WHERE %s AND (%s) IS DISTINCT FROM (%s)",
		p.name, source, where, strings.Join(l, ", "), strings.Join(r, ", "))
}

// keyMatch compares keys under one pattern of NULLs (bit i: key column i is NULL) so that the key's index
// serves: IS NOT DISTINCT FROM would read the whole table.
func (tg *target) keyMatch(nulls int) string {
	var conds []string
	for i, k := range tg.key {
		c := tg.columns[k]
		if nulls&(1<<i) != 0 {
			conds = append(conds, fmt.Sprintf("t.%s IS NULL", ident(c.name)))
			continue
		}
		conds = append(conds, fmt.Sprintf("t.%s = %s", ident(c.name), c.value(true)))
	}
	return strings.Join(conds, " AND ")
}

// under selects rows of the inbox by operation and pattern of NULLs in the key.
func under(op, nulls int) string {
	return fmt.Sprintf("s.%s = %d AND s.%s = %d", colOp, op, colNulls, nulls)
}

// sameKey compares keys, NULL equal to NULL, in terms that a hash join takes.
func (tg *target) sameKey(a, b string) string {
	var conds []string
	for _, k := range tg.key {
		c := tg.columns[k]
		x, y := a+"."+ident(c.name), b+"."+ident(c.name)
		if !c.nullable {
			conds = append(conds, x+" = "+y)
			continue
		}
		zero := zeroOf[c.form]
		conds = append(conds, fmt.Sprintf("(%s IS NULL) = (%s IS NULL) AND coalesce(%[1]s, %[3]s) = coalesce(%[2]s, %[3]s)", x, y, zero))
	}
	return strings.Join(conds, " AND ")
}

// zeroOf stands in for NULL in a comparison that has already settled which side is NULL.
var zeroOf = [...]string{
	formInt2: "0", formInt4: "0", formInt8: "0", formNumeric: "0", formFloat4: "0", formFloat8: "0",
	formText: "''", formBytea: "''", formDate: "'1970-01-01'", formInterval: "'0'",
	formTimestamp: "'1970-01-01'", formTimestamptz: "'1970-01-01'", formBits: "B''", formJSON: "''",
}
