package sinktest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/migrate"
)

// Migrated is a destination that nobody has delivered to, whose tables are made by planned statements.
type Migrated struct {
	Plan func(ctx context.Context, stream string, targets []sinks.Target) ([]string, error)
	Open func(t testing.TB, o Options) sinks.Sink
	// Purge deletes all that a sink of the stream has left, and returns the tables.
	Purge func(ctx context.Context, stream string) ([]string, error)
	// Database opens the table of versions; it is closed when the test is over.
	Database func(t testing.TB) *migrate.Database
}

// migrated is the stream of the test.
const migrated = "shop-views"

// Migrations follows a table from its first plan to a new column: what is planned is all that a sink needs that changes
// nothing itself.
func Migrations(t *testing.T, d Migrated) {
	ctx, f := t.Context(), newFeed(migrated)
	shape := &change.Table{ID: change.TableID{DB: "shop", Name: "it's"}, Key: []int{0}, Columns: []change.Column{
		{Name: "Id", Type: change.Type{Kind: change.Int, Name: "int"}},
		{Name: "Text", Type: change.Type{Kind: change.String, Name: "varchar", Length: 20, Charset: "utf8mb4"}, Nullable: true},
	}}
	targets := []sinks.Target{{From: shape.ID.String(), Table: shape, To: "It's", Soft: true, Changes: sinks.Strict}}
	plan := func(ctx context.Context) ([]string, error) { return d.Plan(ctx, migrated, targets) }
	planned := func() []string {
		t.Helper()
		texts, err := plan(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return texts
	}

	first := planned()
	if again := planned(); len(first) < 4 || !slices.Equal(first, again) {
		t.Fatalf("planned:\n%s\nand then:\n%s", strings.Join(first, "\n"), strings.Join(again, "\n"))
	}
	if err := d.prepareStrict(t, f, targets); !errors.Is(err, sinks.ErrStop) || !strings.Contains(err.Error(), "CREATE TABLE") {
		t.Errorf("strict, before anything was applied: %v", err)
	}
	db := d.Database(t)
	applyTwice(t, db, d.Database(t), plan)
	if rest := planned(); len(rest) > 0 {
		t.Errorf("planned after it was applied:\n%s", strings.Join(rest, "\n"))
	}
	var statements []string
	for _, a := range slices.Backward(status(t, db)) {
		if statements = append(statements, a.Statement); a.At.Year() < 2020 || a.Version != int64(len(statements)) {
			t.Errorf("applied at %s as version %d, want %d", a.At, a.Version, len(statements))
		}
	}
	for _, text := range first[len(first)-1:] {
		if !slices.Contains(statements, text) {
			t.Errorf("%q is missing from what was applied:\n%s", text, strings.Join(statements, "\n"))
		}
	}
	if done, err := migrate.Apply(ctx, db, plan); len(done) > 0 || err != nil {
		t.Errorf("applied again: %v, %v", done, err)
	}
	if err := d.prepareStrict(t, f, targets); err != nil {
		t.Errorf("strict, after it was applied: %v", err)
	}

	before := status(t, db)
	done, err := migrate.Apply(ctx, db, func(context.Context) ([]string, error) { return []string{"SELEKT 1"}, nil })
	if err == nil || !strings.Contains(err.Error(), "SELEKT 1") || len(done) > 0 || len(status(t, db)) != len(before) {
		t.Errorf("a statement that fails: %v, %v", done, err)
	}

	wider := *shape
	wider.Columns = append(slices.Clone(shape.Columns), change.Column{Name: "New", Type: change.Type{Kind: change.Int, Name: "int"}, Nullable: true})
	targets[0].Table, targets[0].Extra = &wider, sinks.Extra{Position: "_cdc_position", AppliedAt: "_cdc_applied_at"}
	alter := planned()
	if all := strings.Join(alter, "\n"); len(alter) == 0 || !strings.Contains(alter[0], "ADD") || !strings.Contains(alter[0], "New") ||
		!strings.Contains(all, "_cdc_position") || !strings.Contains(all, "_cdc_applied_at") {
		t.Fatalf("planned for a new column: %q", alter)
	}
	if err := d.prepareStrict(t, f, targets); !errors.Is(err, sinks.ErrStop) || !strings.Contains(err.Error(), alter[0]) {
		t.Errorf("strict, with a new column: %v, want %s", err, alter[0])
	}
	done, err = migrate.Apply(ctx, db, plan)
	var texts []string
	for _, a := range done {
		texts = append(texts, a.Statement)
	}
	if diff := cmp.Diff(alter, texts); diff != "" || err != nil {
		t.Errorf("applied for a new column: %v (-planned +applied):\n%s", err, diff)
	}
	if err := d.prepareStrict(t, f, targets); err != nil {
		t.Errorf("strict, with the new column: %v", err)
	}

	gone, err := d.Purge(ctx, migrated)
	if err != nil || !strings.Contains(strings.Join(gone, " "), migrate.Table) {
		t.Errorf("purged: %q, %v", gone, err)
	}
	if list := status(t, db); len(list) > 0 {
		t.Errorf("left after a purge: %v", list)
	}
	if targets[0].Table, targets[0].Extra = shape, (sinks.Extra{}); !slices.Equal(planned(), first) {
		t.Errorf("planned after a purge:\n%s", strings.Join(planned(), "\n"))
	}
	done, err = migrate.Apply(ctx, db, func(context.Context) ([]string, error) { return []string{"SELECT 1"}, nil })
	if err == nil || len(done) == 0 || len(done) != len(status(t, db)) {
		t.Errorf("a plan that its statements do not change: %v, %v", done, err)
	}
}

func status(t *testing.T, db *migrate.Database) []migrate.Applied {
	t.Helper()
	list, err := migrate.Status(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// applyTwice applies a plan in two processes at once. Without transactions both may run a statement, and the one that
// comes late may say so.
func applyTwice(t *testing.T, a, b *migrate.Database, plan func(context.Context) ([]string, error)) {
	t.Helper()
	var wg sync.WaitGroup
	var errs [2]error
	for i, db := range []*migrate.Database{a, b} {
		wg.Go(func() { _, errs[i] = migrate.Apply(t.Context(), db, plan) })
	}
	wg.Wait()
	if errs[0] != nil && (a.Transactional || errs[1] != nil) || errs[1] != nil && a.Transactional {
		t.Fatalf("applied twice at once: %v; %v", errs[0], errs[1])
	}
}

// prepareStrict starts a sink that must change no shape. If it starts, its table waits to be filled, and a plan that is
// made meanwhile does not take its right to write.
func (d Migrated) prepareStrict(t *testing.T, f *feed, targets []sinks.Target) error {
	t.Helper()
	var changed []string
	s := d.Open(t, Options{Reader: "strict", Hook: func(step string) error {
		step, before := strings.CutPrefix(step, "before ")
		if before && slices.ContainsFunc([]string{"create", "alter", "own", "bookkeeping"}, func(word string) bool { return strings.HasPrefix(step, word) }) {
			changed = append(changed, step)
		}
		return nil
	}})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.Prepare(t.Context(), migrated, targets); err != nil {
		return err
	}
	if len(changed) > 0 {
		t.Errorf("a strict sink does: %s", strings.Join(changed, ", "))
	}
	if _, err := d.Plan(t.Context(), migrated, targets); err != nil {
		t.Error(err)
	}
	states, err := s.(sinks.Boundaries).Boundaries(t.Context(), migrated)
	if err != nil || states[targets[0].From].Phase != sinks.Waiting {
		t.Errorf("the table stands at %v (%v), want it to wait", states, err)
	}
	if err := s.Apply(t.Context(), f.idle()); err != nil {
		t.Errorf("after a plan: %v", err)
	}
	return nil
}
