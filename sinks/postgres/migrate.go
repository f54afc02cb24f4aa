package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/migrate"
)

// plan notes what a sink would do to the shape of its destination.
type plan struct{ texts []string }

func (p *plan) note(texts ...string) { p.texts = append(p.texts, texts...) }

// Plan computes the statements that give the destination what a sink of the stream needs, whatever schema_changes lets
// the sink do itself; none if nothing is missing. It reads the catalog in a read-only transaction, and leaves the right
// to write where it is. An error is one that Prepare would return, too.
func Plan(ctx context.Context, cfg Config, stream string, targets []sinks.Target) (texts []string, err error) {
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	s.plan = &plan{}
	doing := fmt.Sprintf("plan the tables of postgres sink %s for stream %s", s.cfg.Name, stream)
	err = s.watched(ctx, doing, func(ctx context.Context) error { return classify(doing, s.planTables(ctx, stream, targets)) })
	if closeErr := s.Close(); err == nil {
		err = closeErr
	}
	return s.plan.texts, err
}

func (s *Sink) planTables(ctx context.Context, stream string, targets []sinks.Target) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	return pgx.BeginTxFunc(ctx, s.conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := s.ensureBookkeeping(ctx, tx); err != nil {
			return err
		}
		byName, order := map[string]*target{}, make([]*target, len(targets))
		for i, t := range targets {
			tg, err := newTarget(t, s.cfg.Schema, i)
			if err != nil {
				return err
			}
			byName[t.From], order[i] = tg, tg
		}
		cat, err := s.catalogOf(ctx, tx, byName)
		if err != nil {
			return err
		}
		for _, tg := range order {
			if _, err := s.ensureTable(ctx, tx, stream, tg, cat[tableName{tg.schema, tg.To}]); err != nil {
				return err
			}
		}
		return nil
	})
}

// change runs a statement that changes a table's shape, if the target lets it. A plan notes it.
func (s *Sink) change(ctx context.Context, tg *target, step, text string) error {
	switch {
	case s.plan != nil:
		s.plan.note(text)
		return nil
	case tg.Changes != sinks.Expand:
		return tg.Unchanged(text)
	}
	_, err := s.exec(ctx, step, text)
	return err
}

// waitFor is the statement by which a table that gets the stream's mark waits to be filled.
func (s *Sink) waitFor(stream, from string) string {
	return fmt.Sprintf(`INSERT INTO %s (stream, table_name, stage, format_version) VALUES (%s, %s, %s, %d)
ON CONFLICT (stream, table_name) DO UPDATE SET cover_id = '', stage = EXCLUDED.stage, begun = 0, incarnation = 0, progress_offset = 0,
  progress_id = '', seq = 0, position = '{}', applied_at = now(), format_version = EXCLUDED.format_version`,
		s.progress, literal(stream), literal(from), literal(sinks.Waiting.String()), formatVersion)
}

// Migrations opens the destination's table of versions, in the sink's schema. The caller closes its DB.
func Migrations(cfg Config) (*migrate.Database, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	pc, err := cfg.pgxConfig()
	if err != nil {
		return nil, err
	}
	table := ident(cfg.Schema, migrate.Table)
	return &migrate.Database{DB: stdlib.OpenDB(*pc), Table: table, Transactional: true, Texts: migrate.Texts{
		Exists: fmt.Sprintf("SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = %s AND tablename = %s", literal(cfg.Schema), literal(migrate.Table)),
		Create: fmt.Sprintf(`CREATE TABLE %s (
  version_id bigint PRIMARY KEY,
  is_applied boolean NOT NULL DEFAULT true,
  tstamp timestamptz NOT NULL DEFAULT clock_timestamp(),
  statement text NOT NULL)`, table),
		Lock:   fmt.Sprintf("LOCK TABLE %s IN EXCLUSIVE MODE", table),
		Latest: fmt.Sprintf("SELECT max(version_id) FROM %s", table),
		Insert: fmt.Sprintf("INSERT INTO %s (version_id, statement) VALUES ($1, $2)", table),
		List:   fmt.Sprintf("SELECT version_id, tstamp, statement FROM %s ORDER BY version_id DESC", table),
	}}, nil
}
