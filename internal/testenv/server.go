package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long a server gets to answer after its start, and to stop when asked.
const (
	readyTimeout = 3 * time.Minute // a loaded machine with a JVM
	stopTimeout  = 60 * time.Second
)

// ErrExternal is returned by the calls that would kill, stop or pause a
// server whose address came from the environment: it is not ours.
var ErrExternal = errors.New("the server's address came from the environment; only servers that testenv started can be stopped, killed or paused")

// Server is one running (or stopped, or killed) server. The typed servers
// embed it. Its methods may be called from several goroutines, one at a time
// each.
type Server struct {
	Kind    string // one of the Kind constants
	Version string // as the server reports it
	From    string // "environment", "machine", "packages", "npm", "archive" or "container"
	Host    string
	Port    int
	Addr    string // Host:Port, loopback unless From is "environment"

	env    *Env
	engine engine // nil: external
	dir    string
	remove func() error // deletes what the engine leaves behind; may be nil
	// alive connects and returns the version. It is called until it succeeds.
	alive func(ctx context.Context, s *Server) (string, error)

	mu    sync.Mutex
	extra []string // the caller's arguments of the last start
}

// engine is how a server is run: as a process or in a container.
type engine interface {
	// run starts the server on port with these extra arguments; it does not
	// wait until the server answers.
	run(port int, extra []string) error
	// signal sends sig to the whole server; one that has ended is no error.
	signal(sig syscall.Signal) error
	// end stops the server by its own polite (or, if hard, its fastest
	// tidy) way and waits for it.
	end(ctx context.Context, hard bool) error
	// state tells whether the server has ended, and the end of its output.
	state() (exited bool, tail string)
}

// Stop shuts the server down in its regular way and keeps its data.
func (s *Server) Stop(ctx context.Context) error {
	if s.engine == nil {
		return ErrExternal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop(ctx)
}

func (s *Server) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := s.engine.signal(syscall.SIGCONT); err != nil {
		return err
	}
	return s.engine.end(ctx, false)
}

// Kill9 kills the server and all its processes with SIGKILL and returns when
// they are gone. Its data stays for a Restart.
func (s *Server) Kill9() error {
	if s.engine == nil {
		return ErrExternal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.engine.signal(syscall.SIGKILL); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return s.engine.end(ctx, true)
}

// Restart starts the server on its old port and data, stopping it first if it
// runs, and returns when it answers. Without args it keeps the extra
// arguments of the last start; with args they replace those.
func (s *Server) Restart(ctx context.Context, args ...string) error {
	if s.engine == nil {
		return ErrExternal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if exited, _ := s.engine.state(); !exited {
		if err := s.stop(ctx); err != nil {
			return fmt.Errorf("restart %s: %w", s.Kind, err)
		}
	}
	if len(args) > 0 {
		s.extra = args
	}
	if err := s.engine.run(s.Port, s.extra); err != nil {
		return fmt.Errorf("restart %s: %w", s.Kind, err)
	}
	if err := s.wait(ctx); err != nil {
		return fmt.Errorf("restart %s: %w", s.Kind, err)
	}
	return nil
}

// Pause freezes the server (SIGSTOP): connections stay open and nothing answers.
func (s *Server) Pause() error {
	if s.engine == nil {
		return ErrExternal
	}
	return s.engine.signal(syscall.SIGSTOP)
}

// Continue lets a paused server go on.
func (s *Server) Continue() error {
	if s.engine == nil {
		return ErrExternal
	}
	return s.engine.signal(syscall.SIGCONT)
}

// Log returns the end of the server's own output, empty for an external one.
func (s *Server) Log() string {
	if s.engine == nil {
		return ""
	}
	_, tail := s.engine.state()
	return tail
}

// Dir is the server's folder, with its data; empty for an external server or
// one in a container.
func (s *Server) Dir() string { return s.dir }

// Pid is the process of a server that testenv runs on this machine and that is
// up, else 0.
func (s *Server) Pid() int {
	l, ok := s.engine.(*local)
	if !ok {
		return 0
	}
	if p := l.current(); p != nil && !p.exited() {
		return p.cmd.Process.Pid
	}
	return 0
}

// destroy ends the server by the shortest way that leaves no trace.
func (s *Server) destroy() error {
	if s.engine == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.engine.signal(syscall.SIGCONT); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := s.engine.end(ctx, true)
	if s.remove != nil {
		err = errors.Join(err, s.remove())
	}
	if err != nil {
		return fmt.Errorf("end %s: %w", s.Kind, err)
	}
	return nil
}

// begin gives s a free port, starts it and waits until it answers. A port
// that somebody else took in between is replaced.
func (s *Server) begin(ctx context.Context, args []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extra = args
	for try := 1; ; try++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		s.Host, s.Port = "127.0.0.1", port
		s.Addr = net.JoinHostPort(s.Host, strconv.Itoa(port))
		if err := s.engine.run(port, args); err != nil {
			return err
		}
		err = s.wait(ctx)
		if err == nil {
			return nil
		}
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		stopErr := s.engine.end(stopCtx, true)
		cancel()
		_, tail := s.engine.state()
		if stopErr != nil || try == 3 || !strings.Contains(strings.ToLower(tail), "address already in use") {
			return errors.Join(err, stopErr)
		}
	}
}

// wait returns when the server answers, with its version noted.
func (s *Server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		try, cancelTry := context.WithTimeout(ctx, 5*time.Second)
		version, err := s.alive(try, s)
		cancelTry()
		if err == nil {
			s.Version = version
			return nil
		}
		if exited, tail := s.engine.state(); exited {
			return fmt.Errorf("%s ended instead of answering; its last words:\n%s", s.Kind, tail)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_, tail := s.engine.state()
			return fmt.Errorf("%s does not answer on %s: %w (last try: %w); its last words:\n%s", s.Kind, s.Addr, ctx.Err(), err, tail)
		}
	}
}

// freePort finds a loopback port that nobody listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free loopback port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return 0, fmt.Errorf("give back loopback port %d: %w", port, err)
	}
	return port, nil
}

// local runs a server as a process of this machine.
type local struct {
	name     string
	prog     program
	user     identity
	dir      string
	log      string
	args     func(port int) []string // the whole command line but the extras
	before   func(port int) error    // runs before every start; may be nil
	stopSig  syscall.Signal          // regular shutdown
	quickSig syscall.Signal          // fastest end that leaves nothing behind

	mu   sync.Mutex
	proc *process
}

func newLocal(name string, prog program, user identity, dir string) *local {
	return &local{
		name: name, prog: prog, user: user, dir: dir,
		log:     filepath.Join(dir, "log"),
		stopSig: syscall.SIGTERM, quickSig: syscall.SIGKILL,
	}
}

func (l *local) run(port int, extra []string) error {
	if l.before != nil {
		if err := l.before(port); err != nil {
			return err
		}
	}
	cmd := l.prog.command(append(l.args(port), extra...)...)
	cmd.Dir = l.dir
	p, err := launch(l.name, cmd, l.user, l.log, l.quickSig)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.proc = p
	l.mu.Unlock()
	return nil
}

func (l *local) current() *process {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.proc
}

func (l *local) signal(sig syscall.Signal) error {
	if p := l.current(); p != nil {
		return p.signal(sig)
	}
	return nil
}

func (l *local) end(ctx context.Context, hard bool) error {
	p := l.current()
	if p == nil {
		return nil
	}
	sig := l.stopSig
	if hard {
		sig = l.quickSig
	}
	return p.end(ctx, sig)
}

func (l *local) state() (bool, string) {
	p := l.current()
	if p == nil {
		return true, ""
	}
	return p.exited(), p.tail()
}

// once runs prog to its end as the servers' user, its input from a file if
// stdin is not empty, for preparing a data folder.
func once(ctx context.Context, e *Env, prog program, dir, stdin string, args ...string) error {
	cmd := prog.command(args...)
	cmd.Dir = dir
	if stdin != "" {
		in, err := os.Open(stdin)
		if err != nil {
			return fmt.Errorf("open the input of %s: %w", prog.name(), err)
		}
		defer in.Close()
		cmd.Stdin = in
	}
	log := filepath.Join(dir, "init.log")
	p, err := launch(prog.name(), cmd, e.user, log, syscall.SIGKILL)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return errors.Join(p.end(ctx, syscall.SIGKILL), ctx.Err())
	}
	if p.err != nil {
		return fmt.Errorf("run %s: %w; its last words:\n%s", prog.name(), p.err, p.tail())
	}
	return nil
}
