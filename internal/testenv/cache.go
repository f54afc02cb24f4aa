package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// failureHolds is how long a download that failed is not tried again by
// starts of servers, so that a suite without network does not wait for it in
// each of its packages. Fetch always tries.
const failureHolds = 10 * time.Minute

// cached returns the folder of that name in the cache; make fills it if it is
// not there, and returns what its stamp says. Runs that need the same folder
// at once do the work once; a folder without its stamp, left by a run that was
// killed, is made anew. what names the content in messages.
func (e *Env) cached(ctx context.Context, name, what string, make func(dir string) (stamp string, err error)) (string, error) {
	dir := filepath.Join(e.cache, name)
	if stamped(dir) {
		return dir, nil
	}
	unlock, err := e.lockCache(ctx, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if stamped(dir) {
		return dir, nil // another run made it while we waited
	}
	failed := dir + failedSuffix
	if err := recentFailure(failed); err != nil {
		return "", err
	}
	if err := errors.Join(os.RemoveAll(dir), makeOpenDir(dir)); err != nil {
		return "", fmt.Errorf("make a folder for %s: %w", what, err)
	}
	done := e.step("download and unpack %s", what)
	stamp, err := make(dir)
	if err != nil {
		done("failed")
		err = errors.Join(err, os.RemoveAll(dir))
		if ctx.Err() == nil {
			// Only a hint for later runs: without it they try again.
			_ = os.WriteFile(failed, []byte(err.Error()+"\n"), 0o644)
		}
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "ok"), []byte(stamp+"\n"), 0o644); err != nil {
		return "", fmt.Errorf("mark %s as complete: %w", dir, err)
	}
	done("into " + dir)
	return dir, nil
}

const failedSuffix = ".failed"

// recentFailure tells of a try that failed a short while ago.
func recentFailure(file string) error {
	info, err := os.Stat(file)
	if err != nil || time.Since(info.ModTime()) > failureHolds {
		return nil //nolint:nilerr // no try is known of: this one is made
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	return fmt.Errorf("tried %s ago (`make servers` tries again): %s", time.Since(info.ModTime()).Round(time.Second), strings.TrimSpace(string(text)))
}

// forgetFailures makes the next fetches try again.
func (e *Env) forgetFailures() error {
	files, err := filepath.Glob(filepath.Join(e.cache, "*"+failedSuffix))
	if err != nil {
		return fmt.Errorf("list failed downloads: %w", err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("forget a failed download: %w", err)
		}
	}
	return nil
}

// stamped reports whether dir was filled to its end.
func stamped(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "ok"))
	return err == nil
}

// lockCache lets one process at a time work on a name of the cache.
func (e *Env) lockCache(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(e.cache, name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the cache: %w; set CDC_CACHE_DIR to a folder that you may write", err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for said := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // nothing was written to it
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
		}
		if !said {
			e.logf("another run is unpacking %s (it holds %s); waiting for it", name, f.Name())
			said = true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for another run that unpacks %s: %w", name, ctx.Err()), f.Close())
		}
	}
}
