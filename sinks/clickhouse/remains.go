package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/sinks/migrate"
)

// Remains names what a sink that delivered the streams has left behind, quoted as the server reads it: its
// views and tables, their staging tables, and the bookkeeping. It changes nothing.
func Remains(ctx context.Context, cfg Config, streams ...string) (list []string, err error) {
	err = withReader(cfg, func(r *Reader) error {
		list, err = r.remains(ctx, streams)
		return err
	})
	return list, err
}

// Purge deletes what Remains names: tables of these streams, adopted ones included, and their rows in the
// bookkeeping, which goes with the last stream. It returns the tables dropped. No sink may deliver the streams
// meanwhile. What is cut off is finished by the next call.
func Purge(ctx context.Context, cfg Config, streams ...string) (dropped []string, err error) {
	err = withReader(cfg, func(r *Reader) error {
		list, err := r.remains(ctx, streams)
		if err != nil {
			return err
		}
		var books, history []string
		for _, name := range list {
			if name == quoteName(r.cfg.Database, migrate.Table) {
				history = append(history, name)
				continue
			}
			if name == r.progress || name == r.quarantine {
				books = append(books, name)
				continue
			}
			if err := r.drop(ctx, "drop", name); err != nil {
				return err
			}
			dropped = append(dropped, name)
		}
		more, err := r.clearBooks(ctx, books, history, streams)
		dropped = append(dropped, more...)
		return err
	})
	return dropped, err
}

func withReader(cfg Config, f func(*Reader) error) error {
	r, err := NewReader(cfg)
	if err != nil {
		return err
	}
	return errors.Join(f(r), r.Close())
}

// remains lists views before their tables.
func (r *Reader) remains(ctx context.Context, streams []string) ([]string, error) {
	var views, tables []string
	for _, stream := range streams {
		owned, err := r.owned(ctx, stream)
		if err != nil {
			return nil, err
		}
		scratch, err := r.scratch(ctx, stream)
		if err != nil {
			return nil, err
		}
		for _, t := range append(owned, scratch...) {
			if t.view {
				views = append(views, t.quoted())
			} else {
				tables = append(tables, t.quoted())
			}
		}
	}
	list := append(views, tables...)
	for _, book := range [...]string{"cdc_progress", "cdc_quarantine", migrate.Table} {
		rel, err := r.lookup(ctx, r.cfg.Database, book)
		if err != nil {
			return nil, err
		}
		if rel != nil {
			list = append(list, quoteName(r.cfg.Database, book))
		}
	}
	return list, nil
}

// clearBooks removes the streams from the bookkeeping, and the bookkeeping with the history of versions when nothing is
// left in it.
func (r *Reader) clearBooks(ctx context.Context, books, history, streams []string) (dropped []string, err error) {
	names := make([]string, len(streams))
	for i, s := range streams {
		names[i] = literal(s)
	}
	left := uint64(0)
	for _, book := range books {
		if len(names) > 0 {
			sql := fmt.Sprintf("ALTER TABLE %s DELETE WHERE stream IN (%s) SETTINGS mutations_sync = 1", book, strings.Join(names, ", "))
			if err := r.exec(ctx, "clear", sql, nil); err != nil {
				return nil, err
			}
		}
		var n uint64
		if err := r.queryRow(ctx, "SELECT count() FROM "+book, &n); err != nil {
			return nil, fmt.Errorf("look into %s: %w", book, err)
		}
		left += n
	}
	if left > 0 {
		return nil, nil // another stream is delivered here too
	}
	books = append(books, history...)
	return books, r.drop(ctx, "drop", books...)
}
