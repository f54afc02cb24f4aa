package view

import (
	"errors"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// choice is CASE, IF, IFNULL, COALESCE and NULLIF: the result of the first condition that is true.
type choice struct {
	base
	when []node
	then []node
	// otherwise may be nil: NULL.
	otherwise node
}

// Eval evaluates conditions in order, and only the chosen result.
func (e *choice) Eval(t Tuple) (change.Value, error) {
	for i, c := range e.when {
		v, err := truthOf(c, t)
		if err != nil {
			return change.Value{}, err
		}
		if v == isTrue {
			return e.then[i].Eval(t)
		}
	}
	if e.otherwise == nil {
		return change.Value{}, nil
	}
	return e.otherwise.Eval(t)
}

// coalesce is COALESCE and IFNULL.
type coalesce struct {
	base
	args []node
}

// Eval returns the first value that is not NULL.
func (e *coalesce) Eval(t Tuple) (change.Value, error) {
	for _, n := range e.args {
		if v, err := n.Eval(t); err != nil || !v.IsNull() {
			return v, err
		}
	}
	return change.Value{}, nil
}

func newCoalesce(name string, args []node) (node, error) {
	out, args, err := unify(args)
	if err != nil {
		return nil, err
	}
	out.null = true
	for _, n := range args {
		out.null = out.null && n.Nullable()
	}
	out.text = callText(name, args)
	return &coalesce{out, args}, nil
}

func newIf(cond, yes, no node) (node, error) {
	if err := condition(cond); err != nil {
		return nil, err
	}
	text := callText("IF", []node{cond, yes, no})
	out, args, err := unify([]node{yes, no})
	if err != nil {
		return nil, err
	}
	out.text = text
	return &choice{out, []node{cond}, args[:1], args[1]}, nil
}

func newNullIf(a, b node) (node, error) {
	eq, err := newComparison("=", a, b)
	if err := errors.Join(err, plainResult(a)); err != nil {
		return nil, err
	}
	if a.info().isTemporal() {
		return nil, refuse("write CASE WHEN "+a.String()+" <> "+b.String()+" THEN "+a.String()+" END", "MySQL 5.7 takes NULLIF of a moment for text")
	}
	if eq.by.kind == cmpText && (eq.by.text.name != a.info().typ.Collation || b.info().isText() && b.info().der < a.info().der) {
		return nil, refuse("write CASE WHEN "+a.String()+" <> "+b.String()+" THEN ... END",
			"the result of NULLIF would change its collation to %s", eq.by.text.name)
	}
	out := *a.info()
	out.isLit, out.lit, out.null = false, change.Value{}, true
	out.text, out.ascii = callText("NULLIF", []node{a, b}), out.ascii && b.info().ascii
	none := newLiteral(change.NullValue(), typeNull, "NULL")
	return &choice{out, []node{eq}, []node{none}, a}, nil
}

// newCase is CASE [value] WHEN ... THEN ... [ELSE ...] END; value and otherwise may be nil.
func newCase(value node, when, then []node, otherwise node) (node, error) {
	var text strings.Builder
	text.WriteString("CASE")
	if value != nil {
		text.WriteString(" " + value.String())
	}
	conds := make([]node, len(when))
	var first comparator
	for i, w := range when {
		text.WriteString(" WHEN " + w.String() + " THEN " + then[i].String())
		if value == nil {
			if err := condition(w); err != nil {
				return nil, err
			}
			conds[i] = w
			continue
		}
		if err := unmixed(value, w); err != nil {
			return nil, err
		}
		eq, err := newComparison("=", value, w)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = eq.by
		} else if !eq.by.like(first) {
			return nil, refuse("write CASE WHEN x = ... THEN", "the values of CASE compare in different ways")
		}
		conds[i] = eq
	}
	results := then
	if otherwise != nil {
		text.WriteString(" ELSE " + otherwise.String())
		results = append(append([]node(nil), then...), otherwise)
	}
	text.WriteString(" END")
	out, results, err := unify(results)
	if err != nil {
		return nil, err
	}
	out.text = text.String()
	if otherwise == nil {
		out.null = true
		return &choice{out, conds, results, nil}, nil
	}
	n := len(then)
	return &choice{out, conds, results[:n:n], results[n]}, nil
}

// unify gives several results one type, converting each where needed.
func unify(args []node) (base, []node, error) {
	out := *args[0].info()
	if err := errors.Join(whole(args[0]), plainResult(args[0])); err != nil {
		return out, nil, err
	}
	for _, n := range args[1:] {
		if err := errors.Join(whole(n), plainResult(n)); err != nil {
			return out, nil, err
		}
		next, err := unifyTwo(&out, n.info())
		if err != nil {
			return out, nil, err
		}
		next.null = out.null || n.Nullable()
		out = next
	}
	if out.class == classNull {
		return out, nil, refuse("give it a type: CAST(NULL AS ...)", "every result is NULL")
	}
	out.isLit, out.lit = false, change.Value{}
	conv := make([]node, len(args))
	for i, n := range args {
		if out.class == classString {
			if err := textBranch(n); err != nil {
				return out, nil, err
			}
		}
		conv[i] = convertTo(n, &out)
	}
	return out, conv, nil
}

// plainResult refuses what can only be selected as it is.
func plainResult(n node) error {
	if i := n.info(); i.class >= classBit {
		return refuse("select the column as it is", "%s of type %s cannot be one of several results", i.text, i.typ.Name)
	}
	return nil
}

func textBranch(n node) error {
	if n.info().class == classNull {
		return nil
	}
	return textOperand(n)
}

// unifyTwo is the type of a result that may come from either expression.
func unifyTwo(a, b *base) (base, error) {
	switch {
	case a.class == classNull:
		return *b, nil
	case b.class == classNull:
		return *a, nil
	case a.isNumber() && b.isNumber():
		return unifyNumbers(a, b)
	case a.class == classBytes && b.class == classBytes:
		out := *a
		out.typ = typeBytes(max(a.textLength(), b.textLength()))
		return out, nil
	case a.class == classYear && b.class == classYear:
		return *a, nil
	case a.isTemporal() && b.isTemporal():
		return unifyTemporals(a, b)
	case (a.isText() || b.isText()) && a.class != classBytes && b.class != classBytes:
		return unifyText(a, b)
	}
	return *a, refuse("CAST them to one type", "%s (%s) and %s (%s) as results of one expression",
		a.text, a.class, b.text, b.class)
}

func unifyText(a, b *base) (base, error) {
	out := *a
	t, err := textTypeOf(a).merge(textTypeOf(b), false)
	out.class, out.der, out.ascii = classString, t.der, t.ascii
	out.typ = typeText(max(a.textLength(), b.textLength()), t.charset, t.collation)
	return out, err
}

func unifyTemporals(a, b *base) (base, error) {
	out := *a
	switch {
	case a.typ.Equal(b.typ):
		out.loose = a.loose || b.loose
		return out, nil
	case (a.class == classTime) != (b.class == classTime):
		return out, refuse("CAST them to one type", "a TIME and a DATE or DATETIME as results of one expression")
	case a.class == classTime:
		out.typ.Scale = max(a.typ.Scale, b.typ.Scale)
	default:
		out.class = classDatetime
		out.typ = change.Type{Kind: change.Datetime, Name: "datetime", Scale: max(a.typ.Scale, b.typ.Scale)}
	}
	out.loose = true
	return out, nil
}

func unifyNumbers(a, b *base) (base, error) {
	out := *a
	out.digits = max(a.digits, b.digits)
	out.unsigned = a.isUnsigned() && b.isUnsigned()
	out.natural, out.unsure, out.mixed = a.isNatural() && b.isNatural(), a.unsure || b.unsure, a.mixed || b.mixed
	switch {
	case a.class == classDouble || b.class == classDouble:
		if a.typ.Equal(b.typ) {
			return out, nil
		}
		if a.typ.Kind == change.Float || b.typ.Kind == change.Float {
			return out, refuse("store it as DOUBLE or DECIMAL", "a FLOAT and another number as results of one expression")
		}
		out.class, out.typ = classDouble, change.Type{Kind: change.Double, Name: "double"}
	case a.class == classDecimal || b.class == classDecimal:
		scale := max(a.typ.Scale, b.typ.Scale)
		if out.digits+scale > maxDecimalDigits {
			return out, refuse("CAST them to a smaller DECIMAL(p,s)", "the result needs %d digits", out.digits+scale)
		}
		out.loose = a.loose || b.loose || a.typ.Scale != b.typ.Scale
		out.class, out.typ = classDecimal, typeDecimal(out.digits, scale)
	case a.class == b.class:
		if !a.typ.Equal(b.typ) {
			out.typ.Name, out.typ.Length = "bigint", 0
		}
	case a.class == classUint && a.typ.Name == "bigint" || b.class == classUint && b.typ.Name == "bigint":
		return out, refuse("CAST the signed one: CAST(x AS UNSIGNED)",
			"a BIGINT UNSIGNED and a signed number are results of one expression, which MySQL 5.7 confuses")
	default:
		out.class, out.typ, out.mixed = classInt, typeInt, true
	}
	return out, nil
}

// conversion brings a value to the type that several results have together.
type conversion struct {
	base
	arg node
}

func convertTo(n node, to *base) node {
	i := n.info()
	if i.class == classNull || i.class == to.class && i.class != classDecimal && i.class != classDatetime {
		return n
	}
	out := *to
	out.text, out.null = i.text, i.null
	return &conversion{out, n}
}

// Eval converts without loss.
func (e *conversion) Eval(t Tuple) (change.Value, error) {
	v, err := e.arg.Eval(t)
	if err != nil || v.IsNull() {
		return v, err
	}
	switch e.typ.Kind {
	case change.Decimal:
		return toDec(v).rescale(e.typ.Scale).value(), nil
	case change.Double:
		return change.DoubleValue(toDouble(v)), nil
	case change.Int:
		return change.IntValue(int64(toSigned(v).wrap())), nil
	case change.Uint:
		return change.UintValue(toSigned(v).wrap()), nil
	case change.Datetime:
		return change.DatetimeValue(moment(v)), nil
	case change.String:
		if v.Kind() != change.String {
			var buf [80]byte
			return change.StringValue(string(appendValueText(buf[:0], v, e.arg.info()))), nil
		}
	}
	return v, nil
}

// wrap is the number as 64 bits of two's complement.
func (x signed) wrap() uint64 {
	if x.neg {
		return -x.mag
	}
	return x.mag
}
