package rewrite

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// groups are the expressions of GROUP BY while the select list is translated.
type groups struct {
	sql []string
	// inside counts the aggregates around the expression being translated.
	inside int
}

// representative stands for a grouped text: the group's rows may spell it differently.
func (g *groups) representative(e typed) typed {
	if g == nil || g.inside > 0 || !e.typ.IsText() {
		return e
	}
	for _, s := range g.sql {
		if s == e.sql {
			e.sql = fmt.Sprintf(`min(%s COLLATE "C")`, e.sql)
			return e
		}
	}
	return e
}

// value translates an expression that is no predicate.
func (b *binder) value(x tsql.Expr) (typed, error) {
	e, err := b.scalar(x)
	if err != nil {
		return typed{}, err
	}
	return b.groups.representative(e), nil
}

func (b *binder) scalar(x tsql.Expr) (typed, error) {
	switch x := x.(type) {
	case *tsql.Number:
		return number(x.Text)
	case *tsql.String:
		return text(x)
	case *tsql.Hex:
		return typed{sql: fmt.Sprintf(`'\x%s'::bytea`, x.Digits), typ: datatype.Type{Kind: datatype.VarBinary, Length: max(1, len(x.Digits)/2)}}, nil
	case *tsql.NullLiteral:
		return typed{sql: "NULL", nullable: true}, nil
	case *tsql.Column:
		src, c, err := b.find(x)
		if err != nil {
			return typed{}, err
		}
		return typed{sql: src.sql + "." + Ident(c.Name), typ: c.Type, nullable: c.Nullable, strength: implicit, name: c.Name}, nil
	case *tsql.Variable:
		return b.variable(x.Name)
	case *tsql.SystemVariable:
		return b.systemVariable(x.Name)
	case *tsql.Unary:
		return b.unary(x)
	case *tsql.Binary:
		return b.binary(x)
	case *tsql.Call:
		return b.call(x)
	case *tsql.Cast:
		return b.cast(x)
	case *tsql.Case:
		return b.caseOf(x)
	case *tsql.Collate:
		e, err := b.value(x.X)
		if err != nil {
			return e, err
		}
		if !e.typ.IsText() {
			return e, fail(447, "Expression type %s is invalid for COLLATE clause.", e.typ.Kind)
		}
		if !e.typ.IsUnicode() && x.Collation.UTF8() != e.typ.Collation.UTF8() {
			return e, refuse("COLLATE between UTF-8 and other varchar")
		}
		e.typ.Collation, e.strength, e.hexOf = x.Collation, explicit, ""
		return e, nil
	case *tsql.Subquery:
		q, err := b.inner(x.Query, queryUse{})
		if err != nil {
			return typed{}, err
		}
		if len(q.columns) != 1 {
			return typed{}, fail(116, "Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.")
		}
		return typed{sql: "(" + q.sql + ")", typ: q.columns[0].Type, nullable: true, strength: implicit}, nil
	}
	return typed{}, fail(102, "Incorrect syntax: a predicate stands where a value is expected.")
}

// number types a literal as SQL Server does: int, beyond it decimal, with an exponent float.
func number(text string) (typed, error) {
	if strings.ContainsAny(text, "eE") {
		return typed{sql: text + "::float8", typ: datatype.Simple(datatype.Float)}, nil
	}
	whole, fraction, dotted := strings.Cut(text, ".")
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	n, ok := new(big.Int).SetString(whole, 10)
	if !ok {
		return typed{}, refuse("the number %s", text)
	}
	if !dotted && n.IsInt64() && n.Int64() <= 1<<31-1 {
		return typed{sql: whole + "::int4", typ: datatype.Simple(datatype.Int)}, nil
	}
	digits := len(whole) + len(fraction)
	if whole == "0" && fraction != "" {
		digits = len(fraction)
	}
	if digits > 38 {
		return typed{}, fail(1007, "The number '%s' is out of the range for numeric representation (maximum precision 38).", text)
	}
	t := datatype.Type{Kind: datatype.Decimal, Precision: digits, Scale: len(fraction)}
	return typed{sql: fmt.Sprintf("%s.%s::%s", whole, fraction, t.Postgres()), typ: t}, nil
}

func text(x *tsql.String) (typed, error) {
	kind, limit := datatype.VarChar, 8000
	n := len(x.Text)
	if x.National {
		kind, limit = datatype.NVarChar, 4000
		n = units(x.Text)
	} else if strings.ContainsFunc(x.Text, func(r rune) bool { return r > 0x7e }) {
		return typed{}, refuse("text beyond ASCII in a literal without N")
	}
	s, ok := datatype.Store(x.Text)
	if !ok {
		return typed{}, refuse("the text of a literal: it holds U+FFFF")
	}
	t := datatype.Type{Kind: kind, Length: max(1, n)}
	if n > limit {
		t.Length = datatype.Max
	}
	return typed{sql: Literal(s) + "::text", typ: t}, nil
}

func units(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xffff {
			n++
		}
	}
	return n
}

// systemVariable gives the few @@variables that the double knows.
func (b *binder) systemVariable(name string) (typed, error) {
	integer := func(n int64, k datatype.Kind) (typed, error) {
		t := datatype.Simple(k)
		return typed{sql: fmt.Sprintf("%d::%s", n, t.Postgres()), typ: t}, nil
	}
	switch name {
	case "rowcount":
		return integer(b.State.RowCount, datatype.Int)
	case "trancount":
		return integer(int64(b.State.TranCount), datatype.Int)
	case "spid":
		return integer(int64(b.State.SPID), datatype.SmallInt)
	case "version":
		return typed{sql: Literal(Version), typ: datatype.NVar(300)}, nil
	}
	return typed{}, refuse("@@%s", strings.ToUpper(name))
}

// Version is what @@VERSION says: the truth.
const Version = "Microsoft SQL Server 2022 protocol double (RTM) - 16.0.4236.2, statements executed by PostgreSQL"

func (b *binder) unary(x *tsql.Unary) (typed, error) {
	e, err := b.value(x.X)
	if err != nil {
		return e, err
	}
	if e.typ.Kind == datatype.Null {
		return e, nil
	}
	if !e.typ.IsNumber() || e.typ.Kind == datatype.Bit || x.Op == "~" {
		return e, refuse("the operator %s on %s", x.Op, e.typ)
	}
	if x.Op == "-" && e.typ.Kind == datatype.TinyInt {
		if e, err = b.convert(e, datatype.Simple(datatype.SmallInt), casting); err != nil {
			return e, err
		}
	}
	e.sql, e.name = fmt.Sprintf("(%s%s)", x.Op, e.sql), ""
	return e, nil
}

func (b *binder) binary(x *tsql.Binary) (typed, error) {
	l, err := b.value(x.L)
	if err != nil {
		return l, err
	}
	r, err := b.value(x.R)
	if err != nil {
		return r, err
	}
	if l.typ.IsText() && r.typ.IsText() {
		if x.Op != "+" {
			return l, fail(8117, "Operand data type %s is invalid for operator %s.", l.typ.Kind, x.Op)
		}
		return b.concatenate(l, r)
	}
	if x.Op == "+" && l.typ.IsBinary() && r.typ.IsBinary() {
		t := datatype.Type{Kind: datatype.VarBinary, Length: sumLength(l.typ.Length, r.typ.Length, 8000)}
		return typed{sql: fmt.Sprintf("(%s || %s)", l.sql, r.sql), typ: t, nullable: l.nullable || r.nullable}, nil
	}
	t, err := arithmeticType(x.Op, l.typ, r.typ)
	if err != nil {
		return l, err
	}
	operand := t
	if t.Kind == datatype.TinyInt {
		operand = datatype.Simple(datatype.SmallInt)
	}
	for _, e := range []*typed{&l, &r} {
		if t.Kind == datatype.Decimal {
			if e.typ.Kind == datatype.Null {
				e.sql = "NULL::numeric"
			}
			continue
		}
		if *e, err = b.convert(*e, operand, casting); err != nil {
			return l, err
		}
	}
	out := typed{sql: fmt.Sprintf("(%s %s %s)", l.sql, x.Op, r.sql), typ: t, nullable: l.nullable || r.nullable}
	switch t.Kind {
	case datatype.TinyInt:
		out.sql = fmt.Sprintf("tds.to_tinyint(%s::int8)", out.sql)
	case datatype.Decimal:
		out.sql = fmt.Sprintf("%s::%s", out.sql, t.Postgres())
	}
	return out, nil
}

// arithmeticType is the type of an operation, after T-SQL's precedence and its rules for decimals.
func arithmeticType(op string, l, r datatype.Type) (datatype.Type, error) {
	if l.Kind == datatype.Null {
		l = r
	}
	if r.Kind == datatype.Null {
		r = l
	}
	number := func(t datatype.Type) bool { return t.IsNumber() && t.Kind != datatype.Bit }
	if op == "&" || op == "|" || op == "^" {
		if l.Kind == r.Kind && (l.Kind == datatype.Int || l.Kind == datatype.BigInt) && op != "^" {
			return l, nil
		}
		return l, refuse("the operator %s on %s and %s", op, l, r)
	}
	if !number(l) || !number(r) {
		return l, refuse("the operator %s on %s and %s", op, l, r)
	}
	t := stronger(l, r)
	if t.Kind == datatype.Float || t.Kind == datatype.Real {
		if op == "%" {
			return t, fail(8117, "Operand data type %s is invalid for modulo operator.", t.Kind)
		}
		return t, nil
	}
	if t.Kind != datatype.Decimal {
		return t, nil
	}
	a, c := asDecimal(l), asDecimal(r)
	switch op {
	case "+", "-":
		t.Scale = max(a.Scale, c.Scale)
		t.Precision = max(a.Precision-a.Scale, c.Precision-c.Scale) + t.Scale + 1
	case "*":
		t.Scale, t.Precision = a.Scale+c.Scale, a.Precision+c.Precision+1
	default:
		return t, refuse("the operator %s on %s and %s", op, l, r)
	}
	if t.Precision > 38 {
		return t, refuse("a %s of %s and %s, whose result exceeds 38 digits and would lose some", op, l, r)
	}
	return t, nil
}

// asDecimal is the decimal that holds every value of a number type.
func asDecimal(t datatype.Type) datatype.Type {
	digits := map[datatype.Kind]int{datatype.Bit: 1, datatype.TinyInt: 3, datatype.SmallInt: 5, datatype.Int: 10, datatype.BigInt: 19}
	if n, ok := digits[t.Kind]; ok {
		return datatype.Type{Kind: datatype.Decimal, Precision: n}
	}
	return t
}

func sumLength(a, b, limit int) int {
	if a == datatype.Max || b == datatype.Max {
		return datatype.Max
	}
	return min(a+b, limit)
}

func (b *binder) concatenate(l, r typed) (typed, error) {
	t, strength, err := collate(l, r)
	if err != nil {
		return l, err
	}
	kind, limit := datatype.VarChar, 8000
	if l.typ.IsUnicode() || r.typ.IsUnicode() {
		kind, limit = datatype.NVarChar, 4000
	}
	out := typed{
		sql:      fmt.Sprintf("(%s || %s)", l.sql, r.sql),
		typ:      datatype.Type{Kind: kind, Length: sumLength(l.typ.Length, r.typ.Length, limit), Collation: t},
		nullable: l.nullable || r.nullable, strength: strength,
	}
	if out.typ.Length == limit {
		out.sql = fmt.Sprintf("tds.cut_units(%s, %d)", out.sql, limit)
	}
	return out, nil
}

// collate finds the collation in which two texts meet.
func collate(l, r typed) (datatype.Collation, strength, error) {
	switch {
	case l.strength > r.strength:
		return l.typ.Collation, l.strength, nil
	case r.strength > l.strength:
		return r.typ.Collation, r.strength, nil
	case l.typ.Collation == r.typ.Collation:
		return l.typ.Collation, l.strength, nil
	case l.strength == coercible:
		return datatype.DefaultCollation, coercible, nil
	}
	return 0, 0, fail(468, "Cannot resolve the collation conflict between \"%s\" and \"%s\" in the equal to operation.", r.typ.Collation, l.typ.Collation)
}

// order of types in T-SQL, the weaker first.
var precedence = []datatype.Kind{
	datatype.Null, datatype.Binary, datatype.VarBinary, datatype.Char, datatype.VarChar, datatype.NChar, datatype.NVarChar,
	datatype.UniqueIdentifier, datatype.Bit, datatype.TinyInt, datatype.SmallInt, datatype.Int, datatype.BigInt,
	datatype.Decimal, datatype.Real, datatype.Float, datatype.Time, datatype.Date, datatype.DateTime2, datatype.DateTimeOffset,
}

func rank(k datatype.Kind) int {
	for i, p := range precedence {
		if p == k {
			return i
		}
	}
	return -1
}

// stronger is the type of two that a meeting of them has; sizes are made large enough for both.
func stronger(l, r datatype.Type) datatype.Type {
	if rank(l.Kind) < rank(r.Kind) {
		l, r = r, l
	}
	if r.Kind == datatype.Null {
		return l
	}
	switch {
	case l.Kind == datatype.Decimal && r.IsNumber():
		r = asDecimal(r)
		scale := max(l.Scale, r.Scale)
		l.Precision = min(38, max(l.Precision-l.Scale, r.Precision-r.Scale)+scale)
		l.Scale = min(scale, l.Precision)
	case l.IsText() && r.IsText() || l.IsBinary() && r.IsBinary():
		if l.Length == datatype.Max || r.Length == datatype.Max {
			l.Length = datatype.Max
		} else {
			l.Length = max(l.Length, r.Length)
		}
		if l.IsUnicode() && l.Length > 4000 {
			l.Length = datatype.Max
		}
	case l.IsTemporal() && r.IsTemporal():
		l.Scale = max(l.Scale, r.Scale)
	}
	return l
}
