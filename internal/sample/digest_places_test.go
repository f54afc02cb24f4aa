package sample

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// flatRows hold what a careless text form would lose.
const flatRows = `(1, %[1]s'ÄRGER ÉMILE', 4.50, '2005-05-24 22:53:30', %[1]s'New', 1, 4),
	(2, %[1]s'小林 😀', 0.00, NULL, %[1]s'Children', 2, 3),
	(64, %[1]s'O''HARA ', 11.99, '2030-01-01 00:01:07', %[1]s'', 64, 2)`

// flatPlaces are the destinations that answer FlatDigest and ProbeQuery, each with flatRows in its table.
func flatPlaces(t *testing.T) map[Dialect]*sql.DB {
	t.Helper()
	pg := testenv.Postgres(t)
	places := map[Dialect]*sql.DB{}
	open := func(d Dialect, driver, dsn, ddl, prefix string) {
		db, err := sql.Open(driver, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		fillFlat(t, db, ddl, prefix)
		places[d] = db
	}
	open(PostgreSQL, "pgx", pg.DSN(pg.CreateDatabase(t)), `CREATE TABLE flat ("RentalId" int, "CustomerName" text, "Amount" numeric(5,2),
		"RentalDate" timestamp(0), "Category" text, "PaymentId" bigint, "CategoryId" smallint)`, "")
	ms := testenv.SQLServer(t)
	open(SQLServer, "sqlserver", ms.DSN(ms.CreateDatabase(t)), `CREATE TABLE flat ([RentalId] int NOT NULL, [CustomerName] nvarchar(91) NULL, [Amount] decimal(5,2) NULL,
		[RentalDate] datetime2(0) NULL, [Category] nvarchar(25) NULL, [PaymentId] bigint NULL, [CategoryId] smallint NULL)`, "N")
	house := testenv.ClickHouse(t)
	db := clickhouse.OpenDB(&clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{house.Addr},
		Auth: clickhouse.Auth{Database: house.CreateDatabase(t), Username: house.User, Password: house.Password}})
	t.Cleanup(func() { _ = db.Close() })
	fillFlat(t, db, `CREATE TABLE flat (RentalId Int32, CustomerName Nullable(String), Amount Nullable(Decimal(5, 2)),
		RentalDate Nullable(DateTime64(0, 'UTC')), Category Nullable(String), PaymentId Nullable(Int64), CategoryId Nullable(Int16)) ENGINE = MergeTree ORDER BY RentalId`, "")
	places[ClickHouse] = db
	return places
}

func fillFlat(t *testing.T, db *sql.DB, ddl, prefix string) {
	t.Helper()
	for _, q := range []string{ddl, "INSERT INTO flat VALUES " + fmt.Sprintf(flatRows, prefix)} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func TestFlatDigestIsTheSameInEveryDestination(t *testing.T) {
	answers := map[Dialect][3]string{}
	for d, db := range flatPlaces(t) {
		var got [3]string
		query := FlatDigest(d, "flat", "")
		if err := db.QueryRowContext(t.Context(), query).Scan(&got[0], &got[1], &got[2]); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		answers[d] = got
		var probe int64
		query = ProbeQuery(d, "flat", "")
		if err := db.QueryRowContext(t.Context(), query).Scan(&probe); err != nil || probe != 67 {
			t.Errorf("%s: %d, %v, want 67", query, probe, err)
		}
		var sum string
		var n int
		query = LedgerSum(d, "flat", "")
		if err := db.QueryRowContext(t.Context(), query).Scan(&sum, &n); err != nil || sum != "16.49" || n != 3 {
			t.Errorf("%s: %s, %d, %v, want 16.49 of 3", query, sum, n, err)
		}
	}
	if want := answers[PostgreSQL]; want[0] != "3" || want[1] != "16.49" {
		t.Errorf("PostgreSQL: %v", want)
	}
	for d, got := range answers {
		if diff := cmp.Diff(answers[PostgreSQL], got); diff != "" {
			t.Errorf("dialect %d differs from PostgreSQL:\n%s", d, diff)
		}
	}
}
