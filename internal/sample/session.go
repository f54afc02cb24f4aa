package sample

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
)

// Error numbers of the server that this package tells apart.
const (
	errDatabaseExists          = 1007
	errRecordChanged           = 1020 // MariaDB with innodb_snapshot_isolation
	errShutdown                = 1053
	errDuplicateKey            = 1062
	errConnectionKilled        = 1927 // MariaDB
	errLockWait                = 1205
	errDeadlock                = 1213
	errQueryInterrupted        = 1317
	errRowIsReferenced         = 1451
	errNoReferencedRow         = 1452
	errCascadeDuplicate        = 1761 // a cascade would make a key twice; 1762 where the server may not say which
	errCascadeDuplicateUnnamed = 1762
	errLockDeadlock            = 3101 // MySQL, group replication
)

// session is one connection with fixed settings, taken out of the caller's pool.
type session struct{ conn *sql.Conn }

// openSession takes a connection, selects the schema and fixes everything that would
// make the same statements mean different things on different servers.
func openSession(ctx context.Context, db *sql.DB, schema string) (session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return session{}, fmt.Errorf("connect to the sample's server: %w", err)
	}
	s := session{conn: conn}
	for _, stmt := range []string{
		"USE " + quoteName(schema),
		"SET NAMES utf8mb4 COLLATE utf8mb4_general_ci",
		"SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', innodb_lock_wait_timeout = 5",
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
	} {
		if _, err := conn.ExecContext(ctx, stmt); err != nil {
			s.close()
			return session{}, fmt.Errorf("prepare a session in %s: %s: %w", schema, stmt, err)
		}
	}
	return s, nil
}

// close ends the connection instead of returning it: the caller's pool must not get
// one back whose settings were changed.
func (s session) close() {
	// Raw hands ErrBadConn back to us; the pool has dropped the connection then, so
	// there is nothing left that could fail in a way worth reporting.
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = s.conn.Close()
}
