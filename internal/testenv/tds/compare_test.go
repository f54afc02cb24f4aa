package tds_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestComparisons asks what is equal and what comes first, as SQL Server has it.
func TestComparisons(t *testing.T) {
	c := session(t, open(t))
	exec(t, c, "CREATE TABLE dbo.B (V nvarchar(20) COLLATE Latin1_General_100_BIN2, W nvarchar(20), N int, X varbinary(4))")
	for condition, want := range map[string]bool{
		// Trailing spaces never count, leading ones do.
		"N'a' = N'a  '": true,
		"N'a' = N' a'":  false,
		"N'' = N'   '":  true,
		"N'a ' <> N'a'": false,
		// Case counts in binary collations alone.
		"N'a' = N'A'": true,
		"N'a' = N'A' COLLATE Latin1_General_100_BIN2":  false,
		"N'a' = N'a ' COLLATE Latin1_General_100_BIN2": true,
		"N'ä' = N'Ä'": true,
		"N'ä' = N'a'": false,
		"N'Z' < N'a' COLLATE Latin1_General_100_BIN2": true,
		"N'Z' < N'a'": false,
		// Bytes tell what text does not.
		"CAST(N'a' AS varbinary(10)) = CAST(N'a ' AS varbinary(10))":   false,
		"CAST(N'a' AS varbinary(10)) = CAST(N'A' AS varbinary(10))":    false,
		"CAST(N'a😀' AS varbinary(10)) = 0x61003DD800DE":                true,
		"CAST(N'a' AS varbinary(max)) <> CAST(N'a' AS varbinary(max))": false,
		"DATALENGTH(N'a  ') = 6":                                       true,
		"LEN(N'a  ') = 1":                                              true,
		"LEN(N'😀') = 2":                                                true,
		"0x01 = 0x0100":                                                true,
		"0x01 = 0x0200":                                                false,
		"CONVERT(binary(3), 0x01) = 0x010000":                          true,
		"CONVERT(varbinary(8), CAST(258 AS int)) = 0x00000102":         true,
		// Numbers meet in the stronger type.
		"N'10' = 10":                         true,
		"1.50 = 1.5":                         true,
		"CAST(1 AS bit) = 1":                 true,
		"7 / 2 = 3":                          true,
		"-7 / 2 = -3":                        true,
		"-7 % 3 = -1":                        true,
		"CAST(2.5 AS int) = 2":               true,
		"CAST(-2.5 AS int) = -2":             true,
		"CAST(2.455 AS decimal(9,2)) = 2.46": true,
		"CAST(0.5 AS bit) = 1":               true,
		// NULL is unknown.
		"NULL = NULL":                                       false,
		"NOT (NULL = NULL)":                                 false,
		"NULL IS NULL":                                      true,
		"1 IN (1, NULL)":                                    true,
		"2 NOT IN (1, NULL)":                                false,
		"1 NOT IN (SELECT N FROM dbo.B)":                    true, // no rows
		"EXISTS (SELECT NULL INTERSECT SELECT NULL)":        true,
		"EXISTS (SELECT N'a', 1 INTERSECT SELECT N'A ', 1)": true,
		"EXISTS (SELECT N'a' COLLATE Latin1_General_100_BIN2 INTERSECT SELECT N'A')": false,
		"EXISTS (SELECT 1 EXCEPT SELECT 1)":                                          false,
		// Dates.
		"CAST(N'2026-01-02T03:04:05.5' AS datetime2(0)) = N'2026-01-02 03:04:06'":                                 true,
		"CAST(N'2026-01-02' AS date) < CAST(N'2026-01-02 00:00:01' AS datetime2(0))":                              true,
		"CAST(N'2026-01-02 03:04:05 +00:00' AS datetimeoffset(0)) = CAST(N'2026-01-02 03:04:05' AS datetime2(0))": true,
		// LIKE.
		"N'cdc_x' LIKE N'cdc[_]%'":        true,
		"N'cdcsx' LIKE N'cdc[_]%'":        false,
		"N'CDC_X' LIKE N'cdc__'":          true,
		"N'a.b' LIKE N'a.b'":              true,
		"N'axb' LIKE N'a.b'":              false,
		"N'50%' LIKE N'50!%' ESCAPE N'!'": true,
		"N'50x' LIKE N'50!%' ESCAPE N'!'": false,
		"N'ab' NOT LIKE N'a%'":            false,
		"N'b' BETWEEN N'a' AND N'C'":      true,
	} {
		got := one(t, c, "SELECT CASE WHEN "+condition+" THEN 1 ELSE 0 END")
		if (got == int64(1)) != want {
			t.Errorf("%s is %v, want %v", condition, got, want)
		}
	}
}

// TestGrouping counts as equal what compares as equal, in DISTINCT, GROUP BY, windows and unique indexes.
func TestGrouping(t *testing.T) {
	c := session(t, open(t))
	exec(t, c, `CREATE TABLE dbo.T (Id int NOT NULL, B nvarchar(10) COLLATE Latin1_General_100_BIN2, C nvarchar(10));
		INSERT INTO dbo.T VALUES (1, N'a', N'a'), (2, N'A', N'A'), (3, N'a ', N'a '), (4, NULL, NULL), (5, NULL, NULL), (6, N'b', N'b')`)
	for query, want := range map[string][][]any{
		"SELECT COUNT(*) FROM (SELECT DISTINCT B FROM dbo.T) AS x":                                                                     {{int64(4)}},
		"SELECT COUNT(*) FROM (SELECT DISTINCT C FROM dbo.T) AS x":                                                                     {{int64(3)}},
		"SELECT COUNT(DISTINCT C), COUNT(C), COUNT(*) FROM dbo.T":                                                                      {{int64(2), int64(4), int64(6)}},
		"SELECT MAX(Id), COUNT(*) FROM dbo.T GROUP BY C ORDER BY MAX(Id)":                                                              {{int64(3), int64(3)}, {int64(5), int64(2)}, {int64(6), int64(1)}},
		"SELECT B, COUNT(*) AS n FROM dbo.T GROUP BY B HAVING COUNT(*) > 1 ORDER BY B":                                                 {{nil, int64(2)}, {"a", int64(2)}},
		"SELECT Id FROM (SELECT Id, ROW_NUMBER() OVER (PARTITION BY C ORDER BY Id DESC) AS r FROM dbo.T) AS x WHERE r = 1 ORDER BY Id": {{int64(3)}, {int64(5)}, {int64(6)}},
		"SELECT TOP (2) Id FROM dbo.T ORDER BY B, Id":                                                                                  {{int64(4)}, {int64(5)}},
		"SELECT Id FROM dbo.T ORDER BY Id OFFSET 2 ROWS FETCH NEXT 2 ROWS ONLY":                                                        {{int64(3)}, {int64(4)}},
		"SELECT STRING_AGG(B, N',') WITHIN GROUP (ORDER BY Id) FROM dbo.T":                                                             {{"a,A,a ,b"}},
		"SELECT x.Id FROM dbo.T AS x JOIN dbo.T AS y ON x.C = y.C WHERE y.Id = 2 ORDER BY x.Id":                                        {{int64(1)}, {int64(2)}, {int64(3)}},
		"SELECT Id FROM dbo.T WHERE C IN (SELECT y.B COLLATE DATABASE_DEFAULT FROM dbo.T AS y WHERE y.Id = 2) ORDER BY Id":             {{int64(1)}, {int64(2)}, {int64(3)}},
		"WITH x AS (SELECT Id, B FROM dbo.T WHERE Id > 4) SELECT Id FROM x UNION ALL SELECT 9 ORDER BY Id DESC":                        {{int64(9)}, {int64(6)}, {int64(5)}},
		"SELECT Id, d.m FROM dbo.T AS t CROSS APPLY (SELECT MAX(y.Id) AS m FROM dbo.T AS y WHERE y.C = t.C) AS d WHERE t.Id = 1":       {{int64(1), int64(3)}},
	} {
		if diff := cmp.Diff(want, table(t, c, query)); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	exec(t, c, "CREATE TABLE dbo.K (A int NULL, B nvarchar(10) COLLATE Latin1_General_100_BIN2 NULL); CREATE UNIQUE INDEX UX ON dbo.K (A, B)")
	exec(t, c, "INSERT INTO dbo.K VALUES (1, NULL), (NULL, N'x'), (1, N'x'), (1, N'X')")
	for _, row := range []string{"(1, NULL)", "(NULL, N'x ')", "(1, N'x  ')"} {
		if got := number(t, c, "INSERT INTO dbo.K VALUES "+row); got != 2601 {
			t.Errorf("%s: error %d, want 2601", row, got)
		}
	}
}

// TestChanges changes rows in the ways that T-SQL has.
func TestChanges(t *testing.T) {
	c := session(t, open(t))
	exec(t, c, `CREATE TABLE dbo.T (Id int NOT NULL PRIMARY KEY, N int NULL, At datetime2(6) NOT NULL DEFAULT SYSUTCDATETIME());
		CREATE TABLE #s (Id int NOT NULL, N int NULL)`)
	exec(t, c, "INSERT INTO dbo.T (Id, N) VALUES (1, 1), (2, 2), (3, 3), (4, DEFAULT); INSERT INTO #s VALUES (1, 10), (2, 20), (9, 90)")
	for _, s := range []struct {
		text string
		rows int64
	}{
		{"UPDATE t SET N = s.N FROM dbo.T AS t INNER JOIN #s AS s ON s.Id = t.Id WHERE s.Id < 9", 2},
		{"UPDATE t SET N += 1 FROM dbo.T AS t WHERE t.Id = 1", 1},
		{"UPDATE dbo.T SET N = s.N + dbo.T.N FROM #s AS s WHERE s.Id = dbo.T.Id AND s.Id = 2", 1},
		{"UPDATE dbo.T WITH (UPDLOCK, HOLDLOCK) SET N = 5 WHERE Id = 4", 1},
		{"UPDATE TOP (1) dbo.T SET N = 6 WHERE Id >= 3", 1},
		{"INSERT INTO dbo.T (Id, N) SELECT s.Id, s.N FROM #s AS s WHERE NOT EXISTS (SELECT 1 FROM dbo.T AS t WHERE t.Id = s.Id)", 1},
		{"DELETE t FROM dbo.T AS t JOIN #s AS s ON s.Id = t.Id WHERE s.N = 90", 1},
		{"DELETE FROM dbo.T WHERE Id IN (SELECT Id FROM #s WHERE N = 20)", 1},
		{"DELETE TOP (1) FROM dbo.T WHERE Id > 2", 1},
		{"DELETE a FROM #s AS a JOIN #s AS b ON b.Id > a.Id", 2},
		{"INSERT #s DEFAULT VALUES", -1},
		{"TRUNCATE TABLE #s", 0},
	} {
		if s.rows < 0 {
			if got := number(t, c, s.text); got != 515 {
				t.Errorf("%s: error %d, want 515", s.text, got)
			}
			continue
		}
		if got := exec(t, c, s.text); got != s.rows {
			t.Errorf("%s: %d rows, want %d", s.text, got, s.rows)
		}
	}
	if diff := cmp.Diff([][]any{{int64(2)}}, table(t, c, "SELECT COUNT(*) FROM dbo.T")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]any{{int64(1), int64(11)}}, table(t, c, "DELETE FROM dbo.T OUTPUT deleted.Id, deleted.N WHERE Id = 1")); diff != "" {
		t.Error(diff)
	}
	exec(t, c, "INSERT INTO dbo.T (Id, N) OUTPUT inserted.Id, inserted.N INTO #s VALUES (7, 70)")
	if diff := cmp.Diff([][]any{{int64(7), int64(70)}}, table(t, c, "SELECT Id, N FROM #s")); diff != "" {
		t.Error(diff)
	}
}
