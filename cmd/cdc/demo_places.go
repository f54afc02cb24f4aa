package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's driver "pgx"
	_ "github.com/microsoft/go-mssqldb"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/sample"
	"github.com/etlsandbox/cdc/internal/testenv"
)

// place is a destination of the demo: what the daemon's configuration says of it, and how to ask it.
type place struct {
	name, title string // the sink's name; what it is
	variable    string // the environment variable of its password
	password    string
	settings    string // the sink in cdc.yaml, without deliver
	connect     string // the line that asks it, for a person
	dialect     sample.Dialect
	table       string // quoted
	shown       string // the condition for rows that are not marked as deleted
	identity    bool   // the table keeps the surrogate column of the tables that readers know
	// poll is the pause between two looks of the latency probe, which costs the servers less where a look is dear.
	poll time.Duration
	db   *sql.DB
}

// places starts the destinations, one after the other. One whose server this machine lacks is left out, which is said.
func (s *scene) places(ctx context.Context) error {
	kinds := []struct {
		title string
		start func(context.Context) (*place, error)
	}{
		{"PostgreSQL (Neptune)", s.neptune},
		{"SQL Server's double (Mars)", func(ctx context.Context) (*place, error) { return s.sqlServer(ctx, "mars", "Mars") }},
		{"SQL Server's double (Venus)", func(ctx context.Context) (*place, error) { return s.sqlServer(ctx, "venus", "Venus") }},
		{"ClickHouse (the engine behind HTTP)", s.clickHouse},
	}
	for _, k := range kinds {
		err := s.step("start "+k.title, func() error {
			p, err := k.start(ctx)
			if err == nil {
				s.at = append(s.at, p)
			}
			return err
		})
		if testenv.IsMissing(err) && len(s.at) > 0 {
			fmt.Fprintf(s.Stdout, "%s is left out: %s\n", k.title, oneLineOf(err))
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func oneLineOf(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func (s *scene) neptune(ctx context.Context) (*place, error) {
	server, err := s.env.Postgres(ctx)
	if err != nil {
		return nil, err
	}
	if err := server.Exec(ctx, "postgres", `CREATE DATABASE "`+demoDatabase+`"`); err != nil {
		return nil, err
	}
	p := &place{
		name: "neptune", title: "Neptune (PostgreSQL)", variable: "CDC_DEMO_NEPTUNE", password: server.Password,
		settings: fmt.Sprintf("type: postgres\nhost: %s\nport: %d\ndatabase: %s\nuser: %s", server.Host, server.Port, demoDatabase, server.User),
		dialect:  sample.PostgreSQL, table: `"` + demoTable + `"`, shown: `NOT "IsDeleted"`, identity: true, poll: 2 * time.Millisecond,
		connect: fmt.Sprintf(`PGPASSWORD=%s psql -h %s -p %d -U %s %s -c 'SELECT count(*), sum("Amount") FROM "%s" WHERE NOT "IsDeleted"'`,
			server.Password, server.Host, server.Port, server.User, demoDatabase, demoTable),
	}
	p.db, err = sql.Open("pgx", server.DSN(demoDatabase))
	return p, err
}

// sqlServer starts a server of its own for each name, as Mars and Venus are two machines.
func (s *scene) sqlServer(ctx context.Context, name, title string) (*place, error) {
	server, err := s.env.SQLServer(ctx)
	if err != nil {
		return nil, err
	}
	if err := server.Exec(ctx, "", "CREATE DATABASE ["+demoDatabase+"]"); err != nil {
		return nil, err
	}
	what := "SQL Server"
	if server.Double != nil {
		what = "SQL Server's protocol double, not the server"
	}
	p := &place{
		name: name, title: title + " (" + what + ")", variable: "CDC_DEMO_" + strings.ToUpper(name), password: server.Password,
		settings: fmt.Sprintf("type: sqlserver\nhost: %s\nport: %d\ndatabase: %s\nuser: %s", server.Host, server.Port, demoDatabase, server.User),
		dialect:  sample.SQLServer, table: "[" + demoTable + "]", shown: "[IsDeleted] = 0", identity: true, poll: 10 * time.Millisecond,
		connect: fmt.Sprintf(`SQLCMDPASSWORD=%s sqlcmd -S %s,%d -U %s -d %s -Q 'SELECT COUNT(*), SUM(Amount) FROM %s WHERE IsDeleted = 0'`,
			server.Password, server.Host, server.Port, server.User, demoDatabase, demoTable),
	}
	if server.CA != "" {
		p.settings += fmt.Sprintf("\ntls: {mode: verify-full, ca: %q}", server.CA)
	}
	p.db, err = sql.Open("sqlserver", server.DSN(demoDatabase))
	return p, err
}

func (s *scene) clickHouse(ctx context.Context) (*place, error) {
	server, err := s.env.ClickHouse(ctx)
	if err != nil {
		return nil, err
	}
	if err := server.Exec(ctx, "", "CREATE DATABASE "+demoDatabase); err != nil {
		return nil, err
	}
	return &place{
		name: "clickhouse", title: "ClickHouse (its engine behind HTTP)", variable: "CDC_DEMO_CLICKHOUSE", password: server.Password,
		settings: fmt.Sprintf("type: clickhouse\nhost: %s\nport: %d\ndatabase: %s\nuser: %s", server.Host, server.Port, demoDatabase, server.User),
		dialect:  sample.ClickHouse, table: demoTable, shown: "NOT IsDeleted", poll: 20 * time.Millisecond,
		connect: fmt.Sprintf(`curl -u %s:%s 'http://%s/?database=%s' -d 'SELECT count(), sum(Amount) FROM %s WHERE NOT IsDeleted'`,
			server.User, server.Password, server.Addr, demoDatabase, demoTable),
		db: clickhouse.OpenDB(&clickhouse.Options{
			Protocol: clickhouse.HTTP, Addr: []string{server.Addr},
			Auth: clickhouse.Auth{Database: demoDatabase, Username: server.User, Password: server.Password},
		}),
	}, nil
}

// sink is the place in cdc.yaml.
func (p *place) sink() string {
	identity := ""
	if p.identity {
		identity = ", identity: Id"
	}
	lines := append(strings.Split(p.settings, "\n"), "password: ${env:"+p.variable+"}",
		"deliver: [{from: view/CustomerOrderFlat, to: "+demoTable+", delete: soft"+identity+"}]")
	return "  " + p.name + ":\n    " + strings.Join(lines, "\n    ") + "\n"
}

// count is the number of rows that the place shows.
func (p *place) count(ctx context.Context) (n int64, err error) {
	err = p.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+p.table+" WHERE "+p.shown).Scan(&n)
	return n, err
}

// look answers the latency probe.
func (p *place) look(ctx context.Context) (n int64, err error) {
	if err := pipeline.Sleep(ctx, p.poll); err != nil {
		return 0, err
	}
	err = p.db.QueryRowContext(ctx, sample.ProbeQuery(p.dialect, p.table, p.shown)).Scan(&n)
	return n, err
}
