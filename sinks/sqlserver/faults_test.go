package sqlserver

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/internal/testenv/tds"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// intercept has the double do something to the first step of the sink's sessions that match finds.
func (d *database) intercept(t testing.TB, match func(tds.Step) bool, fault tds.Fault) (met func() bool) {
	t.Helper()
	if d.server.Double == nil {
		t.Skip("a real server takes no orders to fail")
	}
	done := false // by the goroutine of the one session that matches; read when it has answered
	d.server.Double.Intercept(func(s tds.Step) tds.Fault {
		if done || !match(s) {
			return tds.Fault{}
		}
		done = true
		return fault
	})
	return func() bool {
		d.server.Double.Intercept(nil)
		return done
	}
}

func holds(words string) func(tds.Step) bool {
	return func(s tds.Step) bool { return strings.Contains(s.Text, words) }
}

func ofKind(k tds.Kind) func(tds.Step) bool {
	return func(s tds.Step) bool { return s.Kind == k }
}

// TestServersErrors: what a server may say at any statement leaves the destination as before, is retried, and the
// same batch is applied the next time.
func TestServersErrors(t *testing.T) {
	d := newDatabase(t)
	s := d.open(t, sinktest.Options{Reader: "n"})
	w, tg := &writer{}, simpleTarget()
	w.shown(t, s, tg)
	first := 0
	want := map[string]string{}
	faults := []struct {
		name   string
		match  func(tds.Step) bool
		fault  tds.Fault
		reason string
		alarm  bool
		// small and large say which way batches take that the step is on.
		small, large bool
	}{
		{"deadlock at the Mark", holds("[cdc_progress]"), tds.Fault{Error: 1205}, "deadlock", false, true, true},
		{"no memory for the rows", holds("INSERT INTO @rows"), tds.Fault{Error: 701}, "memory", true, true, false},
		{"deadlock at the load", ofKind(tds.KindBulk), tds.Fault{Error: 1205}, "deadlock", false, false, true},
		{"deadlock at the insertion", holds("INSERT INTO [dbo].[Simples]"), tds.Fault{Error: 1205}, "deadlock", false, true, true},
		{"lock timeout", holds("UPDATE t"), tds.Fault{Error: 1222}, "lock_timeout", false, true, true},
		{"the log is full", holds("INSERT INTO [dbo].[Simples]"), tds.Fault{Error: 9002}, "disk_full", true, true, true},
		{"the log is full at commit", ofKind(tds.KindCommit), tds.Fault{Error: 9002}, "disk_full", true, true, true},
		{"read only", holds("INSERT INTO [dbo].[Simples]"), tds.Fault{Error: 3906}, "read_only", true, true, true},
		{"the connection is lost before the load", ofKind(tds.KindBulk), tds.Fault{Before: true}, "connection", false, false, true},
		{"the connection is lost behind the load", ofKind(tds.KindBulk), tds.Fault{After: true}, "connection", false, false, true},
		{"the connection is lost before the insertion", holds("INSERT INTO [dbo].[Simples]"), tds.Fault{Before: true}, "connection", false, true, true},
		{"the connection is lost before the commit", ofKind(tds.KindCommit), tds.Fault{Before: true}, "connection", false, true, true},
	}
	for _, rows := range []int{1, smallRows + 1} {
		for _, c := range faults {
			if rows == 1 && !c.small || rows > 1 && !c.large {
				continue
			}
			before := d.texts(t, tg)
			batch := w.inserts(tg.Table, first, rows, func(int) string { return c.name[:3] })
			met := d.intercept(t, c.match, c.fault)
			err := s.Apply(t.Context(), batch)
			if !met() {
				t.Fatalf("%d rows, %s: no such step", rows, c.name)
			}
			var retry *sinks.RetryError
			if !errors.As(err, &retry) || retry.Reason != c.reason || retry.Alarm != c.alarm {
				t.Errorf("%d rows, %s: %v, want a retry for %s", rows, c.name, err, c.reason)
			}
			if d := cmp.Diff(before, d.texts(t, tg)); d != "" {
				t.Errorf("%d rows, %s left something behind:\n%s", rows, c.name, d)
			}
			mustApply(t, s, batch)
			for i := range rows {
				want[fmt.Sprint(first+i)] = c.name[:3]
			}
			first += rows
			if d := cmp.Diff(want, d.texts(t, tg)); d != "" {
				t.Errorf("%d rows, %s, tried again:\n%s", rows, c.name, d)
			}
		}
	}
}

// TestOutcomeUnknown: the connection is lost when the commit is done and nobody has said so. The destination tells.
func TestOutcomeUnknown(t *testing.T) {
	d := newDatabase(t)
	applied := 0
	s := d.open(t, sinktest.Options{Reader: "n", Observer: sinks.Observer{Applied: func(_ string, _ change.Op, n int) { applied += n }}})
	w, tg := &writer{}, simpleTarget()
	w.shown(t, s, tg)
	for _, rows := range []int{1, smallRows + 1} {
		batch := w.inserts(tg.Table, 1, rows, func(int) string { return fmt.Sprintf("once, %d", rows) })
		met := d.intercept(t, ofKind(tds.KindCommit), tds.Fault{After: true})
		applied = 0
		if err := s.Apply(t.Context(), batch); err != nil || !met() {
			t.Fatalf("%d rows: the batch is there, and Apply says %v (met: %t)", rows, err, met())
		}
		mustApply(t, s, batch) // again: it was applied before
		texts := d.texts(t, tg)
		if len(texts) != rows || texts["1"] != fmt.Sprintf("once, %d", rows) || applied != rows {
			t.Errorf("%d rows: told of %d events: %v", rows, applied, texts)
		}
	}
	if m, err := s.Applied(t.Context(), "s"); err != nil || m != w.mark {
		t.Errorf("applied %s (error %v), want %s", m, err, w.mark)
	}
}

// TestTLS goes through every mode with the double's own certificate.
func TestTLS(t *testing.T) {
	server := testenv.SQLServer(t)
	if server.Double == nil {
		t.Skip("the certificate of a real server is not known here")
	}
	d := newDatabase(t)
	for _, c := range []struct {
		name string
		tls  TLS
		host string
		says string
	}{
		{"disable", TLS{Mode: "disable"}, "127.0.0.1", ""},
		{"require", TLS{Mode: "require"}, "127.0.0.1", ""},
		{"verify-ca", TLS{Mode: "verify-ca", CA: server.CA}, "127.0.0.1", ""},
		{"verify-ca, the system's authorities", TLS{Mode: "verify-ca"}, "127.0.0.1", "certificate"},
		{"verify-full", TLS{Mode: "verify-full", CA: server.CA}, "127.0.0.1", ""},
		{"the default", TLS{CA: server.CA}, "localhost", ""},
		{"another name", TLS{CA: server.CA, ServerName: "sql.example.com"}, "127.0.0.1", "sql.example.com"},
		{"a name that is right", TLS{CA: server.CA, ServerName: "localhost"}, "127.0.0.1", ""},
	} {
		cfg := d.config("n")
		cfg.TLS, cfg.Host = c.tls, c.host
		s, err := cfg.open(t.Context())
		if err == nil {
			err = s.close()
		}
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
}

// TestWarnings: a database without row versions is told of, with the line that mends it.
func TestWarnings(t *testing.T) {
	d := newDatabase(t)
	if d.server.Double == nil {
		t.Skip("the database was set up with both")
	}
	cfg := d.config("mars")
	var said []string
	cfg.Warn = func(text string) { said = append(said, text) }
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	if err := s.Prepare(t.Context(), "s", nil); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(said, "\n")
	if want := "ALTER DATABASE " + ident(d.name) + " SET ALLOW_SNAPSHOT_ISOLATION ON"; !strings.Contains(all, want) {
		t.Errorf("warned %q, want %q", all, want)
	}
}
