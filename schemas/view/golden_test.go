package view

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"

	"github.com/etlsandbox/cdc/schemas/change"
)

// rewriting reports whether -rewrite was given: the flag is datadriven's, and writes all golden files.
func rewriting() bool { return flag.Lookup("rewrite").Value.String() == "true" }

// goldenExpr is one expression of the corpus, compiled.
type goldenExpr struct {
	sql  string
	expr Expr
	// sigs are the signatures it uses, the outermost last.
	sigs []string
	want []change.Value // by row; nil until evaluated
	errs []bool
}

// compileGolden compiles an expression over the golden table; nil if it is refused.
func compileGolden(cat catalog, expr string, allowed map[string]bool) (*goldenExpr, error) {
	used := map[string]bool{}
	p, err := compile("golden_view.sql", "CREATE VIEW golden_view AS SELECT id, "+expr+" AS x FROM golden", cat, allowed, used)
	if err != nil {
		return nil, err
	}
	return &goldenExpr{sql: expr, expr: p.Select[1], sigs: slices.Sorted(maps.Keys(used))}, nil
}

// eval computes the expression for all rows.
func (e *goldenExpr) eval(t *testing.T, rows []change.Row) {
	t.Helper()
	e.want, e.errs = make([]change.Value, len(rows)), make([]bool, len(rows))
	for i, r := range rows {
		v, err := e.expr.Eval(Tuple{r})
		if v.IsNull() && err == nil && !e.expr.Nullable() {
			t.Fatalf("%s is NULL in row %d and not nullable", e.sql, i)
		}
		if err == nil && !fits(v, e.expr.Type()) {
			t.Fatalf("%s is %s in row %d, which %s does not hold", e.sql, v, i, typeName(e.expr.Type()))
		}
		e.want[i], e.errs[i] = v, err != nil
	}
}

// fits reports whether a destination's column of the type holds the value.
func fits(v change.Value, t change.Type) bool {
	switch v.Kind() {
	case change.Null:
		return true
	case change.Decimal:
		d := parseDec(v.Text())
		return t.Kind == change.Decimal && d.scale == t.Scale && d.digits() <= t.Precision
	case change.String:
		return t.Kind == change.String && (t.Length == 0 || utf8.RuneCountInString(v.Text()) <= t.Length)
	case change.Bytes:
		return t.Kind == change.Bytes && (t.Length == 0 || len(v.Text()) <= t.Length)
	case change.Int:
		return t.Kind == change.Int && (t.Name != "int" || v.Int() == int64(int32(v.Int())))
	}
	return v.Kind() == t.Kind
}

func (e *goldenExpr) badRows() string {
	var bad []string
	for i, b := range e.errs {
		if b {
			bad = append(bad, fmt.Sprint(i))
		}
	}
	return strings.Join(bad, ",")
}

// checkAll compares the corpus with a server and returns what differs, by expression.
func (g *goldenServer) checkAll(t *testing.T, exprs []*goldenExpr, rows []change.Row) map[*goldenExpr]string {
	groups := map[string][]*goldenExpr{}
	for _, e := range exprs {
		bad := e.badRows()
		groups[bad] = append(groups[bad], e)
	}
	diff := map[*goldenExpr]string{}
	for _, bad := range slices.Sorted(maps.Keys(groups)) {
		for part := range slices.Chunk(groups[bad], 40) {
			g.check(part, bad, rows, diff)
		}
	}
	return diff
}

// check asks for several expressions at once, and one by one if the server refuses that.
func (g *goldenServer) check(part []*goldenExpr, bad string, rows []change.Row, diff map[*goldenExpr]string) {
	query := "SELECT id"
	types := []change.Type{{Kind: change.Int}}
	for i, e := range part {
		query += fmt.Sprintf(", %s AS x%d", e.sql, i)
		types = append(types, e.expr.Type())
	}
	query += " FROM golden"
	if bad != "" {
		query += " WHERE id NOT IN (" + bad + ")"
	}
	got, err := g.query(query+" ORDER BY id", types)
	if err != nil {
		if len(part) == 1 {
			g.checkRows(part[0], rows, err, diff)
			return
		}
		for _, e := range part {
			g.check([]*goldenExpr{e}, bad, rows, diff)
		}
		return
	}
	for _, row := range got {
		id := int(row[0].Int())
		for i, e := range part {
			if row[i+1] != e.want[id] && diff[e] == "" {
				diff[e] = fmt.Sprintf("row %d: %s answers %s, Eval %s; %s", id, g.name, row[i+1], e.want[id], operands(e, rows[id]))
			}
		}
	}
}

// checkRows asks row by row after a server refused an expression as a whole. A row that it refuses as out of
// range has no answer to be equal to; anything else is a difference.
func (g *goldenServer) checkRows(e *goldenExpr, rows []change.Row, refused error, diff map[*goldenExpr]string) {
	var my *mysql.MySQLError
	if g.strict || !errors.As(refused, &my) || my.Number != outOfRange {
		diff[e] = fmt.Sprintf("%s: %v", g.name, refused)
		return
	}
	for id := range rows {
		if e.errs[id] {
			continue
		}
		got, err := g.query(fmt.Sprintf("SELECT %s FROM golden WHERE id = %d", e.sql, id), []change.Type{e.expr.Type()})
		switch {
		case errors.As(err, &my) && my.Number == outOfRange:
		case err != nil:
			diff[e] = fmt.Sprintf("row %d: %s: %v", id, g.name, err)
		case got[0][0] != e.want[id]:
			diff[e] = fmt.Sprintf("row %d: %s answers %s, Eval %s; %s", id, g.name, got[0][0], e.want[id], operands(e, rows[id]))
		}
	}
}

// outOfRange is the servers' ER_DATA_OUT_OF_RANGE.
const outOfRange = 1690

// checkErrors wants a server to refuse the rows that Eval refuses. At the very end of a type's range the
// two servers differ now and then; it is enough that one refuses.
func checkErrors(servers []*goldenServer, e *goldenExpr, diff map[*goldenExpr]string) {
	id, _, _ := strings.Cut(e.badRows(), ",")
	if id == "" || diff[e] != "" {
		return
	}
	var answers []string
	for _, g := range servers {
		got, err := g.query("SELECT "+e.sql+" FROM golden WHERE id = "+id, []change.Type{{Kind: change.String}})
		if err != nil {
			return
		}
		answers = append(answers, fmt.Sprint(got))
	}
	diff[e] = fmt.Sprintf("row %s: the servers answer %v, Eval an error", id, answers)
}

// operands prints the columns that an expression reads.
func operands(e *goldenExpr, row change.Row) string {
	var out []string
	visitColumns(e.expr.(node), func(c *column) { out = append(out, fmt.Sprintf("%s=%s", c.name, row[c.col])) })
	return strings.Join(out, " ")
}

// TestGolden compares every expression of the corpus, over every row of the golden table, with both
// servers' own answers; and holds proven.txt to exactly what was so proven.
func TestGolden(t *testing.T) {
	servers := openGolden(t)
	cat := goldenCatalog()
	rows := goldenTable(t, servers, cat)
	allowed := provenSignatures()
	if rewriting() {
		allowed = nil
	}
	var exprs []*goldenExpr
	for _, s := range goldenCorpus(t, cat["shop.golden"]) {
		e, err := compileGolden(cat, s, allowed)
		if err != nil {
			continue
		}
		e.eval(t, rows)
		exprs = append(exprs, e)
	}
	t.Logf("%d expressions over %d rows", len(exprs), len(rows))
	failed := map[*goldenExpr]string{}
	for _, g := range servers {
		g.strict = true
		for e, why := range g.checkAll(t, exprs, rows) {
			if failed[e] == "" {
				failed[e] = why
			}
		}
	}
	for _, e := range exprs {
		checkErrors(servers, e, failed)
	}
	proven, broken := map[string]bool{}, map[string][]string{}
	for _, e := range exprs {
		for _, s := range e.sigs {
			if why := failed[e]; why != "" {
				broken[s] = append(broken[s], e.sql+": "+why)
			} else {
				proven[s] = true
			}
		}
	}
	if rewriting() {
		rewriteProven(t, proven, broken)
		return
	}
	for _, e := range exprs {
		if why := failed[e]; why != "" {
			t.Errorf("%s: %s", e.sql, why)
		}
	}
	for s := range allowed {
		if !proven[s] {
			t.Errorf("proven.txt holds %q, which no expression of the corpus uses", s)
		}
	}
}

// goldenTable reads the golden table from the servers, which must agree on it.
func goldenTable(t *testing.T, servers []*goldenServer, cat catalog) []change.Row {
	t.Helper()
	var types []change.Type
	var names []string
	for _, c := range cat["shop.golden"].Columns {
		types, names = append(types, c.Type), append(names, c.Name)
	}
	var rows []change.Row
	for _, g := range servers {
		got, err := g.query("SELECT "+strings.Join(names, ", ")+" FROM golden ORDER BY id", types)
		if err != nil {
			t.Fatal(err)
		}
		if rows != nil && !slices.EqualFunc(rows, got, change.Row.Equal) {
			t.Fatalf("%s holds another golden table than %s", g.name, servers[0].name)
		}
		rows = got
	}
	return rows
}

func rewriteProven(t *testing.T, proven map[string]bool, broken map[string][]string) {
	for _, s := range slices.Sorted(maps.Keys(broken)) {
		t.Logf("NOT PROVEN %s (%d expressions): %s", s, len(broken[s]), broken[s][0])
		delete(proven, s)
	}
	text := "# What expressions may use, proven by the golden test; written by: go test -run TestGolden -rewrite\n" +
		strings.Join(slices.Sorted(maps.Keys(proven)), "\n") + "\n"
	if err := os.WriteFile("proven.txt", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d signatures proven, %d not", len(proven), len(broken))
}
