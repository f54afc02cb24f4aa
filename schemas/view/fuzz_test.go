package view

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/etlsandbox/cdc/schemas/change"
)

// FuzzCompile: no text makes the compiler panic; what it refuses has a place inside the text, and what it
// compiles can be evaluated over a row of NULLs.
func FuzzCompile(f *testing.F) {
	cat := refusedCatalog()
	f.Add(customerOrderFlat)
	for _, s := range []string{
		"SELECT id FROM node", "SELECT a.id, b.name AS n FROM node a LEFT JOIN node b ON b.id = a.parent_id AND b.name LIKE 'x\\_%' ESCAPE '|' WHERE a.id IN (1,2)",
		"SELECT CASE WHEN amount / 3 > 1 THEN '1' ELSE NULL END AS x FROM kinds -- end", "SELECT `id`, CAST(amount AS DECIMAL(3,1)) AS d /* c */ FROM shop.kinds;",
		"SELECT id FROM doc d JOIN line l USING (tenant, id)", "SELECT TRIM(BOTH 'x' FROM code) AS t, SUBSTRING(code FROM 2 FOR 3) AS s FROM kinds WHERE day >= '2024-01-01'",
		"SELECT id, -9223372036854775808 AS a, 1e400 AS b, 0.000000000000000000000000000000000001 AS c FROM node",
	} {
		f.Add("CREATE VIEW v AS " + s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		p, err := Compile("v.sql", sql, cat)
		var e *Error
		switch {
		case err == nil:
			evalNulls(t, p)
		case !errors.As(err, &e):
			t.Fatalf("an error without a place: %v", err)
		case e.Line < 1 || e.Column < 1 || e.Line > strings.Count(sql, "\n")+1 || e.Column > utf8.RuneCountInString(sql)+1:
			t.Fatalf("a place outside the text: %v", e)
		}
	})
}

func evalNulls(t *testing.T, p *Plan) {
	tuple := make(Tuple, len(p.Inputs))
	for i, in := range p.Inputs {
		tuple[i] = make(change.Row, len(in.Table.Columns))
	}
	for i, e := range p.Select {
		if _, err := e.Eval(tuple); err != nil {
			var r *RangeError
			if !errors.As(err, &r) {
				t.Fatalf("%s: %v", p.Select[i], err)
			}
		}
	}
	_ = Explain(p)
}
