package memory_test

import (
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/memory"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) { conformance(t, sinks.KeepNames) }

// TestConformanceSpelled passes everything through a sink that spells names: nothing else changes.
func TestConformanceSpelled(t *testing.T) { conformance(t, sinks.SnakeCase) }

func conformance(t *testing.T, names sinks.Names) {
	sinktest.Run(t, func(*testing.T) sinktest.Destination {
		db := memory.NewDB()
		return sinktest.Destination{
			Open: func(_ testing.TB, o sinktest.Options) sinks.Sink {
				return sinks.Spelled(memory.Open(db, memory.Options{Reader: o.Reader, OnPoison: o.OnPoison, Observer: o.Observer, Hook: o.Hook}), names)
			},
			Rows: func(_ testing.TB, tg sinks.Target) []sinktest.Row {
				var out []sinktest.Row
				for _, r := range db.Snapshot().Rows[tg.To] {
					out = append(out, sinktest.Row{Row: typed(tg.Table, r.Row[:len(tg.Table.Columns)]), Deleted: r.Deleted, Version: strconv.Itoa(r.Version), Position: r.Position, AppliedAt: r.AppliedAt})
				}
				return out
			},
			Plant: func(t testing.TB, tg sinks.Target, rows ...change.Row) {
				shape, err := names.Table(tg.Table)
				if err == nil {
					err = db.Plant(tg.To, shape, rows...)
				}
				if err != nil {
					t.Fatal(err)
				}
			},
			Refuse: func(_ testing.TB, tg sinks.Target, column, text string) { db.Refuse(tg.To, column, text) },
			Alter: func(_ testing.TB, tg sinks.Target, what sinktest.Drift, column string) {
				switch what {
				case sinktest.AddColumn:
					db.AddColumn(tg.To, column)
				case sinktest.DropColumn:
					db.DropColumn(tg.To, names.Spell(column))
				case sinktest.NarrowColumn:
					db.Narrow(tg.To, names.Spell(column))
				case sinktest.DropTable:
					db.DropTable(tg.To)
				}
			},
			Unique: func(_ testing.TB, tg sinks.Target, column string) { db.Unique(tg.To, column) },
			Quarantine: func(testing.TB) []sinktest.Quarantined {
				var out []sinktest.Quarantined
				for _, e := range db.Snapshot().Quarantine {
					out = append(out, sinktest.Quarantined{Table: e.Table, Key: e.Key, Seq: e.Seq})
				}
				return out
			},
			Cut: func(testing.TB) {}, // nothing to lose
			Backup: func(testing.TB) func() {
				backup := db.Backup()
				return func() { db.Restore(backup) }
			},
		}
	})
}

// typed is a row as columns of the shape's types show it: decimals with as many digits as the type has.
func typed(shape *change.Table, row change.Row) change.Row {
	row = row.Clone()
	for i, v := range row {
		if v.Kind() == change.Decimal {
			if text, ok := change.NormalDecimal(v.Text(), shape.Columns[i].Type.Scale); ok {
				row[i] = change.DecimalValue(text)
			}
		}
	}
	return row
}
