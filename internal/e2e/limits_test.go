package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/sample"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// get asks the daemon's listener; status 0 means that nobody answers.
func (s *scene) get(ctx context.Context, path string) (status int, body string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.listen+path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// notReady waits until /readyz says 503 with these words, while /healthz goes on saying 200.
func (s *scene) notReady(words ...string) {
	s.t.Helper()
	last := ""
	defer func() {
		if s.t.Failed() {
			s.t.Logf("last answer of /readyz: %s", last)
		}
	}()
	eventually(s.t, 60*time.Second, fmt.Sprintf("/readyz says %q", words), func(ctx context.Context) bool {
		code, body := s.get(ctx, "/readyz")
		last = fmt.Sprint(code, " ", body)
		return code == http.StatusServiceUnavailable && containsAll(body, words)
	})
	if code, body := s.get(s.t.Context(), "/healthz"); code != http.StatusOK {
		s.t.Errorf("/healthz: %d %s", code, body)
	}
}

// ready waits until /readyz says 200.
func (s *scene) ready() {
	s.t.Helper()
	eventually(s.t, 60*time.Second, "/readyz says 200", func(ctx context.Context) bool {
		code, _ := s.get(ctx, "/readyz")
		return code == http.StatusOK
	})
}

func containsAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// refused starts a daemon that has to end by itself, with this status and a message that has these words.
func (s *scene) refused(status int, words ...string) {
	s.t.Helper()
	s.refusedWith(nil, status, words...)
}

// refusedWith is refused with further variables.
func (s *scene) refusedWith(env []string, status int, words ...string) {
	s.t.Helper()
	before := 0
	if b, err := os.ReadFile(s.logFile()); err == nil {
		before = len(b)
	}
	s.start(env...)
	if code := s.ended(60 * time.Second); code != status {
		s.t.Errorf("exit status %d, want %d", code, status)
	}
	var said []string
	for line := range strings.Lines(s.log()[before:]) {
		if !strings.HasPrefix(line, "{") { // what is not a log line is for people
			said = append(said, strings.TrimSpace(line))
		}
	}
	message := strings.Join(said, " ")
	s.t.Logf("it said: %s", message)
	if !containsAll(message, words) {
		s.t.Errorf("the message lacks one of %q", words)
	}
}

// TestSourceDown: a source that cannot be reached, at the start as later, is waited for.
func TestSourceDown(t *testing.T) {
	s := newScene(t, testenv.NewMariaDB(t)).sakila(0.02)
	s.configure()
	address := fmt.Sprintf("%s:%d", s.source.Host, s.source.Port)
	if err := s.source.Kill9(); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.notReady(address)
	if code, out := s.run("wait", "--timeout", "1s"); code != 2 {
		t.Errorf("cdc wait: status %d, want 2: %s", code, out)
	}
	again := func() {
		t.Helper()
		if err := s.source.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.ready()
		s.waitShown(60 * time.Second)
		s.digests()
		s.verify()
	}
	again()

	ctx, stop := context.WithCancel(t.Context())
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		_, _ = sample.NewLoad(s.db, "sakila", sample.LoadOptions{Seed: 1, Workers: 2, RatePerSecond: 60}).Run(ctx) // its server dies
	}()
	eventually(t, 30*time.Second, "the load writes", func(ctx context.Context) bool {
		st, err := s.client.Status(ctx)
		return err == nil && len(st.Streams) > 0 && st.Sinks[0].Seq > 20
	})
	if err := s.source.Kill9(); err != nil {
		t.Fatal(err)
	}
	stop()
	<-loaded
	s.notReady(address)
	again()
	if code := s.stop(); code != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0", code)
	}
}

// TestDestinationGone: a destination that is down, or does not answer, delays itself only; then it is equal.
func TestDestinationGone(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.02)
	proxy := testenv.NewProxy(t, fmt.Sprintf("%s:%d", s.sink.Host, s.sink.Port))
	s.sinkAt = proxy.Addr
	s.start()
	s.waitShown(60 * time.Second)
	stop := s.load(1)
	defer stop()
	proxy.Refuse()
	s.notReady("neptune", proxy.Addr)
	if code, out := s.run("wait", "--timeout", "1s"); code != 2 || !strings.Contains(out, "--timeout") {
		t.Errorf("cdc wait: status %d, want 2 and the way out: %s", code, out)
	}
	at := s.streamSeq()
	eventually(t, 30*time.Second, "the streams go on", func(context.Context) bool { return s.streamSeq() > at+20 })
	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}
	s.ready()
	for range 5 {
		at := s.streamSeq()
		eventually(t, 30*time.Second, "the streams go on", func(context.Context) bool { return s.streamSeq() > at+5 })
		proxy.Cut()
	}
	stop()
	s.waitShown(60 * time.Second)
	s.digests()
	s.verify()
}

// streamSeq is where the view stream stands.
func (s *scene) streamSeq() uint64 {
	st, err := s.client.Status(s.t.Context())
	if err != nil || len(st.Streams) < 2 {
		return 0
	}
	return st.Streams[1].Seq
}

// TestRefusals: what cannot get better by waiting ends the start, with a message that tells the way out.
func TestRefusals(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.01)
	each := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			defer s.within(t)()
			s.configure()
			f(t)
		})
	}
	each("unknown key", func(t *testing.T) {
		b, err := os.ReadFile(s.config())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.config(), bytes.Replace(b, []byte("\nadmin:"), []byte("\nadmim:"), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		s.refused(2, s.config()+":14:1: ", "admim", `did you mean "admin"`)
	})
	each("wrong password of the source", func(*testing.T) {
		s.refusedWith([]string{"E2E_SOURCE=wrong"}, 2, "source", s.source.User, "password")
	})
	each("wrong password of the destination", func(*testing.T) {
		s.refusedWith([]string{"E2E_SINK=wrong"}, 2, "neptune", s.sink.User, "password")
	})
	each("broker port taken", func(t *testing.T) {
		l, err := net.Listen("tcp", s.broker)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		s.refused(2, s.broker, "broker.listen")
	})
	each("admin port taken", func(t *testing.T) {
		l, err := net.Listen("tcp", s.listen)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		s.refused(2, s.listen, "admin.listen")
	})
	each("table without primary key", func(t *testing.T) {
		s.sourceExec("CREATE TABLE sakila.keyless (film_id INT, note VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin)")
		defer s.sourceExec("DROP TABLE sakila.keyless")
		file := filepath.Join(s.dir, "views", "keyless.sql")
		if err := os.WriteFile(file, []byte("CREATE VIEW Keyless AS SELECT f.film_id AS FilmId, k.note AS Note FROM film f JOIN keyless k ON k.film_id = f.film_id;\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(file)
		s.refused(2, "keyless", "primary key", "ALTER TABLE", "keyless.sql:1:")
	})
}

// TestStatementFormat: a log without rows is refused with the line that mends it.
func TestStatementFormat(t *testing.T) {
	s := newScene(t, testenv.NewMariaDB(t, "--binlog-format=STATEMENT")).sakila(0.01)
	s.refused(1, "binlog_format", "SET GLOBAL binlog_format = 'ROW'")
	s.sourceExec("SET GLOBAL binlog_format = 'ROW'")
	s.start()
	s.waitShown(60 * time.Second)
	s.digests()
}

// TestKeylessTable: a table without a key that no view reads stops nobody.
func TestKeylessTable(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.01)
	s.sourceExec("CREATE TABLE sakila.keyless (film_id INT, note VARCHAR(20))", "INSERT INTO sakila.keyless VALUES (1, 'a'), (1, 'a'), (NULL, NULL)")
	s.start()
	s.waitShown(60 * time.Second)
	s.sourceExec("INSERT INTO sakila.keyless VALUES (2, 'b')", "DELETE FROM sakila.keyless WHERE film_id = 1 LIMIT 1")
	s.changeALittle()
	s.waitShown(60 * time.Second)
	s.digests()
	s.verify()
}

// TestSecondDaemon: on the same data folder the second does not start; with another one, and so with streams
// of its own, it takes the destination over and the first ends.
func TestSecondDaemon(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.02)
	s.start()
	s.waitShown(60 * time.Second)
	code, out := s.run("run")
	t.Logf("it said: %s", out)
	if code != 3 || !strings.Contains(out, s.data()) {
		t.Errorf("second daemon: status %d, want 3: %s", code, out)
	}

	ended := s.leave()
	s.folder, s.broker, s.listen = filepath.Join(s.dir, "other"), free(t), free(t)
	s.configure()
	s.start()
	if code := ended(); code != 3 {
		t.Errorf("the first daemon ended with status %d, want 3", code)
	}
	s.changeALittle()
	s.waitShown(60 * time.Second)
	s.digests()
	s.verify()
}

// TestSignals: one signal ends the daemon in good order, a second one at once.
func TestSignals(t *testing.T) {
	s := newScene(t, testenv.MariaDB(t)).sakila(0.01)
	s.start()
	s.waitShown(60 * time.Second)
	if code := s.stop(); code != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0", code)
	}
	s.start()
	s.waitShown(60 * time.Second)
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if err := s.daemon.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if code := s.ended(30 * time.Second); code != 130 {
		t.Errorf("exit status %d after two signals, want 130", code)
	}
	s.start()
	s.waitShown(60 * time.Second)
	s.digests()
}

// TestDiskFull: without room the daemon stops with the way out, and with room it goes on where it was.
func TestDiskFull(t *testing.T) {
	for _, part := range []string{"broker", "state"} {
		t.Run(part, func(t *testing.T) {
			s := newScene(t, testenv.MariaDB(t)).sakila(0.02)
			dir := filepath.Join(s.data(), part)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			disk := testenv.NewDisk(t, dir, 64<<20)
			s.command = func(name string, args ...string) *exec.Cmd { return disk.Command(name, args...) }
			s.start()
			s.waitShown(60 * time.Second)
			stop := s.load(1)
			defer stop()
			if err := disk.Fill(); err != nil {
				t.Fatal(err)
			}
			if code := s.ended(90 * time.Second); code != 1 {
				t.Errorf("exit status %d, want 1", code)
			}
			said := s.tail(1)
			t.Logf("it said: %s", said)
			if !containsAll(said, []string{"free space", s.data(), "no space left"}) {
				t.Error("the message does not tell the way out")
			}
			if err := disk.Free(); err != nil {
				t.Fatal(err)
			}
			s.start()
			stop()
			s.waitShown(60 * time.Second)
			s.digests()
			s.verify()
		})
	}
}
