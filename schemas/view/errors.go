package view

import "fmt"

// Error is one reason why a view does not compile: where, why, and what to do instead.
type Error struct {
	File   string
	Line   int // from 1
	Column int // from 1, in characters
	Reason string
	WayOut string // "" when the reason says it all
}

// Error prints "file:line:column: reason; way out".
func (e *Error) Error() string {
	s := fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Reason)
	if e.WayOut != "" {
		s += "; " + e.WayOut
	}
	return s
}

// failure is a reason without a place yet; the compiler adds the place of the expression it was building.
type failure struct {
	reason string
	wayOut string
	offset int // byte offset in the text, -1 when not known yet
}

func (f *failure) Error() string { return f.reason }

// refuse makes a failure without a place.
func refuse(wayOut, format string, args ...any) error {
	return &failure{reason: fmt.Sprintf(format, args...), wayOut: wayOut, offset: -1}
}

// refuseAt makes a failure at a byte offset of the text.
func refuseAt(offset int, wayOut, format string, args ...any) error {
	return &failure{reason: fmt.Sprintf(format, args...), wayOut: wayOut, offset: offset}
}
