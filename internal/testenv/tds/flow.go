package tds

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
	"github.com/etlsandbox/cdc/internal/testenv/tds/wire"
)

// errBreak and errContinue leave the body of a loop.
var (
	errBreak    = errors.New("BREAK outside of a loop")
	errContinue = errors.New("CONTINUE outside of a loop")
)

// flow runs the statements that direct a batch; done says that the statement was one.
func (s *session) flow(ctx context.Context, src *tsql.Source) (done bool, err error) {
	switch x := src.Statement.(type) {
	case *tsql.Block:
		return true, s.block(ctx, x.Body)
	case *tsql.If:
		yes, err := s.condition(ctx, x.Cond)
		switch {
		case err != nil:
			return true, err
		case yes:
			return true, s.statement(ctx, x.Then)
		case x.Else != nil:
			return true, s.statement(ctx, x.Else)
		}
		return true, nil
	case *tsql.While:
		return true, s.loop(ctx, x)
	case *tsql.Break:
		return true, errBreak
	case *tsql.Continue:
		return true, errContinue
	case *tsql.Return:
		return true, stopBatch{}
	case *tsql.Try:
		return true, s.try(ctx, x)
	case *tsql.Throw:
		return true, s.throw(ctx, x)
	case *tsql.RaiseError:
		return true, s.raiseError(ctx, x)
	case *tsql.Print:
		return true, s.print(ctx, x)
	case *tsql.Declare:
		return true, s.declare(ctx, x)
	case *tsql.DeclareTable:
		return true, s.declareTable(ctx, x, src.Text)
	case *tsql.SetVariable:
		return true, s.assign(ctx, x)
	case *tsql.WaitFor:
		return true, s.wait(ctx, x)
	}
	return false, nil
}

func (s *session) condition(ctx context.Context, x tsql.Expr) (bool, error) {
	q, err := s.translator().Condition(ctx, x)
	if err != nil {
		return false, err
	}
	v, err := s.value(ctx, q)
	s.rowCount = 0
	return v.Text == "1", err
}

// value evaluates, so that an error in it undoes nothing but itself.
func (s *session) value(ctx context.Context, q rewrite.Query) (v datatype.Value, err error) {
	if s.tx.doomed {
		// PostgreSQL's transaction was ended with the error, and what it had done can no longer be seen.
		if q.Reads {
			return v, &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement reading in a transaction that cannot be committed"}
		}
		return s.evaluate(ctx, q)
	}
	err = s.atomically(ctx, false, func() error {
		v, err = s.evaluate(ctx, q)
		return err
	})
	return v, err
}

func (s *session) loop(ctx context.Context, x *tsql.While) error {
	for {
		yes, err := s.condition(ctx, x.Cond)
		if err != nil || !yes {
			return err
		}
		err = s.statement(ctx, x.Body)
		switch {
		case errors.Is(err, errBreak):
			return nil
		case err != nil && !errors.Is(err, errContinue):
			return err
		}
	}
}

// caughtError carries an error to the CATCH block around it.
type caughtError struct{ cause *rewrite.Error }

// Error implements error. There is no Unwrap: the error was looked after, nobody must take it for a fresh one.
func (c caughtError) Error() string { return c.cause.Error() }

// caught dooms the transaction where the error asks for it, and hands the error to the CATCH block.
func (s *session) caught(_ context.Context, e *rewrite.Error) error {
	// What RAISERROR raises never ends a transaction.
	if s.tx.count > 0 && !s.tx.doomed && e.Number != 50000 && (s.options.xactAbort || endsTransaction(e)) {
		if err := s.command(s.c.life, "ROLLBACK"); err != nil {
			return err
		}
		s.tx.doomed = true
	}
	return caughtError{e}
}

func (s *session) try(ctx context.Context, x *tsql.Try) error {
	s.trying++
	err := s.block(ctx, x.Body)
	s.trying--
	var c caughtError
	if !errors.As(err, &c) {
		return err
	}
	outer := s.handled
	s.handled = c.cause
	defer func() { s.handled = outer }()
	return s.block(ctx, x.Catch)
}

func (s *session) throw(ctx context.Context, x *tsql.Throw) error {
	if x.Number == nil {
		if s.handled == nil {
			return &rewrite.Error{Number: 10704, Class: 15, Text: "To rethrow an error, a THROW statement must be used inside a CATCH block."}
		}
		return s.raise(ctx, s.handled)
	}
	number, err := s.literal(ctx, x.Number, datatype.Simple(datatype.Int))
	if err != nil {
		return err
	}
	text, err := s.literal(ctx, x.Message, datatype.NVar(2048))
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(number.Text, 10, 32)
	if err != nil || n < 50000 {
		return &rewrite.Error{Number: 35100, Text: fmt.Sprintf("Error number %s in the THROW statement is outside the valid range. Specify an error number in the valid range of 50000 to 2147483647.", number.Text)}
	}
	return s.raise(ctx, &rewrite.Error{Number: int32(n), Text: text.Text})
}

// raise ends the batch with an error, as THROW does.
func (s *session) raise(ctx context.Context, e *rewrite.Error) error {
	if s.trying > 0 {
		return e
	}
	s.report(e, 0)
	if _, err := s.afterError(ctx, e); err != nil {
		return err
	}
	s.reply.Statement(wire.Done{Failed: true})
	return stopBatch{failed: true}
}

func (s *session) raiseError(ctx context.Context, x *tsql.RaiseError) error {
	text, err := s.literal(ctx, x.Message, datatype.NVar(2048))
	if err != nil {
		return err
	}
	severity, err := s.literal(ctx, x.Severity, datatype.Simple(datatype.Int))
	if err != nil {
		return err
	}
	if strings.Contains(text.Text, "%") {
		return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement RAISERROR with a format"}
	}
	class, err := strconv.Atoi(severity.Text)
	if err != nil || class < 0 || class > 18 {
		return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement RAISERROR of severity " + severity.Text}
	}
	e := &rewrite.Error{Number: 50000, Class: byte(class), Text: text.Text}
	if class <= 10 || s.trying == 0 {
		// Unlike other errors it ends neither the batch nor, under XACT_ABORT, the transaction.
		s.reply.Message(wire.Message{Number: e.Number, State: 1, Class: byte(class), Text: e.Text})
		s.failed = s.failed || class > 10
		return nil
	}
	return e
}

// literal evaluates an expression that must not be NULL.
func (s *session) literal(ctx context.Context, x tsql.Expr, t datatype.Type) (datatype.Value, error) {
	q, err := s.translator().Value(ctx, x, t)
	if err != nil {
		return datatype.Value{}, err
	}
	v, err := s.value(ctx, q)
	v.Text = datatype.Load(v.Text)
	return v, err
}

func (s *session) print(ctx context.Context, x *tsql.Print) error {
	v, err := s.literal(ctx, x.X, datatype.NVar(4000))
	if err != nil {
		return err
	}
	s.reply.Message(wire.Message{Class: 0, State: 1, Text: v.Text})
	return nil
}

func (s *session) declare(ctx context.Context, x *tsql.Declare) error {
	for _, d := range x.Variables {
		key := strings.ToLower(d.Name)
		if _, ok := s.variables[key]; ok {
			return &rewrite.Error{Number: 134, Class: 15, Text: fmt.Sprintf("The variable name '%s' has already been declared. Variable names must be unique within a query batch or stored procedure.", d.Name)}
		}
		v := rewrite.Variable{Type: d.Type, Value: datatype.Value{Null: true}}
		if d.Value != nil {
			q, err := s.translator().Value(ctx, d.Value, d.Type)
			if err != nil {
				return err
			}
			if v.Value, err = s.value(ctx, q); err != nil {
				return err
			}
		}
		s.variables[key] = v
	}
	return nil
}

func (s *session) assign(ctx context.Context, x *tsql.SetVariable) error {
	key := strings.ToLower(x.Name)
	v, ok := s.variables[key]
	if !ok {
		return &rewrite.Error{Number: 137, Class: 15, Text: fmt.Sprintf("Must declare the scalar variable \"%s\".", x.Name)}
	}
	value := x.X
	if x.Op != "=" {
		value = &tsql.Binary{Op: x.Op[:1], L: &tsql.Variable{Name: x.Name}, R: x.X}
	}
	q, err := s.translator().Value(ctx, value, v.Type)
	if err != nil {
		return err
	}
	if v.Value, err = s.value(ctx, q); err != nil {
		return err
	}
	s.variables[key] = v
	s.rowCount = 1
	return nil
}

// wait is WAITFOR DELAY 'hh:mm:ss'.
func (s *session) wait(ctx context.Context, x *tsql.WaitFor) error {
	v, err := s.literal(ctx, x.Delay, datatype.NVar(20))
	if err != nil {
		return err
	}
	layout := "15:04:05"
	if strings.Count(v.Text, ":") == 1 {
		layout = "15:04"
	}
	at, err := time.Parse(layout, v.Text)
	if err != nil {
		return &rewrite.Error{Number: 148, Class: 15, Text: fmt.Sprintf("Incorrect time syntax in time string '%s' used with WAITFOR.", v.Text)}
	}
	midnight := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
	timer := time.NewTimer(at.Sub(midnight))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
