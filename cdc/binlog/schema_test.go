package binlog

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

// story prints what a reader said: rows, schema changes and pauses.
func story(items []Item) []string {
	kinds := map[SchemaKind]string{Followed: "followed", RowsChanged: "rows changed", Created: "created", Gone: "gone", Unsupported: "unsupported"}
	var out []string
	for _, i := range items {
		switch i.Kind {
		case Row:
			out = append(out, text([]change.Event{i.Event})...)
		case Pause:
			out = append(out, "pause "+i.Pause.Table.Name)
		case Schema:
			s := kinds[i.Schema.Kind] + " " + i.Schema.Table.Name
			if i.Schema.Refill {
				s += " refill"
			}
			out = append(out, s)
		}
	}
	return out
}

func TestSchemaChanges(t *testing.T) {
	for _, c := range []struct {
		name string
		run  []string
		want []string
		only cdc.Flavor
	}{
		{name: "columns are added", run: []string{
			"INSERT INTO a VALUES (1, 'x')", "ALTER TABLE a ADD COLUMN n INT", "INSERT INTO a VALUES (2, 'y', 5)",
			"ALTER TABLE a ADD COLUMN f INT FIRST, ADD COLUMN m DATE AFTER id", "INSERT INTO a VALUES (9, 3, NULL, 'z', NULL)",
		}, want: []string{`c a [] [1 "x"]`, "followed a", `c a [] [2 "y" 5]`, "followed a", `c a [] [9 3 NULL "z" NULL]`}},
		{name: "a column with a default", run: []string{
			"ALTER TABLE a ADD COLUMN n INT NOT NULL DEFAULT 7", "UPDATE a SET v = 'q'", "INSERT INTO a (id) VALUES (2)",
		}, want: []string{"followed a refill", `c a [] [2 NULL 7]`}},
		{name: "a column with DEFAULT NULL", run: []string{"ALTER TABLE a ADD n INT DEFAULT NULL"}, want: []string{"followed a"}},
		{name: "what does not change the shape", run: []string{
			"ALTER TABLE a ADD INDEX iv (v)", "CREATE INDEX iw ON a (v)", "ALTER TABLE a DROP INDEX iv", "ALTER TABLE a COMMENT 'hello'",
			"ALTER TABLE a ENGINE=InnoDB", "ALTER TABLE a ALTER COLUMN v SET DEFAULT 'd'", "ANALYZE TABLE a", "OPTIMIZE TABLE a",
			"INSERT INTO a VALUES (1, 'x')",
		}, want: []string{`c a [] [1 "x"]`}},
		{name: "a column is dropped", run: []string{"ALTER TABLE a DROP COLUMN v", "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1)"},
			want: []string{"unsupported a", `c b [] [1]`}},
		{name: "a column is changed", run: []string{"ALTER TABLE a MODIFY v VARCHAR(50)", "INSERT INTO a VALUES (1, 'x')"}, want: []string{"unsupported a"}},
		{name: "a column is renamed", run: []string{"ALTER TABLE a CHANGE v w VARCHAR(20)"}, want: []string{"unsupported a"}},
		{name: "the character set is converted", run: []string{"ALTER TABLE a CONVERT TO CHARACTER SET latin1"}, want: []string{"unsupported a"}},
		{name: "the key changes", run: []string{"ALTER TABLE a DROP PRIMARY KEY, ADD PRIMARY KEY (v, id)"}, want: []string{"unsupported a"}},
		{name: "an unsupported column", run: []string{"ALTER TABLE a ADD g GEOMETRY", "INSERT INTO a (id) VALUES (1)"}, want: []string{"unsupported a"}},
		{name: "truncate", run: []string{"TRUNCATE TABLE a", "INSERT INTO a VALUES (1, 'x')"}, want: []string{"rows changed a", `c a [] [1 "x"]`}},
		{name: "partitions", run: []string{
			"CREATE TABLE p (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))",
		}, want: []string{"created p"}},
		{name: "drop", run: []string{"DROP TABLE a, b", "CREATE TABLE a (id INT)"}, want: []string{"gone a", "gone b", "created a"}},
		{name: "drop and create the same", run: []string{"DROP TABLE IF EXISTS nothing, a"}, want: []string{"gone a"}},
		{name: "rename", run: []string{"RENAME TABLE a TO c", "INSERT INTO c VALUES (1, 'x')"}, want: []string{"gone a", "created c", "pause c"}},
		{name: "swap", run: []string{"CREATE TABLE _a_new LIKE a", "RENAME TABLE a TO _a_old, _a_new TO a", "DROP TABLE _a_old"},
			want: []string{"created _a_new", "gone a", "created _a_old", "created a"}},
		{name: "create if it exists", run: []string{"CREATE TABLE IF NOT EXISTS a (z INT)", "INSERT INTO a VALUES (1, 'x')"}, want: []string{`c a [] [1 "x"]`}},
		{name: "create from select", run: []string{"INSERT INTO a VALUES (1, 'x')", "CREATE TABLE c (id INT PRIMARY KEY) SELECT id FROM a"},
			want: []string{`c a [] [1 "x"]`, "created c", "pause c"}},
		{name: "or replace", run: []string{"CREATE OR REPLACE TABLE a (z INT)"}, want: []string{"gone a", "created a"}, only: cdc.MariaDB},
		{name: "temporary tables", run: []string{"CREATE TEMPORARY TABLE a (z INT)", "DROP TEMPORARY TABLE a", "INSERT INTO a VALUES (1, 'x')"},
			want: []string{`c a [] [1 "x"]`}},
		{name: "a foreign key", run: []string{"ALTER TABLE a ADD CONSTRAINT fk FOREIGN KEY (id) REFERENCES b (id) ON DELETE CASCADE"}, want: []string{"followed a"}},
		{name: "an add behind its back", run: []string{"ALTER TABLE a ADD n INT", "ALTER TABLE a DROP n"}, want: []string{"unsupported a"}},
		{name: "other objects", run: []string{
			"CREATE VIEW w AS SELECT * FROM a", "DROP VIEW w", "CREATE PROCEDURE pr() DELETE FROM a", "DROP PROCEDURE pr",
			"CREATE TRIGGER tr BEFORE INSERT ON a FOR EACH ROW SET NEW.v = 'trigger'", "INSERT INTO a (id) VALUES (1)",
		}, want: []string{`c a [] [1 "trigger"]`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
				f := newFixture(t, s)
				if c.only != "" && c.only != f.src.Server().Flavor {
					t.Skip("not of this server")
				}
				f.exec("CREATE TABLE a (id INT PRIMARY KEY, v VARCHAR(20))", "CREATE TABLE b (id INT PRIMARY KEY)")
				from, ls := f.current(), f.layouts()
				live := c.name != "an add behind its back"
				var got []string
				r := f.openWith(from, ls)
				for _, q := range c.run {
					f.exec(q)
					if live {
						got = append(got, story(f.until(r, f.current()))...)
					}
				}
				if !live {
					got = story(f.until(r, f.current()))
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

func TestPartitionsAndDropDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		f := newFixture(t, s)
		f.exec("CREATE TABLE p (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))",
			"CREATE TABLE q (id INT PRIMARY KEY)")
		r := f.open(f.current())
		f.exec("ALTER TABLE p DROP PARTITION p0", "ALTER TABLE p TRUNCATE PARTITION p1", "ALTER TABLE p EXCHANGE PARTITION p1 WITH TABLE q",
			"INSERT INTO p VALUES (11)", "ALTER TABLE p REBUILD PARTITION p1", "USE "+f.db, "DROP DATABASE "+f.db)
		want := []string{"rows changed p", "rows changed p", "rows changed p", "rows changed q", "c p [] [11]", "gone p", "gone q"}
		if d := cmp.Diff(want, story(f.until(r, f.current()))); d != "" {
			t.Error(d)
		}
		f.exec("CREATE DATABASE " + f.db)
	})
}

// TestTrackAgain: a table that was paused is read again once its shape is given.
func TestTrackAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		f := newFixture(t, s)
		f.exec("CREATE TABLE a (id INT PRIMARY KEY, v INT)")
		r := f.open(f.current())
		f.exec("ALTER TABLE a DROP COLUMN v, ADD COLUMN w BIGINT", "INSERT INTO a VALUES (1, 2)", "CREATE TABLE n (id INT PRIMARY KEY)")
		items := f.until(r, f.current())
		if d := cmp.Diff([]string{"unsupported a", "created n"}, story(items)); d != "" {
			t.Fatal(d)
		}
		if got := r.Filtered()[change.TableID{DB: f.db, Name: "a"}]; got != 1 {
			t.Errorf("%d rows passed over, want 1", got)
		}
		for _, l := range f.layouts() {
			r.Track(l)
		}
		f.exec("INSERT INTO a VALUES (3, 4)", "INSERT INTO n VALUES (5)")
		if d := cmp.Diff([]string{"c a [] [3 4]", "c n [] [5]"}, story(f.until(r, f.current()))); d != "" {
			t.Error(d)
		}
	})
}

// TestColumnsLeftOut: columns that are not captured are passed over, also when they change; the shape says which
// there are.
func TestColumnsLeftOut(t *testing.T) {
	onAll(t, func(t *testing.T, s *testenv.MySQLServer) {
		f := newFixture(t, s)
		f.filter.Column = func(_ change.TableID, c string) bool { return !strings.HasPrefix(c, "x") }
		f.exec("CREATE TABLE a (x1 GEOMETRY, id INT PRIMARY KEY, x2 JSON, v INT, x3 VARCHAR(10))")
		r := f.open(f.current())
		var got, fields []string
		for _, q := range []string{`INSERT INTO a VALUES (POINT(1, 2), 1, '{"a": 1}', 10, 'secret')`, "ALTER TABLE a MODIFY x3 VARCHAR(500), DROP COLUMN x2",
			"INSERT INTO a VALUES (NULL, 2, 20, REPEAT('s', 300))", "ALTER TABLE a ADD COLUMN x4 INT AFTER id", "INSERT INTO a VALUES (NULL, 3, 1, 30, NULL)"} {
			f.exec(q)
			items := f.until(r, f.current())
			got = append(got, story(items)...)
			for _, it := range items {
				if it.Kind == Schema {
					fields = it.Schema.New.Fields
				}
			}
		}
		if d := cmp.Diff([]string{"c a [] [1 10]", "followed a", "followed a", "c a [] [2 20]", "followed a", "c a [] [3 30]"}, got); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"x1", "id", "x4", "v", "x3"}, fields); d != "" {
			t.Error(d)
		}
	})
}

func TestGeneratedColumns(t *testing.T) {
	onAll(t, func(t *testing.T, s *testenv.MySQLServer) {
		f := newFixture(t, s)
		f.exec("CREATE TABLE a (id INT PRIMARY KEY, s INT AS (id * 2) STORED, v INT AS (id * 3) VIRTUAL, z INT)")
		ls := f.layouts()
		if d := cmp.Diff([]string{"s", "v"}, ls[0].Generated); d != "" {
			t.Error(d)
		}
		r := f.open(f.current())
		f.exec("INSERT INTO a (id, z) VALUES (1, 9)", "UPDATE a SET id = 5")
		if d := cmp.Diff([]string{"c a [] [1 2 3 9]", "u a [1 2 3 9] [5 10 15 9]"}, story(f.until(r, f.current()))); d != "" {
			t.Error(d)
		}
	})
}

// TestStops: what cannot be followed ends the stream with a way out, before anything of it is committed.
func TestStops(t *testing.T) {
	for _, c := range []struct {
		name string
		run  []string
		want string
	}{
		{"xa", []string{"XA START 'x'", "INSERT INTO a VALUES (1, 'x')", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"}, "XA transaction"},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
				f := newFixture(t, s)
				f.exec("CREATE TABLE a (id INT PRIMARY KEY, v VARCHAR(20))", "CREATE TABLE other (id INT PRIMARY KEY)", "INSERT INTO a VALUES (9, 'z')", "INSERT INTO other VALUES (9)")
				from := f.current()
				r := f.open(from)
				f.exec(c.run...)
				items, err := f.tryUntil(r, f.current())
				var e *cdc.Error
				if !errors.Is(err, cdc.ErrUnlogged) || !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || !strings.Contains(e.Hint, "cdc resync") {
					t.Fatalf("error %v", err)
				}
				for _, i := range items {
					if i.Kind == Commit && i.Tx.Rows > 0 {
						t.Error("it was committed")
					}
				}
				if _, again := r.Next(t.Context()); !errors.Is(again, err) {
					t.Errorf("the next call returns %v", again)
				}
			})
		})
	}
}

// TestStatementFormat: a statement whose rows are not in the log pauses the table that it wrote, with the way out; the
// others go on.
func TestStatementFormat(t *testing.T) {
	for _, write := range []string{"INSERT INTO a VALUES (1, 'x')", "UPDATE a SET v = CONCAT(v, 'y') WHERE id > 3"} {
		onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
			f := newFixture(t, s)
			f.exec("CREATE TABLE a (id INT PRIMARY KEY, v VARCHAR(20))", "CREATE TABLE other (id INT PRIMARY KEY)", "INSERT INTO a VALUES (9, 'z')")
			r := f.open(f.current())
			f.exec("SET SESSION binlog_format = 'STATEMENT'", write, "SET SESSION binlog_format = 'ROW'", "INSERT INTO a VALUES (2, 'x')", "INSERT INTO other VALUES (7)")
			var paused []*Paused
			rows := 0
			for _, i := range f.until(r, f.current()) {
				switch i.Kind {
				case Pause:
					paused = append(paused, i.Pause)
				case Row:
					rows++
					if i.Event.Table.ID.Name != "other" {
						t.Errorf("a row of %s", i.Event.Table.ID)
					}
				}
			}
			if len(paused) != 1 || paused[0].Table.Name != "a" || !strings.Contains(paused[0].Reason.Error(), "STATEMENT format") ||
				!strings.Contains(paused[0].Hint, "binlog_format=ROW") || !strings.Contains(paused[0].Hint, "cdc resync "+paused[0].Table.String()) || rows != 1 {
				t.Errorf("%s: paused %+v, %d rows of others", write, paused, rows)
			}
		})
	}
}

// TestPasses: what looks alike and does no harm.
func TestPasses(t *testing.T) {
	for _, c := range []struct {
		name string
		run  []string
		want []string
	}{
		{"statement format on a table that is not captured", []string{"SET SESSION binlog_format = 'STATEMENT'", "INSERT INTO hidden VALUES (1)"}, nil},
		{"xa in one phase", []string{"XA START 'x'", "INSERT INTO a VALUES (1, 'x')", "XA END 'x'", "XA COMMIT 'x' ONE PHASE"}, []string{`c a [] [1 "x"]`}},
		{"xa elsewhere", []string{"XA START 'x'", "INSERT INTO hidden VALUES (1)", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'", "INSERT INTO a VALUES (1, 'x')"}, []string{`c a [] [1 "x"]`}},
		{"savepoints", []string{"BEGIN", "INSERT INTO a VALUES (1, 'x')", "SAVEPOINT s", "INSERT INTO a VALUES (2, 'y')", "ROLLBACK TO s", "INSERT INTO a VALUES (3, 'z')", "COMMIT"},
			[]string{`c a [] [1 "x"]`, `c a [] [3 "z"]`}},
		{"foreign key checks off", []string{"SET foreign_key_checks = 0", "INSERT INTO a VALUES (1, 'x')"}, []string{`c a [] [1 "x"]`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
				f := newFixture(t, s)
				f.filter.Table = func(id change.TableID) bool { return id.DB == f.db && id.Name != "hidden" }
				f.exec("CREATE TABLE a (id INT PRIMARY KEY, v VARCHAR(20))", "CREATE TABLE hidden (id INT PRIMARY KEY)")
				r := f.open(f.current())
				f.exec(c.run...)
				items := f.until(r, f.current())
				if d := cmp.Diff(c.want, story(items)); d != "" {
					t.Error(d)
				}
				for _, e := range events(t, items) {
					if (e.Flags == change.NoForeignKeys) != strings.HasPrefix(c.name, "foreign") {
						t.Errorf("flags %v", e.Flags)
					}
				}
			})
		})
	}
}

// TestPartialImages: rows of which the log has only parts pause their table, and that table alone.
func TestPartialImages(t *testing.T) {
	for _, image := range []string{"MINIMAL", "NOBLOB"} {
		t.Run(image, func(t *testing.T) {
			onAll(t, func(t *testing.T, s *testenv.MySQLServer) {
				f := newFixture(t, s)
				f.exec("CREATE TABLE a (id INT PRIMARY KEY, v INT, b TEXT)", "CREATE TABLE c (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1, 1, 'x')")
				r := f.open(f.current())
				f.exec(fmt.Sprintf("SET SESSION binlog_row_image = '%s'", image), "UPDATE a SET v = 2", "INSERT INTO c VALUES (1)")
				items := f.until(r, f.current())
				if d := cmp.Diff([]string{"pause a", "c c [] [1]"}, story(items)); d != "" {
					t.Fatal(d)
				}
				for _, i := range items {
					if i.Kind == Pause && !strings.Contains(i.Pause.Reason.Error(), "binlog_row_image=FULL") {
						t.Errorf("no way out in %v", i.Pause.Reason)
					}
				}
			})
		})
	}
}

func TestTaggedGTIDs(t *testing.T) {
	f := newFixture(t, testenv.MySQL(t))
	if !f.src.Server().GTIDs || !f.src.Server().AtLeast(8, 3, 0) {
		t.Skip("the server has no tagged GTIDs")
	}
	f.exec("CREATE TABLE a (id INT PRIMARY KEY)")
	from := f.current()
	f.exec("SET gtid_next = 'AUTOMATIC:mytag'", "INSERT INTO a VALUES (1)", "INSERT INTO a VALUES (2)", "SET gtid_next = 'AUTOMATIC'", "INSERT INTO a VALUES (3)")
	end, ls := f.current(), f.layouts()
	r := f.openWith(from, ls)
	var mid change.Position
	for mid.IsZero() {
		item, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if item.Kind == Commit {
			mid = r.Position()
			if !strings.Contains(item.Tx.GTID, ":mytag:") {
				t.Errorf("GTID %q", item.Tx.GTID)
			}
		}
	}
	if got := len(events(t, f.until(r, end))); got != 2 {
		t.Errorf("%d rows after the first", got)
	}
	if r.Position() != end {
		t.Errorf("position %v, want %v", r.Position(), end)
	}
	if got := len(events(t, f.until(f.openWith(mid, ls), end))); got != 2 {
		t.Errorf("%d rows from the middle", got)
	}
}

// TestCountsBalance: every row of the log is either returned or counted as filtered.
func TestCountsBalance(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		f := newFixture(t, s)
		f.filter.Table = func(id change.TableID) bool { return id.DB == f.db && id.Name == "a" }
		f.exec("CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE hidden (id INT PRIMARY KEY, g GEOMETRY, j JSON, b LONGBLOB, t TIMESTAMP(3), e ENUM('x','y'))")
		r := f.open(f.current())
		f.exec("BEGIN", "INSERT INTO a VALUES (1), (2)", `INSERT INTO hidden (id, g, j, b, e) VALUES (1, POINT(1,2), '[1]', REPEAT('x', 3000), 'y'), (2, NULL, NULL, '', 'x'), (3, NULL, '{}', NULL, NULL)`, "COMMIT",
			"UPDATE hidden SET e = 'x'", "DELETE FROM hidden WHERE id = 1")
		items := f.until(r, f.current())
		rows, filtered := 0, 0
		for _, i := range items {
			if i.Kind == Commit {
				rows += i.Tx.Rows
				filtered += i.Tx.Filtered
			}
		}
		// Three inserts, two updates that change something, one delete.
		if id := (change.TableID{DB: f.db, Name: "hidden"}); rows != 2 || filtered != 6 || r.Filtered()[id] != 6 {
			t.Errorf("%d rows, %d filtered, by table %v", rows, filtered, r.Filtered())
		}
	})
}
