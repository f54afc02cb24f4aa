package tds

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
	"github.com/etlsandbox/cdc/internal/testenv/tds/wire"
)

// block runs statements one after the other.
func (s *session) block(ctx context.Context, body []tsql.Statement) error {
	for _, x := range body {
		if err := s.statement(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

// statement runs one statement and decides what its error does to the batch and the transaction.
func (s *session) statement(ctx context.Context, x tsql.Statement) error {
	src, ok := x.(*tsql.Source)
	if !ok {
		return fmt.Errorf("run a statement: %T has no source", x)
	}
	if s.reply.Err() != nil {
		return s.reply.Err()
	}
	err := s.dispatch(ctx, src)
	var known *rewrite.Error
	if err == nil || !errors.As(err, &known) {
		return s.interrupted(ctx, err)
	}
	if s.trying > 0 {
		return s.caught(ctx, known)
	}
	s.report(known, src.Line)
	ended, endErr := s.afterError(ctx, known)
	if endErr != nil {
		return endErr
	}
	s.rowCount = 0
	s.reply.Statement(wire.Done{Failed: true})
	if ended || endsBatch(known) {
		return stopBatch{failed: true}
	}
	return nil
}

// interrupted looks after the transaction when the client has cancelled the statement.
func (s *session) interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || s.c.life.Err() != nil || s.tx.count == 0 || !s.options.xactAbort {
		return err
	}
	id := s.tx.id
	if rollbackErr := s.rollback(); rollbackErr != nil {
		return rollbackErr
	}
	s.reply.RolledBack(id)
	return err
}

// afterError rolls the transaction back where the error, or XACT_ABORT, asks for it; ended says so.
func (s *session) afterError(ctx context.Context, e *rewrite.Error) (ended bool, err error) {
	if !s.options.xactAbort && !endsTransaction(e) {
		return false, nil
	}
	if s.tx.count == 0 {
		return true, nil
	}
	id := s.tx.id
	if err := s.rollback(); err != nil {
		return true, err
	}
	s.reply.RolledBack(id)
	return true, nil
}

// endsTransaction reports errors that roll the transaction back whatever XACT_ABORT says.
func endsTransaction(e *rewrite.Error) bool {
	switch e.Number {
	case 1205, 3960, 241, 245, 8114, 8169:
		return true
	}
	return false
}

// endsBatch reports errors after which the batch does not go on though the transaction does.
func endsBatch(e *rewrite.Error) bool {
	switch e.Number {
	case 207, 208, 209, 4104, 137, 468, rewrite.Refusal:
		return true
	}
	return false
}

// dispatch runs one statement.
func (s *session) dispatch(ctx context.Context, src *tsql.Source) error {
	if s.options.formatOnly {
		switch src.Statement.(type) {
		case *tsql.SelectStatement, *tsql.SetOption:
		default:
			return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement FMTONLY for other statements than SELECT"}
		}
	}
	if done, err := s.flow(ctx, src); done {
		return err
	}
	if s.tx.doomed {
		if _, ok := src.Statement.(*tsql.RollbackTran); !ok {
			return &rewrite.Error{Number: 3930, Text: "The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the transaction."}
		}
	}
	kind := KindSQL
	switch src.Statement.(type) {
	case *tsql.BeginTran:
		kind = KindBegin
	case *tsql.CommitTran:
		kind = KindCommit
	case *tsql.RollbackTran:
		kind = KindRollback
	}
	after, err := s.step(ctx, kind, src.Text)
	if err != nil {
		return err
	}
	if err := s.effect(ctx, src.Statement); err != nil {
		return err
	}
	return after()
}

// effect runs a statement that has an effect of its own.
func (s *session) effect(ctx context.Context, x tsql.Statement) error {
	t := s.translator()
	switch x := x.(type) {
	case *tsql.SelectStatement:
		return s.selectRows(ctx, x.Query)
	case *tsql.Insert:
		q, err := t.Insert(ctx, x)
		return s.change(ctx, q, err)
	case *tsql.Update:
		q, err := t.Update(ctx, x)
		return s.change(ctx, q, err)
	case *tsql.Delete:
		q, err := t.Delete(ctx, x)
		return s.change(ctx, q, err)
	case *tsql.InsertBulk:
		return s.announceBulk(ctx, x)
	case *tsql.BeginTran:
		return s.begin(ctx, 0, x.Name)
	case *tsql.CommitTran:
		return s.commit(ctx)
	case *tsql.RollbackTran:
		return s.rollbackTo(ctx, x.Name)
	case *tsql.SaveTran:
		return s.save(ctx, x.Name)
	case *tsql.SetOption:
		return s.set(ctx, x)
	case *tsql.Use:
		return s.changeDatabase(ctx, x.Database)
	case *tsql.Exec:
		return s.exec(ctx, x)
	}
	return s.define(ctx, x)
}

// change runs a translated INSERT, UPDATE or DELETE.
func (s *session) change(ctx context.Context, q rewrite.Query, err error) error {
	if err != nil {
		return err
	}
	return s.atomically(ctx, len(q.Locks) > 0, func() error {
		for _, l := range q.Locks {
			if err := s.command(ctx, l); err != nil {
				return err
			}
		}
		return s.stream(ctx, q)
	})
}

// selectRows runs a query: its rows go to the client, into variables or into a new table.
func (s *session) selectRows(ctx context.Context, q *tsql.Query) error {
	if body, ok := q.Body.(*tsql.Select); ok && body.Into != nil {
		return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement SELECT INTO"}
	}
	translated, assign, err := s.translator().Select(ctx, q)
	if err != nil {
		return err
	}
	if s.options.formatOnly {
		s.reply.Columns(wireColumns(translated.Columns))
		s.reply.Statement(wire.Done{Counted: true, Select: true})
		return nil
	}
	if len(assign) == 0 {
		return s.change(ctx, translated, nil)
	}
	return s.atomically(ctx, false, func() error {
		rows, err := s.rows(ctx, translated.SQL, translated.Params)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			for i, name := range assign {
				key := strings.ToLower(name)
				v := s.variables[key]
				v.Value = rows[len(rows)-1][i]
				s.variables[key] = v
			}
		}
		s.rowCount = int64(len(rows))
		return nil
	})
}

// stream runs a statement and sends its rows and their number.
func (s *session) stream(ctx context.Context, q rewrite.Query) error {
	r := s.pg.ExecParams(ctx, q.SQL, arguments(q.Params), nil, nil, nil)
	columns := wireColumns(q.Columns)
	var n int64
	var encodeErr error
	for r.NextRow() {
		if n == 0 {
			s.reply.Columns(columns)
		}
		n++
		if encodeErr == nil {
			encodeErr = s.reply.Row(columns, values(r.Values()))
		}
	}
	tag, err := r.Close()
	if err != nil {
		return s.failure(ctx, err)
	}
	if encodeErr != nil {
		return &rewrite.Error{Number: rewrite.Refusal, Text: encodeErr.Error()}
	}
	if n == 0 && len(columns) > 0 {
		s.reply.Columns(columns)
	}
	if len(columns) == 0 {
		n = tag.RowsAffected()
	}
	s.rowCount = n
	s.reply.Statement(wire.Done{Counted: len(columns) > 0 || !s.options.noCount, Rows: n, Select: tag.Select()})
	return nil
}

// pending is an error of PostgreSQL that can be named only after what failed was undone.
type pending struct{ err *pgconn.PgError }

func (p pending) Error() string { return p.err.Error() }

// failure turns the error of a statement into SQL Server's, except for duplicates, whose index must be looked up.
func (s *session) failure(ctx context.Context, err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "23505" && ctx.Err() == nil {
		return pending{e}
	}
	return s.serverError(ctx, err)
}

// command runs SQL of PostgreSQL that returns nothing.
func (s *session) command(ctx context.Context, sql string) error {
	if _, err := s.pg.Exec(ctx, sql).ReadAll(); err != nil {
		return s.failure(ctx, err)
	}
	return nil
}

// atomically runs what makes up one statement: all of it or nothing, whatever the transaction around it does.
// several says that it consists of several statements of PostgreSQL.
func (s *session) atomically(ctx context.Context, several bool, run func() error) error {
	var begin, end, undo string
	switch {
	case s.tx.count > 0 && s.trying == 0 && s.options.xactAbort:
		// An error ends the transaction as a whole.
	case s.tx.count > 0:
		begin, end, undo = "SAVEPOINT statement_", "RELEASE statement_", "ROLLBACK TO statement_; RELEASE statement_"
	case several:
		begin, end, undo = "BEGIN", "COMMIT", "ROLLBACK"
	}
	if begin != "" {
		if err := s.command(ctx, begin); err != nil {
			return err
		}
	}
	err := run()
	if err == nil && end != "" {
		err = s.command(ctx, end)
	}
	if err == nil {
		return nil
	}
	life := s.c.life // the client may have cancelled ctx
	if undo != "" {
		if undoErr := s.command(life, undo); undoErr != nil {
			return undoErr
		}
	}
	var p pending
	if !errors.As(err, &p) {
		return err
	}
	if s.tx.count > 0 && undo == "" {
		// The transaction is lost: end it in PostgreSQL now, so that the catalog can be asked.
		if undoErr := s.command(life, "ROLLBACK"); undoErr != nil {
			return undoErr
		}
		s.tx.doomed = true
	}
	return s.duplicate(life, p.err)
}

func wireColumns(columns []rewrite.Column) []wire.Column {
	out := make([]wire.Column, len(columns))
	for i, c := range columns {
		out[i] = wire.Column{Name: c.Name, Type: c.Type, Nullable: c.Nullable, Identity: c.Identity}
		if c.Type.Kind == datatype.Null {
			out[i].Type = datatype.Simple(datatype.Int)
		}
	}
	return out
}
