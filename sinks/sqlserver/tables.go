package sqlserver

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// ensureTargets makes, takes over or refuses each target's table, and freezes tables of the stream that
// are not delivered any more: when they come back they have missed something.
func (s *Sink) ensureTargets(ctx context.Context, st *stream) error {
	was := maps.Clone(st.states)
	for _, from := range slices.Sorted(maps.Keys(st.targets)) {
		if err := s.ensureTarget(ctx, st, from); err != nil {
			return sinks.OfTarget(from, err)
		}
	}
	all, err := s.session.marked(ctx)
	if err != nil {
		return err
	}
	var owned []string
	for _, m := range all {
		if stream, from := parseOwner(m.owner); stream == st.name {
			owned = append(owned, from)
		}
	}
	st.staging.Freeze(owned, st.mark, st.states)
	return s.storeStates(ctx, st.name, was, st.states)
}

func (s *Sink) ensureTarget(ctx context.Context, st *stream, from string) error {
	fresh, err := s.ensureTable(ctx, st.name, st.targets[from])
	if err != nil {
		return err
	}
	if fresh {
		st.states[from] = sinks.TableState{Phase: sinks.Waiting}
	} else if err := s.checkStage(ctx, st, from); err != nil {
		return err
	}
	st.targets[from].quarantined, err = s.anyQuarantined(ctx, st.name, from)
	return err
}

// checkStage has a table wait for a new cover whose staging table somebody dropped.
func (s *Sink) checkStage(ctx context.Context, st *stream, from string) error {
	state := st.states[from]
	if state.Phase != sinks.Staged && state.Phase != sinks.Held && state.Phase != sinks.Noting {
		return nil
	}
	there, err := s.session.exists(ctx, st.targets[from].stage)
	if err == nil && !there {
		st.states[from] = sinks.TableState{Phase: sinks.Waiting, Boundary: state.Boundary}
	}
	return err
}

// ensureTable reports whether the table does not follow the stream yet: it was made, or taken over, now.
func (s *Sink) ensureTable(ctx context.Context, stream string, tg *target) (fresh bool, err error) {
	rel, err := s.session.lookup(ctx, tg.schema, tg.To)
	if err != nil {
		return false, err
	}
	if rel == nil {
		if err := s.change(ctx, tg, "create table", tg.createTable()); err != nil {
			return false, err
		}
		if err := s.own(ctx, stream, tg, ""); err != nil || s.plan != nil {
			return true, err
		}
		return true, s.bind(ctx, tg)
	}
	if !rel.isTable {
		return false, &sinks.StopError{What: fmt.Sprintf("%s.%s is not a table", tg.schema, tg.To), Hint: "deliver to another name"}
	}
	owner, from := parseOwner(rel.owner)
	ours := owner == stream && from == tg.From
	n := 0
	if _, err := s.session.one(ctx, isEmptySQL.with("table", tg.name), nil, &n); err != nil {
		return false, fmt.Errorf("look into %s: %w", tg.name, err)
	}
	if !ours && n > 0 && !tg.Adopt {
		what := fmt.Sprintf("table %s.%s is not empty and was not made for %s of stream %s", tg.schema, tg.To, tg.From, stream)
		if owner != "" {
			what = fmt.Sprintf("table %s.%s belongs to %s of stream %s, not to %s of %s", tg.schema, tg.To, from, owner, tg.From, stream)
		}
		return false, &sinks.StopError{What: what, Hint: "deliver to another name, or set adopt: true to make its rows equal to the source: rows that the source does not have are deleted"}
	}
	if ours && n > 0 {
		if err := tg.CheckSpelling(rel.names(), true); err != nil {
			return false, err
		}
	}
	if err := s.expand(ctx, tg, rel, n == 0, ours); err != nil || ours {
		return false, err
	}
	return true, s.own(ctx, stream, tg, rel.owner)
}

// bind looks at the table as it is now.
func (s *Sink) bind(ctx context.Context, tg *target) error {
	rel, err := s.session.lookup(ctx, tg.schema, tg.To)
	if err != nil {
		return err
	}
	if rel == nil {
		return tg.gone()
	}
	tg.bind(rel)
	return tg.checkKeyWidth()
}

// own marks the table as the stream's, in place of whose it was.
func (s *Sink) own(ctx context.Context, stream string, tg *target, was string) error {
	if s.plan != nil {
		s.plan.own(s, stream, tg, was != "")
		return nil
	}
	at := []any{sql.Named("schema", tg.schema), sql.Named("name", tg.To)}
	if was != "" {
		if _, err := s.exec(ctx, "disown table", disownSQL.with(), at...); err != nil {
			return err
		}
	}
	_, err := s.exec(ctx, "own table", ownSQL.with(), append(at, sql.Named("owner", ownerOf(stream, tg.From)))...)
	return err
}

// expand brings an existing table up to the shape: columns are added and widened, NOT NULL is dropped where
// the source allows NULL or has the column no more, nothing else changes. What would lose data stops. The target is
// bound to the table as it is then.
func (s *Sink) expand(ctx context.Context, tg *target, rel *relation, empty, ours bool) error {
	var add, alter []string
	for i, c := range tg.columns {
		a, ok := rel.column(c.name)
		switch {
		case !ok && tg.table.IsKey(i) && !empty:
			return &sinks.StopError{
				What: fmt.Sprintf("table %s.%s has rows and lacks the key column %s", tg.schema, tg.To, c.name),
				Hint: fmt.Sprintf("add it and fill it (ALTER TABLE %s ADD %s), or empty the table", tg.name, declare(c.name, c.ddl, c.collation, "NULL")),
			}
		case !ok && tg.table.IsKey(i) && !c.nullable:
			add = append(add, declare(c.name, c.ddl, c.collation, "NOT NULL"))
			continue
		case !ok:
			add = append(add, declare(c.name, c.ddl, c.collation, "NULL"))
			continue
		case a.generated:
			return &sinks.StopError{
				What: fmt.Sprintf("column %s of table %s.%s takes no value: the server numbers or computes it", a.name, tg.schema, tg.To),
				Hint: "deliver to another table, or to one whose column of that name is a plain one",
			}
		case tg.Changes == sinks.Off:
			continue
		}
		typ, null := a.typ, "NOT NULL"
		if c.nullable || a.nullable {
			null = "NULL"
		}
		switch fitOf(c.typ, a.typ) {
		case refuses:
			return &sinks.StopError{
				What: fmt.Sprintf("column %s of table %s.%s is %s, which cannot hold every %s of the source", c.name, tg.schema, tg.To, a.typ, c.ddl),
				Hint: fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s, or deliver to another table", tg.name, declare(a.name, c.ddl, a.collation, null)),
			}
		case widens:
			typ = c.ddl
		case fits:
			if a.nullable || !c.nullable {
				continue
			}
		}
		change := declare(a.name, typ, a.collation, null)
		if err := tg.keyInTheWay(rel, a, typ, null, change); err != nil {
			return err
		}
		alter = append(alter, change)
	}
	if err := tg.foreignColumns(rel, ours, &add, &alter); err != nil {
		return err
	}
	hasKey := rel.keyIndex(tg.keyNames()) != ""
	if len(add)+len(alter) == 0 && hasKey {
		tg.bind(rel)
		return tg.checkKeyWidth()
	}
	if err := s.change(ctx, tg, "alter table", alterTexts(tg.name, add, alter)...); err != nil {
		return err
	}
	if !hasKey {
		if err := s.createKeyIndex(ctx, tg, rel); err != nil {
			return err
		}
	}
	return s.bind(ctx, tg)
}

// keyInTheWay tells of a unique index under which SQL Server does not change a column: it lets text and binary strings
// in it grow, and a column become NULL unless it is of the primary key.
func (tg *target) keyInTheWay(rel *relation, a attribute, typ sqlType, null, change string) error {
	longer := typ.name == a.typ.name && typ.length > a.typ.length && a.typ.length != lengthMax
	for _, u := range rel.uniques {
		holds := slices.ContainsFunc(u.columns, func(c string) bool { return strings.EqualFold(c, a.name) })
		freed := u.primary && !a.nullable && null == "NULL"
		if !holds || !freed && (longer || typ.String() == a.typ.String()) {
			continue
		}
		drop := fmt.Sprintf("DROP INDEX %s ON %s", ident(u.name), tg.name)
		if u.primary {
			drop = fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", tg.name, ident(u.name))
		}
		columns := make([]string, len(u.columns))
		for i, c := range u.columns {
			columns[i] = ident(c)
		}
		return &sinks.StopError{
			What: fmt.Sprintf("column %s of table %s.%s has to become %s %s, and the key %s stands in the way", a.name, tg.schema, tg.To, typ, null, u.name),
			Hint: fmt.Sprintf("%s; ALTER TABLE %s ALTER COLUMN %s; CREATE UNIQUE INDEX %s ON %s (%s)",
				drop, tg.name, strings.TrimSpace(change), ident(u.name), tg.name, strings.Join(columns, ", ")),
		}
	}
	return nil
}

// alter changes a table.
func (s *Sink) alter(ctx context.Context, table string, add, alter []string) error {
	for _, text := range alterTexts(table, add, alter) {
		if _, err := s.exec(ctx, "alter table", text); err != nil {
			return err
		}
	}
	return nil
}

// alterTexts are the statements that add and alter columns: each is altered by one of its own, as T-SQL has no
// other way.
func alterTexts(table string, add, alter []string) (texts []string) {
	if len(add) > 0 {
		texts = append(texts, addColumnsSQL.with("table", table, "columns", strings.Join(add, ", ")))
	}
	for _, c := range alter {
		texts = append(texts, alterColumnSQL.with("table", table, "column", c))
	}
	return texts
}

func (s *Sink) createKeyIndex(ctx context.Context, tg *target, rel *relation) error {
	names := make([]string, len(tg.key))
	for i, k := range tg.key {
		names[i] = ident(tg.columns[k].name)
		if a, ok := rel.column(tg.columns[k].name); ok {
			names[i] = ident(a.name)
		}
	}
	sum := sha256.Sum256([]byte(tg.name))
	index := ident("cdc_key_" + hex.EncodeToString(sum[:6]))
	text := createUniqueSQL.with("index", index, "table", tg.name, "columns", strings.Join(names, ", "))
	err := s.change(ctx, tg, "create key index", text)
	if n := first(err); isDuplicate(n) || n == 1505 {
		return &sinks.StopError{
			What: fmt.Sprintf("table %s.%s holds several rows with one key (%s)", tg.schema, tg.To, strings.Join(tg.keyNames(), ", ")), Err: err,
			Hint: "delete the duplicates or empty the table",
		}
	}
	return err
}

// foreignColumns sees to columns that the shape does not have.
func (tg *target) foreignColumns(rel *relation, ours bool, add, alter *[]string) error {
	for _, c := range tg.sinkColumns() {
		if _, ok := rel.column(c.name); !ok {
			*add = append(*add, c.ddl)
		}
	}
	if _, ok := rel.column(tg.Identity); tg.Identity != "" && !ok {
		*add = append(*add, declare(tg.Identity, sqlType{name: "bigint"}, "", identityOptions))
	}
	if tg.Changes == sinks.Off {
		return nil
	}
	for _, a := range rel.columns {
		if tg.columnIndex(a.name) >= 0 || a.nullable || a.filled || a.typ.name == "timestamp" || tg.Soft && strings.EqualFold(a.name, tg.MarkColumn()) {
			continue
		}
		nullable := fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s", tg.name, declare(a.name, a.typ, a.collation, "NULL"))
		if !ours {
			return &sinks.StopError{
				What: fmt.Sprintf("table %s.%s asks for a value of %s, which %s does not have", tg.schema, tg.To, a.name, tg.table.ID),
				Hint: fmt.Sprintf("give it a default, or run %s", nullable),
			}
		}
		*alter = append(*alter, declare(a.name, a.typ, a.collation, "NULL"))
	}
	return nil
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
	rel, err := a.s.session.lookup(ctx, tg.schema, tg.To)
	if err != nil {
		return err
	}
	if rel == nil {
		return tg.gone()
	}
	if err := a.s.expand(ctx, tg, rel, false, true); err != nil {
		return err
	}
	if err := a.expandStage(ctx, tg); err != nil {
		return err
	}
	tg.inboxMade = false
	_, err = a.s.exec(ctx, "drop inbox", dropTableSQL.with("table", tg.inbox))
	return err
}

// expandStage gives a staging table that is in use the columns and types that its table has now.
func (a *apply) expandStage(ctx context.Context, tg *target) error {
	if there, err := a.s.session.exists(ctx, tg.stage); err != nil || !there {
		return err
	}
	rel, err := a.s.session.lookup(ctx, tg.schema, tg.stageN)
	if err != nil || rel == nil {
		return err
	}
	var add, alter []string
	for i, c := range tg.columns {
		have, ok := rel.column(c.name)
		null := "NULL"
		if tg.table.IsKey(i) && !c.nullable {
			null = "NOT NULL"
		}
		switch {
		case !ok:
			add = append(add, declare(c.dest, c.actual, c.collation, "NULL"))
		case have.typ.String() != c.actual.String(), !have.nullable && null == "NULL":
			alter = append(alter, declare(have.name, c.actual, c.collation, null))
		}
	}
	for _, h := range rel.columns {
		if tg.columnIndex(h.name) < 0 && !h.nullable {
			alter = append(alter, declare(h.name, h.typ, h.collation, "NULL"))
		}
	}
	return a.s.alter(ctx, tg.stage, add, alter)
}
