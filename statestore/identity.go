package statestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
)

// FormatVersion is the version of everything that the store keeps: keys, values, meta. A store of another
// version is refused.
const FormatVersion = 1

// ErrFormat says that the directory was written by another version of this program.
var ErrFormat = errors.New("the state directory has another format")

// ErrForeign says that the directory holds files that are not this store's.
var ErrForeign = errors.New("the directory is not a state directory")

// ErrLocked says that another process has the directory open.
var ErrLocked = errors.New("the state directory is in use")

const identityFile = "IDENTITY"

// identity marks the directory as ours and tells a copy of it from itself.
type identity struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
	// File is the number that the file system gave to the identity file: a copy has another. 0 unknown.
	File uint64 `json:"file,omitempty"`
}

// readIdentity returns the directory's identity, a new one if the directory is empty. moved says that
// the directory is a copy of another, or was restored.
func readIdentity(fs vfs.FS, dir string) (id identity, moved bool, err error) {
	path := fs.PathJoin(dir, identityFile)
	f, err := fs.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		id, err = createIdentity(fs, dir)
		return id, false, err
	}
	if err != nil {
		return id, false, fmt.Errorf("open %s: %w", path, err)
	}
	raw, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return id, false, fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(raw, &id); err != nil {
		return id, false, fmt.Errorf("read %s: %w: %w; delete %s to rebuild the state", path, ErrForeign, err, dir)
	}
	if id.Format != FormatVersion {
		return id, false, fmt.Errorf("%w: %s has version %d, this program reads version %d; run the version that wrote it, or delete %s: the state is rebuilt from the source", ErrFormat, dir, id.Format, FormatVersion, dir)
	}
	info, err := fs.Stat(path)
	if err != nil {
		return id, false, fmt.Errorf("stat %s: %w", path, err)
	}
	now := fileNumber(info)
	return id, id.File != 0 && now != 0 && id.File != now, nil
}

// createIdentity refuses a directory with unknown content and writes a new identity otherwise.
func createIdentity(fs vfs.FS, dir string) (identity, error) {
	names, err := fs.List(dir)
	if err != nil {
		return identity{}, fmt.Errorf("list %s: %w", dir, err)
	}
	for _, n := range names {
		// A crash may have left these behind before the identity was there.
		if n != "LOCK" && n != identityFile+".new" {
			return identity{}, fmt.Errorf("%w: %s holds %s and no %s; give an empty directory, or delete this one", ErrForeign, dir, n, identityFile)
		}
	}
	return newIdentity(fs, dir)
}

// newIdentity makes the directory a new one.
func newIdentity(fs vfs.FS, dir string) (identity, error) {
	id := identity{Format: FormatVersion, ID: uuid.NewString()}
	return id, writeIdentity(fs, dir, &id, true)
}

// writeIdentity writes the identity file, complete or not at all. own fills in File, so that the
// directory counts as the original.
func writeIdentity(fs vfs.FS, dir string, id *identity, own bool) error {
	path := fs.PathJoin(dir, identityFile)
	f, err := fs.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	write := func() error {
		if own {
			info, err := f.Stat()
			if err != nil {
				return err
			}
			id.File = fileNumber(info)
		}
		raw, err := json.Marshal(id)
		if err != nil {
			return err
		}
		if _, err := f.Write(append(raw, '\n')); err != nil {
			return err
		}
		return f.Sync()
	}
	if err := errors.Join(write(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := fs.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(fs, dir)
}

// makeDir creates a directory and what is missing above it, so that a crash of the machine keeps them.
func makeDir(fs vfs.FS, dir string) error {
	var parents []string
	for at := fs.PathDir(dir); ; at = fs.PathDir(at) {
		parents = append(parents, at)
		if _, err := fs.Stat(at); err == nil || fs.PathDir(at) == at {
			break
		}
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create directory %s: %w", dir, err)
	}
	for _, p := range parents {
		if err := syncDir(fs, p); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
