package sample

import (
	"database/sql"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func warehouse(t *testing.T, db *sql.DB, schema string, o Options) {
	t.Helper()
	if err := CreateWarehouse(t.Context(), db, schema); err != nil {
		t.Fatal(err)
	}
	if err := SeedWarehouse(t.Context(), db, schema, o); err != nil {
		t.Fatal(err)
	}
}

const stockTable = `CREATE TABLE "StockSheets" ("Region" text, "SiteCode" int, "Slot" int, "SiteLabel" text, "PartNo" text,
	"PartLabel" text, "AssemblyLabel" text, "Quantity" numeric(20), "CountedAt" timestamp(6), "Supplier" bytea, "Since" date, "Price" numeric(18,6))`

func TestWarehouseIsTheSameOnBothFamiliesAndInPostgres(t *testing.T) {
	var answers [][]string
	eachFamily(t, func(t *testing.T, db *sql.DB, schema string) {
		warehouse(t, db, schema, Options{Scale: 0.1, Seed: 4})
		source := inSchema(t, db, schema, WarehouseDigest(MySQL, WarehouseSource(), ""))
		answers = append(answers, source)
		hex := strings.Replace(WarehouseSelect(), "o.supplier AS Supplier", `CONCAT('\\x', HEX(o.supplier)) AS Supplier`, 1)
		pg := copyToPostgres(t, db, schema, hex, stockTable, "StockSheets")
		if diff := cmp.Diff(source, inPostgres(t, pg, WarehouseDigest(PostgreSQL, `"StockSheets"`, ""))); diff != "" || source[0] == "0" {
			t.Errorf("digests of equal rows (source -, destination +):\n%s\nsource: %v", diff, source)
		}
		for name, query := range map[string]string{
			"bin without part":        "SELECT COUNT(*) FROM bin WHERE part_no IS NULL",
			"bin of a missing part":   "SELECT COUNT(*) FROM bin b LEFT JOIN part p USING (part_no) WHERE b.part_no IS NOT NULL AND p.part_no IS NULL",
			"bin of a missing site":   "SELECT COUNT(*) FROM bin b LEFT JOIN site s USING (region, code) WHERE s.region IS NULL",
			"part in itself":          "SELECT COUNT(*) FROM part WHERE parent_no = part_no",
			"part in a missing part":  "SELECT COUNT(*) FROM part p LEFT JOIN part a ON a.part_no = p.parent_no WHERE p.parent_no IS NOT NULL AND a.part_no IS NULL",
			"keys equal but for case": "SELECT COUNT(*) FROM part a JOIN part b ON UPPER(a.part_no) = UPPER(b.part_no) AND a.part_no <> b.part_no",
			"several offers":          "SELECT COUNT(*) FROM (SELECT part_no FROM offer GROUP BY part_no HAVING COUNT(*) > 2) x",
			"greatest quantity":       "SELECT COUNT(*) FROM bin WHERE quantity = 18446744073709551615",
			"empty bin":               "SELECT COUNT(*) FROM bin WHERE quantity = 0",
		} {
			if number(t, db, schema, query) == 0 {
				t.Errorf("%s: none (%s)", name, query)
			}
		}
	})
	if len(answers) != 2 {
		t.Skipf("%d server families ran: nothing to compare", len(answers))
	}
	if diff := cmp.Diff(answers[0], answers[1]); diff != "" {
		t.Errorf("the families differ:\n%s", diff)
	}
}

func TestWarehouseLoadKeepsTheLedger(t *testing.T) {
	eachFamily(t, func(t *testing.T, db *sql.DB, schema string) {
		warehouse(t, db, schema, Options{Scale: 0.2, Seed: 4})
		ledger := WarehouseLedgerSum(MySQL, WarehouseSource(), "")
		before := inSchema(t, db, schema, ledger)
		digest := inSchema(t, db, schema, WarehouseDigest(MySQL, WarehouseSource(), ""))
		reads, stop := watchSum(t, db, schema, ledger, before)
		stats, err := NewWarehouseLoad(db, schema, LoadOptions{Seed: 3, Transactions: 1000}).Run(t.Context())
		stop()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d transactions, %d skipped, %d reads; %v", stats.Transactions, stats.Skipped, reads(), stats.Kinds)
		for _, k := range warehouseKinds(Mixed) {
			if k.name != "rollback" && stats.Kinds[k.name] == 0 {
				t.Errorf("no transaction of kind %q was committed", k.name)
			}
		}
		if after := inSchema(t, db, schema, WarehouseDigest(MySQL, WarehouseSource(), "")); after[2] == digest[2] {
			t.Error("the view is what it was before the load")
		}
		if diff := cmp.Diff(before, inSchema(t, db, schema, ledger)); diff != "" || before[0] == "0" {
			t.Errorf("the ledger: %v\n%s", before, diff)
		}
	})
}

func TestWarehouseHasNothingOfSakila(t *testing.T) {
	words := regexp.MustCompile(`(?i)\b(rental|payment|customer|inventory|film|category|staff|store|actor|address|city|country|language)`)
	for name, text := range map[string]string{"tables": warehouseDDL, "view": WarehouseView()} {
		if found := words.FindString(text); found != "" {
			t.Errorf("%s contain %q", name, found)
		}
	}
}
