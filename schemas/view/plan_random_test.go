package view

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// joinable lists the columns of the plan tables that joins and conditions draw from, by kind.
var joinable = map[string]map[string][]string{
	"node":   {"int": {"id", "parent_id"}, "text": {"name"}},
	"doc":    {"int": {"tenant", "id", "owner"}, "text": {"title"}},
	"line":   {"int": {"tenant", "doc_id", "no", "qty"}, "text": {"item"}},
	"item":   {"int": {"price"}, "text": {"code"}},
	"tag":    {"int": {"weight"}, "text": {"name"}},
	"tagged": {"int": {"id"}, "text": {"tag", "plain"}},
}

// drawView draws the SELECT of a view over two to four of the tables.
func drawView(t *rapid.T) string {
	tables := []string{"node", "doc", "line", "item", "tag", "tagged"}
	pick := func(list []string, what string) string { return rapid.SampledFrom(list).Draw(t, what) }
	var used []string
	column := func(i int, kind string) string {
		return fmt.Sprintf("t%d.%s", i, pick(joinable[used[i]][kind], "column"))
	}
	any := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "input") }
	condition := func(n int) string {
		i := any(n)
		switch rapid.IntRange(0, 5).Draw(t, "condition") {
		case 0:
			return column(i, "text") + " = 'a'"
		case 1:
			return column(i, "int") + " IS NULL"
		case 2:
			return column(i, "int") + " < " + column(any(n), "int")
		case 3:
			return column(i, "int") + " = 1"
		case 4:
			return column(i, "int") + " = " + column(any(n), "int")
		}
		return "(" + column(i, "int") + " <> 2 OR " + column(any(n), "text") + " IS NOT NULL)"
	}
	used = append(used, pick(tables, "table"))
	from := used[0] + " t0"
	for n := rapid.IntRange(1, 3).Draw(t, "joins"); n > 0; n-- {
		used = append(used, pick(tables, "table"))
		i := len(used) - 1
		from += rapid.SampledFrom([]string{" JOIN ", " LEFT JOIN "}).Draw(t, "join") + fmt.Sprintf("%s t%d ON ", used[i], i)
		parent := any(i)
		for pairs := rapid.IntRange(1, 2).Draw(t, "pairs"); pairs > 0; pairs-- {
			kind := pick([]string{"int", "int", "text"}, "kind")
			from += column(i, kind) + " = " + column(parent, kind)
			if pairs > 1 {
				from += " AND "
			}
		}
		if rapid.IntRange(0, 2).Draw(t, "filter") == 0 {
			from += " AND " + condition(i+1)
		}
	}
	var list []string
	for n := rapid.IntRange(1, 4).Draw(t, "columns"); n > 0; n-- {
		list = append(list, fmt.Sprintf("%s AS c%d", column(any(len(used)), pick([]string{"int", "text"}, "kind")), n))
	}
	sql := "SELECT " + strings.Join(list, ", ") + " FROM " + from
	if rapid.Bool().Draw(t, "where") {
		sql += " WHERE " + condition(len(used))
	}
	return sql
}

// TestRandomPlans compares random views, evaluated by their plans, with a server's answer to their SQL:
// the rows are the same, no two have one key, no column is NULL that is not nullable.
func TestRandomPlans(t *testing.T) {
	cat := refusedCatalog()
	g := fillPlanTables(t, "MariaDB", testenv.MariaDB(t), cat)
	data := g.readTables(t, cat)
	compiled, rows, inner, left, hidden := 0, 0, 0, 0, 0
	check := func(rt *rapid.T) {
		p, err := Compile("v.sql", "CREATE VIEW v AS "+drawView(rt), cat)
		if err != nil {
			return
		}
		compiled++
		hidden += p.Hidden
		for _, in := range p.Inputs[1:] {
			if in.Left {
				left++
			} else {
				inner++
			}
		}
		rows += g.comparePlan(rt, p, data)
	}
	for range 10 { // ten times the usual number of checks: each is small
		rapid.Check(t, check)
	}
	t.Logf("%d views compiled, %d rows, %d inner and %d left joins, %d hidden columns", compiled, rows, inner, left, hidden)
	if compiled == 0 || rows == 0 {
		t.Error("nothing was compared")
	}
}
