// Package snapshot reads parts of a table at a place of the source's log that is known: the reading half
// of a cover. A read promises two things: everything up to the place of registration is visible to it,
// and everything visible to it lies at or before a place that it returns. What lies between is applied
// again by whoever rolls the chunk forward.
package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
)

// OrderedPrefix returns how many leading key columns of the table order on the server exactly as their
// Key bytes do: ranges of a cover run over them. Zero means that the table can be covered only as a whole.
func OrderedPrefix(t *change.Table) int {
	for i, c := range t.Key {
		if !ordered(&t.Columns[c].Type) {
			return i
		}
	}
	return len(t.Key)
}

// ordered reports whether the server orders a type as its key bytes. PAD SPACE collations do not: they
// put 'a' after "a\t". ENUM and SET order by index.
func ordered(t *change.Type) bool {
	switch t.Kind {
	case change.Int, change.Uint, change.Date, change.Datetime, change.Timestamp, change.Time, change.Year, change.Decimal, change.Bytes:
		return true
	case change.String:
		return t.Name != "enum" && t.Name != "set" && noPadBinary(t.Collation)
	}
	return false
}

func noPadBinary(collation string) bool {
	return collation == "utf8mb4_0900_bin" || collation == "utf8mb4_nopad_bin" || collation == "utf8mb3_nopad_bin" || collation == "ascii_nopad_bin"
}

// condition is a WHERE text with its arguments.
type condition struct {
	sql  string
	args []any
}

// quote quotes an identifier.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// TableName returns the quoted name of a table.
func TableName(id change.TableID) string { return quote(id.DB) + "." + quote(id.Name) }

// compareRow is "the key columns are lexicographically >=, > or < the values", NULL first, written out
// column by column, because servers use an index range for that form and not for a row comparison.
func compareRow(t *change.Table, values change.Row, op string) (condition, error) {
	strict := strings.TrimSuffix(op, "=")
	var c condition
	var open int
	for i, v := range values {
		col := &t.Columns[t.Key[i]]
		name := quote(col.Name)
		last := i == len(values)-1
		if v.IsNull() {
			c.sql += compareNull(name, op, last)
			if !last {
				open += 2
			}
			continue
		}
		arg, expr, err := argument(v, &col.Type)
		if err != nil {
			return c, fmt.Errorf("bound of %s: column %s: %w", t.ID, col.Name, err)
		}
		this := strict
		if last {
			this = op
		}
		less := name + " " + this + " " + expr
		if strict == "<" && col.Nullable {
			less = "(" + less + " OR " + name + " IS NULL)"
		}
		c.args = append(c.args, arg)
		if last {
			c.sql += less
			break
		}
		c.sql += "(" + less + " OR (" + name + " = " + expr + " AND "
		c.args = append(c.args, arg)
		open += 2
	}
	c.sql += strings.Repeat(")", open)
	return c, nil
}

// compareNull compares a column with a bound that is NULL, which lies before every value.
func compareNull(name, op string, last bool) string {
	if last {
		return map[string]string{">=": "TRUE", ">": name + " IS NOT NULL", "<": "FALSE"}[op]
	}
	beyond := "FALSE"
	if op != "<" {
		beyond = name + " IS NOT NULL"
	}
	return "(" + beyond + " OR (" + name + " IS NULL AND "
}

// argument gives a key value as a driver argument and the expression that carries it without loss.
func argument(v change.Value, t *change.Type) (arg any, expr string, err error) {
	if t.Name == "enum" || t.Name == "set" { // they order by number, and compare with a number by number
		n, err := memberNumber(v.Text(), t)
		return n, "?", err
	}
	switch v.Kind() {
	case change.Int, change.Year:
		return v.Int(), "?", nil
	case change.Uint:
		return v.Uint(), "?", nil
	case change.Decimal:
		return v.Text(), fmt.Sprintf("CAST(? AS DECIMAL(%d,%d))", max(t.Precision, 1), t.Scale), nil
	case change.String:
		return v.Text(), "?", nil
	case change.Bytes:
		return []byte(v.Text()), "CAST(? AS BINARY)", nil
	case change.Date:
		return time.Unix(v.Int()*86400, 0).UTC().Format("2006-01-02"), "CAST(? AS DATE)", nil
	case change.Datetime, change.Timestamp:
		return time.UnixMicro(v.Int()).UTC().Format("2006-01-02 15:04:05.000000"), "CAST(? AS DATETIME(6))", nil
	case change.Time:
		return formatTime(v.Int()), "CAST(? AS TIME(6))", nil
	}
	return nil, "", fmt.Errorf("%s cannot bound a key range", v.Kind())
}

// memberNumber is the number behind an ENUM's member or a SET's members.
func memberNumber(text string, t *change.Type) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	if t.Name == "enum" {
		if i := slices.Index(t.Members, text); i >= 0 {
			return uint64(i) + 1, nil
		}
		return 0, fmt.Errorf("%q is not a member", text)
	}
	n := uint64(0)
	for _, m := range strings.Split(text, ",") {
		i := slices.Index(t.Members, m)
		if i < 0 {
			return 0, fmt.Errorf("%q is not a member", m)
		}
		n |= 1 << i
	}
	return n, nil
}

func formatTime(us int64) string {
	sign := ""
	if us < 0 {
		sign, us = "-", -us
	}
	return fmt.Sprintf("%s%02d:%02d:%02d.%06d", sign, us/3600e6, us/60e6%60, us/1e6%60, us%1e6)
}

// rangeCondition is the WHERE of a half-open range over a prefix of the key columns.
func rangeCondition(t *change.Table, r change.KeyRange) (condition, error) {
	var parts []string
	var c condition
	add := func(k change.Key, op string) error {
		values, err := decodeBound(t, k)
		if err != nil {
			return err
		}
		if len(values) == 0 { // the empty key lies before every key
			if op == "<" {
				parts = append(parts, "FALSE")
			}
			return nil
		}
		p, err := compareRow(t, values, op)
		if err != nil {
			return err
		}
		parts, c.args = append(parts, p.sql), append(c.args, p.args...)
		return nil
	}
	if r.HasLo {
		if err := add(r.Lo, ">="); err != nil {
			return c, err
		}
	}
	if r.HasHi {
		if err := add(r.Hi, "<"); err != nil {
			return c, err
		}
	}
	c.sql = "TRUE"
	if len(parts) > 0 {
		c.sql = strings.Join(parts, " AND ")
	}
	return c, nil
}

// decodeBound decodes as many whole key columns as the bound holds.
func decodeBound(t *change.Table, k change.Key) (change.Row, error) {
	types := t.KeyTypes()
	var row change.Row
	for len(k) > 0 {
		if len(row) == len(types) {
			return nil, fmt.Errorf("bound of %s: more values than the key's %d columns", t.ID, len(types))
		}
		v, rest, err := change.DecodeKeyPrefix(k, types[len(row):len(row)+1])
		if err != nil {
			return nil, fmt.Errorf("bound of %s: %w", t.ID, err)
		}
		row, k = append(row, v[0]), rest
	}
	return row, nil
}

// orderBy lists the first n key columns.
func orderBy(t *change.Table, n int) string {
	names := make([]string, n)
	for i := range n {
		names[i] = quote(t.Columns[t.Key[i]].Name)
	}
	return strings.Join(names, ", ")
}
