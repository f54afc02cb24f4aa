package tds_test

import (
	"database/sql"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/golang-sql/civil"
	"github.com/google/go-cmp/cmp"
	mssql "github.com/microsoft/go-mssqldb"
)

// kinds are the types with values that must come back as they went: the extremes, and what is easily lost. in is
// what the driver is given, out what it returns if that differs.
var kinds = []struct {
	typ string
	in  []any
	out []any
}{
	{"bit", []any{true, false}, nil},
	{"tinyint", []any{int64(0), int64(255)}, nil},
	{"smallint", []any{int64(-32768), int64(32767)}, nil},
	{"int", []any{int64(math.MinInt32), int64(math.MaxInt32)}, nil},
	{"bigint", []any{int64(math.MinInt64), int64(math.MaxInt64)}, nil},
	{"decimal(38,0)", []any{strings.Repeat("9", 38), "-" + strings.Repeat("9", 38), "0"}, nil},
	{"decimal(38,38)", []any{"0." + strings.Repeat("9", 38), "-0.00000000000000000000000000000000000001"}, nil},
	{"decimal(18,2)", []any{"12345.67", "-0.01", "9999999999999999.99"}, nil},
	{"real", []any{1.5, -math.MaxFloat32, math.SmallestNonzeroFloat32}, nil},
	{"float", []any{0.1, -math.MaxFloat64, math.SmallestNonzeroFloat64}, nil},
	{"date", []any{day(1, 1, 1), day(9999, 12, 31), day(2024, 2, 29)}, nil},
	{"datetime2(6)", []any{day(1, 1, 1), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC), time.Date(2026, 1, 2, 3, 4, 5, 1000, time.UTC)}, nil},
	{"datetime2(0)", []any{time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC)}, nil},
	{"nvarchar(10)", []any{"", "ü€😀", "\t\n\r\\N\\.", "nul\x00nul", "  x  ", "0123456789"}, nil},
	{"nvarchar(max)", []any{"", strings.Repeat("long ü😀", 20_000), "nul\x00nul"}, nil},
	{"varchar(10)", []any{"", "ascii ~"}, nil},
	{"varbinary(10)", []any{[]byte{}, []byte{0, 1, 255, 0}}, nil},
	{"varbinary(max)", []any{[]byte{}, []byte(strings.Repeat("\x00\xff", 20_000))}, nil},
}

func day(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }

// seen brings what the driver returns to the form in which it was given.
func seen(v any) any {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case time.Time:
		return v.UTC()
	}
	return v
}

// TestTypes sends every kind of value by parameter and by bulk load and reads it back, NULL too.
func TestTypes(t *testing.T) {
	db := open(t)
	for _, k := range kinds {
		t.Run(k.typ, func(t *testing.T) {
			c := session(t, db)
			exec(t, c, "DROP TABLE IF EXISTS dbo.T; CREATE TABLE dbo.T (Id int NOT NULL, V "+k.typ+" NULL)")
			values := append(append([]any(nil), k.in...), nil)
			for i, v := range values {
				if k.typ == "varbinary(10)" || k.typ == "varbinary(max)" {
					exec(t, c, "INSERT INTO dbo.T VALUES (@p1, CAST(@p2 AS "+k.typ+"))", i, v)
					continue
				}
				exec(t, c, "INSERT INTO dbo.T VALUES (@p1, @p2)", i, v)
			}
			expectValues(t, c, "by parameter", values)
			exec(t, c, "TRUNCATE TABLE dbo.T")
			load(t, c, values)
			expectValues(t, c, "by bulk load", values)
		})
	}
}

func load(t *testing.T, c *sql.Conn, values []any) {
	t.Helper()
	st, err := c.PrepareContext(t.Context(), mssql.CopyIn("dbo.T", mssql.BulkOptions{Tablock: true}, "Id", "V"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for i, v := range values {
		if _, err := st.ExecContext(t.Context(), int64(i), v); err != nil {
			t.Fatalf("%v: %v", v, err)
		}
	}
	res, err := st.ExecContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n != int64(len(values)) {
		t.Fatalf("%d rows, %v; want %d", n, err, len(values))
	}
}

func expectValues(t *testing.T, c *sql.Conn, how string, want []any) {
	t.Helper()
	rows := table(t, c, "SELECT V FROM dbo.T ORDER BY Id")
	if len(rows) != len(want) {
		t.Fatalf("%s: %d rows, want %d", how, len(rows), len(want))
	}
	for i, r := range rows {
		if diff := cmp.Diff(seen(want[i]), seen(r[0])); diff != "" {
			t.Errorf("%s: value %d: %.300s", how, i, diff)
		}
	}
}

// TestOtherTypes are those that the driver takes or gives in a form of its own.
func TestOtherTypes(t *testing.T) {
	c := session(t, open(t))
	exec(t, c, `CREATE TABLE dbo.T (G uniqueidentifier, At time(6), Zoned datetimeoffset(3), C nchar(4), B binary(3), U varchar(10) COLLATE Latin1_General_100_BIN2_UTF8)`)
	guid := mssql.UniqueIdentifier{0x6f, 0x96, 0x19, 0xff, 0x8b, 0x86, 0xd0, 0x11, 0xb4, 0x2d, 0x00, 0xc0, 0x4f, 0xc9, 0x64, 0xff}
	exec(t, c, "INSERT INTO dbo.T VALUES (@p1, @p2, @p3, @p4, CONVERT(varbinary(3), @p5), @p6)",
		guid, civil.Time{Hour: 23, Minute: 59, Second: 59, Nanosecond: 999999000}, mssql.DateTimeOffset(time.Date(2026, 5, 6, 7, 8, 9, 123000000, time.UTC)),
		"ab", []byte{7}, "ü€")
	got := table(t, c, "SELECT CONVERT(nvarchar(36), G), CONVERT(nvarchar(20), At), CONVERT(nvarchar(40), Zoned, 121), C, B, U FROM dbo.T")
	want := [][]any{{"6F9619FF-8B86-D011-B42D-00C04FC964FF", "23:59:59.999999", "2026-05-06 07:08:09.123 +00:00", "ab  ", []byte{7, 0, 0}, "ü€"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var back mssql.UniqueIdentifier
	if err := c.QueryRowContext(t.Context(), "SELECT G FROM dbo.T WHERE G = @p1", guid).Scan(&back); err != nil || back != guid {
		t.Errorf("%v, %v; want %v", back, err, guid)
	}
}

// TestBulkRefusals looks at what a bulk load must not do.
func TestBulkRefusals(t *testing.T) {
	db := open(t)
	exec(t, db, "CREATE TABLE dbo.T (Id int NOT NULL, V nvarchar(3) NULL)")
	for name, c := range map[string]struct {
		values []any
		want   int32
	}{
		"too long": {[]any{int64(1), "four"}, 4815},
		"NULL":     {[]any{nil, "x"}, 515},
	} {
		s := session(t, db)
		st, err := s.PrepareContext(t.Context(), mssql.CopyIn("dbo.T", mssql.BulkOptions{}, "Id", "V"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.ExecContext(t.Context(), int64(0), "ok"); err != nil {
			t.Fatal(err)
		}
		if _, err := st.ExecContext(t.Context(), c.values...); err != nil {
			t.Fatal(err)
		}
		_, err = st.ExecContext(t.Context())
		if got := numberOf(t, name, err); got != c.want {
			t.Errorf("%s: error %d, want %d", name, got, c.want)
		}
		if n := one(t, s, "SELECT COUNT(*) FROM dbo.T"); n != int64(0) {
			t.Errorf("%s: a bulk load that failed has left %v rows", name, n)
		}
	}
}

// TestFunctions evaluates what verification and bookkeeping need.
func TestFunctions(t *testing.T) {
	c := session(t, open(t))
	for x, want := range map[string]any{
		"CONVERT(varchar(64), HASHBYTES('SHA2_256', N'abc'), 2)":                      "13E228567E8249FCE53337F25D7970DE3BD68AB2653424C7B8F9FD05E33CAEDF",
		"CONVERT(varchar(64), HASHBYTES('SHA2_256', 'abc'), 2)":                       "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
		"CONVERT(varchar(10), 0x0aFF, 1)":                                             "0x0AFF",
		"CONVERT(varbinary(10), '0x0aFF', 1)":                                         []byte{0x0a, 0xff},
		"CONVERT(bigint, SUBSTRING(0x00000000000001020304, 3, 8))":                    int64(0x1020304),
		"CONCAT(N'a', NULL, 1, CAST(2.50 AS decimal(5,2)))":                           "a12.50",
		"CONCAT_WS(N'|', N'a', NULL, N'b')":                                           "a|b",
		"CONVERT(nvarchar(30), CAST(N'2026-01-02 03:04:05.12' AS datetime2(3)), 126)": "2026-01-02T03:04:05.120",
		"CONVERT(nvarchar(10), CAST(N'2026-01-02 03:04:05' AS datetime2(0)), 23)":     "2026-01-02",
		"CAST(CAST(1.50 AS decimal(9,3)) AS nvarchar(20))":                            "1.500",
		"ISNULL(NULL, N'x')":                               "x",
		"COALESCE(NULL, 2, 3)":                             int64(2),
		"NULLIF(N'a', N'A ')":                              nil,
		"IIF(1 = 1, N'yes', N'no')":                        "yes",
		"UPPER(N'aü') + LOWER(N'AÜ')":                      "AÜaü",
		"QUOTENAME(N'a]b')":                                "[a]]b]",
		"LTRIM(RTRIM(N'  x  '))":                           "x",
		"DB_ID(N'no such database')":                       nil,
		"OBJECT_ID(N'dbo.none', N'U')":                     nil,
		"SCHEMA_NAME()":                                    "dbo",
		"ABS(-5)":                                          int64(5),
		"XACT_STATE()":                                     int64(0),
		"CASE 2 WHEN 1 THEN N'one' WHEN 2 THEN N'two' END": "two",
	} {
		if diff := cmp.Diff(want, one(t, c, "SELECT "+x)); diff != "" {
			t.Errorf("%s: %s", x, diff)
		}
	}
	if n := one(t, c, "SELECT DATALENGTH(N'aü😀')"); n != int64(8) {
		t.Errorf("DATALENGTH is %v, want 8", n)
	}
}

// TestResultSets reads several results of one batch, with a notice between.
func TestResultSets(t *testing.T) {
	c := session(t, open(t))
	rows, err := c.QueryContext(t.Context(), "SET NOCOUNT ON; DECLARE @n int = 2; SELECT @n AS a; PRINT N'between'; SELECT N'x' AS b, @n + 1 AS c UNION ALL SELECT N'y', 4; SELECT 1 AS d WHERE 1 = 0")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for more := true; more; more = rows.NextResultSet() {
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for rows.Next() {
			n++
		}
		got = append(got, strings.Join(columns, ",")+":"+strings.Repeat("r", n))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a:r", "b,c:rr", "d:"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestParameters counts them up to SQL Server's limit and beyond.
func TestParameters(t *testing.T) {
	c := session(t, open(t))
	args := make([]any, 2101)
	for i := range args {
		args[i] = i
	}
	if got := one(t, c, "SELECT @p1 + @p2098", args[:2098]...); got != int64(2097) {
		t.Errorf("got %v", got)
	}
	if got := number(t, c, "SELECT @p1", args...); got != 8003 {
		t.Errorf("error %d, want 8003", got)
	}
	var out int64
	exec(t, c, "SET @n = @p1 * 2", 21, sql.Named("n", sql.Out{Dest: &out}))
	if out != 42 {
		t.Errorf("the output parameter is %d, want 42", out)
	}
}
