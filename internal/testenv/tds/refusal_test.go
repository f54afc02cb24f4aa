package tds_test

import (
	"errors"
	"strings"
	"testing"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/etlsandbox/cdc/internal/testenv/tds/rewrite"
)

// refusals are texts that the double does not implement, with the word that its answer must name. A real server
// takes most of them; those that no server of this kind takes are PostgreSQL's and MySQL's ways to say things.
var refusals = []struct{ text, names string }{
	{"MERGE dbo.T AS t USING dbo.T AS s ON t.Id = s.Id WHEN MATCHED THEN DELETE;", "MERGE"},
	{"SELECT * FROM dbo.T LIMIT 1", "1"},
	{"INSERT INTO dbo.T (Id) VALUES (1) ON CONFLICT DO NOTHING", "ON"},
	{"DELETE FROM dbo.T USING dbo.T AS s WHERE 1 = 1", "USING"},
	{"SELECT Id::int FROM dbo.T", "::"},
	{"SELECT `Id` FROM dbo.T", "`"},
	{"SELECT * FROM dbo.T WHERE Id = $1", "$"},
	{"SELECT Id INTO dbo.U FROM dbo.T", "SELECT INTO"},
	{"SELECT * FROM dbo.T FOR JSON AUTO", "FOR"},
	{"SELECT * FROM dbo.T OPTION (RECOMPILE)", "OPTION"},
	{"SELECT TOP (5) PERCENT Id FROM dbo.T", "PERCENT"},
	{"SELECT TOP (5) WITH TIES Id FROM dbo.T ORDER BY Id", "WITH"},
	{"SELECT * FROM dbo.T WITH (READPAST)", "READPAST"},
	{"SELECT * FROM dbo.T WITH (NOLOCK)", "NOLOCK"},
	{"SELECT * FROM dbo.T WITH (UPDLOCK, READCOMMITTED)", "READCOMMITTED"},
	{"SELECT * FROM dbo.T WITH (PAGLOCK)", "PAGLOCK"},
	{"SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED", "READ UNCOMMITTED"},
	{"BEGIN TRANSACTION; SET TRANSACTION ISOLATION LEVEL SNAPSHOT", "isolation level"},
	{"SET FMTONLY ON; DELETE FROM dbo.T", "FMTONLY"},
	{"SET FMTONLY ON; IF 1 = 1 DELETE FROM dbo.T", "FMTONLY"},
	{"SELECT HAS_PERMS_BY_NAME(N'dbo', N'SCHEMA', N'FLY')", "FLY"},
	{"CREATE INDEX I ON dbo.Wide (Name, Long)", "1700"},
	{"CREATE CLUSTERED INDEX I ON dbo.Wide (Name, Long)", "900"},
	{"INSERT BULK dbo.Wide (Long nvarchar(500)) WITH (KEEP_NULLS)", "CHECK_CONSTRAINTS"},
	{"SELECT * FROM dbo.T TABLESAMPLE (10 PERCENT)", "TABLESAMPLE"},
	{"SELECT * FROM OPENJSON(N'{}')", "OPENJSON"},
	{"SELECT SUM(Id) OVER (ORDER BY Id) FROM dbo.T", "SUM"},
	{"SELECT Id FROM dbo.T GROUP BY ROLLUP (Id)", "ROLLUP"},
	{"SELECT DATEADD(day, 1, SYSUTCDATETIME())", "DATEADD"},
	{"SELECT GETDATE()", "GETDATE"},
	{"SELECT CHECKSUM(Id) FROM dbo.T", "CHECKSUM"},
	{"SELECT HASHBYTES('MD5', N'x')", "MD5"},
	{"SELECT TRY_CONVERT(int, N'x')", "TRY_CAST"},
	{"SELECT CONVERT(nvarchar(30), CAST(1 AS float))", "float"},
	{"SELECT CONVERT(nvarchar(30), SYSUTCDATETIME(), 103)", "103"},
	{"SELECT CAST(1 AS money)", "money"},
	{"SELECT CAST(N'x' AS xml)", "xml"},
	{"SELECT CAST(N'x' AS ntext)", "ntext"},
	{"SELECT CAST(1 AS sql_variant)", "sql_variant"},
	{"CREATE TABLE dbo.U (At datetime)", "datetime"},
	{"CREATE TABLE dbo.U (V rowversion)", "rowversion"},
	{"CREATE TABLE dbo.U (Id int, Twice AS Id * 2)", "AS"},
	{"CREATE TABLE dbo.U (Id int REFERENCES dbo.T (Id))", "REFERENCES"},
	{"CREATE TABLE dbo.U (Id int, FOREIGN KEY (Id) REFERENCES dbo.T (Id))", "FOREIGN"},
	{"CREATE TABLE dbo.U (Id int) WITH (DATA_COMPRESSION = PAGE)", "WITH"},
	{"CREATE TABLE dbo.U (Id int) ON [PRIMARY]", "ON"},
	{"CREATE TABLE dbo.U (Name nvarchar(10) COLLATE Turkish_CI_AS)", "Turkish_CI_AS"},
	{"CREATE TABLE dbo.U (Name nvarchar(4001))", "nvarchar(4001)"},
	{"CREATE TABLE ##U (Id int)", "##U"},
	{"CREATE CLUSTERED COLUMNSTORE INDEX I ON dbo.T", "COLUMNSTORE"},
	{"CREATE INDEX I ON dbo.T (Name) WITH (ONLINE = ON)", "WITH"},
	{"CREATE TRIGGER X ON dbo.T AFTER INSERT AS SELECT 1", "TRIGGER"},
	{"CREATE PROCEDURE P AS SELECT 1", "PROCEDURE"},
	{"ALTER TABLE dbo.T REBUILD", "REBUILD"},
	{"ALTER DATABASE CURRENT SET RECOVERY SIMPLE", "RECOVERY"},
	{"EXEC sp_rename N'dbo.T', N'U'", "sp_rename"},
	{"EXEC xp_cmdshell N'dir'", "xp_cmdshell"},
	{"SET DEADLOCK_PRIORITY LOW", "DEADLOCK_PRIORITY"},
	{"SET ANSI_NULLS OFF", "ANSI_NULLS"},
	{"SET IMPLICIT_TRANSACTIONS ON", "IMPLICIT_TRANSACTIONS"},
	{"SET LANGUAGE German", "LANGUAGE"},
	{"SET IDENTITY_INSERT dbo.T ON", "IDENTITY_INSERT"},
	{"SET ROWCOUNT 5", "ROWCOUNT"},
	{"BACKUP DATABASE master TO DISK = N'x'", "BACKUP"},
	{"DECLARE @n int, @t TABLE (Id int)", "TABLE"},
	{"DECLARE @t TABLE (Id int, Twice AS Id * 2)", "AS"},
	{"DECLARE @t dbo.Rows READONLY", "dbo"},
	{"BEGIN TRANSACTION; DECLARE @t TABLE (Id int)", "@t"},
	{"DECLARE @t TABLE (Id int); BEGIN TRANSACTION; INSERT INTO @t VALUES (1)", "@t"},
	{"EXEC (N'DECLARE @t TABLE (Id int)')", "@t"},
	{"SELECT Id FROM [@t]", "@t"},
	{"DELETE FROM dbo.T OUTPUT deleted.Id INTO @t", "@t"},
	{"DECLARE c CURSOR FOR SELECT 1", "c"},
	{"GOTO there", "GOTO"},
	{"RAISERROR(N'%d rows', 16, 1)", "RAISERROR"},
	{"WAITFOR TIME '10:00'", "WAITFOR"},
	{"UPDATE t SET Name = N'x' FROM dbo.T AS t LEFT JOIN dbo.T AS s ON s.Id = t.Id", "outer join"},
	{"UPDATE dbo.T SET Name = N'x' OUTPUT deleted.Name", "deleted"},
	{"WITH x AS (SELECT Id FROM dbo.T) DELETE FROM x", "x"},
	{"SELECT Name FROM dbo.T UNION SELECT Name FROM dbo.T", "UNION"},
	{"SELECT REPLACE(Name, N'a', N'b') FROM dbo.T", "REPLACE"},
	{"SELECT * FROM dbo.T WHERE Name LIKE N'[a-f]%'", "[a-f]"},
	{"SELECT @@LANGID", "LANGID"},
	{"SELECT @@ERROR", "ERROR"},
	{"SELECT SCOPE_IDENTITY()", "SCOPE_IDENTITY"},
	{"CREATE TABLE dbo.U (Id int CONSTRAINT D DEFAULT 1)", "D"},
	{"ALTER DATABASE CURRENT SET READ_COMMITTED_SNAPSHOT ON WITH ROLLBACK IMMEDIATE", "WITH"},
	{"SELECT 'ü'", "ASCII"},
	{"SELECT * FROM sys.partitions", "sys.partitions"},
	{"SELECT CAST('2026-01-02 03:04:05.1234567' AS datetime2(7))", "seventh"},
	{"SELECT CAST('2026-01-02T03:04:05+02:00' AS datetimeoffset(0))", "+02:00"},
	{"SELECT AVG(Price) FROM dbo.T", "AVG"},
	{"SELECT Price / 3 FROM dbo.T", "/"},
	{"INSERT BULK dbo.T (Id int) WITH (FIRE_TRIGGERS)", "FIRE_TRIGGERS"},
	{"SELECT * FROM dbo.T WHERE Id = ANY (SELECT 1)", "ANY"},
	{"DROP TRIGGER X", "TRIGGER"},
	{"/* no end", "comment"},
	{"SELECT 'no end", "quotation"},
	{"SELECT 1 2", "2"},
	{"\x00", "no meaning"},
}

// TestRefusals proves that the double does not say "done" to what it does not implement: it names what it refuses,
// and has done nothing.
func TestRefusals(t *testing.T) {
	db := open(t)
	exec(t, db, "CREATE TABLE dbo.T (Id int NOT NULL PRIMARY KEY, Name nvarchar(20), Price decimal(9,2))")
	exec(t, db, "INSERT INTO dbo.T VALUES (1, N'one', 1)")
	exec(t, db, "CREATE TABLE dbo.Wide (Id int NOT NULL, Name nvarchar(400), Long nvarchar(500) CHECK (Long <> N'x'))")
	before := table(t, db, "SELECT o.[name], o.[type] FROM sys.objects AS o ORDER BY o.[name]")
	for _, r := range refusals {
		rows, err := db.QueryContext(t.Context(), r.text)
		if err == nil {
			for rows.Next() {
			}
			err = errors.Join(rows.Err(), rows.Close())
		}
		var e mssql.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v, which is no refusal", r.text, err)
			continue
		}
		if e.Number != rewrite.Refusal && e.Number != 208 {
			t.Errorf("%s: error %d (%s), want %d", r.text, e.Number, e.Message, rewrite.Refusal)
		}
		if !strings.Contains(e.Message, r.names) {
			t.Errorf("%s: %q does not name %q", r.text, e.Message, r.names)
		}
	}
	after := table(t, db, "SELECT o.[name], o.[type] FROM sys.objects AS o ORDER BY o.[name]")
	if len(before) != len(after) {
		t.Errorf("objects before %v, after %v", before, after)
	}
	if got := table(t, db, "SELECT Id, Name FROM dbo.T"); len(got) != 1 || got[0][1] != "one" {
		t.Errorf("the table holds %v", got)
	}
}
