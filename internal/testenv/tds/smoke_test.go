package tds_test

import (
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
)

func TestSmoke(t *testing.T) {
	db := open(t)
	c := session(t, db)
	exec(t, c, `SET XACT_ABORT ON; SET NOCOUNT OFF;`)
	exec(t, c, `CREATE TABLE dbo.T (Id bigint NOT NULL PRIMARY KEY, Name nvarchar(20) COLLATE Latin1_General_100_BIN2 NULL, Amount decimal(18,2), At datetime2(6), Ok bit NOT NULL DEFAULT 0)`)
	exec(t, c, `CREATE TABLE #stage (Id bigint NOT NULL, Name nvarchar(20) COLLATE Latin1_General_100_BIN2 NULL, Amount decimal(18,2), At datetime2(6), Ok bit, Doc nvarchar(max), Blob varbinary(max))`)
	tx, err := c.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	st, err := tx.PrepareContext(t.Context(), mssql.CopyIn("#stage", mssql.BulkOptions{}, "Id", "Name", "Amount", "At", "Ok", "Doc", "Blob"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := st.Exec(int64(i), "name\tü😀", "12.34", time.Date(2026, 1, 2, 3, 4, 5, 123456000, time.UTC), true, "doc", []byte{1, 2}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := st.Exec(int64(9), nil, nil, nil, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	res, err := st.Exec()
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := res.RowsAffected(); n != 4 {
		t.Fatal(n)
	}
	if n := exec(t, tx, `INSERT INTO dbo.T (Id, Name, Amount, At) SELECT s.Id, s.Name, s.Amount, s.At FROM #stage AS s WHERE NOT EXISTS (SELECT 1 FROM dbo.T AS t WHERE t.Id = s.Id)`); n != 4 {
		t.Fatal(n)
	}
	if n := exec(t, tx, `UPDATE t SET Amount = @p1 FROM dbo.T AS t INNER JOIN #stage AS s ON t.Id = s.Id WHERE s.Doc IS NOT NULL`, "99.5"); n != 3 {
		t.Fatal(n)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	t.Log(table(t, db, `SELECT * FROM dbo.T ORDER BY Id`))
	if got := number(t, db, `INSERT INTO dbo.T (Id) VALUES (1)`); got != 2627 {
		t.Fatal(got)
	}
}
