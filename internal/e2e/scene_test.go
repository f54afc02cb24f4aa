package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/sample"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/views"
)

// scene is a source, a destination and a daemon between them.
type scene struct {
	t        *testing.T
	bin      string
	dir      string
	source   *testenv.MySQLServer
	sink     *testenv.PostgresServer
	db       *sql.DB
	target   string // database of the destination
	broker   string
	listen   string
	tables   []string // source.tables.include
	exclude  []string
	hidden   []string // source.columns.exclude, beside the usual one
	views    []string // names delivered
	raw      []string // further entries of deliver
	sinkAt   string   // host:port, when not the server's own
	folder   string   // data_dir, when not the usual one
	more     []string // settings of further sinks, as lines below sinks:
	external string   // broker: of the configuration, when the daemon does not bring its own
	command  func(name string, args ...string) *exec.Cmd
	sets     []string // further --set
	empty    []string // of views, those that have no rows
	daemon   *exec.Cmd
	exited   chan struct{}
	status   int // of the last daemon that ended
	client   *admin.Client
}

func newScene(t *testing.T, source *testenv.MySQLServer) *scene {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, bin: bin, dir: t.TempDir(), source: source, sink: testenv.Postgres(t), command: exec.Command, broker: free(t), listen: free(t)}
	s.target = s.sink.CreateDatabase(t)
	if s.db, err = source.Open(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.db.Close() })
	if err := os.Mkdir(filepath.Join(s.dir, "views"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cleanup)
	return s
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// sakila seeds the Sakila sample and delivers its view.
func (s *scene) sakila(scale float64) *scene {
	s.t.Helper()
	const schema = "sakila"
	s.own(schema)
	if err := sample.Create(s.t.Context(), s.db, schema); err != nil {
		s.t.Fatal(err)
	}
	if err := sample.Seed(s.t.Context(), s.db, schema, sample.Options{Scale: scale, Seed: 1}); err != nil {
		s.t.Fatal(err)
	}
	s.tables = append(s.tables, "sakila.*")
	s.exclude = append(s.exclude, "sakila."+sample.UncapturedTable)
	s.view(views.ExampleFile, views.Example(), "CustomerOrderFlat")
	return s
}

// warehouse seeds the unrelated sample and delivers its view.
func (s *scene) warehouse(scale float64) *scene {
	s.t.Helper()
	const schema = "warehouse"
	s.own(schema)
	if err := sample.CreateWarehouse(s.t.Context(), s.db, schema); err != nil {
		s.t.Fatal(err)
	}
	if err := sample.SeedWarehouse(s.t.Context(), s.db, schema, sample.Options{Scale: scale, Seed: 1}); err != nil {
		s.t.Fatal(err)
	}
	s.tables = append(s.tables, "warehouse.*")
	s.view("stock_sheet.sql", sample.WarehouseView(), "StockSheet")
	return s
}

// own makes a schema the scene's: it is dropped before and after.
func (s *scene) own(schema string) {
	drop := func() {
		if _, err := s.db.Exec("DROP DATABASE IF EXISTS " + schema); err != nil {
			s.t.Logf("drop %s: %v", schema, err)
		}
	}
	drop()
	s.t.Cleanup(drop)
}

func (s *scene) view(file, text, name string) {
	if err := os.WriteFile(filepath.Join(s.dir, "views", file), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.views = append(s.views, name)
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = fmt.Sprintf("%q", x)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// configure writes cdc.yaml.
func (s *scene) configure() {
	s.t.Helper()
	host, port := s.sink.Host, fmt.Sprint(s.sink.Port)
	if s.sinkAt != "" {
		host, port, _ = net.SplitHostPort(s.sinkAt)
	}
	deliver := make([]string, len(s.views))
	for i, v := range s.views {
		deliver[i] = fmt.Sprintf("{from: view/%s}", v)
	}
	deliver = append(deliver, s.raw...)
	broker := s.external
	if broker == "" {
		broker = fmt.Sprintf("{listen: %q}", s.broker)
	}
	text := fmt.Sprintf(`version: 1
name: jupiter
data_dir: %q
source:
  host: %s
  port: %d
  user: %s
  password: ${env:E2E_SOURCE}
  tables: {include: %s, exclude: %s}
  columns: {exclude: %s}
  snapshot: {chunk_rows: 2000}
broker: %s
views: {dir: %q}
admin: {listen: %q}
sinks:
  neptune:
    type: postgres
    host: %s
    port: %s
    database: %s
    user: %s
    password: ${env:E2E_SINK}
    tls: {mode: disable}
    deliver: [%s]
`, s.data(), s.source.Host, s.source.Port, s.source.User, quoted(s.tables), quoted(s.exclude),
		quoted(append([]string{"sakila.staff.password"}, s.hidden...)), broker,
		filepath.Join(s.dir, "views"), s.listen, host, port, s.target, s.sink.User, strings.Join(deliver, ", "))
	text += strings.Join(s.more, "")
	if err := os.WriteFile(s.config(), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) config() string  { return filepath.Join(s.dir, "cdc.yaml") }
func (s *scene) logFile() string { return filepath.Join(s.dir, "cdc.log") }

// data is data_dir.
func (s *scene) data() string {
	if s.folder != "" {
		return s.folder
	}
	return filepath.Join(s.dir, "data")
}

func (s *scene) environ(extra ...string) []string {
	return append(append(os.Environ(), "E2E_SOURCE="+s.source.Password, "E2E_SINK="+s.sink.Password), extra...)
}

// start starts the daemon; env are further variables.
func (s *scene) start(env ...string) {
	s.t.Helper()
	if _, err := os.Stat(s.config()); err != nil {
		s.configure()
	}
	out, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	args := []string{"run", "--config", s.config()}
	for _, set := range s.sets {
		args = append(args, "--set", set)
	}
	cmd := s.command(s.bin, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.environ(env...), out, out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // ExitCode says how
		s.status = cmd.ProcessState.ExitCode()
	}()
	s.daemon, s.exited = cmd, exited
	s.client = admin.NewSocketClient(s.data())
}

// kill ends the daemon as a power switch would.
func (s *scene) kill() {
	_ = s.daemon.Process.Signal(syscall.SIGKILL) // it may be gone
	<-s.exited
	s.client.Close()
}

// stop ends the daemon in an orderly way and returns its exit status.
func (s *scene) stop() int {
	_ = s.daemon.Process.Signal(syscall.SIGTERM)
	return s.ended(30 * time.Second)
}

// ended waits until the daemon has ended by itself and returns its exit status.
func (s *scene) ended(limit time.Duration) int {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(limit):
		s.t.Fatalf("the daemon has not ended within %s\n%s", limit, s.tail(10))
	}
	s.client.Close()
	return s.status
}

func (s *scene) cleanup() {
	if s.daemon != nil {
		select {
		case <-s.exited:
		default:
			s.kill()
		}
	}
	if dir := os.Getenv("CDC_TEST_KEEP"); dir != "" {
		_ = os.WriteFile(filepath.Join(dir, strings.ReplaceAll(s.t.Name(), "/", "_")+".log"), []byte(s.log()), 0o600)
	}
	if s.t.Failed() {
		s.t.Logf("last lines of the daemon:\n%s", s.tail(25))
	}
}

// log is what the daemons of the scene have logged.
func (s *scene) log() string {
	b, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (s *scene) tail(n int) string {
	lines := strings.Split(strings.TrimRight(s.log(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// run runs a command of the program and returns its exit status and output.
func (s *scene) run(args ...string) (status int, output string) {
	s.t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(s.t.Context(), s.bin, append(args, "--config", s.config())...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.environ(), &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// waitShown returns once the destination shows the source's position of now.
func (s *scene) waitShown(limit time.Duration) {
	s.t.Helper()
	eventually(s.t, limit, "the daemon answers", func(ctx context.Context) bool {
		_, err := s.client.Status(ctx)
		return err == nil
	})
	eventually(s.t, limit, "the destination shows the source's position of now", func(ctx context.Context) bool {
		_, err := s.client.Wait(ctx, admin.WaitRequest{}, limit)
		return err == nil
	})
}

// verify compares all views, and fails the test on a difference.
func (s *scene) verify() {
	s.t.Helper()
	report, err := s.client.Verify(s.t.Context(), admin.VerifyRequest{TimeoutSeconds: 300}, func(admin.VerifyProgress) {})
	if err != nil {
		s.t.Fatal(err)
	}
	if want := len(s.views) * (1 + len(s.more)); len(report.Results) != want {
		s.t.Errorf("%d views compared, want %d", len(report.Results), want)
	}
	for _, r := range report.Results {
		s.t.Logf("verify %s of %s: %d rows, %d different, %d unsettled", r.View, r.Sink, r.Rows, r.Different, r.Unsettled)
		if !r.Equal() || r.Rows == 0 && !slices.Contains(s.empty, r.View) {
			s.t.Errorf("view %s of %s: %d rows, %d different, %d unsettled, first %+v", r.View, r.Sink, r.Rows, r.Different, r.Unsettled, r.Differences[:min(3, len(r.Differences))])
		}
	}
}

// postgres opens a session in the destination's database.
func (s *scene) postgres() *pgx.Conn { s.t.Helper(); return s.postgresIn(s.target) }

// postgresIn opens a session in any database of the destination's server.
func (s *scene) postgresIn(database string) *pgx.Conn {
	s.t.Helper()
	c, err := pgx.Connect(s.t.Context(), s.sink.DSN(database))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// digests asks both sides the one line that anybody can repeat, and compares. It does not use cdc verify.
func (s *scene) digests() {
	s.t.Helper()
	pg := s.postgres()
	for _, c := range []struct{ view, schema, mine, theirs string }{
		{"CustomerOrderFlat", "sakila", sample.FlatDigest(sample.MySQL, sample.FlatSource(), ""), sample.FlatDigest(sample.PostgreSQL, `"CustomerOrderFlat"`, "")},
		{"StockSheet", "warehouse", sample.WarehouseDigest(sample.MySQL, sample.WarehouseSource(), ""), sample.WarehouseDigest(sample.PostgreSQL, `"StockSheet"`, "")},
	} {
		if !strings.Contains(strings.Join(s.views, " "), c.view) {
			continue
		}
		db, err := s.source.Open(c.schema)
		if err != nil {
			s.t.Fatal(err)
		}
		var a, b [3]string
		if err := db.QueryRowContext(s.t.Context(), c.mine).Scan(&a[0], &a[1], &a[2]); err != nil {
			s.t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			s.t.Fatal(err)
		}
		if err := pg.QueryRow(s.t.Context(), c.theirs).Scan(&b[0], &b[1], &b[2]); err != nil {
			s.t.Fatal(err)
		}
		if a != b {
			s.t.Errorf("%s: source count, sum, digest %v, destination %v", c.view, a, b)
		}
		s.t.Logf("%s: count %s, sum %s, digest %s on both sides", c.view, a[0], a[1], a[2])
	}
}
