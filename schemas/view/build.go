package view

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
	"github.com/pingcap/tidb/pkg/parser/test_driver"

	"github.com/etlsandbox/cdc/schemas/change"
)

// builder turns the parser's expressions into nodes.
type builder struct {
	src   string
	scope *scope
	// lo and hi bound the inputs that names may refer to.
	lo, hi int
	// signatures collects what the expressions use; allowed says which of them are proven (nil: all).
	signatures map[string]bool
	allowed    map[string]bool
}

// need notes a signature and refuses it if the golden test has not proven it.
func (b *builder) need(format string, args ...any) error {
	s := fmt.Sprintf(format, args...)
	if b.signatures != nil {
		b.signatures[s] = true
	}
	if b.allowed != nil && !b.allowed[s] {
		return refuse("CAST the operands to other types, or compute it where the row is read",
			"%s is not among what is proven equal on MySQL and MariaDB", s)
	}
	return nil
}

// build compiles an expression; a failure gets the place of the innermost expression that failed.
func (b *builder) build(e ast.ExprNode) (node, error) {
	n, err := b.expr(e)
	var f *failure
	if errors.As(err, &f) && f.offset < 0 {
		f.offset = e.OriginTextPosition()
	}
	return n, err
}

func (b *builder) buildAll(es []ast.ExprNode) ([]node, error) {
	out := make([]node, len(es))
	for i, e := range es {
		var err error
		if out[i], err = b.build(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b *builder) expr(e ast.ExprNode) (node, error) {
	switch e := e.(type) {
	case *ast.ParenthesesExpr:
		return b.build(e.Expr)
	case *ast.ColumnNameExpr:
		return b.column(e.Name)
	case *test_driver.ValueExpr:
		return b.literal(e)
	case *ast.BinaryOperationExpr:
		return b.binary(e)
	case *ast.UnaryOperationExpr:
		return b.unary(e)
	case *ast.IsNullExpr:
		arg, err := b.build(e.Expr)
		if err != nil {
			return nil, err
		}
		return newIsNull(arg, e.Not), b.need("isnull(%s)", arg.info().class)
	case *ast.IsTruthExpr:
		arg, err := b.build(e.Expr)
		if err != nil {
			return nil, err
		}
		n, err := newIsTruth(arg, e.True != 0, e.Not)
		return b.proven(n, err, "istruth(%s)", arg.info().class)
	case *ast.PatternInExpr:
		return b.in(e)
	case *ast.BetweenExpr:
		return b.between(e)
	case *ast.PatternLikeOrIlikeExpr:
		return b.like(e)
	case *ast.SetCollationExpr:
		return b.collate(e)
	case *ast.CaseExpr:
		return b.caseExpr(e)
	case *ast.FuncCastExpr:
		return b.cast(e)
	case *ast.FuncCallExpr:
		return b.call(e)
	}
	return nil, refuseNode(e)
}

// refuseNode says why a kind of expression is outside the surface.
func refuseNode(e ast.ExprNode) error {
	switch e := e.(type) {
	case *ast.SubqueryExpr, *ast.ExistsSubqueryExpr, *ast.CompareSubqueryExpr:
		return refuse("write it as a JOIN", "subqueries are not supported")
	case *ast.AggregateFuncExpr:
		return refuse("aggregate where the rows are read", "aggregate function %s is not supported", strings.ToUpper(e.F))
	case *ast.WindowFuncExpr:
		return refuse("compute it where the rows are read", "window function %s is not supported", strings.ToUpper(e.Name))
	case *ast.VariableExpr:
		return refuse("write the value out", "variables are not supported: a view depends on its rows alone")
	case *ast.PatternRegexpExpr:
		return refuse("use LIKE", "REGEXP is not supported")
	case *ast.RowExpr:
		return refuse("compare column by column with AND", "row expressions are not supported")
	case *ast.DefaultExpr:
		return refuse("write the value out", "DEFAULT() is not supported")
	case *ast.MatchAgainst:
		return refuse("use LIKE", "full-text search is not supported")
	}
	return refuse("", "this expression is not supported")
}

// proven passes a node on if building it succeeded and the signature is proven.
func (b *builder) proven(n node, err error, format string, args ...any) (node, error) {
	if err != nil {
		return nil, err
	}
	if err := b.need(format, args...); err != nil {
		return nil, err
	}
	return n, nil
}

func (b *builder) column(name *ast.ColumnName) (node, error) {
	i, c, err := b.scope.resolve(name, b.lo, b.hi)
	if err != nil {
		return nil, err
	}
	return b.scope.columnNode(i, c), nil
}

func (b *builder) literal(e *test_driver.ValueExpr) (node, error) {
	switch e.Kind() {
	case test_driver.KindNull:
		return newLiteral(change.NullValue(), typeNull, "NULL"), nil
	case test_driver.KindInt64:
		return newLiteral(change.IntValue(e.GetInt64()), typeInt, strconv.FormatInt(e.GetInt64(), 10)), nil
	case test_driver.KindUint64:
		return newLiteral(change.UintValue(e.GetUint64()), typeUint, strconv.FormatUint(e.GetUint64(), 10)), nil
	case test_driver.KindFloat64:
		return newLiteral(change.DoubleValue(e.GetFloat64()), change.Type{Kind: change.Double, Name: "double"},
			strconv.FormatFloat(e.GetFloat64(), 'e', -1, 64)), nil
	case test_driver.KindMysqlDecimal:
		text, ok := change.NormalDecimal(e.GetMysqlDecimal().String(), -1)
		d := parseDec(text)
		if !ok || d.scale > maxDecimalScale || d.digits() > maxDecimalDigits {
			return nil, refuse("write fewer digits", "the decimal %s has too many digits", text)
		}
		return newLiteral(d.value(), typeDecimal(max(d.digits()-d.scale, 1), d.scale), text), nil
	case test_driver.KindString:
		if at := e.OriginTextPosition(); at < len(b.src) && b.src[at] != '\'' && b.src[at] != '"' {
			return nil, refuse("write a plain string literal", "character set introducers are not supported")
		}
		s := e.GetString()
		if !utf8.ValidString(s) {
			return nil, refuse("", "the string literal is not UTF-8")
		}
		return newLiteral(change.StringValue(s),
			typeText(utf8.RuneCountInString(s), "utf8mb4", sessionCollation), quote(s)), nil
	case test_driver.KindBinaryLiteral, test_driver.KindMysqlBit:
		return nil, refuse("write a number or a string", "hexadecimal and bit literals mean numbers or bytes by context")
	}
	return nil, refuse("", "this literal is not supported")
}

var comparisonOps = map[opcode.Op]string{
	opcode.EQ: "=", opcode.NE: "<>", opcode.LT: "<", opcode.LE: "<=", opcode.GT: ">", opcode.GE: ">=", opcode.NullEQ: "<=>",
}

var arithOps = map[opcode.Op]string{
	opcode.Plus: opAdd, opcode.Minus: opSub, opcode.Mul: opMul, opcode.Div: opDiv, opcode.IntDiv: opInt, opcode.Mod: opMod,
}

var logicOps = map[opcode.Op]string{opcode.LogicAnd: "AND", opcode.LogicOr: "OR", opcode.LogicXor: "XOR"}

func (b *builder) binary(e *ast.BinaryOperationExpr) (node, error) {
	l, err := b.build(e.L)
	if err != nil {
		return nil, err
	}
	r, err := b.build(e.R)
	if err != nil {
		return nil, err
	}
	x, y := l.info().class, r.info().class
	if op, ok := comparisonOps[e.Op]; ok {
		n, err := newComparison(op, l, r)
		if err != nil {
			return nil, err
		}
		return n, b.needComparison(op, l, r, n.by)
	}
	if op, ok := arithOps[e.Op]; ok {
		n, err := newArith(op, l, r)
		return b.proven(n, err, "%s(%s,%s)", op, x, y)
	}
	if op, ok := logicOps[e.Op]; ok {
		n, err := newLogic(op, l, r)
		return b.proven(n, err, "%s(%s,%s)", op, x, y)
	}
	return nil, refuse("compute it where the row is read", "operator %s is not supported", e.Op)
}

// needComparison notes the operator over its classes, and of strings the collation.
func (b *builder) needComparison(op string, l, r node, by comparator) error {
	x, y := l.info(), r.info()
	if by.kind == cmpText {
		if err := b.need("%s under %s", op, collationName(by.text.name)); err != nil {
			return err
		}
	}
	return b.need("%s(%s,%s)", op, x.class, y.class)
}

// collationName is the newer of a collation's two names.
func collationName(s string) string {
	if rest, ok := strings.CutPrefix(s, "utf8_"); ok {
		return "utf8mb3_" + rest
	}
	return s
}

func (b *builder) unary(e *ast.UnaryOperationExpr) (node, error) {
	arg, err := b.build(e.V)
	if err != nil {
		return nil, err
	}
	switch e.Op {
	case opcode.Not, opcode.Not2:
		n, err := newNot(arg)
		return b.proven(n, err, "not(%s)", arg.info().class)
	case opcode.Minus:
		n, err := newNegation(arg)
		return b.proven(n, err, "neg(%s)", arg.info().class)
	case opcode.Plus:
		return arg, nil
	}
	return nil, refuse("compute it where the row is read", "operator %s is not supported", e.Op)
}

func (b *builder) in(e *ast.PatternInExpr) (node, error) {
	if e.Sel != nil {
		return nil, refuse("write it as a JOIN", "IN with a subquery is not supported")
	}
	arg, err := b.build(e.Expr)
	if err != nil {
		return nil, err
	}
	list, err := b.buildAll(e.List)
	if err != nil {
		return nil, err
	}
	n, err := newIn(arg, list, e.Not)
	if err != nil {
		return nil, err
	}
	for i, c := range n.(*inList).list {
		if err := b.needComparison("in", arg, list[i], c.by); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (b *builder) between(e *ast.BetweenExpr) (node, error) {
	ns, err := b.buildAll([]ast.ExprNode{e.Expr, e.Left, e.Right})
	if err != nil {
		return nil, err
	}
	n, err := newBetween(ns[0], ns[1], ns[2], e.Not)
	if err != nil {
		return nil, err
	}
	bt := n.(*between)
	if err := b.needComparison("between", ns[0], ns[1], bt.low.by); err != nil {
		return nil, err
	}
	return n, b.needComparison("between", ns[0], ns[2], bt.high.by)
}

func (b *builder) like(e *ast.PatternLikeOrIlikeExpr) (node, error) {
	if !e.IsLike {
		return nil, refuse("use LIKE", "ILIKE is not supported")
	}
	arg, err := b.build(e.Expr)
	if err != nil {
		return nil, err
	}
	pattern, err := b.build(e.Pattern)
	if err != nil {
		return nil, err
	}
	escape := rune(e.Escape)
	if e.Escape == 0 && e.EscapeExplicit {
		return nil, refuse("name an escape character", "an empty ESCAPE is read differently by MySQL and MariaDB")
	}
	n, err := newLike(arg, pattern, escape, e.Not)
	if err != nil {
		return nil, err
	}
	if err := b.need("like under %s", collationName(n.by.name)); err != nil {
		return nil, err
	}
	return n, b.need("like(%s,%s)", arg.info().class, pattern.info().class)
}

func (b *builder) collate(e *ast.SetCollationExpr) (node, error) {
	arg, err := b.build(e.Expr)
	if err != nil {
		return nil, err
	}
	i := arg.info()
	if !i.isText() {
		return nil, refuse("CAST it to CHAR first", "COLLATE on %s", describe(arg))
	}
	name := strings.ToLower(e.Collate)
	if collationOf(name) == nil || name == "binary" {
		return nil, refuse("use "+i.typ.Charset+"_bin", "the collation %s is not among those proven equal to the servers'", name)
	}
	if charset, _, _ := strings.Cut(name, "_"); normalCharset(charset) != normalCharset(i.typ.Charset) {
		return nil, refuse("use "+i.typ.Charset+"_bin", "the collation %s does not belong to the character set %s", name, i.typ.Charset)
	}
	out := *i
	out.typ.Collation, out.der, out.text = name, derExplicit, i.text+" COLLATE "+name
	out.class, out.typ = classString, typeText(i.textLength(), out.typ.Charset, name)
	out.isLit, out.lit = false, change.Value{}
	return &collated{out, arg}, b.need("collate %s", collationName(name))
}

func normalCharset(s string) string {
	if s == "utf8" {
		return "utf8mb3"
	}
	return s
}

// collated is x COLLATE name: the value is the operand's.
type collated struct {
	base
	arg node
}

// Eval returns the operand's value.
func (e *collated) Eval(t Tuple) (change.Value, error) { return e.arg.Eval(t) }
