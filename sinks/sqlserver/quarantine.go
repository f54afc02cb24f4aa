package sqlserver

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

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
		_, err := a.s.exec(ctx, "quarantine", quarantineSQL.with("quarantine", a.s.quarantine),
			sql.Named("stream", a.st.name), sql.Named("table_name", p.tg.From), sql.Named("row_key", p.key),
			sql.Named("seq", int64(p.seq)), sql.Named("reason", p.reason))
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

func (s *Sink) anyQuarantined(ctx context.Context, stream, table string) (bool, error) {
	var n int
	_, err := s.session.one(ctx, anyQuarantinedSQL.with("quarantine", s.quarantine),
		[]any{sql.Named("stream", stream), sql.Named("table_name", table)}, &n)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", s.quarantine, err)
	}
	return n > 0, nil
}

// quarantinedKeys returns the listed keys of a table from a Seq on.
func (s *session) quarantinedKeys(ctx context.Context, quarantine, stream, table string, from change.Seq) ([]string, error) {
	var keys []string
	var key string
	err := s.each(ctx, quarantinedKeysSQL.with("quarantine", quarantine),
		[]any{sql.Named("stream", stream), sql.Named("table_name", table), sql.Named("seq", int64(from))},
		func() error { keys = append(keys, key); return nil }, &key)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", quarantine, err)
	}
	return keys, nil
}

// clearRange removes what was quarantined of a key range: a chunk tells of all of its keys anew.
func (a *apply) clearRange(ctx context.Context, tg *target) error {
	keys, err := a.s.session.quarantinedKeys(ctx, a.s.quarantine, a.st.name, tg.From, 0)
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
	_, err := a.s.exec(ctx, "forget quarantine", forgetKeySQL.with("quarantine", a.s.quarantine),
		sql.Named("stream", a.st.name), sql.Named("table_name", tg.From), sql.Named("row_key", key))
	return err
}

// keepQuarantined sends the keys that were quarantined since a cover began to the inbox: what is shown of
// them stays though the staging table does not hold them.
func (a *apply) keepQuarantined(ctx context.Context, tg *target, since change.Seq) error {
	in, err := a.inbox(ctx, tg)
	if err != nil || a.s.cfg.OnPoison != sinks.KeepOnPoison {
		return err
	}
	keys, err := a.s.session.quarantinedKeys(ctx, a.s.quarantine, a.st.name, tg.From, since)
	if err != nil || len(keys) == 0 {
		return err
	}
	l := newLoader(a, in)
	return l.load(ctx, func() error {
		for _, text := range keys {
			row, err := sinks.ParseKey(text, tg.table.KeyTypes())
			if err != nil {
				return fmt.Errorf("read %s: %w", a.s.quarantine, err)
			}
			if err := l.key(row, opKeep); err != nil {
				return err
			}
		}
		return nil
	})
}

// key sends a row that has nothing but its key. One that cannot be written down is passed over: it is not there.
func (l *loader) key(key change.Row, op int) error {
	clear(l.row)
	for i, k := range l.in.tg.key {
		v, err := l.in.tg.columns[k].encode(key[i])
		if err != nil {
			return nil //nolint:nilerr // see above
		}
		l.row[k] = v
	}
	return l.put(op, l.a.b.To, nil)
}

// forgetBefore removes what was quarantined of a table before a Seq.
func (a *apply) forgetBefore(ctx context.Context, tg *target, before change.Seq) error {
	if !tg.quarantined {
		return nil
	}
	_, err := a.s.exec(ctx, "forget quarantine", forgetBeforeSQL.with("quarantine", a.s.quarantine),
		sql.Named("stream", a.st.name), sql.Named("table_name", tg.From), sql.Named("seq", int64(before)))
	return err
}
