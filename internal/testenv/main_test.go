package testenv_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// childVariable turns the test program into a program that starts servers
// and waits to be ended, so that tests can end it.
const childVariable = "TESTENV_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		testenv.Main(child{})
	}
	goleak.VerifyTestMain(testenv.Wrap(m))
}

// child stands for a package's tests: it wishes for servers, says where they
// are and never ends.
type child struct{}

func (child) Run() int {
	maria, pg := testenv.MariaDB(childTB{}), testenv.NewPostgres(childTB{})
	fmt.Printf("%s %s %s\n", maria.Addr, pg.Addr, pg.Dir())
	_, err := io.Copy(io.Discard, os.Stdin) // until the parent is gone
	fmt.Fprintln(os.Stderr, "child: end of input:", err)
	return 9
}

// childTB ends the child where a test would end. Its clean-ups never run:
// the tests that use it end the process.
type childTB struct{}

func (childTB) Helper()        {}
func (childTB) Cleanup(func()) {}
func (childTB) Skipf(format string, args ...any) {
	fmt.Printf("skip: "+format+"\n", args...)
	os.Exit(0)
}
func (childTB) Fatalf(format string, args ...any) {
	fmt.Printf("fatal: "+format+"\n", args...)
	os.Exit(1)
}

// running is a child whose servers answer.
type running struct {
	cmd       *exec.Cmd
	addresses []string
	dir       string
}

func startChild(t *testing.T) running {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childVariable+"=1", "CDC_TEST_MARIADB=", "CDC_TESTENV_REPORT=")
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // closed when we end
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended already unless the test failed
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("read what the child says: %v", err)
	}
	if why, skipped := strings.CutPrefix(line, "skip: "); skipped {
		t.Skip(why)
	}
	fields := strings.Fields(line)
	if len(fields) != 3 {
		t.Fatalf("the child said %q", line)
	}
	for _, addr := range fields[:2] {
		if c, err := net.Dial("tcp", addr); err != nil {
			t.Fatalf("a server of the child: %v", err)
		} else if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return running{cmd: cmd, addresses: fields[:2], dir: fields[2]}
}

// expectDown waits until nobody listens on the child's addresses.
func (r running) expectDown(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for _, addr := range r.addresses {
		for {
			c, err := net.Dial("tcp", addr)
			if errors.Is(err, syscall.ECONNREFUSED) {
				break
			}
			if err == nil {
				_ = c.Close() // only the dialling counted
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s still answers", addr)
			}
		}
	}
}

// TestInterruptStopsServers ends a test run as Ctrl-C does.
func TestInterruptStopsServers(t *testing.T) {
	r := startChild(t)
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := r.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("the interrupted run ended with %v, want status 130", err)
	}
	r.expectDown(t)
	if _, err := os.Stat(r.dir); !os.IsNotExist(err) {
		t.Errorf("the server's folder %s is still there: %v", r.dir, err)
	}
}

// TestKilledRunLeavesNothing kills a test run: the kernel ends its servers,
// and the next start removes its folder.
func TestKilledRunLeavesNothing(t *testing.T) {
	r := startChild(t)
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = r.cmd.Wait() // killed, as wished
	r.expectDown(t)
	if _, err := os.Stat(r.dir); err != nil {
		t.Fatalf("the test is pointless: the folder went with the process: %v", err)
	}
	env, err := testenv.Start(context.WithoutCancel(t.Context()), testenv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := env.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.dir); !os.IsNotExist(err) {
		t.Errorf("the folder %s of the killed run is still there: %v", r.dir, err)
	}
}
