package view

import (
	"errors"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"
	"github.com/pingcap/tidb/pkg/parser/types"

	"github.com/etlsandbox/cdc/schemas/change"
)

func (b *builder) caseExpr(e *ast.CaseExpr) (node, error) {
	var value, otherwise node
	var err error
	if e.Value != nil {
		if value, err = b.build(e.Value); err != nil {
			return nil, err
		}
	}
	when, then := make([]node, len(e.WhenClauses)), make([]node, len(e.WhenClauses))
	for i, w := range e.WhenClauses {
		if when[i], err = b.build(w.Expr); err != nil {
			return nil, err
		}
		if then[i], err = b.build(w.Result); err != nil {
			return nil, err
		}
	}
	results := then
	if e.ElseClause != nil {
		if otherwise, err = b.build(e.ElseClause); err != nil {
			return nil, err
		}
		results = append(append([]node(nil), then...), otherwise)
	}
	n, err := newCase(value, when, then, otherwise)
	if err != nil {
		return nil, err
	}
	for i, c := range n.(*choice).when {
		if eq, ok := c.(*comparison); ok && value != nil {
			if err := b.needComparison("case", value, when[i], eq.by); err != nil {
				return nil, err
			}
		}
	}
	return n, b.needUnify("case then", results)
}

// needUnify notes the pairs of classes that were unified, in the order in which the servers do it.
func (b *builder) needUnify(name string, args []node) error {
	for i, n := range args[1:] {
		err := b.need("%s(%s,%s)", name, args[i].info().class, n.info().class)
		var f *failure
		if errors.As(err, &f) && name == "case then" && (args[i].info().class == classNull || n.info().class == classNull) {
			f.wayOut = "write IF(condition, value, NULL), or leave the ELSE NULL out" // a NULL has no type that could be cast
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// callShape is how many arguments a function takes.
type callShape struct{ low, high int }

// callShapes lists the functions that build knows. A high of -1 is without limit.
var callShapes = map[string]callShape{
	"concat": {1, -1}, "concat_ws": {2, -1}, "coalesce": {1, -1}, "ifnull": {2, 2}, "nullif": {2, 2}, "if": {3, 3},
	"upper": {1, 1}, "lower": {1, 1}, "trim": {1, 3}, "ltrim": {1, 1}, "rtrim": {1, 1}, "substring": {2, 3},
	"round": {1, 2}, "date": {1, 1}, "year": {1, 1}, "month": {1, 1},
}

var callSynonyms = map[string]string{"ucase": "upper", "lcase": "lower", "substr": "substring", "mid": "substring"}

// unstable lists functions whose value changes without a change of a row.
const unstable = " now current_timestamp curdate current_date curtime current_time sysdate localtime localtimestamp " +
	"utc_date utc_time utc_timestamp unix_timestamp rand uuid uuid_short user current_user session_user system_user " +
	"connection_id database schema version last_insert_id row_count found_rows sleep benchmark get_lock release_lock "

func (b *builder) call(e *ast.FuncCallExpr) (node, error) {
	name := e.FnName.L
	if s, ok := callSynonyms[name]; ok {
		name = s
	}
	switch name {
	case ast.DateLiteral, ast.TimestampLiteral:
		return b.temporalLiteral(e, name == ast.DateLiteral)
	}
	shape, ok := callShapes[name]
	if !ok {
		shown := strings.ToUpper(e.FnName.O)
		if strings.Contains(unstable, " "+name+" ") {
			return nil, refuse("compute it where the row is read", "%s changes without a change of a row", shown)
		}
		return nil, refuse("the functions are CONCAT, CONCAT_WS, COALESCE, IFNULL, NULLIF, IF, CASE, CAST, UPPER, LOWER, TRIM, SUBSTRING, ROUND, DATE, YEAR, MONTH",
			"function %s is not supported", shown)
	}
	if n := len(e.Args); n < shape.low || shape.high >= 0 && n > shape.high {
		return nil, refuse("", "%s does not take %d arguments", strings.ToUpper(name), n)
	}
	if name == "trim" {
		return b.trim(e)
	}
	args, err := b.buildAll(e.Args)
	if err != nil {
		return nil, err
	}
	n, err := newCall(name, args)
	if err != nil {
		return nil, err
	}
	return n, b.needCall(name, args, n)
}

func newCall(name string, args []node) (node, error) {
	switch name {
	case "concat":
		return newConcat(args)
	case "concat_ws":
		return newConcatWS(args)
	case "coalesce", "ifnull":
		return newCoalesce(strings.ToUpper(name), args)
	case "nullif":
		return newNullIf(args[0], args[1])
	case "if":
		return newIf(args[0], args[1], args[2])
	case "upper", "lower":
		return newLetterCase(strings.ToUpper(name), args[0])
	case "ltrim":
		return newTrim(args[0], nil, trimLeading)
	case "rtrim":
		return newTrim(args[0], nil, trimTrailing)
	case "substring":
		return newSubstring(args[0], args[1], optional(args, 2))
	case "round":
		return newRound(args[0], optional(args, 1))
	}
	return newDatePart(strings.ToUpper(name), args[0])
}

func optional(args []node, i int) node {
	if i < len(args) {
		return args[i]
	}
	return nil
}

// needCall notes a call's signatures: functions that unify their arguments by pairs, those that treat
// each argument alike one by one, the others as they are.
func (b *builder) needCall(name string, args []node, n node) error {
	switch name {
	case "coalesce", "ifnull":
		if len(args) == 1 {
			return b.need("coalesce(%s)", args[0].info().class)
		}
		return b.needUnify(name, args)
	case "if":
		if err := b.need("if condition(%s)", args[0].info().class); err != nil {
			return err
		}
		return b.needUnify(name, args[1:])
	case "nullif":
		return b.needComparison(name, args[0], args[1], n.(*choice).when[0].(*comparison).by)
	case "concat", "concat_ws":
		for _, a := range args {
			if err := b.need("%s(%s)", name, a.info().class); err != nil {
				return err
			}
		}
		return nil
	case "upper", "lower":
		return b.need("%s under %s", name, collationName(args[0].info().typ.Collation))
	case "round":
		if args[0].info().quotient {
			return b.need("round of a division")
		}
	}
	return b.need("%s(%s)", name, args[0].info().class)
}

func (b *builder) trim(e *ast.FuncCallExpr) (node, error) {
	arg, err := b.build(e.Args[0])
	if err != nil {
		return nil, err
	}
	var cut node
	sides := trimBoth
	if len(e.Args) > 1 && e.Args[1] != nil {
		if cut, err = b.build(e.Args[1]); err != nil {
			return nil, err
		}
		if i := cut.info(); i.class == classNull {
			cut = nil // TRIM(LEADING FROM x)
		}
	}
	if len(e.Args) > 2 {
		if d, ok := e.Args[2].(*ast.TrimDirectionExpr); ok {
			switch d.Direction {
			case ast.TrimLeading:
				sides = trimLeading
			case ast.TrimTrailing:
				sides = trimTrailing
			}
		}
	}
	n, err := newTrim(arg, cut, sides)
	if err != nil {
		return nil, err
	}
	if cut != nil {
		return n, b.need("trim(%s,%s)", arg.info().class, cut.info().class)
	}
	return n, b.need("trim(%s)", arg.info().class)
}

func (b *builder) temporalLiteral(e *ast.FuncCallExpr, date bool) (node, error) {
	if len(e.Args) != 1 {
		return nil, refuse("", "a temporal literal needs one string")
	}
	arg, err := b.build(e.Args[0])
	if err != nil {
		return nil, err
	}
	i := arg.info()
	word := "TIMESTAMP"
	if date {
		word = "DATE"
	}
	if !i.isLit || i.class != classString {
		return nil, refuse("", "a temporal literal needs a string")
	}
	n, err := parseTemporal(i.lit.Text(), word+i.text)
	if err == nil && (n.info().class == classDate) != date {
		return nil, refuse("DATE'YYYY-MM-DD', TIMESTAMP'YYYY-MM-DD hh:mm:ss'", "%s%s", word, i.text)
	}
	return b.proven(n, err, "literal %s", strings.ToLower(word))
}

func (b *builder) cast(e *ast.FuncCastExpr) (node, error) {
	arg, err := b.build(e.Expr)
	if err != nil {
		return nil, err
	}
	if e.Tp.IsArray() {
		return nil, refuse("", "CAST to an ARRAY is not supported")
	}
	if arg.info().class == classNull {
		return b.castNull(e)
	}
	n, name, err := castTo(arg, e)
	if err != nil {
		return nil, err
	}
	if arg.info().quotient {
		return b.proven(n, nil, "cast %s of a division", name)
	}
	return b.proven(n, nil, "cast %s(%s)", name, arg.info().class)
}

func castTo(arg node, e *ast.FuncCastExpr) (n node, name string, err error) {
	t := e.Tp
	switch t.GetType() {
	case mysql.TypeLonglong:
		if mysql.HasUnsignedFlag(t.GetFlag()) {
			n, err = newCastInt(arg, true)
			return n, "unsigned", err
		}
		n, err = newCastInt(arg, false)
		return n, "signed", err
	case mysql.TypeNewDecimal:
		p, s := t.GetFlen(), max(t.GetDecimal(), 0)
		if p <= 0 {
			p = 10
		}
		n, err = newCastDecimal(arg, p, s)
		return n, "decimal", err
	case mysql.TypeVarString, mysql.TypeString, mysql.TypeVarchar:
		if t.GetCharset() == "binary" {
			n, err = newCastBinary(arg, t.GetFlen())
			return n, "binary", err
		}
		if e.ExplicitCharSet && t.GetCharset() != "utf8mb4" {
			return nil, "", refuse("CAST(x AS CHAR)", "CAST to the character set %s is not supported", t.GetCharset())
		}
		n, err = newCastChar(arg, t.GetFlen())
		return n, "char", err
	case mysql.TypeDate:
		n, err = newCastTemporal(arg, "DATE", 0)
		return n, "date", err
	case mysql.TypeDatetime:
		n, err = newCastTemporal(arg, "DATETIME", max(t.GetDecimal(), 0))
		return n, "datetime", err
	}
	return nil, "", refuse("CAST to SIGNED, UNSIGNED, DECIMAL(p,s), CHAR, BINARY, DATE or DATETIME",
		"CAST to %s is not supported", types.TypeToStr(t.GetType(), t.GetCharset()))
}

// castNull is CAST(NULL AS type): a NULL with a type.
func (b *builder) castNull(e *ast.FuncCastExpr) (node, error) {
	zero := newLiteral(change.IntValue(0), typeInt, "NULL")
	n, name, err := castTo(zero, e)
	if err != nil {
		return nil, refuse("CAST(NULL AS SIGNED), AS DECIMAL(p,s) or AS CHAR", "this CAST of NULL is not supported")
	}
	out := *n.info()
	out.null = true
	out.text = n.String()
	none := newLiteral(change.NullValue(), typeNull, "NULL")
	return b.proven(&choice{base: out, otherwise: none}, nil, "cast %s(null)", name)
}
