package embedded_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// floodSize tells a child process how to flood two streams, as floodPlan.String writes it.
const floodSize = "CDC_STREAM_FLOOD"

// floodPlan is how many transactions are written on each of two streams, over how many tables, and how many
// readers follow each stream meanwhile.
type floodPlan struct{ transactions, tables, readers int }

func (p floodPlan) String() string {
	return fmt.Sprintf("%d/%d/%d", p.transactions, p.tables, p.readers)
}

func parseFloodPlan(text string) (p floodPlan, err error) {
	_, err = fmt.Sscanf(text, "%d/%d/%d", &p.transactions, &p.tables, &p.readers)
	return p, err
}

// figures are what a flooding process says of itself.
type figures struct {
	Transactions int           // on each stream, so far
	Heap         uint64        // live, after a collection
	RSS, Peak    int64         // bytes
	Start        time.Duration // from Open until both writers are started
	Fresh        bool
	Seq          [2]change.Seq
	// Read is what the slowest reader has read, in transactions; Lag the most that a reader was behind.
	Read, Lag int64
}

// flood opens the broker, starts two writers and the readers, reports, writes the transactions, reports at every
// tenth, and waits for its end.
func flood(dir string, plan floodPlan) error {
	n := plan.transactions
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	began := time.Now()
	cfg := embedded.Config{Dir: dir, Listen: "127.0.0.1:0"}
	if n < 100_000 {
		cfg.MaxBatches = 12_000 // the short form has to reach it too
	}
	b, err := embedded.Open(ctx, cfg)
	if err != nil {
		return err
	}
	failed := make(chan error, 3+2*plan.readers)
	go func() { failed <- b.Run(ctx) }()
	var ws [2]*stream.Writer
	var readers []*floodReader
	for i := range ws {
		name := fmt.Sprintf("f%d", i)
		var rs []*floodReader
		for range plan.readers {
			r, err := newFloodReader(b, name)
			if err != nil {
				return err
			}
			rs = append(rs, r)
		}
		if ws[i], err = floodWriter(ctx, b, name, plan.tables, rs); err != nil {
			return err
		}
		for _, r := range rs {
			if n > 0 {
				go func() { failed <- r.run(ctx) }()
			}
		}
		readers = append(readers, rs...)
	}
	say := func(done int) error {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		f := figures{Transactions: done, Heap: m.HeapAlloc, Start: time.Since(began), Fresh: ws[0].State().Fresh, Seq: [2]change.Seq{ws[0].State().Seq(), ws[1].State().Seq()}}
		f.RSS, f.Peak = status("VmRSS"), status("VmHWM")
		for i, r := range readers {
			if read := r.read.Load(); i == 0 || read < f.Read {
				f.Read = read
			}
			f.Lag = max(f.Lag, r.lag.Load())
		}
		return json.NewEncoder(os.Stdout).Encode(f)
	}
	if err := say(0); err != nil {
		return err
	}
	for part := range 10 {
		for i := range ws {
			go func() { failed <- floodPart(ctx, b, ws[i], fmt.Sprintf("f%d", i), plan.tables, n/10) }()
		}
		for range ws {
			if err := <-failed; err != nil {
				return err
			}
		}
		if err := say((part + 1) * n / 10); err != nil {
			return err
		}
	}
	return <-failed
}

func floodWriter(ctx context.Context, b *embedded.Broker, name string, over int, readers []*floodReader) (*stream.Writer, error) {
	a, err := kafka.NewAdmin(b.Client())
	if err != nil {
		return nil, err
	}
	defer a.Close()
	if err := a.Ensure(ctx, kafka.StreamTopics(name, tables[:over], kafka.StreamOptions{}), 1); err != nil {
		return nil, err
	}
	l, err := kafka.NewLog(b.Client())
	if err != nil {
		return nil, err
	}
	w := stream.NewWriter(stream.WriterConfig{Stream: name}, kafka.NewProducer(kafka.ProducerConfig{Config: b.Client(), TransactionalID: name}), l)
	if _, err := w.Start(ctx); err != nil {
		return nil, err
	}
	marks := func() (ms []change.Mark) {
		for _, r := range readers {
			ms = append(ms, *r.at.Load())
		}
		return ms
	}
	return w, b.Keep(embedded.Stream{Name: name, Marks: marks, MetaFloor: w.MetaFloor})
}

// floodReader follows a stream from its first record on and looks that nothing is missing.
type floodReader struct {
	in   *stream.Reader
	log  *kafka.Log
	at   atomic.Pointer[change.Mark]
	read atomic.Int64 // transactions
	lag  atomic.Int64 // the most records that it was behind when it looked
}

func newFloodReader(b *embedded.Broker, name string) (*floodReader, error) {
	l, err := kafka.NewLog(b.Client())
	if err != nil {
		return nil, err
	}
	r := &floodReader{log: l, in: stream.NewReader(stream.ReaderConfig{Stream: name, Name: "r"}, l, change.Mark{})}
	r.at.Store(&change.Mark{})
	return r, nil
}

func (r *floodReader) run(ctx context.Context) error {
	defer r.log.Close()
	for from := int64(0); ; {
		b, next, err := r.in.FindBegin(ctx, from, nil, 0)
		if err != nil {
			return err
		}
		if b != nil {
			r.in.Adopt(b)
			break
		}
		from = next
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Millisecond):
		}
	}
	var last change.Seq
	for {
		rec, err := r.in.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reader behind %d: %w", last, err)
		}
		if last != 0 && rec.Progress.SeqFrom != last+1 {
			return fmt.Errorf("reader: %d follows %d", rec.Progress.SeqFrom, last)
		}
		got := int64(0)
		for _, err := range rec.Open(ctx) {
			if err != nil {
				return fmt.Errorf("reader at %d: %w", rec.Progress.SeqFrom, err)
			}
			got++
		}
		if got != rec.Records {
			return fmt.Errorf("reader: %d has %d records, not %d", rec.Progress.SeqFrom, got, rec.Records)
		}
		last = rec.Progress.SeqTo
		mark := rec.Mark
		r.at.Store(&mark)
		if n := r.read.Add(1); n%1000 == 0 {
			end, err := r.in.EndOffset(ctx)
			if err != nil && ctx.Err() == nil {
				return err
			}
			r.lag.Store(max(r.lag.Load(), (end-mark.Offset)/2)) // a record and its commit marker
		}
	}
}

// floodPart writes n transactions, each over one table or several, as fast as the broker takes them; it waits, as a
// daemon's writers do, while what readers have before them fills half of the broker.
func floodPart(ctx context.Context, b *embedded.Broker, w *stream.Writer, name string, over, n int) error {
	for range n {
		for b.Fill() > 0.5 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * time.Millisecond):
			}
		}
		p := wire.Progress{Kind: change.Changes, SeqFrom: w.State().Seq() + 1, SeqTo: w.State().Seq() + 1}
		if w.State().Fresh {
			p.Kind, p.Cover = change.Begin, &change.Cover{ID: "c", Heal: true}
		}
		if err := w.Begin(ctx); err != nil {
			return err
		}
		at := []byte(strconv.FormatUint(uint64(p.SeqTo), 10))
		for i := range 1 + int(p.SeqTo)%over {
			topic := stream.DataTopic(name, tables[(int(p.SeqTo)+i)%over])
			if err := w.Append(ctx, stream.Row{Topic: topic, Key: at, Value: at, Seq: p.SeqTo, Idx: uint64(i)}); err != nil {
				return err
			}
		}
		if _, err := w.Commit(ctx, p, nil); err != nil {
			return err
		}
	}
	return nil
}

// status reads a size from /proc/self/status; 0 where there is none.
func status(key string) int64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

// floodChild runs flood in a process of its own until it has written all, kills it, and returns what it
// said.
func floodChild(t *testing.T, dir string, plan floodPlan) (out []figures) {
	t.Helper()
	n := plan.transactions
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childFolder+"="+dir, floodSize+"="+plan.String())
	var said tail
	cmd.Stderr = &said
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		var f figures
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		t.Logf("%d transactions: heap %d MiB, RSS %d MiB, peak %d MiB, after %s; read %d, at most %d behind", f.Transactions, f.Heap>>20, f.RSS>>20, f.Peak>>20,
			f.Start.Round(time.Millisecond), f.Read, f.Lag)
		if out = append(out, f); f.Transactions >= n {
			break
		}
	}
	_ = cmd.Process.Kill()
	if err := cmd.Wait(); len(out) == 0 || out[len(out)-1].Transactions < n {
		t.Fatalf("the child ended early: %v\n%s", err, said)
	}
	return out
}

// Memory does not grow with the number of transactions, and neither does the time of a start after kill -9; over
// one table and nobody who reads, and over several tables with two readers of each stream. The full form
// (CDC_TEST_FULL=1) writes a million on each stream.
func TestFlood(t *testing.T) {
	for _, plan := range []floodPlan{{10_000, 1, 0}, {10_000, 3, 2}} {
		t.Run(fmt.Sprintf("%d tables, %d readers", plan.tables, plan.readers), func(t *testing.T) {
			if os.Getenv("CDC_TEST_FULL") != "" {
				plan.transactions = 1_000_000
			}
			testFlood(t, plan)
		})
	}
}

func testFlood(t *testing.T, plan floodPlan) {
	dir := t.TempDir()
	said := floodChild(t, dir, plan)
	half, end := said[len(said)/2], said[len(said)-1]
	if grown := int64(end.Heap) - int64(half.Heap); grown > int64(half.Heap)/4+4<<20 {
		t.Errorf("the heap grew by %d bytes from %d in the second half", grown, half.Heap)
	}
	if end.Peak > 400<<20 {
		t.Errorf("peak RSS is %d MiB", end.Peak>>20)
	}
	if plan.readers > 0 && end.Read < int64(plan.transactions)/2 {
		t.Errorf("a reader has read %d of %d transactions", end.Read, plan.transactions)
	}
	again := floodChild(t, dir, floodPlan{0, plan.tables, 0})[0]
	if again.Start > 10*time.Second || again.Fresh {
		t.Errorf("the start after kill -9 took %s, fresh: %v", again.Start, again.Fresh)
	}
	if again.Seq != end.Seq {
		t.Errorf("left at %v, found %v", end.Seq, again.Seq)
	}
	if again.Peak > 400<<20 {
		t.Errorf("peak RSS of the start is %d MiB", again.Peak>>20)
	}
}
