package clickhouse

import (
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// TestNullStaysNull: a column that somebody took the NULLs from gets no value in their place.
func TestNullStaysNull(t *testing.T) {
	for _, memory := range []int{0, 1} {
		d := newDatabase(t, testenv.ClickHouse(t), HTTP)
		tg, f := items(), &feed{}
		cfg := d.config("x")
		cfg.Memory = memory
		s := d.openNamed(t, cfg)
		mustPrepare(t, s, tg)
		f.load(t, s, tg)
		mustApply(t, s, f.inserts(tg, "a", 1))
		d.run(t, "ALTER TABLE Items_versions MODIFY COLUMN Name String DEFAULT 'made up'")
		row := item(2, "")
		row[1] = change.NullValue()
		batch := f.batch(change.Changes, nil, change.Event{Table: tg.Table, Op: change.Insert, After: row})
		if err := s.Apply(t.Context(), batch); sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), "has the column Name as String") {
			t.Errorf("memory %d: NULL to a column that is not nullable any more: %v, want a stop that names it", memory, err)
		}
		s = d.openNamed(t, cfg) // it may be NULL again
		mustPrepare(t, s, tg)
		mustApply(t, s, batch)
		if got := d.text(t, "SELECT Id || ':' || ifNull(Name, 'NULL') FROM Items ORDER BY Id"); got != "1:a 2:NULL" {
			t.Errorf("memory %d: shown %s", memory, got)
		}
	}
}

// TestWidened: a column that somebody widened is looked up, and the batch goes through at the next try.
func TestWidened(t *testing.T) {
	for _, memory := range []int{0, 1} {
		d := newDatabase(t, testenv.ClickHouse(t), HTTP)
		tg, f := items(), &feed{}
		cfg := d.config("x")
		cfg.Memory = memory
		s := d.openNamed(t, cfg)
		mustPrepare(t, s, tg)
		f.load(t, s, tg)
		d.run(t, "ALTER TABLE Items_versions MODIFY COLUMN Price Nullable(Decimal(20, 2))")
		batch := f.inserts(tg, "a", 1)
		if err := s.Apply(t.Context(), batch); sinks.ClassOf(err) != sinks.Retry || !strings.Contains(err.Error(), "widened by somebody") {
			t.Errorf("memory %d: %v, want a retry that says why", memory, err)
		}
		mustApply(t, s, batch, f.inserts(tg, "b", 2))
		if got := d.text(t, "SELECT Id || ':' || toString(assumeNotNull(Price)) FROM Items ORDER BY Id"); got != "1:1.5 2:1.5" {
			t.Errorf("memory %d: shown %s", memory, got)
		}
	}
}
