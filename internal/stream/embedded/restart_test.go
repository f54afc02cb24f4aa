package embedded_test

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
)

// fill tells a child process to write so many MiB that do not compress, and to end as by a crash.
const fill = "CDC_STREAM_FILL"

func fillDaemon(dir string, mib int) error {
	ctx := context.Background()
	b, err := embedded.Open(ctx, embedded.Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	w, err := floodWriter(ctx, b, "f0", 1, nil)
	if err != nil {
		return err
	}
	noise := rand.NewChaCha8([32]byte{1})
	for range mib / 16 {
		p := wire.Progress{Kind: change.Changes, SeqFrom: w.State().Seq() + 1, SeqTo: w.State().Seq() + 1}
		if w.State().Fresh {
			p.Kind, p.Cover = change.Begin, &change.Cover{ID: "c", Heal: true}
		}
		if err := w.Begin(ctx); err != nil {
			return err
		}
		for i := range 1024 {
			value := make([]byte, 16<<10)
			_, _ = noise.Read(value) // it never fails
			if err := w.Append(ctx, stream.Row{Topic: stream.DataTopic("f0", tables[0]), Key: value[:8], Value: value, Seq: p.SeqTo, Idx: uint64(i)}); err != nil {
				return err
			}
		}
		if _, err := w.Commit(ctx, p, nil); err != nil {
			return err
		}
	}
	return nil // and nothing is closed: the process ends
}

// A start after a crash does not take memory by the size of the log. The full form (CDC_TEST_FULL=1) has 2 GiB.
func TestRestartMemory(t *testing.T) {
	mib := "128"
	if os.Getenv("CDC_TEST_FULL") != "" {
		mib = "2048"
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childFolder+"="+dir, fill+"="+mib)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	again := floodChild(t, dir, floodPlan{0, 1, 0})[0]
	if again.Fresh || again.Start > 10*time.Second {
		t.Errorf("the start took %s, fresh: %v", again.Start, again.Fresh)
	}
	if again.Peak > 256<<20 {
		t.Errorf("the start took %d MiB", again.Peak>>20)
	}
}
