package tds

import (
	"sync"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
)

// Kind is the kind of a step that a session takes.
type Kind string

// The kinds of steps.
const (
	KindSQL      Kind = "sql"      // a statement of a batch or a call
	KindBulk     Kind = "bulk"     // the rows of a bulk load
	KindBegin    Kind = "begin"    // the begin of a transaction
	KindCommit   Kind = "commit"   // its commit
	KindRollback Kind = "rollback" // its rollback, asked for by the client
)

// Step is what a session is about to do.
type Step struct {
	// Session counts the server's sessions from 1, N the session's steps from 1.
	Session, N int
	Kind       Kind
	// Text is the statement in T-SQL; empty when the driver asked in another way.
	Text string
}

// Fault is what shall happen to a step. The zero value lets it be.
type Fault struct {
	// Delay is waited before the step; the client's cancellation ends it.
	Delay time.Duration
	// Error is the number of an error that takes the step's place, 0 for none. 1205 and 3960 also end the transaction.
	Error int32
	// Before cuts the connection before the step, After when it is done and before the client is told: of a commit
	// the client cannot know the outcome.
	Before, After bool
}

// hooks are what tests have asked for.
type hooks struct {
	mu       sync.Mutex
	decide   func(Step) Fault
	record   bool
	recorded []Step
}

// Intercept has decide called for every step of every session, from the session's own goroutine; nil ends that.
func (s *Server) Intercept(decide func(Step) Fault) {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.decide = decide
}

// Record begins to keep the steps, forgetting what was kept before.
func (s *Server) Record() {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.record, s.hooks.recorded = true, nil
}

// Recorded returns the steps that were kept since Record.
func (s *Server) Recorded() []Step {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	return append([]Step(nil), s.hooks.recorded...)
}

// see notes a step and asks what shall happen to it.
func (h *hooks) see(step Step) Fault {
	h.mu.Lock()
	if h.record {
		h.recorded = append(h.recorded, step)
	}
	decide := h.decide
	h.mu.Unlock()
	if decide == nil {
		return Fault{}
	}
	return decide(step)
}

// injected is the error of a number that a hook asks for, in SQL Server's words where the number is a usual one.
func injected(number int32) *rewrite.Error {
	texts := map[int32]rewrite.Error{
		1205: {Class: 13, Text: "Transaction (Process ID 51) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction."},
		1222: {Text: "Lock request time out period exceeded."},
		3960: {Text: "Snapshot isolation transaction aborted due to update conflict."},
		9002: {Class: 17, Text: "The transaction log for database is full due to 'ACTIVE_TRANSACTION'."},
		1105: {Class: 17, Text: "Could not allocate space for object in database because the 'PRIMARY' filegroup is full."},
		3906: {Text: "Failed to update database because the database is read-only."},
	}
	e, ok := texts[number]
	if !ok {
		e.Text = "An error that a test asked for."
	}
	e.Number = number
	return &e
}
