package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/config"
)

// Exit statuses, the same for all commands.
const (
	exitOK      = 0   // done, equal, healthy
	exitNo      = 1   // the answer is no; or the daemon stopped on something that an operator must mend
	exitUnknown = 2   // could not tell, or could not start
	exitFenced  = 3   // another daemon owns the stream or the data folder
	exitKilled  = 130 // a second signal
)

// statusError is an error with an exit status. An error with status exitNo and without a cause says that
// the answer, which is printed already, is no.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// answerNo ends a command whose printed answer is no.
func answerNo() error { return &statusError{status: exitNo} }

// couldNotTell ends a command whose printed answer is that it does not know.
func couldNotTell() error { return &statusError{status: exitUnknown} }

// withStatus gives an error an exit status.
func withStatus(status int, err error) error {
	if err == nil {
		return nil
	}
	return &statusError{status: status, err: err}
}

// statusOf is the exit status of a command that ended with err. What is not known better could not be told.
func statusOf(err error) int {
	var s *statusError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &s):
		return s.status
	case errors.Is(err, admin.ErrOtherDaemon):
		return exitFenced
	}
	return exitUnknown
}

// explain writes an error for people. Configuration problems stand one a line, each with its place.
func explain(err error) string {
	var s *statusError
	var problems config.Problems
	switch {
	case err == nil, errors.As(err, &s) && s.err == nil:
		return ""
	case errors.As(err, &problems):
		return "the configuration is wrong:\n" + problems.Error()
	case errors.Is(err, admin.ErrUnreachable):
		return err.Error() + "\nstart it with `cdc run`, or say where it is with --config or --addr"
	case errors.Is(err, context.DeadlineExceeded):
		return "gave up: " + err.Error() + "\nallow more time with --timeout"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	}
	return err.Error()
}
