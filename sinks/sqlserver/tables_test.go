package sqlserver

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// TestTablesOfOthers: what an existing table looks like decides whether it is taken, expanded or refused.
func TestTablesOfOthers(t *testing.T) {
	d := newDatabase(t)
	for i, c := range []struct {
		ddl, says string // says "" when it is taken
	}{
		{"([Id] int NOT NULL PRIMARY KEY, [Text] nvarchar(20) NULL)", ""},
		{"([Id] bigint NOT NULL PRIMARY KEY, [Text] nvarchar(max) NULL)", ""},
		{"([id] int NOT NULL PRIMARY KEY, [TEXT] nvarchar(40) NULL)", ""}, // names in another case
		{"([Id] int NOT NULL PRIMARY KEY, [Text] nvarchar(5) NULL)", ""},  // widened
		{"([Id] int NOT NULL PRIMARY KEY)", ""},                           // expanded
		{"([Id] int NOT NULL, [Text] nvarchar(max) NOT NULL)", ""},        // gets its key index, loses NOT NULL
		{"([Own] int IDENTITY(1,1) NOT NULL PRIMARY KEY, [Id] int NOT NULL, [Text] nvarchar(max) NULL, [Mine] nvarchar(9) NOT NULL DEFAULT N'x')", ""},
		{"([Id] int NOT NULL PRIMARY KEY, [Text] nchar(20) NULL)", "cannot hold every"},
		{"([Id] int IDENTITY(1,1) NOT NULL PRIMARY KEY, [Text] nvarchar(max) NULL)", "takes no value"},
		{"([Id] smallint NOT NULL PRIMARY KEY, [Text] nvarchar(max) NULL)", "has to become int NOT NULL, and the key PK__"},
		{"([Id] int NOT NULL PRIMARY KEY, [Text] varchar(80) NULL)", "cannot hold every"},
		{"([Id] nvarchar(20) NOT NULL PRIMARY KEY, [Text] nvarchar(max) NULL)", "cannot hold every"},
		{"([Id] int NOT NULL PRIMARY KEY, [Text] nvarchar(max) NULL, [Mine] int NOT NULL)", "asks for a value of Mine"},
	} {
		tg := simpleTarget()
		tg.To, tg.Adopt = fmt.Sprintf("Table %d", i), true
		d.run(t, fmt.Sprintf("CREATE TABLE %s %s", ident("dbo", tg.To), c.ddl))
		s := d.open(t, sinktest.Options{Reader: "n"})
		stream := fmt.Sprintf("s%d", i)
		err := s.Prepare(t.Context(), stream, []sinks.Target{tg})
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", c.ddl, err)
		case c.says == "":
			w := &writer{}
			cover := &change.Cover{ID: "a", Heal: true, Tables: []string{tg.From}}
			for _, b := range []*change.Batch{
				w.batch(change.Begin, cover), w.batch(change.Chunk, &change.Cover{ID: "a", Table: tg.From}), w.batch(change.End, cover),
				w.one(tg.Table, 1, "first"), w.one(tg.Table, 1, "as long as it may be"),
			} {
				b.Stream = stream
				mustApply(t, s, b)
			}
			if d := cmp.Diff(map[string]string{"1": "as long as it may be"}, d.texts(t, tg)); d != "" {
				t.Errorf("%s: %s", c.ddl, d)
			}
		case err == nil || sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %v, want a stop that says %q", c.ddl, err, c.says)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestKeyBecomesNull: the server lets no column of a primary key become NULL.
func TestKeyBecomesNull(t *testing.T) {
	d := newDatabase(t)
	d.run(t, "CREATE TABLE [dbo].[Simples] ([Id] int NOT NULL CONSTRAINT [PK] PRIMARY KEY, [Text] nvarchar(80) NULL)")
	tg := simpleTarget()
	nullable := *tg.Table
	nullable.Columns = slices.Clone(nullable.Columns)
	nullable.Columns[0].Nullable = true
	tg.Table, tg.Adopt = &nullable, true
	s := d.open(t, sinktest.Options{Reader: "n"})
	closed(t, s)
	err := s.Prepare(t.Context(), "s", []sinks.Target{tg})
	var stop *sinks.StopError
	if !errors.As(err, &stop) || !strings.Contains(stop.What, "the key PK stands in the way") {
		t.Fatalf("a key that becomes NULL: %v, want a stop that names the primary key", err)
	}
	d.run(t, stop.Hint) // is what has to be run
	if err := s.Prepare(t.Context(), "s", []sinks.Target{tg}); err != nil {
		t.Errorf("after %s: %v", stop.Hint, err)
	}
}

func TestDuplicateKeysOfOthers(t *testing.T) {
	d := newDatabase(t)
	tg := simpleTarget()
	tg.Adopt = true
	d.run(t, "CREATE TABLE [dbo].[Simples] ([Id] int NOT NULL, [Text] nvarchar(max) NULL)")
	d.run(t, "INSERT INTO [dbo].[Simples] VALUES (1, N'a'), (1, N'b')")
	s := d.open(t, sinktest.Options{Reader: "n"})
	closed(t, s)
	if err := s.Prepare(t.Context(), "s", []sinks.Target{tg}); sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), "several rows with one key") {
		t.Errorf("%v, want a stop for duplicate keys", err)
	}
}

func TestRightsThatAreMissing(t *testing.T) {
	yes, no := sql.NullInt64{Int64: 1, Valid: true}, sql.NullInt64{Valid: true}
	all := rights{user: "cd]c", create: yes, alter: yes, sel: yes, ins: yes, upd: yes, del: yes}
	if got := all.grants("dbo"); got != "" {
		t.Errorf("nothing is missing, and it says %s", got)
	}
	some := all
	some.create, some.alter, some.upd = no, no, no
	if got, want := some.grants("dbo"), "GRANT CREATE TABLE TO [cd]]c]; GRANT UPDATE, ALTER ON SCHEMA::[dbo] TO [cd]]c]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
