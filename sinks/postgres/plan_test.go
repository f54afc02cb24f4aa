package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// TestPlansReadOnlyWhatTheyNeed: over a large table with a nullable key column, no statement of a batch or of
// a live chunk reads the whole table.
func TestPlansReadOnlyWhatTheyNeed(t *testing.T) {
	d := newDatabase(t)
	table := &change.Table{ID: change.TableID{Name: "Large"}, Key: []int{0, 1}, Columns: []change.Column{
		{Name: "A", Type: change.Type{Kind: change.Int, Name: "int"}},
		{Name: "B", Type: change.Type{Kind: change.Int, Name: "int"}, Nullable: true},
		{Name: "Text", Type: change.Type{Kind: change.String, Name: "varchar", Length: 40}, Nullable: true},
	}}
	tg, err := newTarget(sinks.Target{From: "Large", Table: table, To: "Large"}, "public", 0)
	if err != nil {
		t.Fatal(err)
	}
	tg.uniques = []string{"Text"}
	c := d.db(t)
	d.run(t, c, tg.createTable())
	d.run(t, c, `INSERT INTO "Large" SELECT n, nullif(n % 3, 0), 'text ' || n FROM generate_series(1, 200000) n`)
	d.run(t, c, `ANALYZE "Large"`)
	d.run(t, c, strings.Replace(tg.createInbox(), "DELETE ROWS", "PRESERVE ROWS", 1))
	d.run(t, c, fmt.Sprintf(`INSERT INTO %s SELECT "A", "B", 'other', %d, CASE WHEN "B" IS NULL THEN 2 ELSE 0 END, "A", 1, NULL FROM "Large" WHERE "A" BETWEEN 5000 AND 6000`, tg.inbox, opUpsert))
	d.run(t, c, "ANALYZE "+tg.inbox)

	within, err := tg.rangePart(change.KeyRange{
		Lo: change.KeyOf(change.IntValue(5000), change.IntValue(2)), HasLo: true, Hi: change.KeyOf(change.IntValue(6000), change.NullValue()), HasHi: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	in := &inbox{tg: tg, rows: 1000}
	for op := range in.nulls {
		in.nulls[op] = map[int]bool{0: true, 2: true}
	}
	p := tg.visible(0)
	sts := work{place: p, in: in}.statements("")
	sts = append(sts, work{place: p, in: in, within: within.sql, args: within.args}.statements("")...)
	sts = append(sts, statement{"remove range", p.remove("", fmt.Sprintf("%s AND NOT EXISTS (SELECT 1 FROM %s s WHERE %s)", within.sql, tg.inbox, tg.sameKey("t", "s"))), within.args})
	for _, st := range sts {
		rows, err := c.Query(context.Background(), "EXPLAIN "+st.sql, append([]any{pgx.QueryExecModeSimpleProtocol}, st.args...)...)
		if err != nil {
			t.Fatalf("%s: %v", st.sql, err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", st.sql, err)
		}
		if text := strings.Join(plan, "\n"); strings.Contains(text, `Seq Scan on "Large"`) {
			t.Errorf("%s reads the whole table:\n%s\n%s", st.step, st.sql, text)
		}
	}
}
