package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// void makes the staging table anew, in the shape of today.
func (a *apply) void(ctx context.Context, tg *target) error {
	if _, err := a.s.exec(ctx, "drop staging", "DROP TABLE IF EXISTS "+tg.stage); err != nil {
		return err
	}
	_, err := a.s.exec(ctx, "create staging", tg.createStage())
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
	within := part{sql: "true"}
	var removal *part
	if a.step.DeleteRange {
		if within, err = tg.rangePart(a.b.Cover.Range); err != nil {
			return &sinks.StopError{What: "read a chunk's range", Err: err, Hint: "it was written by a later version, or its table's key has changed: resync the table"}
		}
		held := fmt.Sprintf("EXISTS (SELECT 1 FROM %s s WHERE s.%s <> %d AND %s)", tg.inbox, colOp, opDelete, tg.sameKey("t", "s"))
		removal = &part{sql: p.remove("", within.sql+" AND NOT "+held), args: within.args}
		if tg.quarantined && p.name == tg.name {
			if err := a.clearRange(ctx, tg); err != nil {
				return err
			}
		}
	}
	if err := a.settle(ctx, in); err != nil {
		return err
	}
	if in.rows > 0 && !in.overlap {
		if _, err := a.s.exec(ctx, "analyze", "ANALYZE "+tg.inbox); err != nil {
			return err
		}
	}
	if removal == nil {
		within.sql = "" // nothing says which part of the table to compare with
	}
	if err := a.rows(ctx, in, p, removal, within.sql); err != nil {
		return err
	}
	if a.step.Route(tg.From) == sinks.ToBoth {
		return a.note(ctx, tg)
	}
	return nil
}

// note keeps the keys of an inbox in the staging table: a cover without key order has seen them.
func (a *apply) note(ctx context.Context, tg *target) error {
	keys := list(tg.keyNames(), "")
	values := make([]string, len(tg.key))
	for i, k := range tg.key {
		values[i] = tg.columns[k].value(true)
	}
	_, err := a.s.exec(ctx, "note keys", fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s s WHERE s.%s <> %d ON CONFLICT DO NOTHING",
		tg.stage, keys, strings.Join(values, ", "), tg.inbox, colOp, opDelete))
	return err
}

// sweep deletes the rows whose keys a cover without key order has not seen.
func (a *apply) sweep(ctx context.Context, tg *target) error {
	if _, err := a.s.exec(ctx, "analyze", "ANALYZE "+tg.stage); err != nil {
		return err
	}
	seen := fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s s WHERE %s)", tg.stage, tg.sameKey("t", "s"))
	if _, err := a.s.exec(ctx, "sweep", tg.visible(a.b.To).remove("", seen)); err != nil {
		return err
	}
	return a.finish(ctx, tg)
}

// show makes the visible table equal to the staging table by the net difference: rows that are right are
// not touched.
func (a *apply) show(ctx context.Context, tg *target) error {
	p := tg.visible(a.b.To)
	if _, err := a.s.exec(ctx, "analyze", "ANALYZE "+tg.stage); err != nil {
		return err
	}
	gone := fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s s WHERE %s)", tg.stage, tg.sameKey("t", "s"))
	if tg.quarantined {
		if err := a.keepQuarantined(ctx, tg, a.step.Begun(tg.From)); err != nil {
			return err
		}
		gone += fmt.Sprintf(" AND NOT EXISTS (SELECT 1 FROM %s s WHERE s.%s = %d AND %s)", tg.inbox, colOp, opKeep, tg.sameKey("t", "s"))
	}
	if _, err := a.s.exec(ctx, "show: remove", p.remove("", gone)); err != nil {
		return a.refused(err)
	}
	if a.manner == careful {
		if err := a.showCarefully(ctx, tg, p); err != nil {
			return err
		}
		return a.finish(ctx, tg)
	}
	if len(p.uniques) > 0 {
		if _, err := a.s.exec(ctx, "show: delete moved", p.removeMoved(tg.stage, false, tg.sameKey("t", "s"))); err != nil {
			return a.refused(err)
		}
	}
	if _, err := a.s.exec(ctx, "show: upsert", p.upsert(tg.stage, false, p.absentOrDifferent(false, "true"))); err != nil {
		return a.refused(err)
	}
	return a.finish(ctx, tg)
}

// showCarefully takes the difference through the inbox, where rows that are refused can be found.
func (a *apply) showCarefully(ctx context.Context, tg *target, p place) error {
	in, err := a.inbox(ctx, tg)
	if err != nil {
		return err
	}
	var names, values, nulls []string
	for _, c := range tg.columns {
		names = append(names, ident(c.name))
		v := "s." + ident(c.name)
		if c.form == formJSON {
			v += "::text"
		}
		values = append(values, v)
	}
	for i, k := range tg.key {
		nulls = append(nulls, fmt.Sprintf("(s.%s IS NULL)::integer << %d", ident(tg.columns[k].name), i))
	}
	n, err := a.s.exec(ctx, "show: difference", fmt.Sprintf(
		"INSERT INTO %s (%s, %s, %s, %s, %s) SELECT %s, %d, (%s), %d + row_number() OVER () - 1, %d FROM %s s WHERE %s",
		tg.inbox, strings.Join(names, ", "), colOp, colNulls, colOrd, colSeq, strings.Join(values, ", "), opUpsert,
		strings.Join(nulls, ") + ("), in.rows, int64(a.b.To), tg.stage, p.absentOrDifferent(false, "true")))
	if err != nil {
		return err
	}
	in.rows += int(n)
	rows, err := a.tx.Query(ctx, fmt.Sprintf("SELECT DISTINCT %s FROM %s WHERE %s = %d", colNulls, tg.inbox, colOp, opUpsert))
	if err != nil {
		return fmt.Errorf("read the patterns of %s: %w", tg.inbox, err)
	}
	patterns, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return fmt.Errorf("read the patterns of %s: %w", tg.inbox, err)
	}
	for _, n := range patterns {
		in.nulls[opUpsert][n] = true
	}
	return a.rows(ctx, in, p, nil, "")
}

// finish drops the staging table and what was quarantined before the cover began: the cover has told of
// every key since.
func (a *apply) finish(ctx context.Context, tg *target) error {
	if _, err := a.s.exec(ctx, "drop staging", "DROP TABLE IF EXISTS "+tg.stage); err != nil {
		return err
	}
	return a.forget(ctx, tg, a.step.Begun(tg.From))
}

// forget removes what was quarantined of a table before a Seq.
func (a *apply) forget(ctx context.Context, tg *target, before change.Seq) error {
	if !tg.quarantined {
		return nil
	}
	_, err := a.s.exec(ctx, "forget quarantine", fmt.Sprintf("DELETE FROM %s WHERE stream = $1 AND table_name = $2 AND seq < $3", a.s.quarantine),
		a.st.name, tg.From, int64(before))
	return err
}
