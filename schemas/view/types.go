package view

import (
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
)

// class groups the types that follow the same rules in expressions.
type class uint8

const (
	classNull     class = iota // the literal NULL
	classInt                   // signed integers and truth values
	classUint                  // unsigned integers
	classDecimal               // exact decimals
	classDouble                // FLOAT and DOUBLE
	classString                // text
	classEnum                  // ENUM and SET: text, but no number
	classBytes                 // binary strings
	classDate                  // DATE
	classTime                  // TIME
	classDatetime              // DATETIME and TIMESTAMP (the session's time zone is UTC)
	classYear                  // YEAR
	classBit                   // BIT: a number in comparisons and conditions, bytes as text
	classOpaque                // JSON, spatial and whatever else: selected as they are, nothing more
)

var classNames = [...]string{
	"null", "int", "uint", "decimal", "double", "string", "enum", "bytes", "date", "time", "datetime", "year", "bit", "opaque",
}

func (c class) String() string { return classNames[c] }

// classOf returns the class of a column's type.
func classOf(t change.Type) class {
	//exhaustive:enforce
	switch t.Kind {
	case change.Int:
		return classInt
	case change.Uint:
		if t.Name == "bit" {
			return classBit
		}
		return classUint
	case change.Decimal:
		return classDecimal
	case change.Float, change.Double:
		return classDouble
	case change.String:
		if t.Name == "enum" || t.Name == "set" {
			return classEnum
		}
		return classString
	case change.Bytes:
		if t.Name == "geometry" || t.Name == "vector" {
			return classOpaque
		}
		return classBytes
	case change.Date:
		return classDate
	case change.Time:
		return classTime
	case change.Datetime, change.Timestamp:
		return classDatetime
	case change.Year:
		return classYear
	case change.Null:
		return classNull
	case change.JSON, change.Absent:
	}
	return classOpaque
}

// derivation says how strongly a string holds on to its collation: the lower, the stronger.
type derivation uint8

const (
	derExplicit  derivation = 0 // a COLLATE clause
	derNone      derivation = 1 // strings of different collations joined together: not comparable
	derImplicit  derivation = 2 // a column
	derCast      derivation = 3 // CAST(... AS CHAR): as strong as a column, or weaker (MariaDB 11)
	derCoercible derivation = 4 // a literal
	derNumeric   derivation = 5 // a number or temporal as text
	derNull      derivation = 6 // NULL
)

// base is what the compiler knows of an expression; every node embeds it.
type base struct {
	typ   change.Type
	null  bool
	text  string
	class class
	// digits is an upper bound of the digits before the point of a numeric result.
	digits int
	// der is the derivation of typ.Collation.
	der derivation
	// ascii: the text has ASCII characters only, whatever the row.
	ascii bool
	// loose marks a decimal whose text form may have another number of digits after the point than
	// typ.Scale says (a division, branches of different scale): it must not be turned into text.
	loose bool
	// quotient marks a division: MariaDB goes on with more digits of it than its type says, MySQL does
	// not, so it can only be rounded to just those.
	quotient bool
	// negativeZero marks a remainder of decimals: MariaDB gives -0.00, which it takes for less than 0.
	negativeZero bool
	// natural marks an integer that cannot be negative; unsure one that MySQL 9 takes for unsigned and
	// others for signed (YEAR): with it, a result that may be negative is out of range on one of them.
	natural, unsure bool
	// unsigned is the servers' flag of numbers: a column's, and that of operators over two unsigned ones.
	unsigned bool
	// mixed marks an integer that comes from a signed and an unsigned one: a DECIMAL on MariaDB.
	mixed bool
	// lit is the value of a literal.
	lit   change.Value
	isLit bool
}

// Type is the type of the result.
func (b *base) Type() change.Type { return b.typ }

// Nullable reports whether the result can be NULL.
func (b *base) Nullable() bool { return b.null }

// String returns the expression's SQL.
func (b *base) String() string { return b.text }

func (b *base) info() *base { return b }

// node is an expression together with what the compiler knows of it.
type node interface {
	Expr
	info() *base
}

// asString is the part of a class in text functions: enums are text.
func (b *base) isText() bool { return b.class == classString || b.class == classEnum }

func (b *base) isExact() bool {
	return b.class == classInt || b.class == classUint || b.class == classDecimal
}

// isCondition reports whether the servers take the value for a truth value without converting it.
func (b *base) isCondition() bool { return b.isNumber() || b.class == classBit }

func (b *base) isNumber() bool { return b.isExact() || b.class == classDouble }

func (b *base) isTemporal() bool {
	return b.class == classDate || b.class == classTime || b.class == classDatetime
}

// describe names an operand in a message.
func describe(n node) string {
	return fmt.Sprintf("%s (%s)", n.String(), n.info().class)
}

var (
	typeInt  = change.Type{Kind: change.Int, Name: "bigint"}
	typeUint = change.Type{Kind: change.Uint, Name: "bigint", Unsigned: true}
	typeNull = change.Type{Kind: change.Null, Name: "null"}
)

func typeDecimal(digits, scale int) change.Type {
	return change.Type{Kind: change.Decimal, Name: "decimal", Precision: max(digits+scale, 1), Scale: scale}
}

// typeText is the type of a text result of at most n characters.
func typeText(n int, charset, collation string) change.Type {
	name := "varchar"
	if n > 16383 { // beyond what a VARCHAR of utf8mb4 holds
		name, n = "longtext", 0
	}
	return change.Type{Kind: change.String, Name: name, Length: n, Charset: charset, Collation: collation}
}

func typeBytes(n int) change.Type {
	name := "varbinary"
	if n > 65535 {
		name, n = "longblob", 0
	}
	return change.Type{Kind: change.Bytes, Name: name, Length: n, Charset: "binary", Collation: "binary"}
}

// intDigits bounds the decimal digits of an integer type, sign included, as the servers count them.
func intDigits(t change.Type) int {
	switch t.Name {
	case "tinyint":
		return 4
	case "smallint":
		return 6
	case "mediumint":
		return 9
	case "int":
		return 11
	}
	return 20
}

// textLength bounds the characters of a value as text.
func (b *base) textLength() int {
	switch b.class {
	case classInt, classUint:
		if b.isLit {
			return len(b.lit.String())
		}
		return intDigits(b.typ) + 1
	case classDecimal:
		return b.digits + b.typ.Scale + 3
	case classDate:
		return 10
	case classTime:
		return 10 + 1 + b.typ.Scale
	case classDatetime:
		return 19 + 1 + b.typ.Scale
	case classYear:
		return 4
	case classEnum:
		return enumLength(b.typ)
	case classString, classBytes:
		if n := b.typ.Length; n > 0 {
			return n
		}
		return bigTextLength(b.typ.Name)
	}
	return 0
}

func enumLength(t change.Type) int {
	n, sum := 0, 0
	for _, m := range t.Members {
		n = max(n, len([]rune(m)))
		sum += len([]rune(m)) + 1
	}
	if t.Name == "set" {
		return sum
	}
	return n
}

// bigTextLength bounds TEXT and BLOB types that declare no length; the bound of a literal or function
// result without length is 0 characters.
func bigTextLength(name string) int {
	switch name {
	case "tinytext", "tinyblob":
		return 255
	case "text", "blob":
		return 65535
	case "mediumtext", "mediumblob", "longtext", "longblob":
		return 1 << 24
	}
	return 0
}

// column is a reference to a column of an input.
type column struct {
	base
	input, col int
	name       string
}

// Eval returns the row's value; NULL on the NULL-extended side of a left join.
func (c *column) Eval(t Tuple) (change.Value, error) {
	row := t[c.input]
	if row == nil {
		return change.Value{}, nil
	}
	v := row[c.col]
	if v.IsAbsent() {
		return v, fmt.Errorf("column %s was not transmitted", c.name)
	}
	return v, nil
}

// literal is a constant.
type literal struct{ base }

// Eval returns the constant.
func (l *literal) Eval(Tuple) (change.Value, error) { return l.lit, nil }

func newLiteral(v change.Value, t change.Type, text string) *literal {
	l := &literal{base{typ: t, null: v.IsNull(), text: text, class: classOf(t), lit: v, isLit: true, der: derNumeric, ascii: true}}
	switch l.class {
	case classNull:
		l.der = derNull
	case classString:
		l.der = derCoercible
		l.ascii = isASCII(v.Text())
	case classInt, classUint:
		l.digits = len(v.String())
		l.natural = !toSigned(v).neg
	case classDecimal:
		l.digits = t.Precision - t.Scale
	}
	return l
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
