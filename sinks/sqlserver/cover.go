package sqlserver

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// void makes the staging table anew, in the shape of today.
func (a *apply) void(ctx context.Context, tg *target) error {
	if err := a.dropStage(ctx, tg); err != nil {
		return err
	}
	notes := a.step.States[tg.From].Phase == sinks.Noting
	if _, err := a.s.exec(ctx, "create staging", tg.createStage(notes)); err != nil {
		return err
	}
	if !notes || tg.keyWidth() > clusteredKey {
		return nil
	}
	_, err := a.s.exec(ctx, "index staging", createIndexSQL.with("table", tg.stage, "index", ident("cdc_noted"), "columns", tg.list(tg.key, "")))
	return err
}

func (a *apply) dropStage(ctx context.Context, tg *target) error {
	_, err := a.s.exec(ctx, "drop staging", dropTableSQL.with("table", tg.stage))
	return err
}

// chunk makes a key range of wherever its table is kept exactly what the inbox holds, by the difference.
func (a *apply) chunk(ctx context.Context) error {
	tg := a.st.targets[a.b.Cover.Table]
	if tg == nil || a.step.Route(tg.From) == sinks.Ignore {
		return nil
	}
	in, err := a.inbox(ctx, tg) // an empty chunk has one too: it deletes all of its range
	if err != nil {
		return err
	}
	p := a.place(tg)
	if a.step.DeleteRange && tg.quarantined && p.name == tg.name {
		if err := a.clearRange(ctx, tg); err != nil {
			return err
		}
	}
	if err := a.settle(ctx, in); err != nil {
		return err
	}
	if a.step.DeleteRange {
		if err := a.removeRange(ctx, in, p); err != nil {
			return err
		}
	}
	if err := a.rows(ctx, in, p); err != nil {
		return err
	}
	if a.step.Route(tg.From) == sinks.ToBoth {
		return a.note(ctx, tg)
	}
	return nil
}

// removeRange removes what the chunk's range holds and the inbox does not.
func (a *apply) removeRange(ctx context.Context, in *inbox, p place) error {
	within, err := in.tg.rangePart(a.b.Cover.Range)
	if err != nil {
		return &sinks.StopError{What: "read a chunk's range", Err: err, Hint: "it was written by a later version, or its table's key has changed: resync the table"}
	}
	if !within.exact {
		return a.removeCandidates(ctx, in, p, within)
	}
	_, err = a.s.exec(ctx, "remove range", p.removeWhere(within.sql+" AND "+p.unmatched(in.tg.inbox, everyRow)), within.args...)
	return a.refused(err)
}

// candidatesPage bounds the keys held of a range whose order the server does not share.
const candidatesPage = 10_000

// removeCandidates reads keys near the range, decides which of them lie in it, and puts them into the inbox: those in
// the range to be deleted, the others to be passed over. Nearly always there are none.
func (a *apply) removeCandidates(ctx context.Context, in *inbox, p place, within part) error {
	tg := in.tg
	where := within.sql + " AND " + p.unmatched(tg.inbox, everyRow)
	if p.soft {
		where += " AND t." + ident(p.tg.MarkColumn()) + " = 0"
	}
	text := candidatesSQL.with("table", p.name, "keys", tg.list(tg.key, "t."), "where", where)
	args := append([]any{sql.Named("most", int64(candidatesPage))}, within.args...)
	for {
		var keys []change.Row
		got := make([]any, len(tg.key))
		dest := make([]any, len(got))
		for i := range got {
			dest[i] = &got[i]
		}
		err := a.s.session.each(ctx, text, args, func() error {
			key := make(change.Row, len(got))
			for i, k := range tg.key {
				var err error
				if key[i], err = tg.columns[k].decode(got[i]); err != nil {
					return err
				}
			}
			keys = append(keys, key)
			return nil
		}, dest...)
		if err != nil {
			return fmt.Errorf("read keys of %s: %w", p.name, err)
		}
		if len(keys) == 0 {
			return nil
		}
		l := newLoader(a, in)
		err = l.load(ctx, func() error {
			for _, key := range keys {
				op := opKeep
				if a.b.Cover.Range.Contains(change.KeyOf(key...)) {
					op = opDelete
				}
				if err := l.key(key, op); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(keys) < candidatesPage {
			return err
		}
	}
}

// note keeps the keys of an inbox in the staging table: a cover without key order has seen them.
func (a *apply) note(ctx context.Context, tg *target) error {
	_, err := a.s.exec(ctx, "note keys", noteSQL.with("stage", tg.stage, "inbox", tg.inbox, "match", tg.match("t", "s"),
		"keys", tg.list(tg.key, ""), "values", tg.list(tg.key, "s.")))
	return err
}

// sweep deletes the rows whose keys a cover without key order has not seen.
func (a *apply) sweep(ctx context.Context, tg *target) error {
	p := tg.visible(a.b.To)
	if _, err := a.s.exec(ctx, "sweep", p.removeWhere(p.unmatched(tg.stage, everyRow))); err != nil {
		return err
	}
	return a.finish(ctx, tg)
}

// show makes the visible table equal to the staging table by the net difference: rows that are right are
// not touched.
func (a *apply) show(ctx context.Context, tg *target) error {
	p := tg.visible(a.b.To)
	gone := p.unmatched(tg.stage, everyRow)
	if tg.quarantined {
		if err := a.keepQuarantined(ctx, tg, a.step.Begun(tg.From)); err != nil {
			return err
		}
		gone += " AND " + p.unmatched(tg.inbox, op(opKeep))
	}
	if _, err := a.s.exec(ctx, "show: remove", p.removeWhere(gone)); err != nil {
		return a.refused(err)
	}
	var err error
	if a.careful {
		err = a.showCarefully(ctx, tg, p)
	} else {
		err = a.all(ctx, work{place: p, source: tg.stage}.statements(""))
	}
	if err != nil {
		return err
	}
	return a.finish(ctx, tg)
}

// showCarefully takes the difference through the inbox, where rows that are refused can be found.
func (a *apply) showCarefully(ctx context.Context, tg *target, p place) error {
	in, err := a.inbox(ctx, tg)
	if err != nil {
		return err
	}
	n, err := a.s.exec(ctx, "show: difference", differenceSQL.with("inbox", tg.inbox, "stage", tg.stage, "table", p.name,
		"columns", tg.list(tg.all(), ""), "values", tg.list(tg.all(), "s."), "keys", tg.list(tg.key, "s."),
		"match", tg.match("t", "s"), "same", p.same()), sql.Named("first", int64(in.rows)), sql.Named("seq", int64(a.b.To)))
	if err != nil {
		return err
	}
	in.rows += int(n)
	return a.rows(ctx, in, p)
}

// finish drops the staging table and what was quarantined before the cover began: the cover has told of
// every key since.
func (a *apply) finish(ctx context.Context, tg *target) error {
	if err := a.dropStage(ctx, tg); err != nil {
		return err
	}
	return a.forgetBefore(ctx, tg, a.step.Begun(tg.From))
}
