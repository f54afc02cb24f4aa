package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is one run of a server program. It is not restarted: a restart
// makes a new one.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // file with the server's own output
	done chan struct{} // closed when the program has ended
	err  error         // how it ended; read after done
}

// launch starts cmd as the servers' user with its output appended to logFile.
// deathSig is what the kernel sends it if we die.
func launch(name string, cmd *exec.Cmd, id identity, logFile string, deathSig syscall.Signal) (*process, error) {
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = processAttributes(id, deathSig)
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), out.Close())
	}
	p := &process{name: name, cmd: cmd, log: logFile, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = errors.Join(cmd.Wait(), out.Close())
	}()
	return p, nil
}

// signal sends sig to the program and all its descendants: PostgreSQL's
// backends leave the process group, so they are found by their parents. After
// SIGKILL it returns when the descendants are gone, too: they hold on to what
// a restart needs (PostgreSQL's shared memory).
func (p *process) signal(sig syscall.Signal) error {
	if p.exited() {
		return nil // its pid may belong to somebody else by now
	}
	top := p.cmd.Process.Pid
	if sig == syscall.SIGKILL {
		// A child forked between our look and the kill would be missed.
		if err := p.send(top, syscall.SIGSTOP); err != nil {
			return err
		}
	}
	below := descendants(top)
	for _, pid := range append([]int{top}, below...) {
		if err := p.send(pid, sig); err != nil {
			return err
		}
	}
	if sig == syscall.SIGKILL {
		return p.awaitGone(below)
	}
	return nil
}

func (p *process) send(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %s to %s (pid %d): %w", sig, p.name, pid, err)
	}
	return nil
}

// awaitGone returns when none of pids runs any more.
func (p *process) awaitGone(pids []int) error {
	deadline := time.Now().Add(stopTimeout)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for _, pid := range pids {
		for alive(pid) {
			if time.Now().After(deadline) {
				return fmt.Errorf("process %d of %s outlives its kill", pid, p.name)
			}
			<-tick.C
		}
	}
	return nil
}

// alive reports whether pid exists and is no zombie.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	_, state, ok := processParent(pid)
	return ok && state != "Z" && state != "X"
}

// end sends sig and waits; when ctx ends first it kills and waits.
func (p *process) end(ctx context.Context, sig syscall.Signal) error {
	send := func(s syscall.Signal) error {
		if s == syscall.SIGKILL {
			return p.signal(s)
		}
		// A polite stop is the parent's to pass on.
		select {
		case <-p.done:
			return nil
		default:
			return p.cmd.Process.Signal(s)
		}
	}
	if err := send(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to %s: %w", sig, p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return fmt.Errorf("%s did not end after %s and was killed: %w", p.name, sig, ctx.Err())
}

// exited reports whether the program has ended.
func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// tail returns the end of the program's output, for error messages.
func (p *process) tail() string { return fileTail(p.log) }

func fileTail(path string) string {
	const most = 4 << 10
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return ""
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// descendants lists the living children of pid, and theirs, parents first.
// Without /proc it finds none.
func descendants(pid int) []int {
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if parent, _, ok := processParent(child); ok {
			children[parent] = append(children[parent], child)
		}
	}
	all := children[pid]
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// processParent reads a process's parent and state; not ok if it has ended.
func processParent(pid int) (parent int, state string, ok bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, "", false
	}
	// "pid (name) state ppid": the name may hold spaces and brackets.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return 0, "", false
	}
	parent, err = strconv.Atoi(fields[1])
	return parent, fields[0], err == nil
}
