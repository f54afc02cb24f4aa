package sqlserver

import (
	"context"
	"errors"
	"fmt"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// inbox is the temporary table of a target, as filled by one batch.
type inbox struct {
	tg   *target
	made bool // by this transaction
	rows int  // sent; less may be left after settle
	// removals says that rows with opDelete may be among them.
	removals bool
	runs     int
	// last is the highest key sent; overlap says that a later run may have repeated a key of an earlier one.
	last    change.Key
	overlap bool
}

// inbox returns the target's inbox, empty when a batch first asks for it.
func (a *apply) inbox(ctx context.Context, tg *target) (*inbox, error) {
	if in := a.inboxes[tg]; in != nil {
		return in, nil
	}
	in := &inbox{tg: tg}
	a.inboxes[tg] = in
	if tg.inboxMade {
		_, err := a.s.exec(ctx, "empty inbox", truncateSQL.with("table", tg.inbox))
		return in, err
	}
	if _, err := a.s.exec(ctx, "create inbox", tg.createInbox()); err != nil {
		return nil, err
	}
	tg.inboxMade, in.made = true, true
	return in, nil
}

// loader writes rows for a bulk load into an inbox. The row that add gets is used again.
type loader struct {
	a    *apply
	in   *inbox
	cols []string
	row  []any
	add  func([]any) error
}

func newLoader(a *apply, in *inbox) *loader {
	l := &loader{a: a, in: in}
	for _, c := range in.tg.columns {
		l.cols = append(l.cols, c.dest)
	}
	l.cols = append(l.cols, colOp, colOrd, colSeq, colKey)
	l.row = make([]any, len(l.cols))
	return l
}

// load runs f, which calls put for every row.
func (l *loader) load(ctx context.Context, f func() error) error {
	if err := l.a.s.before("bulk load"); err != nil {
		return err
	}
	err := l.a.s.session.bulk(ctx, l.in.tg.inbox, l.cols, func(add func([]any) error) error {
		l.add = add
		return f()
	})
	if err != nil {
		if numbers(err) == nil {
			l.a.s.drop() // in the middle of a packet
		}
		return fmt.Errorf("load rows of %s: %w", l.in.tg.From, err)
	}
	return l.a.s.after("bulk load")
}

// put sends a row whose values are in l.row.
func (l *loader) put(op int, seq change.Seq, key any) error {
	n := len(l.in.tg.columns)
	l.row[n], l.row[n+1], l.row[n+2], l.row[n+3] = int64(op), int64(l.in.rows), int64(seq), key
	if err := l.add(l.row); err != nil {
		return err
	}
	l.in.rows++
	l.in.removals = l.in.removals || op == opDelete
	return nil
}

// send loads net changes into the target's inbox. Rows that cannot be written down at all are poison.
func (a *apply) send(ctx context.Context, tg *target, nets []sinks.Net) error {
	in, err := a.inbox(ctx, tg)
	if err != nil {
		return err
	}
	l := newLoader(a, in)
	err = l.load(ctx, func() error {
		for i := range nets {
			if err := l.net(&nets[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	in.overlap = in.overlap || in.runs > 0 && nets[0].Key <= in.last
	in.last = max(in.last, nets[len(nets)-1].Key)
	in.runs++
	return nil
}

// net sends one net change: the whole row, or only its key when it is deleted or poison.
func (l *loader) net(n *sinks.Net) error {
	tg := l.in.tg
	cols, err := tg.mapping(n.Table)
	if err != nil {
		return err
	}
	op := opUpsert
	if n.Delete {
		op = opDelete
	} else if n.Refused != "" {
		if op, err = l.a.refuse(tg, keyText(tg, n, cols), n.Seq, n.Refused); err != nil {
			return err
		}
	} else if err := l.values(n, cols, false); err != nil {
		if !errors.Is(err, errRefused) {
			return err
		}
		if op, err = l.a.refuse(tg, keyText(tg, n, cols), n.Seq, err.Error()); err != nil {
			return err
		}
	}
	if later := op == opUpsert || n.Delete; later && len(l.a.refusedKeys) > 0 {
		l.a.heal(tg, keyText(tg, n, cols))
	}
	if op != opUpsert {
		if err := l.values(n, cols, true); err != nil {
			// A key that cannot be written down is not there either: nothing to delete or to keep.
			if n.Delete {
				l.a.strike(tg, keyText(tg, n, cols))
			}
			return nil
		}
	}
	var key any
	if tg.quarantined && op != opKeep {
		key = keyText(tg, n, cols)
	}
	return l.put(op, n.Seq, key)
}

// values puts a row's values into l.row; those outside the key are NULL with keyOnly.
func (l *loader) values(n *sinks.Net, cols []int, keyOnly bool) error {
	for i := range l.in.tg.columns {
		c := &l.in.tg.columns[i]
		l.row[i] = nil
		if cols[i] < 0 || keyOnly && !l.in.tg.table.IsKey(i) {
			continue
		}
		v, err := c.encode(n.Row[cols[i]])
		if err != nil {
			return fmt.Errorf("column %s: %w", c.name, err)
		}
		l.row[i] = v
	}
	return nil
}

// keyText is the key as cdc_quarantine prints it.
func keyText(tg *target, n *sinks.Net, cols []int) string {
	key := make(change.Row, len(tg.key))
	for i, k := range tg.key {
		key[i] = n.Row[cols[k]]
	}
	return sinks.FormatKey(key)
}
