package view

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

// TestPlans holds the plan of each view of testdata/plans to its explanation.
func TestPlans(t *testing.T) {
	cat := refusedCatalog()
	datadriven.RunTest(t, "testdata/plans/joins.txt", func(t *testing.T, d *datadriven.TestData) string {
		p, err := Compile("v.sql", "CREATE VIEW v AS "+d.Input, cat)
		if err != nil {
			return err.Error() + "\n"
		}
		return strings.Join(strings.SplitAfter(Explain(p), "\n")[1:], "") + p.SQL + "\n"
	})
}

// planViews returns the texts of testdata/plans.
func planViews(t *testing.T) []string {
	t.Helper()
	var out []string
	datadriven.RunTest(t, "testdata/plans/joins.txt", func(t *testing.T, d *datadriven.TestData) string {
		out = append(out, d.Input)
		return d.Expected
	})
	return out
}

// TestPlansOnServers fills the tables of testdata/plans with random rows and compares what the plans
// select of them, by nested loops, with the servers' answer to the plans' SQL: the same rows, and never
// two with one key.
func TestPlansOnServers(t *testing.T) {
	cat := refusedCatalog()
	for _, s := range []struct {
		name string
		srv  *testenv.MySQLServer
	}{{"MariaDB", testenv.MariaDB(t)}, {"MySQL", testenv.MySQL(t)}} {
		t.Run(s.name, func(t *testing.T) {
			g := fillPlanTables(t, s.name, s.srv, cat)
			data := g.readTables(t, cat)
			total := 0
			for _, text := range planViews(t) {
				p, err := Compile("v.sql", "CREATE VIEW v AS "+text, cat)
				if err != nil {
					t.Fatal(err)
				}
				total += g.comparePlan(t, p, data)
			}
			t.Logf("%d rows compared", total)
		})
	}
}

// failer is a test, or one check of rapid's.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// comparePlan returns the number of rows.
func (g *goldenServer) comparePlan(t failer, p *Plan, data map[change.TableID][]change.Row) int {
	t.Helper()
	types := make([]change.Type, len(p.Output.Columns))
	for i, c := range p.Output.Columns {
		types[i] = c.Type
	}
	want, err := g.query(p.SQL, types)
	if err != nil {
		t.Fatalf("%s: %v", p.SQL, err)
	}
	got := map[change.Key]string{}
	var tuple func(Tuple)
	count := 0
	emit := func(tu Tuple) {
		if !holds(t, p.Where, tu) {
			return
		}
		count++
		row := make(change.Row, len(p.Select))
		for i, e := range p.Select {
			if row[i], err = e.Eval(tu); err != nil {
				t.Fatalf("%s: %v", e, err)
			}
			if row[i].IsNull() && !p.Output.Columns[i].Nullable {
				t.Fatalf("%s: column %s is NULL and not nullable", p.SQL, p.Output.Columns[i].Name)
			}
		}
		k, err := p.Output.RowKey(row)
		if err != nil {
			t.Fatalf("%s: %v", p.SQL, err)
		}
		if old, ok := got[k]; ok {
			t.Fatalf("%s: two rows have one key: %s and %s", p.SQL, old, fmt.Sprint(row))
		}
		got[k] = fmt.Sprint(row)
	}
	tuple = func(tu Tuple) {
		if len(tu) == len(p.Inputs) {
			emit(tu)
			return
		}
		in, matched := p.Inputs[len(tu)], false
		for _, row := range data[in.Table.ID] {
			next := append(tu[:len(tu):len(tu)], narrow(in, row))
			if joins(in, next) && holds(t, in.Filter, next) && holds(t, in.OnFilter, next) {
				matched = true
				tuple(next)
			}
		}
		if in.Left && !matched {
			tuple(append(tu[:len(tu):len(tu)], nil))
		}
	}
	tuple(nil)
	server := make([]string, len(want))
	for i, r := range want {
		server[i] = fmt.Sprint(r)
	}
	slices.Sort(server)
	mine := slices.Sorted(maps.Values(got))
	if !slices.Equal(server, mine) {
		t.Errorf("%s: %s\nserver: %d rows %.600s\nplan:   %d rows %.600s", g.name, p.SQL, len(server), server, len(mine), mine)
	}
	return count
}

// narrow blanks the columns that the plan says it does not read.
func narrow(in Input, row change.Row) change.Row {
	out := make(change.Row, len(row))
	for i := range out {
		out[i] = change.AbsentValue()
	}
	for _, c := range in.Columns {
		out[c] = row[c]
	}
	return out
}

func holds(t failer, e Expr, tu Tuple) bool {
	t.Helper()
	ok, err := Holds(e, tu)
	if err != nil {
		t.Fatalf("%s: %v", e, err)
	}
	return ok
}

func joins(in Input, tu Tuple) bool {
	if in.Parent < 0 {
		return true
	}
	parent, row := tu[in.Parent], tu[len(tu)-1]
	for _, e := range in.On {
		if parent == nil {
			return false
		}
		a, ok1 := AppendJoinKey(nil, parent[e.ParentColumn], e.As)
		b, ok2 := AppendJoinKey(nil, row[e.Column], e.As)
		if !ok1 || !ok2 || string(a) != string(b) {
			return false
		}
	}
	return true
}

// fillPlanTables creates the catalog's tables and fills them with rows that often join.
func fillPlanTables(t *testing.T, name string, srv *testenv.MySQLServer, cat catalog) *goldenServer {
	t.Helper()
	db, err := srv.Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g := &goldenServer{name: name, conn: conn}
	t.Cleanup(func() { conn.Close() })
	for _, stmt := range Session() {
		g.exec(t, stmt)
	}
	for _, dbName := range []string{"shop", "other"} {
		g.exec(t, "DROP DATABASE IF EXISTS "+dbName)
		g.exec(t, "CREATE DATABASE "+dbName)
	}
	r := rand.New(rand.NewPCG(11, 3))
	for _, id := range slices.Sorted(maps.Keys(cat)) {
		tab := cat[id]
		cols := make([]string, 0, len(tab.Columns)+1)
		for _, c := range tab.Columns {
			if c.Type.Collation == "utf8mb4_0900_ai_ci" {
				c.Type.Collation = "utf8mb4_general_ci" // MariaDB lacks it; no plan here reads it
			}
			ddl := typeName(c.Type)
			if c.Type.Kind == change.String && c.Type.Name != "enum" {
				ddl = strings.Replace(ddl, c.Type.Collation, "COLLATE "+c.Type.Collation, 1)
			}
			if c.Type.Name == "enum" {
				ddl = "ENUM('" + strings.Join(c.Type.Members, "','") + "') COLLATE " + c.Type.Collation
			}
			if !c.Nullable {
				ddl += " NOT NULL"
			}
			cols = append(cols, quoteName(c.Name)+" "+ddl)
		}
		if len(tab.Key) > 0 {
			cols = append(cols, "PRIMARY KEY ("+strings.Join(keyNames(tab), ", ")+")")
		}
		g.exec(t, "CREATE TABLE "+id+" ("+strings.Join(cols, ", ")+") CHARACTER SET utf8mb4")
		for range 14 {
			vals := make([]string, len(tab.Columns))
			for i, c := range tab.Columns {
				vals[i] = randomSQL(r, c)
			}
			g.exec(t, "INSERT IGNORE INTO "+id+" VALUES ("+strings.Join(vals, ", ")+")")
		}
	}
	return g
}

// randomSQL is a literal of a small domain.
func randomSQL(r *rand.Rand, c change.Column) string {
	if c.Nullable && r.IntN(5) == 0 {
		return "NULL"
	}
	n := r.IntN(4)
	switch c.Type.Kind {
	case change.String:
		if c.Type.Name == "enum" {
			return []string{"'a'", "'b'"}[n/2]
		}
		return []string{"'a'", "'A'", "'b'", "'a '"}[n]
	case change.Date:
		return []string{"'2024-02-29'", "'2024-03-01'", "'1999-12-31'", "'2024-02-29'"}[n]
	case change.Datetime, change.Timestamp:
		return []string{"'2024-02-29 00:00:00'", "'2024-03-01 12:00:00.5'", "'1999-12-31 00:00:00'", "'2024-02-29 00:00:00.125'"}[n]
	case change.Time:
		return []string{"'10:00:00'", "'-01:02:03'", "'00:00:00'", "'100:00:00'"}[n]
	case change.Year:
		return []string{"2024", "1999", "2001", "2155"}[n]
	case change.JSON:
		return []string{"'{}'", "'[1]'", "'1'", "'null'"}[n]
	case change.Decimal:
		return []string{"0", "1", "2.5", "3"}[n]
	case change.Bytes:
		return []string{"'a'", "''", "'A '", "x'00'"}[n]
	}
	return fmt.Sprint(n)
}

func (g *goldenServer) readTables(t *testing.T, cat catalog) map[change.TableID][]change.Row {
	t.Helper()
	out := map[change.TableID][]change.Row{}
	for id, tab := range cat {
		types := make([]change.Type, len(tab.Columns))
		names := make([]string, len(tab.Columns))
		for i, c := range tab.Columns {
			types[i], names[i] = c.Type, quoteName(c.Name)
		}
		rows, err := g.query("SELECT "+strings.Join(names, ", ")+" FROM "+id, types)
		if err != nil {
			t.Fatal(err)
		}
		out[tab.ID] = rows
	}
	return out
}
