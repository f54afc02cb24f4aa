package tsql

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestParse parses what must be parsed; the tree is printed in a short form.
func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT 1":                "SelectStatement",
		"; ;SELECT 1;; SELECT 2;": "SelectStatement SelectStatement",
		"SELECT 1 SELECT 2":       "SelectStatement SelectStatement",
		"SELECT a.b AS c, * FROM [d].[e] a -- x\n/* y /* z */ */":                    "SelectStatement",
		"IF 1 = 1 SELECT 1 ELSE BEGIN SELECT 2; SELECT 3 END":                        "If",
		"IF 1 = 1 SELECT 1; ELSE SELECT 2":                                           "If",
		"BEGIN TRY SELECT 1 END TRY BEGIN CATCH THROW END CATCH":                     "Try",
		"DECLARE @a int = 1, @b nvarchar(max); SET @a += 2":                          "Declare SetVariable",
		"BEGIN TRAN x; SAVE TRANSACTION y; ROLLBACK TRAN y; COMMIT TRANSACTION":      "BeginTran SaveTran RollbackTran CommitTran",
		"INSERT dbo.t VALUES (1), (DEFAULT)":                                         "Insert",
		"INSERT INTO t (a) (SELECT 1)":                                               "Insert",
		"WITH x AS (SELECT 1 AS a) DELETE t FROM t JOIN x ON x.a = t.a":              "Delete",
		"UPDATE TOP (5) t SET a = 1, t.b += 2 OUTPUT inserted.a WHERE c IS NOT NULL": "Update",
		"CREATE TABLE #t (a int NOT NULL IDENTITY(5,2), b nvarchar(10) COLLATE Latin1_General_100_BIN2 NULL CONSTRAINT d DEFAULT N'x', CONSTRAINT p PRIMARY KEY NONCLUSTERED (a, b DESC))": "CreateTable",
		"ALTER TABLE t ADD a int, b int NULL":                                              "AlterTable",
		"ALTER TABLE t ALTER COLUMN a decimal(9,2) NOT NULL":                               "AlterTable",
		"DROP TABLE IF EXISTS a, dbo.b":                                                    "DropTable",
		"SET TRANSACTION ISOLATION LEVEL SNAPSHOT; SET XACT_ABORT ON; SET LOCK_TIMEOUT -1": "SetOption SetOption SetOption",
		"EXEC sys.sp_addextendedproperty @name = N'a', @value = 1; EXEC (N'SELECT 1')":     "Exec Exec",
		"WHILE 1 = 1 BREAK": "While",
		"select top 5 a from t order by a offset 5 rows fetch next 5 rows only": "SelectStatement",
		"RETURN; PRINT N'x'; RAISERROR(N'x', 16, 1); THROW 50000, N'x', 1":      "Return Print RaiseError Throw",
	} {
		got, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var names []string
		for _, s := range got {
			names = append(names, strings.TrimPrefix(fmt.Sprintf("%T", s.(*Source).Statement), "*tsql."))
		}
		if diff := cmp.Diff(want, strings.Join(names, " ")); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

// TestPrecedence shows how operators bind.
func TestPrecedence(t *testing.T) {
	for text, want := range map[string]string{
		"a + b * c":                             "(a + (b * c))",
		"a - b - c":                             "((a - b) - c)",
		"-a * b":                                "((-a) * b)",
		"a = 1 OR b = 2 AND NOT c = 3":          "(a = 1 OR (b = 2 AND NOT c = 3))",
		"a NOT IN (1, 2)":                       "a NOT IN [1 2]",
		"a BETWEEN 1 AND 2 AND b = 3":           "(a BETWEEN 1 AND 2 AND b = 3)",
		"a !< 1":                                "a >= 1",
		"a COLLATE Latin1_General_100_BIN2 + b": "(a COLLATE Latin1_General_100_BIN2 + b)",
	} {
		tokens, err := lex(text)
		if err != nil {
			t.Fatal(err)
		}
		p := &parser{text: text, tokens: tokens}
		x := p.expression()
		if p.err != nil || !p.atEnd() {
			t.Errorf("%s: %v", text, p.err)
			continue
		}
		if diff := cmp.Diff(want, show(x)); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func show(x Expr) string {
	not := func(n bool) string {
		if n {
			return "NOT "
		}
		return ""
	}
	switch x := x.(type) {
	case *Number:
		return x.Text
	case *Column:
		return x.Name
	case *Unary:
		return "(" + x.Op + show(x.X) + ")"
	case *Binary:
		return "(" + show(x.L) + " " + x.Op + " " + show(x.R) + ")"
	case *Compare:
		return show(x.L) + " " + x.Op + " " + show(x.R)
	case *Logic:
		return "(" + show(x.L) + " " + x.Op + " " + show(x.R) + ")"
	case *Not:
		return "NOT " + show(x.X)
	case *Between:
		return show(x.X) + " " + not(x.Not) + "BETWEEN " + show(x.Low) + " AND " + show(x.High)
	case *Collate:
		return show(x.X) + " COLLATE " + x.Collation.String()
	case *In:
		var items []string
		for _, i := range x.List {
			items = append(items, show(i))
		}
		return show(x.X) + " " + not(x.Not) + "IN [" + strings.Join(items, " ") + "]"
	}
	return fmt.Sprintf("%T", x)
}

// TestErrorPlace says where a text was refused.
func TestErrorPlace(t *testing.T) {
	_, err := Parse("SELECT 1;\n-- x\nSELECT *\nFROM t LIMIT 5")
	var e *Error
	if !errors.As(err, &e) || e.Line != 4 || e.Near != "5" {
		t.Errorf("%v", err)
	}
}

// TestDepth refuses what nests without end instead of exhausting the stack.
func TestDepth(t *testing.T) {
	for _, text := range []string{
		"SELECT " + strings.Repeat("(", 100_000) + "1",
		"SELECT " + strings.Repeat("-", 1) + strings.Repeat("- ", 100_000) + "1",
		strings.Repeat("BEGIN ", 100_000),
		"SELECT * FROM " + strings.Repeat("(", 100_000) + "t",
		"SELECT 1 WHERE " + strings.Repeat("NOT ", 100_000) + "1 = 1",
		strings.Repeat("IF 1 = 1 ", 100_000) + "SELECT 1",
		"SELECT CASE WHEN " + strings.Repeat("EXISTS (SELECT 1 WHERE ", 100_000),
	} {
		if _, err := Parse(text); !IsRefusal(err) {
			t.Errorf("%.40s…: %v", text, err)
		}
	}
}

// TestParseName takes names apart.
func TestParseName(t *testing.T) {
	for text, want := range map[string]Name{
		"t": {"t"}, "dbo.Order": {"dbo", "Order"}, "[a.b]].c].\"d\"\"\"": {"a.b].c", "d\""}, "tempdb..#t": {"tempdb", "", "#t"},
		" [x] . y ": {"x", "y"}, "": nil, "a.b.c.d": nil, "[x": nil, "a]": nil, "a.": nil, "[a]b": nil,
	} {
		got, err := ParseName(text)
		if diff := cmp.Diff(want, got); diff != "" || (err != nil) != (want == nil) {
			t.Errorf("%q: %v %s", text, err, diff)
		}
	}
}

// FuzzParse looks for texts that break the parser. Whatever it accepts it must accept again, statement by statement,
// from the text that it noted as the statement's own.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"SELECT 1", "UPDATE t SET a = s.a FROM dbo.t AS t INNER JOIN #s AS s ON t.id = s.id WHERE NOT EXISTS (SELECT t.a INTERSECT SELECT s.a)",
		"INSERT INTO t (a) SELECT N'x''y' WHERE 0x1F > [b]]c]", "CREATE TABLE t (a decimal(9,2) NOT NULL PRIMARY KEY)",
		"IF @@ROWCOUNT = 0 BEGIN SELECT @x END", "DECLARE @t nvarchar(max) = N'😀'", "/* a /* b */ c */ -- d", "INSERT BULK t (a int) WITH (TABLOCK)",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		batch, err := Parse(text)
		if err != nil {
			if !IsRefusal(err) {
				t.Fatalf("%q: %v is no refusal", text, err)
			}
			return
		}
		for _, s := range batch {
			src := s.(*Source)
			again, err := Parse(src.Text)
			if err != nil || len(again) != 1 {
				t.Fatalf("%q: its statement %q gives %d statements, %v", text, src.Text, len(again), err)
			}
		}
		_, _ = ParseParameters(text) // must not panic
		_, _ = ParseName(text)       // must not panic
	})
}
