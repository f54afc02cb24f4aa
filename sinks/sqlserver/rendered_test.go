package sqlserver

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

var rewriteRendered = flag.Bool("rewrite-rendered", false, "write testdata/rendered anew")

// shapes are tables that together bring every form of every text about.
func shapes(t testing.TB) map[string]*target {
	t.Helper()
	text := func(n int) change.Type {
		return change.Type{Kind: change.String, Name: "varchar", Length: n, Charset: "utf8mb4"}
	}
	whole := change.Type{Kind: change.Int, Name: "int"}
	money := change.Type{Kind: change.Decimal, Name: "decimal", Precision: 10, Scale: 2}
	flat := &change.Table{ID: change.TableID{Name: "Flat"}, Key: []int{0, 1}, Columns: []change.Column{
		{Name: "OrderId", Type: whole}, {Name: "ItemId", Type: whole, Nullable: true}, {Name: "Name", Type: text(45), Nullable: true},
		{Name: "Amount", Type: money, Nullable: true}, {Name: "At", Type: change.Type{Kind: change.Datetime, Name: "datetime"}, Nullable: true},
		{Name: "Raw", Type: change.Type{Kind: change.Bytes, Name: "blob"}, Nullable: true},
	}}
	words := &change.Table{ID: change.TableID{DB: "shop", Name: "words"}, Key: []int{0, 1}, Columns: []change.Column{
		{Name: "word", Type: text(60)}, {Name: "bytes", Type: change.Type{Kind: change.Bytes, Name: "varbinary", Length: 16}},
	}}
	orders := &change.Table{ID: change.TableID{DB: "shop", Name: "order lines"}, Key: []int{0}, Columns: []change.Column{
		{Name: "Id", Type: change.Type{Kind: change.Uint, Name: "bigint", Unsigned: true}},
		{Name: "Code", Type: text(20), Nullable: true}, {Name: "Amount", Type: money},
	}}
	out := map[string]*target{}
	for i, tg := range []sinks.Target{
		{From: flat.ID.String(), Table: flat, To: "Flats", Soft: true},
		{From: words.ID.String(), Table: words, To: "words"},
		{From: orders.ID.String(), Table: orders, To: "order lines", Schema: "raw"},
		{From: orders.ID.String(), Table: orders, To: "traced", Soft: true, SoftColumn: "is_deleted",
			Extra: sinks.Extra{Position: "_cdc_position", AppliedAt: "_cdc_applied_at"}},
	} {
		made, err := newTarget(tg, "dbo", i)
		if err != nil {
			t.Fatal(err)
		}
		out[[]string{"flat", "words", "orders", "traced"}[i]] = made
	}
	out["orders"].uniques = []string{"Code"}
	return out
}

// rendered returns every text that the sink can send, by a name; of texts about tables one per shape.
func rendered(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	plain := map[text][]string{
		sessionSQL: {"lock_timeout", "30000"}, savepointSQL: {"savepoint", findRows}, rollbackToSQL: {"savepoint", findRows},
	}
	books := []string{"stream", literal("shop-views"), "table_name", literal("Flat"), "stage", literal("waiting"), "format_version", "1",
		"migrations", ident("dbo", "cdc_migrations"), "name", literal("[dbo].[cdc_migrations]"), "schema", literal("dbo"), "owner", literal("it's shop"),
		"progress", ident("dbo", "cdc_progress"), "quarantine", ident("dbo", "cdc_quarantine"), "table", ident("dbo", "cdc_progress")}
	for _, name := range []text{
		sessionSQL, beginSQL, commitSQL, rollbackSQL, abortOnSQL, abortOffSQL, savepointSQL, rollbackToSQL, serverSQL, grantsSQL,
		createProgressSQL, createQuarantineSQL, formatVersionSQL, takeSQL, fenceSQL, writerSQL, loadSQL, markSQL, storeStateSQL,
		deleteStateSQL, shownSQL, existsSQL, relationSQL, columnsSQL, indexesSQL, ownedSQL, leftSQL, ownSQL, disownSQL, quarantineSQL,
		anyQuarantinedSQL, quarantinedKeysSQL, forgetKeySQL, forgetBeforeSQL, forgetStreamSQL, countRowsSQL, snapshotSQL,
		repeatableReadSQL, snapshotAllowedSQL, quarantineEntriesSQL, forgetEntrySQL, planOwnSQL, planDisownSQL, planWaitSQL,
		migrationsExistSQL, createMigrationsSQL, latestMigrationSQL, insertMigrationSQL, listMigrationsSQL,
	} {
		out[string(name)] = name.with(append(plain[name], books...)...)
	}
	for shape, tg := range shapes(t) {
		for name, sql := range ofTarget(t, tg) {
			out[name+"."+shape] = sql
		}
	}
	return out
}

// ofTarget returns the texts about one table.
func ofTarget(t testing.TB, tg *target) map[string]string {
	t.Helper()
	p := tg.visible(4711)
	out := map[string]string{
		"create_table": tg.createTable(), "create_stage": tg.createStage(false), "create_notes": tg.createStage(true), "create_inbox": tg.createInbox(),
		"is_empty": isEmptySQL.with("table", tg.name), "drop_table": dropTableSQL.with("table", tg.stage), "truncate": truncateSQL.with("table", tg.inbox),
		"add_columns": addColumnsSQL.with("table", tg.name, "columns", declare("New", sqlType{name: "int"}, "", "NULL")+", "+
			declare(tg.MarkColumn(), sqlType{name: "bit"}, "", "NOT NULL DEFAULT 0")),
		"alter_column":        alterColumnSQL.with("table", tg.name, "column", declare("Name", sqlType{name: "nvarchar", length: 90}, keyCollation, "NULL")),
		"create_index":        createIndexSQL.with("table", tg.stage, "index", ident("cdc_noted"), "columns", tg.list(tg.key, "")),
		"create_unique_index": createUniqueSQL.with("table", tg.name, "index", ident("cdc_key_0"), "columns", tg.list(tg.key, "")),
		"net":                 netSQL.with("inbox", tg.inbox, "match", tg.match("t", "s")),
		"note_keys": noteSQL.with("stage", tg.stage, "inbox", tg.inbox, "match", tg.match("t", "s"),
			"keys", tg.list(tg.key, ""), "values", tg.list(tg.key, "s.")),
		"difference": differenceSQL.with("inbox", tg.inbox, "stage", tg.stage, "table", p.name, "columns", tg.list(tg.all(), ""),
			"values", tg.list(tg.all(), "s."), "keys", tg.list(tg.key, "s."), "match", tg.match("t", "s"), "same", p.same()),
		"refused_row":      refusedRowSQL.with("inbox", tg.inbox, "keys", tg.list(tg.key, "s.")),
		"set_aside":        setAsideSQL.with("inbox", tg.inbox),
		"quarantine_clear": clearQuarantineSQL.with("quarantine", ident("dbo", "cdc_quarantine"), "inbox", tg.inbox),
		"show_remove":      p.removeWhere(p.unmatched(tg.stage, everyRow) + " AND " + p.unmatched(tg.inbox, op(opKeep))),
		"sweep":            p.removeWhere(p.unmatched(tg.stage, everyRow)),
	}
	small := tg.smallPart(smallForm{rows: 2})
	out["small_rows"] = small.rows
	out["small"] = smallSQL.with("rows", small.rows, "fence", fenceSQL.with("progress", ident("dbo", "cdc_progress")), "changes", small.changes)
	for _, st := range (work{place: p, source: tg.inbox, inbox: true, removals: true}).statements("") {
		out["apply_"+strings.ReplaceAll(st.step, " ", "_")] = st.sql
	}
	for _, st := range (work{place: p, source: tg.inbox, inbox: true, removals: true}).statements(ofRange) {
		out["probe_"+strings.ReplaceAll(st.step, " ", "_")] = st.sql
	}
	for _, st := range (work{place: p, source: tg.stage}).statements("") {
		out["show_"+strings.ReplaceAll(st.step, " ", "_")] = st.sql
	}
	within, err := tg.rangePart(aRange(tg))
	if err != nil {
		t.Fatal(err)
	}
	where := within.sql + " AND " + p.unmatched(tg.inbox, everyRow)
	out["remove_range"] = p.removeWhere(where)
	out["range_candidates"] = candidatesSQL.with("table", p.name, "keys", tg.list(tg.key, "t."), "where", where)
	out["read_rows"] = readRowsSQL.with("table", tg.name, "columns", tg.list(tg.all(), "t."), "where", within.sql)
	return out
}

// aRange has a bound of all key columns and one that ends behind the first.
func aRange(tg *target) change.KeyRange {
	var lo change.Row
	for _, typ := range tg.table.KeyTypes() {
		switch typ.Kind {
		case change.Int:
			lo = append(lo, change.IntValue(7))
		case change.Uint:
			lo = append(lo, change.UintValue(7))
		case change.Bytes:
			lo = append(lo, change.BytesValue([]byte("m")))
		default:
			lo = append(lo, change.StringValue("mn"))
		}
	}
	return change.KeyRange{Lo: change.KeyOf(lo...), HasLo: true, Hi: change.KeyOf(lo[0]) + "\xff", HasHi: true}
}

const renderedDir = "testdata/rendered"

// TestRendered compares every text that the sink can send with testdata/rendered, so that a change of T-SQL is read by
// somebody, and the grammars have something to check. Write anew with -rewrite-rendered.
func TestRendered(t *testing.T) {
	want := rendered(t)
	if *rewriteRendered {
		if err := os.RemoveAll(renderedDir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(renderedDir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, sql := range want {
			if err := os.WriteFile(filepath.Join(renderedDir, name+".sql"), []byte(sql+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := filepath.Glob(renderedDir + "/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".sql")
		got, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(got), want[name]+"\n"); d != "" {
			t.Errorf("%s (-file +sent):\n%s", f, d)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s/%s.sql is missing: run the test with -rewrite-rendered", renderedDir, name)
	}
}

var placeLeft = regexp.MustCompile(`\{[a-z_]+\}`)

// TestEveryTextIsRendered: no place of a text is left open, and no file of sql/ is unknown to the test above.
func TestEveryTextIsRendered(t *testing.T) {
	all := rendered(t)
	for name, sql := range all {
		if m := placeLeft.FindString(sql); m != "" {
			t.Errorf("%s: the place %s is not filled:\n%s", name, m, sql)
		}
		if strings.Contains(sql, "MERGE") {
			t.Errorf("%s merges", name)
		}
	}
	sources, err := files.ReadDir("sql")
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{}
	for _, sql := range all {
		texts = append(texts, sql)
	}
	for _, f := range sources {
		raw, err := files.ReadFile("sql/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(raw), "-- ") {
			t.Errorf("%s does not say what it is for", f.Name())
		}
		name := strings.TrimSuffix(f.Name(), ".sql")
		pattern := patternOf(text(name).with())
		if !slices.ContainsFunc(texts, pattern.MatchString) {
			t.Errorf("%s is rendered by no test", f.Name())
		}
	}
}

// patternOf matches a text whatever its places are filled with.
func patternOf(text string) *regexp.Regexp {
	parts := placeLeft.Split(text, -1)
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile(fmt.Sprintf("(?s)^%s$", strings.Join(parts, ".*")))
}
