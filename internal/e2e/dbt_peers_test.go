//go:build peers

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/sample"
	"github.com/etlsandbox/cdc/internal/testenv"
)

const (
	dbtProject = "../../deploy/dbt"
	rawSchema  = "jupiter_raw"
	dbtSchema  = "analytics"
)

// TestDBT builds CustomerOrderFlat with dbt from the raw tables that a daemon delivers, and compares it row for row with
// the view that the same daemon joins: after the first load, and again after changes of every kind. CDC_DBT_SCALE
// makes the sample larger (62.5 is a million rentals), for the figures.
func TestDBT(t *testing.T) {
	// dbt-core 1.11 and later fetch a part of theirs from outside of PyPI.
	python := testenv.Python(t, "dbt", "dbt-core==1.10.23", "dbt-postgres==1.11.0")
	scale := 0.2
	if x, err := strconv.ParseFloat(os.Getenv("CDC_DBT_SCALE"), 64); err == nil {
		scale = x
	}
	limit := time.Minute + time.Duration(scale*30*float64(time.Second))
	s := newScene(t, testenv.MariaDB(t)).sakila(scale)
	s.deliverRaw(rawSchema)
	s.start()
	s.waitShown(limit)
	d := dbt{s: s, python: python}
	d.build()
	d.compare()

	// The source's cascades would be missing in raw tables of a MariaDB: nothing here has one.
	for _, q := range []string{
		"UPDATE sakila.customer SET last_name = CONCAT('Ž ', LEFT(last_name, 30)) WHERE customer_id % 5 = 0",
		"UPDATE sakila.payment SET amount = amount + 0.01 WHERE payment_id % 7 = 0",
		"UPDATE sakila.category SET name = 'Überraschung' WHERE category_id = 3",
		"DELETE FROM sakila.payment WHERE payment_id % 11 = 0",
		"DELETE FROM sakila.film_category WHERE film_id % 13 = 0",
		"INSERT INTO sakila.payment (customer_id, staff_id, rental_id, amount, payment_date) SELECT customer_id, staff_id, rental_id, 0.00, rental_date FROM sakila.rental WHERE rental_id % 17 = 0",
	} {
		if _, err := s.db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	s.waitShown(limit)
	if d.differences() == 0 {
		t.Error("the changes are not in the streamed view, or dbt's table follows by itself: the comparison compares nothing")
	}
	took := d.build()
	d.compare()
	d.figures(took)
	s.stop()
}

// deliverRaw has the scene's sink get the source's tables too, into a schema of their own.
func (s *scene) deliverRaw(schema string) {
	s.t.Helper()
	if err := s.sink.Exec(s.t.Context(), s.target, "CREATE SCHEMA "+schema); err != nil {
		s.t.Fatal(err)
	}
	s.configure()
	text, err := os.ReadFile(s.config())
	if err != nil {
		s.t.Fatal(err)
	}
	const views = "deliver: [{from: view/CustomerOrderFlat}]"
	if !strings.Contains(string(text), views) {
		s.t.Fatalf("no %q in\n%s", views, text)
	}
	both := fmt.Sprintf(`deliver: [{from: view/CustomerOrderFlat}, {from: "table/sakila.*", schema: %s}]`, schema)
	if err := os.WriteFile(s.config(), []byte(strings.Replace(string(text), views, both, 1)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// dbt runs the shipped project on a scene's destination.
type dbt struct {
	s      *scene
	python string
}

// timing is how long a build took: the whole command, and the statement that makes the table.
type timing struct{ build, model time.Duration }

// build runs dbt build. Everything that dbt selects must succeed, its tests of sources and model among it.
func (d dbt) build() timing {
	t := d.s.t
	t.Helper()
	work := t.TempDir()
	cmd := exec.CommandContext(t.Context(), d.python, "-c", "from dbt.cli.main import cli; cli()", "--no-use-colors", "--quiet", "--no-version-check", "build",
		"--project-dir", dbtProject, "--profiles-dir", dbtProject, "--target-path", filepath.Join(work, "target"), "--log-path", filepath.Join(work, "logs"),
		"--vars", "{compare_with_stream: true}")
	cmd.Env = append(os.Environ(), "PGHOST="+d.s.sink.Host, fmt.Sprintf("PGPORT=%d", d.s.sink.Port), "PGDATABASE="+d.s.target,
		"PGUSER="+d.s.sink.User, "PGPASSWORD="+d.s.sink.Password, "DBT_SCHEMA="+dbtSchema, "CDC_RAW_SCHEMA="+rawSchema,
		"HOME="+work, "DBT_SEND_ANONYMOUS_USAGE_STATS=false")
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := timing{build: time.Since(began)}
	if err != nil {
		t.Fatalf("dbt build: %v\n%s", err, out)
	}
	if len(out) > 0 {
		t.Errorf("dbt build is not quiet:\n%s", out)
	}
	text, err := os.ReadFile(filepath.Join(work, "target", "run_results.json"))
	if err != nil {
		t.Fatal(err)
	}
	var ran struct {
		Results []struct {
			ID      string  `json:"unique_id"`
			Status  string  `json:"status"`
			Seconds float64 `json:"execution_time"`
		} `json:"results"`
	}
	if err := json.Unmarshal(text, &ran); err != nil {
		t.Fatal(err)
	}
	models, tests := 0, 0
	for _, r := range ran.Results {
		switch {
		case strings.HasPrefix(r.ID, "model.") && r.Status == "success":
			models++
			took.model += time.Duration(r.Seconds * float64(time.Second))
		case strings.HasPrefix(r.ID, "test.") && r.Status == "pass":
			tests++
		default:
			t.Errorf("dbt: %s: %s", r.ID, r.Status)
		}
	}
	if models != 1 || tests < 20 {
		t.Errorf("dbt built %d models and passed %d tests: the project is not what it was", models, tests)
	}
	t.Logf("dbt build: %s, of it the model %s; %d tests", took.build.Round(time.Millisecond), took.model.Round(time.Millisecond), tests)
	return took
}

const (
	streamedTable = `public."CustomerOrderFlat"`
	dbtTable      = dbtSchema + `."CustomerOrderFlat"`
)

// compare asks both tables for count, sum and digest, and the source for its own; it does not use dbt's comparison.
func (d dbt) compare() {
	t := d.s.t
	t.Helper()
	d.s.digests()
	pg := d.s.postgres()
	var a, b [3]string
	for table, into := range map[string]*[3]string{streamedTable: &a, dbtTable: &b} {
		if err := pg.QueryRow(t.Context(), sample.FlatDigest(sample.PostgreSQL, table, "")).Scan(&into[0], &into[1], &into[2]); err != nil {
			t.Fatal(err)
		}
	}
	if a != b || a[0] == "0" {
		t.Errorf("streamed view: count, sum, digest %v; dbt: %v", a, b)
	}
	if n := d.differences(); n != 0 {
		t.Errorf("%d rows differ", n)
	}
}

// differences counts the rows that one of the two tables has and the other has not.
func (d dbt) differences() int {
	t := d.s.t
	t.Helper()
	const columns = `"RentalId", "CustomerName", "Amount", "RentalDate", "Category", "PaymentId", "CategoryId"`
	only := func(a, b string) string {
		return fmt.Sprintf("(SELECT %s FROM %s EXCEPT ALL SELECT %[1]s FROM %[3]s)", columns, a, b)
	}
	rows, err := d.s.postgres().Query(t.Context(), "SELECT count(*) FROM ("+only(streamedTable, dbtTable)+" UNION ALL "+only(dbtTable, streamedTable)+") d")
	if err != nil {
		t.Fatal(err)
	}
	n, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// figures says how long both ways take to show one more payment.
func (d dbt) figures(took timing) {
	t := d.s.t
	t.Helper()
	if _, err := d.s.db.ExecContext(t.Context(), "UPDATE sakila.payment SET amount = amount + 1 WHERE payment_id = 1"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := d.s.client.Wait(context.WithoutCancel(t.Context()), admin.WaitRequest{}, time.Minute); err != nil {
		t.Fatal(err)
	}
	streamed := time.Since(began)
	var rentals, rows int
	if err := d.s.db.QueryRowContext(t.Context(), "SELECT count(*) FROM sakila.rental").Scan(&rentals); err != nil {
		t.Fatal(err)
	}
	if err := d.s.postgres().QueryRow(t.Context(), "SELECT count(*) FROM "+streamedTable).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rentals, %d rows: one change is in the streamed view after %s, in dbt's after its next build, %s (the model alone %s)",
		rentals, rows, streamed.Round(time.Millisecond), took.build.Round(time.Millisecond), took.model.Round(time.Millisecond))
}

// TestDBTModelIsTheView: the model's SELECT is the view file's, but for how tables are named and names are quoted.
func TestDBTModelIsTheView(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(dbtProject, "models", "CustomerOrderFlat.sql"))
	if err != nil {
		t.Fatal(err)
	}
	sql := regexp.MustCompile(`(?s)\{#.*?#\}`).ReplaceAllString(string(text), "")
	sql = regexp.MustCompile(`\{\{ source\('sakila', '(\w+)'\) \}\}`).ReplaceAllString(sql, "$1")
	sql = strings.Join(strings.Fields(strings.ReplaceAll(sql, `"`, "")), " ")
	if sql != sample.FlatSelect() {
		t.Errorf("the model says\n%s\nthe view file\n%s", sql, sample.FlatSelect())
	}
}
