package sinks

import (
	"errors"
	"fmt"
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
