package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// ensureTargets makes, takes over or refuses each target's table, and freezes tables of the stream that
// are not delivered any more: when they come back they have missed something.
func (s *Sink) ensureTargets(ctx context.Context, tx pgx.Tx, st *stream) error {
	was := maps.Clone(st.states)
	cat, err := s.catalogOf(ctx, tx, st.targets)
	if err != nil {
		return err
	}
	for _, from := range slices.Sorted(maps.Keys(st.targets)) {
		if err := s.ensureTarget(ctx, tx, st, from, cat); err != nil {
			return sinks.OfTarget(from, err)
		}
	}
	if err := s.findQuarantined(ctx, tx, st); err != nil {
		return err
	}
	owned, err := s.owned(ctx, tx, st.name)
	if err != nil {
		return err
	}
	st.staging.Freeze(owned, st.mark, st.states)
	return s.storeStates(ctx, st.name, was, st.states)
}

func (s *Sink) ensureTarget(ctx context.Context, tx pgx.Tx, st *stream, from string, cat catalog) error {
	tg := st.targets[from]
	fresh, err := s.ensureTable(ctx, tx, st.name, tg, cat[tableName{tg.schema, tg.To}])
	switch {
	case err != nil:
		return err
	case fresh:
		st.states[from] = sinks.TableState{Phase: sinks.Waiting}
	default:
		st.checkStage(from, cat)
	}
	return nil
}

// checkStage has a table wait for a new cover whose staging table somebody dropped.
func (st *stream) checkStage(from string, cat catalog) {
	state, tg := st.states[from], st.targets[from]
	if state.Phase != sinks.Staged && state.Phase != sinks.Held && state.Phase != sinks.Noting {
		return
	}
	if cat[tableName{tg.schema, tg.stageN}] == nil {
		st.states[from] = sinks.TableState{Phase: sinks.Waiting, Boundary: state.Boundary}
	}
}

// owned returns the source tables whose destination tables carry the stream's mark.
func (s *Sink) owned(ctx context.Context, tx pgx.Tx, stream string) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT d.description FROM pg_catalog.pg_description d JOIN pg_catalog.pg_class c ON c.oid = d.objoid
WHERE d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0 AND strpos(d.description, $1) > 0`, "[cdc stream="+stream+" from=")
	if err != nil {
		return nil, fmt.Errorf("look for tables of stream %s: %w", stream, err)
	}
	comments, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for tables of stream %s: %w", stream, err)
	}
	var from []string
	for _, c := range comments {
		r := relation{comment: c}
		_, f := r.owner()
		from = append(from, f)
	}
	return from, nil
}

// ensureTable reports whether the table, which is rel now, does not follow the stream yet: it was made, or taken
// over, now.
func (s *Sink) ensureTable(ctx context.Context, tx pgx.Tx, stream string, tg *target, rel *relation) (fresh bool, err error) {
	if tg.nullableKey() && s.version < nullsNotDistinct {
		return false, &sinks.StopError{
			What: fmt.Sprintf("the key of %s may hold NULL, and PostgreSQL %d has no unique index in which NULL equals NULL", tg.table.ID, s.version/10000),
			Hint: "deliver it to PostgreSQL 15 or later, or COALESCE the key columns in the view",
		}
	}
	if rel == nil {
		if err := s.change(ctx, tg, "create table", tg.createTable()); err != nil {
			return false, err
		}
		return true, s.own(ctx, stream, tg, "")
	}
	if rel.kind != "r" && rel.kind != "p" {
		return false, &sinks.StopError{What: fmt.Sprintf("%s.%s is not a table", tg.schema, tg.To), Hint: "deliver to another name"}
	}
	owner, from := rel.owner()
	ours := owner == stream && from == tg.From
	empty, err := s.isEmpty(ctx, tx, tg)
	if err != nil {
		return false, err
	}
	if !ours && !empty && !tg.Adopt {
		what := fmt.Sprintf("table %s.%s is not empty and was not made for %s of stream %s", tg.schema, tg.To, tg.From, stream)
		if owner != "" {
			what = fmt.Sprintf("table %s.%s belongs to %s of stream %s, not to %s of %s", tg.schema, tg.To, from, owner, tg.From, stream)
		}
		return false, &sinks.StopError{What: what, Hint: "deliver to another name, or set adopt: true to make its rows equal to the source: rows that the source does not have are deleted"}
	}
	if ours && !empty {
		if err := tg.CheckSpelling(slices.Collect(maps.Keys(rel.columns)), false); err != nil {
			return false, err
		}
	}
	altered, err := s.expand(ctx, tg, rel, empty, ours)
	if err != nil {
		return false, err
	}
	if altered {
		if rel, err = s.lookup(ctx, tx, tg.schema, tg.To); err != nil {
			return false, err
		}
	}
	tg.bind(rel)
	if ours {
		return false, nil
	}
	return true, s.own(ctx, stream, tg, rel.comment)
}

func (s *Sink) isEmpty(ctx context.Context, tx pgx.Tx, tg *target) (bool, error) {
	var any bool
	if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT EXISTS (SELECT 1 FROM %s)", tg.name)).Scan(&any); err != nil {
		return false, fmt.Errorf("look into %s: %w", tg.name, err)
	}
	return !any, nil
}

func (s *Sink) own(ctx context.Context, stream string, tg *target, comment string) error {
	text := fmt.Sprintf("COMMENT ON TABLE %s IS %s", tg.name, literal(ownerComment(comment, stream, tg.From)))
	if s.plan != nil {
		// Otherwise it is in the states, which are written when all tables are looked at.
		s.plan.note(s.waitFor(stream, tg.From), text)
		return nil
	}
	_, err := s.exec(ctx, "own table", text)
	return err
}

// expand brings an existing table up to the shape: columns are added and widened, NOT NULL is dropped where
// the source allows NULL or has the column no more, nothing else changes. What would lose data stops. altered tells
// that something was changed, or is planned to be.
func (s *Sink) expand(ctx context.Context, tg *target, rel *relation, empty, ours bool) (altered bool, err error) {
	var alter []string
	for i, c := range tg.columns {
		a, ok := rel.columns[c.name]
		switch {
		case !ok && tg.table.IsKey(i) && !empty:
			return false, &sinks.StopError{
				What: fmt.Sprintf("table %s.%s has rows and lacks the key column %s", tg.schema, tg.To, c.name),
				Hint: fmt.Sprintf("add it and fill it (ALTER TABLE %s ADD COLUMN %s %s), or empty the table", tg.name, ident(c.name), c.ddl),
			}
		case !ok:
			alter = append(alter, "ADD COLUMN "+ident(c.name)+" "+c.ddl+collate(c.collation))
			continue
		case tg.Changes == sinks.Off:
			continue
		case a.notNull && c.nullable:
			alter = append(alter, fmt.Sprintf("ALTER COLUMN %s DROP NOT NULL", ident(c.name)))
		}
		switch fitOf(c.typ, a.typ) {
		case refuses:
			return false, &sinks.StopError{
				What: fmt.Sprintf("column %s of table %s.%s is %s, which cannot hold every %s of the source", c.name, tg.schema, tg.To, a.typ, c.ddl),
				Hint: fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s TYPE %s, or deliver to another table", tg.name, ident(c.name), c.ddl),
			}
		case widens:
			alter = append(alter, fmt.Sprintf("ALTER COLUMN %s TYPE %s%s", ident(c.name), c.ddl, collate(a.collation)))
		case fits:
		}
	}
	more, err := tg.foreignColumns(rel, ours)
	if err != nil {
		return false, err
	}
	if alter = append(alter, more...); len(alter) > 0 {
		if err := s.change(ctx, tg, "alter table", fmt.Sprintf("ALTER TABLE %s %s", tg.name, strings.Join(alter, ", "))); err != nil {
			return false, err
		}
	}
	if rel.keyIndex(tg.keyNames(), tg.nullableKey()) {
		return len(alter) > 0, nil
	}
	nulls := ""
	if tg.nullableKey() {
		nulls = " NULLS NOT DISTINCT"
	}
	err = s.change(ctx, tg, "create key index", fmt.Sprintf("CREATE UNIQUE INDEX ON %s (%s)%s", tg.name, list(tg.keyNames(), ""), nulls))
	if isPoison(err) {
		return false, &sinks.StopError{
			What: fmt.Sprintf("table %s.%s holds several rows with one key (%s)", tg.schema, tg.To, strings.Join(tg.keyNames(), ", ")), Err: err,
			Hint: "delete the duplicates or empty the table",
		}
	}
	return true, err
}

// foreignColumns sees to columns that the shape does not have.
func (tg *target) foreignColumns(rel *relation, ours bool) (alter []string, err error) {
	for _, c := range tg.sinkColumns() {
		if _, ok := rel.columns[c.name]; !ok {
			alter = append(alter, "ADD COLUMN "+ident(c.name)+" "+c.ddl)
		}
	}
	if _, ok := rel.columns[tg.Identity]; tg.Identity != "" && !ok {
		alter = append(alter, "ADD COLUMN "+ident(tg.Identity)+identityType)
	}
	for _, name := range slices.Sorted(maps.Keys(rel.columns)) {
		a := rel.columns[name]
		if tg.columnIndex(name) >= 0 || !a.notNull || a.filled || tg.Soft && name == tg.MarkColumn() {
			continue
		}
		if tg.Changes == sinks.Off {
			continue
		}
		if !ours {
			return nil, &sinks.StopError{
				What: fmt.Sprintf("table %s.%s asks for a value of %s, which %s does not have", tg.schema, tg.To, name, tg.table.ID),
				Hint: fmt.Sprintf("give it a default or run ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", tg.name, ident(name)),
			}
		}
		alter = append(alter, fmt.Sprintf("ALTER COLUMN %s DROP NOT NULL", ident(name)))
	}
	return alter, nil
}

// evolve follows a new shape of a delivered table, in the batch's transaction.
func (a *apply) evolve(ctx context.Context, tg *target, shape *change.Table) error {
	if shape.SameShape(tg.table) {
		return nil
	}
	old := *tg
	a.undo = append(a.undo, func() { *tg = old; tg.inboxMade = false })
	keys := tg.keyNames()
	if err := tg.setShape(shape); err != nil {
		return err
	}
	if !slices.Equal(keys, tg.keyNames()) {
		return &sinks.StopError{
			What: fmt.Sprintf("the key of %s changed from (%s) to (%s)", shape.ID, strings.Join(keys, ", "), strings.Join(tg.keyNames(), ", ")),
			Hint: fmt.Sprintf("drop table %s, or deliver to another name, and restart the sink: it is filled again", tg.name),
		}
	}
	rel, err := a.s.lookup(ctx, a.tx, tg.schema, tg.To)
	if err != nil {
		return err
	}
	if rel == nil {
		return &sinks.StopError{What: fmt.Sprintf("table %s.%s is gone", tg.schema, tg.To), Hint: "restart the sink to have it made and filled again"}
	}
	if _, err := a.s.expand(ctx, tg, rel, false, true); err != nil {
		return err
	}
	if rel, err = a.s.lookup(ctx, a.tx, tg.schema, tg.To); err != nil {
		return err
	}
	tg.bind(rel)
	if err := a.expandStage(ctx, tg); err != nil {
		return err
	}
	if tg.inboxMade {
		tg.inboxMade = false
		_, err = a.s.exec(ctx, "drop inbox", "DROP TABLE IF EXISTS "+tg.inbox)
	}
	return err
}

// expandStage gives a staging table that is in use the columns and types that its table has now.
func (a *apply) expandStage(ctx context.Context, tg *target) error {
	rel, err := a.s.lookup(ctx, a.tx, tg.schema, tg.stageN)
	if err != nil || rel == nil {
		return err
	}
	var alter []string
	for i, c := range tg.columns {
		have, ok := rel.columns[c.name]
		switch {
		case !ok:
			alter = append(alter, "ADD COLUMN "+ident(c.name)+" "+c.actual+collate(c.collation))
			continue
		case have.typ != c.actual:
			alter = append(alter, fmt.Sprintf("ALTER COLUMN %s TYPE %s%s", ident(c.name), c.actual, collate(c.collation)))
		}
		if have.notNull && (c.nullable || !tg.table.IsKey(i)) {
			alter = append(alter, fmt.Sprintf("ALTER COLUMN %s DROP NOT NULL", ident(c.name)))
		}
	}
	if len(alter) == 0 {
		return nil
	}
	_, err = a.s.exec(ctx, "alter staging", fmt.Sprintf("ALTER TABLE %s %s", tg.stage, strings.Join(alter, ", ")))
	return err
}
