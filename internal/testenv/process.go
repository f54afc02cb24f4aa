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
// backends leave the process group, so they are found by their parents.
func (p *process) signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return nil // gone; its pid may belong to somebody else by now
	default:
	}
	// Parents first: a stopped or killed parent makes no more children.
	for _, pid := range append([]int{p.cmd.Process.Pid}, descendants(p.cmd.Process.Pid)...) {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("send %s to %s (pid %d): %w", sig, p.name, pid, err)
		}
	}
	return nil
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
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended while we looked
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		// "pid (name) state ppid": the name may hold spaces and brackets.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], child)
		}
	}
	all := children[pid]
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}
