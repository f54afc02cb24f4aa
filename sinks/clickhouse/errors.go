package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/etlsandbox/cdc/sinks"
)

// ClickHouse's codes of errors that say something of a row: what cannot be parsed or converted, what is out
// of range or too large, a violated constraint, a materialized view's throwIf.
var poisonCodes = []int32{6, 26, 27, 38, 41, 69, 70, 72, 131, 321, 349, 395, 407, 469}

// codeThrowIf is what throwIf fails with.
const codeThrowIf = 395

// isServers tells errors that the server sent from those of the way to it.
func isServers(err error) bool {
	var ex *ch.Exception
	return errors.As(err, &ex)
}

// isPoison tells errors that are about a row's content.
func isPoison(err error) bool {
	var ex *ch.Exception
	return errors.As(err, &ex) && slices.Contains(poisonCodes, ex.Code)
}

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
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", doing, err)
	}
	wrapped := fmt.Errorf("%s: %w", doing, err)
	var ex *ch.Exception
	var status *ch.HTTPError
	switch {
	case errors.As(err, &ex):
		return classifyCode(doing, ex, wrapped, err)
	case errors.Is(err, context.DeadlineExceeded):
		return &sinks.RetryError{Reason: "timeout", Err: wrapped}
	case errors.As(err, &status) && (status.StatusCode == 401 || status.StatusCode == 403):
		return &sinks.StopError{What: doing, Err: err, Hint: "check user and password", Access: true}
	case errors.As(err, &status) && status.StatusCode < 500:
		return &sinks.StopError{What: doing, Err: err, Hint: "check host, port and protocol: is it ClickHouse's HTTP port, and no proxy's?"}
	}
	return &sinks.RetryError{Reason: "connection", Err: wrapped}
}

func classifyCode(doing string, ex *ch.Exception, wrapped, err error) error {
	if strings.Contains(ex.Message, "File name too long") { // under a code that otherwise passes
		return &sinks.StopError{What: doing, Err: err, Hint: "ClickHouse makes files of the names of tables: deliver the table to a shorter name, in which each letter" +
			" outside of a-z, A-Z, 0-9 and _ counts as three for each of its bytes, or leave it out of deliver"}
	}
	if reason, alarm, ok := retryable(ex.Code); ok {
		return &sinks.RetryError{Reason: reason, Alarm: alarm, Err: wrapped}
	}
	return &sinks.StopError{What: doing, Err: err, Hint: hintFor(ex), Access: isAccess(ex.Code)}
}

// retryable tells codes that pass, with a word for each; alarm marks those that pass only when somebody
// helps.
func retryable(code int32) (reason string, alarm, ok bool) {
	switch code {
	case 159, 160:
		return "timeout", false, true
	case 202, 203:
		return "too_many_queries", false, true
	case 252: // too many parts: merges lag behind
		return "too_many_parts", true, true
	case 241:
		return "memory", true, true
	case 243, 76, 74, 75:
		return "disk_full", true, true
	case 242, 164:
		return "read_only", true, true
	case 201:
		return "quota", true, true
	case 209, 210, 279, 236, 394, 373:
		return "connection", false, true
	case 225, 244, 285, 286, 289, 319, 999:
		return "keeper", true, true
	case 425, 1000, 1001, 1002:
		return "server_io", true, true
	}
	return "", false, false
}

func isAccess(code int32) bool { return slices.Contains([]int32{192, 193, 194, 516}, code) }

func hintFor(ex *ch.Exception) string {
	switch ex.Code {
	case 192, 193, 194, 516:
		return "check user and password"
	case 497, 291:
		return "grant the sink's user SELECT, INSERT, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, ALTER TABLE and TRUNCATE on the database"
	case 81:
		return "create the database (CREATE DATABASE), or name another"
	case 60, 16, 10, 8, 47:
		return "somebody dropped or renamed it: restart the sink to have it made and filled again"
	case 452, 115:
		return "the user's profile forbids or lacks a setting that the sink needs: SETTINGS PROFILE must let it change what the message names"
	}
	return fmt.Sprintf("ClickHouse error %d", ex.Code)
}
