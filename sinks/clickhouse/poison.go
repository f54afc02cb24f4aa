package clickhouse

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// refuse notes a poison row and says what becomes of its key.
func (a *apply) refuse(tg *target, key string, seq change.Seq, reason string) (flag int, err error) {
	switch a.s.cfg.OnPoison {
	case sinks.StopOnPoison:
		return 0, &sinks.StopError{
			What: fmt.Sprintf("table %s.%s refuses the row %s of %s (seq %d): %s", tg.database, tg.bare, key, tg.From, seq, reason),
			Hint: "mend the row at the source, widen the column, or set on_poison: keep to go on without it",
		}
	case sinks.DeleteOnPoison:
		flag = flagDelete
	case sinks.KeepOnPoison:
		flag = flagKeep
	}
	a.marks[mention{tg.From, key}] = &entry{seq: seq, reason: reason}
	return flag, nil
}

// probe makes a table that checks what a table checks, and keeps nothing: rows that are refused are found by
// halving without writing any. Finding k of n takes O(k log n) statements.
func (a *apply) probe(ctx context.Context, p place) (string, error) {
	name := quoteName(p.tg.database, a.s.scratchName("probe"))
	a.s.litter = append(a.s.litter, name)
	return name, a.s.exec(ctx, "create probe", fmt.Sprintf("CREATE TABLE %s AS %s ENGINE = Null COMMENT %s",
		name, p.table, literal(scratchComment(a.st.name))), nil)
}

// refuseRows finds the rows for which a place refuses a block, and gives them the flag that this calls for.
func (a *apply) refuseRows(ctx context.Context, p place, rows []row, cause error) error {
	probe, err := a.probe(ctx, p)
	if err != nil {
		return err
	}
	q := p
	q.table = probe
	b := q.newBlock()
	found, err := sinks.Bisect(len(rows), func(first, last int) (refusal, err error) {
		if err := a.encode(q, b, rows[first:last+1], 0, &digest{}); err != nil || b.rows == 0 {
			return nil, err
		}
		return verdict(a.s.insert(ctx, "probe", b, ""))
	})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return noneAlone(p.table, cause)
	}
	for _, f := range found {
		if err := a.refuseRow(p.tg, &rows[f.At], reasonOf(f.Err)); err != nil {
			return err
		}
	}
	return a.erase(ctx, p.tg, rows)
}

// verdict parts what the server says of rows from what says nothing of them.
func verdict(err error) (refusal, other error) {
	if isPoison(err) {
		return err, nil
	}
	return nil, err
}

// refuseRow says what becomes of a row that the server refuses. Of a deletion it refuses the values that came
// with it, not the deletion.
func (a *apply) refuseRow(tg *target, r *row, reason string) (err error) {
	if r.flag == flagDelete {
		r.flag = flagErase
		return nil
	}
	if r.flag, err = a.refuse(tg, tg.keyText(r), r.Seq, reason); r.flag == flagDelete {
		r.flag = flagErase
	}
	return err
}

// erase has keys deleted by way of an inbox, with the values that the destination has.
func (a *apply) erase(ctx context.Context, tg *target, rows []row) error {
	var gone []row
	for i := range rows {
		if r := &rows[i]; r.flag == flagErase {
			r.flag = flagKeep // for the block
			key := make(change.Row, len(tg.key))
			for j, k := range tg.key {
				key[j] = r.Row[r.cols[k]]
			}
			gone = append(gone, tg.keyRow(key, r.Seq, flagDelete))
		}
	}
	if len(gone) == 0 {
		return nil
	}
	in, err := a.inbox(ctx, tg)
	if err != nil {
		return err
	}
	in.order++
	return a.send(ctx, in.place(), "erase", gone, nil, in.order)
}

func noneAlone(table string, cause error) error {
	return &sinks.StopError{
		What: fmt.Sprintf("table %s refuses a batch of which it takes every row alone", table), Err: cause,
		Hint: "look for a materialized view over the table, and for a constraint over several rows",
	}
}

// keyRow is a row of which only the key is known.
func (tg *target) keyRow(key change.Row, seq change.Seq, flag int) row {
	r := make(change.Row, len(tg.columns))
	cols := make([]int, len(tg.columns))
	for i := range r {
		r[i], cols[i] = change.AbsentValue(), i
	}
	for i, k := range tg.key {
		r[k] = key[i]
	}
	return row{Net: &sinks.Net{Row: r, Seq: seq, Key: change.KeyOf(key...)}, cols: cols, flag: flag}
}

var (
	rowDetail = regexp.MustCompile(`(?s)\s*Column values:.*$`)
	tableUUID = regexp.MustCompile(` for table \S+ \([0-9a-f-]+\)`)
)

// reasonOf is the server's message without the row that it quotes and the name of the probe.
func reasonOf(err error) string {
	var ex *ch.Exception
	if !errors.As(err, &ex) {
		return err.Error()
	}
	text := tableUUID.ReplaceAllString(rowDetail.ReplaceAllString(ex.Message, ""), "")
	return fmt.Sprintf("%s (code %d)", text, ex.Code)
}

// digest names a set of keys in order.
type digest struct {
	keys []byte
}

func (d *digest) reset() { d.keys = d.keys[:0] }

func (d *digest) add(k change.Key) {
	d.keys = append(append(d.keys, k...), 0xff, byte(len(k)))
}

// text is "" of no keys.
func (d *digest) text() string {
	if len(d.keys) == 0 {
		return ""
	}
	h := fnv.New128a()
	h.Write(d.keys)
	return hex.EncodeToString(h.Sum(nil))
}
