package embedded_test

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/stream/embedded"
)

// fullDisk tells a child process after how many bytes its files are full.
const fullDisk = "CDC_STREAM_FULL_DISK"

// crampedDaemon is a daemon whose disk fills up. It must end by itself.
func crampedDaemon(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 256 << 10, Max: 256 << 10}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	return daemon(dir)
}

// A write that fails is the end of the daemon, with the way out; what was acknowledged before is there.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childFolder+"="+dir, fullDisk+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("the daemon ended with %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "could not write to "+dir) || !strings.Contains(string(out), "free or replace the disk") {
		t.Errorf("it said: %s", out)
	}
	// With room again it goes on where it was.
	kill(t, dir, time.Second)
	mark, err := loadMark(dir)
	if err != nil || mark.IsZero() {
		t.Errorf("the reader stands at %v, %v", mark, err)
	}
}

// A folder that cannot be written to is noticed even when nothing is written to the log.
func TestProbe(t *testing.T) {
	dir := t.TempDir()
	b := open(t, embedded.Config{Dir: dir})
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := os.Mkdir(dir+"/probe", 0o700); err != nil { // a folder where the file should be
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.Run(ctx); err == nil || !strings.Contains(err.Error(), "probe the disk") {
		t.Errorf("Run ended with %v", err)
	}
	select {
	case err := <-b.Failed():
		if err == nil {
			t.Error("Failed has no error")
		}
	default:
		t.Error("Failed has nothing")
	}
}
