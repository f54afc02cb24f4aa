package main

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// Each kind of destination is asked in its own protocol, and every schema that deliver names is looked at.
func TestDoctorAsksDestinations(t *testing.T) {
	pg, ms, ch := testenv.Postgres(t), testenv.SQLServer(t), testenv.ClickHouse(t)
	sink := func(kind, addr, database, schema, user, password string) config.Sink {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		s := config.Sink{Type: kind, Host: host, Port: n, Database: database, Schema: schema, User: user, Password: config.NewSecret(password, "")}
		s.TLS.Mode = "disable"
		return s
	}
	mars := sink("sqlserver", ms.Addr, "master", "dbo", ms.User, ms.Password)
	mars.TLS.Mode, mars.TLS.CA = "verify-full", ms.CA
	if ms.CA == "" {
		mars.TLS.Mode = "require"
	}
	neptune := sink("postgres", pg.Addr, "postgres", "public", pg.User, pg.Password)
	neptune.Deliver = []config.Deliver{{Schema: "doctor_finds_no_such_schema"}}
	for _, c := range []struct {
		name, level, says string
		sink              config.Sink
	}{
		{"mars", levelOK, "sqlserver answers", mars},
		{"click", levelOK, "clickhouse answers", sink("clickhouse", ch.Addr, "default", "", ch.User, ch.Password)},
		{"click", levelBad, "", sink("clickhouse", ch.Addr, "default", "", ch.User, "wrong-secret")},
		{"neptune", levelBad, "doctor_finds_no_such_schema", neptune},
	} {
		found := examineSink(t.Context(), "sink "+c.name, &c.sink)
		if !hasFinding(found, "sink "+c.name, c.level) {
			t.Errorf("%s: %+v, want %s", c.name, found, c.level)
			continue
		}
		text := ""
		for _, f := range found {
			text += f.Text + "\n" + f.Fix + "\n"
		}
		if !strings.Contains(text, c.says) || strings.Contains(text, "wrong-secret") {
			t.Errorf("%s: %s, want %q", c.name, text, c.says)
		}
	}
}
