package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	capture "github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/schemas/change"
)

// examine is what `cdc doctor` finds: at the source, in the views, and at every enabled destination. What
// cannot be reached is a finding too, so that the others are still looked at.
func examine(ctx context.Context, c *config.Config) ([]finding, error) {
	found, tables := examineSource(ctx, c)
	if tables != nil {
		views, err := examineViews(c, tables)
		if err != nil {
			return nil, err
		}
		found = append(found, views...)
	}
	for _, name := range sortedNames(c.Sinks) {
		s := c.Sinks[name]
		if s.Enabled {
			found = append(found, examineSink(ctx, "sink "+name, &s)...)
		}
	}
	return found, ctx.Err()
}

// examineSource also returns the tables that are captured, nil when they could not be read.
func examineSource(ctx context.Context, c *config.Config) ([]finding, []*change.Table) {
	bad := func(err error) []finding { return []finding{{Check: "source", Level: levelBad, Text: err.Error()}} }
	sc, err := sourceConfig(&c.Source)
	if err != nil {
		return bad(err), nil
	}
	src, err := capture.Open(ctx, sc)
	if err != nil {
		return bad(err), nil
	}
	defer src.Close()
	filter := sourceFilter(&c.Source)
	said, err := capture.Preflight(ctx, src, capture.PreflightOptions{Filter: filter})
	if err != nil {
		return bad(err), nil
	}
	var found []finding
	for _, f := range said {
		level := levelWarn
		if f.Severity == capture.SeverityError {
			level = levelBad
		}
		found = append(found, finding{Check: "source " + f.Code, Level: level, Text: f.What, Fix: f.Fix})
	}
	tables, err := src.Tables(ctx, filter)
	if err != nil && !errors.Is(err, capture.ErrUnsupported) { // Preflight has named what is not supported
		return append(found, bad(err)...), nil
	}
	server := src.Server()
	ok := finding{Check: "source", Level: levelOK, Text: fmt.Sprintf("%s %s answers, %d tables are captured", server.Flavor, server.Version, len(tables))}
	return append([]finding{ok}, found...), slices.Clip(tables)
}

func examineViews(c *config.Config, tables []*change.Table) ([]finding, error) {
	files, err := viewFiles(c)
	if err != nil {
		return nil, err
	}
	var found []finding
	var names []string
	for _, v := range compileAll(files, catalog(tables), os.ReadFile) {
		if v.Err != nil {
			found = append(found, finding{Check: "view", Level: levelBad, Text: v.Err.Error()})
			continue
		}
		names = append(names, v.Plan.Name)
		found = append(found, finding{Check: "view " + v.Plan.Name, Level: levelOK, Text: "compiles; a row is identified by " + strings.Join(keyNames(v.Plan.Output), ", ")})
		for _, k := range v.Cascades {
			if !k.Handled {
				found = append(found, finding{
					Check: "view " + v.Plan.Name, Level: levelWarn, Fix: "cdc resync " + k.Child.String() + " mends those rows",
					Text: fmt.Sprintf("foreign key %s of %s changes rows without the source logging it, and it is not followed: %s", k.Key, k.Child, k.Reason),
				})
			}
		}
	}
	for _, sink := range sortedNames(c.Sinks) {
		for _, d := range c.Sinks[sink].Deliver {
			if d.From.View != "" && !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, d.From.View) }) {
				found = append(found, finding{
					Check: "sink " + sink, Level: levelBad, Text: fmt.Sprintf("delivers %s, and no view of that name compiles", d.From),
					Fix: fmt.Sprintf("write it in %s, or change sinks.%s.deliver (views: %s)", c.Views.Dir, sink, orNone(strings.Join(names, ", "))),
				})
			}
		}
	}
	return found, nil
}

// connectTimeout bounds one attempt to reach a destination.
const connectTimeout = 10 * time.Second

func examineSink(ctx context.Context, name string, s *config.Sink) []finding {
	bad := func(err error) []finding {
		return []finding{{Check: name, Level: levelBad, Text: fmt.Sprintf("%s:%d: %v", s.Host, s.Port, err)}}
	}
	if s.Type != "postgres" {
		found, err := examineAccess(ctx, name, s)
		if err != nil {
			return bad(err)
		}
		return found
	}
	pc, err := pgx.ParseConfig("sslmode=disable") // so that no setting comes from elsewhere than s
	if err != nil {
		return bad(err)
	}
	pc.Host, pc.Port, pc.Database, pc.User, pc.Password = s.Host, uint16(s.Port), s.Database, s.User, s.Password.Reveal()
	pc.Fallbacks, pc.ConnectTimeout = nil, connectTimeout
	pc.TLSConfig, err = capture.Config{Host: s.Host, TLS: capture.TLS{
		Mode: s.TLS.Mode, CA: s.TLS.CA, Cert: s.TLS.Cert, Key: s.TLS.Key, ServerName: s.TLS.ServerName,
	}}.TLSConfig()
	if err != nil {
		return bad(err)
	}
	conn, err := pgx.ConnectConfig(ctx, pc)
	if err != nil {
		return bad(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	schemas := []string{s.Schema}
	for _, d := range s.Deliver {
		if d.Schema != "" && !slices.Contains(schemas, d.Schema) {
			schemas = append(schemas, d.Schema)
		}
	}
	var found []finding
	for _, schema := range schemas {
		in := *s
		in.Schema = schema
		more, err := examinePostgres(ctx, conn, name, &in)
		if err != nil {
			return bad(err)
		}
		for _, f := range more {
			if !slices.Contains(found, f) {
				found = append(found, f)
			}
		}
	}
	return found
}

// examineAccess looks whether a destination lets the account in and answers questions about its catalog.
func examineAccess(ctx context.Context, name string, s *config.Sink) ([]finding, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	d, err := driverOf(s.Type)
	if err != nil {
		return nil, err
	}
	if _, err := d.remains(ctx, strings.TrimPrefix(name, "sink "), s); err != nil {
		return nil, err
	}
	return []finding{{Check: name, Level: levelOK, Text: fmt.Sprintf("%s answers, and %s may read its catalog; what it may write shows at the start", s.Type, s.User)}}, nil
}

// oldestPostgres is the first version that the sink works with, firstNullKeys the first one that tells
// keys with NULL apart.
const (
	oldestPostgres = 120000
	firstNullKeys  = 150000
)

func examinePostgres(ctx context.Context, conn *pgx.Conn, name string, s *config.Sink) ([]finding, error) {
	var version, fsync, commit string
	var usage, create, temporary bool
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num'), current_setting('fsync'), current_setting('synchronous_commit'),
		COALESCE(has_schema_privilege(oid, 'USAGE'), false), COALESCE(has_schema_privilege(oid, 'CREATE'), false),
		has_database_privilege(current_database(), 'TEMPORARY')
		FROM (SELECT to_regnamespace($1)::oid AS oid) AS n`, pgx.Identifier{s.Schema}.Sanitize()).
		Scan(&version, &fsync, &commit, &usage, &create, &temporary)
	if err != nil {
		return nil, fmt.Errorf("ask for its settings: %w", err)
	}
	n, err := strconv.Atoi(version)
	if err != nil {
		return nil, fmt.Errorf("read its version %q: %w", version, err)
	}
	user, schema, database := pgx.Identifier{s.User}.Sanitize(), pgx.Identifier{s.Schema}.Sanitize(), pgx.Identifier{s.Database}.Sanitize()
	var found []finding
	add := func(when bool, level, text, fix string) {
		if when {
			found = append(found, finding{Check: name, Level: level, Text: text, Fix: fix})
		}
	}
	add(n < oldestPostgres, levelBad, fmt.Sprintf("PostgreSQL %d is too old", n/10000), "use PostgreSQL 15 or later (12 where no key can be NULL)")
	add(n >= oldestPostgres && n < firstNullKeys, levelWarn,
		fmt.Sprintf("PostgreSQL %d cannot hold views whose key can be NULL (left joins)", n/10000), "use PostgreSQL 15 or later for those")
	add(!usage || !create, levelBad, fmt.Sprintf("%s may not create tables in schema %s, or there is none", s.User, s.Schema),
		fmt.Sprintf("CREATE SCHEMA IF NOT EXISTS %s;\nGRANT USAGE, CREATE ON SCHEMA %s TO %s;", schema, schema, user))
	add(!temporary, levelBad, s.User+" may not create temporary tables", fmt.Sprintf("GRANT TEMPORARY ON DATABASE %s TO %s;", database, user))
	add(fsync != "on", levelWarn, "fsync is "+fsync+": after a power cut it may lose what it confirmed; that is noticed and healed, not prevented",
		"ALTER SYSTEM SET fsync = on;")
	add(commit == "off", levelWarn, "synchronous_commit is off: after a power cut it may lose what it confirmed; that is noticed and healed, not prevented",
		fmt.Sprintf("ALTER ROLE %s SET synchronous_commit = on;", user))
	if len(found) == 0 {
		found = append(found, finding{Check: name, Level: levelOK, Text: fmt.Sprintf("PostgreSQL %d.%d answers, and %s may write to schema %s", n/10000, n%10000, s.User, s.Schema)})
	}
	return found, nil
}
