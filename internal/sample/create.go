package sample

import (
	"context"
	"database/sql"
	_ "embed" // the schemas are data, not code
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// createdMark is the comment of one table in every schema that this package created.
// A comment, unlike a table of its own, adds nothing that a pipeline would capture.
const createdMark = "created by cdc seed"

//go:embed sakila.sql
var sakilaDDL string

// ErrForeignSchema is wrapped by the error of every function of this package that is
// asked to write to a schema which it did not create.
var ErrForeignSchema = errors.New("schema was not created by cdc seed")

// Create creates the Sakila schema of that name, without rows, and marks it as made
// by this package. A schema that carries the mark already is completed and kept with
// its rows; one that exists without the mark is refused (ErrForeignSchema).
func Create(ctx context.Context, db *sql.DB, schema string) error {
	return create(ctx, db, schema, sakilaDDL)
}

// Drop drops a schema that this package created, with all its rows. A schema that
// does not exist is no error; one that is not ours is refused (ErrForeignSchema).
func Drop(ctx context.Context, db *sql.DB, schema string) error {
	exists, err := checkOurs(ctx, db, schema)
	if err != nil || !exists {
		return err
	}
	if _, err := db.ExecContext(ctx, "DROP DATABASE "+quoteName(schema)); err != nil {
		return fmt.Errorf("drop schema %s: %w", schema, err)
	}
	return nil
}

func create(ctx context.Context, db *sql.DB, schema, ddl string) error {
	if schema == "" {
		return errors.New("create the sample schema: no schema name given")
	}
	exists, err := checkOurs(ctx, db, schema)
	if err != nil {
		return err
	}
	if !exists {
		// Without IF NOT EXISTS: who creates it at the same moment is not us.
		_, err := db.ExecContext(ctx, "CREATE DATABASE "+quoteName(schema)+" DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
		if isServerError(err, errDatabaseExists) {
			return foreignSchema(schema)
		}
		if err != nil {
			return fmt.Errorf("create schema %s: %w", schema, err)
		}
	}
	s, err := openSession(ctx, db, schema)
	if err != nil {
		return err
	}
	defer s.close()
	// Only this session, which is thrown away: store and staff refer to each other.
	if _, err := s.conn.ExecContext(ctx, "SET SESSION foreign_key_checks = 0"); err != nil {
		return fmt.Errorf("create tables in %s: switch foreign_key_checks off: %w", schema, err)
	}
	for _, stmt := range statements(ddl) {
		if _, err := s.conn.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("create tables in %s: %s: %w", schema, firstLine(stmt), err)
		}
	}
	return nil
}

// checkOurs says whether the schema exists. If it does and carries no mark of ours,
// the error wraps ErrForeignSchema.
func checkOurs(ctx context.Context, db *sql.DB, schema string) (exists bool, err error) {
	var schemas, marked int
	err = db.QueryRowContext(ctx, `SELECT
		(SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?),
		(SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = ? AND table_comment = ?)`,
		schema, schema, createdMark).Scan(&schemas, &marked)
	if err != nil {
		return false, fmt.Errorf("look for schema %s: %w", schema, err)
	}
	if schemas > 0 && marked == 0 {
		return true, foreignSchema(schema)
	}
	return schemas > 0, nil
}

// requireOurs is checkOurs for callers that need the schema to be there.
func requireOurs(ctx context.Context, db *sql.DB, schema string) error {
	exists, err := checkOurs(ctx, db, schema)
	if err != nil {
		return err
	}
	if !exists {
		return fmt.Errorf("schema %s does not exist: create it with cdc seed first", schema)
	}
	return nil
}

func foreignSchema(schema string) error {
	return fmt.Errorf("%w: %s exists and none of its tables has the comment %q; "+
		"choose another name, or drop that schema yourself if nobody needs it", ErrForeignSchema, schema, createdMark)
}

// statements splits a script at semicolons that end a line and drops comment lines.
func statements(script string) []string {
	var out []string
	var b strings.Builder
	for line := range strings.Lines(script) {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "--") {
			continue
		}
		b.WriteString(line)
		if strings.HasSuffix(trimmed, ";") {
			out = append(out, strings.TrimSuffix(strings.TrimSpace(b.String()), ";"))
			b.Reset()
		}
	}
	return out
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimSuffix(line, " (")
}

func quoteName(name string) string {
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// isServerError reports whether the server answered with one of these error numbers.
func isServerError(err error, numbers ...uint16) bool {
	var me *mysql.MySQLError
	if !errors.As(err, &me) {
		return false
	}
	for _, n := range numbers {
		if me.Number == n {
			return true
		}
	}
	return false
}
