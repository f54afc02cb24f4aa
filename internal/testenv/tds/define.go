package tds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
	"github.com/etlsandbox/cdc/internal/testenv/tds/tsql"
	"github.com/etlsandbox/cdc/internal/testenv/tds/wire"
)

// define runs the statements that make, change and remove tables and the like.
func (s *session) define(ctx context.Context, x tsql.Statement) error {
	switch x := x.(type) {
	case *tsql.CreateTable:
		return s.createTable(ctx, x)
	case *tsql.DropTable:
		return s.dropRelations(ctx, x.Names, x.IfExists, "TABLE")
	case *tsql.DropView:
		return s.dropRelations(ctx, x.Names, x.IfExists, "VIEW")
	case *tsql.CreateIndex:
		return s.createIndex(ctx, x)
	case *tsql.DropIndex:
		sql, err := s.translator().DropIndex(ctx, x)
		return s.script(ctx, sql, err)
	case *tsql.AlterTable:
		return s.alterTable(ctx, x)
	case *tsql.CreateSchema:
		return s.script(ctx, []string{"CREATE SCHEMA " + rewrite.Ident(s.database+"/"+x.Name)}, nil)
	case *tsql.DropSchema:
		exists := ""
		if x.IfExists {
			exists = "IF EXISTS "
		}
		return s.script(ctx, []string{"DROP SCHEMA " + exists + rewrite.Ident(s.database+"/"+x.Name)}, nil)
	case *tsql.CreateView:
		at, err := s.place(ctx, x.Name)
		if err != nil {
			return err
		}
		sql, err := s.translator().CreateView(ctx, x, at)
		return s.script(ctx, sql, err)
	case *tsql.Truncate:
		return s.truncate(ctx, x)
	case *tsql.CreateDatabase, *tsql.DropDatabase, *tsql.AlterDatabase:
		return s.databases(ctx, x)
	}
	return &rewrite.Error{Number: rewrite.Refusal, Text: fmt.Sprintf("the double does not implement this statement (%T)", x)}
}

// script runs statements of PostgreSQL that make up one statement.
func (s *session) script(ctx context.Context, sql []string, err error) error {
	if err != nil {
		return err
	}
	err = s.atomically(ctx, len(sql) > 1, func() error {
		for _, q := range sql {
			if err := s.command(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.reply.Statement(wire.Done{})
	}
	return err
}

func (s *session) createTable(ctx context.Context, x *tsql.CreateTable) error {
	at, err := s.place(ctx, x.Name)
	if err != nil {
		return err
	}
	there, err := (&catalog{s}).Table(ctx, x.Name)
	if err != nil {
		return err
	}
	if there != nil {
		return &rewrite.Error{Number: 2714, Text: fmt.Sprintf("There is already an object named '%s' in the database.", x.Name.Last())}
	}
	sql, err := s.translator().CreateTable(ctx, x, at)
	if err = s.script(ctx, sql, err); err == nil && at.Temp && s.scope != nil {
		s.scope.temporary = append(s.scope.temporary, at.Name)
	}
	return err
}

func (s *session) dropRelations(ctx context.Context, names []tsql.Name, exists bool, kind string) error {
	var sql []string
	for _, n := range names {
		t, err := (&catalog{s}).Table(ctx, n)
		if err != nil {
			return err
		}
		if t == nil || t.View != (kind == "VIEW") {
			if exists && t == nil {
				continue
			}
			return &rewrite.Error{Number: 3701, Class: 11, Text: fmt.Sprintf("Cannot drop the %s '%s', because it does not exist or you do not have permission.", strings.ToLower(kind), strings.Join(n, "."))}
		}
		sql = append(sql, fmt.Sprintf("DELETE FROM tds.properties WHERE major = %d", uint32(t.ID)), "DROP "+kind+" "+t.SQL())
	}
	return s.script(ctx, sql, nil)
}

func (s *session) truncate(ctx context.Context, x *tsql.Truncate) error {
	t, err := (&catalog{s}).Table(ctx, x.Table)
	if err != nil {
		return err
	}
	if t == nil || t.View {
		return &rewrite.Error{Number: 4701, Text: fmt.Sprintf("Cannot find the object \"%s\" because it does not exist or you do not have permissions.", strings.Join(x.Table, "."))}
	}
	return s.script(ctx, []string{"TRUNCATE " + t.SQL() + " RESTART IDENTITY"}, nil)
}

// alterTable refuses, as SQL Server does, to take from under an index the column that it is made of.
func (s *session) alterTable(ctx context.Context, x *tsql.AlterTable) error {
	if len(x.DropConstraints) > 0 {
		return s.dropConstraints(ctx, x)
	}
	before, err := (&catalog{s}).Table(ctx, x.Name)
	if err != nil {
		return err
	}
	sql, table, err := s.translator().AlterTable(ctx, x)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(x.AddConstraints, func(k tsql.Constraint) bool { return k.Primary }) {
		keys, err := s.rows(ctx, "SELECT 1 FROM tds.indexes WHERE indrelid = $1::oid AND kind = 'primary'", []datatype.Value{datatype.Of(fmt.Sprint(uint32(table.ID)))})
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			return &rewrite.Error{Number: 1779, Text: fmt.Sprintf("Table '%s' already has a primary key defined on it.", table.Title)}
		}
	}
	if err := s.dependents(ctx, before, x); err != nil {
		return err
	}
	touched := x.DropColumns
	if x.AlterColumn != nil && before != nil && needsRebuild(before, x.AlterColumn) {
		touched = append(touched, x.AlterColumn.Name)
	}
	for _, c := range touched {
		name, err := s.indexOver(ctx, table.ID, c)
		if err != nil {
			return err
		}
		if name != "" {
			return &rewrite.Error{Number: 5074, Text: fmt.Sprintf("The index '%s' is dependent on column '%s'.", name, c)}
		}
	}
	err = s.script(ctx, sql, nil)
	var known *rewrite.Error
	if errors.As(err, &known) && known.Number == 515 && len(x.AddColumns) > 0 {
		return &rewrite.Error{Number: 4901, Text: "ALTER TABLE only allows columns to be added that can contain nulls, or have a DEFAULT definition specified, or the column being added is an identity or timestamp column."}
	}
	return err
}

// dependents refuses, as SQL Server does, a change of a column that a default, a check or a primary key is made for.
func (s *session) dependents(ctx context.Context, t *rewrite.Table, x *tsql.AlterTable) error {
	if t == nil {
		return nil
	}
	depends := func(kind, name, column string) error {
		return &rewrite.Error{Number: 5074, Text: fmt.Sprintf("The %s '%s' is dependent on column '%s'.", kind, name, column)}
	}
	changed := slices.Clone(x.DropColumns)
	if x.AlterColumn != nil && needsRebuild(t, x.AlterColumn) {
		changed = append(changed, x.AlterColumn.Name)
	}
	for _, c := range t.Columns {
		over := []datatype.Value{datatype.Of(fmt.Sprint(t.ID)), datatype.Of(c.Name)}
		if slices.ContainsFunc(changed, func(n string) bool { return strings.EqualFold(n, c.Name) }) {
			checks, err := s.rows(ctx, `SELECT k.conname FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
WHERE k.conrelid = $1::int8::oid AND k.contype = 'c' AND a.attname = $2`, over)
			switch {
			case err != nil:
				return err
			case len(checks) > 0:
				return depends("object", checks[0][0].Text, c.Name)
			case c.Filled && !c.Identity:
				return depends("object", "DF__"+t.Name, c.Name)
			}
		}
		to := x.AlterColumn
		if to == nil || !strings.EqualFold(to.Name, c.Name) || c.Nullable || to.Null != nil && !*to.Null {
			continue
		}
		keys, err := s.rows(ctx, `SELECT i.name FROM "tds/sys".index_columns k JOIN "tds/sys".indexes i ON i.object_id = k.object_id AND i.index_id = k.index_id
JOIN "tds/sys".columns c ON c.object_id = k.object_id AND c.column_id = k.column_id WHERE i.is_primary_key = 1 AND k.object_id = $1 AND c.name = $2`, over)
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			return depends("object", keys[0][0].Text, c.Name)
		}
	}
	return nil
}

// needsRebuild reports a change of a column after which its indexes would no longer fit.
func needsRebuild(t *rewrite.Table, to *tsql.ColumnDef) bool {
	i := slices.IndexFunc(t.Columns, func(c rewrite.Column) bool { return strings.EqualFold(c.Name, to.Name) })
	if i < 0 {
		return false
	}
	old, typ := t.Columns[i].Type, to.Type
	longer := old.Kind == typ.Kind && (typ.IsText() || typ.IsBinary()) && typ.Length != datatype.Max && old.Length != datatype.Max && typ.Length >= old.Length
	return old != typ && !(longer && old.Collation == typ.Collation)
}

func (s *session) indexOver(ctx context.Context, table int32, column string) (string, error) {
	rows, err := s.rows(ctx, `SELECT i.name FROM "tds/sys".index_columns k JOIN "tds/sys".indexes i ON i.object_id = k.object_id AND i.index_id = k.index_id
JOIN "tds/sys".columns c ON c.object_id = k.object_id AND c.column_id = k.column_id WHERE k.object_id = $1 AND lower(c.name) = lower($2) LIMIT 1`,
		[]datatype.Value{datatype.Of(fmt.Sprint(table)), datatype.Of(column)})
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return rows[0][0].Text, nil
}

// createIndex makes an index, unless the table has one of that name, or a clustered one already.
func (s *session) createIndex(ctx context.Context, x *tsql.CreateIndex) error {
	sql, err := s.translator().CreateIndex(ctx, x)
	if err != nil {
		return err
	}
	t, err := (&catalog{s}).Table(ctx, x.Table)
	if err != nil {
		return err
	}
	rows, err := s.rows(ctx, "SELECT name, clustered FROM tds.indexes WHERE indrelid = $1::oid AND (lower(name) = lower($2) OR clustered AND $3::boolean)",
		[]datatype.Value{datatype.Of(fmt.Sprint(uint32(t.ID))), datatype.Of(x.Name), datatype.Of(fmt.Sprint(x.Clustered))})
	if err != nil {
		return err
	}
	if len(rows) > 0 {
		r := rows[0]
		if strings.EqualFold(r[0].Text, x.Name) {
			return &rewrite.Error{Number: 1913, Text: fmt.Sprintf("The operation failed because an index or statistics with name '%s' already exists on table '%s'.", x.Name, t.Title)}
		}
		return &rewrite.Error{Number: 1902, Text: fmt.Sprintf("Cannot create more than one clustered index on table '%s'. Drop the existing clustered index '%s' before creating another.", t.Title, r[0].Text)}
	}
	return s.script(ctx, sql, nil)
}

// dropConstraints removes keys and checks by their names.
func (s *session) dropConstraints(ctx context.Context, x *tsql.AlterTable) error {
	t, err := (&catalog{s}).Table(ctx, x.Name)
	if err != nil {
		return err
	}
	if t == nil {
		return &rewrite.Error{Number: 4902, Text: fmt.Sprintf("Cannot find the object \"%s\" because it does not exist or you do not have permissions.", strings.Join(x.Name, "."))}
	}
	var sql []string
	for _, n := range x.DropConstraints {
		args := []datatype.Value{datatype.Of(fmt.Sprint(uint32(t.ID))), datatype.Of(n)}
		keys, err := s.rows(ctx, `SELECT c.relname FROM tds.indexes i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = $1::oid AND lower(i.name) = lower($2) AND i.kind IN ('primary', 'constraint')`, args)
		if err != nil {
			return err
		}
		checks, err := s.rows(ctx, `SELECT conname FROM pg_catalog.pg_constraint WHERE conrelid = $1::oid AND contype = 'c' AND lower(conname) = lower($2)`, args)
		if err != nil {
			return err
		}
		switch {
		case len(keys) == 1:
			sql = append(sql, fmt.Sprintf("DROP INDEX %s.%s", rewrite.Ident(t.Schema), rewrite.Ident(keys[0][0].Text)))
		case len(checks) == 1:
			sql = append(sql, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", t.SQL(), rewrite.Ident(checks[0][0].Text)))
		case !x.IfExists:
			return &rewrite.Error{Number: 3728, Text: fmt.Sprintf("'%s' is not a constraint.", n)}
		}
	}
	return s.script(ctx, sql, nil)
}

// databases makes, removes and changes databases, which no transaction may hold.
func (s *session) databases(ctx context.Context, x tsql.Statement) error {
	if s.tx.count > 0 {
		return &rewrite.Error{Number: 226, Text: "CREATE, DROP and ALTER DATABASE statements are not allowed within a multi-statement transaction."}
	}
	switch x := x.(type) {
	case *tsql.CreateDatabase:
		if err := createDatabase(ctx, s.pg, x.Name, false); err != nil {
			return err
		}
	case *tsql.DropDatabase:
		return s.dropDatabase(ctx, x)
	case *tsql.AlterDatabase:
		name := x.Name
		if name == "" {
			name = s.database
		}
		column := map[string]string{"ALLOW_SNAPSHOT_ISOLATION": "snapshot_isolation", "READ_COMMITTED_SNAPSHOT": "read_committed_snapshot"}[x.Option]
		rows, err := s.rows(ctx, "UPDATE tds.databases SET "+column+" = $1::text = 'ON' WHERE lower(name) = lower($2) RETURNING 1", []datatype.Value{datatype.Of(x.Value), datatype.Of(name)})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return &rewrite.Error{Number: 5011, Class: 14, Text: fmt.Sprintf("User does not have permission to alter database '%s', the database does not exist, or the database is not in a state that allows access checks.", name)}
		}
	}
	s.reply.Statement(wire.Done{})
	return nil
}

func (s *session) dropDatabase(ctx context.Context, x *tsql.DropDatabase) error {
	rows, err := s.rows(ctx, "SELECT name FROM tds.databases WHERE lower(name) = lower($1)", []datatype.Value{datatype.Of(x.Name)})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		if x.IfExists {
			return nil
		}
		return &rewrite.Error{Number: 3701, Class: 11, Text: fmt.Sprintf("Cannot drop the database '%s', because it does not exist or you do not have permission.", x.Name)}
	}
	name := rows[0][0].Text
	if strings.EqualFold(name, s.database) || strings.EqualFold(name, "master") {
		return &rewrite.Error{Number: 3702, Text: fmt.Sprintf("Cannot drop database \"%s\" because it is currently in use.", name)}
	}
	schemas, err := s.rows(ctx, "SELECT nspname FROM pg_catalog.pg_namespace WHERE split_part(nspname, '/', 1) = $1 AND nspname LIKE '%/%'", []datatype.Value{datatype.Of(name)})
	if err != nil {
		return err
	}
	sql := []string{"DELETE FROM tds.databases WHERE name = " + rewrite.Literal(name)}
	for _, r := range schemas {
		sql = append(sql, "DROP SCHEMA "+rewrite.Ident(r[0].Text)+" CASCADE")
	}
	return s.script(ctx, sql, nil)
}

// changeDatabase is USE.
func (s *session) changeDatabase(ctx context.Context, name string) error {
	old := s.database
	if err := s.use(ctx, name); err != nil {
		return err
	}
	s.reply.Database(s.database, old)
	return nil
}
