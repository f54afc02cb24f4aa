package tsql

import "github.com/etlsandbox/cdc/internal/testenv/tds/datatype"

// Name is a name of one to three parts: database, schema, object; the last one is always there.
type Name []string

// Last is the object's own name.
func (n Name) Last() string { return n[len(n)-1] }

// Expr is an expression or a predicate.
type Expr interface{ expr() }

// Expressions.
type (
	// Number is a number as written.
	Number struct{ Text string }
	// String is a literal; National if it was written N'…'.
	String struct {
		Text     string
		National bool
	}
	// Hex is a binary literal, in hexadecimal digits.
	Hex struct{ Digits string }
	// NullLiteral is NULL.
	NullLiteral struct{}
	// Column is a column, with the table's name or alias before it if one was written.
	Column struct {
		Table Name
		Name  string
	}
	// Variable is @x.
	Variable struct{ Name string }
	// SystemVariable is @@x; Name is in lower case, without @@.
	SystemVariable struct{ Name string }
	// Unary is -x, +x or ~x.
	Unary struct {
		Op string
		X  Expr
	}
	// Binary is an arithmetic operation.
	Binary struct {
		Op   string
		L, R Expr
	}
	// Call is a function; Name is in lower case.
	Call struct {
		Name     string
		Args     []Expr
		Distinct bool
		Star     bool
		// Within is the order of an aggregate that asks for one.
		Within []Order
		Over   *Window
	}
	// Cast is CAST or CONVERT; Style is nil unless given; Try says TRY_CAST or TRY_CONVERT.
	Cast struct {
		X     Expr
		Type  datatype.Type
		Style Expr
		Try   bool
	}
	// Case is CASE; Of is nil in a searched one.
	Case struct {
		Of    Expr
		Whens []When
		Else  Expr
	}
	// Collate is x COLLATE c.
	Collate struct {
		X         Expr
		Collation datatype.Collation
	}
	// Subquery is a query that gives one value.
	Subquery struct{ Query *Query }
)

// Predicates.
type (
	// Compare is l op r, with op one of = <> < <= > >=.
	Compare struct {
		Op   string
		L, R Expr
	}
	// Logic is AND or OR.
	Logic struct {
		Op   string
		L, R Expr
	}
	// Not negates.
	Not struct{ X Expr }
	// IsNull is IS [NOT] NULL.
	IsNull struct {
		X   Expr
		Not bool
	}
	// In is [NOT] IN, over a list or a query.
	In struct {
		X     Expr
		Not   bool
		List  []Expr
		Query *Query
	}
	// Between is [NOT] BETWEEN.
	Between struct {
		X, Low, High Expr
		Not          bool
	}
	// Like is [NOT] LIKE; Escape may be nil.
	Like struct {
		X, Pattern, Escape Expr
		Not                bool
	}
	// Exists is EXISTS.
	Exists struct{ Query *Query }
)

// When is a branch of CASE.
type When struct{ If, Then Expr }

// Order is an item of ORDER BY.
type Order struct {
	X    Expr
	Desc bool
}

// Window is OVER (…), without a frame.
type Window struct {
	Partition []Expr
	Order     []Order
}

func (*Number) expr()         {}
func (*String) expr()         {}
func (*Hex) expr()            {}
func (*NullLiteral) expr()    {}
func (*Column) expr()         {}
func (*Variable) expr()       {}
func (*SystemVariable) expr() {}
func (*Unary) expr()          {}
func (*Binary) expr()         {}
func (*Call) expr()           {}
func (*Cast) expr()           {}
func (*Case) expr()           {}
func (*Collate) expr()        {}
func (*Subquery) expr()       {}
func (*Compare) expr()        {}
func (*Logic) expr()          {}
func (*Not) expr()            {}
func (*IsNull) expr()         {}
func (*In) expr()             {}
func (*Between) expr()        {}
func (*Like) expr()           {}
func (*Exists) expr()         {}

// Query is a SELECT, with what may stand around it.
type Query struct {
	With []CTE
	// Body is a *Select or a *SetOp.
	Body Body
	// Order, Offset and Fetch end the query; Offset and Fetch are nil unless given.
	Order         []Order
	Offset, Fetch Expr
}

// Body is a *Select or a *SetOp.
type Body interface{ body() }

// CTE is a named query.
type CTE struct {
	Name    string
	Columns []string
	Query   *Query
}

// SetOp is UNION, UNION ALL, INTERSECT or EXCEPT.
type SetOp struct {
	Op   string
	L, R Body
}

// Select is one SELECT.
type Select struct {
	Distinct bool
	Top      Expr // nil without TOP
	Items    []Item
	Into     Name
	From     []Table
	Where    Expr
	Group    []Expr
	Having   Expr
}

func (*SetOp) body()  {}
func (*Select) body() {}

// Item is an item of a select list, or of OUTPUT.
type Item struct {
	X     Expr
	Alias string
	// Star is *, Table its qualifier if there is one.
	Star  bool
	Table Name
	// Assign is the variable that takes the value.
	Assign string
}

// Table is a source of rows.
type Table interface{ table() }

// Sources of rows.
type (
	// TableRef is a table with hints, in upper case.
	TableRef struct {
		Name  Name
		Alias string
		Hints []string
	}
	// Derived is a query, or with Rows a table of values.
	Derived struct {
		Query   *Query
		Rows    [][]Expr
		Alias   string
		Columns []string
	}
	// Join is INNER, LEFT, RIGHT, FULL or CROSS.
	Join struct {
		Kind string
		L, R Table
		On   Expr
	}
	// Apply is CROSS or OUTER APPLY.
	Apply struct {
		Outer bool
		L, R  Table
	}
)

func (*TableRef) table() {}
func (*Derived) table()  {}
func (*Join) table()     {}
func (*Apply) table()    {}
