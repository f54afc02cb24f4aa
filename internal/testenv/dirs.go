package testenv

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// runPrefix begins the name of every Env's folder. It is short because the
// path of a Unix socket inside is limited to 107 bytes.
const runPrefix = "cdct-"

// identity is the user that servers run as.
type identity struct {
	drop     bool // we are root and must change to uid, gid
	uid, gid int
}

// serverIdentity returns nobody for root (PostgreSQL refuses to run as root)
// and the current user for everybody else.
func serverIdentity() (identity, error) {
	if os.Geteuid() != 0 {
		return identity{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return identity{}, fmt.Errorf("look up the user nobody, who runs the servers when root starts them: %w", err)
	}
	uid, errUID := strconv.Atoi(nobody.Uid)
	gid, errGID := strconv.Atoi(nobody.Gid)
	if err := errors.Join(errUID, errGID); err != nil {
		return identity{}, fmt.Errorf("read the ids of user nobody: %w", err)
	}
	return identity{drop: true, uid: uid, gid: gid}, nil
}

// own gives path to the servers' user.
func (id identity) own(path string) error {
	if !id.drop {
		return nil
	}
	if err := os.Chown(path, id.uid, id.gid); err != nil {
		return fmt.Errorf("give %s to user %d: %w", path, id.uid, err)
	}
	return nil
}

// reaches reports whether the servers' user can enter dir from the root of
// the file system (a checkout below a 0700 home cannot be entered by nobody).
func (id identity) reaches(dir string) bool {
	if !id.drop {
		return true
	}
	for d := dir; ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err == nil && info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false
		}
		if d == filepath.Dir(d) {
			return true
		}
	}
}

// makeRunDir makes an Env's folder and holds a lock in it for as long as this
// process lives: a folder whose lock is free has lost its owner.
func makeRunDir(id identity) (string, *os.File, error) {
	base, err := tempBase(id)
	if err != nil {
		return "", nil, err
	}
	sweep(base)
	dir, err := os.MkdirTemp(base, runPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("make a temporary folder for servers: %w", err)
	}
	// Other users may pass through but not list; each server's folder is its own.
	if err := os.Chmod(dir, 0o711); err != nil {
		return "", nil, fmt.Errorf("open the folder of servers: %w", err)
	}
	// Locked before it gets its name: a sweep never sees it unlocked.
	fresh := filepath.Join(dir, "lock.new")
	lock, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, fmt.Errorf("make the lock of the servers' folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return "", nil, errors.Join(fmt.Errorf("lock the servers' folder %s: %w", dir, err), lock.Close())
	}
	if err := os.Rename(fresh, filepath.Join(dir, "lock")); err != nil {
		return "", nil, errors.Join(fmt.Errorf("name the lock of the servers' folder: %w", err), lock.Close())
	}
	return dir, lock, nil
}

// tempBase picks a temporary folder that the servers' user can enter and that
// leaves room for a socket's path.
func tempBase(id identity) (string, error) {
	const room = 60 // bytes for the base; the rest of the 107 is ours
	for _, base := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if info, err := os.Stat(base); err != nil || !info.IsDir() {
			continue
		}
		if len(base) <= room && id.reaches(base) {
			return base, nil
		}
	}
	return "", fmt.Errorf("no temporary folder for servers: %s, /tmp and /var/tmp are missing, too long (over %d bytes) or closed to user %d; set TMPDIR to a short folder that others may enter", os.TempDir(), room, id.uid)
}

// sweep removes the folders of Envs whose process was killed.
func sweep(base string) {
	dirs, err := filepath.Glob(filepath.Join(base, runPrefix+"*"))
	if err != nil {
		return // only a malformed pattern can fail
	}
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || !ownedByUs(info) {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			// Being made or being removed right now, unless it is old.
			if time.Since(info.ModTime()) > time.Minute {
				_ = os.RemoveAll(dir) // best effort: the next Start tries again
			}
			continue
		}
		if err != nil {
			continue
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(dir) // best effort: the next Start tries again
		}
		_ = lock.Close() // read-only use
	}
}

func ownedByUs(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

func removeRunDir(dir string, lock *os.File) error {
	if err := os.RemoveAll(dir); err != nil {
		return errors.Join(fmt.Errorf("remove the servers' folder: %w", err), lock.Close())
	}
	if err := lock.Close(); err != nil {
		return fmt.Errorf("release the lock of %s: %w", dir, err)
	}
	return nil
}

// cacheDir finds the folder of unpacked servers, as Options.Cache describes.
func cacheDir(asked string, id identity) (string, error) {
	dir := asked
	if dir == "" {
		dir = os.Getenv("CDC_CACHE_DIR")
	}
	if dir == "" {
		if root, ok := moduleRoot(); ok {
			dir = filepath.Join(root, ".cache")
		} else if home, err := os.UserCacheDir(); err == nil {
			dir = filepath.Join(home, "cdc")
		} else {
			return "", fmt.Errorf("find a cache folder for servers: %w; set CDC_CACHE_DIR", err)
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	if err := makeOpenDir(dir); err != nil {
		return "", fmt.Errorf("make the cache folder: %w; set CDC_CACHE_DIR to a folder that you may write", err)
	}
	if id.reaches(dir) {
		return dir, nil
	}
	return reachableCache(dir)
}

// makeOpenDir makes a folder, with its parents, that everybody may enter
// whatever the umask; one that is there stays as it is.
func makeOpenDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// reachableCache makes a stand-in for a cache folder that nobody cannot
// enter, and leaves a link to it there, by which `make clean` finds it.
func reachableCache(dir string) (string, error) {
	sum := sha256.Sum256([]byte(dir))
	stand := filepath.Join("/var/tmp", "cdc-cache-"+hex.EncodeToString(sum[:6]))
	if err := makeOpenDir(stand); err != nil {
		return "", fmt.Errorf("make a cache folder outside of %s, which user nobody cannot enter: %w", dir, err)
	}
	// The name can be guessed, so somebody else may have been here first.
	info, err := os.Lstat(stand)
	if err != nil {
		return "", fmt.Errorf("inspect the cache folder: %w", err)
	}
	if !info.IsDir() || !ownedByUs(info) || info.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("the cache folder %s is not a folder of ours that only we may write; remove it", stand)
	}
	link := filepath.Join(dir, "elsewhere")
	if err := os.Symlink(stand, link); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("note where the cache folder is: %w", err)
	}
	return stand, nil
}

// moduleRoot finds the checkout that holds the working directory.
func moduleRoot() (string, bool) {
	dir, err := os.Getwd()
	if err != nil {
		return "", false
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module github.com/etlsandbox/cdc\n") {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}
