package clickhouse

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/sinks"
)

// TestNativeToHTTP: the native protocol to a port that speaks HTTP stops with the way out, instead of trying for
// ever.
func TestNativeToHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		if err == nil {
			_, err = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		}
		if err == nil {
			err = c.Close()
		}
		served <- err
	}()
	s, err := New(Config{Name: "x", Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Protocol: Native, User: "u", TLS: TLS{Mode: "disable"}})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Prepare(t.Context(), streamName, nil)
	if sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), "HTTP port") {
		t.Errorf("prepare: %v, want a stop that names the port", err)
	}
	if err := errors.Join(s.Close(), l.Close(), <-served); err != nil {
		t.Error(err)
	}
}

// TestNames: names that the driver does not read back from an INSERT are refused, by the protocol that loses them.
// "net (EUR)" shows that those which are not refused arrive.
func TestNames(t *testing.T) {
	refusedBy := map[string][]Protocol{
		"it's": nil, `a"b`: nil, `"a"`: nil, "net (EUR)": {Native}, "a`b": {Native}, `a\b`: {Native}, "a)": {HTTP, Native}, "((a))": {HTTP, Native},
	}
	named := func(name string) sinks.Target {
		tg := items()
		table := *tg.Table
		table.Columns = slices.Clone(table.Columns)
		table.Columns[1].Name = name
		tg.Table = &table
		return tg
	}
	for name, by := range refusedBy {
		for _, p := range []Protocol{HTTP, Native} {
			_, err := newTarget(named(name), Config{Protocol: p}.withDefaults())
			if want := slices.Contains(by, p); want && sinks.ClassOf(err) != sinks.Stop || !want && err != nil {
				t.Errorf("column %q by %s: %v, want a stop: %t", name, p, err, want)
			}
		}
	}
	table := items()
	table.To = "Items (new)"
	if _, err := newTarget(table, Config{}.withDefaults()); sinks.ClassOf(err) != sinks.Stop {
		t.Errorf("a table of the name %s: %v, want a stop", table.To, err)
	}
	d, f := newDatabase(t, testenv.ClickHouse(t), HTTP), &feed{}
	for i, name := range slices.Sorted(maps.Keys(refusedBy)) {
		if slices.Contains(refusedBy[name], HTTP) {
			continue
		}
		tg := named(name)
		tg.To = fmt.Sprintf("Named%d", i)
		s := d.openNamed(t, d.config("x"))
		mustPrepare(t, s, tg)
		f.load(t, s, tg)
		mustApply(t, s, f.inserts(tg, "there", 1))
		if got := d.text(t, fmt.Sprintf("SELECT assumeNotNull(%s) FROM %s", quoteName(name), tg.To)); got != "there" {
			t.Errorf("column %q holds %q", name, got)
		}
	}
}
