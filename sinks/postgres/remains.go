package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/sinks/migrate"
)

// Remains names what a sink that delivered the streams has left behind, quoted as the server reads it: its
// tables, their staging tables, and the bookkeeping. It changes nothing.
func Remains(ctx context.Context, cfg Config, streams ...string) ([]string, error) {
	var list []string
	err := cfg.session(ctx, func(tx pgx.Tx) (err error) {
		list, err = remains(ctx, tx, cfg.withDefaults(), streams)
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
	err := cfg.session(ctx, func(tx pgx.Tx) error {
		list, err := remains(ctx, tx, full, streams)
		if err != nil {
			return err
		}
		books := []string{ident(full.Schema, "cdc_progress"), ident(full.Schema, "cdc_quarantine")}
		history := ident(full.Schema, migrate.Table)
		for _, name := range list {
			if name == history || slices.Contains(books, name) {
				continue
			}
			if _, err := tx.Exec(ctx, "DROP TABLE "+name); err != nil {
				return fmt.Errorf("drop %s: %w", name, err)
			}
			dropped = append(dropped, name)
		}
		left := 0
		for _, book := range books {
			if !slices.Contains(list, book) {
				continue
			}
			if _, err := tx.Exec(ctx, fmt.Sprintf("DELETE FROM %s WHERE stream = ANY($1)", book), streams); err != nil {
				return fmt.Errorf("clear %s: %w", book, err)
			}
			n := 0
			if err := tx.QueryRow(ctx, "SELECT count(*) FROM "+book).Scan(&n); err != nil {
				return fmt.Errorf("look into %s: %w", book, err)
			}
			left += n
		}
		if left > 0 {
			return nil // another stream is delivered here too
		}
		for _, book := range append(books, history) {
			if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+book); err != nil {
				return fmt.Errorf("drop %s: %w", book, err)
			}
			if slices.Contains(list, book) {
				dropped = append(dropped, book)
			}
		}
		return nil
	})
	return dropped, err
}

// session runs f in a transaction of a session of its own.
func (c Config) session(ctx context.Context, f func(pgx.Tx) error) error {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return err
	}
	pc, err := c.pgxConfig()
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, pc)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", c.Name, redact(err))
	}
	err = pgx.BeginFunc(ctx, conn, f)
	if e := conn.Close(context.WithoutCancel(ctx)); err == nil {
		err = e
	}
	return err
}

// remainsSQL lists tables whose comment names one of the streams, staging tables beside them, and the
// bookkeeping.
const remainsSQL = `SELECT n.nspname, c.relname, coalesce(obj_description(c.oid, 'pg_class'), '')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\_%' ORDER BY 1, 2`

func remains(ctx context.Context, tx pgx.Tx, cfg Config, streams []string) ([]string, error) {
	rows, err := tx.Query(ctx, remainsSQL)
	if err != nil {
		return nil, fmt.Errorf("look for tables of the sink: %w", err)
	}
	type found struct{ schema, name, comment string }
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (f found, err error) {
		err = r.Scan(&f.schema, &f.name, &f.comment)
		return f, err
	})
	if err != nil {
		return nil, fmt.Errorf("look for tables of the sink: %w", err)
	}
	stages := map[string]bool{}
	var list []string
	for _, f := range all {
		r := relation{comment: f.comment}
		if stream, _ := r.owner(); slices.Contains(streams, stream) {
			list = append(list, ident(f.schema, f.name))
			stages[ident(f.schema, stageName(f.name))] = true
		}
	}
	books := []string{"cdc_progress", "cdc_quarantine", migrate.Table}
	for _, f := range all {
		name := ident(f.schema, f.name)
		if stages[name] || f.schema == cfg.Schema && slices.Contains(books, f.name) {
			list = append(list, name)
		}
	}
	return list, nil
}
