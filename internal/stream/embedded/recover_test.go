package embedded_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/schemas/change"
)

// crashed returns a folder as kill -9 leaves it: two batches on top of a begin, never stopped in order.
func crashed(t *testing.T) (dir string, marks [3]change.Mark) {
	t.Helper()
	live := t.TempDir()
	b := open(t, embedded.Config{Dir: live})
	ensure(t, b.Client())
	w := writer(t, b.Client())
	for i := range marks {
		kind, rows := change.Changes, 12
		if i == 0 {
			kind, rows = change.Begin, 0
		}
		var err error
		if marks[i], err = batch(t.Context(), w, kind, 1, rows); err != nil {
			t.Fatal(err)
		}
	}
	dir = t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "log"), os.DirFS(filepath.Join(live, "log"))); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, marks
}

// lastBatch returns the size of the file without its last record batch.
func lastBatch(t *testing.T, path string) int64 {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	for {
		next := at + 12 + int64(binary.BigEndian.Uint32(raw[at+8:]))
		if next == int64(len(raw)) {
			return at
		}
		at = next
	}
}

// A commit writes markers to one partition after the other; whichever a crash leaves out, the transaction
// is all there or not at all.
func TestTornCommit(t *testing.T) {
	source, marks := crashed(t)
	files, err := filepath.Glob(filepath.Join(source, "log", "partitions", "*", "*.dat"))
	if err != nil {
		t.Fatal(err)
	}
	pick := func(has string) func(string) bool {
		return func(f string) bool { return strings.Contains(f, has) }
	}
	for name, torn := range map[string]func(string) bool{
		"nothing":            func(string) bool { return false },
		"progress":           pick("s.progress"),
		"meta":               pick("s.meta"),
		"all but meta":       func(f string) bool { return !strings.Contains(f, "s.meta") },
		"all but a table's":  func(f string) bool { return !strings.Contains(f, "db.b-") },
		"one table's":        pick("db.a-"),
		"progress and meta":  func(f string) bool { return strings.Contains(f, "s.meta") || strings.Contains(f, "s.progress") },
		"the data's":         pick("db."),
		"no marker is there": func(string) bool { return true },
	} {
		for _, index := range []string{"kept", "cut", "lost"} {
			t.Run(name+", index "+index, func(t *testing.T) {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
					t.Fatal(err)
				}
				for _, f := range files {
					f = filepath.Join(dir, strings.TrimPrefix(f, source))
					if torn(f) {
						tear(t, f, index)
					}
				}
				want := marks[2]
				if name == "no marker is there" {
					want = marks[1]
				}
				resume(t, dir, marks[0], want)
			})
		}
	}
}

func tear(t *testing.T, f, index string) {
	t.Helper()
	if err := os.Truncate(f, lastBatch(t, f)); err != nil {
		t.Fatal(err)
	}
	idx := strings.TrimSuffix(f, ".dat") + ".idx"
	info, err := os.Stat(idx)
	if err != nil {
		t.Fatal(err)
	}
	switch index {
	case "cut":
		err = os.Truncate(idx, info.Size()-15)
	case "lost":
		err = os.Truncate(idx, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// resume starts on the folder, twice in a row and once after a clean stop, and reads it whole.
func resume(t *testing.T, dir string, first, want change.Mark) {
	t.Helper()
	for round := range 3 {
		b := open(t, embedded.Config{Dir: dir})
		w := writer(t, b.Client())
		if st := w.State(); st.Fresh || st.Mark != want {
			t.Fatalf("round %d: started at %v (%s), want %v", round, st.Mark, st.Why, want)
		}
		var err error
		if want, err = batch(t.Context(), w, change.Changes, 1, 12); err != nil {
			t.Fatal(err)
		}
		r := stream.NewReader(stream.ReaderConfig{Stream: "s", Name: "sink"}, newLog(t, b.Client()), first)
		for r.Mark() != want {
			rec, err := r.Next(t.Context())
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if err := verify(t.Context(), rec, 12); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		if round == 0 { // leave as by a crash
			crash := t.TempDir()
			if err := os.CopyFS(filepath.Join(crash, "log"), os.DirFS(filepath.Join(dir, "log"))); err != nil {
				t.Fatal(err)
			}
			dir = crash
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A batch that was written in part is no batch.
func TestTornBatch(t *testing.T) {
	source, marks := crashed(t)
	files, err := filepath.Glob(filepath.Join(source, "log", "partitions", "s.progress-0", "*.dat"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	at := lastBatch(t, files[0])
	for _, cut := range []int64{1, 11, 30, 61, 70} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(filepath.Join(dir, strings.TrimPrefix(files[0], source)), at+cut); err != nil {
				t.Fatal(err)
			}
			resume(t, dir, marks[0], marks[2])
		})
	}
}

// A power cut may leave holes; the stream then says so and begins anew, it never goes on over them.
func TestHole(t *testing.T) {
	source, _ := crashed(t)
	for _, name := range []string{"s.progress-0", "s.meta-0"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
				t.Fatal(err)
			}
			part := filepath.Join(dir, "log", "partitions", name)
			raw, err := os.ReadFile(filepath.Join(part, "0.dat"))
			if err != nil {
				t.Fatal(err)
			}
			// The first segment ends in zeros, a second one follows.
			if err := os.WriteFile(filepath.Join(part, "1000.dat"), raw, 0o600); err != nil {
				t.Fatal(err)
			}
			clear(raw[70:])
			if err := os.WriteFile(filepath.Join(part, "0.dat"), raw, 0o600); err != nil {
				t.Fatal(err)
			}
			b := open(t, embedded.Config{Dir: dir})
			defer func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			}()
			if st := writer(t, b.Client()).State(); !st.Fresh || st.Why == "" {
				t.Errorf("it went on at %v", st.Mark)
			}
		})
	}
}
