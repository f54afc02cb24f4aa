package clickhouse

import (
	"context"
	"fmt"
	"iter"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// flat is what a view with a join gives: two keys, text, money, a moment.
func flat() sinks.Target {
	kind := func(k change.Kind, name string) change.Type { return change.Type{Kind: k, Name: name} }
	t := &change.Table{ID: change.TableID{Name: "Flat"}, Key: []int{0, 1}, Columns: []change.Column{
		{Name: "Id", Type: kind(change.Int, "int")},
		{Name: "Line", Type: kind(change.Int, "int"), Nullable: true},
		{Name: "Name", Type: change.Type{Kind: change.String, Name: "varchar", Length: 90}, Nullable: true},
		{Name: "Amount", Type: change.Type{Kind: change.Decimal, Name: "decimal", Precision: 5, Scale: 2}, Nullable: true},
		{Name: "At", Type: kind(change.Datetime, "datetime"), Nullable: true},
		{Name: "Kind", Type: change.Type{Kind: change.String, Name: "varchar", Length: 25}, Nullable: true},
	}}
	return sinks.Target{From: "Flat", Table: t, To: "Flats"}
}

var kinds = []string{"Action", "Animation", "Children", "Classics", "Comedy", "Documentary", "Drama", "Family"}

func flatRow(i int) change.Row {
	return change.Row{
		change.IntValue(int64(i)), change.IntValue(int64(i % 7)), change.StringValue("CUSTOMER NUMBER " + strconv.Itoa(i%600_000)),
		change.DecimalValue(fmt.Sprintf("%d.%02d", i%10, i%100)), change.DatetimeValue(1_700_000_000_000_000 + int64(i)*1_000_000), change.StringValue(kinds[i%len(kinds)]),
	}
}

// ownCPU is the processor time that this process has used.
func ownCPU(tb testing.TB) time.Duration {
	tb.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpu is the processor time that another process has used; 0 where it is not on this machine.
func cpu(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	ticks := 0
	for _, s := range f[11:13] { // user and system, in hundredths
		n, err := strconv.Atoi(s)
		if err != nil {
			tb.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// rowsBatch is a batch of rows made beforehand, as events of one operation.
func rowsBatch(f *feed, tg sinks.Target, op change.Op, rows []change.Row) *change.Batch {
	b := f.batch(change.Changes, nil)
	b.Rows = len(rows)
	b.Open = func(context.Context) iter.Seq2[change.Event, error] {
		return func(yield func(change.Event, error) bool) {
			for i, r := range rows {
				ev := change.Event{Table: tg.Table, Op: op, Seq: b.To, Idx: i}
				if op == change.Delete {
					ev.Before = r
				} else {
					ev.After = r
				}
				if !yield(ev, nil) {
					return
				}
			}
		}
	}
	return b
}

// BenchmarkApply writes batches; with 100k rows and inserts only it is the figure that the docs name. The
// server is a process of its own; its processor time stands apart.
func BenchmarkApply(b *testing.B) {
	d := newDatabase(b, testenv.ClickHouse(b), HTTP)
	pid := d.server.Pid()
	tg, f := flat(), &feed{}
	cfg := d.config("bench")
	cfg.Host, cfg.Port, cfg.NoSync = d.server.Host, d.server.Port, false
	s := d.openNamed(b, cfg)
	mustPrepare(b, s, tg)
	f.load(b, s, tg)
	next := 0
	for _, c := range []struct {
		op   change.Op
		name string
		rows int
	}{
		{change.Insert, "insert", 1}, {change.Insert, "insert", 100}, {change.Insert, "insert", 10_000}, {change.Insert, "insert", 100_000},
		{change.Update, "update", 10_000}, {change.Update, "update", 100_000}, {change.Delete, "delete", 100_000},
	} {
		b.Run(fmt.Sprintf("%s/%d", c.name, c.rows), func(b *testing.B) {
			rows := make([]change.Row, c.rows)
			b.ReportAllocs()
			var took, client, server time.Duration
			for b.Loop() {
				b.StopTimer()
				for i := range rows {
					rows[i] = flatRow(next)
					next++
				}
				batch := rowsBatch(f, tg, c.op, rows)
				c0, s0, t0 := ownCPU(b), cpu(b, pid), time.Now()
				b.StartTimer()
				mustApply(b, s, batch)
				took, client, server = took+time.Since(t0), client+ownCPU(b)-c0, server+cpu(b, pid)-s0
			}
			n := float64(b.N * c.rows)
			b.ReportMetric(n/took.Seconds(), "rows/s")
			b.ReportMetric(client.Seconds()*1e6/n, "client-cpu-us/row")
			b.ReportMetric(server.Seconds()*1e6/n, "server-cpu-us/row")
		})
	}
}

// BenchmarkEncode is the client's side alone: net changes to the bytes of a block, nothing sent.
func BenchmarkEncode(b *testing.B) {
	const n = 100_000
	tg, err := newTarget(flat(), Config{}.withDefaults())
	if err != nil {
		b.Fatal(err)
	}
	rows := make([]change.Row, n)
	for i := range rows {
		rows[i] = flatRow(i)
	}
	target := flat()
	a := &apply{}
	b.ReportAllocs()
	block := tg.visible().newBlock()
	for b.Loop() {
		fold := sinks.NewFold()
		for ev, err := range rowsBatch(&feed{}, target, change.Insert, rows).Events(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			ev.Table = tg.table
			if err := fold.Add("Flat", &ev); err != nil {
				b.Fatal(err)
			}
		}
		nets := fold.Drain("Flat")
		cols, err := tg.mapping(tg.table)
		if err != nil {
			b.Fatal(err)
		}
		out := make([]row, n)
		for i := range nets {
			out[i] = row{Net: &nets[i], cols: cols}
		}
		if err := a.encode(tg.visible(), block, out, 0, &digest{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkView compares the readers' view with argMax over the same rows: a million keys, a tenth of them
// with a newer version that is not merged yet.
func BenchmarkView(b *testing.B) {
	d := newDatabase(b, testenv.ClickHouse(b), HTTP)
	d.run(b, "CREATE TABLE t (id UInt64, name String, amount Decimal(5,2), cdc_version UInt64, cdc_deleted UInt8) ENGINE = ReplacingMergeTree(cdc_version, cdc_deleted) ORDER BY id")
	d.run(b, "SYSTEM STOP MERGES t")
	d.run(b, "INSERT INTO t SELECT number, 'CUSTOMER NUMBER ' || toString(number % 600000), 1.5, 1, 0 FROM numbers(1000000)")
	for i := range 10 {
		d.run(b, fmt.Sprintf("INSERT INTO t SELECT number * 100 + %d, 'changed', 2.5, %d, number %% 10 = 0 FROM numbers(10000)", i, i+2))
	}
	const inner = "SELECT id, argMax(name, cdc_version) AS name, argMax(amount, cdc_version) AS amount FROM t %s GROUP BY id HAVING argMax(cdc_deleted, cdc_version) = 0"
	for _, c := range []struct{ name, sql string }{
		{"sum/final", "SELECT toString(sum(amount)) FROM t FINAL"},
		{"sum/argMax", "SELECT toString(sum(amount)) FROM (" + fmt.Sprintf(inner, "") + ")"},
		{"key/final", "SELECT toString(sum(amount)) FROM t FINAL WHERE id = 4242"},
		{"key/argMax", "SELECT toString(sum(amount)) FROM (" + fmt.Sprintf(inner, "") + ") WHERE id = 4242"},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				d.text(b, c.sql)
			}
		})
	}
}
