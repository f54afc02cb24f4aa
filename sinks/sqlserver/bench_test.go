package sqlserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/etlsandbox/cdc/internal/testenv/tds/datatype"
	"github.com/etlsandbox/cdc/internal/testenv/tds/wire"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
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

// BenchmarkClientAlone measures what the client's side does alone: rows of a batch, encoded and sent, by bulk load or as
// a small batch's one message, to a receiver that reads and discards.
func BenchmarkClientAlone(b *testing.B) {
	table := flat()
	tg, err := newTarget(sinks.Target{From: "Flat", Table: table, To: "Flat"}, "dbo", 0)
	if err != nil {
		b.Fatal(err)
	}
	r := newReceiver(b, tg)
	cfg := Config{Name: "bench", Host: "127.0.0.1", Port: r.port(), Database: "d", User: "u", TLS: TLS{Mode: "disable"}}
	s, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	if s.session, err = s.cfg.open(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	for _, size := range []int{1, 10, 50, smallRows, 10_000} {
		nets := make([]sinks.Net, size)
		for i := range nets {
			row := flatRow(int64(i), 0)
			key, err := table.RowKey(row)
			if err != nil {
				b.Fatal(err)
			}
			nets[i] = sinks.Net{Key: key, Row: row, Seq: 1, Table: table}
		}
		a := &apply{s: s, st: &stream{targets: map[string]*target{"Flat": tg}}, b: &change.Batch{}, inboxes: map[*target]*inbox{}}
		measure := func(name string, send func() error) {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.ReportAllocs()
				before := cpu(b)
				for b.Loop() {
					if err := send(); err != nil {
						b.Fatal(err)
					}
				}
				rows := float64(size) * float64(b.N)
				b.ReportMetric(rows/b.Elapsed().Seconds(), "rows/s")
				b.ReportMetric(float64(cpu(b)-before)/rows, "cpu-ns/row")
			})
		}
		measure("bulk", func() error {
			l := newLoader(a, &inbox{tg: tg})
			return l.load(b.Context(), func() error {
				for i := range nets {
					if err := l.net(&nets[i]); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if size > smallRows {
			continue
		}
		measure("message", func() error {
			args, err := a.smallMessage(map[string][]sinks.Net{"Flat": nets})
			if err != nil {
				return err
			}
			applied := 0
			_, err = s.session.one(b.Context(), executeSQL, args, &applied)
			return err
		})
	}
}

// cpu is the processor time of this process so far, in nanoseconds; the receiver's is in it.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// receiver speaks just enough TDS to be loaded into, and keeps nothing.
type receiver struct {
	listener net.Listener
	columns  []wire.Column
}

func newReceiver(b *testing.B, tg *target) *receiver {
	b.Helper()
	r := &receiver{}
	add := func(name string, t sqlType) {
		var sizes []int
		switch t.name {
		case "nvarchar", "varbinary":
			sizes = []int{t.length}
		case "decimal":
			sizes = []int{t.precision, t.scale}
		case "datetime2":
			sizes = []int{t.scale}
		}
		typ, err := datatype.New(t.name, sizes)
		if err != nil {
			b.Fatal(err)
		}
		r.columns = append(r.columns, wire.Column{Name: name, Type: typ, Nullable: true})
	}
	for _, c := range tg.columns {
		add(c.dest, c.actual)
	}
	add(colOp, sqlType{name: "int"})
	add(colOrd, sqlType{name: "bigint"})
	add(colSeq, sqlType{name: "bigint"})
	add(colKey, sqlType{name: "nvarchar", length: lengthMax})
	var err error
	if r.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.serve() }()
	b.Cleanup(func() {
		if err := errors.Join(r.listener.Close(), <-done); err != nil {
			b.Error(err)
		}
	})
	return r
}

func (r *receiver) port() int { return r.listener.Addr().(*net.TCPAddr).Port }

// serve serves one client until it leaves.
func (r *receiver) serve() error {
	conn, err := r.listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close() // the client has left
	if _, err := wire.ReadPrelogin(conn); err != nil {
		return err
	}
	out := wire.NewPacketWriter(conn, wire.KindReply, wire.DefaultPacketSize)
	if _, err := out.Write(wire.PreloginReply(wire.EncryptNever)); err != nil {
		return err
	}
	if err := out.Finish(); err != nil {
		return err
	}
	if _, _, err := wire.ReadMessage(conn, 1<<20); err != nil {
		return err
	}
	t := wire.NewTokens(out, false)
	t.Accept("d", packetSize)
	t.End(wire.Done{})
	if err := errors.Join(t.Err(), out.Finish()); err != nil {
		return err
	}
	out.Resize(packetSize)
	for {
		p, err := wire.ReadPacket(conn)
		if err != nil {
			return nil // the client has left
		}
		kind, asked := p.Kind, strings.Contains(utf16Text(p.Data), "select * from")
		for !p.Last { // what a message holds behind its first packet is of no interest
			if p, err = wire.ReadPacket(conn); err != nil {
				return err
			}
		}
		t := wire.NewTokens(out, false)
		if kind == wire.KindBatch && asked {
			t.Columns(r.columns)
		}
		if kind == wire.KindRPC { // a small batch was applied
			applied := []wire.Column{{Name: "applied", Type: datatype.Simple(datatype.Int)}}
			t.Columns(applied)
			if err := t.Row(applied, []datatype.Value{datatype.Of("1")}); err != nil {
				return err
			}
		}
		// The driver cancels what it reads when it has all it needs, and waits for the confirmation.
		t.End(wire.Done{Attention: kind == wire.KindAttention})
		if err := errors.Join(t.Err(), out.Finish()); err != nil {
			return err
		}
	}
}

func utf16Text(b []byte) string {
	b = b[:min(len(b), 400)]
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// bench applies batches of a size to a table that holds some rows already.
type bench struct {
	b     *testing.B
	table *change.Table
	sink  *Sink
	mark  change.Mark
}

const benchRows = 50_000

func newBench(b *testing.B, d *database, set ...func(*Config)) *bench {
	b.Helper()
	cfg := d.config("bench")
	for _, c := range set {
		c(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	h := &bench{b: b, table: flat(), sink: s}
	closed(b, h.sink)
	if err := h.sink.Prepare(b.Context(), "s", []sinks.Target{{From: "Flat", Table: h.table, To: "Flat"}}); err != nil {
		b.Fatal(err)
	}
	cover := &change.Cover{ID: "load", Heal: true, Tables: []string{"Flat"}}
	h.apply(change.Begin, cover, 0, nil)
	h.apply(change.Chunk, &change.Cover{ID: "load", Table: "Flat"}, benchRows, func(i int) change.Event {
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

// BenchmarkApply measures batches of several sizes and kinds. Through the double it measures the double: it is a real
// server, named by CDC_TEST_SQLSERVER, that gives figures of SQL Server.
func BenchmarkApply(b *testing.B) {
	h := newBench(b, newDatabase(b))
	rng := rand.New(rand.NewPCG(1, 2))
	next, gone := int64(benchRows), int64(0)
	insert := func() change.Event {
		next++
		return change.Event{Op: change.Insert, After: flatRow(next, 0)}
	}
	update := func() change.Event {
		n := rng.Int64N(benchRows)
		return change.Event{Op: change.Update, Before: flatRow(n, 0), After: flatRow(n, rng.Int64())}
	}
	remove := func() change.Event { // first what was inserted above, then what is not there
		gone++
		return change.Event{Op: change.Delete, Before: flatRow(benchRows+gone, 0)}
	}
	for _, kind := range []struct {
		name  string
		event func() change.Event
	}{
		{"insert", insert}, {"update", update}, {"delete", remove},
		{"mixed", func() change.Event {
			switch rng.IntN(4) {
			case 0:
				return insert()
			case 1:
				return remove()
			}
			return update()
		}},
	} {
		for _, size := range []int{1, 100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, size), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					h.apply(change.Changes, nil, size, func(int) change.Event { return kind.event() })
				}
				b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkSmall measures updates of few rows both ways, next to the server and a millisecond away from it, which says
// up to how many one message is worth it.
func BenchmarkSmall(b *testing.B) {
	d := newDatabase(b)
	rng := rand.New(rand.NewPCG(3, 4))
	for _, far := range []time.Duration{0, time.Millisecond} {
		h := newBench(b, d, func(c *Config) {
			if far > 0 {
				c.Host, c.Port = "127.0.0.1", distant(b, net.JoinHostPort(c.Host, fmt.Sprint(c.Port)), far/2)
			}
		})
		for _, size := range []int{1, 10, 50, smallRows} {
			for _, way := range []struct {
				name  string
				small int
			}{{"message", smallRows}, {"bulk", 0}} {
				b.Run(fmt.Sprintf("%s/%s/%d", far, way.name, size), func(b *testing.B) {
					b.ReportAllocs()
					h.sink.small = way.small
					for b.Loop() {
						h.apply(change.Changes, nil, size, func(int) change.Event {
							n := rng.Int64N(benchRows)
							return change.Event{Op: change.Update, Before: flatRow(n, 0), After: flatRow(n, rng.Int64())}
						})
					}
				})
			}
		}
		if err := h.sink.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// distant listens for one client at a time and passes on what it and the server say, each time after a delay.
func distant(b *testing.B, server string, delay time.Duration) (port int) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	pass := func(to, from net.Conn) {
		defer to.Close() // the other side has left
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			<-time.After(delay)
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			c, err := net.Dial("tcp", server)
			if err != nil {
				b.Error(err)
				return
			}
			all.Go(func() { pass(c, client) })
			all.Go(func() { pass(client, c) })
		}
	})
	b.Cleanup(func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
		all.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}
