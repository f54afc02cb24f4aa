package view

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/etlsandbox/cdc/schemas/change"
)

// refusedCatalog is the tables of testdata/refused and testdata/plans.
func refusedCatalog() catalog {
	c := sakila()
	for _, t := range []*change.Table{
		table("shop.keyless", "a int"),
		table("shop.kinds", "*id int", "big bigint?", "ubig ubigint", "amount decimal(10,2)", "wide decimal(60,10)", "ratio double", "approx float",
			"name varchar(20,utf8mb4_0900_ai_ci)", "code varchar(20,utf8mb4_bin)", "label varchar(20,latin1_swedish_ci)", "kind enum(a,b)", "raw varbinary(8)",
			"doc json", "flags bit", "day date?", "at datetime(3)?", "clock time", "made year"),
		table("shop.node", "*id int", "parent_id int?", "name varchar(20)?"),
		table("shop.doc", "*tenant int", "*id int", "owner int?", "title varchar(20)?"),
		table("shop.line", "*tenant int", "*doc_id int", "*no int", "item varchar(10,utf8mb4_bin)?", "qty decimal(8,3)?"),
		table("shop.item", "*code varchar(10,utf8mb4_bin)", "price decimal(8,2)"),
		table("shop.tag", "*name varchar(20)", "weight int"),
		table("shop.tagged", "*id int", "tag varchar(20)?", "plain varchar(20,utf8mb4_bin)?"),
		table("other.place", "*id bigint", "city varchar(20)"),
	} {
		c[t.ID.String()] = t
	}
	return c
}

// TestRefused holds every refusal to its place, its reason and its way out.
func TestRefused(t *testing.T) {
	cat := refusedCatalog()
	datadriven.Walk(t, "testdata/refused", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			sql, file := d.Input, "v.sql"
			switch d.Cmd {
			case "select": // a SELECT of a view v
				sql = "CREATE VIEW v AS\n" + sql
			case "expr": // expressions over kinds, one a line
				var out []string
				for line := range strings.Lines(d.Input) {
					line = strings.TrimSpace(line)
					_, err := Compile(file, "CREATE VIEW v AS SELECT "+line+" AS x FROM kinds", cat)
					if err == nil {
						t.Errorf("%s: %s compiles", path, line)
						continue
					}
					out = append(out, line+"\n    "+err.Error())
				}
				return strings.Join(out, "\n") + "\n"
			case "file":
				if d.HasArg("name") {
					d.ScanArgs(t, "name", &file)
				}
			}
			if _, err := Compile(file, sql, cat); err != nil {
				return err.Error() + "\n"
			}
			t.Errorf("%s: it compiles", d.Pos)
			return "ok\n"
		})
	})
}
