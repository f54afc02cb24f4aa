package statestore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A batch that is too large for memory is sorted in a scratch store and enters the database as files,
// all at once. It is as atomic as a small one, and durable: what was committed before it is synced
// first, so that a crash keeps a prefix still.

// The values in the sorter: a byte that says what happens to the key, then the value.
const (
	sortDelete byte = 0
	sortSet    byte = 1
)

// ingestFile is about how large one file becomes, in bytes.
const ingestFile = 32 << 20

// growIfLarge moves the batch to a sorter once it has outgrown its share of memory.
func (b *Batch) growIfLarge() error {
	if b.sorter != nil || b.b.Len() < b.s.budget.large {
		return nil
	}
	sorter, err := b.s.Scratch()
	if err != nil {
		return err
	}
	b.sorter, b.changed = sorter, nil
	for r := b.b.Reader(); len(r) > 0; {
		kind, key, value, ok, err := r.Next()
		if err == nil && !ok {
			break
		}
		switch {
		case err != nil:
		case kind == pebble.InternalKeyKindSet:
			err = b.sort(sortSet, key, value)
		case kind == pebble.InternalKeyKindDelete:
			err = b.sort(sortDelete, key, nil)
		case kind == pebble.InternalKeyKindRangeDelete:
			err = b.sortRange(key, value)
		default:
			err = fmt.Errorf("a batch holds an operation of kind %s", kind)
		}
		if err != nil {
			return fmt.Errorf("sort a large batch: %w", err)
		}
	}
	b.b.Reset()
	return nil
}

func (b *Batch) sort(op byte, key, value []byte) error {
	b.sorted = append(append(b.sorted[:0], op), value...)
	return b.sorter.Set(key, b.sorted)
}

// sortRange turns the removal of a range into removals of what is there.
func (b *Batch) sortRange(lo, hi []byte) (err error) {
	it, err := b.s.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid(); it.Next() {
		if err := b.sort(sortDelete, it.Key(), nil); err != nil {
			return err
		}
	}
	return it.Error()
}

// commitLarge writes the sorted batch to files and brings them into the database.
func (b *Batch) commitLarge() error {
	s := b.s
	dir := s.fs.PathJoin(s.dir, "scratch-ingest")
	if err := s.fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	paths, err := b.writeFiles(dir)
	if err == nil && len(paths) > 0 {
		err = s.db.LogData(nil, pebble.Sync)
	}
	if err == nil && len(paths) > 0 {
		err = s.db.Ingest(context.Background(), paths)
	}
	return errors.Join(err, s.fs.RemoveAll(dir))
}

func (b *Batch) writeFiles(dir string) (paths []string, err error) {
	var w *sstable.Writer
	var failed error
	err = b.sorter.Range(nil, nil, func(key, value []byte) bool {
		if w != nil && w.Raw().EstimatedSize() > ingestFile {
			failed = w.Close()
			w = nil
		}
		if w == nil && failed == nil {
			path := b.s.fs.PathJoin(dir, strconv.Itoa(len(paths)))
			paths = append(paths, path)
			w, failed = b.newFile(path)
		}
		if failed != nil {
			return false
		}
		if value[0] == sortSet {
			failed = w.Set(key, value[1:])
		} else {
			failed = w.Delete(key)
		}
		return failed == nil
	})
	if w != nil {
		failed = errors.Join(failed, w.Close())
	}
	return paths, errors.Join(failed, err)
}

func (b *Batch) newFile(path string) (*sstable.Writer, error) {
	f, err := b.s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	o := b.s.o.MakeWriterOptions(0, b.s.db.TableFormat())
	return sstable.NewWriter(objstorageprovider.NewFileWritable(f), o), nil
}
