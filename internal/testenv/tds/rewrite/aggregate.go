package rewrite

import (
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

var aggregates = map[string]bool{"count": true, "count_big": true, "sum": true, "min": true, "max": true, "avg": true, "string_agg": true}

func (b *binder) aggregate(x *tsql.Call) (typed, error) {
	if b.groups != nil {
		b.groups.inside++
		defer func() { b.groups.inside-- }()
	}
	if x.Name == "string_agg" {
		return b.stringAgg(x)
	}
	if x.Within != nil {
		return typed{}, refuse("%s WITHIN GROUP", strings.ToUpper(x.Name))
	}
	if x.Name == "count" || x.Name == "count_big" {
		return b.count(x)
	}
	if len(x.Args) != 1 || x.Star {
		return typed{}, fail(174, "The %s function requires 1 argument(s).", x.Name)
	}
	e, err := b.value(x.Args[0])
	if err != nil {
		return e, err
	}
	if e.typ.Kind == datatype.Bit || e.typ.Kind == datatype.Null {
		return e, fail(8117, "Operand data type %s is invalid for %s operator.", e.typ.Kind, x.Name)
	}
	e.nullable, e.name, e.hexOf = true, "", ""
	if x.Name == "min" || x.Name == "max" {
		return extreme(x.Name, e)
	}
	if !e.typ.IsNumber() {
		return e, fail(8117, "Operand data type %s is invalid for %s operator.", e.typ.Kind, x.Name)
	}
	distinct := ""
	if x.Distinct {
		distinct = "DISTINCT "
	}
	t := e.typ
	switch t.Kind {
	case datatype.TinyInt, datatype.SmallInt:
		t = datatype.Simple(datatype.Int)
	case datatype.Real:
		t = datatype.Simple(datatype.Float)
	case datatype.Decimal:
		t.Precision = 38
		if x.Name == "avg" {
			return e, refuse("AVG of %s", e.typ)
		}
	}
	sql := fmt.Sprintf("%s(%s%s)", x.Name, distinct, e.sql)
	if x.Name == "avg" && t.IsInteger() {
		sql = "trunc(" + sql + ")"
	}
	e.sql, e.typ = fmt.Sprintf("(%s)::%s", sql, t.Postgres()), t
	return e, nil
}

// extreme is MIN or MAX.
func extreme(name string, e typed) (typed, error) {
	x := e.sql
	switch {
	case e.typ.IsText() && e.typ.Collation.Binary():
		x = fmt.Sprintf(`(%s) COLLATE "C"`, x)
	case e.typ.IsText():
		x = fmt.Sprintf(`(%s) COLLATE "und-x-icu"`, x)
	case e.typ.IsBinary() || e.typ.Kind == datatype.UniqueIdentifier:
		return e, refuse("%s of %s", strings.ToUpper(name), e.typ)
	}
	e.sql = fmt.Sprintf("%s(%s)", name, x)
	return e, nil
}

func (b *binder) count(x *tsql.Call) (typed, error) {
	t := datatype.Simple(datatype.Int)
	if x.Name == "count_big" {
		t = datatype.Simple(datatype.BigInt)
	}
	arg := "*"
	if !x.Star {
		if len(x.Args) != 1 {
			return typed{}, fail(174, "The %s function requires 1 argument(s).", x.Name)
		}
		e, err := b.value(x.Args[0])
		if err != nil {
			return e, err
		}
		if e.typ.Kind == datatype.Null {
			return e, fail(8117, "Operand data type NULL is invalid for count operator.")
		}
		arg = e.sql
		if x.Distinct {
			arg = "DISTINCT " + groupKey(e)
		}
	}
	return typed{sql: fmt.Sprintf("(count(%s))::%s", arg, t.Postgres()), typ: t}, nil
}

// stringAgg keeps to the limit that SQL Server sets when the values are not (max).
func (b *binder) stringAgg(x *tsql.Call) (typed, error) {
	if len(x.Args) != 2 || x.Distinct || x.Star {
		return typed{}, fail(174, "The string_agg function requires 2 argument(s).")
	}
	e, err := b.value(x.Args[0])
	if err != nil {
		return e, err
	}
	separator, err := b.value(x.Args[1])
	if err != nil {
		return e, err
	}
	if !separator.typ.IsText() {
		return e, refuse("STRING_AGG with a separator of %s", separator.typ)
	}
	if e, err = asText(b, e); err != nil {
		return e, err
	}
	order := ""
	if len(x.Within) > 0 {
		parts, err := b.orderBy(x.Within)
		if err != nil {
			return e, err
		}
		order = " ORDER BY " + parts
	}
	e.sql = fmt.Sprintf("string_agg(%s, %s%s)", e.sql, separator.sql, order)
	e.nullable, e.name, e.hexOf = true, "", ""
	limit := 8000
	if e.typ.IsUnicode() {
		limit = 4000
	}
	if e.typ.Length != datatype.Max {
		e.typ.Length = limit
		e.sql = fmt.Sprintf("tds.aggregated(%s, %d)", e.sql, limit)
	}
	return e, nil
}

// orderBy sorts as SQL Server does: NULL is the lowest value.
func (b *binder) orderBy(items []tsql.Order) (string, error) {
	var parts []string
	for _, o := range items {
		e, err := b.value(o.X)
		if err != nil {
			return "", err
		}
		s, err := sortKey(e, o.Desc)
		if err != nil {
			return "", err
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", "), nil
}

func sortKey(e typed, desc bool) (string, error) {
	x := e.sql
	switch {
	case e.typ.IsText():
		x = orderKey(x, e.typ.Collation)
	case e.typ.Kind == datatype.UniqueIdentifier:
		return "", refuse("the order of uniqueidentifiers")
	}
	if desc {
		return x + " DESC NULLS LAST", nil
	}
	return x + " ASC NULLS FIRST", nil
}

// windowed translates ROW_NUMBER, RANK, DENSE_RANK and COUNT over a window.
func (b *binder) windowed(x *tsql.Call) (typed, error) {
	var e typed
	var err error
	switch x.Name {
	case "row_number", "rank", "dense_rank":
		if len(x.Args) > 0 || x.Star || x.Distinct {
			return e, fail(174, "The %s function requires 0 argument(s).", x.Name)
		}
		if len(x.Over.Order) == 0 {
			return e, fail(4112, "The function '%s' must have an OVER clause with ORDER BY.", x.Name)
		}
		e = typed{sql: x.Name + "()", typ: datatype.Simple(datatype.BigInt)}
	case "count", "count_big":
		if x.Distinct || len(x.Over.Order) > 0 {
			return e, refuse("%s DISTINCT or with an order OVER a window", strings.ToUpper(x.Name))
		}
		inner := *x
		inner.Over = nil
		if e, err = b.count(&inner); err != nil {
			return e, err
		}
		e.sql = strings.TrimSuffix(strings.TrimPrefix(e.sql, "("), ")::"+e.typ.Postgres())
	default:
		return e, refuse("%s OVER a window", strings.ToUpper(x.Name))
	}
	var parts []string
	if len(x.Over.Partition) > 0 {
		var keys []string
		for _, p := range x.Over.Partition {
			k, err := b.value(p)
			if err != nil {
				return e, err
			}
			keys = append(keys, groupKey(k))
		}
		parts = append(parts, "PARTITION BY "+strings.Join(keys, ", "))
	}
	if len(x.Over.Order) > 0 {
		order, err := b.windowOrder(x.Over.Order)
		if err != nil {
			return e, err
		}
		if order != "" {
			parts = append(parts, "ORDER BY "+order)
		}
	}
	e.sql = fmt.Sprintf("(%s OVER (%s))::%s", e.sql, strings.Join(parts, " "), e.typ.Postgres())
	return e, nil
}

// windowOrder leaves out ORDER BY (SELECT NULL), which says that any order will do.
func (b *binder) windowOrder(items []tsql.Order) (string, error) {
	if len(items) == 1 {
		if s, ok := items[0].X.(*tsql.Subquery); ok {
			if body, ok := s.Query.Body.(*tsql.Select); ok && len(body.From) == 0 {
				return "", nil
			}
		}
	}
	return b.orderBy(items)
}
