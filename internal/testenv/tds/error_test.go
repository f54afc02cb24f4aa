package tds_test

import (
	"database/sql"
	"strings"
	"testing"
)

// errorOf runs a text to its end and returns what it fails with.
func errorOf(t *testing.T, c *sql.Conn, text string) error {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), text)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

// TestErrorNumbers provokes errors and looks for SQL Server's number.
func TestErrorNumbers(t *testing.T) {
	db := open(t)
	c := session(t, db)
	for _, q := range []string{
		`CREATE TABLE dbo.T (Id int NOT NULL CONSTRAINT PK_T PRIMARY KEY, Small smallint, Tiny tinyint, Name nvarchar(3), Ascii varchar(3),
			Bytes varbinary(2), Amount decimal(5,2), At datetime2(3), CONSTRAINT CK_Amount CHECK (Amount >= 0))`,
		`CREATE UNIQUE INDEX UX_Name ON dbo.T (Name)`,
		`CREATE TABLE dbo.U (Code nvarchar(3) COLLATE Latin1_General_100_BIN2 NOT NULL CONSTRAINT UQ_U UNIQUE, N int IDENTITY(1,1) NOT NULL)`,
		`INSERT INTO dbo.T (Id, Name) VALUES (1, N'abc')`,
		`INSERT INTO dbo.U (Code) VALUES (N'abc')`,
	} {
		exec(t, c, q)
	}
	for _, e := range []struct {
		text string
		want int32
	}{
		{"INSERT INTO dbo.T (Id) VALUES (1)", 2627},
		{"INSERT INTO dbo.T (Id, Name) VALUES (2, N'abc')", 2601},
		{"INSERT INTO dbo.T (Id, Name) VALUES (2, N'ABC')", 2601},
		{"INSERT INTO dbo.T (Id, Name) VALUES (2, N'abc   ')", 2601},
		{"INSERT INTO dbo.U (Code) VALUES (N'abc')", 2627},
		{"INSERT INTO dbo.U (Code, N) VALUES (N'x', 7)", 544},
		{"UPDATE dbo.U SET N = 7", 8102},
		{"INSERT INTO dbo.T (Id) VALUES (NULL)", 515},
		{"INSERT INTO dbo.T (Name) VALUES (N'x')", 515},
		{"INSERT INTO dbo.T (Id, Name) VALUES (2, N'four')", 2628},
		{"INSERT INTO dbo.T (Id, Name) VALUES (2, N'😀😀')", 2628},
		{"INSERT INTO dbo.T (Id, Ascii) VALUES (2, 'four')", 2628},
		{"INSERT INTO dbo.T (Id, Bytes) VALUES (2, 0x010203)", 2628},
		{"INSERT INTO dbo.T (Id, Amount) VALUES (2, 1000)", 8115},
		{"INSERT INTO dbo.T (Id, Amount) VALUES (2, -1)", 547},
		{"INSERT INTO dbo.T (Id) VALUES (3000000000)", 8115},
		{"SELECT 2147483647 + Id FROM dbo.T", 8115},
		{"SELECT CAST(9223372036854775807 AS bigint) + Id FROM dbo.T", 8115},
		{"INSERT INTO dbo.T (Id, Small) VALUES (2, 40000)", 220},
		{"INSERT INTO dbo.T (Id, Tiny) VALUES (2, 256)", 220},
		{"INSERT INTO dbo.T (Id, Tiny) VALUES (2, -1)", 220},
		{"INSERT INTO dbo.T (Id, Small) VALUES (2, N'x')", 245},
		{"INSERT INTO dbo.T (Id, Amount) VALUES (2, N'NaN')", 8114},
		{"INSERT INTO dbo.T (Id, Amount) VALUES (2, N'1e2')", 8114},
		{"INSERT INTO dbo.T (Id, At) VALUES (2, N'yesterday')", 241},
		{"INSERT INTO dbo.T (Id, At) VALUES (2, N'2026-02-30')", 241},
		{"INSERT INTO dbo.T (Id, Bytes) VALUES (2, N'x')", 257},
		{"INSERT INTO dbo.T (Id, Id) VALUES (2, 3)", 264},
		{"INSERT INTO dbo.T (Id, Name) VALUES (2)", 109},
		{"INSERT INTO dbo.T (Id) VALUES (2, 3)", 110},
		{"INSERT INTO dbo.T (Id, Name) SELECT 2", 120},
		{"SELECT 1 / (Id - 1) FROM dbo.T", 8134},
		{"SELECT * FROM dbo.Missing", 208},
		{"SELECT Missing FROM dbo.T", 207},
		{"SELECT t.Missing FROM dbo.T AS t", 207},
		{"SELECT x.Id FROM dbo.T AS t", 4104},
		{"SELECT Id FROM dbo.T AS a JOIN dbo.T AS b ON a.Id = b.Id", 209},
		{"SELECT Id, COUNT(*) FROM dbo.T", 8120},
		{"SELECT (SELECT object_id FROM sys.objects)", 512},
		{"SELECT 1 FROM dbo.T AS t JOIN dbo.U AS u ON t.Name = u.Code", 468},
		{"SELECT @missing", 137},
		{"CREATE TABLE dbo.T (Id int)", 2714},
		{"CREATE TABLE missing.T (Id int)", 2760},
		{"CREATE TABLE dbo.V (Id int, id int)", 2705},
		{"CREATE TABLE dbo.V (Id int NULL PRIMARY KEY)", 8111},
		{"CREATE UNIQUE INDEX UX ON dbo.T (Missing)", 1911},
		{"CREATE TABLE dbo.V (Doc nvarchar(max) NOT NULL PRIMARY KEY)", 1919},
		{"CREATE TABLE dbo.V (A int NOT NULL PRIMARY KEY, B int NOT NULL, PRIMARY KEY (B))", 8110},
		{"ALTER TABLE dbo.T ADD PRIMARY KEY (Id)", 1779},
		{"CREATE INDEX ux_name ON dbo.T (Name)", 1913},
		{"CREATE CLUSTERED INDEX C ON dbo.T (Name)", 1902},
		{"DROP TABLE dbo.Missing", 3701},
		{"TRUNCATE TABLE dbo.Missing", 4701},
		{"ALTER TABLE dbo.T DROP COLUMN Name", 5074},
		{"ALTER TABLE dbo.T ALTER COLUMN Name int", 5074},
		{"ALTER TABLE dbo.T ADD Must int NOT NULL", 4901},
		{"CREATE DATABASE master", 1801},
		{"USE missing", 911},
		{"COMMIT", 3902},
		{"ROLLBACK", 3903},
		{"SAVE TRANSACTION x", 628},
		{"THROW 50123, N'ours', 1", 50123},
		{"SELECT Id FROM (SELECT Id FROM dbo.T ORDER BY Id) AS x", 1033},
		{"SELECT 1 WHERE EXISTS (SELECT Id FROM dbo.T ORDER BY Id)", 1033},
		{"WITH x AS (SELECT Id FROM dbo.T ORDER BY Id) SELECT * FROM x", 1033},
		{"INSERT INTO dbo.T (Name) VALUES (N'x'), (1)", 245}, // the column of VALUES is an int
		{"INSERT INTO dbo.T (Id) VALUES (0)" + strings.Repeat(", (0)", 1000), 50700},
		{"SELECT 1; CREATE SCHEMA s", 111},
		{"SELECT CAST(12345 AS nvarchar(3))", 8115},
		{"SELECT CAST('not a guid' AS uniqueidentifier)", 8169},
		{"SELECT SUM(x.n) FROM (VALUES (2147483647), (1)) AS x(n)", 8115},
	} {
		err := errorOf(t, c, e.text)
		if got := numberOf(t, e.text, err); got != e.want {
			t.Errorf("%s: error %d (%v), want %d", e.text, got, err, e.want)
		}
	}
	if got := table(t, c, "SELECT COUNT(*) FROM dbo.T"); got[0][0] != int64(1) {
		t.Errorf("the failed statements have left %v rows", got)
	}
}

// TestDuplicateInBuilding finds the duplicate when a unique index is made over rows.
func TestDuplicateInBuilding(t *testing.T) {
	c := session(t, open(t))
	exec(t, c, "CREATE TABLE dbo.T (Id int NOT NULL, Name nvarchar(5)); INSERT INTO dbo.T VALUES (1, N'a'), (2, N'A')")
	if got := number(t, c, "CREATE UNIQUE INDEX U ON dbo.T (Name)"); got != 1505 {
		t.Errorf("error %d, want 1505", got)
	}
}
