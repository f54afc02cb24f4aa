package tds

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
	"github.com/etlsandbox/cdc/internal/testenv/tds/wire"
)

// session is what a client sees of the server. It is used by its connection's goroutine alone.
type session struct {
	c  *connection
	pg *pgconn.PgConn
	// steps counts what the session did, for hooks.
	steps int

	database string
	options  options
	tx       transaction
	prepared map[int]prepared
	handles  int

	// Of the request being served:
	reply *wire.Tokens
	// fresh says that the session was made as if new for it.
	fresh bool
	// failed says that its last statement failed.
	failed    bool
	variables map[string]rewrite.Variable
	tables    tableVariables
	rowCount  int64
	// handled is the error that a CATCH block handles; nil outside of one.
	handled *rewrite.Error
	// scope is that of the text that a procedure runs; nil in a batch.
	scope *scope
	// trying counts the TRY blocks around the statement, nesting the texts that run within texts.
	trying, nesting int
	// bulk is the load that the last request announced.
	bulk *bulkTarget
}

// options are what SET changes.
type options struct {
	xactAbort, noCount, formatOnly bool
	lockTimeout                    string // in ms, "-1" waits forever
	isolation                      string
}

func defaults() options { return options{lockTimeout: "-1", isolation: "READ COMMITTED"} }

// transaction is the session's transaction.
type transaction struct {
	// count is @@TRANCOUNT; PostgreSQL's transaction is open while it is not 0, unless doomed.
	count int
	// id is what the client knows it by.
	id uint64
	// doomed says that an error left nothing to do but to roll back.
	doomed bool
	// name is that of the outermost BEGIN TRANSACTION, saves are the savepoints.
	name  string
	saves []string
}

// prepared is a statement of sp_prepare.
type prepared struct {
	text   string
	params []tsql.VariableDef
}

// textOID is PostgreSQL's type text.
const textOID uint32 = 25

func newSession(c *connection) (*session, error) {
	pg, err := c.server.connect(c.life)
	if err != nil {
		return nil, err
	}
	if _, err := pg.Prepare(c.life, tableStatement, tableSQL, []uint32{textOID, textOID}); err != nil {
		_ = pg.Close(c.life) // the other error is told
		return nil, fmt.Errorf("prepare a session: %w", err)
	}
	return &session{c: c, pg: pg, options: defaults(), prepared: map[int]prepared{}, tables: newTableVariables()}, nil
}

// close ends the session; what is open is rolled back.
func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), cancelPatience)
	defer cancel()
	_ = s.pg.Close(ctx) // PostgreSQL rolls back whether it hears of it or not
}

// reset makes the session as if new, as a client's pool asks before it lends it again.
func (s *session) reset(ctx context.Context, keepTransaction bool) error {
	if s.tx.count > 0 && !keepTransaction {
		id := s.tx.id
		if err := s.rollback(); err != nil {
			return err
		}
		s.reply.RolledBack(id)
	}
	if s.tx.count == 0 {
		for _, q := range []string{"DISCARD TEMP", "SET lock_timeout = 0"} {
			if _, err := s.pg.Exec(ctx, q).ReadAll(); err != nil {
				return fmt.Errorf("reset a session: %w", err)
			}
		}
		clear(s.tables.spare)
	}
	s.options, s.prepared, s.rowCount = defaults(), map[int]prepared{}, 0
	s.reply.SessionReset()
	return nil
}

// serve serves one message. An error ends the connection; what the client did wrong is told in the reply.
func (s *session) serve(ctx context.Context, p wire.Packet, body *message) error {
	s.fresh = p.Reset
	s.failed, s.handled, s.trying, s.variables = false, nil, 0, map[string]rewrite.Variable{}
	if p.Reset {
		if err := s.reset(ctx, p.KeepTransaction); err != nil {
			return err
		}
	}
	defer s.forgetTables()
	var err error
	switch p.Kind {
	case wire.KindBatch:
		err = s.serveBatch(ctx, body)
	case wire.KindRPC:
		err = s.serveCall(ctx, body)
	case wire.KindTransaction:
		err = s.serveTransaction(ctx, body)
	case wire.KindBulk:
		err = s.serveBulk(ctx, body)
	case wire.KindAttention:
		return nil // the request it was meant for had just ended
	default:
		return fmt.Errorf("serve a message: kind %d is not one that the double implements", p.Kind)
	}
	return s.tell(ctx, err)
}

// tell reports what ended a request, unless it ends the connection.
func (s *session) tell(ctx context.Context, err error) error {
	var known *rewrite.Error
	var stop stopBatch
	switch {
	case err == nil, errors.As(err, &stop):
		return nil
	case errors.As(err, &known):
		s.report(known, 0)
		return nil
	case ctx.Err() != nil && s.c.life.Err() == nil && !s.pg.IsClosed():
		return nil // cancelled by the client, who gets the confirmation
	}
	return err
}

// report writes an error into the reply.
func (s *session) report(e *rewrite.Error, line int) {
	s.failed = true
	s.reply.Message(wire.Message{Number: e.Number, State: 1, Class: e.Severity(), Text: e.Text, Line: int32(line)})
}

// stopBatch ends a batch without another word: RETURN, or an error that was told.
type stopBatch struct{ failed bool }

func (stopBatch) Error() string { return "the batch is over" }

func (s *session) serveBatch(ctx context.Context, body *message) error {
	r := wire.NewReader(body)
	if err := s.belongs(r.Headers()); err != nil {
		return err
	}
	text := r.Rest()
	if r.Err() != nil {
		return protocolError(r.Err())
	}
	return s.runText(ctx, text)
}

// protocolError is what a client gets for a message that cannot be read.
func protocolError(err error) error {
	return &rewrite.Error{Number: rewrite.Refusal, Text: err.Error()}
}

// runText parses and runs a batch.
func (s *session) runText(ctx context.Context, text string) error {
	batch, err := tsql.Parse(text)
	if err != nil {
		return &rewrite.Error{Number: rewrite.Refusal, Class: 15, Text: err.Error()}
	}
	if err := firstAlone(batch); err != nil {
		return err
	}
	return s.block(ctx, batch)
}

// firstAlone checks the statements that SQL Server wants to be first in their batch.
func firstAlone(batch []tsql.Statement) error {
	for i, x := range batch {
		var name string
		switch x.(*tsql.Source).Statement.(type) {
		case *tsql.CreateSchema:
			name = "CREATE SCHEMA"
		case *tsql.CreateView:
			name = "CREATE VIEW"
		}
		if name != "" && (i > 0 || len(batch) > 1) {
			return &rewrite.Error{Number: 111, Class: 15, Text: "'" + name + "' must be the first statement in a query batch."}
		}
	}
	return nil
}

// step asks the hooks about what comes next, and does what they say. After is to be called when it is done.
func (s *session) step(ctx context.Context, kind Kind, text string) (after func() error, err error) {
	s.steps++
	f := s.c.server.hooks.see(Step{Session: s.c.id, N: s.steps, Kind: kind, Text: text})
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if f.Before {
		s.c.cut()
		return nil, errCut
	}
	if f.Error != 0 {
		return nil, injected(f.Error)
	}
	return func() error {
		if f.After {
			s.c.cut()
			return errCut
		}
		return nil
	}, nil
}

// translator is for one statement.
func (s *session) translator() *rewrite.Translator {
	state := rewrite.State{
		RowCount: s.rowCount, TranCount: s.tx.count, SPID: 50 + s.c.id, Database: s.database,
		Login: s.c.server.options.User, Error: s.handled,
	}
	if s.tx.count > 0 {
		state.XactState = 1
		if s.tx.doomed {
			state.XactState = -1
		}
	}
	return &rewrite.Translator{Catalog: &catalog{s}, Variables: s.variables, State: state}
}

// evaluate runs a translated query of one value.
func (s *session) evaluate(ctx context.Context, q rewrite.Query) (datatype.Value, error) {
	rows, err := s.rows(ctx, q.SQL, q.Params)
	if err != nil {
		return datatype.Value{}, err
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return datatype.Value{}, fmt.Errorf("evaluate an expression: PostgreSQL returned %d rows", len(rows))
	}
	return rows[0][0], nil
}

// rows runs a query of PostgreSQL and returns what it gives.
func (s *session) rows(ctx context.Context, sql string, params []datatype.Value) ([][]datatype.Value, error) {
	return s.collect(ctx, s.pg.ExecParams(ctx, sql, arguments(params), nil, nil, nil))
}

func (s *session) collect(ctx context.Context, r *pgconn.ResultReader) ([][]datatype.Value, error) {
	var out [][]datatype.Value
	for r.NextRow() {
		out = append(out, values(r.Values()))
	}
	if _, err := r.Close(); err != nil {
		return nil, s.serverError(ctx, err)
	}
	return out, nil
}

func arguments(params []datatype.Value) [][]byte {
	out := make([][]byte, len(params))
	for i, v := range params {
		if !v.Null {
			out[i] = []byte(v.Text)
		}
	}
	return out
}

func values(raw [][]byte) []datatype.Value {
	out := make([]datatype.Value, len(raw))
	for i, b := range raw {
		if b == nil {
			out[i].Null = true
			continue
		}
		out[i].Text = string(b)
	}
	return out
}
