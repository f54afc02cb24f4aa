package tds

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
	"github.com/etlsandbox/cdc/internal/testenv/tds/wire"
)

// isolations maps T-SQL's levels to PostgreSQL's. Readers of PostgreSQL never wait for writers, so READ COMMITTED
// is what READ_COMMITTED_SNAPSHOT makes of it, and REPEATABLE READ sees one moment instead of holding locks.
var isolations = map[string]string{
	"READ COMMITTED": "READ COMMITTED", "REPEATABLE READ": "REPEATABLE READ",
	"SNAPSHOT": "REPEATABLE READ", "SERIALIZABLE": "SERIALIZABLE",
}

// levels are the isolation levels of a transaction request.
var levels = []string{"", "READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "SNAPSHOT"}

// begin begins a transaction, or nests into the one there is. level is that of a request, 0 for the session's.
func (s *session) begin(ctx context.Context, level byte, name string) error {
	if int(level) >= len(levels) {
		return &rewrite.Error{Number: rewrite.Refusal, Text: fmt.Sprintf("the double does not implement isolation level %d", level)}
	}
	if s.tx.count > 0 {
		s.tx.count++
		return nil
	}
	isolation := s.options.isolation
	if level > 0 {
		isolation = levels[level]
		s.options.isolation = isolation // it stays, as on a real server
	}
	if isolations[isolation] == "" {
		return noLevel(isolation)
	}
	if isolation == "SNAPSHOT" {
		rows, err := s.rows(ctx, "SELECT snapshot_isolation FROM tds.databases WHERE name = current_setting('tds.database')", nil)
		if err != nil {
			return err
		}
		if len(rows) != 1 || rows[0][0].Text != "t" {
			return &rewrite.Error{Number: 3952, Text: fmt.Sprintf("Snapshot isolation transaction failed accessing database '%s' because snapshot isolation is not allowed in this database. Use ALTER DATABASE to allow snapshot isolation.", s.database)}
		}
	}
	if err := s.command(ctx, "BEGIN ISOLATION LEVEL "+isolations[isolation]); err != nil {
		return err
	}
	s.tx = transaction{count: 1, id: s.tx.id + 1, name: name}
	s.reply.Begun(s.tx.id)
	s.rowCount = 0
	return nil
}

func noLevel(isolation string) error {
	return &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement isolation level " + isolation}
}

// belongs refuses a request of another transaction than the session's. A client that has the session made as if new
// learns of its end by that.
func (s *session) belongs(transaction uint64) error {
	current := uint64(0)
	if s.tx.count > 0 {
		current = s.tx.id
	}
	if transaction != current && !s.fresh {
		return &rewrite.Error{Number: 3989, Text: "New request is not allowed to start because it should come with valid transaction descriptor."}
	}
	return nil
}

// commit ends the innermost transaction; the outermost is made durable.
func (s *session) commit(ctx context.Context) error {
	switch {
	case s.tx.count == 0:
		return &rewrite.Error{Number: 3902, Text: "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION."}
	case s.tx.doomed:
		return &rewrite.Error{Number: 3930, Text: "The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the transaction."}
	case s.tx.count > 1:
		s.tx.count--
		return nil
	}
	// A commit that has begun is not cancelled.
	if err := s.command(s.c.life, "COMMIT"); err != nil {
		s.tx.count = 0
		s.reply.RolledBack(s.tx.id)
		return err
	}
	s.tx.count = 0
	s.reply.Committed(s.tx.id)
	s.rowCount = 0
	return nil
}

// rollback ends the whole transaction.
func (s *session) rollback() error {
	doomed := s.tx.doomed
	s.tx = transaction{id: s.tx.id}
	if doomed {
		return nil // PostgreSQL's was ended with the error
	}
	return s.command(s.c.life, "ROLLBACK")
}

// rollbackTo goes back to a savepoint, or with an empty name ends the whole transaction.
func (s *session) rollbackTo(ctx context.Context, name string) error {
	if s.tx.count == 0 {
		return &rewrite.Error{Number: 3903, Text: "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION."}
	}
	if name == "" || strings.EqualFold(name, s.tx.name) {
		id := s.tx.id
		if err := s.rollback(); err != nil {
			return err
		}
		s.reply.RolledBack(id)
		s.rowCount = 0
		return nil
	}
	if s.tx.doomed {
		return &rewrite.Error{Number: 3931, Text: "The current transaction cannot be committed and cannot be rolled back to a savepoint. Roll back the entire transaction."}
	}
	for i := len(s.tx.saves) - 1; i >= 0; i-- {
		if strings.EqualFold(s.tx.saves[i], name) {
			s.tx.saves = s.tx.saves[:i+1]
			return s.command(ctx, "ROLLBACK TO "+savepoint(name))
		}
	}
	return &rewrite.Error{Number: 6401, Text: fmt.Sprintf("Cannot roll back %s. No transaction or savepoint of that name was found.", name)}
}

// save marks a place to come back to.
func (s *session) save(ctx context.Context, name string) error {
	if s.tx.count == 0 {
		return &rewrite.Error{Number: 628, Text: "Cannot issue SAVE TRANSACTION when there is no active transaction."}
	}
	if err := s.command(ctx, "SAVEPOINT "+savepoint(name)); err != nil {
		return err
	}
	s.tx.saves = append(s.tx.saves, name)
	return nil
}

func savepoint(name string) string { return rewrite.Ident("s_" + strings.ToLower(name)) }

// serveTransaction serves a transaction request of the driver.
func (s *session) serveTransaction(ctx context.Context, body *message) error {
	r := wire.NewReader(body)
	if err := s.belongs(r.Headers()); err != nil {
		return err
	}
	t, err := r.ReadTransaction()
	if err != nil {
		return protocolError(err)
	}
	var kind Kind
	var run func() error
	switch t.Kind {
	case wire.TxBegin:
		kind, run = KindBegin, func() error { return s.begin(ctx, t.Isolation, t.Name) }
	case wire.TxCommit:
		kind, run = KindCommit, func() error { return s.commit(ctx) }
	case wire.TxRollback:
		kind, run = KindRollback, func() error { return s.rollbackTo(ctx, t.Name) }
	case wire.TxSave:
		kind, run = KindSQL, func() error { return s.save(ctx, t.Name) }
	}
	if run == nil || t.Begin {
		return &rewrite.Error{Number: rewrite.Refusal, Text: fmt.Sprintf("the double does not implement transaction request %d (begin again: %v)", t.Kind, t.Begin)}
	}
	after, err := s.step(ctx, kind, "")
	if err == nil {
		if err = run(); err == nil {
			err = after()
		}
	}
	var known *rewrite.Error
	if errors.As(err, &known) {
		if _, endErr := s.afterError(ctx, known); endErr != nil {
			return endErr
		}
	}
	return err
}
