// Package rewrite turns T-SQL that package tsql has parsed into SQL of PostgreSQL with the same effect. It knows the
// type of every expression, because T-SQL's results depend on types: how text compares, when a number overflows, what
// a conversion loses. What it cannot keep faithful it refuses.
package rewrite

import "fmt"

// Refusal is the number of the double's own errors: the statement, type or option is not implemented.
const Refusal = 50700

// Error is an error of the server, with SQL Server's number.
type Error struct {
	Number int32
	// Class is the severity; 16 unless set.
	Class byte
	Text  string
}

func (e *Error) Error() string { return fmt.Sprintf("%d: %s", e.Number, e.Text) }

// Severity is the error's class.
func (e *Error) Severity() byte {
	if e.Class == 0 {
		return 16
	}
	return e.Class
}

func fail(number int32, format string, args ...any) error {
	return &Error{Number: number, Text: fmt.Sprintf(format, args...)}
}

// refuse is the error for what the double does not implement.
func refuse(format string, args ...any) error {
	return fail(Refusal, "the double does not implement "+format, args...)
}

func invalidColumn(name string) error { return fail(207, "Invalid column name '%s'.", name) }

func invalidObject(name string) error { return fail(208, "Invalid object name '%s'.", name) }
