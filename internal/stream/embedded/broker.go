// Package embedded runs a Kafka broker inside the process: franz-go's kfake with a data folder. It is for
// one daemon on one machine, for demonstrations and small installations; anybody on the machine can read
// and write it, and there is no replication. What kfake does not do is done here: its memory is bounded by
// trimming, a commit that a crash tore is completed at start, and a disk that fails ends Run.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"golang.org/x/sys/unix"

	"github.com/etlsandbox/cdc/internal/stream/kafka"
)

// Config describes the broker. Dir and Listen are required.
type Config struct {
	// Dir is its folder, on a local disk; nobody else may use it.
	Dir string
	// Listen is a loopback address with a port; port 0 takes a free one.
	Listen string
	// SyncWrites makes every write durable before it is acknowledged, at a cost: without it a power cut loses
	// the last moments, which readers detect and heal by covers.
	SyncWrites bool
	// MaxBytes is what its files may hold; above it the oldest records go. Default 4 GiB.
	MaxBytes int64
	// MaxBatches bounds the stored batches, each of which costs memory (about 100 bytes): a small transaction
	// over five topics stores a dozen. Default 600,000.
	MaxBatches int64
	// MaxAge drops what is older; 0 keeps it.
	MaxAge time.Duration
	// MaxMessageBytes is the largest batch it takes. Default 64 MiB and a little.
	MaxMessageBytes int
	// Log gets what the broker has to say. Default: none.
	Log *slog.Logger
}

// Broker is a running broker.
type Broker struct {
	cfg     Config
	lock    *os.File
	cluster *kfake.Cluster
	addr    string

	failed   chan error // holds the first failure of the disk
	keepers  []*keeper
	mu       sync.Mutex // guards keepers
	fill     atomic.Uint64
	diskSize atomic.Int64
	tended   atomic.Int64 // when it was looked after last, Unix milliseconds
}

// Open starts the broker; Close stops it. It fails if another process uses the folder.
func Open(ctx context.Context, cfg Config) (*Broker, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the broker's folder %s: %w", cfg.Dir, err)
	}
	lock, err := lockFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	b := &Broker{cfg: cfg, lock: lock, failed: make(chan error, 1)}
	if err := b.start(ctx); err != nil {
		_ = lock.Close() // the error at hand says more
		return nil, err
	}
	return b, nil
}

func (c *Config) complete() error {
	if c.Dir == "" {
		return errors.New("start the embedded broker: it has no folder (set data_dir)")
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("start the embedded broker on %q: %w (set broker.listen to a loopback address with a port)", c.Listen, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("start the embedded broker on %q: it has no access control, so only a loopback address is allowed (set broker.listen, or use broker.type: kafka)", c.Listen)
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 4 << 30
	}
	if c.MaxBatches == 0 {
		c.MaxBatches = 600_000
	}
	if c.MaxMessageBytes == 0 {
		c.MaxMessageBytes = 64<<20 + 1<<20
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// segmentBytes is the size of segment files: only whole ones are deleted, and each is read as a whole at
// start.
func (c *Config) segmentBytes() int64 { return max(64<<10, min(c.MaxBytes/1024, 4<<20)) }

// lockFolder takes the folder for this process. The lock ends with the process, however it ends.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the broker's lock %s: %w", path, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		pid := make([]byte, 20)
		n, _ := f.ReadAt(pid, 0) // best effort: only for the message
		_ = f.Close()
		return nil, fmt.Errorf("lock the broker's folder %s: process %s uses it: %w (stop it, or set another data_dir)", dir, pid[:n], err)
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write the broker's lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

func (b *Broker) start(ctx context.Context) error {
	began := time.Now()
	data := filepath.Join(b.cfg.Dir, "log")
	if err := recoverFolder(data, b.cfg.Log); err != nil {
		return fmt.Errorf("recover the broker's folder %s: %w", data, err)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", b.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s for the embedded broker: %w (set broker.listen to a free port)", b.cfg.Listen, err)
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(1), kfake.DataDir(data), kfake.ClusterID("cdc-embedded"),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return ln, nil }),
		kfake.WithLogger(&logger{b: b}),
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes": strconv.FormatInt(b.cfg.segmentBytes(), 10),
			"message.max.bytes": strconv.Itoa(b.cfg.MaxMessageBytes),
			// Its cleaner stops the whole broker while it works; the Writer and the trimming do its task.
			"log.cleaner.backoff.ms":     strconv.Itoa(1 << 30),
			"default.replication.factor": "1",
		}),
	}
	if b.cfg.SyncWrites {
		opts = append(opts, kfake.SyncWrites())
	}
	if b.cluster, err = kfake.NewCluster(opts...); err != nil {
		return errors.Join(fmt.Errorf("start the embedded broker: %w", err), ln.Close())
	}
	b.addr = ln.Addr().String()
	b.cfg.Log.Info(fmt.Sprintf("embedded broker started on %s over %s within %s", b.addr, b.cfg.Dir, time.Since(began).Round(time.Millisecond)))
	return nil
}

// Addr is the address that it listens on.
func (b *Broker) Addr() string { return b.addr }

// Client is how to reach it.
func (b *Broker) Client() kafka.Config {
	return kafka.Config{Brokers: []string{b.addr}, Log: b.cfg.Log}
}

// Failed gets the first error of the disk: what was acknowledged before may be lost, and the daemon has
// to stop.
func (b *Broker) Failed() <-chan error { return b.failed }

// fail reports a failure of the disk; the first one counts.
func (b *Broker) fail(err error) {
	select {
	case b.failed <- err:
	default:
	}
}

// Close stops the broker cleanly: a restart is then faster.
func (b *Broker) Close() error {
	b.cluster.Close()
	if err := b.lock.Close(); err != nil {
		return fmt.Errorf("unlock the broker's folder %s: %w", b.cfg.Dir, err)
	}
	return nil
}
