package embedded

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzSegment: whatever a crash leaves in a file, reading it ends, and what is whole stays so.
func FuzzSegment(f *testing.F) {
	one := marker(producer{7, 3}, true, 0, 0, time.UnixMilli(1))
	two := append(append([]byte{}, one...), marker(producer{7, 4}, false, 1, 0, time.UnixMilli(2))...)
	f.Add(one)
	f.Add(two)
	f.Add(two[:len(two)-3])
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var n, size int64
		whole, err := scan(bytes.NewReader(raw), int64(len(raw)), func(b batch, _ bool) { n++; size += b.size })
		if err != nil {
			t.Fatal(err)
		}
		if whole > int64(len(raw)) || size != whole {
			t.Errorf("%d bytes: %d whole in %d batches of %d bytes", len(raw), whole, n, size)
		}
	})
}

func TestMarkerDecodes(t *testing.T) {
	for _, commit := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "0.dat")
		if err := os.WriteFile(path, marker(producer{1 << 40, 9}, commit, 55, 2, time.UnixMilli(1234)), 0o600); err != nil {
			t.Fatal(err)
		}
		var got []batch
		_, _, err := scanSegment(path, func(b batch, c bool) {
			if c != commit {
				t.Errorf("a marker with commit %v says %v", commit, c)
			}
			got = append(got, b)
		})
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		if b := got[0]; b.first != 55 || b.last != 55 || b.producer != (producer{1 << 40, 9}) || !b.control || b.inTx || b.leaderEpoch != 2 || b.maxTime != 1234 {
			t.Errorf("decoded as %+v", b)
		}
	}
}
