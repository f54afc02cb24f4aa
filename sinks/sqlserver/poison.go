package sqlserver

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

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

// Savepoints of the search for refused rows.
const (
	allRows  = "cdc_rows"
	findRows = "cdc_find"
	halfRows = "cdc_half"
)

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

// findAndApply applies an inbox of which some rows are refused: it finds them by halving, sets them aside and
// tries again, until the rest is taken. Finding k of n takes O(k log n) statements.
func (a *apply) findAndApply(ctx context.Context, w work, in *inbox) error {
	for {
		w.removals = in.removals
		failed, err := a.try(ctx, w.statements(""))
		if err != nil || failed < 0 {
			return err
		}
		found, err := a.find(ctx, w, in, failed)
		if err != nil {
			return err
		}
		for _, f := range found {
			if err := a.setAside(ctx, in, f); err != nil {
				return err
			}
		}
	}
}

// try runs statements behind a savepoint. failed is the index of the one that refuses a row, after which
// everything is as before; -1 when all were taken.
func (a *apply) try(ctx context.Context, sts []statement) (failed int, err error) {
	if err := a.savepoint(ctx, allRows); err != nil {
		return -1, err
	}
	for i, st := range sts {
		if _, err := a.s.exec(ctx, st.step, st.sql, st.args...); err != nil {
			if !isPoison(err) {
				return -1, err
			}
			return i, a.rollbackTo(ctx, allRows, err)
		}
	}
	return -1, nil
}

func (a *apply) savepoint(ctx context.Context, name string) error {
	_, err := a.s.exec(ctx, "savepoint", savepointSQL.with("savepoint", name))
	return err
}

// rollbackTo takes back what was done since a savepoint, because of an error. Some errors end the whole transaction
// whatever the session is set to: those of a trigger, for one.
func (a *apply) rollbackTo(ctx context.Context, name string, cause error) error {
	_, err := a.s.exec(ctx, "rollback to savepoint", rollbackToSQL.with("savepoint", name))
	if isEnded(err) {
		return &sinks.StopError{
			What: "a refusal ended the transaction, so that the row cannot be told from the others", Err: cause,
			Hint: "let the trigger or constraint that refuses rows be a CHECK constraint, or drop it",
		}
	}
	return err
}

// refusedRow is the place in the inbox of a row that a statement refuses, and why.
type refusedRow struct {
	ord    int
	reason string
}

// ofRange narrows a statement to rows of the inbox by their order.
const ofRange = " AND s.[cdc_ord] BETWEEN @first AND @last"

// find halves the statement at index failed until the rows that it refuses are alone. The statements before
// it are done for all rows first, because it counts on them. Nothing of it stays. What one half has written stays
// while the other is tried: of two rows that exclude each other the second is refused.
func (a *apply) find(ctx context.Context, w work, in *inbox, failed int) ([]refusedRow, error) {
	if err := a.savepoint(ctx, findRows); err != nil {
		return nil, err
	}
	for _, st := range w.statements("")[:failed] {
		if _, err := a.s.exec(ctx, st.step, st.sql, st.args...); err != nil {
			return nil, err
		}
	}
	var last error
	refusals, err := sinks.Bisect(in.rows, func(lo, hi int) (refusal, err error) {
		st := w.statements(ofRange, sql.Named("first", int64(lo)), sql.Named("last", int64(hi)))[failed]
		if refusal, err = a.probe(ctx, st); refusal != nil {
			last = refusal
		}
		return refusal, err
	})
	if err != nil {
		return nil, err
	}
	found := make([]refusedRow, len(refusals))
	for i, r := range refusals {
		found[i] = refusedRow{r.At, reasonOf(w.tg, r.Err)}
	}
	if len(found) == 0 {
		return nil, &sinks.StopError{
			What: fmt.Sprintf("table %s refuses a batch of which it takes every row alone", w.tg.name), Err: last,
			Hint: "look for a trigger or constraint over several rows",
		}
	}
	return found, a.rollbackTo(ctx, findRows, last)
}

// probe runs one statement behind a savepoint; refusal is the error of a row.
func (a *apply) probe(ctx context.Context, st statement) (refusal, err error) {
	if err := a.savepoint(ctx, halfRows); err != nil {
		return nil, err
	}
	if _, refusal = a.s.exec(ctx, st.step, st.sql, st.args...); refusal == nil {
		return nil, nil
	}
	if !isPoison(refusal) {
		return nil, refusal
	}
	return refusal, a.rollbackTo(ctx, halfRows, refusal)
}

// setAside notes a row of the inbox as poison and gives it the operation that this calls for.
func (a *apply) setAside(ctx context.Context, in *inbox, f refusedRow) error {
	tg := in.tg
	var seq, was int64
	key := make([]any, len(tg.key))
	dest := []any{&seq, &was}
	for i := range key {
		dest = append(dest, &key[i])
	}
	ord := sql.Named("ord", int64(f.ord))
	found, err := a.s.session.one(ctx, refusedRowSQL.with("inbox", tg.inbox, "keys", tg.list(tg.key, "s.")), []any{ord}, dest...)
	if err != nil || !found {
		return fmt.Errorf("read the refused row %d of %s (found: %t): %w", f.ord, tg.From, found, err)
	}
	row := make(change.Row, len(key))
	for i, k := range tg.key {
		if row[i], err = tg.columns[k].decode(key[i]); err != nil {
			return fmt.Errorf("read a refused row of %s: %w", tg.From, err)
		}
	}
	op, err := a.refuse(tg, sinks.FormatKey(row), change.Seq(seq), f.reason)
	if err != nil {
		return err
	}
	if was == opDelete {
		op = opKeep // it is the deletion that is refused: trying it again would not end
	}
	in.removals = in.removals || op == opDelete
	_, err = a.s.exec(ctx, "set aside", setAsideSQL.with("inbox", tg.inbox), sql.Named("op", int64(op)), ord)
	return err
}
