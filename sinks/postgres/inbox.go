package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// inbox is the temporary table of a target, as filled by one batch.
type inbox struct {
	tg   *target
	made bool // by this transaction
	rows int  // sent; less may be left after settle
	runs int
	// last is the highest key sent; overlap says that a later run may have repeated a key of an earlier one.
	last    change.Key
	overlap bool
	// nulls holds, per operation, the patterns of NULL key columns that occur.
	nulls [3]map[int]bool
}

// patterns returns the NULL patterns that occur under an operation, in order.
func (in *inbox) patterns(op int) []int { return slices.Sorted(maps.Keys(in.nulls[op])) }

func newInbox(tg *target) *inbox {
	in := &inbox{tg: tg}
	for i := range in.nulls {
		in.nulls[i] = map[int]bool{}
	}
	return in
}

func (a *apply) inbox(ctx context.Context, tg *target) (*inbox, error) {
	in := a.inboxes[tg]
	if in == nil {
		in = newInbox(tg)
		a.inboxes[tg] = in
	}
	if tg.inboxMade {
		return in, nil
	}
	if _, err := a.s.exec(ctx, "create inbox", tg.createInbox()); err != nil {
		return nil, err
	}
	tg.inboxMade, in.made = true, true
	return in, nil
}

// send copies net changes to the target's inbox. Rows that cannot be written down at all are poison.
func (a *apply) send(ctx context.Context, tg *target, nets []sinks.Net) error {
	in, err := a.inbox(ctx, tg)
	if err != nil {
		return err
	}
	c := &copier{a: a, in: in, nets: nets, out: append([]byte(nil), copyHeader...)}
	if err := a.copy(ctx, tg, c); err != nil {
		if c.err != nil {
			return c.err
		}
		return err
	}
	in.overlap = in.overlap || in.runs > 0 && nets[0].Key <= in.last
	in.last = max(in.last, nets[len(nets)-1].Key)
	in.runs++
	return a.s.after("copy")
}

// copy fills the target's inbox with rows as a binary COPY has them.
func (a *apply) copy(ctx context.Context, tg *target, rows io.Reader) error {
	if err := a.s.before("copy"); err != nil {
		return err
	}
	if a.s.cfg.Observer.Statement != nil {
		a.s.cfg.Observer.Statement()
	}
	if _, err := a.s.conn.PgConn().CopyFrom(ctx, rows, fmt.Sprintf("COPY %s FROM STDIN BINARY", tg.inbox)); err != nil {
		return fmt.Errorf("copy rows of %s: %w", tg.From, err)
	}
	return nil
}

// copier writes net changes as a binary COPY, a little at a time.
type copier struct {
	a    *apply
	in   *inbox
	nets []sinks.Net
	next int
	out  []byte // encoded and not read yet
	pos  int
	done bool
	err  error
}

const copyBuffer = 64 << 10

// Read implements io.Reader.
func (c *copier) Read(p []byte) (int, error) {
	if c.pos == len(c.out) {
		if c.done {
			return 0, io.EOF
		}
		if err := c.refill(); err != nil {
			c.err = err
			return 0, err
		}
	}
	n := copy(p, c.out[c.pos:])
	c.pos += n
	return n, nil
}

func (c *copier) refill() error {
	c.out, c.pos = c.out[:0], 0
	for c.next < len(c.nets) && len(c.out) < copyBuffer {
		n := &c.nets[c.next]
		c.next++
		if err := c.append(n); err != nil {
			return err
		}
	}
	if c.next == len(c.nets) {
		c.out, c.done = append(c.out, copyTrailer...), true
	}
	return nil
}

// append writes one net change: the whole row, or only its key when it is deleted or poison.
func (c *copier) append(n *sinks.Net) error {
	tg := c.in.tg
	cols, err := tg.mapping(n.Table)
	if err != nil {
		return err
	}
	start := len(c.out)
	op := opUpsert
	if n.Delete {
		op = opDelete
	} else if n.Refused != "" {
		if op, err = c.a.refuse(tg, keyText(tg, n, cols), n.Seq, n.Refused); err != nil {
			return err
		}
	} else if err := c.row(n, cols, func(int) bool { return true }); err != nil {
		c.out = c.out[:start]
		if !errors.Is(err, errRefused) {
			return err
		}
		if op, err = c.a.refuse(tg, keyText(tg, n, cols), n.Seq, err.Error()); err != nil {
			return err
		}
	}
	if later := op == opUpsert || n.Delete; later && len(c.a.refusedKeys) > 0 {
		c.a.heal(tg, keyText(tg, n, cols))
	}
	if op != opUpsert {
		if err := c.row(n, cols, tg.table.IsKey); err != nil {
			// A key that cannot be written down is not there either: nothing to delete or to keep.
			if c.out = c.out[:start]; n.Delete {
				c.a.strike(tg, keyText(tg, n, cols))
			}
			return nil
		}
	}
	nulls := tg.pattern(n, cols)
	c.in.nulls[op][nulls] = true
	c.out = append(c.out, 0, 0, 0, 2, byte(op>>8), byte(op))
	c.out = appendInt32(append(c.out, 0, 0, 0, 4), int32(nulls))
	c.out = appendInt64(c.out, int64(c.in.rows))
	c.out = appendInt64(c.out, int64(n.Seq))
	if !tg.quarantined && op != opKeep {
		c.out = appendInt32(c.out, -1)
	} else {
		key := keyText(tg, n, cols)
		c.out = append(appendInt32(c.out, int32(len(key))), key...)
	}
	c.in.rows++
	return nil
}

// row appends the field count and the fields of the target's columns; those not wanted are NULL. The
// caller appends the rest.
func (c *copier) row(n *sinks.Net, cols []int, want func(int) bool) error {
	const extra = 5 // op, nulls, ord, seq, key
	fields := len(c.in.tg.columns) + extra
	c.out = append(c.out, byte(fields>>8), byte(fields))
	for i := range c.in.tg.columns {
		col := &c.in.tg.columns[i]
		v := change.NullValue()
		if want(i) && cols[i] >= 0 {
			v = n.Row[cols[i]]
		}
		var err error
		if c.out, err = col.append(c.out, v); err != nil {
			return fmt.Errorf("column %s: %w", col.name, err)
		}
	}
	return nil
}

func appendInt64(b []byte, n int64) []byte {
	b = append(b, 0, 0, 0, 8)
	return append(b, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// keyText is the key as cdc_quarantine prints it.
func keyText(tg *target, n *sinks.Net, cols []int) string {
	key := make(change.Row, len(tg.key))
	for i, k := range tg.key {
		key[i] = n.Row[cols[k]]
	}
	return sinks.FormatKey(key)
}
