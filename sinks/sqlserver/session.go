package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	mssql "github.com/microsoft/go-mssqldb"
)

// session is one connection. It is used by one goroutine at a time.
type session struct {
	db   *sql.DB
	conn *sql.Conn
	// sent is told of every statement before it is sent; may be nil.
	sent func()
}

// open connects.
func (c Config) open(ctx context.Context) (*session, error) {
	k, err := c.connector()
	if err != nil {
		return nil, err
	}
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	s := &session{db: sql.OpenDB(k)}
	if s.conn, err = s.db.Conn(ctx); err != nil {
		if ctx.Err() != nil && caller.Err() == nil && numbers(err) == nil {
			err = fmt.Errorf("no answer within %s", c.ConnectTimeout)
		}
		return nil, errors.Join(fmt.Errorf("connect to %s:%d, database %s: %w", c.Host, c.Port, c.Database, err), s.db.Close())
	}
	return s, nil
}

// close ends the connection.
func (s *session) close() error {
	err := s.conn.Close()
	if errors.Is(err, sql.ErrConnDone) {
		err = nil
	}
	return errors.Join(err, s.db.Close())
}

// errNoSession is what is said of a session that was given up after an error: its owner has to make another.
var errNoSession = fmt.Errorf("%w: there is no session", errBroken)

// ready tells of a statement that is about to be sent. There may be no session to send it over.
func (s *session) ready() error {
	if s == nil {
		return errNoSession
	}
	if s.sent != nil {
		s.sent()
	}
	return nil
}

// exec runs one text and returns the rows that it affected.
func (s *session) exec(ctx context.Context, text string, args ...any) (int64, error) {
	if err := s.ready(); err != nil {
		return 0, err
	}
	res, err := s.conn.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, s.check(err)
	}
	return res.RowsAffected()
}

// errBroken marks an error after which the connection cannot be used again.
var errBroken = errors.New("the connection is lost")

// check asks the driver what an error has left of the connection: not every error of the network says what it is.
func (s *session) check(err error) error {
	if err == nil {
		return nil
	}
	raw := s.conn.Raw(func(dc any) error {
		if c, ok := dc.(*mssql.Conn); ok && c.IsValid() {
			return nil
		}
		return errBroken
	})
	if raw != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return err
}

// each calls f for every row, after its columns were put into dest.
func (s *session) each(ctx context.Context, text string, args []any, f func() error, dest ...any) error {
	if err := s.ready(); err != nil {
		return err
	}
	rows, err := s.conn.QueryContext(ctx, text, args...)
	if err != nil {
		return s.check(err)
	}
	for err == nil && rows.Next() {
		if err = rows.Scan(dest...); err == nil {
			err = f()
		}
	}
	return s.check(errors.Join(err, rows.Err(), rows.Close()))
}

// one reads the first row; found is false if there is none.
func (s *session) one(ctx context.Context, text string, args []any, dest ...any) (found bool, err error) {
	err = s.each(ctx, text, args, func() error { found = true; return nil }, dest...)
	return found, err
}

// bulk loads rows into a table. An error from rows leaves the connection in the middle of a packet: it is of no use
// any more then.
func (s *session) bulk(ctx context.Context, table string, columns []string, rows func(add func([]any) error) error) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.check(s.conn.Raw(func(dc any) error {
		c, ok := dc.(*mssql.Conn)
		if !ok {
			return fmt.Errorf("the driver's connection is a %T", dc)
		}
		b := c.CreateBulkContext(ctx, table, columns)
		b.Options.KeepNulls = true
		if err := rows(b.AddRow); err != nil {
			return err
		}
		_, err := b.Done()
		return err
	}))
}

// inTransaction runs f in a transaction that is committed unless f fails.
func (s *session) inTransaction(ctx context.Context, f func() error) error {
	if _, err := s.exec(ctx, beginSQL.with()); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err := f()
	if err == nil {
		if _, err = s.exec(ctx, commitSQL.with()); err == nil {
			return nil
		}
		err = fmt.Errorf("commit: %w", err)
	}
	// What f says tells more than an error of the rollback, after which the connection is given up anyway.
	if _, rb := s.exec(context.WithoutCancel(ctx), rollbackSQL.with()); rb != nil && numbers(err) != nil {
		err = errors.Join(err, rb)
	}
	return err
}
