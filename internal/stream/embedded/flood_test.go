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
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// floodSize tells a child process how many transactions to write on each of two streams.
const floodSize = "CDC_STREAM_FLOOD"

// figures are what a flooding process says of itself.
type figures struct {
	Transactions int           // on each stream, so far
	Heap         uint64        // live, after a collection
	RSS, Peak    int64         // bytes
	Start        time.Duration // from Open until both writers are started
	Fresh        bool
	Seq          [2]change.Seq
}

// flood opens the broker, starts two writers, reports, writes n transactions on each, reports at every
// tenth, and waits for its end.
func flood(dir string, n int) error {
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
	failed := make(chan error, 3)
	go func() { failed <- b.Run(ctx) }()
	var ws [2]*stream.Writer
	for i := range ws {
		if ws[i], err = floodWriter(ctx, b, fmt.Sprintf("f%d", i)); err != nil {
			return err
		}
	}
	say := func(done int) error {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		f := figures{Transactions: done, Heap: m.HeapAlloc, Start: time.Since(began), Fresh: ws[0].State().Fresh, Seq: [2]change.Seq{ws[0].State().Seq(), ws[1].State().Seq()}}
		f.RSS, f.Peak = status("VmRSS"), status("VmHWM")
		return json.NewEncoder(os.Stdout).Encode(f)
	}
	if err := say(0); err != nil {
		return err
	}
	for part := range 10 {
		for i := range ws {
			go func() { failed <- floodPart(ctx, ws[i], fmt.Sprintf("f%d", i), n/10) }()
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

func floodWriter(ctx context.Context, b *embedded.Broker, name string) (*stream.Writer, error) {
	a, err := kafka.NewAdmin(b.Client())
	if err != nil {
		return nil, err
	}
	defer a.Close()
	if err := a.Ensure(ctx, kafka.StreamTopics(name, tables[:1], kafka.StreamOptions{}), 1); err != nil {
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
	return w, b.Keep(embedded.Stream{Name: name, Marks: func() []change.Mark { return nil }, MetaFloor: w.MetaFloor})
}

func floodPart(ctx context.Context, w *stream.Writer, name string, n int) error {
	for range n {
		p := wire.Progress{Kind: change.Changes, SeqFrom: w.State().Seq() + 1, SeqTo: w.State().Seq() + 1}
		if w.State().Fresh {
			p.Kind, p.Cover = change.Begin, &change.Cover{ID: "c", Heal: true}
		}
		if err := w.Begin(ctx); err != nil {
			return err
		}
		at := []byte(strconv.FormatUint(uint64(p.SeqTo), 10))
		if err := w.Append(ctx, stream.Row{Topic: stream.DataTopic(name, tables[0]), Key: at, Value: at, Seq: p.SeqTo}); err != nil {
			return err
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
func floodChild(t *testing.T, dir string, n int) (out []figures) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childFolder+"="+dir, floodSize+"="+strconv.Itoa(n))
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
		t.Logf("%d transactions: heap %d MiB, RSS %d MiB, peak %d MiB, after %s", f.Transactions, f.Heap>>20, f.RSS>>20, f.Peak>>20, f.Start.Round(time.Millisecond))
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

// Memory does not grow with the number of transactions, and neither does the time of a start after kill -9.
// The full form (CDC_TEST_FULL=1) writes a million on each stream.
func TestFlood(t *testing.T) {
	n := 10_000
	if os.Getenv("CDC_TEST_FULL") != "" {
		n = 1_000_000
	}
	dir := t.TempDir()
	said := floodChild(t, dir, n)
	half, end := said[len(said)/2], said[len(said)-1]
	if grown := int64(end.Heap) - int64(half.Heap); grown > int64(half.Heap)/4+4<<20 {
		t.Errorf("the heap grew by %d bytes from %d in the second half", grown, half.Heap)
	}
	if end.Peak > 400<<20 {
		t.Errorf("peak RSS is %d MiB", end.Peak>>20)
	}
	again := floodChild(t, dir, 0)[0]
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
