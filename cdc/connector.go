package cdc

import (
	"context"
	"database/sql/driver"
	"errors"
)

// connector makes every session read-only before anybody can use it.
type connector struct{ driver.Connector }

// Connect opens a session.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	exec, ok := conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.Join(errors.New("the MySQL driver cannot execute statements"), conn.Close())
	}
	for _, q := range []string{"SET SESSION TRANSACTION READ ONLY", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"} {
		if _, err := exec.ExecContext(ctx, q, nil); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	// A chunk may take longer than the server allows statements in general: MariaDB's name, and MySQL's.
	for _, q := range []string{"SET SESSION max_statement_time = 0", "SET SESSION max_execution_time = 0"} {
		const unknownVariable = 1193
		if _, err := exec.ExecContext(ctx, q, nil); err != nil {
			if code, _, ok := serverError(err); !ok || code != unknownVariable {
				return nil, errors.Join(err, conn.Close())
			}
		}
	}
	return conn, nil
}
