package postgres

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// flat is a table like a joined view's: three key columns, text, decimal and a time.
func flat() *change.Table {
	typ := func(k change.Kind, name string) change.Type { return change.Type{Kind: k, Name: name, Length: 91} }
	amount := change.Type{Kind: change.Decimal, Name: "decimal", Precision: 5, Scale: 2}
	return &change.Table{ID: change.TableID{Name: "Flat"}, Key: []int{0, 5, 6}, Columns: []change.Column{
		{Name: "A", Type: typ(change.Int, "int")}, {Name: "Name", Type: typ(change.String, "varchar")},
		{Name: "Amount", Type: amount}, {Name: "At", Type: typ(change.Datetime, "datetime")},
		{Name: "Category", Type: typ(change.String, "varchar")}, {Name: "B", Type: typ(change.Int, "int")},
		{Name: "C", Type: typ(change.Uint, "tinyint")},
	}}
}

func flatRow(n, version int64) change.Row {
	return change.Row{
		change.IntValue(n), change.StringValue(fmt.Sprintf("MARY SMITH %d", n%600)), change.DecimalValue(fmt.Sprintf("%d.99", version%900)),
		change.DatetimeValue(1_120_000_000_000_000 + n*1_000_000), change.StringValue("Documentary"), change.IntValue(n), change.UintValue(uint64(n % 16)),
	}
}

// bench applies batches of a size to a table that holds some rows already.
type bench struct {
	b     *testing.B
	table *change.Table
	sink  *Sink
	mark  change.Mark
}

// benchRows is how many rows the table holds: CDC_BENCH_ROWS, or enough to be larger than a processor's caches.
func benchRows(b *testing.B) int64 {
	b.Helper()
	text := os.Getenv("CDC_BENCH_ROWS")
	if text == "" {
		return 200_000
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		b.Fatalf("CDC_BENCH_ROWS %q is no number of rows", text)
	}
	return n
}

// benchDatabase is on a server that is set up as one for production is, not as small as those of the other tests.
func benchDatabase(b *testing.B) *database {
	b.Helper()
	return databaseOn(b, testenv.NewPostgres(b, "shared_buffers=1GB", "max_wal_size=8GB", "checkpoint_timeout=15min"))
}

func newBench(b *testing.B, d *database) *bench {
	b.Helper()
	h := &bench{b: b, table: flat(), sink: d.open(b, sinktest.Options{Reader: "bench"})}
	tg := sinks.Target{From: "Flat", Table: h.table, To: "Flat"}
	b.Cleanup(func() {
		if err := h.sink.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := h.sink.Prepare(b.Context(), "s", []sinks.Target{tg}); err != nil {
		b.Fatal(err)
	}
	cover := &change.Cover{ID: "load", Heal: true, Tables: []string{"Flat"}}
	h.apply(change.Begin, cover, 0, nil)
	h.apply(change.Chunk, &change.Cover{ID: "load", Table: "Flat"}, int(benchRows(b)), func(i int) change.Event {
		return change.Event{Op: change.Read, After: flatRow(int64(i), 0)}
	})
	h.apply(change.End, cover, 0, nil)
	return h
}

func (h *bench) apply(kind change.UnitKind, cover *change.Cover, n int, event func(int) change.Event) {
	if err := h.sink.Apply(h.b.Context(), h.batch(kind, cover, n, event)); err != nil {
		h.b.Fatal(err)
	}
}

func (h *bench) batch(kind change.UnitKind, cover *change.Cover, n int, event func(int) change.Event) *change.Batch {
	h.mark.Incarnation, h.mark.Offset, h.mark.Seq = 1, h.mark.Offset+1, h.mark.Seq+1
	h.mark.ID = fmt.Sprintf("m%d", h.mark.Offset)
	batch := &change.Batch{Stream: "s", Kind: kind, From: h.mark.Seq, To: h.mark.Seq, Mark: h.mark, Cover: cover, Rows: n}
	batch.Open = func(context.Context) iter.Seq2[change.Event, error] {
		return func(yield func(change.Event, error) bool) {
			for i := range n {
				ev := event(i)
				ev.Table, ev.Seq, ev.Idx = h.table, batch.To, i
				if !yield(ev, nil) {
					return
				}
			}
		}
	}
	return batch
}

// BenchmarkApply reports rows per second of batches of 1, 100 and 10,000 rows, by kind of change.
func BenchmarkApply(b *testing.B) {
	h := newBench(b, benchDatabase(b))
	rng := rand.New(rand.NewPCG(1, 2))
	held := benchRows(b)
	next := held
	kinds := []struct {
		name  string
		event func() change.Event
	}{
		{"insert", func() change.Event { next++; return change.Event{Op: change.Insert, After: flatRow(next, 0)} }},
		{"update", func() change.Event {
			n := rng.Int64N(held)
			return change.Event{Op: change.Update, Before: flatRow(n, 0), After: flatRow(n, rng.Int64())}
		}},
		{"delete", func() change.Event { next--; return change.Event{Op: change.Delete, Before: flatRow(next+1, 0)} }},
		{"mixed", func() change.Event {
			n := rng.Int64N(held)
			switch rng.IntN(4) {
			case 0:
				next++
				return change.Event{Op: change.Insert, After: flatRow(next, 0)}
			case 1:
				return change.Event{Op: change.Delete, Before: flatRow(n, 0)}
			}
			return change.Event{Op: change.Update, Before: flatRow(n, 0), After: flatRow(n, rng.Int64())}
		}},
	}
	for _, kind := range kinds {
		for _, size := range []int{1, 100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, size), func(b *testing.B) {
				cpu := watchProcessors(b, h.sink.conn)
				for b.Loop() {
					h.apply(change.Changes, nil, size, func(int) change.Event { return kind.event() })
				}
				cpu.report(size)
				b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkRowByRow is what to compare with: a prepared upsert per row, and one commit for the batch.
func BenchmarkRowByRow(b *testing.B) {
	d := benchDatabase(b)
	newBench(b, d)
	rng := rand.New(rand.NewPCG(1, 2))
	const upsert = `INSERT INTO "Flat" VALUES ($1, $2, $3::text::numeric, $4::text::timestamp, $5, $6, $7) ON CONFLICT ("A", "B", "C") DO UPDATE
SET "Name" = EXCLUDED."Name", "Amount" = EXCLUDED."Amount", "At" = EXCLUDED."At", "Category" = EXCLUDED."Category"`
	held := benchRows(b)
	next := held
	for _, kind := range []string{"insert", "update"} {
		for _, size := range []int{1, 100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", kind, size), func(b *testing.B) {
				cpu := watchProcessors(b, d.db(b))
				for b.Loop() {
					err := pgx.BeginFunc(b.Context(), d.db(b), func(tx pgx.Tx) error {
						for range size {
							n := rng.Int64N(held)
							if kind == "insert" {
								next++
								n = next
							}
							r := flatRow(n, rng.Int64())
							if _, err := tx.Exec(b.Context(), upsert, n, r[1].Text(), r[2].Text(), "2005-05-24 22:53:30", r[4].Text(), n, n%16); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				cpu.report(size)
				b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}
