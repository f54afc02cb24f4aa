package cdc_test

import (
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/cdc/binlog"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

func preflight(t *testing.T, cfg cdc.Config, f cdc.Filter) map[string]cdc.Finding {
	t.Helper()
	found, err := cdc.Preflight(t.Context(), open(t, cfg), cdc.PreflightOptions{Filter: f})
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]cdc.Finding{}
	for _, x := range found {
		m[x.Code] = x
	}
	return m
}

// wantFinding checks severity and that the fix contains a text.
func wantFinding(t *testing.T, found map[string]cdc.Finding, code string, s cdc.Severity, fix string) {
	t.Helper()
	f, ok := found[code]
	if !ok {
		t.Errorf("no finding %s in %v", code, found)
		return
	}
	if f.Severity != s || !strings.Contains(f.Fix, fix) {
		t.Errorf("%v: want severity %s and a fix with %q", f, s, fix)
	}
}

func TestPreflightHealthy(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		db := s.CreateDatabase(t)
		exec(t, s, db, "CREATE TABLE t (id INT PRIMARY KEY)")
		cfg := newUser(t, s, "REPLICATION SLAVE, REPLICATION CLIENT ON *.*", "SELECT ON "+db+".*")
		for code, f := range preflight(t, cfg, inDatabase(db)) {
			if f.Severity == cdc.SeverityError {
				t.Errorf("%s: %v", code, f)
			}
		}
	})
}

func TestPreflightTables(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		db := s.CreateDatabase(t)
		exec(t, s, db,
			"CREATE TABLE parent (id INT PRIMARY KEY)",
			"CREATE TABLE child (id INT PRIMARY KEY, p INT, CONSTRAINT fk_child FOREIGN KEY (p) REFERENCES parent (id) ON DELETE SET NULL ON UPDATE CASCADE)",
			"CREATE TABLE keyless (a INT)",
			"CREATE TABLE shapes (id INT PRIMARY KEY, g GEOMETRY)",
			"CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM")
		found := preflight(t, config(s), inDatabase(db))
		wantFinding(t, found, "column-type", cdc.SeverityError, `source.columns.exclude: ["`+db+`.shapes.g"]`)
		wantFinding(t, found, "no-key", cdc.SeverityWarning, "`"+db+"`.`keyless` ADD PRIMARY KEY")
		wantFinding(t, found, "engine", cdc.SeverityWarning, "`"+db+"`.`old` ENGINE=InnoDB")
		if open(t, config(s)).Server().LogCascades {
			if f, ok := found["unlogged-cascade"]; ok {
				t.Errorf("the server logs cascades, and yet: %v", f)
			}
		} else {
			wantFinding(t, found, "unlogged-cascade", cdc.SeverityWarning, "")
		}
	})
}

func TestPreflightGrants(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		db := s.CreateDatabase(t)
		exec(t, s, db, "CREATE TABLE t (id INT PRIMARY KEY)")
		found := preflight(t, newUser(t, s, "INSERT ON "+db+".*"), inDatabase(db))
		wantFinding(t, found, "grant-replication", cdc.SeverityError, "GRANT REPLICATION SLAVE ON *.* TO 'u")
		wantFinding(t, found, "grant-client", cdc.SeverityError, " ON *.* TO 'u")
		wantFinding(t, found, "grant-select", cdc.SeverityError, "GRANT SELECT ON `"+db+"`.`t` TO 'u")
		found = preflight(t, newUser(t, s), inDatabase(db))
		wantFinding(t, found, "no-table", cdc.SeverityError, "GRANT SELECT")

		cfg := newUser(t, s, "REPLICATION SLAVE, REPLICATION CLIENT ON *.*", "SELECT ON "+db+".*")
		cfg.ServerID = 4711
		found = preflight(t, cfg, inDatabase(db))
		if s.Flavor == "mariadb" { // what cannot be looked at is said, with the line that lets it be looked at
			wantFinding(t, found, "grant-monitor", cdc.SeverityWarning, "GRANT SLAVE MONITOR ON *.* TO 'u")
			wantFinding(t, found, "grant-replicas", cdc.SeverityWarning, "GRANT REPLICATION MASTER ADMIN ON *.* TO 'u")
			if err := s.Exec(t.Context(), "GRANT SLAVE MONITOR, REPLICATION MASTER ADMIN ON *.* TO '"+cfg.User+"'@'%'"); err != nil {
				t.Fatal(err)
			}
			found = preflight(t, cfg, inDatabase(db))
		}
		for _, code := range []string{"grant-monitor", "grant-replicas"} {
			if f, ok := found[code]; ok {
				t.Errorf("with every right: %v", f)
			}
		}

		cfg = config(s)
		cfg.ServerID = open(t, config(s)).Server().ServerID
		wantFinding(t, preflight(t, cfg, inDatabase(db)), "server-id", cdc.SeverityError, "source.server_id")
	})
}

func TestPreflightServerIDInUse(t *testing.T) {
	onBoth(t, func(t *testing.T, s *testenv.MySQLServer) {
		src := open(t, config(s))
		from, err := src.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r, err := binlog.Open(t.Context(), src, binlog.Options{From: from})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		cfg := config(s)
		cfg.ServerID = src.Config().ServerID
		wantFinding(t, preflight(t, cfg, cdc.Filter{}), "server-id-in-use", cdc.SeverityError, "source.server_id")
		cfg.ServerID++
		if f, ok := preflight(t, cfg, cdc.Filter{})["server-id-in-use"]; ok {
			t.Errorf("another id: %v", f)
		}
	})
}

// replicaOf makes a server a replica of one that is not there; MariaDB's connection has a name.
var replicaOf = map[string]string{
	"mariadb": "CHANGE MASTER 'up' TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='u'",
	"mysql":   "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=1, SOURCE_USER='u'",
}

func TestPreflightSettings(t *testing.T) {
	args := []string{
		"--binlog-format=STATEMENT", "--binlog-row-image=MINIMAL", "--binlog-row-metadata=MINIMAL", "--sync-binlog=0",
		"--innodb-flush-log-at-trx-commit=2", "--binlog-do-db=other", "--binlog-ignore-db=ignored", "--binlog-expire-logs-seconds=3600",
		"--replicate-do-db=some", "--replicate-wild-ignore-table=other.x%",
	}
	check := func(t *testing.T, s *testenv.MySQLServer) {
		db := s.CreateDatabase(t)
		exec(t, s, db, "CREATE TABLE t (id INT PRIMARY KEY)", "CREATE DATABASE ignored", "CREATE TABLE ignored.t (id INT PRIMARY KEY)", replicaOf[s.Flavor])
		found := preflight(t, config(s), cdc.Filter{Table: func(id change.TableID) bool { return id.DB == db || id.DB == "ignored" }})
		wantFinding(t, found, "binlog-ignore-db", cdc.SeverityError, "binlog-ignore-db")
		wantFinding(t, found, "replica-updates", cdc.SeverityError, "log_replica_updates")
		wantFinding(t, found, "replication-filter", cdc.SeverityWarning, "remove the filter")
		wantFinding(t, found, "binlog-format", cdc.SeverityError, "SET GLOBAL binlog_format = 'ROW'")
		wantFinding(t, found, "row-image", cdc.SeverityError, "SET GLOBAL binlog_row_image = 'FULL'")
		wantFinding(t, found, "row-metadata", cdc.SeverityWarning, "SET GLOBAL binlog_row_metadata = 'FULL'")
		wantFinding(t, found, "binlog-do-db", cdc.SeverityError, "binlog-do-db")
		wantFinding(t, found, "retention", cdc.SeverityWarning, "SET GLOBAL binlog_expire_logs_seconds")
		wantFinding(t, found, "sync-binlog", cdc.SeverityWarning, "SET GLOBAL sync_binlog = 1")
		wantFinding(t, found, "flush-log", cdc.SeverityWarning, "SET GLOBAL innodb_flush_log_at_trx_commit = 1")
		if s.Flavor == "mysql" {
			wantFinding(t, found, "gtid-mode", cdc.SeverityWarning, "gtid_mode")
		}
	}
	t.Run("mariadb", func(t *testing.T) { check(t, testenv.NewMariaDB(t, append(args, "--log-slave-updates=OFF")...)) })
	t.Run("mysql", func(t *testing.T) {
		check(t, testenv.NewMySQL(t, append(args, "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF", "--log-replica-updates=OFF")...))
	})
	t.Run("no log", func(t *testing.T) {
		s := testenv.NewMySQL(t, "--skip-log-bin", "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF")
		wantFinding(t, preflight(t, config(s), cdc.Filter{}), "log-bin", cdc.SeverityError, "log_bin")
	})
}
