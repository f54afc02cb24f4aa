package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// LimitFileSize limits how long any file may become that the running process
// pid writes, from now on: a write beyond fails with EFBIG. It also raises the
// limit again, up to where it was before the first call. Without root it works
// on processes of the same user.
//
// The kernel sends SIGXFSZ along, which ends a process that does not ignore it.
func LimitFileSize(pid int, bytes uint64) error {
	// Only the soft limit: lowering the hard one could not be undone.
	var now unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &now); err != nil {
		return fmt.Errorf("read the file size limit of process %d: %w", pid, err)
	}
	now.Cur = min(bytes, now.Max)
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &now, nil); err != nil {
		return fmt.Errorf("limit the file size of process %d to %d bytes: %w", pid, bytes, err)
	}
	return nil
}

// Disk is a small file system that can be filled: programs run through
// [Disk.Command] see it at Dir, get a true ENOSPC when it is full, and find
// it as they left it in their next run. It lives in memory, in a mount
// namespace that a keeper process holds; nobody else sees it.
type Disk struct {
	Dir    string // where the programs see it
	keeper *exec.Cmd
}

// NewDisk makes a disk of that many bytes for one test and mounts it on dir,
// an existing folder. The test is skipped where the kernel does not let this
// user make namespaces, unless CDC_REQUIRE names "disk".
func NewDisk(t TB, dir string, size int64) *Disk {
	t.Helper()
	// The user namespace gives an ordinary user the right to mount; the
	// keeper says when it is done and then waits for the end of its input.
	script := `mount -t tmpfs -o size="$1",mode=0777 tmpfs "$2" && echo ready && exec cat`
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", strconv.FormatInt(size, 10), dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, errIn := cmd.StdinPipe()
	stdout, errOut := cmd.StdoutPipe()
	var said bytes.Buffer
	cmd.Stderr = &said
	err := errors.Join(errIn, errOut)
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("testenv: make a small disk: %v", err)
	}
	d := &Disk{Dir: dir, keeper: cmd}
	t.Cleanup(func() {
		_ = stdin.Close() // ends the keeper
		_ = cmd.Wait()    // whatever it says, the disk is gone
	})
	ready := make([]byte, len("ready\n"))
	if n, err := stdout.Read(ready); err != nil || n != len(ready) {
		if required(os.Getenv("CDC_REQUIRE"), "disk") {
			t.Fatalf("testenv: CDC_REQUIRE asks for small disks: %v %s", err, strings.TrimSpace(said.String()))
		}
		t.Skipf("testenv: SKIPPED: this user may not mount a small disk (unprivileged user namespaces are off?): %s", strings.TrimSpace(said.String()))
	}
	return d
}

// Command is exec.Command for a program that sees the disk. The program is
// root in its user namespace and nothing outside.
func (d *Disk) Command(name string, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(d.keeper.Process.Pid), "--user", "--mount", "--preserve-credentials", "--", name}
	return exec.Command("nsenter", append(enter, args...)...)
}

// Path is where this process, outside of the namespace, finds a file of the
// disk.
func (d *Disk) Path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(d.keeper.Process.Pid), "root", d.Dir, name)
}

// ballast is the file that takes the disk's space.
const ballast = ".ballast"

// Fill writes until the disk is full.
func (d *Disk) Fill() error {
	f, err := os.OpenFile(d.Path(ballast), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	block := make([]byte, 4<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	if closeErr := f.Close(); closeErr != nil {
		return fmt.Errorf("fill the disk: %w", closeErr)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("fill the disk: %w", err)
	}
	return nil
}

// Free gives back what Fill took.
func (d *Disk) Free() error {
	if err := os.Remove(d.Path(ballast)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("free the disk: %w", err)
	}
	return nil
}
