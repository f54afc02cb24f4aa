package clickhouse

import (
	"context"
	"fmt"
	"strings"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/migrate"
)

// planned notes what a sink would do to the shape of its destination.
type planned struct{ texts []string }

func (p *planned) note(texts ...string) { p.texts = append(p.texts, texts...) }

// Plan computes the statements that give the destination what a sink of the stream needs, whatever schema_changes lets
// the sink do itself; none if nothing is missing. It only reads, and leaves the right to write where it is. An error is
// one that Prepare would return, too.
func Plan(ctx context.Context, cfg Config, stream string, targets []sinks.Target) (texts []string, err error) {
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	s.plan = &planned{}
	err = classify(fmt.Sprintf("plan the tables of clickhouse sink %s for stream %s", s.cfg.Name, stream), s.planTables(ctx, stream, targets))
	if closeErr := s.Close(); err == nil {
		err = closeErr
	}
	return s.plan.texts, err
}

func (s *Sink) planTables(ctx context.Context, stream string, targets []sinks.Target) error {
	if err := s.checkServer(ctx); err != nil {
		return err
	}
	if err := s.ensureBookkeeping(ctx); err != nil {
		return err
	}
	var all []*target
	for _, t := range targets {
		tg, err := newTarget(t, s.cfg)
		if err != nil {
			return err
		}
		all = append(all, tg)
	}
	cat, err := s.catalogOf(ctx, all, nil)
	if err != nil {
		return err
	}
	for _, tg := range all {
		rel, err := s.admit(ctx, stream, tg, cat)
		if err != nil {
			return err
		}
		if rel == nil || !tg.isOurs(rel, stream) {
			s.plan.note(s.waitFor(stream, tg.From))
		}
		if err := s.ensureTable(ctx, stream, tg, cat); err != nil {
			return err
		}
	}
	return nil
}

// change runs statements that change a table's shape, if the target lets it. A plan notes them.
func (s *Sink) change(ctx context.Context, tg *target, step string, texts ...string) error {
	switch {
	case s.plan != nil:
		s.plan.note(texts...)
		return nil
	case tg.Changes != sinks.Expand:
		return tg.Unchanged(texts...)
	}
	for _, text := range texts {
		if err := s.exec(ctx, step, text, nil); err != nil {
			return err
		}
	}
	return nil
}

// waitFor is the statement by which a table that gets the stream's mark waits to be filled. Its version is that of the
// next term: a row of an earlier term than the writer's says nothing.
func (s *Sink) waitFor(stream, from string) string {
	return fmt.Sprintf(`INSERT INTO %s (stream, table_name, stage, format_version, cdc_version)
SELECT %s, %s, %s, %d, bitShiftLeft(bitShiftRight(max(cdc_version), %d) + 1, %[6]d) FROM %[1]s WHERE stream = %[2]s`,
		s.progress, literal(stream), literal(from), literal(sinks.Waiting.String()), formatVersion, termBits)
}

// Migrations opens the destination's table of versions, in the sink's database. The caller closes its DB.
func Migrations(cfg Config) (*migrate.Database, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	o, err := cfg.options()
	if err != nil {
		return nil, err
	}
	table := quoteName(cfg.Database, migrate.Table)
	return &migrate.Database{DB: ch.OpenDB(o), Table: table, Texts: migrate.Texts{
		Exists: fmt.Sprintf("SELECT toInt64(count()) FROM system.tables WHERE database = %s AND name = %s", literal(cfg.Database), literal(migrate.Table)),
		// Of two that write one version at once, one row remains.
		Create: fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s (
  version_id Int64,
  is_applied UInt8 DEFAULT 1,
  tstamp DateTime64(6, 'UTC') DEFAULT now64(6),
  statement String
) ENGINE = ReplacingMergeTree
ORDER BY version_id
SETTINGS %s`, table, strings.Join(mergeTreeSettings(!cfg.NoSync), ", ")),
		Latest: fmt.Sprintf("SELECT max(version_id) FROM %s", table),
		Insert: fmt.Sprintf("INSERT INTO %s (version_id, statement) SELECT ?, ?", table),
		List:   fmt.Sprintf("SELECT version_id, tstamp, statement FROM %s FINAL ORDER BY version_id DESC", table),
	}}, nil
}
