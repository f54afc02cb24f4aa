package clickhouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// mention is a key in cdc_quarantine, as sinks.FormatKey prints it.
type mention struct{ table, key string }

// entry is what a batch has to say of it.
type entry struct {
	// clear says that the key has a good version now, or is gone.
	clear  bool
	seq    change.Seq
	reason string
}

// clearListed notes those of the rows whose keys are listed: they have a good version now or are gone, unless
// they turn out to be poison again.
func (a *apply) clearListed(ctx context.Context, tg *target, rows []row) error {
	const most = 2000 // keys of one statement
	if len(a.marks) > 0 {
		for i := range rows {
			if m := (mention{tg.From, tg.keyText(&rows[i])}); a.marks[m] != nil {
				a.marks[m] = &entry{clear: true}
			}
		}
	}
	if !tg.quarantined {
		return nil
	}
	for part := range slices.Chunk(rows, most) {
		keys := make([]string, len(part))
		for i := range part {
			keys[i] = literal(tg.keyText(&part[i]))
		}
		listed, err := a.s.listed(ctx, a.st.name, tg.From, "row_key IN ("+strings.Join(keys, ", ")+")")
		if err != nil {
			return err
		}
		for _, k := range listed {
			a.marks[mention{tg.From, k}] = &entry{clear: true}
		}
	}
	return nil
}

// clearAll notes listed keys that a condition selects as void, but those that this batch speaks of itself.
func (a *apply) clearAll(ctx context.Context, tg *target, cond string, keep func(key string) bool) error {
	if !tg.quarantined {
		return nil
	}
	keys, err := a.s.listed(ctx, a.st.name, tg.From, cond)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if m := (mention{tg.From, k}); a.marks[m] == nil && !keep(k) {
			a.marks[m] = &entry{clear: true}
		}
	}
	return nil
}

// clearRange removes what was quarantined of a key range: a chunk tells of all of its keys anew.
func (a *apply) clearRange(ctx context.Context, tg *target) error {
	return a.clearAll(ctx, tg, "1", func(text string) bool {
		row, err := sinks.ParseKey(text, tg.table.KeyTypes())
		return err != nil || !a.b.Cover.Range.Contains(change.KeyOf(row...)) // a key of another shape belongs to no range
	})
}

// forget removes what was quarantined of a table before a cover began: the cover has told of every key since.
func (a *apply) forget(ctx context.Context, tg *target, before change.Seq) error {
	return a.clearAll(ctx, tg, fmt.Sprintf("seq < %d", before), func(string) bool { return false })
}

// keepQuarantined puts the keys that were quarantined since a cover began aside: what is shown of them stays
// though the staging table does not hold them.
func (a *apply) keepQuarantined(ctx context.Context, tg *target, since change.Seq) error {
	if a.s.cfg.OnPoison != sinks.KeepOnPoison {
		return nil
	}
	keep := map[string]bool{}
	if tg.quarantined {
		keys, err := a.s.listed(ctx, a.st.name, tg.From, fmt.Sprintf("seq >= %d", since))
		if err != nil {
			return err
		}
		for _, k := range keys {
			keep[k] = true
		}
	}
	for m, e := range a.marks {
		if m.table == tg.From {
			keep[m.key] = !e.clear
		}
	}
	var rows []row
	for text, yes := range keep {
		if !yes {
			continue
		}
		key, err := sinks.ParseKey(text, tg.table.KeyTypes())
		if err != nil {
			return fmt.Errorf("read %s: %w", a.s.quarantine, err)
		}
		rows = append(rows, tg.keyRow(key, a.b.To, flagKeep))
	}
	if len(rows) == 0 {
		return nil
	}
	in, err := a.inbox(ctx, tg)
	if err != nil {
		return err
	}
	in.order++
	return a.send(ctx, in.place(), "kept", rows, nil, in.order)
}

// storeQuarantine writes what the batch has to say of cdc_quarantine.
func (a *apply) storeQuarantine(ctx context.Context) error {
	const most = 1000 // rows of one statement
	if err := a.tellPoison(ctx); err != nil {
		return err
	}
	var values []string
	for m, e := range a.marks {
		gone := 0
		if e.clear {
			gone = 1
		}
		values = append(values, fmt.Sprintf("(%s, %s, %s, %d, %s, %d, %d)", literal(a.st.name), literal(m.table), literal(m.key), e.seq,
			literal(e.reason), a.b.To, gone))
		if tg := a.st.targets[m.table]; !e.clear && !tg.quarantined {
			tg.quarantined = true
			a.undo = append(a.undo, func() { tg.quarantined = false })
		}
	}
	slices.Sort(values)
	for part := range slices.Chunk(values, most) {
		if err := a.fence(ctx); err != nil {
			return err
		}
		err := a.s.exec(ctx, "quarantine", fmt.Sprintf("INSERT INTO %s (stream, table_name, row_key, seq, reason, cdc_version, cdc_deleted) VALUES %s",
			a.s.quarantine, strings.Join(part, ", ")), once())
		if err != nil {
			return err
		}
	}
	return nil
}

// tellPoison tells the observer of refused rows before they are listed.
func (a *apply) tellPoison(ctx context.Context) error {
	var rows []sinks.Poisoned
	for m, e := range a.marks {
		if !e.clear {
			rows = append(rows, sinks.Poisoned{Table: m.table, Key: m.key, Seq: e.seq, Reason: e.reason})
		}
	}
	if len(rows) == 0 || a.s.cfg.Observer.Poison == nil {
		return nil
	}
	slices.SortFunc(rows, func(x, y sinks.Poisoned) int {
		return cmp.Or(strings.Compare(x.Table, y.Table), strings.Compare(x.Key, y.Key))
	})
	return a.s.cfg.Observer.Poison(ctx, rows)
}

// listed returns the listed keys of a table that a condition selects.
func (s *Sink) listed(ctx context.Context, stream, table, cond string) ([]string, error) {
	var out []string
	err := s.query(ctx, fmt.Sprintf("SELECT row_key FROM %s FINAL WHERE stream = %s AND table_name = %s AND %s", s.quarantine, literal(stream), literal(table), cond),
		func(scan func(...any) error) error {
			var key string
			err := scan(&key)
			out = append(out, key)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.quarantine, err)
	}
	return out, nil
}

// findQuarantined notes which targets have keys that are listed.
func (s *Sink) findQuarantined(ctx context.Context, st *stream) error {
	listed := map[string]bool{}
	err := s.query(ctx, fmt.Sprintf("SELECT DISTINCT table_name FROM %s FINAL WHERE stream = %s", s.quarantine, literal(st.name)), func(scan func(...any) error) error {
		var from string
		err := scan(&from)
		listed[from] = true
		return err
	})
	if err != nil {
		return fmt.Errorf("read %s: %w", s.quarantine, err)
	}
	for from, tg := range st.targets {
		tg.quarantined = listed[from]
	}
	return nil
}
