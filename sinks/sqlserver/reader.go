package sqlserver

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Reader reads back what a destination shows, to compare it with the source. It writes nothing and needs
// no right to write. It belongs to one goroutine.
type Reader struct {
	cfg     Config
	session *session
}

// NewReader returns a Reader that connects when it is first used.
func NewReader(cfg Config) (*Reader, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Reader{cfg: cfg}, nil
}

// Close ends the session.
func (r *Reader) Close() error {
	if r.session == nil {
		return nil
	}
	err := r.session.close()
	r.session = nil
	return err
}

// connect makes a session that sees one moment per transaction. Where the database has no snapshots, the sink waits
// for the row of cdc_progress that the transaction has read.
func (r *Reader) connect(ctx context.Context) (*session, error) {
	if r.session != nil {
		return r.session, nil
	}
	s, err := r.cfg.open(ctx)
	if err != nil {
		return nil, err
	}
	state := 0
	if _, err = s.one(ctx, snapshotAllowedSQL.with(), nil, &state); err == nil {
		level := repeatableReadSQL
		if state == 1 {
			level = snapshotSQL
		}
		_, err = s.exec(ctx, level.with())
	}
	if err != nil {
		//nolint:errcheck // its error says less
		s.close()
		return nil, fmt.Errorf("set up a session of %s: %w", r.cfg.Name, err)
	}
	r.session = s
	return s, nil
}

// do runs f in a session; one that broke is made anew the next time.
func (r *Reader) do(ctx context.Context, f func(*session) error) error {
	s, err := r.connect(ctx)
	if err == nil {
		err = f(s)
	}
	if r.session != nil && isBroken(err) {
		//nolint:errcheck // the connection is given up
		r.Close()
	}
	return err
}

// Range reads the rows that the target shows in a key range, and where in the source they stand, in one
// moment. Soft-deleted rows count as absent.
func (r *Reader) Range(ctx context.Context, stream string, t sinks.Target, rng change.KeyRange) (rows []change.Row, at change.Position, err error) {
	tg, err := newTarget(t, r.cfg.Schema, 0)
	if err != nil {
		return nil, at, err
	}
	err = r.do(ctx, func(s *session) error {
		rel, err := s.lookup(ctx, tg.schema, tg.To)
		if err != nil {
			return err
		}
		if rel == nil {
			return tg.gone()
		}
		tg.bind(rel)
		within, err := tg.rangePart(rng)
		if err != nil {
			return err
		}
		return s.inTransaction(ctx, func() error {
			if at, err = r.shown(ctx, s, stream, t.From); err != nil {
				return err
			}
			rows, err = tg.readRows(ctx, s, within, rng)
			return err
		})
	})
	return rows, at, err
}

// Shown returns where in the source what the target shows stands; the zero Position when it shows nothing.
func (r *Reader) Shown(ctx context.Context, stream, table string) (at change.Position, err error) {
	err = r.do(ctx, func(s *session) error {
		at, err = r.shown(ctx, s, stream, table)
		return err
	})
	return at, err
}

// shown is the table's own boundary while it has one, else the stream's.
func (r *Reader) shown(ctx context.Context, s *session, stream, table string) (change.Position, error) {
	var p change.Position
	var text string
	found, err := s.one(ctx, shownSQL.with("progress", ident(r.cfg.Schema, "cdc_progress")),
		[]any{sql.Named("stream", stream), sql.Named("table_name", table)}, &text)
	if err != nil {
		return p, fmt.Errorf("read cdc_progress: %w", err)
	}
	if !found {
		return p, nil
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, fmt.Errorf("read cdc_progress: position %q: %w", text, err)
	}
	return p, nil
}

// Quarantined returns the keys of the target that are listed in cdc_quarantine, as sinks.FormatKey prints them.
func (r *Reader) Quarantined(ctx context.Context, stream, table string) (map[string]bool, error) {
	set := map[string]bool{}
	err := r.do(ctx, func(s *session) error {
		keys, err := s.quarantinedKeys(ctx, ident(r.cfg.Schema, "cdc_quarantine"), stream, table, 0)
		for _, k := range keys {
			set[k] = true
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return set, nil
}

// readRows reads the rows of a part of the table that are not marked as deleted and whose key lies in the range.
func (tg *target) readRows(ctx context.Context, s *session, within part, rng change.KeyRange) ([]change.Row, error) {
	where := within.sql
	if tg.Soft {
		where += " AND t." + ident(tg.MarkColumn()) + " = 0"
	}
	got := make([]any, len(tg.columns))
	dest := make([]any, len(got))
	for i := range got {
		dest[i] = &got[i]
	}
	var out []change.Row
	err := s.each(ctx, readRowsSQL.with("table", tg.name, "columns", tg.list(tg.all(), "t."), "where", where), within.args, func() error {
		row := make(change.Row, len(got))
		for i := range got {
			var err error
			if row[i], err = tg.columns[i].decode(got[i]); err != nil {
				return err
			}
		}
		if !within.exact {
			if key, err := tg.table.RowKey(row); err != nil || !rng.Contains(key) {
				return err
			}
		}
		out = append(out, row)
		return nil
	}, dest...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", tg.name, err)
	}
	return out, nil
}
