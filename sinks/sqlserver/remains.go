package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/etlsandbox/cdc/sinks/migrate"
)

// Remains names what a sink that delivered the streams has left behind, quoted as the server reads it: its
// tables, their staging tables, and the bookkeeping. It changes nothing.
func Remains(ctx context.Context, cfg Config, streams ...string) ([]string, error) {
	var list []string
	err := cfg.inSession(ctx, func(s *session) (err error) {
		list, err = s.remains(ctx, cfg.withDefaults(), streams)
		return err
	})
	return list, err
}

// Purge deletes what Remains names, in one transaction: tables of these streams, adopted ones included, and
// their rows in the bookkeeping, which goes with the last stream. It returns the tables dropped. No sink may
// deliver the streams meanwhile.
func Purge(ctx context.Context, cfg Config, streams ...string) ([]string, error) {
	full := cfg.withDefaults()
	var dropped []string
	drop := func(s *session, name string) error {
		if _, err := s.exec(ctx, dropTableSQL.with("table", name)); err != nil {
			return fmt.Errorf("drop %s: %w", name, err)
		}
		dropped = append(dropped, name)
		return nil
	}
	err := cfg.inSession(ctx, func(s *session) error {
		list, err := s.remains(ctx, full, streams)
		if err != nil {
			return err
		}
		var books, history []string
		left := 0
		for _, name := range list {
			if name == ident(full.Schema, migrate.Table) {
				history = append(history, name)
				continue
			}
			if name != ident(full.Schema, "cdc_progress") && name != ident(full.Schema, "cdc_quarantine") {
				if err := drop(s, name); err != nil {
					return err
				}
				continue
			}
			books = append(books, name)
			n, err := s.forgetStreams(ctx, name, streams)
			if err != nil {
				return err
			}
			left += n
		}
		if left > 0 {
			return nil // another stream is delivered here too
		}
		for _, book := range append(books, history...) {
			if err := drop(s, book); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return dropped, nil
}

// forgetStreams removes the streams' rows of a bookkeeping table and returns how many of others are left.
func (s *session) forgetStreams(ctx context.Context, book string, streams []string) (left int, err error) {
	for _, stream := range streams {
		if _, err := s.exec(ctx, forgetStreamSQL.with("table", book), sql.Named("stream", stream)); err != nil {
			return 0, fmt.Errorf("clear %s: %w", book, err)
		}
	}
	if _, err := s.one(ctx, countRowsSQL.with("table", book), nil, &left); err != nil {
		return 0, fmt.Errorf("look into %s: %w", book, err)
	}
	return left, nil
}

// inSession runs f in a transaction of a session of its own.
func (c Config) inSession(ctx context.Context, f func(*session) error) error {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return err
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(s.inTransaction(ctx, func() error { return f(s) }), s.close())
}

func (s *session) remains(ctx context.Context, cfg Config, streams []string) ([]string, error) {
	all, err := s.marked(ctx)
	if err != nil {
		return nil, err
	}
	stages := map[string]bool{
		ident(cfg.Schema, "cdc_progress"): true, ident(cfg.Schema, "cdc_quarantine"): true, ident(cfg.Schema, migrate.Table): true,
	}
	var list []string
	for _, m := range all {
		if stream, _ := parseOwner(m.owner); slices.Contains(streams, stream) {
			list = append(list, ident(m.schema, m.name))
			stages[ident(m.schema, stageName(m.name))] = true
		}
	}
	var schema, name string
	err = s.each(ctx, leftSQL.with(), nil, func() error {
		if q := ident(schema, name); stages[q] {
			list = append(list, q)
		}
		return nil
	}, &schema, &name)
	if err != nil {
		return nil, fmt.Errorf("look for tables of the sink: %w", err)
	}
	return list, nil
}
