package view

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// cast is CAST(x AS type) where a value changes.
type cast struct {
	base
	arg node
	// length of CHAR(n) and BINARY(n); -1 for none
	length int
}

func castBase(arg node, t change.Type, name string) base {
	return base{typ: t, class: classOf(t), null: arg.Nullable(), der: derNumeric, ascii: true,
		text: "CAST(" + arg.String() + " AS " + name + ")"}
}

func newCastInt(arg node, unsigned bool) (node, error) {
	t, name := typeInt, "SIGNED"
	if unsigned {
		t, name = typeUint, "UNSIGNED"
	}
	if i := arg.info(); !i.isExact() && i.class != classBit {
		return nil, refuse(numberWayOut(i), "CAST of %s to an integer is not exact", describe(arg))
	}
	if unsigned && arg.info().class == classDecimal {
		return nil, refuse("CAST it AS SIGNED", "MySQL and MariaDB differ on CAST of a negative decimal to UNSIGNED")
	}
	if i := arg.info(); i.class == classDecimal && i.digits > 18 {
		return nil, refuse("CAST it to DECIMAL(18,0) first", "MySQL and MariaDB differ on CAST of a decimal beyond BIGINT, and %s has up to %d digits", arg, i.digits)
	}
	if err := whole(arg); err != nil {
		return nil, err
	}
	out := castBase(arg, t, name)
	out.digits = 20
	return &cast{out, arg, -1}, nil
}

func newCastDecimal(arg node, precision, scale int) (node, error) {
	if i := arg.info(); !i.isExact() {
		return nil, refuse(numberWayOut(i), "CAST of %s to DECIMAL is not exact", describe(arg))
	}
	if precision > maxDecimalDigits || scale > maxDecimalScale || scale > precision {
		return nil, refuse(fmt.Sprintf("at most DECIMAL(%d,%d)", maxDecimalDigits, maxDecimalScale), "DECIMAL(%d,%d)", precision, scale)
	}
	if i := arg.info(); i.negativeZero || i.quotient && scale != i.typ.Scale {
		return nil, whole(arg)
	}
	t := change.Type{Kind: change.Decimal, Name: "decimal", Precision: precision, Scale: scale}
	out := castBase(arg, t, fmt.Sprintf("DECIMAL(%d,%d)", precision, scale))
	out.digits = precision - scale
	return &cast{out, arg, -1}, nil
}

func newCastChar(arg node, length int) (node, error) {
	if err := textOperand(arg); err != nil {
		return nil, err
	}
	i := arg.info()
	if i.class == classBytes {
		return nil, refuse("select the bytes as they are", "CAST of a binary string to CHAR depends on its content")
	}
	name, n := "CHAR", i.textLength()
	if length >= 0 {
		name, n = fmt.Sprintf("CHAR(%d)", length), length
	}
	out := castBase(arg, typeText(n, "utf8mb4", sessionCollation), name)
	out.der, out.ascii = derCast, !i.isText() || i.ascii
	return &cast{out, arg, length}, nil
}

func newCastBinary(arg node, length int) (node, error) {
	i := arg.info()
	switch {
	case i.isText() && (strings.HasPrefix(i.typ.Charset, "utf8") || i.typ.Charset == "ascii" || i.ascii):
	case i.class == classBytes:
	default:
		return nil, refuse("CAST it to CHAR first", "CAST of %s to BINARY", describe(arg))
	}
	if length >= 0 && i.isText() {
		return nil, refuse("CAST(x AS BINARY)", "MySQL counts the length of BINARY(%d) in bytes, MariaDB in characters", length)
	}
	name, n := "BINARY", 4*i.textLength()
	if length >= 0 {
		name, n = fmt.Sprintf("BINARY(%d)", length), length
	}
	out := castBase(arg, typeBytes(n), name)
	out.der, out.ascii = derImplicit, false
	return &cast{out, arg, length}, nil
}

func newCastTemporal(arg node, name string, scale int) (node, error) {
	i := arg.info()
	if i.class != classDate && i.class != classDatetime {
		return nil, refuse("store moments in a DATE, DATETIME or TIMESTAMP column", "CAST of %s to %s", describe(arg), name)
	}
	if name == "DATE" {
		return &cast{castBase(arg, change.Type{Kind: change.Date, Name: "date"}, name), arg, -1}, nil
	}
	if scale < i.typ.Scale {
		return nil, refuse(fmt.Sprintf("CAST it to DATETIME(%d)", i.typ.Scale),
			"MySQL rounds and MariaDB cuts the fraction of %s", describe(arg))
	}
	if scale > 0 {
		name = fmt.Sprintf("DATETIME(%d)", scale)
	}
	return &cast{castBase(arg, change.Type{Kind: change.Datetime, Name: "datetime", Scale: scale}, name), arg, -1}, nil
}

// Eval converts as the servers do: integers wrap, decimals round and stop at the largest value.
func (e *cast) Eval(t Tuple) (change.Value, error) {
	v, err := e.arg.Eval(t)
	if err != nil || v.IsNull() {
		return change.Value{}, err
	}
	switch e.typ.Kind {
	case change.Int, change.Uint:
		if e.arg.info().mixed && v.Kind() != change.Decimal {
			if n, ok := toSigned(v).value(e.class); ok {
				return n, nil
			}
			return change.Value{}, rangeError(e.class, e.text)
		}
		return e.toInt(v), nil
	case change.Decimal:
		return clip(toDec(v).round(e.typ.Scale), e.typ.Precision).value(), nil
	case change.Datetime:
		return change.DatetimeValue(moment(v)), nil
	case change.Date:
		if v.Kind() == change.Date {
			return v, nil
		}
		day, _ := floorDiv(v.Int(), microsPerDay)
		return change.DateValue(day), nil
	case change.Bytes:
		s := v.Text()
		if e.length >= 0 {
			s = (s + strings.Repeat("\x00", max(0, e.length-len(s))))[:e.length]
		}
		return change.BytesValue([]byte(s)), nil
	}
	var buf [80]byte
	s := string(appendValueText(buf[:0], v, e.arg.info()))
	if e.length >= 0 {
		s = s[:runeOffset(s, e.length)]
	}
	return change.StringValue(s), nil
}

func (e *cast) toInt(v change.Value) change.Value {
	x := toSigned(v)
	if v.Kind() == change.Decimal {
		v, _ = decToInt(parseDec(v.Text()).round(0), classInt) // 18 digits fit
		x = toSigned(v)
	}
	if e.class == classUint {
		return change.UintValue(x.wrap())
	}
	return change.IntValue(int64(x.wrap()))
}

// clip keeps a decimal within its precision: beyond it is the largest number of that many digits.
func clip(d dec, precision int) dec {
	if d.digits() <= precision {
		return d
	}
	nines := new(big.Int).Sub(bigPow10(precision), big.NewInt(1))
	if d.negative() {
		nines.Neg(nines)
	}
	return bigDec(nines, d.scale)
}

// round is ROUND(x[, n]) of an exact number.
type round struct {
	base
	arg    node
	places int
}

func newRound(arg, places node) (node, error) {
	i := arg.info()
	if !i.isExact() {
		return nil, refuse(numberWayOut(i), "ROUND of %s is not exact", describe(arg))
	}
	n, text := 0, "ROUND("+arg.String()
	if places != nil {
		p := places.info()
		if !p.isLit || p.class != classInt || p.lit.Int() > maxDecimalScale || p.lit.Int() < -maxDecimalDigits {
			return nil, refuse("ROUND(x, 2)", "the places of ROUND must be a whole number written out")
		}
		n = int(p.lit.Int())
		text += ", " + places.String()
	}
	if i.negativeZero || i.quotient && n != i.typ.Scale {
		return nil, whole(arg)
	}
	if n < 0 && i.class != classDecimal && i.digits > 18 {
		return nil, refuse("CAST it to DECIMAL(18,0) first", "ROUND of %s may leave the range of BIGINT, where the servers differ", arg)
	}
	if n > 0 && i.class != classDecimal {
		return nil, refuse("leave ROUND out", "ROUND of the whole number %s to %d places: the servers differ on its type", arg, n)
	}
	out := *i
	out.text, out.isLit, out.lit, out.quotient, out.loose = text+")", false, change.Value{}, false, false
	if i.class == classDecimal {
		out.digits++
		out.typ = typeDecimal(out.digits, max(n, 0))
		out.loose = n > 0 && (n > i.typ.Scale || i.loose && !i.quotient) // MySQL does not fill up with zeros
		if out.digits+n > maxDecimalDigits {
			return nil, refuse("round to fewer places", "%s needs %d digits", out.text, out.digits+n)
		}
	} else {
		out.typ = typeInt
		if i.class == classUint {
			out.typ = typeUint
		}
		out.digits = 20
	}
	return &round{out, arg, n}, nil
}

// Eval rounds halves away from zero.
func (e *round) Eval(t Tuple) (change.Value, error) {
	v, err := e.arg.Eval(t)
	if err != nil || v.IsNull() {
		return v, err
	}
	if e.class == classDecimal {
		return toDec(v).round(e.places).rescale(e.typ.Scale).value(), nil
	}
	if e.places >= 0 {
		return v, nil
	}
	if n, ok := decToInt(toDec(v).round(e.places), e.class); ok {
		return n, nil
	}
	return change.Value{}, rangeError(e.class, e.text)
}
