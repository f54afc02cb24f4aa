package main

import (
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
	"sync"
	"syscall"
	"time"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/sample"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/views"
)

// Names of the demo's scene.
const (
	demoSchema   = "sakila"
	demoDatabase = "SakilaFlat"
	demoTable    = "CustomerOrderFlats"
	demoRate     = 150 // transactions a second: what two shared cores carry beside the servers
)

// scene is a running demo.
type scene struct {
	demo
	dir     string
	env     *testenv.Env
	jupiter *testenv.MySQLServer
	at      []*place
	db      *sql.DB
	client  *admin.Client
	daemon  *exec.Cmd
	exited  chan error // the daemon's end
	broker  string
	log     string
	began   time.Time
}

// runDemo shows a first load, a load with a live view, and the proof that source and destination are equal.
func runDemo(ctx context.Context, d demo) (err error) {
	if d.Stop {
		return stopDemo(d)
	}
	s := &scene{demo: d, began: time.Now()}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(ctx); err != nil {
		return err
	}
	if err := s.firstLoad(ctx); err != nil {
		return err
	}
	if d.Keep {
		return s.keep(ctx)
	}
	latency, err := s.load(ctx)
	if err != nil {
		return err
	}
	return s.prove(ctx, latency)
}

// step runs one step and says what it did and how long it took.
func (s *scene) step(what string, do func() error) error {
	began := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	fmt.Fprintf(s.Stdout, "%-58s %6.1fs\n", what, time.Since(began).Seconds())
	return nil
}

func (s *scene) open(ctx context.Context) error {
	env, err := testenv.Start(ctx, testenv.Options{Log: s.Stderr})
	if err != nil {
		return err
	}
	s.env = env
	if s.dir, err = os.MkdirTemp("", "cdc-demo-"); err != nil {
		return err
	}
	if err := s.step("start MariaDB (Jupiter)", func() (err error) { s.jupiter, err = env.MariaDB(ctx); return err }); err != nil {
		return err
	}
	if err := s.places(ctx); err != nil {
		return err
	}
	if s.db, err = s.jupiter.Open(""); err != nil {
		return err
	}
	if err := s.step("seed schema sakila", func() error { return s.seed(ctx) }); err != nil {
		return err
	}
	return s.step("start cdc run (embedded broker)", func() error { return s.startDaemon(ctx) })
}

func (s *scene) seed(ctx context.Context) error {
	if err := sample.Create(ctx, s.db, demoSchema); err != nil {
		return err
	}
	return sample.Seed(ctx, s.db, demoSchema, sample.Options{Scale: 1, Seed: 1})
}

// freeAddress finds a loopback address that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (s *scene) startDaemon(ctx context.Context) (err error) {
	if s.broker, err = freeAddress(); err != nil {
		return err
	}
	folder := filepath.Join(s.dir, "views")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, views.ExampleFile), []byte(views.Example()), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "cdc.yaml"), []byte(s.config(folder)), 0o600); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	s.log = filepath.Join(s.dir, "cdc.log")
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	//nolint:noctx // it is asked to end, not killed with the context
	s.daemon = exec.Command(program, "run", "--config", filepath.Join(s.dir, "cdc.yaml"))
	s.daemon.Env = append(slices.Clone(s.Environ), "CDC_DEMO_SOURCE="+s.jupiter.Password)
	for _, p := range s.at {
		s.daemon.Env = append(s.daemon.Env, p.variable+"="+p.password)
	}
	s.daemon.Stdout, s.daemon.Stderr = out, out
	s.daemon.SysProcAttr = demoChild()
	if err := s.daemon.Start(); err != nil {
		return err
	}
	s.exited = make(chan error, 1)
	go func() { s.exited <- s.daemon.Wait() }()
	s.client = admin.NewSocketClient(filepath.Join(s.dir, "data"))
	return s.until(ctx, "the daemon answers", func() (bool, error) {
		_, err := s.client.Status(ctx)
		return err == nil, nil
	})
}

func (s *scene) config(folder string) string {
	var sinks strings.Builder
	for _, p := range s.at {
		sinks.WriteString(p.sink())
	}
	return fmt.Sprintf(`version: 1
name: jupiter
data_dir: %q
source:
  host: %s
  port: %d
  user: %s
  password: ${env:CDC_DEMO_SOURCE}
  tables: {include: ["sakila.*"], exclude: ["sakila.%s"]}
  columns: {exclude: ["sakila.staff.password"]}
broker: {listen: %q}
views: {dir: %q}
admin: {listen: ""}
sinks:
%s`, filepath.Join(s.dir, "data"), s.jupiter.Host, s.jupiter.Port, s.jupiter.User, sample.UncapturedTable, s.broker, folder, sinks.String())
}

// until looks again and again, and ends early when the daemon does.
func (s *scene) until(ctx context.Context, what string, there func() (bool, error)) error {
	for {
		ok, err := there()
		if ok || err != nil {
			return err
		}
		select {
		case err := <-s.exited:
			s.exited <- err
			//nolint:errorlint // nil if it ended well, which %w has no words for
			return fmt.Errorf("wait until %s: the daemon ended (%v); its last lines:\n%s", what, err, lastLines(s.log, 5))
		default:
		}
		if err := pipeline.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

func lastLines(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// close ends the daemon, the servers and the folder, whatever happened before.
func (s *scene) close() error {
	var errs []error
	if s.daemon != nil && s.daemon.Process != nil {
		_ = s.daemon.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		select {
		case <-s.exited:
		case <-time.After(10 * time.Second):
			errs = append(errs, s.daemon.Process.Kill())
			<-s.exited
		}
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	for _, p := range s.at {
		errs = append(errs, p.db.Close())
	}
	if s.env != nil {
		errs = append(errs, s.env.Close())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// load writes a mixed load, with a live view, and measures how long commits take to become visible at each place.
func (s *scene) load(ctx context.Context) ([]sample.LatencySummary, error) {
	fmt.Fprintf(s.Stdout, "\n%s of mixed load: inserts, updates, deletes, moved keys, renamed dimensions, cascades, multi-row transactions\n", s.For)
	writing, stop := context.WithTimeout(ctx, s.For)
	defer stop()
	load := sample.NewLoad(s.db, demoSchema, sample.LoadOptions{Seed: 1, Workers: 4, RatePerSecond: demoRate, Mode: sample.Mixed})
	probe := sample.NewProbe(s.db, demoSchema, sample.ProbeOptions{Poll: time.Microsecond, Interval: 100 * time.Millisecond})
	var looks []sample.Look
	for _, p := range s.at {
		looks = append(looks, p.look)
	}
	var wg sync.WaitGroup
	var loadErr, probeErr error
	var summaries []sample.LatencySummary
	wg.Go(func() { _, loadErr = load.Run(writing) })
	wg.Go(func() { summaries, probeErr = probe.Run(writing, looks...) })
	s.watch(writing, load)
	wg.Wait()
	if err := errors.Join(loadErr, probeErr); err != nil && ctx.Err() == nil {
		return summaries, fmt.Errorf("write the load: %w", err)
	}
	st := load.Stats()
	fmt.Fprintf(s.Stdout, "load ends: %d transactions, %d rows, %.0f rows/s\n", st.Transactions, st.Rows, st.PerSecond())
	return summaries, ctx.Err()
}

// prove compares, and shows what a sceptic can repeat.
func (s *scene) prove(ctx context.Context, latency []sample.LatencySummary) error {
	if err := s.step("wait until all destinations show the source's position of now", func() error {
		_, err := s.client.Wait(ctx, admin.WaitRequest{}, time.Minute)
		return err
	}); err != nil {
		return err
	}
	report, err := s.client.Verify(ctx, admin.VerifyRequest{TimeoutSeconds: 120}, func(admin.VerifyProgress) {})
	if err != nil {
		return err
	}
	equal := len(report.Results) == len(s.at)
	for _, r := range report.Results {
		if !r.Equal() {
			equal = false
			fmt.Fprintf(s.Stdout, "cdc verify: %s/%s: %d of %d rows differ, %d unsettled\n", r.Sink, r.View, r.Different, r.Rows, r.Unsettled)
			continue
		}
		fmt.Fprintf(s.Stdout, "cdc verify: %s: equal: %d rows, digest %s\n", r.Sink, r.Rows, r.Digest)
	}
	same, err := s.sceptic(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.Stdout)
	for i, p := range s.at {
		fmt.Fprintf(s.Stdout, "%-60s %s\n", p.title, latency[i])
	}
	fmt.Fprintf(s.Stdout, "the demo took %.0f s\n", time.Since(s.began).Seconds())
	if !equal || !same {
		return withStatus(exitNo, errors.New("source and destinations are not equal"))
	}
	return nil
}

// sceptic asks each side one line of SQL that anybody can repeat.
func (s *scene) sceptic(ctx context.Context) (same bool, err error) {
	db, err := s.jupiter.Open(demoSchema)
	if err != nil {
		return false, err
	}
	defer db.Close()
	ask := func(side string, db *sql.DB, query string) (answer [3]string, err error) {
		if err := db.QueryRowContext(ctx, query).Scan(&answer[0], &answer[1], &answer[2]); err != nil {
			return answer, fmt.Errorf("ask %s: %w", side, err)
		}
		fmt.Fprintf(s.Stdout, "\n%s> %s\n  count %s   sum %s   digest %s\n", side, oneLine(query), answer[0], answer[1], answer[2])
		return answer, nil
	}
	mine, err := ask("Jupiter", db, sample.FlatDigest(sample.MySQL, sample.FlatSource(), ""))
	if err != nil {
		return false, err
	}
	same = true
	for _, p := range s.at {
		theirs, err := ask(p.title, p.db, sample.FlatDigest(p.dialect, p.table, p.shown))
		if err != nil {
			return false, err
		}
		same = same && mine == theirs
	}
	return same, nil
}

func oneLine(query string) string { return strings.Join(strings.Fields(query), " ") + ";" }
