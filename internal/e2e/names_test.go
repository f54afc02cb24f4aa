package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// traced is a row as a reader of the destination sees it: its place in the stream, and what tells that it was written.
type traced struct {
	name, xmin string
	position   int64
	deleted    bool
}

// TestNamesAndExtraColumns: a sink spells names in its own way and says of each row where it comes from; neither makes
// a row differ from the source, nor has it written again.
func TestNamesAndExtraColumns(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t))
	s.own("shop")
	s.sourceExec("CREATE DATABASE shop", "CREATE TABLE shop.item (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL, price DECIMAL(8,2))",
		"INSERT INTO shop.item VALUES (1, 'one', 1.10), (2, 'two', 2.20), (3, 'it''s', NULL)",
		"CREATE TABLE shop.StockMove (MoveId INT PRIMARY KEY, itemID INT, MovedAt DATETIME)", "INSERT INTO shop.StockMove VALUES (1, 2, '2026-01-02 03:04:05')")
	s.tables = append(s.tables, "shop.*")
	s.view("item_flat.sql", "CREATE VIEW ItemFlat AS SELECT i.id AS ItemId, i.name AS ItemName, i.price AS Price FROM shop.item i", "ItemFlat")
	s.views, s.raw = nil, []string{"{from: view/ItemFlat, delete: soft}", `{from: "table/shop\\.StockMove"}`}
	s.sets = append(s.sets, "sinks.neptune.names=snake_case", "sinks.neptune.extra_columns=[position, applied_at]")
	extra := "    extra_columns: [applied_at, position]\n    names: "
	ms, ch := testenv.SQLServer(t), testenv.ClickHouse(t)
	s.more = []string{
		sqlServerSink(t, "mars", testenv.NewProxy(t, ms.Addr).Addr, ms, ms.CreateDatabase(t), "["+s.raw[0]+"]") + extra + "lower\n",
		clickHouseSink(t, "click", ch.Addr, ch, clickHouseDatabase(t, ch), "[{from: view/ItemFlat, order_by: [ItemId]}]") + extra + "snake_case\n",
	}
	s.configure()
	ask := func(want int, args ...string) string {
		t.Helper()
		for _, set := range s.sets {
			args = append(args, "--set", set)
		}
		status, out := s.run(args...)
		if status != want {
			t.Fatalf("%s: status %d, want %d\n%s", strings.Join(args, " "), status, want, out)
		}
		return out
	}
	plan := ask(1, "migrate", "plan")
	for _, want := range []string{`"item_flat" ("item_id"`, `"stock_move" ("move_id"`, "[itemflat]", "[itemid]", "[isdeleted]", "ORDER BY (`item_id`)", "AS `_cdc_position`"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan lacks %s:\n%s", want, plan)
		}
	}
	ask(0, "migrate", "apply")
	ask(0, "migrate", "plan")
	s.start()
	s.waitShown(time.Minute)
	ask(0, "verify")
	pg := s.postgres()
	look := func() map[int32]traced { t.Helper(); return tracedRows(t, pg) }
	first := look()
	if len(first) != 3 || first[1].position == 0 {
		t.Fatalf("shown at first: %+v", first)
	}

	s.sourceExec("UPDATE shop.item SET name = 'zwei' WHERE id = 2", "DELETE FROM shop.item WHERE id = 3", "INSERT INTO shop.item VALUES (4, 'four', 4)",
		"UPDATE shop.StockMove SET itemID = 4")
	s.waitShown(time.Minute)
	second := look()
	if second[1] != first[1] || second[2].name != "zwei" || !second[3].deleted || len(second) != 4 {
		t.Errorf("shown after changes: %+v", second)
	}
	for _, id := range []int32{2, 3, 4} {
		if second[id].position <= first[1].position {
			t.Errorf("row %d was written at %d, the first load at %d", id, second[id].position, first[1].position)
		}
	}
	ask(0, "verify")
	var moved int
	if err := pg.QueryRow(t.Context(), "SELECT item_id FROM stock_move WHERE move_id = 1 AND _cdc_position > 0").Scan(&moved); err != nil || moved != 4 {
		t.Errorf("the raw table shows %d, %v", moved, err)
	}
	// A cover of everything writes nothing: nothing but these columns could differ.
	ask(0, "resync", "--all")
	s.waitShown(time.Minute)
	ask(0, "resync", "--sink", "neptune", "--dry-run")
	if third := look(); !maps.Equal(second, third) {
		t.Errorf("a resync wrote rows that were right:\n%+v\n%+v", second, third)
	}
	if code := s.stop(); code != 0 {
		t.Fatalf("the daemon ends with status %d", code)
	}

	// Names that become one are refused by name, before anything is changed.
	s.view("item_flat.sql", "CREATE VIEW ItemFlat AS SELECT i.id AS ItemId, i.name AS ItemName, i.price AS item_name FROM shop.item i", "ItemFlat")
	out := ask(2, "migrate", "plan")
	for _, want := range []string{"ItemName", "item_name", "sinks.click", "names: keep"} {
		if !strings.Contains(out, want) {
			t.Errorf("the refusal does not say %q:\n%s", want, out)
		}
	}
	s.view("item_flat.sql", "CREATE VIEW ItemFlat AS SELECT i.id AS ItemId, i.name AS ItemName, i.price AS Price FROM shop.item i", "ItemFlat")
	s.sets = slices.DeleteFunc(s.sets, func(set string) bool { return strings.Contains(set, "names=") })
	s.views, s.raw[0] = nil, "{from: view/ItemFlat, to: item_flat, delete: soft}"
	s.configure()
	if out := ask(2, "migrate", "plan"); !strings.Contains(out, "item_id") || !strings.Contains(out, "ItemId") {
		t.Errorf("a table whose columns are spelt otherwise now:\n%s", out)
	}
}

// tracedRows reads what the destination shows, and checks each row's time and place.
func tracedRows(t *testing.T, pg *pgx.Conn) map[int32]traced {
	t.Helper()
	rows, err := pg.Query(t.Context(), `SELECT item_id, item_name, xmin::text, _cdc_position, is_deleted,
_cdc_applied_at BETWEEN now() - interval '1 hour' AND now(), _cdc_position <= (SELECT max(seq) FROM cdc_progress WHERE table_name = '') FROM item_flat`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[int32]traced{}
	for rows.Next() {
		var id int32
		var r traced
		var recent, known bool
		if err := rows.Scan(&id, &r.name, &r.xmin, &r.position, &r.deleted, &recent, &known); err != nil {
			t.Fatal(err)
		}
		if !recent || !known {
			t.Errorf("row %d has a time or a position that cannot be: %+v", id, r)
		}
		out[id] = r
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
