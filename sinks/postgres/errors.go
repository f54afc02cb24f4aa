package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

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
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return &sinks.RetryError{Reason: "connection", Err: wrapped}
	}
	if reason, alarm, ok := retryable(pg.Code); ok {
		return &sinks.RetryError{Reason: reason, Alarm: alarm, Err: wrapped}
	}
	return &sinks.StopError{What: doing, Err: err, Hint: hintFor(pg), Access: strings.HasPrefix(pg.Code, "28")}
}

// retryable tells SQLSTATEs that pass, with a word for each; alarm marks those that pass only when
// somebody helps.
func retryable(code string) (reason string, alarm, ok bool) {
	switch code {
	case "40001":
		return "serialization", false, true
	case "40P01":
		return "deadlock", false, true
	case "55P03":
		return "lock_timeout", false, true
	case "57014":
		return "canceled", false, true
	case "25006":
		return "read_only", true, true
	case "57P04":
		return "", false, false // the database was dropped
	}
	switch code[:2] {
	case "08", "57":
		return "connection", false, true
	case "53":
		if code == "53300" {
			return "too_many_connections", false, true
		}
		return "disk_full", true, true // also out of memory
	case "58", "XX":
		return "server_io", true, true
	}
	return "", false, false
}

// isPoison tells errors that say something of a row's content: out of range, violated constraints, a
// trigger's own refusal, a key too long for an index.
func isPoison(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "54000", "P0001", "21000", "44000":
		return true
	}
	return strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23")
}

// isBroken reports whether the connection cannot be used again.
func isBroken(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "57P")
	}
	var op net.Error
	return err != nil && (errors.As(err, &op) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}

func hintFor(pg *pgconn.PgError) string {
	switch pg.Code {
	case "28P01", "28000":
		return "check user, password and pg_hba.conf"
	case "3D000", "57P04":
		return "create the database, or name another"
	case "3F000":
		return "create the schema (CREATE SCHEMA) and grant USAGE and CREATE on it to the sink's role"
	case "42501":
		return "grant the sink's role USAGE and CREATE on the schema, TEMPORARY on the database, and SELECT, INSERT, UPDATE, DELETE on the table (to own an adopted table is better)"
	case "42P01":
		return "somebody dropped or renamed it: restart the sink to have it made and filled again"
	case "42703":
		return "somebody dropped or renamed it: restart the sink, which adds it again without its values (with schema_changes: expand), then give them back by cdc resync --sink NAME"
	}
	if pg.Hint != "" {
		return pg.Hint
	}
	return "SQLSTATE " + pg.Code
}
