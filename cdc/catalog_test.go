package cdc_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

func TestTables(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		src, db := open(t, config(s)), s.CreateDatabase(t)
		exec(t, s, db,
			"CREATE TABLE parent (a INT, b VARCHAR(10) CHARACTER SET latin1, x BLOB, PRIMARY KEY (b, a))",
			`CREATE TABLE child (id BIGINT UNSIGNED NOT NULL, n DECIMAL(7,3) UNSIGNED, e ENUM('x','y') NOT NULL, t TIMESTAMP(3) NULL, pa INT, pb VARCHAR(10) CHARACTER SET latin1, f FLOAT, d DOUBLE(9,2),
				UNIQUE KEY u1 (n), UNIQUE KEY u2 (id),
				CONSTRAINT fk1 FOREIGN KEY (pb, pa) REFERENCES parent (b, a) ON DELETE CASCADE ON UPDATE SET NULL)`,
			"CREATE TABLE keyless (a INT NOT NULL, b VARCHAR(300) NOT NULL, UNIQUE KEY pre (b(10)))",
			"CREATE VIEW v AS SELECT 1 AS one")
		f := inDatabase(db)
		f.Column = func(_ change.TableID, c string) bool { return c != "x" }
		ts, err := src.Tables(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		if len(ts) != 3 {
			t.Fatalf("%d tables, want 3", len(ts))
		}
		child, keyless, parent := ts[0], ts[1], ts[2]
		collation := child.Columns[2].Type.Collation
		text := change.Type{Kind: change.String, Name: "varchar", Length: 10, Charset: "latin1", Collation: "latin1_swedish_ci"}
		want := &change.Table{
			ID: change.TableID{DB: db, Name: "child"}, Version: 1, Key: []int{0},
			Columns: []change.Column{
				{Name: "id", Type: change.Type{Kind: change.Uint, Name: "bigint", Unsigned: true}},
				{Name: "n", Nullable: true, Type: change.Type{Kind: change.Decimal, Name: "decimal", Precision: 7, Scale: 3, Unsigned: true}},
				{Name: "e", Type: change.Type{Kind: change.String, Name: "enum", Charset: "utf8mb4", Collation: collation, Members: []string{"x", "y"}}},
				{Name: "t", Nullable: true, Type: change.Type{Kind: change.Timestamp, Name: "timestamp", Scale: 3}},
				{Name: "pa", Nullable: true, Type: change.Type{Kind: change.Int, Name: "int"}},
				{Name: "pb", Nullable: true, Type: text},
				{Name: "f", Nullable: true, Type: change.Type{Kind: change.Float, Name: "float"}},
				{Name: "d", Nullable: true, Type: change.Type{Kind: change.Double, Name: "double", Precision: 9, Scale: 2}},
			},
			Fields: []string{"id", "n", "e", "t", "pa", "pb", "f", "d"},
			ForeignKeys: []change.ForeignKey{{
				Name: "fk1", Columns: []string{"pb", "pa"}, Parent: parent.ID, ParentBy: []string{"b", "a"},
				OnDelete: change.Cascade, OnUpdate: change.SetNull, Logged: src.Server().LogCascades,
			}},
		}
		if d := cmp.Diff(want, child); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]int{1, 0}, parent.Key); d != "" || len(parent.Columns) != 2 {
			t.Errorf("key of parent, columns %v: %s", parent.Columns, d)
		}
		if len(keyless.Key) != 0 {
			t.Errorf("a key over a prefix is a key: %v", keyless.Key)
		}
		exec(t, s, db, "INSERT INTO parent VALUES (1, 'b', NULL)", "ANALYZE TABLE parent")
		est, err := src.Estimates(t.Context(), ts)
		if err != nil || len(est) != 3 {
			t.Errorf("estimates %v, %v", est, err)
		}
		l, err := src.Layout(t.Context(), f, parent.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]cdc.Field{{Name: "a", Column: 0}, {Name: "b", Column: 1}, {Name: "x", Column: -1}}, l.Fields); d != "" {
			t.Error(d)
		}
		if l, err := src.Layout(t.Context(), f, change.TableID{DB: db, Name: "none"}); l != nil || err != nil {
			t.Errorf("a table that does not exist: %v, %v", l, err)
		}
	})
}

// Rights to read rows are enough to see what the foreign keys do.
func TestForeignKeysOfAReader(t *testing.T) {
	onBoth(t, foreignKeysOfAReader)
	t.Run("mysql57", func(t *testing.T) { foreignKeysOfAReader(t, testenv.MySQL57(t)) })
}

func foreignKeysOfAReader(t *testing.T, s *testenv.MySQLServer) {
	db := s.CreateDatabase(t)
	exec(t, s, db,
		"CREATE TABLE `parent (x)` (`i)d` INT PRIMARY KEY, b INT, UNIQUE KEY (b)) ENGINE=InnoDB",
		"CREATE TABLE child (id INT PRIMARY KEY, p INT, q INT, r INT, s INT COMMENT 'CONSTRAINT `fk1` FOREIGN KEY (',"+
			" CONSTRAINT `fk1` FOREIGN KEY (p) REFERENCES `parent (x)` (`i)d`) ON DELETE SET NULL ON UPDATE CASCADE,"+
			" CONSTRAINT `fk``2` FOREIGN KEY (q) REFERENCES `parent (x)` (b) ON DELETE CASCADE,"+
			" CONSTRAINT fk3 FOREIGN KEY (r) REFERENCES `parent (x)` (b) ON UPDATE SET NULL,"+
			" CONSTRAINT fk4 FOREIGN KEY (s) REFERENCES `parent (x)` (b) ON DELETE RESTRICT) ENGINE=InnoDB")
	read := func(cfg cdc.Config) []change.ForeignKey {
		src := open(t, cfg)
		ts, err := src.Tables(t.Context(), inDatabase(db))
		if err != nil {
			t.Fatal(err)
		}
		if len(ts) != 2 {
			t.Fatalf("%d tables, want 2", len(ts))
		}
		return ts[0].ForeignKeys
	}
	type rules struct {
		Name               string
		OnDelete, OnUpdate change.Action
	}
	var got []rules
	reader := read(newUser(t, s, "SELECT ON "+db+".*"))
	for _, fk := range reader {
		got = append(got, rules{fk.Name, fk.OnDelete, fk.OnUpdate})
	}
	want := []rules{
		{"fk1", change.SetNull, change.Cascade}, {"fk3", change.NoAction, change.SetNull},
		{"fk4", change.NoAction, change.NoAction}, {"fk`2", change.Cascade, change.NoAction},
	}
	sortByName := cmpopts.SortSlices(func(a, b rules) bool { return a.Name < b.Name })
	if d := cmp.Diff(want, got, sortByName); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(read(config(s)), reader); d != "" {
		t.Errorf("the administrator sees other keys: %s", d)
	}
}

func TestUnsupportedColumns(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		src, db := open(t, config(s)), s.CreateDatabase(t)
		columns := map[string]string{"g": "POINT", "b5": "VARCHAR(5) CHARACTER SET big5"}
		if s.Flavor == "mysql" {
			columns["j"] = "JSON"
		} else {
			columns["u"], columns["i"], columns["p"] = "UUID", "INET6", "VARCHAR(100) COMPRESSED"
		}
		exec(t, s, db, "CREATE TABLE good (id INT PRIMARY KEY)", "CREATE TABLE bad (id INT PRIMARY KEY)")
		for name, typ := range columns {
			exec(t, s, db, "ALTER TABLE bad ADD COLUMN "+name+" "+typ)
		}
		ts, err := src.Tables(t.Context(), inDatabase(db))
		if !errors.Is(err, cdc.ErrUnsupported) || len(ts) != 1 || ts[0].ID.Name != "good" {
			t.Fatalf("tables %v, error %v", ts, err)
		}
		for name := range columns {
			if line := `source.columns.exclude: ["` + db + ".bad." + name + `"]`; !strings.Contains(err.Error(), line) {
				t.Errorf("no %s in %v", line, err)
			}
		}
		f := inDatabase(db)
		f.Column = func(_ change.TableID, c string) bool { return columns[c] == "" }
		if ts, err := src.Tables(t.Context(), f); err != nil || len(ts) != 2 {
			t.Errorf("without the columns: %v, %v", ts, err)
		}
		if s.Flavor == "mariadb" {
			exec(t, s, db, "CREATE TABLE versioned (id INT PRIMARY KEY) WITH SYSTEM VERSIONING")
			if _, err := src.Tables(t.Context(), f); !errors.Is(err, cdc.ErrUnsupported) || !strings.Contains(err.Error(), `source.tables.exclude: ["`+db+`.versioned"]`) {
				t.Errorf("a system-versioned table: %v", err)
			}
		}
	})
}

func TestLayoutAt(t *testing.T) {
	col := func(n string) change.Column {
		return change.Column{Name: n, Type: change.Type{Kind: change.Int, Name: "int"}}
	}
	table := func(names ...string) *change.Table {
		tb := &change.Table{ID: change.TableID{DB: "d", Name: "t"}}
		for _, n := range names {
			tb.Columns = append(tb.Columns, col(n))
		}
		return tb
	}
	now := &cdc.Layout{Table: table("a", "b", "c"), Fields: []cdc.Field{{Name: "a", Column: 0}, {Name: "hidden", Column: -1}, {Name: "b", Column: 1}, {Name: "c", Column: 2}}}
	got := now.At(table("a", "b"))
	if d := cmp.Diff([]cdc.Field{{Name: "a", Column: 0}, {Name: "hidden", Column: -1}, {Name: "b", Column: 1}}, got.Fields); d != "" {
		t.Error(d)
	}
	got = now.At(table("a", "gone", "b"))
	if d := cmp.Diff([]cdc.Field{{Name: "a", Column: 0}, {Name: "gone", Column: 1}, {Name: "b", Column: 2}}, got.Fields); d != "" {
		t.Error(d)
	}
	// A shape that says which columns there were gives each its place, whatever the filter and the catalog say now.
	stored := table("a", "gone", "b")
	stored.Fields = []string{"out", "a", "gone", "c", "b"}
	got = now.At(stored)
	if d := cmp.Diff([]cdc.Field{{Name: "out", Column: -1, Fraction: -1}, {Name: "a", Column: 0}, {Name: "gone", Column: 1, Fraction: -1}, {Name: "c", Column: -1}, {Name: "b", Column: 2}}, got.Fields); d != "" {
		t.Error(d)
	}
}
