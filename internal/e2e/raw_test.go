package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/sample"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// TestRawTables: the source's tables as they are, in a schema of their own, in PostgreSQL (beside the views), SQL
// Server and ClickHouse, from a MySQL that logs what foreign keys cascade. Daemon and destinations are killed at
// random; readers never see a state that the source did not have; in the end every table is equal, row for row.
// (Invariants I1 to I4.)
func TestRawTables(t *testing.T) {
	const (
		schema = "jupiter_raw"
		raw    = `{from: "table/sakila.*", schema: ` + schema + `}`
	)
	s := newScene(t, testenv.MySQL(t)).sakila(0.05).warehouse(0.02)
	s.raw = []string{raw}
	legs := []*destination{s.ownPostgres(), onSQLServer(t, "mars", "["+raw+"]"), onClickHouse(t, "clickhouse", "["+raw+"]")}
	for i, leg := range legs {
		if i > 0 {
			s.more = append(s.more, leg.settings)
		}
		create := "CREATE SCHEMA "
		if leg.apart { // ClickHouse has databases only
			create = "CREATE DATABASE "
		}
		if _, err := leg.db.ExecContext(t.Context(), create+schema); err != nil {
			t.Fatalf("%s: %v", leg.name, err)
		}
	}
	s.start()
	s.waitShown(2 * time.Minute)
	s.underKills(legs, rawStream, func(d *destination) []string {
		return []string{fmt.Sprintf("SELECT SUM(amount), COUNT(*) FROM %s WHERE payment_id <= %d", d.named(schema, "payment"), sample.LedgerSize)}
	})
	var tables int
	if err := s.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'sakila' AND table_type = 'BASE TABLE' AND table_name <> ?",
		sample.UncapturedTable).Scan(&tables); err != nil {
		t.Fatal(err)
	}
	report, err := s.client.Verify(t.Context(), admin.VerifyRequest{TimeoutSeconds: 300}, func(admin.VerifyProgress) {})
	if err != nil {
		t.Fatal(err)
	}
	if want := len(s.views) + tables*len(legs); len(report.Results) != want {
		t.Errorf("%d tables and views compared, want %d", len(report.Results), want)
	}
	for _, r := range report.Results {
		t.Logf("verify %s of %s: %d rows, %d different, %d unsettled", r.View, r.Sink, r.Rows, r.Different, r.Unsettled)
		if !r.Equal() {
			t.Errorf("%s of %s: %d of %d rows are different, first %+v", r.View, r.Sink, r.Different, r.Rows, r.Differences[:min(3, len(r.Differences))])
		}
	}
}
