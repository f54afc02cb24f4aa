package tds

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
)

// catalog answers what exists from PostgreSQL's catalog, as the session sees it.
type catalog struct{ s *session }

// tableSQL describes a table of exactly that name, which an index finds; anyCaseSQL whatever the case.
const (
	tableSQL   = tableHead + ` AND c.relname = $2 AND c.relnamespace = CASE WHEN $1 = '' THEN pg_my_temp_schema() ELSE (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1) END ORDER BY a.attnum`
	anyCaseSQL = tableHead + ` AND lower(c.relname) = lower($2)
AND CASE WHEN $1 = '' THEN n.oid = pg_my_temp_schema() ELSE lower(n.nspname) = lower($1) END ORDER BY a.attnum`
)

// tableStatement is the name under which a session prepares tableSQL: it is asked for every table of every statement.
const tableStatement = "tds_table"

const tableHead = `SELECT c.oid, n.nspname, c.relname, c.relkind, a.attname, d.description, a.attnotnull, a.attidentity <> '', a.atthasdef
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = a.attnum
WHERE c.relkind IN ('r', 'v')`

// Table implements rewrite.Catalog.
func (c *catalog) Table(ctx context.Context, name tsql.Name) (*rewrite.Table, error) {
	schema, object, err := c.s.resolve(name)
	if err != nil {
		return nil, err
	}
	args := []datatype.Value{datatype.Of(schema), datatype.Of(object)}
	rows, err := c.s.collect(ctx, c.s.pg.ExecPrepared(ctx, tableStatement, arguments(args), nil, nil))
	if err == nil && len(rows) == 0 {
		rows, err = c.s.rows(ctx, anyCaseSQL, args)
	}
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	first := rows[0]
	id, err := strconv.ParseInt(first[0].Text, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("read the id of table %s: %w", object, err)
	}
	t := &rewrite.Table{
		ID: int32(id), Schema: first[1].Text, Name: first[2].Text, View: first[3].Text == "v", Temp: schema == "",
		Title: title(schema, first[2].Text),
	}
	if isTableVariable(name) {
		t.Variable, t.Title = true, object
	}
	for _, r := range rows {
		typ, err := rewrite.ParseTypeComment(r[5].Text)
		if err != nil {
			return nil, fmt.Errorf("column %s of table %s: %w", r[4].Text, object, err)
		}
		t.Columns = append(t.Columns, rewrite.Column{
			Name: r[4].Text, Type: typ, Nullable: r[6].Text == "f", Identity: r[7].Text == "t",
			Filled: r[7].Text == "t" || r[8].Text == "t",
		})
	}
	return t, nil
}

// title is a table's name as messages show it.
func title(schema, name string) string {
	if schema == "" {
		return name
	}
	return schemaPart(schema) + "." + name
}

// schemaPart is the schema's name in T-SQL.
func schemaPart(schema string) string {
	_, s, _ := strings.Cut(schema, "/")
	return s
}

// resolve finds the PostgreSQL schema that a name means; empty stands for temporary tables.
func (s *session) resolve(name tsql.Name) (schema, object string, err error) {
	object = name.Last()
	database, schemaName := s.database, "dbo"
	if len(name) >= 2 && name[len(name)-2] != "" {
		schemaName = name[len(name)-2]
	}
	if len(name) == 3 {
		database = name[0]
	}
	switch {
	case isTableVariable(name):
		object, err = s.tables.find(object)
		return "", object, err
	case strings.HasPrefix(object, "##"):
		return "", "", &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement global temporary tables (" + object + ")"}
	case strings.HasPrefix(object, "#"):
		return "", object, nil
	case strings.EqualFold(schemaName, "sys"), strings.EqualFold(schemaName, "INFORMATION_SCHEMA"):
		if len(name) == 3 && !strings.EqualFold(database, s.database) {
			return "", "", &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement catalog views of another database"}
		}
		return "tds/" + schemaName, object, nil
	case strings.EqualFold(database, "tempdb"):
		return "", "", &rewrite.Error{Number: rewrite.Refusal, Text: "the double does not implement lasting tables of tempdb"}
	}
	return database + "/" + schemaName, object, nil
}

// Schema implements rewrite.Catalog.
func (c *catalog) Schema(ctx context.Context, name string) (int32, error) {
	if name == "" {
		name = "dbo"
	}
	return c.s.id(ctx, "SELECT oid FROM tds.schemas WHERE lower(name) = lower($1)", name)
}

// Database implements rewrite.Catalog.
func (c *catalog) Database(ctx context.Context, name string) (int32, error) {
	if name == "" {
		name = c.s.database
	}
	return c.s.id(ctx, "SELECT id FROM tds.databases WHERE lower(name) = lower($1)", name)
}

func (s *session) id(ctx context.Context, sql, name string) (int32, error) {
	rows, err := s.rows(ctx, sql, []datatype.Value{datatype.Of(name)})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	n, err := strconv.ParseInt(rows[0][0].Text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("read the id of %s: %w", name, err)
	}
	return int32(n), nil
}

// place finds where a new table goes; its schema must exist.
func (s *session) place(ctx context.Context, name tsql.Name) (rewrite.Place, error) {
	schema, object, err := s.resolve(name)
	if err != nil {
		return rewrite.Place{}, err
	}
	if schema == "" {
		return rewrite.Place{Name: object, Temp: true}, nil
	}
	rows, err := s.rows(ctx, "SELECT nspname FROM pg_catalog.pg_namespace WHERE lower(nspname) = lower($1)", []datatype.Value{datatype.Of(schema)})
	if err != nil {
		return rewrite.Place{}, err
	}
	if len(rows) == 0 || strings.HasPrefix(schema, "tds/") {
		return rewrite.Place{}, &rewrite.Error{Number: 2760, Text: fmt.Sprintf("The specified schema name \"%s\" either does not exist or you do not have permission to use it.", schemaPart(schema))}
	}
	return rewrite.Place{Schema: rows[0][0].Text, Name: object}, nil
}

// use changes the session's database.
func (s *session) use(ctx context.Context, name string) error {
	rows, err := s.rows(ctx, "SELECT name FROM tds.databases WHERE lower(name) = lower($1)", []datatype.Value{datatype.Of(name)})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return &rewrite.Error{Number: 911, Text: fmt.Sprintf("Database '%s' does not exist. Make sure that the name is entered correctly.", name)}
	}
	canonical := rows[0][0].Text
	if _, err := s.rows(ctx, "SELECT set_config('tds.database', $1, false)", []datatype.Value{datatype.Of(canonical)}); err != nil {
		return err
	}
	s.database = canonical
	return nil
}

// createDatabase makes a database with its schema dbo.
func createDatabase(ctx context.Context, pg *pgconn.PgConn, name string, unlessThere bool) error {
	if strings.Contains(name, "/") || strings.EqualFold(name, "tds") || strings.EqualFold(name, "tempdb") || len(name) > 40 {
		return &rewrite.Error{Number: rewrite.Refusal, Text: fmt.Sprintf("the double does not implement a database of the name %q", name)}
	}
	schema := rewrite.Ident(name + "/dbo")
	insert := "INSERT INTO tds.databases (name) VALUES (" + rewrite.Literal(name) + ")"
	if unlessThere {
		insert += " ON CONFLICT DO NOTHING"
		schema = "IF NOT EXISTS " + schema
	}
	_, err := pg.Exec(ctx, "BEGIN; "+insert+"; CREATE SCHEMA "+schema+"; COMMIT").ReadAll()
	if err != nil {
		_, rollbackErr := pg.Exec(ctx, "ROLLBACK").ReadAll()
		if pgCode(err) == "23505" || pgCode(err) == "42P06" {
			return &rewrite.Error{Number: 1801, Text: fmt.Sprintf("Database '%s' already exists. Choose a different database name.", name)}
		}
		if rollbackErr != nil {
			return fmt.Errorf("create database %s: %w", name, rollbackErr)
		}
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}
