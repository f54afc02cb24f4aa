package embedded_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

// childFolder names the folder of a child process: the test binary run once more as a small daemon.
const childFolder = "CDC_STREAM_CHILD"

// childKafka makes the child use a Kafka outside instead of the embedded broker.
const childKafka = "CDC_STREAM_KAFKA"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		run := daemon
		if os.Getenv(fullDisk) != "" {
			run = crampedDaemon
		}
		if n, err := strconv.Atoi(os.Getenv(fill)); err == nil {
			run = func(dir string) error { return fillDaemon(dir, n) }
		}
		if plan, err := parseFloodPlan(os.Getenv(floodSize)); err == nil {
			run = func(dir string) error { return flood(dir, plan) }
		}
		if err := run(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testenv.Main(m)
}

// rowsOf makes the number of rows of a unit follow from its number, so that both sides know it.
func rowsOf(s change.Seq) int { return int(s % 23) }

// daemon writes as fast as it can and reads behind itself, keeping its Mark in a file, until it is killed.
func daemon(dir string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if at := os.Getenv(childKafka); at != "" {
		cfg := kafka.Config{Brokers: strings.Split(at, ",")}
		return daemonOver(ctx, cfg, dir, make(chan error, 2), func(func() []change.Mark, func() int64) error { return nil })
	}
	b, err := embedded.Open(ctx, embedded.Config{Dir: dir, Listen: "127.0.0.1:0", MaxBytes: 8 << 20})
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	go func() { failed <- b.Run(ctx) }()
	return daemonOver(ctx, b.Client(), dir, failed, func(marks func() []change.Mark, floor func() int64) error {
		return b.Keep(embedded.Stream{Name: "s", Marks: marks, MetaFloor: floor})
	})
}

// daemonOver is the part of it that works over any broker.
func daemonOver(ctx context.Context, cfg kafka.Config, dir string, failed chan error, keep func(func() []change.Mark, func() int64) error) error {
	a, err := kafka.NewAdmin(cfg)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.Ensure(ctx, kafka.StreamTopics("s", tables, kafka.StreamOptions{}), 1); err != nil {
		return err
	}
	l, err := kafka.NewLog(cfg)
	if err != nil {
		return err
	}
	w := stream.NewWriter(stream.WriterConfig{Stream: "s"}, kafka.NewProducer(kafka.ProducerConfig{Config: cfg, TransactionalID: "cdc.s.capture"}), l)
	st, err := w.Start(ctx)
	if err != nil {
		return err
	}
	mark, err := loadMark(dir)
	if err != nil {
		return err
	}
	if st.Fresh {
		if !mark.IsZero() {
			return fmt.Errorf("a new incarnation: %s", st.Why)
		}
		if mark, err = batch(ctx, w, change.Begin, 1, 0); err != nil {
			return err
		}
		if err := saveMark(dir, mark); err != nil {
			return err
		}
	}
	if err := keep(func() []change.Mark { m, _ := loadMark(dir); return []change.Mark{m} }, w.MetaFloor); err != nil {
		return err
	}
	rl, err := kafka.NewLog(cfg)
	if err != nil {
		return err
	}
	r := stream.NewReader(stream.ReaderConfig{Stream: "s", Name: "sink"}, rl, mark)
	go func() { failed <- follow(ctx, r, dir) }()
	go func() {
		for {
			s := w.State().Seq() + 1
			if _, err := batch(ctx, w, change.Changes, 1, rowsOf(s)); err != nil {
				failed <- err
				return
			}
		}
	}()
	return <-failed
}

// follow reads, checks and keeps its Mark in a file.
func follow(ctx context.Context, r *stream.Reader, dir string) error {
	for {
		rec, err := r.Next(ctx)
		if err != nil {
			return err
		}
		if err := check(ctx, rec); err != nil {
			return err
		}
		if err := saveMark(dir, rec.Mark); err != nil {
			return err
		}
	}
}

func check(ctx context.Context, rec *stream.Record) error {
	if rec.Progress.Kind != change.Changes {
		return nil
	}
	want := rowsOf(rec.Progress.SeqTo)
	if int(rec.Rows) != want {
		return fmt.Errorf("unit %d has %d rows instead of %d", rec.Progress.SeqTo, rec.Rows, want)
	}
	return verify(ctx, rec, want)
}

func markFile(dir string) string { return filepath.Join(dir, "mark.json") }

func loadMark(dir string) (m change.Mark, err error) {
	raw, err := os.ReadFile(markFile(dir))
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	return m, err
}

func saveMark(dir string, m change.Mark) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := os.WriteFile(markFile(dir)+".new", raw, 0o600); err != nil {
		return err
	}
	return os.Rename(markFile(dir)+".new", markFile(dir))
}

// kill starts a daemon and kills it after a while; a daemon that ends by itself found something wrong.
func kill(t *testing.T, dir string, after time.Duration, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(append(os.Environ(), childFolder+"="+dir), env...)
	var out tail
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() >= 0 {
		t.Fatalf("the daemon ended by itself: %v\n%s", err, out)
	}
}

// tail keeps the last of what is written.
type tail []byte

func (t *tail) Write(b []byte) (int, error) {
	*t = append(*t, b...)
	*t = (*t)[max(0, len(*t)-4000):]
	return len(b), nil
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	const kills = 25
	seed := time.Now().UnixNano()
	rnd := rand.New(rand.NewPCG(uint64(seed), 0))
	t.Logf("seed %d", seed)
	for range kills {
		kill(t, dir, 150*time.Millisecond+time.Duration(rnd.Int64N(int64(400*time.Millisecond))))
	}
	// What is left is read once more, from the oldest record that is still there.
	b := open(t, embedded.Config{Dir: dir})
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	w := writer(t, b.Client())
	st := w.State()
	if st.Fresh {
		t.Fatalf("a new incarnation: %s", st.Why)
	}
	mark, err := loadMark(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := stream.NewReader(stream.ReaderConfig{Stream: "s", Name: "sink"}, newLog(t, b.Client()), mark)
	for r.Mark() != st.Mark {
		rec, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := check(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, %d units written, %d read after the last", kills, st.Seq()-change.Seq(st.Incarnation), st.Seq()-mark.Seq)
}
