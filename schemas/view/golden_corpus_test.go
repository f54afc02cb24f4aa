package view

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
)

// goldenCorpus is every operator over every pair of columns, and the lines of testdata/golden.txt.
func goldenCorpus(t *testing.T, table *change.Table) []string {
	t.Helper()
	var out []string
	for _, a := range table.Columns[1:] {
		out = append(out, unaryCorpus(a.Name)...)
		for _, b := range table.Columns[1:] {
			out = append(out, pairCorpus(a.Name, b.Name)...)
		}
	}
	f, err := os.Open("testdata/golden.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := strings.TrimSpace(s.Text()); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

func fill(a, b string, patterns ...string) []string {
	out := make([]string, len(patterns))
	for i, p := range patterns {
		out[i] = strings.NewReplacer("@a", a, "@b", b).Replace(p)
	}
	return out
}

func unaryCorpus(a string) []string {
	return fill(a, "",
		"@a", "@a IS NULL", "@a IS NOT NULL", "NOT @a", "-@a", "@a IS TRUE", "@a IS NOT TRUE", "@a IS FALSE", "@a IS NOT FALSE",
		"UPPER(@a)", "LOWER(@a)", "TRIM(@a)", "LTRIM(@a)", "RTRIM(@a)", "TRIM(LEADING 'a' FROM @a)", "TRIM(TRAILING 'x' FROM @a)",
		"TRIM(BOTH 'xx' FROM @a)", "TRIM('' FROM @a)", "SUBSTRING(@a, 2)", "SUBSTRING(@a, -2)", "SUBSTRING(@a, 1, 1)", "SUBSTRING(@a, i3, i3)",
		"SUBSTRING(@a, 0, 2)", "SUBSTR(@a, u1, 3)", "MID(@a, -3, 2)",
		"ROUND(@a)", "ROUND(@a, 0)", "ROUND(@a, 1)", "ROUND(@a, 2)", "ROUND(@a, 4)", "ROUND(@a, -1)", "ROUND(@a, -2)",
		"DATE(@a)", "YEAR(@a)", "MONTH(@a)", "CONCAT(@a)", "CONCAT('<', @a, '>')", "CONCAT_WS(',', @a, 'x')", "CONCAT_WS(@a, 'x', 'y')",
		"COALESCE(@a)", "CAST(@a AS SIGNED)", "CAST(@a AS UNSIGNED)", "CAST(@a AS DECIMAL(10,1))", "CAST(@a AS DECIMAL(4,2))", "CAST(@a AS DECIMAL)",
		"CAST(@a AS CHAR)", "CAST(@a AS CHAR(3))", "CAST(@a AS BINARY)", "CAST(@a AS BINARY(3))", "CAST(@a AS DATE)", "CAST(@a AS DATETIME)",
		"CAST(@a AS DATETIME(6))", "CAST(@a AS DATETIME(3))", "@a LIKE 'a%'", "@a LIKE '%b'", "@a NOT LIKE '_'", "@a LIKE 'A'",
		"@a = 'a'", "@a > 'a'", "@a <> 'a '", "@a IN ('a', 'b')", "@a BETWEEN 'a' AND 'b'", "NULLIF(@a, 'a')", "CASE @a WHEN 'a' THEN 1 WHEN 'AB' THEN 2 ELSE 3 END",
		"@a = 1", "@a < 1.5", "@a IN (1, 2, 3)", "@a BETWEEN 0 AND 100", "NULLIF(@a, 0)", "CASE @a WHEN 1 THEN 'one' WHEN 2 THEN 'two' END",
		"@a + 1", "@a - 1", "@a * 2", "@a / 2", "@a DIV 3", "@a % 3", "@a = 2024", "@a > 1999", "@a + 0.5", "@a * 1.25", "1 / @a", "1.0 / @a",
		"@a = '2024-02-29'", "@a >= '2024-02-29 00:00:00'", "@a BETWEEN '1970-01-01' AND '2025-01-01'", "@a IN ('2024-02-29', '1970-01-01')",
		"@a < DATE'2024-03-01'", "@a <= TIMESTAMP'2024-02-29 12:34:56'", "CASE @a WHEN '2024-02-29' THEN 1 ELSE 0 END", "NULLIF(@a, '2024-02-29')",
		"IFNULL(@a, 0)", "IFNULL(@a, 1.5)", "IFNULL(@a, 'none')", "COALESCE(@a, NULL, 3)", "COALESCE(NULL, @a)", "IF(@a, 1, 2)", "IF(i1 > 0, @a, NULL)",
		"CASE WHEN i1 > 0 THEN @a END", "CASE WHEN @a THEN 'y' ELSE 'n' END", "CASE WHEN @a THEN NULL ELSE 5 END", "IF(i1 > 0, NULL, @a)",
		"IFNULL(NULL, @a)", "IF(i1 > 0, @a, '-')", "CASE WHEN i1 > 0 THEN 'x' ELSE @a END", "CASE WHEN i1 > 0 THEN 0 ELSE @a END", "COALESCE(@a, '')",
	)
}

func pairCorpus(a, b string) []string {
	return fill(a, b,
		"@a = @b", "@a <> @b", "@a < @b", "@a <= @b", "@a > @b", "@a >= @b", "@a <=> @b", "@a IN (@b)", "@a NOT IN (@b, @b)",
		"@a BETWEEN @b AND @b", "@a NOT BETWEEN @b AND @a", "@a LIKE @b", "@a AND @b", "@a OR @b", "@a XOR @b",
		"@a + @b", "@a - @b", "@a * @b", "@a / @b", "@a DIV @b", "@a % @b",
		"CONCAT(@a, @b)", "CONCAT_WS(@a, @b, @b)", "COALESCE(@a, @b)", "IFNULL(@a, @b)", "NULLIF(@a, @b)", "IF(i1 > 0, @a, @b)",
		"CASE WHEN i1 > 0 THEN @a ELSE @b END", "CASE @a WHEN @b THEN 1 ELSE 0 END", "TRIM(@b FROM @a)", "IF(@a, @b, @b)", "SUBSTRING(@a, @b)",
	)
}
