package sqlserver

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/migrate"
)

// plan notes what a sink would do to the shape of its destination.
type plan struct{ texts []string }

func (p *plan) note(texts ...string) { p.texts = append(p.texts, texts...) }

// own notes how a table gets the stream's mark. Before it has that, it is written down that it waits to be filled.
func (p *plan) own(s *Sink, stream string, tg *target, marked bool) {
	p.note(planWaitSQL.with("progress", s.progress, "stream", literal(stream), "table_name", literal(tg.From),
		"stage", literal(sinks.Waiting.String()), "format_version", fmt.Sprint(formatVersion)))
	at := []string{"schema", literal(tg.schema), "name", literal(tg.To)}
	if marked {
		p.note(planDisownSQL.with(at...))
	}
	p.note(planOwnSQL.with(append(at, "owner", literal(ownerOf(stream, tg.From)))...))
}

// Plan computes the statements that give the destination what a sink of the stream needs, whatever schema_changes lets
// the sink do itself; none if nothing is missing. It only reads, and leaves the right to write where it is. An error is
// one that Prepare would return, too.
func Plan(ctx context.Context, cfg Config, stream string, targets []sinks.Target) (texts []string, err error) {
	s, err := New(cfg)
	if err != nil {
		return nil, err
	}
	s.plan = &plan{}
	err = classify(fmt.Sprintf("plan the tables of sqlserver sink %s for stream %s", s.cfg.Name, stream), s.planTables(ctx, stream, targets))
	if closeErr := s.Close(); err == nil {
		err = closeErr
	}
	return s.plan.texts, err
}

func (s *Sink) planTables(ctx context.Context, stream string, targets []sinks.Target) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.ensureBookkeeping(ctx); err != nil {
		return err
	}
	for i, t := range targets {
		tg, err := newTarget(t, s.cfg.Schema, i)
		if err != nil {
			return err
		}
		if _, err := s.ensureTable(ctx, stream, tg); err != nil {
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
	case tg.Changes != sinks.Expand && len(texts) > 0:
		return tg.Unchanged(texts...)
	}
	for _, text := range texts {
		if _, err := s.exec(ctx, step, text); err != nil {
			return err
		}
	}
	return nil
}

// Migrations opens the destination's table of versions, in the sink's schema. The caller closes its DB.
func Migrations(cfg Config) (*migrate.Database, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	k, err := cfg.connector()
	if err != nil {
		return nil, err
	}
	table := ident(cfg.Schema, migrate.Table)
	return &migrate.Database{DB: sql.OpenDB(k), Table: table, Transactional: true, Texts: migrate.Texts{
		Exists: migrationsExistSQL.with("name", literal(table)),
		Create: createMigrationsSQL.with("migrations", table),
		Latest: latestMigrationSQL.with("migrations", table),
		Insert: insertMigrationSQL.with("migrations", table),
		List:   listMigrationsSQL.with("migrations", table),
	}}, nil
}
