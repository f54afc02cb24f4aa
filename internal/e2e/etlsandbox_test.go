package e2e

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// The tables that EtlSandbox's readers know: a query written for them runs unchanged, rows keep their Id for as
// long as they live, and IsDeleted marks the rows that the source deleted, and no other.
func TestTablesOfEtlSandbox(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t))
	s.own("shop")
	exec := func(statements ...string) {
		t.Helper()
		for _, q := range statements {
			if _, err := s.db.ExecContext(t.Context(), q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
	}
	exec("CREATE DATABASE shop", "CREATE TABLE shop.rental (id INT PRIMARY KEY, customer VARCHAR(91) NOT NULL, amount DECIMAL(5,2) NOT NULL, at DATETIME NOT NULL)",
		"INSERT INTO shop.rental VALUES (1, 'ANNA', 1.10, '2005-05-24 22:53:30'), (2, 'ANNA', 2.20, '2005-05-25 00:00:00'), (3, 'BOB', 3.30, '2005-05-26 00:00:00')")
	s.tables = append(s.tables, "shop.*")
	s.view("customer_order_flat.sql", "CREATE VIEW CustomerOrderFlat AS SELECT r.id AS RentalId, r.customer AS CustomerName, r.amount AS Amount, r.at AS RentalDate, 'New' AS Category FROM shop.rental r", "CustomerOrderFlat")
	s.configure()

	ms := testenv.SQLServer(t)
	database := ms.CreateDatabase(t)
	t.Setenv("E2E_MARS", ms.Password)
	deliver := "    deliver: [{from: view/CustomerOrderFlat, to: CustomerOrderFlats, delete: soft, identity: Id}]\n"
	s.appendSink("mars", fmt.Sprintf("    type: sqlserver\n    host: %s\n    port: %d\n    database: %s\n    user: %s\n    password: ${env:E2E_MARS}\n    tls: {mode: %s, ca: %q}\n",
		ms.Host, ms.Port, database, ms.User, map[bool]string{true: "disable", false: "verify-full"}[ms.CA == ""], ms.CA)+deliver)
	pg := testenv.Postgres(t)
	pgDatabase := pg.CreateDatabase(t)
	t.Setenv("E2E_VENUS", pg.Password)
	s.appendSink("venus", fmt.Sprintf("    type: postgres\n    host: %s\n    port: %d\n    database: %s\n    user: %s\n    password: ${env:E2E_VENUS}\n    tls: {mode: disable}\n",
		pg.Host, pg.Port, pgDatabase, pg.User)+deliver)
	s.start()
	s.waitShown(time.Minute)

	places := map[string]struct{ driver, dsn, query string }{
		"mars":  {"sqlserver", ms.DSN(database), "SELECT Id, RentalId, CustomerName, Amount, RentalDate, Category, IsDeleted FROM CustomerOrderFlats ORDER BY RentalId"},
		"venus": {"pgx", pg.DSN(pgDatabase), `SELECT "Id", "RentalId", "CustomerName", "Amount", "RentalDate", "Category", "IsDeleted" FROM "CustomerOrderFlats" ORDER BY "RentalId"`},
	}
	type row struct {
		id, rental   int64
		name, amount string
		at           time.Time
		category     string
		deleted      bool
	}
	read := func(name string) (rows []row) {
		t.Helper()
		p := places[name]
		db, err := sql.Open(p.driver, p.dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		got, err := db.QueryContext(t.Context(), p.query)
		if err != nil {
			t.Fatalf("%s: %s: %v", name, p.query, err)
		}
		defer got.Close()
		for got.Next() {
			var r row
			if err := got.Scan(&r.id, &r.rental, &r.name, &r.amount, &r.at, &r.category, &r.deleted); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, r)
		}
		if err := got.Err(); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	before := map[string][]row{}
	for name := range places {
		before[name] = read(name)
		if rows := before[name]; len(rows) != 3 || rows[0].deleted || rows[0].amount != "1.10" || rows[0].id == rows[1].id || rows[1].id == rows[2].id {
			t.Errorf("%s after the first load: %v", name, rows)
		}
	}
	exec("UPDATE shop.rental SET amount = 9.90 WHERE id = 2", "DELETE FROM shop.rental WHERE id = 3", "INSERT INTO shop.rental VALUES (4, 'BOB', 4.40, '2005-05-27 00:00:00')")
	s.waitShown(time.Minute)
	for name := range places {
		rows := read(name)
		if len(rows) != 4 {
			t.Errorf("%s: %v", name, rows)
			continue
		}
		for i, want := range []struct {
			amount  string
			deleted bool
		}{{"1.10", false}, {"9.90", false}, {"3.30", true}, {"4.40", false}} {
			if rows[i].amount != want.amount || rows[i].deleted != want.deleted || i < 3 && rows[i].id != before[name][i].id {
				t.Errorf("%s: row %d is %v, want %v under its old Id (%v)", name, i+1, rows[i], want, before[name])
			}
		}
	}
	s.must("verify")
	s.stop()
}
