package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// simple is a table with one key column and a text.
func simple() *change.Table {
	return &change.Table{ID: change.TableID{Name: "Simple"}, Key: []int{0}, Columns: []change.Column{
		{Name: "Id", Type: change.Type{Kind: change.Int, Name: "int"}},
		{Name: "Text", Type: change.Type{Kind: change.String, Name: "varchar", Length: 20}, Nullable: true},
	}}
}

func simpleTarget() sinks.Target {
	t := simple()
	return sinks.Target{From: t.ID.String(), Table: t, To: "Simples"}
}

// writer numbers batches of one stream.
type writer struct{ mark change.Mark }

func (w *writer) batch(kind change.UnitKind, c *change.Cover, events ...change.Event) *change.Batch {
	w.mark.Incarnation, w.mark.Offset, w.mark.Seq = 1, w.mark.Offset+1, w.mark.Seq+1
	w.mark.ID = fmt.Sprintf("m%d", w.mark.Offset)
	return &change.Batch{
		Stream: "s", Kind: kind, From: w.mark.Seq, To: w.mark.Seq, Mark: w.mark, Cover: c, Rows: len(events),
		Open: func(context.Context) iter.Seq2[change.Event, error] {
			return func(yield func(change.Event, error) bool) {
				for _, ev := range events {
					if !yield(ev, nil) {
						return
					}
				}
			}
		},
	}
}

func (w *writer) inserts(table *change.Table, from, n int, text func(int) string) *change.Batch {
	events := make([]change.Event, n)
	for i := range events {
		id := from + i
		events[i] = change.Event{Table: table, Op: change.Insert, After: change.Row{change.IntValue(int64(id)), change.StringValue(text(id))}}
	}
	return w.batch(change.Changes, nil, events...)
}

// shown prepares the target and shows it empty.
func (w *writer) shown(t testing.TB, s *Sink, tg sinks.Target) {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Prepare(t.Context(), "s", []sinks.Target{tg}); err != nil {
		t.Fatal(err)
	}
	c := &change.Cover{ID: "first", Heal: true, Tables: []string{tg.From}}
	mustApply(t, s, w.batch(change.Begin, c), w.batch(change.Chunk, &change.Cover{ID: "first", Table: tg.From}), w.batch(change.End, c))
}

func mustApply(t testing.TB, s *Sink, batches ...*change.Batch) {
	t.Helper()
	for _, b := range batches {
		if err := s.Apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStatementsPerBatch: their number does not depend on the number of rows, and k poison rows among n are
// found in O(k log n).
func TestStatementsPerBatch(t *testing.T) {
	d := newDatabase(t)
	n := 0
	s := d.open(t, sinktest.Options{Reader: "n", Observer: sinks.Observer{Statement: func() { n++ }}})
	w, tg := &writer{}, simpleTarget()
	w.shown(t, s, tg)
	d.run(t, d.db(t), `ALTER TABLE "Simples" ADD CHECK ("Text" <> 'poison')`)
	count := func(b *change.Batch) int {
		n = 0
		mustApply(t, s, b)
		return n
	}
	good := func(int) string { return "good" }
	if one, many := count(w.inserts(tg.Table, 0, 1, good)), count(w.inserts(tg.Table, 10, 900, good)); one != many || one > 3 {
		t.Errorf("%d statements for a row, %d for 900", one, many)
	}
	count(w.inserts(tg.Table, 0, 2000, good)) // makes the temporary table
	if few, many := count(w.inserts(tg.Table, 0, 2000, good)), count(w.inserts(tg.Table, 0, 20_000, good)); few != many || few > 4 {
		t.Errorf("%d statements for 2,000 rows, %d for 20,000", few, many)
	}
	const rows, poisoned = 4096, 3
	got := count(w.inserts(tg.Table, 0, rows, func(i int) string {
		if i == 5 || i == 2000 || i == 4000 {
			return "poison"
		}
		return "after"
	}))
	if limit := poisoned*12*6 + 40; got > limit { // 12 halvings of at most 3 statements on both sides
		t.Errorf("%d statements to find %d of %d rows, want at most %d", got, poisoned, rows, limit)
	}
	if q := d.quarantine(t); len(q) != poisoned {
		t.Errorf("quarantined %v", q)
	}
}

func TestErrorsAreClassified(t *testing.T) {
	d := newDatabase(t)
	w, tg := &writer{}, simpleTarget()
	s := d.open(t, sinktest.Options{Reader: "n"})
	w.shown(t, s, tg)

	for _, c := range []struct {
		name   string
		change func(*Config)
		class  sinks.Class
		says   string
	}{
		{"a wrong password", func(c *Config) { c.Password = "wrong" }, sinks.Stop, "check user, password"},
		{"a database that is not there", func(c *Config) { c.Database = "nowhere" }, sinks.Stop, "create the database"},
		{"a schema that is not there", func(c *Config) { c.Schema = "nowhere" }, sinks.Stop, "create the schema"},
		{"nobody listens", func(c *Config) { c.Port = 1 }, sinks.Retry, "connect to 127.0.0.1:1"},
	} {
		cfg := d.config("other")
		c.change(&cfg)
		o, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = o.Prepare(t.Context(), "s2", []sinks.Target{tg})
		if sinks.ClassOf(err) != c.class || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: %v, want class %s and %q", c.name, err, c.class, c.says)
		}
		if strings.Contains(fmt.Sprint(err), d.server.Password) {
			t.Errorf("%s: the message holds the password", c.name)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}

	// A lock that somebody holds is waited for, then the batch is tried again.
	s.pc.RuntimeParams["lock_timeout"] = "50"
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	batch := w.inserts(tg.Table, 1, 1, func(int) string { return "x" })
	d.run(t, d.db(t), "BEGIN")
	d.run(t, d.db(t), `LOCK TABLE "Simples"`)
	var retry *sinks.RetryError
	if err := s.Apply(t.Context(), batch); !errors.As(err, &retry) || retry.Reason != "lock_timeout" {
		t.Errorf("a locked table: %v, want a retry for lock_timeout", err)
	}
	d.run(t, d.db(t), "COMMIT")
	mustApply(t, s, batch)

	d.run(t, d.db(t), `DROP TABLE "Simples"`)
	if err := s.Apply(t.Context(), w.inserts(tg.Table, 2, 1, func(int) string { return "x" })); sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), "restart the sink") {
		t.Errorf("a dropped table: %v, want a stop that says what to do", err)
	}
	d.run(t, d.db(t), "UPDATE cdc_progress SET format_version = 2")
	o := d.open(t, sinktest.Options{Reader: "n"})
	if err := o.Prepare(t.Context(), "s", []sinks.Target{tg}); sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), "format_version 2") {
		t.Errorf("a later format: %v, want a stop", err)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}

func TestServerThatCannotCompareNulls(t *testing.T) {
	tg := simpleTarget()
	tg.Table.Columns[0].Nullable = true
	s := &Sink{version: 140000}
	made, err := newTarget(tg, "public", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.ensureTable(t.Context(), nil, "s", made, nil)
	if sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), "PostgreSQL 15") {
		t.Errorf("%v, want a stop that names PostgreSQL 15", err)
	}
}

// TestTablesOfOthers: what an existing table looks like decides whether it is taken, expanded or refused.
func TestTablesOfOthers(t *testing.T) {
	d := newDatabase(t)
	for i, c := range []struct {
		ddl, says string // says "" when it is taken
	}{
		{`("Id" int PRIMARY KEY, "Text" varchar(20))`, ""},
		{`("Id" bigint PRIMARY KEY, "Text" text)`, ""},
		{`("Id" int PRIMARY KEY, "Text" varchar(5))`, ""}, // widened
		{`("Id" int PRIMARY KEY)`, ""},                    // expanded
		{`("Id" int, "Text" text NOT NULL)`, ""},          // gets its key index, loses NOT NULL
		{`("Own" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Id" int, "Text" text, "Mine" text DEFAULT 'x')`, ""},
		{`("Id" int PRIMARY KEY, "Text" char(20))`, "cannot hold every"},
		{`("Id" text PRIMARY KEY, "Text" text)`, "cannot hold every"},
		{`("Id" int PRIMARY KEY, "Text" text, "Mine" int NOT NULL)`, "asks for a value of Mine"},
	} {
		tg := simpleTarget()
		tg.To, tg.Adopt = fmt.Sprintf("Table %d", i), true
		d.run(t, d.db(t), fmt.Sprintf("CREATE TABLE %s %s", ident(tg.To), c.ddl))
		s := d.open(t, sinktest.Options{Reader: "n"})
		err := s.Prepare(t.Context(), fmt.Sprintf("s%d", i), []sinks.Target{tg})
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", c.ddl, err)
		case c.says == "":
			w := &writer{}
			b := w.inserts(tg.Table, 1, 1, func(int) string { return "as long as it may" })
			for _, b := range []*change.Batch{
				w.batch(change.Begin, &change.Cover{ID: "a", Heal: true, Tables: []string{tg.From}}),
				w.batch(change.Chunk, &change.Cover{ID: "a", Table: tg.From}), w.batch(change.End, &change.Cover{ID: "a", Tables: []string{tg.From}}), b,
			} {
				b.Stream = fmt.Sprintf("s%d", i)
				if b.Kind == change.Changes {
					w.mark.Seq++
					b.Mark = w.mark
					b.Mark.Offset, b.Mark.ID, b.To = 99, "last", b.Mark.Seq
				}
				mustApply(t, s, b)
			}
			if rows := d.rows(t, tg); len(rows) != 1 {
				t.Errorf("%s: %d rows, want 1", c.ddl, len(rows))
			}
		case err == nil || sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %v, want a stop that says %q", c.ddl, err, c.says)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestTwoStreams: one sink delivers two streams, each with its own place.
func TestTwoStreams(t *testing.T) {
	d := newDatabase(t)
	s := d.open(t, sinktest.Options{Reader: "n"})
	a, tg := &writer{}, simpleTarget()
	a.shown(t, s, tg)
	b, other := &writer{}, simpleTarget()
	other.To = "Others"
	if err := s.Prepare(t.Context(), "s2", []sinks.Target{other}); err != nil {
		t.Fatal(err)
	}
	for _, batch := range []*change.Batch{
		b.batch(change.Begin, &change.Cover{ID: "b", Heal: true, Tables: []string{other.From}}), b.batch(change.End, &change.Cover{ID: "b", Tables: []string{other.From}}),
		b.inserts(other.Table, 1, 1500, func(int) string { return "other" }),
	} {
		batch.Stream = "s2"
		mustApply(t, s, batch, a.inserts(tg.Table, int(batch.To), 1500, func(int) string { return "first" }))
	}
	if err := s.Prepare(t.Context(), "s", []sinks.Target{tg}); err != nil { // one of them again, as after an error
		t.Fatal(err)
	}
	last := b.inserts(other.Table, 1, 2000, func(int) string { return "other" })
	last.Stream = "s2"
	mustApply(t, s, last, a.inserts(tg.Table, 1, 2000, func(int) string { return "first" }))
	for stream, want := range map[string]change.Mark{"s": a.mark, "s2": b.mark} {
		if got, err := s.Applied(t.Context(), stream); err != nil || got != want {
			t.Errorf("stream %s is at %s (error %v), want %s", stream, got, err, want)
		}
	}
	if n, m := len(d.rows(t, tg)), len(d.rows(t, other)); n != 2000 || m != 2000 {
		t.Errorf("%d and %d rows, want 2000 each", n, m)
	}
}

// TestStagingDropped: a table whose staging somebody dropped waits for a new cover.
func TestStagingDropped(t *testing.T) {
	d := newDatabase(t)
	s := d.open(t, sinktest.Options{Reader: "n"})
	w, tg := &writer{}, simpleTarget()
	w.shown(t, s, tg)
	shown := w.mark
	mustApply(t, s, w.batch(change.Begin, &change.Cover{ID: "b", Heal: true, Tables: []string{tg.From}}))
	d.run(t, d.db(t), `DROP TABLE "cdc_stage_Simples"`)
	if err := s.Apply(t.Context(), w.inserts(tg.Table, 1, 1, func(int) string { return "x" })); sinks.ClassOf(err) != sinks.Stop {
		t.Fatalf("%v, want a stop", err)
	}
	if err := s.Prepare(t.Context(), "s", []sinks.Target{tg}); err != nil {
		t.Fatal(err)
	}
	states, err := s.Boundaries(t.Context(), "s")
	if err != nil || states[tg.From] != (sinks.TableState{Phase: sinks.Waiting, Boundary: shown}) {
		t.Fatalf("%+v (error %v), want waiting at %s", states, err, shown)
	}
}

func TestDuplicateKeysOfOthers(t *testing.T) {
	d := newDatabase(t)
	tg := simpleTarget()
	tg.Adopt = true
	d.run(t, d.db(t), `CREATE TABLE "Simples" ("Id" int, "Text" text)`)
	d.run(t, d.db(t), `INSERT INTO "Simples" VALUES (1, 'a'), (1, 'b')`)
	s := d.open(t, sinktest.Options{Reader: "n"})
	if err := s.Prepare(t.Context(), "s", []sinks.Target{tg}); sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), "several rows with one key") {
		t.Errorf("%v, want a stop for duplicate keys", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestPoisonKinds: what PostgreSQL refuses, and this sink before it, goes to the quarantine.
func TestPoisonKinds(t *testing.T) {
	d := newDatabase(t)
	w, tg := &writer{}, simpleTarget()
	s := d.open(t, sinktest.Options{Reader: "n"})
	w.shown(t, s, tg)
	d.run(t, d.db(t), `ALTER TABLE "Simples" ALTER COLUMN "Text" TYPE varchar(9); CREATE UNIQUE INDEX ON "Simples" ("Text");
CREATE FUNCTION deny() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW."Text" = ''denied'' THEN RAISE ''no''; END IF; RETURN NEW; END';
CREATE TRIGGER deny BEFORE INSERT OR UPDATE ON "Simples" FOR EACH ROW EXECUTE FUNCTION deny()`)
	if err := s.Close(); err != nil { // the next batch looks at the table again
		t.Fatal(err)
	}
	texts := []string{"one", "nul\x00byte", "not \xff utf8", "much too long for it", "denied", "one", "two"}
	mustApply(t, s, w.inserts(tg.Table, 0, len(texts), func(i int) string { return texts[i] }))
	if rows := d.rows(t, tg); len(rows) != 2 {
		t.Errorf("%d rows, want 0 and 6", len(rows))
	}
	for i, says := range map[int]string{1: "NUL byte", 2: "UTF-8", 3: "too long", 4: "SQLSTATE P0001", 5: "23505"} {
		var reason string
		err := d.db(t).QueryRow(t.Context(), "SELECT reason FROM cdc_quarantine WHERE row_key = $1", fmt.Sprintf("[%d]", i)).Scan(&reason)
		if err != nil || !strings.Contains(reason, says) {
			t.Errorf("row %d: reason %q, want one that says %q (error %v)", i, reason, says, err)
		}
	}
}

func TestConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "host is empty") {
		t.Errorf("an empty configuration: %v", err)
	}
	t.Setenv("PGPASSWORD", "from the environment")
	t.Setenv("PGSSLMODE", "require")
	t.Setenv("PGOPTIONS", "-c work_mem=1")
	base := Config{Name: "n", Host: "pg.example.com", Database: "d", User: "u", Password: "p"}
	pc, err := base.withDefaults().pgxConfig()
	if err != nil {
		t.Fatal(err)
	}
	if pc.Password != "p" || pc.RuntimeParams["options"] != "" || len(pc.Fallbacks) > 0 || pc.RuntimeParams["application_name"] != "cdc/n" {
		t.Errorf("the environment shows through: %+v", pc.Config)
	}
	if pc.TLSConfig == nil || pc.TLSConfig.InsecureSkipVerify || pc.TLSConfig.ServerName != "pg.example.com" {
		t.Error("the default is not verify-full")
	}
	for mode, insecure := range map[string]bool{"require": true, "verify-ca": true, "verify-full": false} {
		c := base
		c.TLS = TLS{Mode: mode, ServerName: "other"}
		pc, err := c.withDefaults().pgxConfig()
		if err != nil {
			t.Fatal(err)
		}
		if pc.TLSConfig.InsecureSkipVerify != insecure || (pc.TLSConfig.VerifyConnection != nil) != (mode == "verify-ca") || pc.TLSConfig.ServerName != "other" {
			t.Errorf("mode %s: %+v", mode, pc.TLSConfig)
		}
	}
	for _, c := range []TLS{{Mode: "prefer"}, {CA: "/nowhere"}, {Mode: "require", Cert: "/nowhere", Key: "/nowhere"}} {
		b := base
		b.TLS = c
		if _, err := New(b); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	socket := base
	socket.Host = "/run/postgresql"
	if pc, err := socket.withDefaults().pgxConfig(); err != nil || pc.TLSConfig != nil {
		t.Errorf("a unix socket: TLS %v, error %v", pc.TLSConfig, err)
	}
}
