package oracle

import (
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// Column is the value of a column of an input.
type Column struct {
	In, Col int
	Name    string
	Ty      change.Type
	Null    bool
}

// Eval implements view.Expr; a column that was not kept is an error.
func (c Column) Eval(t view.Tuple) (change.Value, error) {
	if t[c.In] == nil {
		return change.NullValue(), nil
	}
	v := t[c.In][c.Col]
	if v.IsAbsent() {
		return v, fmt.Errorf("%s was not kept", c.Name)
	}
	return v, nil
}

// Type implements view.Expr.
func (c Column) Type() change.Type { return c.Ty }

// Nullable implements view.Expr.
func (c Column) Nullable() bool { return c.Null }

// String implements view.Expr.
func (c Column) String() string { return c.Name }

// Source implements what the joiner asks of plain columns.
func (c Column) Source() (input, column int) { return c.In, c.Col }

// Func is any function of other expressions.
type Func struct {
	Name string
	Ty   change.Type
	Args []view.Expr
	F    func(args []change.Value) (change.Value, error)
}

// Eval implements view.Expr.
func (f Func) Eval(t view.Tuple) (change.Value, error) {
	args := make([]change.Value, len(f.Args))
	for i, a := range f.Args {
		v, err := a.Eval(t)
		if err != nil {
			return v, err
		}
		args[i] = v
	}
	return f.F(args)
}

// Type implements view.Expr.
func (f Func) Type() change.Type { return f.Ty }

// Nullable implements view.Expr.
func (f Func) Nullable() bool { return true }

// String implements view.Expr.
func (f Func) String() string { return f.Name + fmt.Sprint(f.Args) }
