package statestore

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guardedFS stops Pebble where a write fails (see guard). Failures to read and to find a file are passed
// on: Pebble returns those to the reader.
type guardedFS struct {
	vfs.FS
	g *guard
}

// Create implements vfs.FS.
func (fs guardedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	return fs.writable("create", name, f, err)
}

// OpenReadWrite implements vfs.FS.
func (fs guardedFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.OpenReadWrite(name, category, opts...)
	return fs.writable("open", name, f, err)
}

// ReuseForWrite implements vfs.FS.
func (fs guardedFS) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(old, name, category)
	return fs.writable("create", name, f, err)
}

// OpenDir implements vfs.FS.
func (fs guardedFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return guardedFile{f, name, fs.g}, nil
}

// Rename implements vfs.FS.
func (fs guardedFS) Rename(old, name string) error {
	err := fs.FS.Rename(old, name)
	if err != nil {
		fs.g.stop(fmt.Errorf("rename %s to %s: %w", old, name, err))
	}
	return err
}

// Unwrap implements vfs.FS.
func (fs guardedFS) Unwrap() vfs.FS { return fs.FS }

func (fs guardedFS) writable(what, name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		fs.g.stop(fmt.Errorf("%s %s: %w", what, name, err))
	}
	return guardedFile{f, name, fs.g}, nil
}

// guardedFile is a file that Pebble writes.
type guardedFile struct {
	vfs.File
	name string
	g    *guard
}

func (f guardedFile) check(what string, err error) error {
	if err != nil {
		f.g.stop(fmt.Errorf("%s %s: %w", what, f.name, err))
	}
	return err
}

// Write implements vfs.File.
func (f guardedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.check("write", err)
}

// WriteAt implements vfs.File.
func (f guardedFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(p, at)
	return n, f.check("write", err)
}

// Preallocate implements vfs.File.
func (f guardedFile) Preallocate(offset, length int64) error {
	return f.check("reserve space for", f.File.Preallocate(offset, length))
}

// Sync implements vfs.File.
func (f guardedFile) Sync() error { return f.check("sync", f.File.Sync()) }

// SyncData implements vfs.File.
func (f guardedFile) SyncData() error { return f.check("sync", f.File.SyncData()) }

// SyncTo implements vfs.File.
func (f guardedFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.check("sync", err)
}
