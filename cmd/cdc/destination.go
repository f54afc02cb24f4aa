package main

import (
	"context"
	"fmt"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/verify"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/clickhouse"
	"github.com/etlsandbox/cdc/sinks/migrate"
	"github.com/etlsandbox/cdc/sinks/postgres"
	"github.com/etlsandbox/cdc/sinks/sqlserver"
)

// driver opens destinations of one kind. sink and reader do not connect.
type driver struct {
	sink   func(name string, c *config.Sink, told telling) (sinks.Sink, error)
	reader func(name string, c *config.Sink) (destinationReader, error)
	// remains names what a sink of the streams has left at its destination; purge deletes it and names what is
	// gone. Nil where the kind cannot tell.
	remains, purge func(ctx context.Context, name string, c *config.Sink, streams ...string) ([]string, error)
	// plan computes the statements that the destination needs for the targets, and changes nothing; migrations opens
	// its table of versions.
	plan       func(ctx context.Context, name string, c *config.Sink, stream string, targets []sinks.Target) ([]string, error)
	migrations func(name string, c *config.Sink) (*migrate.Database, error)
}

// telling is who hears what a sink does, and what it would have otherwise.
type telling struct {
	observer sinks.Observer
	warn     func(text string)
}

// destinationReader reads back what a destination shows.
type destinationReader interface {
	verify.Destination
	Close() error
}

// driverOf is the one place that knows every kind of destination.
func driverOf(kind string) (driver, error) {
	switch kind {
	case "postgres":
		return driver{
			sink: func(name string, c *config.Sink, told telling) (sinks.Sink, error) {
				return postgres.New(postgresConfig(name, c, told.observer))
			},
			reader: func(name string, c *config.Sink) (destinationReader, error) {
				return postgres.NewReader(postgresConfig(name, c, sinks.Observer{}))
			},
			remains: func(ctx context.Context, name string, c *config.Sink, streams ...string) ([]string, error) {
				return postgres.Remains(ctx, postgresConfig(name, c, sinks.Observer{}), streams...)
			},
			purge: func(ctx context.Context, name string, c *config.Sink, streams ...string) ([]string, error) {
				return postgres.Purge(ctx, postgresConfig(name, c, sinks.Observer{}), streams...)
			},
			plan: func(ctx context.Context, name string, c *config.Sink, stream string, targets []sinks.Target) ([]string, error) {
				return postgres.Plan(ctx, postgresConfig(name, c, sinks.Observer{}), stream, targets)
			},
			migrations: func(name string, c *config.Sink) (*migrate.Database, error) {
				return postgres.Migrations(postgresConfig(name, c, sinks.Observer{}))
			},
		}, nil
	case "sqlserver":
		return driver{
			sink: func(name string, c *config.Sink, told telling) (sinks.Sink, error) {
				return sqlserver.New(sqlserverConfig(name, c, told))
			},
			reader: func(name string, c *config.Sink) (destinationReader, error) {
				return sqlserver.NewReader(sqlserverConfig(name, c, telling{}))
			},
			remains: func(ctx context.Context, name string, c *config.Sink, streams ...string) ([]string, error) {
				return sqlserver.Remains(ctx, sqlserverConfig(name, c, telling{}), streams...)
			},
			purge: func(ctx context.Context, name string, c *config.Sink, streams ...string) ([]string, error) {
				return sqlserver.Purge(ctx, sqlserverConfig(name, c, telling{}), streams...)
			},
			plan: func(ctx context.Context, name string, c *config.Sink, stream string, targets []sinks.Target) ([]string, error) {
				return sqlserver.Plan(ctx, sqlserverConfig(name, c, telling{}), stream, targets)
			},
			migrations: func(name string, c *config.Sink) (*migrate.Database, error) {
				return sqlserver.Migrations(sqlserverConfig(name, c, telling{}))
			},
		}, nil
	case "clickhouse":
		return driver{
			sink: func(name string, c *config.Sink, told telling) (sinks.Sink, error) {
				return clickhouse.New(clickhouseConfig(name, c, told.observer))
			},
			reader: func(name string, c *config.Sink) (destinationReader, error) {
				return clickhouse.NewReader(clickhouseConfig(name, c, sinks.Observer{}))
			},
			remains: func(ctx context.Context, name string, c *config.Sink, streams ...string) ([]string, error) {
				return clickhouse.Remains(ctx, clickhouseConfig(name, c, sinks.Observer{}), streams...)
			},
			purge: func(ctx context.Context, name string, c *config.Sink, streams ...string) ([]string, error) {
				return clickhouse.Purge(ctx, clickhouseConfig(name, c, sinks.Observer{}), streams...)
			},
			plan: func(ctx context.Context, name string, c *config.Sink, stream string, targets []sinks.Target) ([]string, error) {
				return clickhouse.Plan(ctx, clickhouseConfig(name, c, sinks.Observer{}), stream, targets)
			},
			migrations: func(name string, c *config.Sink) (*migrate.Database, error) {
				return clickhouse.Migrations(clickhouseConfig(name, c, sinks.Observer{}))
			},
		}, nil
	}
	return driver{}, fmt.Errorf("sinks of type %q are not known", kind)
}

func openSink(name string, c *config.Sink, told telling) (sinks.Sink, error) {
	d, err := driverOf(c.Type)
	if err != nil {
		return nil, err
	}
	s, err := d.sink(name, c, told)
	if err != nil {
		return nil, err
	}
	return sinks.Spelled(s, spelling(c)), nil
}

func openReader(name string, c *config.Sink) (destinationReader, error) {
	d, err := driverOf(c.Type)
	if err != nil {
		return nil, err
	}
	return d.reader(name, c)
}

func postgresConfig(name string, c *config.Sink, o sinks.Observer) postgres.Config {
	return postgres.Config{
		Name: name, Host: c.Host, Port: c.Port, Database: c.Database, Schema: c.Schema, User: c.User, Password: c.Password.Reveal(),
		TLS:      postgres.TLS{Mode: c.TLS.Mode, CA: c.TLS.CA, Cert: c.TLS.Cert, Key: c.TLS.Key, ServerName: c.TLS.ServerName},
		OnPoison: onPoison(c.OnPoison), Observer: o,
	}
}

func sqlserverConfig(name string, c *config.Sink, told telling) sqlserver.Config {
	return sqlserver.Config{
		Name: name, Host: c.Host, Port: c.Port, Database: c.Database, Schema: c.Schema, User: c.User, Password: c.Password.Reveal(),
		TLS:      sqlserver.TLS{Mode: c.TLS.Mode, CA: c.TLS.CA, Cert: c.TLS.Cert, Key: c.TLS.Key, ServerName: c.TLS.ServerName},
		OnPoison: onPoison(c.OnPoison), Observer: told.observer, Warn: told.warn,
	}
}

// The ports at which ClickHouse speaks its own protocol; at any other it is spoken to over HTTP.
const clickhouseNative, clickhouseNativeTLS = 9000, 9440

func clickhouseConfig(name string, c *config.Sink, o sinks.Observer) clickhouse.Config {
	protocol := clickhouse.HTTP
	if c.Port == clickhouseNative || c.Port == clickhouseNativeTLS {
		protocol = clickhouse.Native
	}
	return clickhouse.Config{
		Name: name, Host: c.Host, Port: c.Port, Protocol: protocol, Database: c.Database, User: c.User, Password: c.Password.Reveal(),
		TLS:      clickhouse.TLS{Mode: c.TLS.Mode, CA: c.TLS.CA, Cert: c.TLS.Cert, Key: c.TLS.Key, ServerName: c.TLS.ServerName},
		OnPoison: onPoison(c.OnPoison), Observer: o, Tables: tableSettings(c),
	}
}

// tableSettings are those of tables whose entry names them; an entry for many tables has none of its own.
func tableSettings(c *config.Sink) map[string]clickhouse.TableSettings {
	settings := map[string]clickhouse.TableSettings{}
	for _, d := range c.Deliver {
		to := d.To
		if to == "" {
			to = spelling(c).Spell(d.From.View)
		}
		if to != "" && (len(d.OrderBy) > 0 || d.PartitionBy != "") {
			var order []string
			for _, column := range d.OrderBy {
				order = append(order, spelling(c).Spell(column))
			}
			settings[to] = clickhouse.TableSettings{OrderBy: order, PartitionBy: d.PartitionBy}
		}
	}
	return settings
}

func onPoison(word string) sinks.OnPoison {
	switch word {
	case "delete":
		return sinks.DeleteOnPoison
	case "stop":
		return sinks.StopOnPoison
	}
	return sinks.KeepOnPoison
}
