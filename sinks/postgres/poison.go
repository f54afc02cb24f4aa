package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// poison is a row that the destination refuses.
type poison struct {
	tg     *target
	key    string // as sinks.FormatKey prints it
	seq    change.Seq
	reason string
}

// refuse notes a poison row and says what becomes of its key.
func (a *apply) refuse(tg *target, key string, seq change.Seq, reason string) (op int, err error) {
	switch a.s.cfg.OnPoison {
	case sinks.StopOnPoison:
		return 0, &sinks.StopError{
			What: fmt.Sprintf("table %s.%s refuses the row %s of %s (seq %d): %s", tg.schema, tg.To, key, tg.From, seq, reason),
			Hint: "mend the row at the source, widen the column, or set on_poison: keep to go on without it",
		}
	case sinks.DeleteOnPoison:
		op = opDelete
	case sinks.KeepOnPoison:
		op = opKeep
	}
	a.heal(tg, key)
	a.poison = append(a.poison, poison{tg, key, seq, reason})
	if a.refusedKeys == nil {
		a.refusedKeys = map[refusedKey]bool{}
	}
	a.refusedKeys[refusedKey{tg, key}] = true
	return op, nil
}

// refusedKey is a key of which a version was refused.
type refusedKey struct {
	tg  *target
	key string
}

// heal forgets that a version of a key was refused earlier in the batch: a later one says what becomes of it.
func (a *apply) heal(tg *target, key string) {
	at := refusedKey{tg, key}
	if !a.refusedKeys[at] {
		return
	}
	delete(a.refusedKeys, at)
	a.poison = slices.DeleteFunc(a.poison, func(p poison) bool { return p.tg == tg && p.key == key })
}

// strike takes a key that cannot be written down, and that the source has no more, off the list.
func (a *apply) strike(tg *target, key string) {
	if tg.quarantined {
		a.gone = append(a.gone, refusedKey{tg, key})
	}
}

// carefully applies an inbox of which some rows are refused: it finds them by halving, sets them aside and
// tries again, until the rest is taken. Finding k of n takes O(k log n) statements.
func (a *apply) carefully(ctx context.Context, w work) error {
	for {
		failed, err := a.try(ctx, w.statements(""))
		if err != nil || failed < 0 {
			return err
		}
		found, err := a.find(ctx, w, failed)
		if err != nil {
			return err
		}
		for _, f := range found {
			if err := a.setAside(ctx, w.in, f); err != nil {
				return err
			}
		}
	}
}

// try runs statements behind a savepoint. failed is the index of the one that refuses a row, after which
// everything is as before; -1 when all were taken.
func (a *apply) try(ctx context.Context, sts []statement) (failed int, err error) {
	if _, err := a.s.exec(ctx, "savepoint", "SAVEPOINT cdc_rows"); err != nil {
		return -1, err
	}
	for i, st := range sts {
		if _, err := a.s.exec(ctx, st.step, st.sql, st.args...); err != nil {
			if !isPoison(err) {
				return -1, err
			}
			_, err := a.s.exec(ctx, "rollback to savepoint", "ROLLBACK TO SAVEPOINT cdc_rows; RELEASE SAVEPOINT cdc_rows")
			return i, err
		}
	}
	_, err = a.s.exec(ctx, "release savepoint", "RELEASE SAVEPOINT cdc_rows")
	return -1, err
}

// find halves the statement at index failed until the rows that it refuses are alone. The statements before
// it are done for all rows first, because it counts on them. Nothing of it stays.
func (a *apply) find(ctx context.Context, w work, failed int) ([]sinks.Refusal, error) {
	if _, err := a.s.exec(ctx, "savepoint", "SAVEPOINT cdc_find"); err != nil {
		return nil, err
	}
	for _, st := range w.statements("")[:failed] {
		if _, err := a.s.exec(ctx, st.step, st.sql, st.args...); err != nil {
			return nil, err
		}
	}
	found, err := sinks.Bisect(w.in.rows, func(first, last int) (refusal, err error) {
		return a.probe(ctx, w.statements(fmt.Sprintf(" AND s.%s BETWEEN %d AND %d", colOrd, first, last))[failed])
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &sinks.StopError{
			What: fmt.Sprintf("table %s refuses a batch of which it takes every row alone", w.tg.name),
			Hint: "look for a trigger or constraint over several rows, and for keys that it cannot tell apart",
		}
	}
	_, err = a.s.exec(ctx, "rollback to savepoint", "ROLLBACK TO SAVEPOINT cdc_find; RELEASE SAVEPOINT cdc_find")
	return found, err
}

// probe runs one statement behind a savepoint; refusal is the error of a row.
func (a *apply) probe(ctx context.Context, st statement) (refusal, err error) {
	if _, err := a.s.exec(ctx, "savepoint", "SAVEPOINT cdc_half"); err != nil {
		return nil, err
	}
	if _, refusal = a.s.exec(ctx, st.step, st.sql, st.args...); refusal != nil {
		if !isPoison(refusal) {
			return nil, refusal
		}
		_, err = a.s.exec(ctx, "rollback to savepoint", "ROLLBACK TO SAVEPOINT cdc_half; RELEASE SAVEPOINT cdc_half")
		return refusal, err
	}
	_, err = a.s.exec(ctx, "release savepoint", "RELEASE SAVEPOINT cdc_half")
	return nil, err
}

// reasonOf is the server's message with the constraint or column it names; not its detail, which quotes
// the row.
func reasonOf(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err.Error()
	}
	s := pg.Message + " (SQLSTATE " + pg.Code
	if pg.ColumnName != "" {
		s += ", column " + pg.ColumnName
	}
	if pg.ConstraintName != "" {
		s += ", constraint " + pg.ConstraintName
	}
	return s + ")"
}

// setAside notes a row of the inbox as poison and gives it the operation that this calls for.
func (a *apply) setAside(ctx context.Context, in *inbox, f sinks.Refusal) error {
	tg := in.tg
	var seq int64
	texts := make([]*string, len(tg.key))
	dest := []any{&seq}
	exprs := make([]string, len(tg.key))
	for i, k := range tg.key {
		exprs[i] = readText(tg.columns[k], "s")
		dest = append(dest, &texts[i])
	}
	var nulls, was int
	dest = append(dest, &nulls, &was)
	err := a.tx.QueryRow(ctx, fmt.Sprintf("SELECT s.%s, %s, s.%s, s.%s FROM %s s WHERE s.%s = %d",
		colSeq, strings.Join(exprs, ", "), colNulls, colOp, tg.inbox, colOrd, f.At)).Scan(dest...)
	if err != nil {
		return fmt.Errorf("read a refused row of %s: %w", tg.From, err)
	}
	key := make(change.Row, len(texts))
	for i, k := range tg.key {
		if key[i], err = parseText(tg.columns[k], texts[i]); err != nil {
			return fmt.Errorf("read a refused row of %s: %w", tg.From, err)
		}
	}
	op, err := a.refuse(tg, sinks.FormatKey(key), change.Seq(seq), reasonOf(f.Err))
	if err != nil {
		return err
	}
	if was == opDelete {
		op = opKeep // it is the deletion that is refused: trying it again would not end
	}
	in.nulls[op][nulls] = true
	_, err = a.s.exec(ctx, "set aside", fmt.Sprintf("UPDATE %s SET %s = %d WHERE %s = %d", tg.inbox, colOp, op, colOrd, f.At))
	return err
}

// storePoison lists the batch's poison in cdc_quarantine.
func (a *apply) storePoison(ctx context.Context) error {
	if tell := a.s.cfg.Observer.Poison; tell != nil && len(a.poison) > 0 {
		rows := make([]sinks.Poisoned, len(a.poison))
		for i, p := range a.poison {
			rows[i] = sinks.Poisoned{Table: p.tg.From, Key: p.key, Seq: p.seq, Reason: p.reason}
		}
		if err := tell(ctx, rows); err != nil {
			return err
		}
	}
	for _, g := range a.gone {
		if err := a.forgetKey(ctx, g.tg, g.key); err != nil {
			return err
		}
	}
	for _, p := range a.poison {
		_, err := a.s.exec(ctx, "quarantine", fmt.Sprintf(`INSERT INTO %s (stream, table_name, row_key, seq, reason) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (stream, table_name, md5(row_key)) DO UPDATE SET seq = EXCLUDED.seq, reason = EXCLUDED.reason, at = now()`, a.s.quarantine),
			a.st.name, p.tg.From, p.key, int64(p.seq), p.reason)
		if err != nil {
			return err
		}
		if tg := p.tg; !tg.quarantined {
			tg.quarantined = true
			a.undo = append(a.undo, func() { tg.quarantined = false })
		}
	}
	return nil
}

// findQuarantined notes which targets have keys that are listed.
func (s *Sink) findQuarantined(ctx context.Context, tx pgx.Tx, st *stream) error {
	rows, err := tx.Query(ctx, fmt.Sprintf("SELECT DISTINCT table_name FROM %s WHERE stream = $1", s.quarantine), st.name)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.quarantine, err)
	}
	listed, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read %s: %w", s.quarantine, err)
	}
	for from, tg := range st.targets {
		tg.quarantined = slices.Contains(listed, from)
	}
	return nil
}

// quarantinedKeys returns the listed keys of a table from a Seq on.
func (a *apply) quarantinedKeys(ctx context.Context, tg *target, from change.Seq) ([]string, error) {
	rows, err := a.tx.Query(ctx, fmt.Sprintf("SELECT row_key FROM %s WHERE stream = $1 AND table_name = $2 AND seq >= $3", a.s.quarantine),
		a.st.name, tg.From, int64(from))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", a.s.quarantine, err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", a.s.quarantine, err)
	}
	return keys, nil
}

// clearRange removes what was quarantined of a key range: a chunk tells of all of its keys anew.
func (a *apply) clearRange(ctx context.Context, tg *target) error {
	keys, err := a.quarantinedKeys(ctx, tg, 0)
	if err != nil {
		return err
	}
	for _, text := range keys {
		row, err := sinks.ParseKey(text, tg.table.KeyTypes())
		if err != nil || !a.b.Cover.Range.Contains(change.KeyOf(row...)) {
			continue // a key of another shape belongs to no range
		}
		if err := a.forgetKey(ctx, tg, text); err != nil {
			return err
		}
	}
	return nil
}

// forgetKey takes a key off the list.
func (a *apply) forgetKey(ctx context.Context, tg *target, key string) error {
	_, err := a.s.exec(ctx, "forget quarantine", fmt.Sprintf("DELETE FROM %s WHERE stream = $1 AND table_name = $2 AND row_key = $3", a.s.quarantine),
		a.st.name, tg.From, key)
	return err
}

// keepQuarantined sends the keys that were quarantined since a cover began to the inbox: what is shown of
// them stays though the staging table does not hold them.
func (a *apply) keepQuarantined(ctx context.Context, tg *target, since change.Seq) error {
	if _, err := a.inbox(ctx, tg); err != nil {
		return err
	}
	if a.s.cfg.OnPoison != sinks.KeepOnPoison {
		return nil
	}
	keys, err := a.quarantinedKeys(ctx, tg, since)
	if err != nil {
		return err
	}
	types := make([]string, len(tg.key))
	for i, k := range tg.key {
		types[i] = fmt.Sprintf("$%d::text::%s", i+1, wire[tg.columns[k].form])
		if tg.columns[k].form == formBytea {
			types[i] = fmt.Sprintf("$%d::bytea", i+1)
		}
	}
	insert := fmt.Sprintf("INSERT INTO %s (%s, %s) SELECT %s, %d", tg.inbox, list(tg.keyNames(), ""), colOp, strings.Join(types, ", "), opKeep)
	for _, text := range keys {
		row, err := sinks.ParseKey(text, tg.table.KeyTypes())
		if err != nil {
			return fmt.Errorf("read %s: %w", a.s.quarantine, err)
		}
		args := make([]any, len(row))
		for i, v := range row {
			if !v.IsNull() {
				args[i] = parameter(tg.columns[tg.key[i]], v)
			}
		}
		if _, err := a.s.exec(ctx, "keep quarantined", insert, args...); err != nil {
			return err
		}
	}
	return nil
}
