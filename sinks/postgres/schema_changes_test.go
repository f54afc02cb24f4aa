package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// TestSchemaChanges: under strict and off nothing is changed, and the refusal holds the statement that would.
func TestSchemaChanges(t *testing.T) {
	d := newDatabase(t)
	const whole = `("Id" int PRIMARY KEY, "Text" varchar(20), "IsDeleted" boolean NOT NULL DEFAULT false)`
	for _, c := range []struct {
		name, ddl     string
		strict, off   string // what a refusal says; "" when the table is taken
		soft, ordinal bool
	}{
		{name: "missing", strict: "CREATE TABLE", off: "CREATE TABLE"},
		{name: "whole", ddl: whole, soft: true},
		{name: "a column too few", ddl: `("Id" int PRIMARY KEY)`, strict: `ADD COLUMN "Text"`, off: `ADD COLUMN "Text"`},
		{name: "too narrow", ddl: `("Id" int PRIMARY KEY, "Text" varchar(5))`, strict: `ALTER COLUMN "Text" TYPE`},
		{name: "not null", ddl: `("Id" int PRIMARY KEY, "Text" varchar(20) NOT NULL)`, strict: `ALTER COLUMN "Text" DROP NOT NULL`},
		{name: "no key", ddl: `("Id" int, "Text" varchar(20))`, strict: "CREATE UNIQUE INDEX", off: "CREATE UNIQUE INDEX"},
		{name: "no mark", ddl: `("Id" int PRIMARY KEY, "Text" varchar(20))`, soft: true, strict: `ADD COLUMN "IsDeleted"`, off: `ADD COLUMN "IsDeleted"`},
		{name: "no identity", ddl: `("Id" int PRIMARY KEY, "Text" varchar(20))`, ordinal: true, strict: `ADD COLUMN "Ordinal"`, off: `ADD COLUMN "Ordinal"`},
	} {
		for changes, says := range map[sinks.SchemaChanges]string{sinks.Strict: c.strict, sinks.Off: c.off, sinks.Expand: ""} {
			tg := simpleTarget()
			tg.To = fmt.Sprintf("%s %d", c.name, changes)
			tg.Adopt, tg.Changes, tg.Soft = true, changes, c.soft
			if c.ordinal {
				tg.Identity = "Ordinal"
			}
			if c.ddl != "" {
				d.run(t, d.db(t), "CREATE TABLE "+ident(tg.To)+" "+c.ddl)
			}
			s := d.open(t, sinktest.Options{Reader: "n"})
			err := s.Prepare(t.Context(), tg.To, []sinks.Target{tg})
			switch {
			case says == "" && err != nil:
				t.Errorf("%s, %d: %v", c.name, changes, err)
			case says != "" && (err == nil || sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), says)):
				t.Errorf("%s, %d: %v, want a stop that says %q", c.name, changes, err, says)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestDDL(t *testing.T) {
	tg := simpleTarget()
	tg.Soft, tg.Identity = true, "Ordinal"
	got, err := DDL(tg, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`CREATE TABLE "public".`, `("Ordinal" bigint NOT NULL GENERATED ALWAYS AS IDENTITY, "Id" `, `"IsDeleted" boolean NOT NULL DEFAULT false`, `PRIMARY KEY ("Id")`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
	d := newDatabase(t)
	d.run(t, d.db(t), got)
	tg.Identity = "Text"
	if _, err := DDL(tg, ""); err == nil || sinks.ClassOf(err) != sinks.Stop {
		t.Errorf("an identity column named as one of the source: %v", err)
	}
}
