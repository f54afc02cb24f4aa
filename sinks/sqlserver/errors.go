package sqlserver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/etlsandbox/cdc/sinks"
)

// classify gives an error of the driver the class and the words that its caller needs. doing is a verb
// phrase with the name of what was done.
func classify(doing string, err error) error {
	var stop *sinks.StopError
	var retry *sinks.RetryError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &stop), errors.As(err, &retry), errors.Is(err, sinks.ErrFenced):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, err)
	}
	wrapped := fmt.Errorf("%s: %w", doing, err)
	server := numbers(err)
	if len(server) == 0 {
		return &sinks.RetryError{Reason: "connection", Err: wrapped}
	}
	for _, e := range server {
		if reason, alarm, ok := retryable(e); ok {
			return &sinks.RetryError{Reason: reason, Alarm: alarm, Err: wrapped}
		}
	}
	return &sinks.StopError{What: doing, Err: err, Hint: hintFor(server), Access: isAccess(server)}
}

// numbers returns the errors that the server sent, the first first: what follows it says what became of the
// batch.
func numbers(err error) []mssql.Error {
	var e mssql.Error
	if !errors.As(err, &e) || e.Number == 0 {
		return nil
	}
	if len(e.All) > 0 {
		return e.All
	}
	return []mssql.Error{e}
}

// first is the number of the first error that the server sent, 0 if it sent none.
func first(err error) int32 {
	if all := numbers(err); len(all) > 0 {
		return all[0].Number
	}
	return 0
}

// severed is the severity from which on the server ends the connection.
const severed = 20

// retryable tells errors that pass, with a word for each; alarm marks those that pass only when somebody
// helps.
func retryable(e mssql.Error) (reason string, alarm, ok bool) {
	switch e.Number {
	case 1205:
		return "deadlock", false, true
	case 1222:
		return "lock_timeout", false, true
	case 3960, 3961:
		return "serialization", false, true
	case 2714:
		return "race", false, true // two processes made the bookkeeping tables at once
	case 1101, 1105, 9002, 5149:
		return "disk_full", true, true
	case 701, 802, 1204, 8628, 8645, 8651:
		return "memory", true, true
	case 3906, 3908:
		return "read_only", true, true
	case 823, 824, 825, 5180, 605:
		return "server_io", true, true
	case 10928, 10929, 40501, 49918, 49919, 49920:
		return "throttled", false, true
	case 64, 233, 596, 921, 922, 923, 924, 927, 942, 952, 976, 978, 979, 983, 3617, 6002, 6005, 10053, 10054, 10060, 10061, 17142, 18401,
		18451, 40197, 40540, 40613:
		return "connection", false, true // it starts, stops, fails over or ended the session
	}
	if e.Class >= severed {
		return "connection", false, true
	}
	return "", false, false
}

// isPoison tells errors that say something of a row's content: out of range, violated constraints, a trigger's own
// refusal, a key too long for an index.
func isPoison(err error) bool {
	n := first(err)
	switch n {
	case 2627, 2601, // unique
		547, 515, 550, // check, foreign key; NOT NULL; CHECK OPTION
		2628, 8152, 220, 232, 8115, // too long, out of range
		241, 242, 245, 248, 8114, 9803, // does not convert
		511, 1946, 1919, // row or key too long
		3609, 3616: // a trigger ended it
		return true
	}
	return n >= userErrors
}

// userErrors is the first number of errors that a trigger raises by itself.
const userErrors = 50000

// isEnded says that the transaction that the statement counted on is gone, or cannot go on.
func isEnded(err error) bool {
	switch first(err) {
	case 628, 3902, 3903, 3930, 3931, 3998, 6401:
		return true
	}
	return false
}

func isDuplicate(n int32) bool { return n == 2627 || n == 2601 }

// isAccess tells that the credentials were refused. A login to a database that is not there ends with the same error,
// behind one that says so.
func isAccess(all []mssql.Error) bool {
	refused := false
	for _, e := range all {
		switch e.Number {
		case 18452, 18456, 18461, 18470, 18486, 18487, 18488:
			refused = true
		case 4060, 911:
			return false
		}
	}
	return refused
}

// isBroken reports whether the connection cannot be used again. An error that is neither the server's nor the
// network's says nothing of it.
func isBroken(err error) bool {
	var network net.Error
	switch {
	case err == nil:
		return false
	case slices.ContainsFunc(numbers(err), func(e mssql.Error) bool { return e.Class >= severed || e.Number == 596 }):
		return true
	case errors.Is(err, errBroken), errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return true
	}
	var stream mssql.StreamError
	var server mssql.ServerError
	return errors.As(err, &stream) || errors.As(err, &server)
}

func hintFor(all []mssql.Error) string {
	for _, e := range all {
		switch e.Number {
		case 18456, 18452, 18461, 18470, 18486:
			return "check user and password, and that the login may connect"
		case 18487, 18488:
			return "set a new password for the login"
		case 4060, 911:
			return "create the database, name another, or make the login a user of it (CREATE USER)"
		case 916:
			return "make the login a user of the database (CREATE USER)"
		case 2760:
			return "create the schema (CREATE SCHEMA) and grant the rights on it"
		case 229, 230, 262, 297, 300, 1088, 3701, 4902, 15247:
			return "grant the sink's user CREATE TABLE on the database and SELECT, INSERT, UPDATE, DELETE, ALTER on the schema"
		case 5074, 4922:
			return "an index, a default or a constraint is made for the column: drop it, make the change, and make it again"
		case 208, 4701:
			return "somebody dropped or renamed it: restart the sink to have it made and filled again"
		case 207:
			return "somebody dropped or renamed it: restart the sink, which adds it again without its values (with schema_changes: expand), then give them back by cdc resync --sink NAME"
		}
	}
	return fmt.Sprintf("error %d of SQL Server", all[0].Number)
}

// reasonOf is what cdc_quarantine says of a refused row: the server's message with the names in it, but not the
// values, which it quotes behind some of them.
func reasonOf(tg *target, err error) string {
	all := numbers(err)
	if len(all) == 0 {
		return err.Error()
	}
	e := all[0]
	msg := e.Message
	for _, values := range []string{" The duplicate key value is", " Truncated value:"} {
		msg, _, _ = strings.Cut(msg, values)
	}
	if isDuplicate(e.Number) && tg.keyIndex != "" && strings.Contains(msg, "'"+tg.keyIndex+"'") {
		return fmt.Sprintf("the key is one for SQL Server with the key of another row: it ignores %s (error %d, constraint %s)",
			tg.keyBlindness(), e.Number, tg.keyIndex)
	}
	return fmt.Sprintf("%s (error %d)", msg, e.Number)
}
