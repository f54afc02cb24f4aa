package testenv

import (
	"errors"
	"fmt"
	"strings"
)

// Kinds of servers, as CDC_REQUIRE, reports and Server.Kind name them.
const (
	KindMariaDB  = "mariadb"
	KindMySQL    = "mysql"
	KindMySQL57  = "mysql57" // the oldest supported; KindMySQL falls back to it
	KindPostgres = "postgres"
	KindKafka    = "kafka"
	// KindClickHouse is the engine behind an HTTP edge, or a server.
	KindClickHouse = "clickhouse"
	// KindSQLServer is a real server, or the double of package tds.
	KindSQLServer = "sqlserver"
	// KindKcat is no server, but a client that tests read the embedded broker with.
	KindKcat = "kcat"
)

// Kinds lists all kinds of servers.
func Kinds() []string {
	return []string{KindMariaDB, KindMySQL, KindMySQL57, KindPostgres, KindKafka, KindClickHouse, KindSQLServer}
}

// MissingError says that no source had the server. It lists what was tried
// and what to install.
type MissingError struct {
	Kind  string
	Tried []error // one per source, in their order
}

func (m *MissingError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no %s to be had:", m.Kind)
	for _, err := range m.Tried {
		fmt.Fprintf(&b, "\n  - %v", err)
	}
	fmt.Fprintf(&b, "\nthe way out, one of: %s", wayOut[m.Kind])
	return b.String()
}

func (m *MissingError) Unwrap() []error { return m.Tried }

// wayOut tells, per kind, what makes the server available.
var wayOut = map[string]string{
	KindMariaDB: "connect the machine to a Debian mirror (nothing will be installed); " +
		"apt-get install --no-install-recommends mariadb-server-core; " +
		"set CDC_TEST_MARIADB=user:password@tcp(host:port)/",
	KindMySQL: "connect the machine to a Debian mirror (nothing will be installed); " +
		"install MySQL 5.7 or later so that mysqld is on PATH; " +
		"set CDC_TEST_MYSQL=user:password@tcp(host:port)/",
	KindMySQL57: "install npm and connect the machine to its registry and to a Debian mirror (nothing will be installed); " +
		"set CDC_TEST_MYSQL57=user:password@tcp(host:port)/",
	KindPostgres: "connect the machine to a Debian mirror (nothing will be installed); " +
		"install PostgreSQL 15 or later (apt-get install postgresql also starts a server on port 5432); " +
		"set CDC_TEST_POSTGRES=postgres://user:password@host:port/postgres",
	KindKafka: "install a JDK (17 or later) and Maven, with access to a Maven repository; " +
		"set CDC_TEST_KAFKA=host:port",
	KindClickHouse: "install npm and connect the machine to its registry (nothing will be installed); " +
		"set CDC_TEST_CLICKHOUSE_ARCHIVE to a file with libchdb.so; " +
		"set CDC_TEST_CLICKHOUSE=http://user:password@host:8123/",
	KindKcat: "connect the machine to a Debian mirror (nothing will be installed); " +
		"apt-get install --no-install-recommends kcat; " +
		"set CDC_TEST_KCAT to the program",
	"tsql-grammars": "install Python 3 with venv and connect the machine to PyPI",
	"dbt":           "install Python 3 with venv and connect the machine to PyPI",
	KindSQLServer: "make PostgreSQL available, on which the double works; " +
		"set CDC_TEST_SQLSERVER=sqlserver://user:password@host:port?tls=verify-full&ca=FILE",
}

// IsMissing reports whether err says that a server cannot be had at all, as
// against one that was found and failed.
func IsMissing(err error) bool {
	var m *MissingError
	return errors.As(err, &m)
}
