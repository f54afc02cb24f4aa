package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/migrate"
)

// role makes an account that may do nothing but what is granted to it, and returns the settings that use it.
func (d *database) role(t testing.TB, name string, grants ...string) Config {
	t.Helper()
	cfg := d.config("n")
	cfg.User, cfg.Password = d.name+"_"+name, "of "+name
	role := ident(cfg.User)
	d.run(t, d.admin, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD %s", role, literal(cfg.Password)))
	t.Cleanup(func() {
		d.run(t, d.db(t), "DROP OWNED BY "+role)
		d.run(t, d.admin, "DROP OWNED BY "+role+"; DROP ROLE "+role)
	})
	d.run(t, d.db(t), fmt.Sprintf("REVOKE ALL ON DATABASE %s FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC", ident(d.name)))
	for _, g := range grants {
		d.run(t, d.db(t), "GRANT "+g+" TO "+role)
	}
	return cfg
}

// everything has a sink do what it does: a first load, changes in small and large batches, a heal, a row that is refused.
func everything(t testing.TB, s *Sink, tg sinks.Target) error {
	w := &writer{}
	if err := s.Prepare(t.Context(), "s", []sinks.Target{tg}); err != nil {
		return err
	}
	text := func(i int) string { return map[bool]string{true: "refused\x00", false: "text"}[i == 7] }
	first, second := &change.Cover{ID: "first", Heal: true, Tables: []string{tg.From}}, &change.Cover{ID: "second", Heal: true, Tables: []string{tg.From}}
	for _, b := range []*change.Batch{
		w.batch(change.Begin, first), w.batch(change.Chunk, &change.Cover{ID: "first", Table: tg.From}), w.batch(change.End, first),
		w.inserts(tg.Table, 0, 10, text), w.inserts(tg.Table, 0, 3000, text),
		w.batch(change.Begin, second), w.batch(change.Chunk, &change.Cover{ID: "second", Table: tg.From}), w.batch(change.End, second),
	} {
		if err := s.Apply(t.Context(), b); err != nil {
			return err
		}
	}
	return nil
}

// TestRights: the grants of docs/operations.md are enough for all that a sink does, and each is needed.
func TestRights(t *testing.T) {
	d := newDatabase(t)
	all := []string{"CONNECT ON DATABASE " + ident(d.name), "TEMPORARY ON DATABASE " + ident(d.name), "USAGE ON SCHEMA public", "CREATE ON SCHEMA public"}
	tg := simpleTarget()
	for i := range all {
		cfg := d.role(t, fmt.Sprint("lacks", i), append(append([]string{}, all[:i]...), all[i+1:]...)...)
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := everything(t, s, tg); !errors.Is(err, sinks.ErrStop) || !strings.Contains(err.Error(), "42501") && !strings.Contains(err.Error(), "3F000") {
			t.Errorf("without %s: %v, want a stop", all[i], err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		d.run(t, d.db(t), `DROP TABLE IF EXISTS "Simples", cdc_progress, cdc_quarantine, "cdc_stage_Simples"`)
	}
	cfg := d.role(t, "writer", all...)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := everything(t, s, tg); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	r, err := NewReader(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Range(t.Context(), "s", tg, change.WholeTable()); err != nil {
		t.Error(err)
	}
	if _, _, err := r.Digest(t.Context(), "s", tg, change.WholeTable()); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if gone, err := Purge(t.Context(), cfg, "s"); err != nil || len(gone) != 3 {
		t.Errorf("purged %q, %v", gone, err)
	}
}

// TestRightsBehindAStep: where one account makes the tables by a step before the deploy, the sink's own needs no more
// than to change their rows, and to make the tables of its covers.
func TestRightsBehindAStep(t *testing.T) {
	d := newDatabase(t)
	database := ident(d.name)
	owner := d.role(t, "owner", "CONNECT ON DATABASE "+database, "USAGE, CREATE ON SCHEMA public")
	tg := simpleTarget()
	tg.Changes = sinks.Strict
	db, err := Migrations(owner)
	if err != nil {
		t.Fatal(err)
	}
	_, err = migrate.Apply(t.Context(), db, func(ctx context.Context) ([]string, error) { return Plan(ctx, owner, "s", []sinks.Target{tg}) })
	if err := errors.Join(err, db.DB.Close()); err != nil {
		t.Fatal(err)
	}
	writer := d.role(t, "writer", "CONNECT, TEMPORARY ON DATABASE "+database, "USAGE, CREATE ON SCHEMA public", `SELECT, INSERT, UPDATE, DELETE ON "Simples", cdc_progress, cdc_quarantine`)
	s, err := New(writer)
	if err != nil {
		t.Fatal(err)
	}
	if err := everything(t, s, tg); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
