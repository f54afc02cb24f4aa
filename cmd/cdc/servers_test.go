package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv"
)

// seedServer fills a small sample database and returns the server's address.
func seedServer(t *testing.T, s *testenv.MySQLServer, schema string) (host, port string) {
	t.Helper()
	o := execute(t.Context(), process{}, "seed", "--dsn", s.DSN(schema), "--scale", "0.02", "--seed", "3", "--json")
	var got seeded
	if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || o.status != exitOK || got.Schema != schema || got.Rows < 100 {
		t.Fatalf("seed: %v\n%s", err, o)
	}
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func TestSeed(t *testing.T) {
	s := testenv.MariaDB(t)
	const schema = "cli_seed"
	seedServer(t, s, schema)
	p := process{environ: []string{"CDC_SEED_DSN=" + s.DSN(schema)}}
	if o := execute(t.Context(), p, "seed"); o.status != exitUnknown || !strings.Contains(o.stderr, "already has rows") {
		t.Errorf("filled schema: %s", o)
	}
	o := execute(t.Context(), p, "seed", "--load", "--seconds", "1", "--rate", "50", "--json")
	var got loaded
	if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || o.status != exitOK || got.Transactions == 0 {
		t.Errorf("load: %v\n%s", err, o)
	}
	if o := execute(t.Context(), p, "seed", "--drop", "--scale", "0.02"); o.status != exitOK || !strings.HasPrefix(o.stdout, schema+" holds ") {
		t.Errorf("again: %s", o)
	}
	if err := s.Exec(t.Context(), "CREATE DATABASE IF NOT EXISTS cli_foreign", "CREATE TABLE IF NOT EXISTS cli_foreign.t (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--seconds", "-1"}, {"--rate", "-1"}, {"--rate", "NaN"}} { // these would be a load without an end
		if o := execute(t.Context(), p, append([]string{"seed", "--load"}, args...)...); o.status != exitUnknown || !strings.Contains(o.stderr, args[0]) {
			t.Errorf("%v: %s", args, o)
		}
	}
	for _, args := range [][]string{{"seed"}, {"seed", "--drop"}, {"seed", "--load", "--seconds", "1"}} {
		o := execute(t.Context(), process{}, append(args, "--dsn", s.DSN("cli_foreign"))...)
		if o.status != exitUnknown || !strings.Contains(o.stderr, "not created by cdc seed") || strings.Contains(o.stderr, s.Password) {
			t.Errorf("%v on a schema of somebody else: %s", args, o)
		}
	}
}

// A new user's way: init from a server, check, look at the view, doctor.
func TestFirstSteps(t *testing.T) {
	s, pg := testenv.MariaDB(t), testenv.Postgres(t)
	const schema = "cli_first"
	host, port := seedServer(t, s, schema)
	dir := t.TempDir()
	p := process{environ: []string{"SOURCE_PASSWORD=" + s.Password, "PGPW=" + pg.Password, "WRONG=nonsense"}, deps: parts()}
	url := fmt.Sprintf("mysql://%s@%s:%s/%s", s.User, host, port, schema)
	o := execute(t.Context(), p, "init", dir, "--source", url)
	if o.status != exitOK || !strings.Contains(o.stdout, "  "+schema+".payment\n") || !strings.Contains(o.stdout, "GRANT REPLICATION SLAVE") {
		t.Fatalf("init: %s", o)
	}
	pgHost, pgPort, err := net.SplitHostPort(pg.Addr)
	if err != nil {
		t.Fatal(err)
	}
	cfg := func(more ...string) []string {
		return append([]string{"-c", filepath.Join(dir, "cdc.yaml"), "--set", "sinks.neptune.host=" + pgHost, "--set", "sinks.neptune.port=" + pgPort,
			"--set", "sinks.neptune.user=" + pg.User, "--set", "sinks.neptune.database=postgres", "--set", "sinks.neptune.password=${env:PGPW}"}, more...)
	}
	if o := execute(t.Context(), p, cfg("config", "check")...); o.status != exitOK {
		t.Fatalf("config check: %s", o)
	}
	if o := execute(t.Context(), p, cfg("view", "explain", "CustomerOrderFlat")...); o.status != exitOK ||
		!strings.Contains(o.stdout, "A row is identified by RentalId, PaymentId, CategoryId.") || !strings.Contains(o.stdout, "performed here too") {
		t.Errorf("view explain: %s", o)
	}
	bad := filepath.Join(dir, "bad.sql")
	if err := os.WriteFile(bad, []byte("CREATE VIEW Bad AS\nSELECT r.rental_id, NOW() AS at FROM rental r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := execute(t.Context(), p, cfg("view", "check", bad)...); o.status != exitNo || !strings.Contains(o.stderr, bad+":2:") {
		t.Errorf("view check: %s", o)
	}

	o = execute(t.Context(), p, cfg("doctor", "--json")...)
	var found []finding
	if err := json.Unmarshal([]byte(o.stdout), &found); err != nil {
		t.Fatalf("doctor: %v\n%s", err, o)
	}
	for _, want := range []finding{{Check: "source", Level: levelOK}, {Check: "view CustomerOrderFlat", Level: levelOK}} {
		if !hasFinding(found, want.Check, want.Level) {
			t.Errorf("doctor lacks %s %s:\n%s", want.Level, want.Check, o)
		}
	}
	if hasFinding(found, "sink neptune", levelBad) || o.status != exitOK {
		t.Errorf("doctor finds something bad: %s", o)
	}
	o = execute(t.Context(), p, cfg("doctor", "--json", "--set", "sinks.neptune.database=none", "--set", "source.password=${env:WRONG}")...)
	if err := json.Unmarshal([]byte(o.stdout), &found); err != nil || o.status != exitNo {
		t.Fatalf("doctor: %v\n%s", err, o)
	}
	if !hasFinding(found, "source", levelBad) || !hasFinding(found, "sink neptune", levelBad) {
		t.Errorf("doctor overlooks a wrong password or a missing database: %s", o)
	}
	if strings.Contains(o.stdout+o.stderr, pg.Password) || strings.Contains(o.stdout+o.stderr, s.Password) {
		t.Errorf("a password is shown: %s", o)
	}
}

func hasFinding(found []finding, check, level string) bool {
	for _, f := range found {
		if f.Check == check && f.Level == level {
			return true
		}
	}
	return false
}
