package view

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"

	"github.com/etlsandbox/cdc/schemas/change"
)

// arithmetic operators; their values are their SQL spelling.
const (
	opAdd = "+"
	opSub = "-"
	opMul = "*"
	opDiv = "/"
	opInt = "DIV"
	opMod = "%"
)

// RangeError says that a result does not fit its type; the servers refuse the whole statement then.
type RangeError struct{ Expr, Type string }

// Error names the type and the expression, as the servers do.
func (e *RangeError) Error() string {
	return fmt.Sprintf("%s value is out of range in %s", e.Type, e.Expr)
}

// newArith types l op r.
func newArith(op string, l, r node) (node, error) {
	a, b := l.info(), r.info()
	for _, n := range []node{l, r} {
		i := n.info()
		if i.quotient || i.negativeZero && !(op == opAdd && b.isLit) {
			return nil, whole(n)
		}
		if !i.isNumber() {
			return nil, refuse(numberWayOut(i), "%s is not a number: arithmetic with an implicit conversion is not supported", describe(n))
		}
	}
	if (a.unsure || b.unsure) && op != opDiv && (op == opSub || !a.isNatural() || !b.isNatural()) {
		return nil, refuse("CAST it first: CAST(YEAR(x) AS SIGNED)",
			"YEAR is unsigned on MySQL and signed on MariaDB, and the result of %s %s %s may be negative", l, op, r)
	}
	text := fmt.Sprintf("(%s %s %s)", l, op, r)
	out := base{text: text, null: a.null || b.null || op == opDiv || op == opInt || op == opMod, der: derNumeric}
	switch {
	case a.class == classDouble || b.class == classDouble:
		if op == opInt || op == opMod {
			return nil, refuse("CAST the operands to DECIMAL", "%s of floating point numbers is not supported", op)
		}
		out.class, out.typ = classDouble, change.Type{Kind: change.Double, Name: "double"}
		return &doubleArith{out, op, l, r}, nil
	case op == opSub && a.isUnsigned() && b.isUnsigned() && (a.class == classDecimal || b.class == classDecimal):
		return nil, refuse("CAST one to DECIMAL(p,s)", "MySQL takes the difference of two unsigned decimals for unsigned")
	case op == opInt || op != opDiv && a.class != classDecimal && b.class != classDecimal:
		unsigned := a.isUnsigned() || op != opMod && b.isUnsigned()
		out.class, out.typ, out.digits = classInt, typeInt, 20
		out.mixed = a.mixed || b.mixed
		out.negativeZero = op == opMod && out.mixed && !a.isNatural() // a DECIMAL on MariaDB
		out.unsure, out.natural = a.unsure || b.unsure, op != opSub && a.isNatural() && b.isNatural()
		if unsigned {
			out.class, out.typ = classUint, typeUint
		}
		return &intArith{out, op, l, r, a.class == classDecimal || b.class == classDecimal}, nil
	}
	return newDecArith(op, l, r, out)
}

func (b *base) isUnsigned() bool { return b.unsigned || b.class == classUint }

// isNatural reports whether a number cannot be negative.
func (b *base) isNatural() bool { return b.natural || b.class == classUint }

func numberWayOut(i *base) string {
	switch {
	case i.isText() || i.class == classBytes:
		return "store numbers in a numeric column"
	case i.class == classNull:
		return "leave the NULL out"
	}
	return "select the parts as columns of their own and compute where the row is read"
}

func newDecArith(op string, l, r node, out base) (node, error) {
	a, b := l.info(), r.info()
	s1, s2 := a.typ.Scale, b.typ.Scale
	scale := max(s1, s2)
	digits := max(a.digits, b.digits)
	switch op {
	case opAdd, opSub:
		digits++
	case opMul:
		digits, scale = a.digits+b.digits, s1+s2
	case opDiv:
		digits, scale = a.digits+s2, s1+divIncrement
		out.quotient, out.loose = true, true
	}
	if scale > maxDecimalScale || digits+scale > maxDecimalDigits {
		return nil, refuse("CAST the operands to a smaller DECIMAL(p,s)",
			"%s needs up to %d digits, %d of them after the point: the servers have %d and %d",
			out.text, digits+scale, scale, maxDecimalDigits, maxDecimalScale)
	}
	out.class, out.typ, out.digits = classDecimal, typeDecimal(digits, scale), digits
	out.unsigned = a.isUnsigned() && b.isUnsigned()
	out.negativeZero = op == opMod && a.class != classUint
	out.loose = out.loose || a.loose || b.loose
	return &decArith{out, op, l, r}, nil
}

// both evaluates two operands; ok is false when one is NULL.
func both(l, r node, t Tuple) (a, b change.Value, ok bool, err error) {
	if a, err = l.Eval(t); err != nil || a.IsNull() {
		return a, b, false, err
	}
	b, err = r.Eval(t)
	return a, b, err == nil && !b.IsNull(), err
}

type doubleArith struct {
	base
	op   string
	l, r node
}

func toDouble(v change.Value) float64 {
	switch v.Kind() {
	case change.Int:
		return float64(v.Int())
	case change.Uint:
		return float64(v.Uint())
	case change.Decimal:
		return parseDec(v.Text()).double()
	}
	return v.Double()
}

// Eval computes in IEEE doubles; what is not finite is out of range, as on the servers.
func (e *doubleArith) Eval(t Tuple) (change.Value, error) {
	a, b, ok, err := both(e.l, e.r, t)
	if !ok {
		return change.Value{}, err
	}
	x, y := toDouble(a), toDouble(b)
	switch e.op {
	case opAdd:
		x += y
	case opSub:
		x -= y
	case opMul:
		x *= y
	case opDiv:
		if y == 0 {
			return change.Value{}, nil
		}
		x /= y
	}
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return change.Value{}, &RangeError{e.text, "DOUBLE"}
	}
	return change.DoubleValue(x), nil
}

type decArith struct {
	base
	op   string
	l, r node
}

// Eval computes exactly; a division has one digit more than its type, truncated, to be rounded away.
func (e *decArith) Eval(t Tuple) (change.Value, error) {
	a, b, ok, err := both(e.l, e.r, t)
	if !ok {
		return change.Value{}, err
	}
	x, y := toDec(a), toDec(b)
	switch e.op {
	case opAdd:
		return x.add(y).value(), nil
	case opSub:
		return x.add(y.neg()).value(), nil
	case opMul:
		return x.mul(y).value(), nil
	}
	if y.isZero() {
		return change.Value{}, nil
	}
	if e.op == opMod {
		return x.mod(y).value(), nil
	}
	return x.quo(y, e.typ.Scale+1).value(), nil
}

type intArith struct {
	base
	op   string
	l, r node
	// viaDecimal: DIV of decimals, truncated
	viaDecimal bool
}

// signed is a 64-bit magnitude with a sign: it holds every BIGINT and BIGINT UNSIGNED.
type signed struct {
	neg bool
	mag uint64
}

func toSigned(v change.Value) signed {
	if v.Kind() == change.Uint {
		return signed{mag: v.Uint()}
	}
	if n := v.Int(); n < 0 {
		return signed{true, -uint64(n)}
	}
	return signed{mag: uint64(v.Int())}
}

// Eval computes in integers; a result beyond the type is an error, as on the servers.
func (e *intArith) Eval(t Tuple) (change.Value, error) {
	if e.viaDecimal {
		a, b, ok, err := both(e.l, e.r, t)
		if !ok {
			return change.Value{}, err
		}
		x, y := toDec(a), toDec(b)
		if y.isZero() {
			return change.Value{}, nil
		}
		return e.fitDec(x.quo(y, 0))
	}
	// Both sides are evaluated, as the servers do: one out of range counts even beside a NULL.
	a, errA := e.l.Eval(t)
	b, errB := e.r.Eval(t)
	if err := cmp.Or(errA, errB); err != nil || a.IsNull() || b.IsNull() {
		return change.Value{}, err
	}
	x, y := toSigned(a), toSigned(b)
	over := false
	switch e.op {
	case opAdd:
		x, over = x.add(y)
	case opSub:
		y.neg = !y.neg
		x, over = x.add(y)
	case opMul:
		var hi uint64
		hi, x.mag = bits.Mul64(x.mag, y.mag)
		x.neg, over = x.neg != y.neg, hi != 0
	default:
		if y.mag == 0 {
			return change.Value{}, nil
		}
		if e.op == opMod {
			x.mag %= y.mag
		} else {
			x.mag, x.neg = x.mag/y.mag, x.neg != y.neg
			over = x.neg && x.mag == 1<<63 // MySQL calls it out of range
		}
	}
	return e.fit(x, over)
}

func (x signed) add(y signed) (signed, bool) {
	if x.neg == y.neg {
		sum, carry := bits.Add64(x.mag, y.mag, 0)
		return signed{x.neg, sum}, carry != 0
	}
	if x.mag >= y.mag {
		return signed{x.neg, x.mag - y.mag}, false
	}
	return signed{y.neg, y.mag - x.mag}, false
}

func (e *intArith) fit(x signed, over bool) (change.Value, error) {
	if v, ok := x.value(e.class); ok && !over {
		return v, nil
	}
	return change.Value{}, rangeError(e.class, e.text)
}

// value converts to a BIGINT or BIGINT UNSIGNED; ok is false when it does not fit.
func (x signed) value(c class) (change.Value, bool) {
	if x.mag == 0 {
		x.neg = false
	}
	switch {
	case c == classUint:
		return change.UintValue(x.mag), !x.neg
	case x.neg:
		return change.IntValue(-int64(x.mag)), x.mag <= 1<<63
	}
	return change.IntValue(int64(x.mag)), x.mag < 1<<63
}

func rangeError(c class, text string) error {
	if c == classUint {
		return &RangeError{text, "BIGINT UNSIGNED"}
	}
	return &RangeError{text, "BIGINT"}
}

func (e *intArith) fitDec(d dec) (change.Value, error) {
	v, ok := decToInt(d, e.class)
	if !ok {
		return change.Value{}, rangeError(e.class, e.text)
	}
	return v, nil
}

// decToInt converts an integral decimal.
func decToInt(d dec, c class) (change.Value, bool) {
	if d.big == nil {
		return toSigned(change.IntValue(d.small)).value(c)
	}
	if d.big.IsUint64() {
		return signed{mag: d.big.Uint64()}.value(c)
	}
	return change.Value{}, false
}

// negation is unary minus.
type negation struct {
	base
	arg node
}

func newNegation(arg node) (node, error) {
	i := arg.info()
	if !i.isNumber() {
		return nil, refuse(numberWayOut(i), "%s is not a number", describe(arg))
	}
	if err := whole(arg); err != nil {
		return nil, err
	}
	if i.isLit {
		return negativeLiteral(i)
	}
	out := *i
	out.text = "-(" + i.text + ")"
	out.lit, out.isLit, out.natural, out.unsure, out.unsigned = change.Value{}, false, false, false, false
	switch i.class {
	case classInt, classUint:
		out.typ, out.class, out.digits = typeInt, classInt, 20
	case classDouble:
		out.typ = change.Type{Kind: change.Double, Name: "double"}
	case classDecimal:
		out.typ = typeDecimal(i.digits, i.typ.Scale)
	}
	return &negation{out, arg}, nil
}

func negativeLiteral(i *base) (node, error) {
	text := "-" + i.text
	switch i.class {
	case classInt, classUint:
		x := toSigned(i.lit)
		x.neg = !x.neg
		v, ok := x.value(classInt)
		if !ok {
			return nil, refuse("write it as a decimal: "+text+".0", "%s is out of the range of BIGINT", text)
		}
		return newLiteral(v, typeInt, text), nil
	case classDecimal:
		return newLiteral(parseDec(i.lit.Text()).neg().value(), i.typ, text), nil
	}
	return newLiteral(change.DoubleValue(-i.lit.Double()), i.typ, text), nil
}

// Eval negates; the result of an integer is a signed BIGINT or out of range.
func (e *negation) Eval(t Tuple) (change.Value, error) {
	v, err := e.arg.Eval(t)
	if err != nil || v.IsNull() {
		return v, err
	}
	switch e.class {
	case classInt:
		x := toSigned(v)
		x.neg = !x.neg
		if v, ok := x.value(classInt); ok {
			return v, nil
		}
		return change.Value{}, rangeError(classInt, e.text)
	case classDecimal:
		return toDec(v).neg().value(), nil
	}
	return change.DoubleValue(-v.Double()), nil
}
