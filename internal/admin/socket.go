package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// SocketName is the file name of the control socket in the data folder.
const SocketName = "cdc.sock"

// ErrOtherDaemon says that another daemon owns the data folder.
var ErrOtherDaemon = errors.New("another daemon runs on this data folder")

// Socket is the control socket of a daemon, and with it the ownership of its data folder.
type Socket struct {
	// Listener accepts connections; whoever serves on it may close it. The ownership lasts until Release.
	Listener net.Listener
	path     string
	// dir is the open data folder; the lock on it goes with the process, however that ends.
	dir *os.File
}

// Listen takes the ownership of a data folder, making it (0700) if need be, and opens its control socket
// (0600). A socket that a daemon left behind is replaced; a daemon that lives gives ErrOtherDaemon. The
// lock, not the socket, decides: two daemons that start together cannot both find a stale socket.
func Listen(dataDir string) (*Socket, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	dir, err := os.Open(dataDir)
	if err != nil {
		return nil, fmt.Errorf("open the data folder: %w", err)
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = dir.Close() // of a folder; the lock's error counts
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s (see `cdc status`; stop that one, or give this one a data_dir of its own)", ErrOtherDaemon, dataDir)
		}
		return nil, fmt.Errorf("lock the data folder %s: %w", dataDir, err)
	}
	s := &Socket{path: filepath.Join(dataDir, SocketName), dir: dir}
	if err := s.open(); err != nil {
		_ = dir.Close() // gives the lock back; nothing was written
		return nil, err
	}
	return s, nil
}

func (s *Socket) open() error {
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the control socket of an earlier daemon: %w", err)
	}
	l, err := net.Listen("unix", address(s.path, s.dir))
	if err != nil {
		return fmt.Errorf("open the control socket %s: %w", s.path, err)
	}
	// The name given to the system may be a short one (see address): remove the file by its own.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(s.path, 0o600); err != nil {
		_ = l.Close() // the error of Chmod counts
		return fmt.Errorf("protect the control socket: %w", err)
	}
	s.Listener = l
	return nil
}

// Path is the socket's file.
func (s *Socket) Path() string { return s.path }

// Release closes and removes the socket and gives up the data folder. Call it when the daemon has written
// its last.
func (s *Socket) Release() error {
	err := s.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	if e := os.Remove(s.path); err == nil && e != nil && !errors.Is(e, fs.ErrNotExist) {
		err = e
	}
	return errors.Join(err, s.dir.Close())
}

// maxSocketPath is what the address of a Unix socket can hold on every system we run on.
const maxSocketPath = 100

// address returns what to hand to the system for a socket: its path, or where that is too long a short
// path through the open folder, which Linux has.
func address(path string, dir *os.File) string {
	if len(path) <= maxSocketPath {
		return path
	}
	return "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + filepath.Base(path)
}
