package tds_test

import (
	"database/sql"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCallLeavesTransactions: a text with parameters must leave as many open transactions as it found.
func TestCallLeavesTransactions(t *testing.T) {
	db := open(t)
	exec(t, db, "CREATE TABLE dbo.T (Id int NOT NULL PRIMARY KEY)")
	c := session(t, db)
	exec(t, c, "BEGIN TRANSACTION; INSERT INTO dbo.T VALUES (@p1); COMMIT", 1)
	if n := number(t, c, "BEGIN TRANSACTION; INSERT INTO dbo.T VALUES (@p1)", 2); n != 266 {
		t.Errorf("a call that leaves a transaction open: error %d", n)
	}
	if got := one(t, c, "SELECT @@TRANCOUNT"); got != int64(1) {
		t.Errorf("@@TRANCOUNT is %v", got)
	}
	if n := number(t, c, "INSERT INTO dbo.T VALUES (@p1); COMMIT", 3); n != 266 {
		t.Errorf("a call that ends a transaction: error %d", n)
	}
	if n := number(t, c, "EXEC (N'BEGIN TRANSACTION')"); n != 266 {
		t.Errorf("a text that leaves a transaction open: error %d", n)
	}
	exec(t, c, "ROLLBACK; EXEC (N'RETURN; SELECT 1'); INSERT INTO dbo.T VALUES (4)")
	exec(t, c, "IF @p1 = 1 BEGIN BEGIN TRANSACTION; ROLLBACK; RETURN; END; INSERT INTO dbo.T VALUES (5)", 1)
	if n := number(t, c, "SET XACT_ABORT ON; BEGIN TRANSACTION; INSERT INTO dbo.T VALUES (@p1); COMMIT", 4); n != 2627 {
		t.Errorf("a duplicate: error %d", n)
	}
	if d := cmp.Diff([][]any{{int64(1)}, {int64(2)}, {int64(3)}, {int64(4)}}, table(t, c, "SELECT Id FROM dbo.T ORDER BY Id")); d != "" {
		t.Error(d)
	}
}

// TestTemporaryTablesOfCalls: what a text with parameters makes ends with it, what a batch makes lasts.
func TestTemporaryTablesOfCalls(t *testing.T) {
	c := session(t, open(t))
	exec(t, c, "CREATE TABLE #batch (Id int)")
	exec(t, c, "INSERT INTO #batch VALUES (@p1)", 1)
	exec(t, c, "CREATE TABLE #call (Id int); INSERT INTO #call VALUES (@p1); INSERT INTO #batch SELECT Id FROM #call", 2)
	exec(t, c, "EXEC (N'CREATE TABLE #text (Id int)')")
	for _, name := range []string{"#call", "#text"} {
		if n := number(t, c, "SELECT * FROM "+name); n != 208 {
			t.Errorf("%s: error %d, want 208", name, n)
		}
	}
	if got := one(t, c, "SELECT COUNT(*) FROM #batch"); got != int64(2) {
		t.Errorf("%v rows", got)
	}
}

func TestTableVariables(t *testing.T) {
	db := open(t)
	exec(t, db, "CREATE TABLE dbo.T (Id int NOT NULL PRIMARY KEY, Name nvarchar(20) COLLATE Latin1_General_100_BIN2)")
	exec(t, db, "INSERT INTO dbo.T VALUES (1, N'one'), (2, N'two'), (3, N'three')")
	c := session(t, db)
	const text = `DECLARE @in TABLE (Id int NOT NULL, Name nvarchar(20) COLLATE Latin1_General_100_BIN2 NULL, Op int NULL, UNIQUE (Id));
		INSERT INTO @in (Id, Name, Op) VALUES (@a, @b, 1), (2, NULL, 0), (9, N'nine', 1);
		BEGIN TRANSACTION;
		DELETE t FROM dbo.T AS t INNER JOIN @in AS s ON s.Id = t.Id WHERE s.Op = 0;
		UPDATE t SET Name = s.Name FROM dbo.T AS t INNER JOIN @IN AS s ON s.Id = t.Id WHERE s.Op = 1;
		INSERT INTO dbo.T (Id, Name) SELECT s.Id, s.Name FROM @in AS s WHERE s.Op = 1 AND NOT EXISTS (SELECT 1 FROM dbo.T AS t WHERE t.Id = s.Id);
		COMMIT;
		DELETE FROM @in WHERE Id = 9; UPDATE @in SET Op = 7;
		SELECT SUM(Op) FROM @in`
	for range 2 {
		if got := one(t, c, text, sql.Named("a", 1), sql.Named("b", "uno")); got != int64(14) {
			t.Errorf("the variable holds %v", got)
		}
	}
	if d := cmp.Diff([][]any{{int64(1), "uno"}, {int64(3), "three"}, {int64(9), "nine"}}, table(t, c, "SELECT Id, Name FROM dbo.T ORDER BY Id")); d != "" {
		t.Error(d)
	}
	for text, want := range map[string]int32{
		"SELECT * FROM @in": 1087,
		"DECLARE @in TABLE (Id int); DECLARE @in TABLE (Id int)":                                        134,
		"DECLARE @in int; DECLARE @IN TABLE (Id int)":                                                   134,
		"DECLARE @in TABLE (Id int NOT NULL); INSERT INTO @in VALUES (NULL)":                            515,
		"DECLARE @in TABLE (Id int PRIMARY KEY); INSERT INTO @in VALUES (1), (1)":                       2627,
		"DECLARE @in TABLE (Name nvarchar(2)); INSERT INTO @in VALUES (N'long')":                        2628,
		"DECLARE @in TABLE (Id int); SELECT @in":                                                        137,
		"DECLARE @in TABLE (Name nvarchar(9)); SELECT 1 FROM @in AS i JOIN dbo.T AS t ON t.Id = i.None": 207,
	} {
		if got := number(t, c, text); got != want {
			t.Errorf("%s: error %d, want %d", text, got, want)
		}
	}
	// One that is left when a transaction stays open is in nobody's way.
	exec(t, c, "DECLARE @in TABLE (Id int); BEGIN TRANSACTION")
	exec(t, c, "ROLLBACK; DECLARE @in TABLE (Id int, Name int); INSERT INTO @in VALUES (1, 2)")
}

// TestDeclaredParameters: what a client declares decides, whatever type the values have on the wire.
func TestDeclaredParameters(t *testing.T) {
	c := session(t, open(t))
	call := func(declared, text string, args ...any) ([][]any, error) {
		rows, err := c.QueryContext(t.Context(), "sp_executesql", append([]any{text, declared}, args...)...)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		return scanned(t, rows)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	for declared, v := range map[string]struct{ give, want any }{
		"decimal(38,10)":    {"-1234567890123456789012345678.0123456789", "-1234567890123456789012345678.0123456789"},
		"decimal(5,2)":      {"1.5", "1.50"},
		"smallint":          {int64(-32768), int64(-32768)},
		"tinyint":           {int64(255), int64(255)},
		"real":              {float64(float32(0.1)), float64(float32(0.1))},
		"float":             {math.MaxFloat64, math.MaxFloat64},
		"bit":               {true, true},
		"date":              {at, at.Truncate(24 * time.Hour)},
		"datetime2(6)":      {at, at},
		"datetimeoffset(6)": {at, at},
		"varbinary(4)":      {[]byte{0, 255, 0, 10}, []byte{0, 255, 0, 10}},
		"varbinary(max)":    {[]byte{}, []byte{}},
		"nvarchar(max)":     {"a\x00b😀", "a\x00b😀"},
		"nvarchar(4)":       {"cut here", "cut "}, // silently, as every assignment to a variable
		"bigint":            {sql.NullInt64{}, nil},
		"decimal(9,1)":      {sql.NullString{}, nil},
		"time(6)":           {sql.NullTime{}, nil},
		"varbinary(9)":      {[]byte(nil), nil},
	} {
		rows, err := call("@v "+declared, "SELECT @v", sql.Named("v", v.give))
		if err != nil {
			t.Errorf("%s: %v", declared, err)
			continue
		}
		got := rows[0][0]
		if b, ok := got.([]byte); ok && strings.HasPrefix(declared, "decimal") {
			got = string(b)
		}
		if tm, ok := got.(time.Time); ok {
			got = tm.UTC()
		}
		if d := cmp.Diff(v.want, got); d != "" {
			t.Errorf("%s: %s", declared, d)
		}
	}
	for _, bad := range []struct {
		declared string
		give     any
		want     int32
	}{
		{"@v int", int64(1) << 40, 8115}, {"@v decimal(3,2)", "10.5", 8115}, {"@v varbinary(9)", "text", 257}, {"@v int, @v int", 1, 134},
		{"@v int, @w int", 1, 8178}, {"@v decimal(3,2)", "no number", 8114},
	} {
		_, err := call(bad.declared, "SELECT @v", sql.Named("v", bad.give))
		if got := numberOf(t, bad.declared, err); got != bad.want {
			t.Errorf("%v as %s: error %d, want %d", bad.give, bad.declared, got, bad.want)
		}
	}
	most := func(n int) error {
		var declared []string
		var args []any
		for i := range n {
			declared = append(declared, fmt.Sprintf("@p%d int", i))
			args = append(args, sql.Named(fmt.Sprintf("p%d", i), int64(i)))
		}
		_, err := call(strings.Join(declared, ", "), "SELECT @p0", args...)
		return err
	}
	if err := most(2098); err != nil {
		t.Errorf("2098 parameters: %v", err)
	}
	if n := numberOf(t, "2099 parameters", most(2099)); n != 8003 {
		t.Errorf("2099 parameters: error %d, want 8003", n)
	}
}

// TestTransactionDescriptor: a request says which transaction it belongs to, and the server looks.
func TestTransactionDescriptor(t *testing.T) {
	c := session(t, open(t))
	exec(t, c, "BEGIN TRANSACTION")
	exec(t, c, "COMMIT")
	tx, err := c.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, "ROLLBACK; BEGIN TRANSACTION") // another one, of which the driver hears
	exec(t, tx, "SELECT 1")
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	if got := one(t, c, "SELECT @@TRANCOUNT"); got != int64(0) {
		t.Errorf("@@TRANCOUNT is %v", got)
	}
}
