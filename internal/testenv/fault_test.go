package testenv_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// echo is a server that sends every line back.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // ends when the client or the proxy does
			}()
		}
	}()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return l.Addr().String()
}

type client struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr string) client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return client{t, c, bufio.NewReader(c)}
}

func (c client) send(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// receive reads a line or fails within the given time.
func (c client) receive(within time.Duration) (string, error) {
	c.t.Helper()
	if err := c.c.SetReadDeadline(time.Now().Add(within)); err != nil {
		c.t.Fatal(err)
	}
	line, err := c.r.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

func (c client) expect(want string) {
	c.t.Helper()
	if got, err := c.receive(10 * time.Second); err != nil || got != want {
		c.t.Fatalf("received %q, %v; want %q", got, err, want)
	}
}

// expectLost reads the end of a connection that was cut.
func (c client) expectLost() {
	c.t.Helper()
	_, err := c.receive(10 * time.Second)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("reading from a cut connection: %v, want its end", err)
	}
}

func TestProxy(t *testing.T) {
	p := testenv.NewProxy(t, echo(t))
	first := dial(t, p.Addr)
	first.send("one")
	first.expect("one")
	if up, down := p.Bytes(); up != 4 || down != 4 {
		t.Errorf("forwarded %d and %d bytes, want 4 and 4", up, down)
	}

	p.Stall()
	first.send("two")
	late := dial(t, p.Addr)
	late.send("three")
	if line, err := first.receive(200 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("received %q, %v while stalled", line, err)
	}
	if err := p.Heal(); err != nil {
		t.Fatal(err)
	}
	first.expect("two")
	late.expect("three")

	p.Cut()
	first.expectLost()
	late.expectLost()
	again := dial(t, p.Addr)
	again.send("four")
	again.expect("four")

	p.Refuse()
	again.expectLost()
	if c, err := net.Dial("tcp", p.Addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial while refused: %v, %v", c, err)
	}
	if n := p.Connections(); n != 0 {
		t.Errorf("%d connections while refused", n)
	}
	if err := p.Heal(); err != nil {
		t.Fatal(err)
	}
	again = dial(t, p.Addr)
	again.send("five")
	again.expect("five")

	p.Stall()
	again.send("six")
	p.Close() // must not wait for Heal
	again.expectLost()
	if err := p.Heal(); err == nil {
		t.Error("a closed proxy healed")
	}
}

// TestProxyTargetDown connects to a proxy whose server is not there.
func TestProxyTargetDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	p := testenv.NewProxy(t, addr)
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		return // reset while it was being made
	}
	defer c.Close()
	client{t, c, bufio.NewReader(c)}.expectLost()
}

// TestProxyKeepsLastWords: what a server says before it hangs up arrives.
func TestProxyKeepsLastWords(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.WriteString(c, "too many connections\n")
			err = errors.Join(err, c.Close())
		}
		served <- err
	}()
	dial(t, testenv.NewProxy(t, l.Addr().String()).Addr).expect("too many connections")
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestDisk(t *testing.T) {
	d := testenv.NewDisk(t, t.TempDir(), 1<<20)
	run := func(script string) (string, error) {
		out, err := d.Command("sh", "-c", script, "sh", d.Dir).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	if out, err := run(`echo kept > "$1/a"`); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if text, err := os.ReadFile(d.Path("a")); err != nil || string(text) != "kept\n" {
		t.Errorf("from outside: %q, %v", text, err)
	}
	if err := d.Fill(); err != nil {
		t.Fatal(err)
	}
	if out, err := run(`head -c 8192 /dev/zero > "$1/b"`); err == nil || !strings.Contains(out, "No space left on device") {
		t.Errorf("writing to a full disk: %v: %s", err, out)
	}
	if err := d.Free(); err != nil {
		t.Fatal(err)
	}
	if out, err := run(`head -c 8192 /dev/zero > "$1/b" && cat "$1/a"`); err != nil || out != "kept" {
		t.Errorf("after Free: %v: %q", err, out)
	}
}

func TestLimitFileSize(t *testing.T) {
	file := t.TempDir() + "/f"
	// trap '' makes the shell's children ignore the signal and see the error.
	cmd := exec.Command("sh", "-c", `trap '' XFSZ; while read n; do head -c "$n" /dev/zero > "$1" 2>&1 && echo ok || echo no; done`, "sh", file)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(out)
	write := func(n, want string) {
		t.Helper()
		if _, err := io.WriteString(in, n+"\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := answers.ReadString('\n'); err != nil || got != want+"\n" {
			t.Errorf("writing %s bytes: %q, %v; want %s", n, got, err, want)
		}
	}
	write("5000", "ok")
	if err := testenv.LimitFileSize(cmd.Process.Pid, 4096); err != nil {
		t.Fatal(err)
	}
	write("5000", "no")
	write("4000", "ok")
	if err := testenv.LimitFileSize(cmd.Process.Pid, 1<<40); err != nil {
		t.Fatal(err)
	}
	write("5000", "ok")
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Error(err)
	}
}
