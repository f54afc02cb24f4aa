package tds

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
)

// raisedState is the SQLSTATE of errors that the double's own functions raise, with their number in the detail.
const raisedState = "TSQLE"

func pgCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// serverError turns an error of PostgreSQL into SQL Server's. What has no counterpart stays as it is and is told
// under the double's own number.
func (s *session) serverError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return err // the connection to PostgreSQL is lost
	}
	if e.Code == raisedState {
		n, convErr := strconv.ParseInt(e.Detail, 10, 32)
		if convErr != nil {
			return fmt.Errorf("read the number of an error (%s): %w", e.Detail, convErr)
		}
		return &rewrite.Error{Number: int32(n), Text: e.Message}
	}
	if known := fromState(e); known != nil {
		return known
	}
	return &rewrite.Error{Number: rewrite.Refusal, Text: fmt.Sprintf("PostgreSQL behind the double: %s (SQLSTATE %s)", e.Message, e.Code)}
}

// fromState finds the counterpart of an SQLSTATE; nil if there is none.
func fromState(e *pgconn.PgError) *rewrite.Error {
	of := func(number int32, format string, args ...any) *rewrite.Error {
		return &rewrite.Error{Number: number, Text: fmt.Sprintf(format, args...)}
	}
	object := title(e.SchemaName, e.TableName)
	if strings.HasPrefix(e.SchemaName, "pg_temp") {
		object = e.TableName
	}
	switch e.Code {
	case "23502":
		return of(515, "Cannot insert the value NULL into column '%s', table '%s'; column does not allow nulls. The statement fails.", e.ColumnName, object)
	case "23514":
		return of(547, "The statement conflicted with the CHECK constraint \"%s\". The conflict occurred in table \"%s\".", e.ConstraintName, object)
	case "22003":
		if strings.Contains(e.Message, "numeric field overflow") {
			return of(8115, "Arithmetic overflow error converting numeric to data type numeric.")
		}
		return of(8115, "Arithmetic overflow error converting expression to data type %s.", overflowed(e.Message))
	case "22012":
		return of(8134, "Divide by zero error encountered.")
	case "22008":
		return of(517, "Adding a value to a date column caused an overflow.")
	case "21000":
		return of(512, "Subquery returned more than 1 value. This is not permitted when the subquery follows =, !=, <, <= , >, >= or when the subquery is used as an expression.")
	case "40P01":
		return injected(1205)
	case "40001":
		return injected(3960)
	case "55P03":
		return injected(1222)
	case "42803":
		return of(8120, "A column is invalid in the select list because it is not contained in either an aggregate function or the GROUP BY clause. (%s)", e.Message)
	case "42P07":
		return of(2714, "There is already an object with that name in the database. (%s)", e.Message)
	case "42P06":
		return of(2714, "There is already an object with that name in the database. (%s)", e.Message)
	case "3F000":
		return of(3701, "Cannot drop the schema, because it does not exist or you do not have permission. (%s)", e.Message)
	case "2BP01":
		return of(3729, "Cannot drop it because it is being referenced by another object. (%s)", e.Message)
	case "54000":
		return of(1946, "Operation failed. The index entry exceeds the maximum length. (%s)", e.Message)
	case "2201W", "2201X":
		return of(10743, "The number of rows provided for a FETCH clause must be greater then zero. (%s)", e.Message)
	case "53100":
		return injected(1105)
	case "25006":
		return injected(3906)
	}
	return nil
}

// overflowed is the type that PostgreSQL says a number does not fit into.
func overflowed(message string) string {
	for words, kind := range map[string]string{"integer": "int", "bigint": "bigint", "smallint": "smallint", "real": "real", "double precision": "float"} {
		if strings.Contains(message, words) {
			return kind
		}
	}
	return "numeric"
}

// duplicate names the index that an error of PostgreSQL speaks of as SQL Server does. It runs after the failed
// statement was undone.
func (s *session) duplicate(ctx context.Context, e *pgconn.PgError) error {
	rows, err := s.rows(ctx, `SELECT d.description FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0
WHERE n.nspname = $1 AND c.relname = $2`, []datatype.Value{datatype.Of(e.SchemaName), datatype.Of(e.ConstraintName)})
	if err != nil {
		return err
	}
	kind, name := rewrite.UniqueIndex, e.ConstraintName
	if len(rows) == 1 {
		kind, name = rewrite.ParseIndexComment(rows[0][0].Text)
	}
	object := title(e.SchemaName, e.TableName)
	if strings.HasPrefix(e.SchemaName, "pg_temp") {
		object = e.TableName
	}
	key := ""
	if _, after, ok := strings.Cut(e.Detail, "=("); ok {
		key = "(" + strings.TrimSuffix(strings.TrimSuffix(after, " already exists."), " is duplicated.")
	}
	creating := strings.HasPrefix(e.Message, "could not create unique index")
	switch {
	case creating:
		return &rewrite.Error{Number: 1505, Text: fmt.Sprintf("The CREATE UNIQUE INDEX statement terminated because a duplicate key was found for the object name '%s' and the index name '%s'. The duplicate key value is %s.", object, name, key)}
	case kind == rewrite.PrimaryKey:
		return &rewrite.Error{Number: 2627, Class: 14, Text: fmt.Sprintf("Violation of PRIMARY KEY constraint '%s'. Cannot insert duplicate key in object '%s'. The duplicate key value is %s.", name, object, key)}
	case kind == rewrite.UniqueConstraint:
		return &rewrite.Error{Number: 2627, Class: 14, Text: fmt.Sprintf("Violation of UNIQUE KEY constraint '%s'. Cannot insert duplicate key in object '%s'. The duplicate key value is %s.", name, object, key)}
	}
	return &rewrite.Error{Number: 2601, Class: 14, Text: fmt.Sprintf("Cannot insert duplicate key row in object '%s' with unique index '%s'. The duplicate key value is %s.", object, name, key)}
}
