package main

import (
	"context"
	"fmt"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/verify"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/postgres"
)

// driver opens destinations of one kind; neither function connects.
type driver struct {
	sink   func(name string, c *config.Sink, o sinks.Observer) (sinks.Sink, error)
	reader func(name string, c *config.Sink) (destinationReader, error)
	// remains names what a sink of the streams has left at its destination; purge deletes it and names what is
	// gone. Nil where the kind cannot tell.
	remains, purge func(ctx context.Context, name string, c *config.Sink, streams ...string) ([]string, error)
}

// destinationReader reads back what a destination shows.
type destinationReader interface {
	verify.Destination
	Close() error
}

// driverOf is the one place that knows every kind of destination.
func driverOf(kind string) (driver, error) {
	drivers := map[string]driver{
		"postgres": {
			sink: func(name string, c *config.Sink, o sinks.Observer) (sinks.Sink, error) {
				return postgres.New(postgresConfig(name, c, o))
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
		},
	}
	d, ok := drivers[kind]
	if !ok {
		return d, fmt.Errorf("sinks of type %q are not known", kind)
	}
	return d, nil
}

func openSink(name string, c *config.Sink, o sinks.Observer) (sinks.Sink, error) {
	d, err := driverOf(c.Type)
	if err != nil {
		return nil, err
	}
	return d.sink(name, c, o)
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

func onPoison(word string) sinks.OnPoison {
	switch word {
	case "delete":
		return sinks.DeleteOnPoison
	case "stop":
		return sinks.StopOnPoison
	}
	return sinks.KeepOnPoison
}
