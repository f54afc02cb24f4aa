package sinks

import (
	"errors"
	"fmt"
	"strings"
)

// Class says what the caller of a sink does about an error.
type Class uint8

// The classes of an error.
const (
	// Retry: the destination is as before or as after; ask Applied, wait, try again.
	Retry Class = iota + 1
	// Poison: the destination refuses a row for what is in it. Sinks handle it themselves (quarantine);
	// it reaches a caller only inside a StopError when the sink was told to stop.
	Poison
	// Fenced: another process writes now; this one exits.
	Fenced
	// Stop: an operator must mend it.
	Stop
)

// String names the class in lower case.
func (c Class) String() string {
	switch c {
	case Retry:
		return "retry"
	case Poison:
		return "poison"
	case Fenced:
		return "fenced"
	case Stop:
		return "stop"
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// ClassOf returns the class of an error that a sink returned. What says nothing of itself is tried again.
func ClassOf(err error) Class {
	switch {
	case errors.Is(err, ErrFenced):
		return Fenced
	case errors.Is(err, ErrStop):
		return Stop
	}
	return Retry
}

// RetryError is an error that passes by itself, or once somebody has made room.
type RetryError struct {
	// Reason is one word for a metric's label: "connection", "deadlock", "disk_full", "moved" and the like.
	Reason string
	// Alarm says that waiting alone will hardly mend it: a person should know.
	Alarm bool
	Err   error
}

// Error joins the reason and the cause.
func (e *RetryError) Error() string { return e.Reason + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *RetryError) Unwrap() error { return e.Err }

// TargetError is an error of one delivered table or view: the destination can be given the others without it.
type TargetError struct {
	// From is the target's Target.From.
	From string
	Err  error
}

// Error names the table or view, unless the cause does.
func (e *TargetError) Error() string {
	if s := e.Err.Error(); strings.Contains(s, e.From) {
		return s
	}
	return e.From + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *TargetError) Unwrap() error { return e.Err }

// OfTarget says of an error, unless it is nil, that it concerns one target alone.
func OfTarget(from string, err error) error {
	if err == nil {
		return nil
	}
	return &TargetError{From: from, Err: err}
}

// TargetOf returns the only target that an error concerns which an operator must mend; "" when the error passes by
// itself or concerns the destination as a whole.
func TargetOf(err error) string {
	var of *TargetError
	var stop *StopError
	if ClassOf(err) != Stop || !errors.As(err, &of) || errors.As(err, &stop) && stop.Access {
		return ""
	}
	return of.From
}
