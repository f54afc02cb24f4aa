package tds_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// TestCatalog asks the views in which SQL Server describes its tables.
func TestCatalog(t *testing.T) {
	c := session(t, open(t))
	exec(t, c, "CREATE SCHEMA raw")
	exec(t, c, `IF OBJECT_ID(N'raw.Order', N'U') IS NULL
		CREATE TABLE raw.[Order] (Id bigint NOT NULL, Name nvarchar(20) COLLATE Latin1_General_100_BIN2 NULL, Amount decimal(10,2) NOT NULL DEFAULT 0,
			At datetime2(6) NULL, Doc varbinary(max) NULL, N int NOT NULL IDENTITY(1,1), CONSTRAINT PK_Order PRIMARY KEY (Id, N))`)
	exec(t, c, "IF OBJECT_ID(N'[raw].[order]', N'U') IS NULL CREATE TABLE raw.[Order] (Id int)")
	exec(t, c, "CREATE UNIQUE INDEX UX ON raw.[Order] (Name, Amount DESC) INCLUDE (At) WHERE Name IS NOT NULL")
	exec(t, c, "CREATE VIEW raw.Names AS SELECT Id, Name FROM raw.[Order]")
	exec(t, c, `EXEC sys.sp_addextendedproperty @name = N'cdc', @value = N'it''s', @level0type = N'SCHEMA', @level0name = N'raw', @level1type = N'TABLE', @level1name = N'Order'`)
	for query, want := range map[string][][]any{
		"SELECT s.name, o.name, o.type, o.type_desc FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id ORDER BY o.name": {
			{"raw", "Names", "V ", "VIEW"}, {"raw", "Order", "U ", "USER_TABLE"}},
		`SELECT c.name, t.name, c.max_length, c.[precision], c.scale, c.is_nullable, c.is_identity, c.collation_name
			FROM sys.columns AS c JOIN sys.types AS t ON t.user_type_id = c.user_type_id WHERE c.object_id = OBJECT_ID(N'raw.Order') ORDER BY c.column_id`: {
			{"Id", "bigint", int64(8), int64(19), int64(0), false, false, nil},
			{"Name", "nvarchar", int64(40), int64(0), int64(0), true, false, "Latin1_General_100_BIN2"},
			{"Amount", "decimal", int64(9), int64(10), int64(2), false, false, nil},
			{"At", "datetime2", int64(8), int64(26), int64(6), true, false, nil},
			{"Doc", "varbinary", int64(-1), int64(0), int64(0), true, false, nil},
			{"N", "int", int64(4), int64(10), int64(0), false, true, nil}},
		`SELECT i.name, i.type_desc, i.is_unique, i.is_primary_key, i.has_filter, c.name, k.key_ordinal, k.is_descending_key, k.is_included_column
			FROM sys.indexes AS i JOIN sys.index_columns AS k ON k.object_id = i.object_id AND k.index_id = i.index_id
			JOIN sys.columns AS c ON c.object_id = k.object_id AND c.column_id = k.column_id ORDER BY i.name, k.index_column_id`: {
			{"PK_Order", "CLUSTERED", true, true, false, "Id", int64(1), false, false},
			{"PK_Order", "CLUSTERED", true, true, false, "N", int64(2), false, false},
			{"UX", "NONCLUSTERED", true, false, true, "Name", int64(1), false, false},
			{"UX", "NONCLUSTERED", true, false, true, "Amount", int64(2), true, false},
			{"UX", "NONCLUSTERED", true, false, true, "At", int64(0), false, true}},
		"SELECT COLUMN_NAME, DATA_TYPE, IS_NULLABLE, CHARACTER_MAXIMUM_LENGTH FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = N'RAW' AND TABLE_NAME = N'Names' ORDER BY ORDINAL_POSITION": {
			{"Id", "bigint", "YES", nil}, {"Name", "nvarchar", "YES", int64(20)}},
		"SELECT TABLE_NAME, TABLE_TYPE FROM INFORMATION_SCHEMA.TABLES ORDER BY TABLE_NAME":                                             {{"Names", "VIEW"}, {"Order", "BASE TABLE"}},
		"SELECT CAST(p.value AS nvarchar(100)) FROM sys.extended_properties AS p WHERE p.major_id = OBJECT_ID(N'raw.Order')":           {{"it's"}},
		"SELECT snapshot_isolation_state, is_read_committed_snapshot_on FROM sys.databases WHERE name = DB_NAME()":                     {{int64(0), false}},
		"SELECT COL_LENGTH(N'raw.Order', N'Name'), COL_LENGTH(N'raw.Order', N'None'), HAS_PERMS_BY_NAME(N'none', N'SCHEMA', N'ALTER')": {{int64(40), nil, nil}},
		"SELECT OBJECT_NAME(OBJECT_ID(N'raw.Order')), SCHEMA_NAME(SCHEMA_ID(N'raw')), DB_ID(N'tempdb')":                                {{"Order", "raw", nil}},
	} {
		if diff := cmp.Diff(want, table(t, c, query)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	for text, want := range map[string]int32{
		`EXEC sp_addextendedproperty N'cdc', N'again', N'SCHEMA', N'raw', N'TABLE', N'Order'`: 15233,
		`EXEC sp_dropextendedproperty N'other', N'SCHEMA', N'raw', N'TABLE', N'Order'`:        15217,
		`EXEC sp_dropextendedproperty N'cdc', N'SCHEMA', N'raw', N'TABLE', N'none'`:           15135,
		"DROP SCHEMA raw": 3729,
	} {
		if got := number(t, c, text); got != want {
			t.Errorf("%s: error %d, want %d", text, got, want)
		}
	}
	exec(t, c, `EXEC sp_updateextendedproperty N'cdc', N'new', N'SCHEMA', N'raw', N'TABLE', N'Order'; DROP VIEW raw.Names; DROP TABLE raw.[Order]`)
	if n := one(t, c, "SELECT COUNT(*) FROM sys.extended_properties"); n != int64(0) {
		t.Errorf("%v properties outlive their table", n)
	}
}

// TestTemporary keeps temporary tables to their session, with the collation of tempdb.
func TestTemporary(t *testing.T) {
	db := open(t)
	a, b := session(t, db), session(t, db)
	exec(t, a, "CREATE TABLE #t (Id int NOT NULL, Name nvarchar(5)); INSERT INTO #t VALUES (1, N'x')")
	if got := number(t, b, "SELECT * FROM #t"); got != 208 {
		t.Errorf("another session: error %d, want 208", got)
	}
	exec(t, b, "CREATE TABLE #t (Other int)")
	if n := one(t, a, "SELECT COUNT(*) FROM #t WHERE OBJECT_ID(N'tempdb..#t') IS NOT NULL"); n != int64(1) {
		t.Errorf("%v rows, want 1", n)
	}
	exec(t, a, "IF OBJECT_ID(N'tempdb..#none') IS NULL DROP TABLE IF EXISTS #t, #none")
	if got := number(t, a, "SELECT * FROM #t"); got != 208 {
		t.Errorf("a dropped table: error %d, want 208", got)
	}
}

// TestDatabases keeps databases apart, reaches one from another, and renames nothing.
func TestDatabases(t *testing.T) {
	s := testenv.NewSQLServer(t)
	master := session(t, openOn(t, s, ""))
	exec(t, master, "CREATE DATABASE [SakilaFlat]")
	exec(t, master, "CREATE DATABASE [Other one]")
	exec(t, master, "USE [sakilaflat]; CREATE TABLE T (Id int); INSERT INTO dbo.T VALUES (1); USE [Other one]")
	if n := one(t, master, "SELECT COUNT(*) FROM SakilaFlat.dbo.T"); n != int64(1) {
		t.Errorf("%v rows, want 1", n)
	}
	if got := number(t, master, "SELECT * FROM dbo.T"); got != 208 {
		t.Errorf("the table of another database: error %d, want 208", got)
	}
	if name := one(t, master, "USE SAKILAFLAT; SELECT DB_NAME()"); name != "SakilaFlat" {
		t.Errorf("the database is called %v", name)
	}
	if got := number(t, master, "DROP DATABASE SakilaFlat"); got != 3702 {
		t.Errorf("the database in use: error %d, want 3702", got)
	}
	exec(t, master, "USE master; DROP DATABASE SakilaFlat")
	if got := number(t, master, "USE SakilaFlat"); got != 911 {
		t.Errorf("a dropped database: error %d, want 911", got)
	}
}

// TestAlter changes tables that hold rows.
func TestAlter(t *testing.T) {
	c := session(t, open(t))
	exec(t, c, `CREATE TABLE dbo.T (Id int NOT NULL PRIMARY KEY, Name nvarchar(3) NULL, N int NULL, C int NULL CONSTRAINT CK CHECK (C > 0));
		INSERT INTO dbo.T VALUES (1, N'abc', 5, 6)`)
	exec(t, c, "ALTER TABLE dbo.T ADD Extra nvarchar(10) NULL, Flag bit NOT NULL DEFAULT 1")
	exec(t, c, "ALTER TABLE dbo.T ALTER COLUMN Name nvarchar(40) NOT NULL; ALTER TABLE dbo.T ALTER COLUMN N bigint NULL")
	exec(t, c, "UPDATE dbo.T SET Name = N'longer than before', Extra = N'x', N = 5000000000")
	if diff := cmp.Diff([][]any{{int64(1), "longer than before", int64(5000000000), int64(6), "x", true}}, table(t, c, "SELECT * FROM dbo.T")); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string]int32{
		"ALTER TABLE dbo.T ALTER COLUMN Name nvarchar(5)":    2628,
		"ALTER TABLE dbo.T ALTER COLUMN N int":               8115,
		"ALTER TABLE dbo.T ALTER COLUMN C bigint":            5074, // its check
		"ALTER TABLE dbo.T DROP COLUMN C":                    5074,
		"ALTER TABLE dbo.T ALTER COLUMN Flag int NOT NULL":   5074, // its default
		"ALTER TABLE dbo.T DROP COLUMN Flag":                 5074,
		"ALTER TABLE dbo.T ALTER COLUMN Id bigint NOT NULL":  5074, // the primary key
		"ALTER TABLE dbo.T ALTER COLUMN Id int NULL":         5074,
		"UPDATE dbo.T SET C = -1":                            547,
		"UPDATE dbo.T SET Name = NULL":                       515,
		"ALTER TABLE dbo.T ALTER COLUMN Missing int":         4924,
		"ALTER TABLE dbo.T ADD Name int":                     2705,
		"ALTER TABLE dbo.T DROP CONSTRAINT missing":          3728,
		"ALTER TABLE dbo.T ADD CONSTRAINT C CHECK (N < 100)": 547,
	} {
		if got := number(t, c, text); got != want {
			t.Errorf("%s: error %d, want %d", text, got, want)
		}
	}
	exec(t, c, "ALTER TABLE dbo.T DROP CONSTRAINT CK; ALTER TABLE dbo.T DROP COLUMN Extra; UPDATE dbo.T SET C = -1; ALTER TABLE dbo.T DROP COLUMN C")
	exec(t, c, "CREATE INDEX I ON dbo.T (N); DROP INDEX I ON dbo.T; DROP INDEX IF EXISTS I ON dbo.T")
}
