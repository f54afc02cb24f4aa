package testenv

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Options say where an Env puts its files and what it tells.
type Options struct {
	// Log receives one line per step, with its duration. Nil: no lines.
	// Writes are serialised by the Env.
	Log io.Writer
	// Cache is the folder of unpacked servers, shared by all runs. Empty:
	// $CDC_CACHE_DIR, else .cache of the module that holds the working
	// directory, else the user's cache folder.
	Cache string
	// Report is a file that gets one line per started or missing server (see
	// ReadReport). Empty: $CDC_TESTENV_REPORT, else none.
	Report string
}

// Env owns servers and the folder they live in. Its methods may be called
// from several goroutines.
type Env struct {
	cache    string
	report   string
	dir      string // private temporary folder, absolute, short
	lock     *os.File
	user     identity
	password string // of every admin user that this Env creates

	logMu sync.Mutex
	log   io.Writer

	// life ends with Close. It is held here because starts that several
	// callers have under way must all end with the Env, not with one caller.
	life     context.Context
	endLife  context.CancelFunc
	starting sync.WaitGroup // starts under way

	mu      sync.Mutex
	closed  bool
	next    int
	servers []*Server
}

// Start makes an Env without servers. It first removes what earlier
// processes, killed before they could tidy up, left in the temporary folder.
// The caller must Close the Env.
func Start(ctx context.Context, o Options) (*Env, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start test servers: %w", err)
	}
	user, err := serverIdentity()
	if err != nil {
		return nil, err
	}
	e := &Env{log: o.Log, report: o.Report, user: user}
	if e.log == nil {
		e.log = io.Discard
	}
	if e.report == "" {
		e.report = os.Getenv("CDC_TESTENV_REPORT")
	}
	if e.cache, err = cacheDir(o.Cache, user); err != nil {
		return nil, err
	}
	secret := make([]byte, 12)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("make a password for the test servers: %w", err)
	}
	e.password = hex.EncodeToString(secret)
	if e.dir, e.lock, err = makeRunDir(user); err != nil {
		return nil, err
	}
	e.life, e.endLife = context.WithCancel(context.Background())
	return e, nil
}

// Dir is the Env's private folder; Close removes it with all that is in it.
func (e *Env) Dir() string { return e.dir }

// Cache is the folder that holds unpacked servers; it outlives the Env.
func (e *Env) Cache() string { return e.cache }

// Close ends every server that is still running, hard (its data is thrown
// away), and removes the folder. A second call does nothing.
func (e *Env) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	servers := e.servers
	e.servers = nil
	e.mu.Unlock()
	e.endLife()
	e.starting.Wait()

	var errs []error
	for _, s := range servers {
		if err := s.destroy(); err != nil {
			errs = append(errs, err)
		}
	}
	if err := removeRunDir(e.dir, e.lock); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// admit makes the Env responsible for s while s is being started and after.
// The context it returns also ends with Close, which waits for done: a server
// whose start meets Close is never left behind.
func (e *Env) admit(ctx context.Context, s *Server) (context.Context, func(), error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, nil, fmt.Errorf("start %s: the test environment is closed", s.Kind)
	}
	e.servers = append(e.servers, s)
	e.starting.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	unlink := context.AfterFunc(e.life, cancel)
	return ctx, func() {
		unlink()
		cancel()
		e.starting.Done()
	}, nil
}

// newServerDir makes a folder for one server, owned by the user who will run it.
func (e *Env) newServerDir(kind string) (string, error) {
	e.mu.Lock()
	e.next++
	n := e.next
	e.mu.Unlock()
	dir := filepath.Join(e.dir, fmt.Sprintf("%s%d", kind, n))
	for _, d := range []string{dir, filepath.Join(dir, "tmp")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return "", fmt.Errorf("make a folder for %s: %w", kind, err)
		}
		if err := e.user.own(d); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// writeFile writes a file that the server's user can read.
func (e *Env) writeFile(path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return e.user.own(path)
}

// logf writes one line.
func (e *Env) logf(format string, args ...any) {
	e.logMu.Lock()
	defer e.logMu.Unlock()
	fmt.Fprintf(e.log, "testenv: "+format+"\n", args...)
}

// step says that a piece of work begins; the returned function says how it
// ended and how long it took.
func (e *Env) step(format string, args ...any) func(result string) {
	what := fmt.Sprintf(format, args...)
	e.logf("%s ...", what)
	begin := time.Now()
	return func(result string) {
		e.logf("%s: %s (%s)", what, result, seconds(time.Since(begin)))
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
