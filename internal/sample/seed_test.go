package sample

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/google/go-cmp/cmp"
)

// contents describes whole tables, each by its row count and the sum of its rows' hashes.
func contents(t *testing.T, db *sql.DB, schema string, tables []tableRows) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, table := range tables {
		var casts []string
		for _, c := range table.columns {
			casts = append(casts, fmt.Sprintf("COALESCE(HEX(CAST(%s AS CHAR)), '-')", c))
		}
		if table.table == "staff" { // not all text
			casts[4] = "COALESCE(HEX(picture), '-')"
		}
		row := inSchema(t, db, schema, fmt.Sprintf(
			"SELECT COUNT(*), COALESCE(SUM(CAST(CONV(SUBSTR(SHA2(CONCAT_WS(',', %s), 256), 1, 15), 16, 10) AS UNSIGNED)), 0) FROM %s",
			strings.Join(casts, ", "), quoteName(table.table)))
		out[table.table] = strings.Join(row, " ")
	}
	return out
}

func TestSameSeedGivesTheSameRowsOnBothFamilies(t *testing.T) {
	o := Options{Scale: 0.02, Seed: 7}
	s, err := newShape(o)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]map[string]string)
	eachFamily(t, func(t *testing.T, db *sql.DB, schema string) {
		sakila(t, db, schema, o)
		first := contents(t, db, schema, s.tables())
		if err := Drop(t.Context(), db, schema); err != nil {
			t.Fatal(err)
		}
		sakila(t, db, schema, o)
		if diff := cmp.Diff(first, contents(t, db, schema, s.tables())); diff != "" {
			t.Errorf("a second run with the same seed differs:\n%s", diff)
		}
		if err := Drop(t.Context(), db, schema); err != nil {
			t.Fatal(err)
		}
		sakila(t, db, schema, Options{Scale: 0.02, Seed: 8})
		if other := contents(t, db, schema, s.tables()); other["payment"] == first["payment"] {
			t.Error("another seed gives the same payments")
		}
		got[t.Name()] = first
	})
	var all []map[string]string
	for _, content := range got {
		all = append(all, content)
	}
	if len(all) != 2 {
		t.Skipf("%d server families ran: nothing to compare", len(all))
	}
	if diff := cmp.Diff(all[0], all[1]); diff != "" {
		t.Errorf("the families differ:\n%s", diff)
	}
}

func TestHardCasesArePresent(t *testing.T) {
	// At the least scale, and with any seed, everything that stock Sakila lacks is there.
	cases := map[string]string{
		"rental without payment":      "SELECT COUNT(*) FROM rental r LEFT JOIN payment p USING (rental_id) WHERE p.payment_id IS NULL",
		"rental with several":         "SELECT COUNT(*) FROM (SELECT rental_id FROM payment WHERE rental_id IS NOT NULL GROUP BY rental_id HAVING COUNT(*) > 1) x",
		"payment without rental":      "SELECT COUNT(*) FROM payment WHERE rental_id IS NULL",
		"film in two categories":      "SELECT COUNT(*) FROM (SELECT film_id FROM film_category GROUP BY film_id HAVING COUNT(*) = 2) x",
		"film in no category":         "SELECT COUNT(*) FROM film f LEFT JOIN film_category fc USING (film_id) WHERE fc.category_id IS NULL",
		"NULL return date":            "SELECT COUNT(*) FROM rental WHERE return_date IS NULL",
		"amount of zero":              "SELECT COUNT(*) FROM payment WHERE amount = 0",
		"emoji":                       "SELECT COUNT(*) FROM customer WHERE HEX(first_name) LIKE '%F09F8EAC%'",
		"CJK":                         "SELECT COUNT(*) FROM customer WHERE HEX(first_name) LIKE '%E5B1B1%'",
		"CJK beyond the BMP":          "SELECT COUNT(*) FROM customer WHERE HEX(first_name) LIKE '%F0A0AEB7%'",
		"combining accent":            "SELECT COUNT(*) FROM customer WHERE HEX(first_name) LIKE '%CC81%'",
		"single quote":                "SELECT COUNT(*) FROM customer WHERE INSTR(first_name, CHAR(39)) > 0",
		"double quote":                "SELECT COUNT(*) FROM customer WHERE INSTR(first_name, CHAR(34)) > 0",
		"backslash":                   "SELECT COUNT(*) FROM customer WHERE INSTR(first_name, CHAR(92)) > 0",
		"trailing space":              "SELECT COUNT(*) FROM customer WHERE HEX(first_name) LIKE '%20'",
		"empty name":                  "SELECT COUNT(*) FROM customer WHERE HEX(first_name) = ''",
		"category name not ASCII":     "SELECT COUNT(*) FROM category WHERE LENGTH(name) > CHAR_LENGTH(name)",
		"staff password":              "SELECT COUNT(*) FROM staff WHERE password IS NOT NULL",
		"SET NULL, unlogged":          "SELECT COUNT(*) FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE() AND table_name = 'payment' AND constraint_name = 'fk_payment_rental' AND delete_rule = 'SET NULL' AND update_rule = 'CASCADE'",
		"every key ON UPDATE CASCADE": "SELECT COUNT(*) = SUM(update_rule = 'CASCADE') FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE()",
	}
	eachFamily(t, func(t *testing.T, db *sql.DB, schema string) {
		sakila(t, db, schema, Options{Scale: 0.001, Seed: 99})
		for name, query := range cases {
			if number(t, db, schema, query) == 0 {
				t.Errorf("%s: none (%s)", name, query)
			}
		}
		if n := number(t, db, schema, "SELECT COUNT(*) FROM payment p JOIN rental r USING (rental_id) JOIN inventory i USING (inventory_id) "+
			"JOIN film_category USING (film_id) WHERE payment_id <= "+fmt.Sprint(LedgerSize)); n != LedgerSize {
			t.Errorf("the ledger's %d payments have %d rows in the join", LedgerSize, n)
		}
	})
}

func TestScaleOneIsAboutSixteenThousandRentals(t *testing.T) {
	db, schema := newSchema(t, testenv.MariaDB(t))
	if err := Create(t.Context(), db, schema); err != nil {
		t.Fatal(err)
	}
	var last [2]int
	start := time.Now()
	err := Seed(t.Context(), db, schema, Options{Seed: 1, Progress: func(done, total int, table string) {
		if done <= last[0] || done > total || table == "" {
			t.Errorf("progress went from %d to %d of %d in %q", last[0], done, total, table)
		}
		last = [2]int{done, total}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows in %v", last[1], time.Since(start).Round(time.Millisecond))
	if last[0] != last[1] || last[0] == 0 {
		t.Errorf("progress ended at %d of %d", last[0], last[1])
	}
	for _, table := range []string{"rental", "payment"} {
		if n := number(t, db, schema, "SELECT COUNT(*) FROM "+table); n < 15_500 || n > 16_500 {
			t.Errorf("%d rows in %s, want about 16,000", n, table)
		}
	}
	if err := Seed(t.Context(), db, schema, Options{}); err == nil || !strings.Contains(err.Error(), "already has rows") {
		t.Errorf("a second Seed says %v", err)
	}
}

func TestForeignSchemaIsRefused(t *testing.T) {
	eachFamily(t, func(t *testing.T, db *sql.DB, schema string) {
		ctx := context.WithoutCancel(t.Context())
		if _, err := db.ExecContext(ctx, "CREATE DATABASE "+quoteName(schema)); err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(ctx, "CREATE TABLE "+quoteName(schema)+".country (precious INT)"); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if _, err := db.ExecContext(ctx, "DROP DATABASE "+quoteName(schema)); err != nil {
				t.Error(err)
			}
		}()
		_, runErr := NewLoad(db, schema, LoadOptions{}).Run(t.Context())
		for what, err := range map[string]error{
			"Create": Create(t.Context(), db, schema),
			"Seed":   Seed(t.Context(), db, schema, Options{Scale: 0.001}),
			"Drop":   Drop(t.Context(), db, schema),
			"Load":   runErr,
		} {
			if !errors.Is(err, ErrForeignSchema) || !strings.Contains(err.Error(), schema) {
				t.Errorf("%s says %v", what, err)
			}
		}
		if n := number(t, db, schema, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()"); n != 1 {
			t.Errorf("the foreign schema has %d tables now", n)
		}
	})
}

func TestCreateTwiceKeepsRows(t *testing.T) {
	db, schema := newSchema(t, testenv.MariaDB(t))
	sakila(t, db, schema, Options{Scale: 0.001})
	before := number(t, db, schema, "SELECT COUNT(*) FROM payment")
	if err := Create(t.Context(), db, schema); err != nil {
		t.Fatal(err)
	}
	if after := number(t, db, schema, "SELECT COUNT(*) FROM payment"); after != before || after == 0 {
		t.Errorf("%d payments before, %d after", before, after)
	}
}

func TestScaleOutOfRange(t *testing.T) {
	for _, scale := range []float64{-1, maxScale * 2, math.NaN()} {
		if _, err := newShape(Options{Scale: scale}); err == nil {
			t.Errorf("scale %v is taken", scale)
		}
	}
}
