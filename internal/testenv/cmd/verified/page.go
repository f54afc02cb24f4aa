package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// place is a destination, and what stood in for it in the run.
type place struct{ title, pkg, test string }

var places = [...]place{
	{"in memory", "sinks/memory", "TestConformance"},
	{"PostgreSQL", "sinks/postgres", "TestConformance"},
	{"SQL Server", "sinks/sqlserver", "TestConformance"},
	{"ClickHouse, HTTP", "sinks/clickhouse", "TestConformance/http"},
	{"ClickHouse, native", "sinks/clickhouse", "TestConformance/native"},
}

// claim is a sentence that a test proves.
type claim struct{ says, pkg, test string }

var claims = [...]claim{
	{"MariaDB to all destinations at once, each killed and restarted beside a daemon that is killed: equal, and no reader of a transactional destination saw a state that the source did not have", "internal/e2e", "TestEveryDestination"},
	{"one destination down for the whole run delays no other", "internal/e2e", "TestOneDestinationDown"},
	{"a sink is added, disabled and removed while the daemon runs", "internal/e2e", "TestSinksComeAndGo"},
	{"a sink of each kind joins, withholds, is resynced, pauses and goes", "internal/e2e", "TestKindsOfSinks"},
	{"rows that a destination refuses are listed, replayed and dropped", "internal/e2e", "TestDeadLetters"},
	{"contracts warn, quarantine and stop", "internal/e2e", "TestContract"},
	{"every T-SQL text that the sink can send is in the folder that the grammars read", "sinks/sqlserver", "TestEveryTextIsRendered"},
	{"the two T-SQL grammars read every text (make test-peers)", "sinks/sqlserver", "TestGrammars"},
	{"dbt builds the view from raw tables, equal to the streamed one (make test-peers)", "internal/e2e", "TestDBT"},
	{"rows read are rows filtered and written; rows written are rows applied and quarantined", "internal/e2e", "TestConservationQuarantined"},
}

// page is docs/verified.md.
type page struct {
	results results
	servers []string
}

func (p page) write(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# What was proven where

Written by ` + "`make verified`" + ` from the results of the tests; nothing here is typed by hand but the sentences. It is
true of the servers that it names.

`)
	for _, s := range p.servers {
		fmt.Fprintf(&b, "- %s\n", s)
	}
	b.WriteString(`
Where it says *double*, SQL Server's protocol was spoken by the real driver with a stand-in of ours, whose statements had
their effect in PostgreSQL. Where ClickHouse came from npm or an archive, its real engine ran behind an HTTP front of ours.

## The meaning of a sink

One suite, ` + "`sinks/sinktest`" + `, run against each destination.

`)
	p.matrix(&b)
	b.WriteString("\n## Through the whole program, and beside it\n\n| claim | test | result |\n|---|---|---|\n")
	for _, c := range claims {
		fmt.Fprintf(&b, "| %s | `%s` `%s` | %s |\n", c.says, c.pkg, c.test, p.results.get(c.pkg, c.test))
	}
	b.WriteString(realServer)
	_, err := io.WriteString(w, b.String())
	return err
}

func (p page) matrix(b *strings.Builder) {
	var cases []string
	for _, at := range places {
		for _, name := range p.results.below(at.pkg, at.test) {
			if !slices.Contains(cases, name) {
				cases = append(cases, name)
			}
		}
	}
	b.WriteString("| case |")
	for _, at := range places {
		fmt.Fprintf(b, " %s |", at.title)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(places)) + "\n")
	for _, name := range cases {
		fmt.Fprintf(b, "| %s |", strings.ReplaceAll(name, "_", " "))
		for _, at := range places {
			fmt.Fprintf(b, " %s |", p.results.get(at.pkg, at.test+"/"+name))
		}
		b.WriteString("\n")
	}
}

// realServer is what no double can show.
const realServer = `
## What only a real SQL Server can show

- locks: which the statements take, when they escalate to the table, and that a reader under row versions waits for none;
- plans: that the set-based statements seek by the key and do not scan the target, that a small batch finds its plan in the cache (its text
  and declarations are the same for every batch of a size), and what several hundred parameters cost;
- limits that depend on a plan: columns and expressions of one statement (errors 8623 and 8632), and rows of work tables (511);
- parameters: that each implicit conversion to a declared type is what the documentation of CAST says (datetimeoffset to datetime2,
  nvarchar to decimal), and that the server rounds none;
- keys that grow: which indexes let a text column become longer, and rows whose key passes 900 or 1,700 bytes (1946);
- isolation: READ COMMITTED and SNAPSHOT as that server implements them, and its own choice of a deadlock's victim;
- collations beyond those of the double, the sort order of a case-insensitive database, and a tempdb whose default differs from the
  database's (every text column of a temporary table or variable names its collation);
- rights: that the grants of [operations](operations.md) are enough (the double lets its one login do everything);
- the transaction log: that bulk loads into a temporary table are minimally logged, and what a full log says.

## What only a real ClickHouse server can show

The engine is ClickHouse's own, behind an HTTP edge of ours in place of its server.

- the native protocol: it was **never run**. It was read against the driver (clickhouse-go 2.50): the server says the types of a block's columns
  before the block is sent, and another type than the sink's is an error; settings, tokens among them, travel with each statement; errors
  have the same type as over HTTP; statements with rows in their text are taken; names that the driver does not read back are refused;
- its HTTP front, users, profiles, quotas and TLS;
- that what was answered survives a power cut (` + "`fsync_after_insert`" + `);
- merges under a load of days, and ` + "`too_many_parts`" + `.

## Against a real server

One command runs the same suite against a server whose account may create databases:

    CDC_TEST_SQLSERVER='sqlserver://sa:PASSWORD@HOST:1433?encrypt=disable' go test -v ./sinks/sqlserver

and ` + "`CDC_TEST_CLICKHOUSE='http://USER:PASSWORD@HOST:8123/?native=9000' go test -v ./sinks/clickhouse`" + ` does the same for a
ClickHouse server, over both protocols.
`
