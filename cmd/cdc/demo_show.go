package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/sample"
)

// firstLoad shows the covers of the first load until Neptune shows the view.
func (s *scene) firstLoad(ctx context.Context) error {
	began := time.Now()
	estimates, err := s.estimates(ctx)
	if err != nil {
		return err
	}
	a := &app{process: process{stdout: s.Stdout, stderr: s.Stderr, environ: s.Environ}}
	bars := a.newProgress()
	err = s.until(ctx, "the first load ends", func() (bool, error) {
		st, err := s.client.Status(ctx)
		if err != nil {
			return false, nil //nolint:nilerr // until notices when the daemon has ended
		}
		for _, c := range st.Covers {
			name, of := "tables, read from Jupiter", estimates[0]
			if len(c.Tables) == 1 && !strings.Contains(c.Tables[0], ".") {
				name, of = "view, into the destinations", estimates[1]
			}
			bars.show(name, c.Rows, max(of, c.Rows))
		}
		return firstLoadDone(st), nil
	})
	bars.end()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Stdout, "%-58s %6.1fs\n", "first load, visible everywhere, each in one step", time.Since(began).Seconds())
	return nil
}

// firstLoadDone reports whether all sinks show all views.
func firstLoadDone(st admin.Status) bool {
	for _, k := range st.Sinks {
		if k.Seq == 0 || len(k.Covers) > 0 {
			return false
		}
	}
	done := false
	for _, c := range st.Covers {
		if c.State == "running" || c.State == "waiting" {
			return false
		}
		done = done || len(c.Tables) > 0 && !strings.Contains(c.Tables[0], ".")
	}
	return done && len(st.Sinks) > 0
}

// estimates counts the rows to be read, of the tables and of the view.
func (s *scene) estimates(ctx context.Context) (n [2]uint64, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT coalesce(sum(table_rows), 0) FROM information_schema.tables WHERE table_schema = ?", demoSchema).Scan(&n[0])
	if err != nil {
		return n, err
	}
	db, err := s.jupiter.Open(demoSchema)
	if err != nil {
		return n, err
	}
	defer db.Close()
	return n, db.QueryRowContext(ctx, "SELECT count(*) FROM "+sample.FlatSource()).Scan(&n[1])
}

// watch shows, until the context ends, the rows on both sides, the lag and the rate.
func (s *scene) watch(ctx context.Context, load *sample.Load) {
	every := 2 * time.Second
	if s.Terminal {
		every = 500 * time.Millisecond
	}
	db, err := s.jupiter.Open(demoSchema)
	if err != nil {
		return // the load itself will say what is wrong
	}
	defer db.Close()
	rows, at := int64(0), time.Now()
	for pipeline.Sleep(ctx, every) == nil {
		var mine int64
		if db.QueryRowContext(ctx, "SELECT count(*) FROM "+sample.FlatSource()).Scan(&mine) != nil {
			continue
		}
		st, err := s.client.Status(ctx)
		if err != nil {
			continue
		}
		now, is := time.Now(), int64(load.Stats().Rows)
		line := fmt.Sprintf("%5.1fs  join %6d rows |%s | %4.0f changes/s",
			time.Since(s.began).Seconds(), mine, s.shown(ctx, st), float64(is-rows)/now.Sub(at).Seconds())
		rows, at = is, now
		if s.Terminal {
			fmt.Fprintf(s.Stdout, "\r\x1b[K%s", line)
		} else {
			fmt.Fprintln(s.Stdout, line)
		}
	}
	if s.Terminal {
		fmt.Fprintln(s.Stdout)
	}
}

// shown is what each place shows and how many transactions it is behind.
func (s *scene) shown(ctx context.Context, st admin.Status) string {
	var out strings.Builder
	for _, p := range s.at {
		n, err := p.count(ctx)
		if err != nil {
			fmt.Fprintf(&out, " %s away", p.name)
			continue
		}
		fmt.Fprintf(&out, " %s %d", p.name, n)
		for _, k := range st.Sinks {
			if k.Name == p.name && k.LagTransactions > 0 {
				fmt.Fprintf(&out, " (-%d)", k.LagTransactions)
			}
		}
	}
	return out.String()
}

// demoPID is where a kept demo leaves its process id for --stop.
func demoPID() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("cdc-demo-%d.pid", os.Getuid()))
}

// keep runs the load until it is interrupted, and says how to connect.
func (s *scene) keep(ctx context.Context) error {
	if err := os.WriteFile(demoPID(), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return err
	}
	defer func() { _ = os.Remove(demoPID()) }()
	fmt.Fprintf(s.Stdout, `
Everything runs; a load writes. End it with Ctrl-C, or with make demo-down in another terminal.

  %-10s MYSQL_PWD=%s mariadb -h %s -P %d -u %s %s
`, "jupiter", s.jupiter.Password, s.jupiter.Host, s.jupiter.Port, s.jupiter.User, demoSchema)
	for _, p := range s.at {
		fmt.Fprintf(s.Stdout, "  %-10s %s\n", p.name, p.connect)
	}
	config := filepath.Join(s.dir, "cdc.yaml")
	fmt.Fprintf(s.Stdout, `  topics     kcat -b %s -L
             kcat -b %s -C -t jupiter.sakila.payment -o -5 -e
  status     %s status --config %s
  verify     %s verify --config %s
  log        %s
`, s.broker, s.broker, os.Args[0], config, os.Args[0], config, s.log)
	load := sample.NewLoad(s.db, demoSchema, sample.LoadOptions{Seed: 1, Workers: 2, RatePerSecond: demoRate / 5, Mode: sample.Mixed})
	if _, err := load.Run(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// stopDemo ends a kept demo and waits until it is gone.
func stopDemo(d demo) error {
	b, err := os.ReadFile(demoPID())
	if errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(d.Stdout, "no demo is running")
		return nil
	}
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("read %s: %w (remove it)", demoPID(), err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); errors.Is(err, syscall.ESRCH) {
		fmt.Fprintln(d.Stdout, "the demo is gone already")
		return os.Remove(demoPID())
	} else if err != nil {
		return fmt.Errorf("end the demo, process %d: %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for syscall.Kill(pid, 0) == nil {
		if err := pipeline.Sleep(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("end the demo, process %d: it does not end: %w", pid, err)
		}
	}
	fmt.Fprintln(d.Stdout, "the demo is stopped, its servers and files are removed")
	return nil
}
