package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/views"
)

// version is a row of the destination and who wrote it.
type version struct{ row, xmin string }

// versions reads the rows of a view's table by key.
func (s *scene) versions(view string, key ...string) map[string]version {
	s.t.Helper()
	pg := s.postgres()
	keys := make([]string, len(key))
	for i, k := range key {
		keys[i] = fmt.Sprintf("%q::text", k)
	}
	rows, err := pg.Query(s.t.Context(), fmt.Sprintf("SELECT concat_ws(',', %s), v::text, v.xmin::text FROM %q v", strings.Join(keys, ", "), view))
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]version{}
	var k string
	var v version
	if _, err := pgx.ForEachRow(rows, []any{&k, &v.row, &v.xmin}, func() error { out[k] = v; return nil }); err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *scene) flatVersions() map[string]version {
	s.t.Helper()
	return s.versions("CustomerOrderFlat", "RentalId", "PaymentId", "CategoryId")
}

// rewritten fails the test if a row that stayed as it was has been written again, and counts what changed.
func (s *scene) rewritten(before, after map[string]version) (kept, changed int) {
	s.t.Helper()
	wrong := 0
	for k, a := range after {
		switch b, ok := before[k]; {
		case !ok || a.row != b.row:
			changed++
		case a.xmin != b.xmin:
			if wrong++; wrong < 4 {
				s.t.Errorf("row %s was right and was written again", k)
			}
		default:
			kept++
		}
	}
	for k := range before {
		if _, ok := after[k]; !ok {
			changed++
		}
	}
	if wrong > 0 {
		s.t.Errorf("%d rows that were right were written again", wrong)
	}
	s.t.Logf("%d rows were right and not touched, %d were put right", kept, changed)
	return kept, changed
}

// nothing adds a table without rows to the source, and its view.
func (s *scene) nothing() *scene {
	s.t.Helper()
	s.sourceExec("CREATE TABLE sakila.nothing (id INT NOT NULL PRIMARY KEY, label VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)")
	s.view("nothing.sql", "CREATE VIEW Nothing AS SELECT n.id AS Id, n.label AS Label FROM nothing n;\n", "Nothing")
	s.empty = append(s.empty, "Nothing")
	return s
}

// damage makes the destination wrong in every way: rows that the source does not have, below the first key,
// above the last one, between them and in a view that is empty; a row that is missing, and one that is
// wrong.
func (s *scene) damage() {
	s.t.Helper()
	plant := func(rental, payment string) string {
		return `INSERT INTO "CustomerOrderFlat" ("RentalId", "CustomerName", "Amount", "RentalDate", "Category", "PaymentId", "CategoryId")
			SELECT ` + rental + `, 'Phantom', 1, now(), 'None', ` + payment + `, 1 FROM "CustomerOrderFlat"`
	}
	s.sinkExec(
		plant(`min("RentalId") - 5`, "1"), plant(`max("RentalId") + 1000`, "1"), plant(`(min("RentalId") + max("RentalId")) / 2`, "60000"),
		`INSERT INTO "Nothing" ("Id", "Label") VALUES (-1, 'phantom'), (7, 'phantom')`,
		`DELETE FROM "CustomerOrderFlat" WHERE "PaymentId" = (SELECT min("PaymentId") + 20 FROM "CustomerOrderFlat")`,
		`UPDATE "CustomerOrderFlat" SET "Amount" = "Amount" + 1 WHERE "PaymentId" = (SELECT min("PaymentId") FROM "CustomerOrderFlat")`,
	)
}

// changeALittle changes some rows of the source: renamed, changed, deleted.
func (s *scene) changeALittle() {
	s.t.Helper()
	s.sourceExec(
		"UPDATE sakila.customer SET last_name = CONCAT(last_name, '!') ORDER BY customer_id LIMIT 1",
		"UPDATE sakila.payment SET amount = amount + 1 ORDER BY payment_id DESC LIMIT 3",
		"DELETE FROM sakila.payment ORDER BY payment_id LIMIT 2",
	)
}

// healed waits until the destination shows now, and fails the test unless both sides are equal, the damage
// is gone and what was right is untouched.
func (s *scene) healed(before map[string]version) {
	s.t.Helper()
	s.waitShown(90 * time.Second)
	s.digests()
	s.verify()
	after := s.flatVersions()
	if kept, _ := s.rewritten(before, after); kept < len(before)/2 {
		s.t.Errorf("only %d of %d rows were left alone", kept, len(before))
	}
	for k, v := range after {
		if strings.Contains(v.row, "Phantom") {
			s.t.Errorf("phantom %s is still there", k)
		}
	}
	if rows := s.versions("Nothing", "Id"); len(rows) > 0 {
		s.t.Errorf("phantoms of the empty view are still there: %v", rows)
	}
}

// TestHealLostDataDir: without its data folder, and so without streams and state, the daemon reads everything
// again and the destination gets the differences only.
func TestHealLostDataDir(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.05).nothing()
	s.start()
	s.waitShown(90 * time.Second)
	if code := s.stop(); code != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0", code)
	}
	s.damage()
	before := s.flatVersions()
	s.changeALittle()
	s.wipe()
	s.start()
	s.healed(before)
}

// wipe takes the data folder away.
func (s *scene) wipe() {
	s.t.Helper()
	if err := os.RemoveAll(s.data()); err != nil {
		s.t.Fatal(err)
	}
}

// TestHealPurgedLog: what the daemon has not read is gone from the source's log. The same on both families.
func TestHealPurgedLog(t *testing.T) {
	for _, family := range []struct {
		name  string
		start func(t testenv.TB, extra ...string) *testenv.MySQLServer
	}{{"MariaDB", testenv.NewMariaDB}, {"MySQL", testenv.NewMySQL}} {
		t.Run(family.name, func(t *testing.T) {
			s := newScene(t, family.start(t)).sakila(0.05).nothing()
			s.start()
			s.waitShown(90 * time.Second)
			s.stop()
			s.damage()
			before := s.flatVersions()
			s.changeALittle()
			s.purge()
			s.sourceExec("UPDATE sakila.payment SET amount = amount + 2 ORDER BY payment_id DESC LIMIT 1")
			s.start()
			s.healed(before)
			if !strings.Contains(s.log(), "all tables are read again") {
				t.Error("the log does not say that tables are read again")
			}
		})
	}
}

// purge drops all of the source's log but the file that it writes now.
func (s *scene) purge() {
	s.t.Helper()
	s.sourceExec("FLUSH BINARY LOGS")
	eventually(s.t, 30*time.Second, "the source's log is purged", func(ctx context.Context) bool {
		files := s.logFiles(ctx)
		// The server keeps a file as long as it believes that somebody reads it.
		s.sourceExec(fmt.Sprintf("PURGE BINARY LOGS TO '%s'", files[len(files)-1]))
		return len(s.logFiles(ctx)) == 1
	})
}

// logFiles lists the files of the source's log.
func (s *scene) logFiles(ctx context.Context) (files []string) {
	s.t.Helper()
	rows, err := s.db.QueryContext(ctx, "SHOW BINARY LOGS")
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		s.t.Fatal(err)
	}
	fields := make([]any, len(cols))
	for i := range fields {
		fields[i] = new(any)
	}
	var name string
	fields[0] = &name
	for rows.Next() {
		if err := rows.Scan(fields...); err != nil {
			s.t.Fatal(err)
		}
		files = append(files, name)
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return files
}

// TestDestinationRestored: the destination is put back to an older state, with its place in the stream. It is
// the destination that says where it is: the stream goes on from there.
func TestDestinationRestored(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.05)
	s.start()
	s.waitShown(90 * time.Second)
	s.stop()
	backup := s.target + "_backup"
	server := func(sql string) {
		t.Helper()
		if err := s.sink.Exec(t.Context(), "", sql); err != nil {
			t.Fatal(err)
		}
	}
	server(fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", backup, s.target))
	t.Cleanup(func() { _ = s.sink.Exec(context.Background(), "", "DROP DATABASE IF EXISTS "+backup+" WITH (FORCE)") })
	old := s.truth()
	s.start()
	s.changeALittle()
	s.waitShown(60 * time.Second)
	s.digests()
	s.stop()
	server(fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", s.target))
	server(fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", backup, s.target))
	if s.flat(s.postgres()) != old {
		t.Fatal("the restored destination does not show the old state: the test shows nothing")
	}
	before := s.flatVersions()
	addr, closeIt := s.reopened()
	_, views := history(t, addr, viewStream, 0)
	closeIt()
	s.start()
	s.waitShown(60 * time.Second)
	s.digests()
	s.verify()
	if _, changed := s.rewritten(before, s.flatVersions()); changed == 0 {
		t.Error("nothing changed: the test shows nothing")
	}
	recs, _ := history(t, s.broker, viewStream, views)
	for _, p := range recs {
		if p.Cover != nil {
			t.Errorf("%v of cover %s: the stream reached back, no cover was needed", p.Kind, p.Cover.ID)
		}
	}
}

// TestViewAddedAndChanged: a second view joins a filled pipeline by its file and a restart, and a changed
// view gets its differences; the others keep their content.
func TestViewAddedAndChanged(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.05)
	s.start()
	s.waitShown(90 * time.Second)
	s.stop()
	before := s.flatVersions()

	s.view("film_sheet.sql", `CREATE VIEW FilmSheet AS SELECT f.film_id AS FilmId, i.inventory_id AS InventoryId
FROM film f JOIN inventory i ON i.film_id = f.film_id;
`, "FilmSheet")
	s.configure()
	s.start()
	s.waitShown(60 * time.Second)
	s.verify()
	if _, changed := s.rewritten(before, s.flatVersions()); changed > 0 {
		t.Errorf("%d rows of the first view changed", changed)
	}
	sheet := s.versions("FilmSheet", "FilmId", "InventoryId")
	if len(sheet) == 0 {
		t.Error("the second view has no rows")
	}
	s.stop()

	changed := strings.Replace(views.Example(), "cat.category_id = fc.category_id", "cat.category_id = fc.category_id WHERE p.amount > 3", 1)
	if changed == views.Example() {
		t.Fatal("the view was not changed: the test shows nothing")
	}
	if err := os.WriteFile(filepath.Join(s.dir, "views", views.ExampleFile), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.waitShown(60 * time.Second)
	s.verify()
	after := s.flatVersions()
	kept, gone := s.rewritten(before, after)
	if kept != len(after) || gone == 0 || kept+gone != len(before) {
		t.Errorf("%d rows kept of %d, %d gone of %d", kept, len(after), gone, len(before))
	}
	if _, changed := s.rewritten(sheet, s.versions("FilmSheet", "FilmId", "InventoryId")); changed > 0 {
		t.Errorf("%d rows of the other view changed", changed)
	}
}

// TestResyncTable: changes that the source did not log are found by reading the table again, whole or by a
// range of keys; nothing else is written. What was changed in the destination itself is put right by a
// resync of everything.
func TestResyncTable(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.05).nothing()
	s.sets = append(s.sets, "source.snapshot.chunk_rows=200")
	s.start()
	s.waitShown(90 * time.Second)
	resync := func(args ...string) {
		t.Helper()
		if code, out := s.run(append([]string{"resync", "--timeout", "60s"}, args...)...); code != 0 {
			t.Fatalf("resync %v: status %d: %s", args, code, out)
		}
		// A transaction behind the cover shows that all of the cover is applied.
		s.sourceExec("UPDATE sakila.customer SET last_update = last_update + INTERVAL 1 SECOND ORDER BY customer_id LIMIT 1")
		s.waitShown(60 * time.Second)
	}
	unlogged := func(statement string) {
		t.Helper()
		s.sourceExec("SET SESSION sql_log_bin = 0", statement)
	}
	var first, last int
	if err := s.db.QueryRow("SELECT MIN(payment_id), MAX(payment_id) FROM sakila.payment WHERE rental_id IS NOT NULL").Scan(&first, &last); err != nil {
		t.Fatal(err)
	}
	before := s.flatVersions()
	unlogged(fmt.Sprintf("UPDATE sakila.payment SET amount = amount + 1 WHERE payment_id IN (%d, %d)", first, last))
	resync("sakila.payment")
	s.digests()
	after := s.flatVersions()
	if _, changed := s.rewritten(before, after); changed == 0 || changed > 4 {
		t.Errorf("%d rows changed, want those of two payments", changed)
	}

	before = after
	unlogged(fmt.Sprintf("UPDATE sakila.payment SET amount = amount + 1 WHERE payment_id = %d", last))
	resync("sakila.payment", "--keys", fmt.Sprintf("%d..%d", last-1, last))
	s.digests()
	after = s.flatVersions()
	if _, changed := s.rewritten(before, after); changed == 0 || changed > 2 {
		t.Errorf("%d rows changed, want those of one payment", changed)
	}

	s.damage()
	before = s.flatVersions()
	resync("--all")
	s.healed(before)
}
