package clickhouse

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// ensureTargets makes, takes over or refuses each target's table and view, and freezes tables of the stream
// that are not delivered any more: when they come back they have missed something. What it asks of the catalog
// are a few statements, however many targets there are.
func (s *Sink) ensureTargets(ctx context.Context, st *stream) error {
	was := maps.Clone(st.states)
	targets := st.inOrder()
	cat, err := s.catalogOf(ctx, targets, st.states)
	if err != nil {
		return err
	}
	if err := s.findQuarantined(ctx, st); err != nil {
		return err
	}
	for _, tg := range targets {
		rel, err := s.admit(ctx, st.name, tg, cat)
		switch {
		case err != nil:
			return sinks.OfTarget(tg.From, err)
		case rel == nil || !tg.isOurs(rel, st.name):
			st.states[tg.From] = sinks.TableState{Phase: sinks.Waiting}
		default:
			checkStage(tg, cat, st.states)
		}
	}
	owned, err := s.owned(ctx, st.name)
	if err != nil {
		return err
	}
	st.staging.Freeze(sourcesOf(owned), st.mark, st.states)
	// First it is written down that a table waits, then the table is made ours: between the two it would pass
	// for one that follows the stream.
	if !maps.Equal(was, st.states) {
		st.version++
		if err := s.store(ctx, "states", st.name, &st.ledger, 0, gone(was, st.states), ""); err != nil {
			return err
		}
	}
	return s.ensureTables(ctx, st.name, targets, cat)
}

// inOrder are the stream's targets in the order of their sources' names.
func (st *stream) inOrder() []*target {
	targets := make([]*target, 0, len(st.targets))
	for _, from := range slices.Sorted(maps.Keys(st.targets)) {
		targets = append(targets, st.targets[from])
	}
	return targets
}

// catalogOf looks up all tables and views of targets, and the staging tables that are in use.
func (s *session) catalogOf(ctx context.Context, targets []*target, states map[string]sinks.TableState) (catalog, error) {
	var names []relationName
	for _, tg := range targets {
		names = append(names, tg.versions(), tg.readers())
		if state, ok := states[tg.From]; ok && state.Cover != "" {
			names = append(names, relationName{tg.database, tg.stageBare(state.Cover)})
		}
	}
	return s.lookupAll(ctx, names)
}

// versions and readers name the target's table and view.
func (tg *target) versions() relationName { return relationName{tg.database, tg.bare} }
func (tg *target) readers() relationName  { return relationName{tg.database, tg.To} }

// ensureTables makes the tables that are missing, and then brings all tables and views up to their shapes.
func (s *Sink) ensureTables(ctx context.Context, stream string, targets []*target, cat catalog) error {
	var made []*target
	var names []relationName
	for _, tg := range targets {
		if cat[tg.versions()] != nil || s.plan != nil || tg.Changes != sinks.Expand {
			continue
		}
		tg.showAll()
		if err := s.exec(ctx, "create table", tg.createVersions(ownerComment("", stream, tg.From)), nil); err != nil {
			return sinks.OfTarget(tg.From, err)
		}
		made, names = append(made, tg), append(names, tg.versions())
	}
	fresh, err := s.lookupAll(ctx, names)
	if err != nil {
		return err
	}
	maps.Copy(cat, fresh)
	for _, tg := range made {
		rel := cat[tg.versions()]
		if rel == nil {
			return tg.gone()
		}
		if err := tg.checkPartition(rel); err != nil {
			return sinks.OfTarget(tg.From, s.undoCreate(ctx, tg, err))
		}
	}
	for _, tg := range targets {
		if err := s.ensureTable(ctx, stream, tg, cat); err != nil {
			return sinks.OfTarget(tg.From, err)
		}
	}
	return nil
}

// gone are the keys of old that now lacks.
func gone(old, now map[string]sinks.TableState) []string {
	var out []string
	for _, t := range slices.Sorted(maps.Keys(old)) {
		if _, ok := now[t]; !ok {
			out = append(out, t)
		}
	}
	return out
}

func (tg *target) isOurs(r *relation, stream string) bool {
	owner, from := r.owner()
	return owner == stream && from == tg.From
}

// checkStage has a table wait for a new cover whose staging table somebody dropped.
func checkStage(tg *target, cat catalog, states map[string]sinks.TableState) {
	state := states[tg.From]
	if state.Phase != sinks.Staged && state.Phase != sinks.Held && state.Phase != sinks.Noting {
		return
	}
	if cat[relationName{tg.database, tg.stageBare(state.Cover)}] == nil {
		states[tg.From] = sinks.TableState{Phase: sinks.Waiting, Boundary: state.Boundary}
	}
}

// admit looks at the target's tables, and refuses what is not ours to write to; nil if there is no table yet. It
// changes nothing.
func (s *Sink) admit(ctx context.Context, stream string, tg *target, cat catalog) (*relation, error) {
	shown, rel := cat[tg.readers()], cat[tg.versions()]
	if shown != nil && shown.engine != "View" {
		return nil, &sinks.StopError{
			What: fmt.Sprintf("%s.%s is a table, and was not made for %s of stream %s: adopt: true cannot turn it into a view", tg.database, tg.To, tg.From, stream),
			Hint: "deliver to another name, or rename the table: the readers' view takes its name",
		}
	}
	if rel == nil {
		return nil, nil
	}
	owner, from := rel.owner()
	ours := tg.isOurs(rel, stream)
	if !rel.replaces() {
		return nil, &sinks.StopError{
			What: fmt.Sprintf("%s.%s has the engine %s, not ReplacingMergeTree(%s, %s)", tg.database, tg.bare, rel.merge, colVersion, colFlag),
			Hint: "deliver to another name, or rename the table; adopt: true takes only tables of that engine over",
		}
	}
	if err := s.findNewest(ctx, tg, rel, ours); err != nil {
		return nil, err
	}
	switch {
	case ours && rel.rows > 0:
		if err := tg.CheckSpelling(rel.order, false); err != nil {
			return nil, err
		}
	case rel.rows == 0:
	case !tg.Adopt:
		what := fmt.Sprintf("table %s.%s is not empty and was not made for %s of stream %s", tg.database, tg.bare, tg.From, stream)
		if owner != "" {
			what = fmt.Sprintf("table %s.%s belongs to %s of stream %s, not to %s of %s", tg.database, tg.bare, from, owner, tg.From, stream)
		}
		return nil, &sinks.StopError{What: what, Hint: "deliver to another name, or set adopt: true to make its rows equal to the source: rows that the source does not have are deleted"}
	case tg.newest >= uint64(time.Now().UnixMicro()):
		return nil, &sinks.StopError{
			What: fmt.Sprintf("table %s.%s has rows of version %d, above every number that a stream has now", tg.database, tg.bare, tg.newest),
			Hint: "its own rows would win over ours: copy them into a new table with a lower " + colVersion,
		}
	}
	return rel, tg.checkKeys(rel)
}

// findNewest reads the highest version that the table holds, where it matters: all of a column is read for it.
func (s *Sink) findNewest(ctx context.Context, tg *target, rel *relation, ours bool) error {
	_, stamped := rel.columns[tg.Extra.AppliedAt]
	if rel.rows == 0 || ours && (stamped || tg.Extra.AppliedAt == "") {
		return nil
	}
	if err := s.queryRow(ctx, fmt.Sprintf("SELECT max(%s) FROM %s", colVersion, tg.name), &tg.newest); err != nil {
		return fmt.Errorf("look into %s: %w", tg.name, err)
	}
	return nil
}

// checkKeys refuses a table whose rows are replaced by something else than the key.
func (tg *target) checkKeys(rel *relation) error {
	have, want := slices.Sorted(slices.Values(rel.sorting)), slices.Sorted(slices.Values(tg.keyNames()))
	if !slices.Equal(have, want) {
		return &sinks.StopError{
			What: fmt.Sprintf("table %s.%s is sorted by (%s), and the key of %s is (%s)", tg.database, tg.bare, strings.Join(rel.sorting, ", "), tg.table.ID, strings.Join(tg.keyNames(), ", ")),
			Hint: fmt.Sprintf("drop table %s and view %s, or deliver to another name, and restart the sink: it is filled again", tg.name, tg.view),
		}
	}
	return tg.checkPartition(rel)
}

// checkPartition refuses a partitioning that parts the versions of one key.
func (tg *target) checkPartition(rel *relation) error {
	for _, name := range rel.order {
		if rel.columns[name].inPart && !slices.Contains(tg.keyNames(), name) {
			return &sinks.StopError{
				What: fmt.Sprintf("table %s.%s is partitioned by %s, which is no key column: versions of a row would lie in several partitions and never be merged", tg.database, tg.bare, name),
				Hint: "partition by an expression over key columns only",
			}
		}
	}
	return nil
}

// ensureTable brings the table of versions and the readers' view up to the shape.
func (s *Sink) ensureTable(ctx context.Context, stream string, tg *target, cat catalog) error {
	comment, rel := ownerComment("", stream, tg.From), cat[tg.versions()]
	if rel == nil { // it is only planned, or not allowed
		tg.showAll()
		return s.change(ctx, tg, "create table", tg.createVersions(comment), tg.createView(comment))
	}
	altered, err := s.expand(ctx, tg, rel)
	if err != nil {
		return err
	}
	if !tg.isOurs(rel, stream) {
		own := fmt.Sprintf("ALTER TABLE %s MODIFY COMMENT %s", tg.name, literal(ownerComment(rel.comment, stream, tg.From)))
		if s.plan != nil {
			s.plan.note(own)
		} else if err := s.exec(ctx, "own table", own, nil); err != nil {
			return err
		}
	}
	return s.ensureView(ctx, tg, cat, altered, comment)
}

// ensureView makes the readers' view anew, unless it shows what it should.
func (s *Sink) ensureView(ctx context.Context, tg *target, cat catalog, altered bool, comment string) error {
	view := cat[tg.readers()]
	right := view != nil && !altered && tg.shows(view, cat[tg.versions()])
	if right && view.comment == comment && slices.Equal(view.order, tg.viewColumns()) {
		return nil
	}
	if right && s.plan == nil && tg.Changes != sinks.Expand { // it shows the same, and may not be changed: no reason to stop
		return nil
	}
	return s.change(ctx, tg, "create view", tg.createView(comment))
}

// shows tells whether a view has the columns that the table has, in their types.
func (tg *target) shows(view, rel *relation) bool {
	for _, name := range tg.shown {
		c, ok := view.columns[name]
		if !ok || tg.Changes != sinks.Off && c.text != rel.columns[name].text {
			return false
		}
	}
	_, ok := view.columns[tg.Extra.Position]
	return ok || tg.Extra.Position == ""
}

// undoCreate takes a table back that was made a moment ago and is of no use.
func (s *Sink) undoCreate(ctx context.Context, tg *target, why error) error {
	if err := s.drop(ctx, "drop table", tg.name); err != nil {
		return err
	}
	return why
}

// expand brings an existing table up to the shape and binds the target to it: columns are added and widened,
// and take NULL where the source does or has the column no more; nothing else changes. What would lose data
// stops. altered tells that something was, or is planned to be.
func (s *Sink) expand(ctx context.Context, tg *target, rel *relation) (altered bool, err error) {
	alter, err := tg.alterations(rel)
	if err != nil {
		return false, err
	}
	if len(alter) > 0 {
		if err := s.change(ctx, tg, "alter table", fmt.Sprintf("ALTER TABLE %s %s", tg.name, strings.Join(alter, ", "))); err != nil {
			return false, err
		}
		if s.plan != nil {
			tg.showWith(rel)
			return true, nil
		}
		if rel, err = s.lookup(ctx, tg.database, tg.bare); err != nil {
			return true, err
		}
		if rel == nil {
			return true, tg.gone()
		}
	}
	tg.bind(rel)
	return len(alter) > 0, nil
}

func (tg *target) alterations(rel *relation) ([]string, error) {
	var alter []string
	for i, c := range tg.columns {
		a, ok := rel.columns[c.name]
		name := quoteName(c.name)
		switch {
		case !ok:
			// Rows that are there have no value of it.
			alter = append(alter, "ADD COLUMN "+name+" "+typeText(c.wanted, true))
			continue
		case !a.known, tg.table.IsKey(i) && asText(c.wanted, a.form):
			return nil, tg.misfit(c, a)
		case tg.Changes == sinks.Off:
			continue
		}
		want := a.form
		switch fitOf(c.wanted, a.form) {
		case refuses:
			return nil, tg.misfit(c, a)
		case widens:
			want = c.wanted
		case fits:
		}
		null := a.nullable || c.null
		if want == a.form && null == a.nullable {
			continue
		}
		if tg.table.IsKey(i) {
			return nil, tg.misfit(c, a)
		}
		alter = append(alter, "MODIFY COLUMN "+name+" "+typeText(want, null))
	}
	return append(alter, tg.foreignColumns(rel)...), nil
}

func (tg *target) misfit(c column, a attribute) error {
	return &sinks.StopError{
		What: fmt.Sprintf("column %s of table %s.%s is %s, which cannot hold every %s of the source", c.name, tg.database, tg.bare, a.text, typeText(c.wanted, c.null)),
		Hint: fmt.Sprintf("deliver to another table, or drop %s and %s and restart the sink: it is filled again (a column of the key cannot be altered)", tg.view, tg.name),
	}
}

// foreignColumns sees to columns that the shape does not have.
func (tg *target) foreignColumns(rel *relation) (alter []string) {
	if _, ok := rel.columns[tg.MarkColumn()]; tg.Soft && !ok {
		alter = append(alter, "ADD COLUMN "+quoteName(tg.MarkColumn())+" Bool DEFAULT false")
	}
	if name := tg.Extra.AppliedAt; name != "" {
		if _, ok := rel.columns[name]; !ok {
			// Rows that are there have no value of it; without the condition each read would make one up.
			alter = append(alter, fmt.Sprintf("ADD COLUMN %s %s DEFAULT if(%s > %d, now64(6, 'UTC'), NULL)", quoteName(name), appliedType, colVersion, tg.newest))
		}
	}
	if tg.Changes == sinks.Off {
		return alter
	}
	for _, name := range rel.order {
		a := rel.columns[name]
		if tg.columnIndex(name) < 0 && !ours(name) && name != tg.MarkColumn() && a.known && !a.nullable && !a.inSort {
			alter = append(alter, "MODIFY COLUMN "+quoteName(name)+" "+typeText(a.form, true))
		}
	}
	return alter
}

// evolve follows a new shape of a delivered table. Every statement may be repeated.
func (a *apply) evolve(ctx context.Context, tg *target, shape *change.Table) error {
	if shape.SameShape(tg.table) {
		return nil
	}
	old := *tg
	a.undo = append(a.undo, func() { *tg = old })
	keys := tg.keyNames()
	if err := tg.setShape(shape); err != nil {
		return err
	}
	if !slices.Equal(keys, tg.keyNames()) {
		return &sinks.StopError{
			What: fmt.Sprintf("the key of %s changed from (%s) to (%s)", shape.ID, strings.Join(keys, ", "), strings.Join(tg.keyNames(), ", ")),
			Hint: fmt.Sprintf("drop table %s and view %s, or deliver to another name, and restart the sink: it is filled again", tg.name, tg.view),
		}
	}
	cat, err := a.s.catalogOf(ctx, []*target{tg}, nil)
	if err != nil {
		return err
	}
	rel := cat[tg.versions()]
	if rel == nil {
		return tg.gone()
	}
	altered, err := a.s.expand(ctx, tg, rel)
	if err != nil {
		return err
	}
	if err := a.s.ensureView(ctx, tg, cat, altered, ownerComment("", a.st.name, tg.From)); err != nil {
		return err
	}
	if cover := a.cover(tg); cover != "" {
		return a.expandStage(ctx, tg, cover)
	}
	return nil
}

// expandStage gives a staging table that is in use the columns and types that its table has now.
func (a *apply) expandStage(ctx context.Context, tg *target, cover string) error {
	rel, err := a.s.lookup(ctx, tg.database, tg.stageBare(cover))
	if err != nil || rel == nil {
		return err
	}
	var alter []string
	for i := range tg.columns {
		c := &tg.columns[i]
		have, ok := rel.columns[c.name]
		switch {
		case !ok:
			alter = append(alter, "ADD COLUMN "+quoteName(c.name)+" "+c.actual())
		case have.form != c.form || have.nullable != c.nullable:
			alter = append(alter, "MODIFY COLUMN "+quoteName(c.name)+" "+c.actual())
		}
	}
	if len(alter) == 0 {
		return nil
	}
	return a.s.exec(ctx, "alter staging", fmt.Sprintf("ALTER TABLE %s %s", tg.stage(cover), strings.Join(alter, ", ")), nil)
}
