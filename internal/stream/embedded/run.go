package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Run trims the kept streams and watches the disk until ctx ends; it returns what Failed gets. Without it
// the broker's memory grows.
func (b *Broker) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	defer b.release()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-b.failed:
			b.fail(err) // for whoever else looks
			return err
		case <-tick.C:
		}
		if err := b.probe(); err != nil {
			b.fail(err)
			continue
		}
		if err := b.tend(ctx); err != nil && ctx.Err() == nil {
			// The broker is in this process: what fails now may work in a second, and room is left.
			b.cfg.Log.Warn("trim the embedded broker", "err", err)
		}
	}
}

// release closes the keepers' connections.
func (b *Broker) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range b.keepers {
		k.log.Close()
	}
	b.keepers = nil
}

// probe writes a file beside the log and makes it durable: kfake overlooks an fsync that fails.
func (b *Broker) probe() error {
	path := filepath.Join(b.cfg.Dir, "probe")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = f.WriteString(time.Now().UTC().Format(time.RFC3339Nano) + "\n")
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("probe the disk of the embedded broker at %s: %w (free or replace the disk, then start again)", b.cfg.Dir, err)
	}
	return nil
}

// folderSize sums up the files in a folder; files that vanish meanwhile do not count.
func folderSize(dir string) (int64, error) {
	var n int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", dir, err)
	}
	return n, nil
}
