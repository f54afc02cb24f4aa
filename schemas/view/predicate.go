package view

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// comparator compares two values that are not NULL.
type comparator struct {
	kind comparisonKind
	text *collation
}

type comparisonKind uint8

const (
	cmpInteger comparisonKind = iota // Int and Uint in any mix
	cmpDecimal                       // with at least one decimal
	cmpDouble
	cmpMoment // DATE and DATETIME
	cmpPlain  // TIME, YEAR: the kind's own integer
	cmpText
)

func (c comparator) compare(a, b change.Value) int {
	switch c.kind {
	case cmpInteger:
		if a.Kind() == change.Int && b.Kind() == change.Int {
			return cmp.Compare(a.Int(), b.Int())
		}
		return toSigned(a).cmp(toSigned(b))
	case cmpDecimal:
		return toDec(a).cmp(toDec(b))
	case cmpDouble:
		return cmp.Compare(toDouble(a), toDouble(b))
	case cmpMoment:
		return cmp.Compare(moment(a), moment(b))
	case cmpText:
		return c.text.compare(a.Text(), b.Text())
	}
	return cmp.Compare(a.Int(), b.Int())
}

// like reports whether two comparators agree on values that both compare: the servers choose one for all
// members of an IN, BETWEEN or CASE.
func (c comparator) like(o comparator) bool {
	switch {
	case c.kind == cmpText && o.kind == cmpText:
		return c.text.name == o.text.name
	case c.kind <= cmpDecimal && o.kind <= cmpDecimal:
		return true
	}
	return c.kind == o.kind
}

// mixesSigns reports whether the operands are a signed number that may be negative and a BIGINT UNSIGNED:
// MySQL takes their bits for equal in IN and CASE.
func mixesSigns(a, b *base) bool {
	if a.class == classUint {
		a, b = b, a
	}
	return a.class == classInt && b.class == classUint && b.typ.Name == "bigint" && !(a.isLit && a.lit.Int() >= 0)
}

// unmixed refuses a member of IN or CASE that mixesSigns.
func unmixed(a, b node) error {
	if mixesSigns(a.info(), b.info()) {
		return refuse("write it with = and <", "MySQL does not tell signed from unsigned in IN, BETWEEN and CASE")
	}
	return nil
}

func (x signed) cmp(y signed) int {
	if x.mag == 0 && y.mag == 0 {
		return 0
	}
	if x.neg != y.neg {
		if x.neg {
			return -1
		}
		return 1
	}
	if x.neg {
		x, y = y, x
	}
	return cmp.Compare(x.mag, y.mag)
}

// comparatorOf decides how two operands compare. The operands come back as they must be evaluated:
// a text literal beside a temporal becomes a temporal literal.
func comparatorOf(l, r node) (comparator, node, node, error) {
	a, b := l.info(), r.info()
	none := comparator{}
	if a.class == classNull || b.class == classNull {
		return none, l, r, refuse("use IS NULL or IS NOT NULL", "a comparison with NULL is never true")
	}
	if err := errors.Join(whole(l), whole(r)); err != nil {
		return none, l, r, err
	}
	var err error
	if l, err = temporalLiteral(l, b); err != nil {
		return none, l, r, err
	}
	if r, err = temporalLiteral(r, a); err != nil {
		return none, l, r, err
	}
	a, b = l.info(), r.info()
	switch {
	case a.class == classDouble && b.isNumber() || b.class == classDouble && a.isNumber():
		return comparator{kind: cmpDouble}, l, r, nil
	case (a.isExact() || a.class == classBit) && (b.isExact() || b.class == classBit):
		if a.class == classDecimal || b.class == classDecimal {
			return comparator{kind: cmpDecimal}, l, r, nil
		}
		return comparator{kind: cmpInteger}, l, r, nil
	case (a.class == classDate || a.class == classDatetime) && (b.class == classDate || b.class == classDatetime):
		return comparator{kind: cmpMoment}, l, r, nil
	case a.class == b.class && (a.class == classTime || a.class == classYear):
		return comparator{kind: cmpPlain}, l, r, nil
	case isYearAndLiteral(a, b) || isYearAndLiteral(b, a):
		return comparator{kind: cmpPlain}, l, r, nil
	case (a.isText() || a.class == classBytes) && (b.isText() || b.class == classBytes):
		t, err := compareText(a, b)
		if err != nil {
			return none, l, r, err
		}
		c, err := t.comparable()
		return comparator{kind: cmpText, text: c}, l, r, err
	}
	return none, l, r, refuse("CAST one side to the other's type",
		"%s and %s are not compared exactly by the servers", describe(l), describe(r))
}

// compareText merges the collations of two strings; a literal beside a binary string is taken as bytes.
func compareText(a, b *base) (textType, error) {
	x, y := textTypeOf(a), textTypeOf(b)
	switch {
	case a.class == classBytes && b.isLit:
		return x, nil
	case b.class == classBytes && a.isLit:
		return y, nil
	}
	return x.merge(y, true)
}

// isYearAndLiteral allows a YEAR beside a literal that is a year in full: two-digit ones mean other
// things on different servers.
func isYearAndLiteral(a, b *base) bool {
	return a.class == classYear && b.isLit && b.class == classInt && b.lit.Int() >= 1901 && b.lit.Int() <= 2155
}

func truth(b bool) change.Value {
	if b {
		return change.IntValue(1)
	}
	return change.IntValue(0)
}

func boolBase(text string, nullable bool) base {
	return base{typ: typeInt, class: classInt, digits: 1, natural: true, null: nullable, text: text, der: derNumeric, ascii: true}
}

// comparison is l op r.
type comparison struct {
	base
	op   string // = <> < <= > >= <=>
	by   comparator
	l, r node
}

func newComparison(op string, l, r node) (*comparison, error) {
	by, l, r, err := comparatorOf(l, r)
	if err != nil {
		return nil, err
	}
	null := op != "<=>" && (l.Nullable() || r.Nullable())
	return &comparison{boolBase("("+l.String()+" "+op+" "+r.String()+")", null), op, by, l, r}, nil
}

// Eval is NULL when an operand is, except of <=>.
func (e *comparison) Eval(t Tuple) (change.Value, error) {
	a, err := e.l.Eval(t)
	if err != nil || a.IsNull() && e.op != "<=>" {
		return change.Value{}, err
	}
	b, err := e.r.Eval(t)
	if err != nil {
		return change.Value{}, err
	}
	if a.IsNull() || b.IsNull() {
		if e.op == "<=>" {
			return truth(a.IsNull() && b.IsNull()), nil
		}
		return change.Value{}, nil
	}
	c := e.by.compare(a, b)
	switch e.op {
	case "<>":
		return truth(c != 0), nil
	case "<":
		return truth(c < 0), nil
	case "<=":
		return truth(c <= 0), nil
	case ">":
		return truth(c > 0), nil
	case ">=":
		return truth(c >= 0), nil
	}
	return truth(c == 0), nil
}

// tri is a truth value of three-valued logic.
type tri int8

const (
	isFalse tri = iota
	isTrue
	isUnknown
)

// truthOf evaluates an expression as a condition.
func truthOf(e Expr, t Tuple) (tri, error) {
	v, err := e.Eval(t)
	if err != nil {
		return isUnknown, err
	}
	set := false
	switch v.Kind() {
	case change.Null:
		return isUnknown, nil
	case change.Int:
		set = v.Int() != 0
	case change.Uint:
		set = v.Uint() != 0
	case change.Decimal:
		set = strings.Trim(v.Text(), "-0.") != ""
	default:
		set = v.Double() != 0
	}
	if set {
		return isTrue, nil
	}
	return isFalse, nil
}

// Holds reports whether a condition is true for a tuple; NULL is not true. A nil condition is true.
func Holds(e Expr, t Tuple) (bool, error) {
	if e == nil {
		return true, nil
	}
	v, err := truthOf(e, t)
	return v == isTrue, err
}

func (v tri) value() change.Value {
	if v == isUnknown {
		return change.Value{}
	}
	return truth(v == isTrue)
}

// whole refuses what the servers go on with in different ways: the digits of a division, the sign of a zero.
func whole(n node) error {
	i := n.info()
	if i.negativeZero {
		return refuse("write "+n.String()+" + 0", "MariaDB takes a negative zero of %s for less than 0", n)
	}
	if !i.quotient {
		return nil
	}
	return refuse(fmt.Sprintf("write ROUND(%s, %d)", n, i.typ.Scale),
		"MySQL and MariaDB go on with different digits of the division %s", n)
}

// condition refuses what the servers would convert to a number first.
func condition(n node) error {
	i := n.info()
	if !i.isCondition() {
		return refuse("write a comparison: "+n.String()+" <> ...", "%s is used as a condition", describe(n))
	}
	return whole(n)
}

// logic is AND, OR or XOR.
type logic struct {
	base
	op   string
	l, r node
}

func newLogic(op string, l, r node) (node, error) {
	for _, n := range []node{l, r} {
		if err := condition(n); err != nil {
			return nil, err
		}
		if c := n.info().class; op == "XOR" && c != classInt && c != classUint {
			return nil, refuse("write ("+n.String()+" <> 0)", "MySQL 5.7 takes the whole part of %s in XOR", n)
		}
	}
	return &logic{boolBase("("+l.String()+" "+op+" "+r.String()+")", l.Nullable() || r.Nullable()), op, l, r}, nil
}

// Eval follows three-valued logic; the right side is not evaluated when the left decides.
func (e *logic) Eval(t Tuple) (change.Value, error) {
	a, err := truthOf(e.l, t)
	if err != nil {
		return change.Value{}, err
	}
	decides := isFalse
	switch e.op {
	case "OR":
		decides = isTrue
	case "XOR":
		decides = isUnknown
	}
	if a == decides {
		return a.value(), nil
	}
	b, err := truthOf(e.r, t)
	if err != nil {
		return change.Value{}, err
	}
	switch {
	case b == decides:
		return b.value(), nil
	case a == isUnknown || b == isUnknown:
		return change.Value{}, nil
	case e.op == "XOR":
		return truth(a != b), nil
	}
	return b.value(), nil
}

// not is NOT x.
type not struct {
	base
	arg node
}

func newNot(arg node) (node, error) {
	if err := condition(arg); err != nil {
		return nil, err
	}
	return &not{boolBase("(NOT "+arg.String()+")", arg.Nullable()), arg}, nil
}

// Eval negates; NOT NULL is NULL.
func (e *not) Eval(t Tuple) (change.Value, error) {
	v, err := truthOf(e.arg, t)
	if err != nil || v == isUnknown {
		return change.Value{}, err
	}
	return truth(v == isFalse), nil
}

// isNull is x IS [NOT] NULL.
type isNull struct {
	base
	arg node
	not bool
}

func newIsNull(arg node, negate bool) node {
	text := "(" + arg.String() + " IS NULL)"
	if negate {
		text = "(" + arg.String() + " IS NOT NULL)"
	}
	return &isNull{boolBase(text, false), arg, negate}
}

// Eval is never NULL. What cannot be NULL is not evaluated, as the servers do not.
func (e *isNull) Eval(t Tuple) (change.Value, error) {
	if !e.arg.Nullable() {
		return truth(e.not), nil
	}
	v, err := e.arg.Eval(t)
	return truth(v.IsNull() != e.not), err
}

// isTruth is x IS [NOT] TRUE or FALSE.
type isTruth struct {
	base
	arg  node
	want tri
	not  bool
}

func newIsTruth(arg node, want, negate bool) (node, error) {
	if err := condition(arg); err != nil {
		return nil, err
	}
	e := &isTruth{arg: arg, want: isFalse, not: negate}
	text, word := " IS ", "FALSE"
	if want {
		e.want, word = isTrue, "TRUE"
	}
	if negate {
		text = " IS NOT "
	}
	e.base = boolBase("("+arg.String()+text+word+")", false)
	return e, nil
}

// Eval is never NULL.
func (e *isTruth) Eval(t Tuple) (change.Value, error) {
	v, err := truthOf(e.arg, t)
	return truth((v == e.want) != e.not), err
}
