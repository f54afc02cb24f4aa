package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// TestNothingIsRounded: with schema_changes: off a table may have types that the server rounds or cuts values to
// without a word. Such values are refused, those that stay as they are arrive, in small batches as in large ones.
func TestNothingIsRounded(t *testing.T) {
	of := func(k change.Kind, name string) change.Type { return change.Type{Kind: k, Name: name, Scale: 6} }
	money := change.Type{Kind: change.Decimal, Name: "decimal", Precision: 12, Scale: 2}
	text := change.Type{Kind: change.String, Name: "varchar", Length: 20}
	const day = 86_400_000_000
	cases := []struct {
		typ        change.Type
		column     string
		kept, lost change.Value
	}{
		{money, "numeric(10,0)", change.DecimalValue("2.00"), change.DecimalValue("1.50")},
		{money, "numeric(12,1)", change.DecimalValue("-2.50"), change.DecimalValue("1.55")},
		{money, "integer", change.DecimalValue("2.00"), change.DecimalValue("2.50")},
		{money, "double precision", change.DecimalValue("0.10"), change.DecimalValue("9999999999999999.10")},
		{of(change.Double, "double"), "real", change.DoubleValue(0.5), change.DoubleValue(0.1)},
		{of(change.Double, "double"), "numeric(10,2)", change.DoubleValue(0.25), change.DoubleValue(0.125)},
		{of(change.Int, "bigint"), "real", change.IntValue(1 << 19), change.IntValue(1<<24 + 1)},
		{of(change.Datetime, "datetime"), "timestamp(0) without time zone", change.DatetimeValue(2_000_000), change.DatetimeValue(1_600_000)},
		{of(change.Time, "time"), "time(3) without time zone", change.TimeValue(1_500_000), change.TimeValue(day)},
		{text, "character varying(3)", change.StringValue("abc"), change.StringValue("abc  ")},
		{text, "character(5)", change.StringValue("abcde"), change.StringValue("abcd ")},
	}
	table := &change.Table{ID: change.TableID{Name: "Narrow"}, Key: []int{0}, Columns: []change.Column{{Name: "Id", Type: change.Type{Kind: change.Int, Name: "int"}}}}
	ddl := `CREATE TABLE "Narrow" ("Id" int PRIMARY KEY`
	all := change.Row{change.IntValue(1)}
	for i, c := range cases {
		name := fmt.Sprintf("C%d", i)
		table.Columns = append(table.Columns, change.Column{Name: name, Type: c.typ, Nullable: true})
		ddl += fmt.Sprintf(", %s %s", ident(name), c.column)
		all = append(all, c.kept)
	}
	d := newDatabase(t)
	d.run(t, d.db(t), ddl+")")
	tg := sinks.Target{From: "Narrow", Table: table, To: "Narrow", Changes: sinks.Off, Adopt: true}
	s, w := d.open(t, sinktest.Options{Reader: "n"}), &writer{}
	w.shown(t, s, tg)
	for round, more := range []int{0, 2000} { // rows of NULLs that make a batch a large one
		batch := []change.Event{{Table: table, Op: change.Insert, After: all.Clone()}}
		for i := range len(cases) + more {
			row := change.Row{change.IntValue(int64(10 + i))}
			for range cases {
				row = append(row, change.NullValue())
			}
			if i < len(cases) {
				row[1+i] = cases[i].lost
			}
			batch = append(batch, change.Event{Table: table, Op: change.Insert, After: row})
		}
		mustApply(t, s, w.batch(change.Changes, nil, batch...))
		if rows := d.rows(t, tg); len(rows) != 1+more || !rows[0].Row.Equal(all) {
			t.Errorf("round %d: %d rows, the first is %v, want %d and %v", round, len(rows), rows[0].Row, 1+more, all)
		}
		for i, c := range cases {
			var reason string
			err := d.db(t).QueryRow(t.Context(), "SELECT reason FROM cdc_quarantine WHERE row_key = $1", fmt.Sprintf("[%d]", 10+i)).Scan(&reason)
			if err != nil || !strings.Contains(reason, "would not keep") {
				t.Errorf("round %d: %s in %s is refused for %q (error %v)", round, c.lost, c.column, reason, err)
			}
		}
	}
}
