package pipeline

import (
	"context"
	"errors"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/statestore"
)

// Scope is how far an error reaches. The default is the smallest that keeps what destinations show true.
type Scope uint8

// The scopes.
const (
	ScopeNone   Scope = iota // nothing is wrong
	ScopeRow                 // the row is quarantined
	ScopeTable               // the table is paused, the rest flows
	ScopeSink                // this destination stops, the others go on
	ScopeStage               // the stage starts again
	ScopeDaemon              // the daemon stops
)

// String names the scope.
func (s Scope) String() string {
	return [...]string{"none", "row", "table", "sink", "stage", "daemon"}[s]
}

// Verdict is what is done about an error that a stage returned.
type Verdict struct {
	Scope Scope
	// Retry: the stage starts again after a pause.
	Retry bool
	// Fenced: another process has taken over.
	Fenced bool
	// Refused: credentials or rights were refused; trying again may lock the account.
	Refused bool
	// Unmeant: it stops until an operator says that the source is meant as it is: the stream begins anew from there.
	Unmeant bool
}

// judgements is the one table of error classes; the first that matches decides. What is not in it is
// tried again.
var judgements = []struct {
	class   error
	verdict Verdict
}{
	{stream.ErrFenced, Verdict{Scope: ScopeDaemon, Fenced: true}},
	{sinks.ErrFenced, Verdict{Scope: ScopeDaemon, Fenced: true}},
	{sinks.ErrStop, Verdict{Scope: ScopeSink}},
	{ErrUnmeant, Verdict{Scope: ScopeDaemon, Unmeant: true}},
	{stream.ErrUnknownOutcome, Verdict{Scope: ScopeStage, Retry: true}},
	{stream.ErrRestart, Verdict{Scope: ScopeStage, Retry: true}},
	{cdc.ErrAccess, Verdict{Scope: ScopeDaemon, Refused: true}},
	{cdc.ErrDisconnected, Verdict{Scope: ScopeStage, Retry: true}},
	{cdc.ErrPurged, Verdict{Scope: ScopeStage, Retry: true}}, // the start heals it
	{ErrPurged, Verdict{Scope: ScopeStage, Retry: true}},
	{cdc.ErrIncident, Verdict{Scope: ScopeStage, Retry: true}},
	{cdc.ErrUnlogged, Verdict{Scope: ScopeDaemon, Unmeant: true}},
	{cdc.ErrUnsupported, Verdict{Scope: ScopeDaemon}},
	{cdc.ErrDiverged, Verdict{Scope: ScopeDaemon, Unmeant: true}},
	{joiner.ErrIncomplete, Verdict{Scope: ScopeDaemon}},
	{joiner.ErrShape, Verdict{Scope: ScopeDaemon}},
	{statestore.ErrLocked, Verdict{Scope: ScopeDaemon, Fenced: true}},
	{statestore.ErrFormat, Verdict{Scope: ScopeDaemon}},
}

// Judge says what is done about an error.
func Judge(err error) Verdict {
	if err == nil || errors.Is(err, context.Canceled) {
		return Verdict{}
	}
	for _, j := range judgements {
		if errors.Is(err, j.class) {
			v := j.verdict
			v.Refused = v.Refused || accessRefused(err)
			return v
		}
	}
	var (
		stop  *StopError
		slow  *stream.SlowError
		large *stream.TooLargeError
		value *cdc.ValueError
		eval  *joiner.EvalError
	)
	switch {
	case errors.As(err, &stop), errors.As(err, &slow), errors.As(err, &large), errors.As(err, &value), errors.As(err, &eval):
		return Verdict{Scope: ScopeDaemon}
	}
	return Verdict{Scope: ScopeStage, Retry: true}
}

// accessRefused reports whether a destination refused the credentials.
func accessRefused(err error) bool {
	var stop *sinks.StopError
	return errors.As(err, &stop) && stop.Access
}

// asRetry returns the sink's own word for why it is tried again, or nil.
func asRetry(err error) *sinks.RetryError {
	var r *sinks.RetryError
	if errors.As(err, &r) {
		return r
	}
	return nil
}
