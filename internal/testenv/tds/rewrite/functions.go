package rewrite

import (
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// function translates a call whose arguments are translated.
type function struct {
	least, most int
	make        func(b *binder, args []typed) (typed, error)
}

// call translates a function.
func (b *binder) call(x *tsql.Call) (typed, error) {
	if x.Over != nil {
		return b.windowed(x)
	}
	if aggregates[x.Name] {
		return b.aggregate(x)
	}
	if x.Distinct || x.Star || x.Within != nil {
		return typed{}, refuse("%s with DISTINCT, * or WITHIN GROUP", strings.ToUpper(x.Name))
	}
	if e, ok, err := b.metadata(x); ok || err != nil {
		return e, err
	}
	if x.Name == "iif" && len(x.Args) == 3 {
		return b.caseOf(&tsql.Case{Whens: []tsql.When{{If: x.Args[0], Then: x.Args[1]}}, Else: x.Args[2]})
	}
	if x.Name == "nullif" && len(x.Args) == 2 {
		return b.nullIf(x)
	}
	if x.Name == "datediff" && len(x.Args) == 3 {
		return b.dateDiff(x)
	}
	f, ok := functions()[x.Name]
	if !ok {
		return typed{}, refuse("the function %s", strings.ToUpper(x.Name))
	}
	if len(x.Args) < f.least || len(x.Args) > f.most {
		return typed{}, fail(174, "The %s function requires %d argument(s).", x.Name, f.least)
	}
	var args []typed
	for _, a := range x.Args {
		e, err := b.value(a)
		if err != nil {
			return typed{}, err
		}
		args = append(args, e)
	}
	out, err := f.make(b, args)
	out.name, out.hexOf = "", ""
	return out, err
}

const many = 254

// functions are those whose result depends on their arguments alone.
func functions() map[string]function {
	return map[string]function{
		"coalesce": {2, many, func(b *binder, a []typed) (typed, error) {
			out, err := b.unify(a)
			nullable := true
			for _, e := range a {
				nullable = nullable && e.nullable
			}
			out.sql, out.nullable = "COALESCE("+joined(a)+")", nullable
			return out, err
		}},
		"isnull":     {2, 2, isNull},
		"concat":     {2, many, concat},
		"concat_ws":  {3, many, concatWith},
		"len":        {1, 1, textLength},
		"datalength": {1, 1, dataLength},
		"upper":      {1, 1, textFunction("upper(%s COLLATE \"und-x-icu\")")},
		"lower":      {1, 1, textFunction("lower(%s COLLATE \"und-x-icu\")")},
		"ltrim":      {1, 1, textFunction("ltrim(%s, ' ')")},
		"rtrim":      {1, 1, textFunction("rtrim(%s, ' ')")},
		"trim":       {1, 1, textFunction("btrim(%s, ' ')")},
		"quotename":  {1, 1, quoteName},
		"replace":    {3, 3, replace},
		"substring":  {3, 3, substring},
		"left": {2, 2, func(b *binder, a []typed) (typed, error) {
			return substring(b, []typed{a[0], {sql: "1", typ: datatype.Simple(datatype.Int)}, a[1]})
		}},
		"hashbytes":         {2, 2, hashBytes},
		"abs":               {1, 1, absolute},
		"sysutcdatetime":    {0, 0, constant("(statement_timestamp() AT TIME ZONE 'UTC')", datatype.Type{Kind: datatype.DateTime2, Scale: 7})},
		"sysdatetime":       {0, 0, constant("(statement_timestamp() AT TIME ZONE 'UTC')", datatype.Type{Kind: datatype.DateTime2, Scale: 7})},
		"sysdatetimeoffset": {0, 0, constant("statement_timestamp()", datatype.Type{Kind: datatype.DateTimeOffset, Scale: 7})},
		"newid":             {0, 0, constant("gen_random_uuid()", datatype.Simple(datatype.UniqueIdentifier))},
	}
}

func joined(a []typed) string {
	var parts []string
	for _, e := range a {
		parts = append(parts, e.sql)
	}
	return strings.Join(parts, ", ")
}

func constant(sql string, t datatype.Type) func(*binder, []typed) (typed, error) {
	return func(*binder, []typed) (typed, error) { return typed{sql: sql, typ: t}, nil }
}

// isNull has the type of its first argument.
func isNull(b *binder, a []typed) (typed, error) {
	t := a[0].typ
	if t.Kind == datatype.Null {
		t = a[1].typ
	}
	first, err := b.convert(a[0], t, casting)
	if err != nil {
		return first, err
	}
	second, err := b.convert(a[1], t, casting)
	first.sql = fmt.Sprintf("COALESCE(%s, %s)", first.sql, second.sql)
	first.nullable = second.nullable
	return first, err
}

func (b *binder) nullIf(x *tsql.Call) (typed, error) {
	p, err := b.compare("=", x.Args[0], x.Args[1])
	if err != nil {
		return typed{}, err
	}
	e, err := b.value(x.Args[0])
	if e.typ.Kind == datatype.Null {
		return e, fail(4151, "The type of the first argument to NULLIF cannot be the NULL constant because the type of the first argument has to be known.")
	}
	e.sql, e.nullable, e.name = fmt.Sprintf("CASE WHEN %s THEN NULL ELSE %s END", p, e.sql), true, ""
	e.sql = "(" + e.sql + ")"
	return e, err
}

// asText converts an argument as CONCAT does.
func asText(b *binder, e typed) (typed, error) {
	if e.typ.IsText() {
		return e, nil
	}
	if e.typ.Kind == datatype.Real || e.typ.Kind == datatype.Float || e.typ.IsBinary() {
		return e, refuse("the conversion of %s to text", e.typ)
	}
	return b.convert(e, datatype.Type{Kind: datatype.VarChar, Length: 48}, casting)
}

func concat(b *binder, a []typed) (typed, error) {
	out := typed{sql: "''", typ: datatype.Type{Kind: datatype.VarChar, Length: 1}}
	for i, e := range a {
		e, err := asText(b, e)
		if err != nil {
			return out, err
		}
		e.sql = fmt.Sprintf("COALESCE(%s, '')", e.sql)
		if i == 0 {
			out = e
			continue
		}
		if out, err = b.concatenate(out, e); err != nil {
			return out, err
		}
	}
	out.nullable = false
	return out, nil
}

func concatWith(b *binder, a []typed) (typed, error) {
	separator, err := asText(b, a[0])
	if err != nil {
		return separator, err
	}
	out := separator
	parts := []string{fmt.Sprintf("COALESCE(%s, '')", separator.sql)}
	for _, e := range a[1:] {
		if e, err = asText(b, e); err != nil {
			return out, err
		}
		if out, err = b.concatenate(out, e); err != nil {
			return out, err
		}
		parts = append(parts, e.sql)
	}
	limit := 8000
	if out.typ.IsUnicode() {
		limit = 4000
	}
	if out.typ.Length != datatype.Max {
		out.typ.Length = limit
	}
	out.sql, out.nullable = fmt.Sprintf("concat_ws(%s)", strings.Join(parts, ", ")), false
	if out.typ.Length != datatype.Max {
		out.sql = fmt.Sprintf("tds.cut_units(%s, %d)", out.sql, limit)
	}
	return out, nil
}

// textLength counts UTF-16 units without trailing spaces.
func textLength(b *binder, a []typed) (typed, error) {
	e, err := asText(b, a[0])
	t := datatype.Simple(datatype.Int)
	sql := fmt.Sprintf("tds.units(rtrim(%s, ' '))", e.sql)
	if e.typ.Length == datatype.Max {
		t, sql = datatype.Simple(datatype.BigInt), sql+"::int8"
	}
	return typed{sql: sql, typ: t, nullable: e.nullable}, err
}

func dataLength(_ *binder, a []typed) (typed, error) {
	e := a[0]
	out := typed{typ: datatype.Simple(datatype.Int), nullable: e.nullable}
	switch {
	case e.typ.IsUnicode():
		out.sql = fmt.Sprintf("(2 * tds.units(%s))", e.sql)
	case e.typ.IsText() || e.typ.IsBinary():
		out.sql = fmt.Sprintf("octet_length(%s)", e.sql)
	case e.typ.IsInteger():
		size := map[datatype.Kind]int{datatype.Bit: 1, datatype.TinyInt: 1, datatype.SmallInt: 2, datatype.Int: 4, datatype.BigInt: 8}[e.typ.Kind]
		out.sql = fmt.Sprintf("CASE WHEN %s IS NOT NULL THEN %d END", e.sql, size)
	default:
		return out, refuse("DATALENGTH of %s", e.typ)
	}
	if e.typ.Length == datatype.Max {
		out.typ, out.sql = datatype.Simple(datatype.BigInt), out.sql+"::int8"
	}
	return out, nil
}

// textFunction makes a function from text to text of the same length or less.
func textFunction(format string) func(*binder, []typed) (typed, error) {
	return func(_ *binder, a []typed) (typed, error) {
		if !a[0].typ.IsText() {
			return a[0], refuse("a text function on %s", a[0].typ)
		}
		a[0].sql = fmt.Sprintf(format, a[0].sql)
		return a[0], nil
	}
}

// quoteName quotes a name; SQL Server returns NULL for what is too long to be one.
func quoteName(_ *binder, a []typed) (typed, error) {
	if !a[0].typ.IsText() {
		return a[0], refuse("QUOTENAME of %s", a[0].typ)
	}
	x := a[0].sql
	a[0].sql = fmt.Sprintf("CASE WHEN tds.units(%s) <= 128 THEN '[' || replace(%s, ']', ']]') || ']' END", x, x)
	a[0].typ.Kind, a[0].typ.Length, a[0].nullable = datatype.NVarChar, 258, true
	return a[0], nil
}

func replace(_ *binder, a []typed) (typed, error) {
	for _, e := range a {
		if !e.typ.IsText() {
			return e, refuse("REPLACE on %s", e.typ)
		}
	}
	out := a[0]
	if !out.typ.Collation.Binary() {
		return out, refuse("REPLACE under a collation that ignores case")
	}
	out.sql = fmt.Sprintf("replace(%s)", joined(a))
	if out.typ.IsUnicode() {
		out.typ.Length = datatype.Max
	}
	return out, nil
}

func substring(b *binder, a []typed) (typed, error) {
	out := a[0]
	for i := 1; i < 3; i++ {
		e, err := b.convert(a[i], datatype.Simple(datatype.Int), casting)
		if err != nil {
			return out, err
		}
		a[i] = e
	}
	switch {
	case out.typ.IsBinary():
		out.sql = fmt.Sprintf("substr(%s)", joined(a))
		out.typ.Kind = datatype.VarBinary
	case out.typ.IsText():
		out.sql = fmt.Sprintf("tds.substring(%s)", joined(a))
	default:
		return out, fail(8116, "Argument data type %s is invalid for argument 1 of substring function.", out.typ.Kind)
	}
	return out, nil
}

// hashBytes hashes the bytes that SQL Server stores: UTF-16 of nvarchar.
func hashBytes(b *binder, a []typed) (typed, error) {
	name := strings.ToUpper(strings.Trim(strings.TrimSuffix(a[0].sql, "::text"), "'"))
	sizes := map[string]struct {
		function string
		size     int
	}{"SHA2_256": {"sha256", 32}, "SHA2_512": {"sha512", 64}}
	h, ok := sizes[name]
	if !ok {
		return a[0], refuse("HASHBYTES with %s", a[0].sql)
	}
	e, err := b.convert(a[1], datatype.Type{Kind: datatype.VarBinary, Length: datatype.Max}, casting)
	e.sql = fmt.Sprintf("%s(%s)", h.function, e.sql)
	e.typ.Length = h.size
	return e, err
}

func absolute(_ *binder, a []typed) (typed, error) {
	if !a[0].typ.IsNumber() || a[0].typ.Kind == datatype.Bit {
		return a[0], refuse("ABS of %s", a[0].typ)
	}
	a[0].sql = fmt.Sprintf("abs(%s)", a[0].sql)
	return a[0], nil
}
