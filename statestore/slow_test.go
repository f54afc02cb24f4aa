package statestore

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// slowFS is a disk that takes its time for every write and every sync.
type slowFS struct {
	vfs.FS
	delay  time.Duration
	writes *atomic.Int64
}

func (fs slowFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return slowFile{f, fs}, err
}

func (fs slowFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(old, name, c)
	return slowFile{f, fs}, err
}

func (fs slowFS) Unwrap() vfs.FS { return fs.FS }

// wait lasts as long as the disk takes for n bytes, at 16 MiB a second.
func (fs slowFS) wait(n int) {
	fs.writes.Add(1)
	<-time.After(fs.delay + time.Duration(n)*time.Second/(16<<20))
}

type slowFile struct {
	vfs.File
	fs slowFS
}

func (f slowFile) Write(p []byte) (int, error) { f.fs.wait(len(p)); return f.File.Write(p) }
func (f slowFile) Sync() error                 { f.fs.wait(0); return f.File.Sync() }
func (f slowFile) SyncData() error             { f.fs.wait(0); return f.File.SyncData() }

// TestSlowDisk: a disk that is slow, not full, makes commits wait; it fails nothing, loses nothing, and what waits
// for it in memory has a ceiling.
func TestSlowDisk(t *testing.T) {
	writes := new(atomic.Int64)
	disk := slowFS{vfs.NewMem(), time.Millisecond, writes}
	s, err := openAt(disk)
	if err != nil {
		t.Fatal(err)
	}
	const batches, rows = 24, 2000
	name := func(batch int, id int64) string { return fmt.Sprintf("%064d-%d", id*7919, batch) }
	began, most := time.Now(), uint64(0)
	for batch := range batches {
		b := s.NewBatch()
		for i := range int64(rows) {
			put(t, b, i+int64(batch)*rows/2, name(batch, i))
		}
		mustCommit(t, b)
		most = max(most, s.Metrics().MemTables)
	}
	took := time.Since(began)
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := s.Err(); err != nil {
		t.Fatalf("a slow disk is not a broken one: %v", err)
	}
	ceiling := 3*s.budget.memtable + uint64(s.budget.large)
	t.Logf("%d batches in %s, %d slow writes, at most %d KiB of memtables, ceiling %d KiB", batches, took.Round(time.Millisecond), writes.Load(), most>>10, ceiling>>10)
	if most == 0 || most > ceiling {
		t.Errorf("%d bytes waited in memory, the ceiling is %d", most, ceiling)
	}
	if writes.Load() < 50 || took < 500*time.Millisecond {
		t.Errorf("%d writes were slow, %s in all: the test shows nothing", writes.Load(), took)
	}
	check := func() {
		t.Helper()
		r, err := s.Read()
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, r)
		for _, batch := range []int{0, batches / 2, batches - 1} {
			for _, i := range []int64{0, rows/2 - 1} { // not written again by the batch behind
				id := i + int64(batch)*rows/2
				row, err := r.Row(0, key(id))
				if err != nil || row == nil || row[1].Text() != name(batch, i) {
					t.Errorf("row %d is %v (%v), want %s", id, row, err, name(batch, i))
				}
			}
		}
	}
	check()
	mustClose(t, s)
	if s, err = openAt(disk); err != nil {
		t.Fatal(err)
	}
	check()
	mustClose(t, s)
}
