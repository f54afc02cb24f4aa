// Package view compiles a view's SQL into a plan that can be evaluated row by row with the source's own
// semantics. The same text, sent to the source, is what verification compares with: the definition is
// the test. Whatever is outside the supported surface does not compile.
package view

import "github.com/etlsandbox/cdc/schemas/change"

// Plan is a compiled view. It is immutable and safe for concurrent use.
type Plan struct {
	// Name of the view, as written.
	Name string
	// SQL is the SELECT that the source answers with exactly the rows of Output: the view's text with
	// tables qualified by database and hidden key columns added. Session says under which settings.
	SQL string
	// Hash identifies the definition and the shapes of the tables that it reads: another hash, another view.
	Hash string
	// Output is the view's shape: the SELECT list, then Hidden key columns that the list lacks. Its Key is
	// inferred from primary keys through functional dependencies; key columns may be nullable.
	Output *change.Table
	Hidden int
	// Inputs in join order: each input but the first joins inputs before it. The first input is on the
	// preserved side of every LEFT JOIN, and the Parent of an input that is not Left is not Left either
	// (an inner join onto the nullable side of a LEFT JOIN makes that one inner). So the inputs that are
	// not Left form a connected tree of their own, and the Left ones hang below it.
	Inputs []Input
	// Where filters joined tuples; nil is true. Conditions (Where, Filter, OnFilter) give integers: 0 is
	// false, NULL counts as false, everything else is true; see Holds.
	Where Expr
	// Select holds one expression per column of Output.
	Select []Expr

	// keyReasons says of each column of Output.Key why it is there, for Explain.
	keyReasons []string
}

// Input is one table reference of FROM; a self-join has several of the same table.
type Input struct {
	Alias string
	Table *change.Table
	// Columns are the indexes of the columns of Table that the view reads, in order: all others may be
	// dropped from state. Key columns of the table are always among them.
	Columns []int
	// Left marks the right side of a LEFT JOIN: without a match the input's row is nil in the tuple.
	Left bool
	// Parent is the earlier input that On joins to (all pairs join the same parent: the graph is a tree);
	// -1 of the first input.
	Parent int
	// On are the equalities of the join condition.
	On []Equality
	// OnFilter is the rest of a LEFT JOIN's ON condition, over this input and earlier ones; nil is true,
	// and always nil of an inner join, whose conditions are in Filter and Where.
	OnFilter Expr
	// Filter holds the conditions of WHERE over this input alone that may be applied to its rows before
	// any join (never for Left inputs); nil is true. They are not repeated in Where.
	Filter Expr
}

// Equality is "parent column = this column" of a join condition.
type Equality struct {
	ParentColumn int // column index in the parent's table
	Column       int // column index in this input's table
	// As is the class under which both sides compare; AppendJoinKey encodes a value of either side so that
	// equal values, and only they, give equal bytes.
	As Comparison
}

// Tuple holds one row per input of a plan, full width (Absent where a column is not referenced); a nil
// row is the NULL-extended side of a left join.
type Tuple []change.Row

// Expr is a typed scalar expression with the source's semantics.
type Expr interface {
	// Eval computes the value over a tuple. An error is a value that cannot be computed exactly as the
	// source would (it is poison for the row, not for the view).
	Eval(t Tuple) (change.Value, error)
	// Type is the declared type of the result.
	Type() change.Type
	// Nullable reports whether the result can be NULL.
	Nullable() bool
	// String prints the expression as SQL.
	String() string
}
