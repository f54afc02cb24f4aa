package sample

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/views"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// copyToPostgres copies the answer of a query on the source into a new table.
func copyToPostgres(t *testing.T, db *sql.DB, schema, query, ddl, table string) *pgx.Conn {
	t.Helper()
	pg := testenv.Postgres(t)
	conn, err := pgx.Connect(t.Context(), pg.DSN(pg.CreateDatabase(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) }) // the database is dropped with its sessions
	if _, err := conn.Exec(t.Context(), ddl); err != nil {
		t.Fatal(err)
	}
	s, err := openSession(t.Context(), db, schema)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	rows, err := s.conn.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	batch := &pgx.Batch{}
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range into {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var literals []string
		for _, v := range values {
			if !v.Valid {
				literals = append(literals, "NULL")
				continue
			}
			literals = append(literals, "'"+strings.ReplaceAll(v.String, "'", "''")+"'")
		}
		batch.Queue(fmt.Sprintf("INSERT INTO %q VALUES (%s)", table, strings.Join(literals, ",")))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if err := conn.SendBatch(t.Context(), batch).Close(); err != nil {
		t.Fatal(err)
	}
	return conn
}

// inPostgres asks for one row of three numbers as text.
func inPostgres(t *testing.T, conn *pgx.Conn, query string) []string {
	t.Helper()
	got := make([]string, 3)
	query = "SELECT a::text, b::text, c::text FROM (" + query + ") AS d(a, b, c)"
	if err := conn.QueryRow(t.Context(), query).Scan(&got[0], &got[1], &got[2]); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return got
}

const flatTable = `CREATE TABLE "CustomerOrderFlats" ("RentalId" int, "CustomerName" text, "Amount" numeric(5,2),
	"RentalDate" timestamp(0), "Category" text, "PaymentId" bigint, "CategoryId" smallint, "IsDeleted" boolean DEFAULT false)`

func TestFlatDigestIsTheSameOnBothSides(t *testing.T) {
	eachFamily(t, func(t *testing.T, db *sql.DB, schema string) {
		sakila(t, db, schema, Options{Scale: 0.02, Seed: 3})
		pg := copyToPostgres(t, db, schema, FlatSelect(), flatTable, "CustomerOrderFlats")
		source := inSchema(t, db, schema, FlatDigest(MySQL, FlatSource(), ""))
		dest := FlatDigest(PostgreSQL, `"CustomerOrderFlats"`, `NOT "IsDeleted"`)
		if diff := cmp.Diff(source, inPostgres(t, pg, dest)); diff != "" || source[0] == "0" {
			t.Fatalf("digests of equal rows (source -, destination +):\n%s\nsource: %v", diff, source)
		}
		// Settings of a session must not change the answer.
		for _, set := range []string{"SET datestyle = 'German'", "SET timezone = 'Asia/Tokyo'", "SET bytea_output = 'escape'"} {
			if _, err := pg.Exec(t.Context(), set); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(source, inPostgres(t, pg, dest)); diff != "" {
			t.Errorf("under other settings:\n%s", diff)
		}
		// What a careless comparison overlooks changes the digest.
		for _, change := range []string{
			`UPDATE "CustomerOrderFlats" SET "CustomerName" = "CustomerName" || ' ' WHERE "PaymentId" = 1`,
			`UPDATE "CustomerOrderFlats" SET "RentalDate" = NULL WHERE "PaymentId" = 1`,
			`INSERT INTO "CustomerOrderFlats" SELECT * FROM "CustomerOrderFlats" WHERE "PaymentId" = 1`,
		} {
			before := inPostgres(t, pg, dest)
			if tag, err := pg.Exec(t.Context(), change); err != nil || tag.RowsAffected() != 1 {
				t.Fatalf("%s: %v, %v", change, tag, err)
			}
			if after := inPostgres(t, pg, dest); after[2] == before[2] {
				t.Errorf("the digest does not see: %s", change)
			}
		}
		// Soft-deleted rows count as absent.
		if _, err := pg.Exec(t.Context(), `UPDATE "CustomerOrderFlats" SET "IsDeleted" = true`); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"0", "0.00", "0"}, inPostgres(t, pg, dest)); diff != "" {
			t.Errorf("all rows soft-deleted:\n%s", diff)
		}
	})
}

func TestEmptyDigest(t *testing.T) {
	eachFamily(t, func(t *testing.T, db *sql.DB, schema string) {
		if err := Create(t.Context(), db, schema); err != nil {
			t.Fatal(err)
		}
		got := inSchema(t, db, schema, FlatDigest(MySQL, FlatSource(), ""))
		if diff := cmp.Diff([]string{"0", "0.00", "0"}, got); diff != "" {
			t.Errorf("no rows:\n%s", diff)
		}
	})
}

func TestFlatSelectIsTheShippedFile(t *testing.T) {
	file, err := os.ReadFile("../../schemas/views/" + views.ExampleFile)
	if err != nil {
		t.Fatal(err)
	}
	if oneLine := strings.Join(strings.Fields(string(file)), " "); !strings.HasSuffix(oneLine, " CREATE VIEW CustomerOrderFlat AS "+FlatSelect()+";") {
		t.Errorf("the file does not end in this SELECT:\n%s", FlatSelect())
	}
}
