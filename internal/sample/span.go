package sample

import (
	"context"
	"errors"
	"fmt"
)

// span is a key space of integers. Rows are born in its low part; loads move keys into
// its high part and, where keys are signed, below zero.
type span struct {
	table, key string
	reserved   int64 // keys up to this one (of the low part) are left alone
	high, last int64 // the high part
	negative   bool
}

// bounds are the keys that a span was last seen to have. A part without rows has a
// greatest key of 0 (below zero: a least one).
type bounds struct {
	least, lowMax, highMax int64
	uses                   int
}

// boundsLife is how many draws a worker makes from bounds before it looks again.
const boundsLife = 200

// any draws an existing row's key outside of a transaction, so that the read view of
// the transaction that follows is no older than its locks.
func (w *worker) any(ctx context.Context, s span) (int64, error) {
	b, err := w.bounds(ctx, s)
	if err != nil {
		return 0, err
	}
	lo, hi := s.draw(&w.dice, b)
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s BETWEEN ? AND ? ORDER BY %s ", s.key, s.table, s.key, s.key)
	start := w.dice.between(lo, hi)
	var key int64
	err = scan(ctx, w.sess.conn, query+"LIMIT 1", []any{start, hi}, &key)
	if errors.Is(err, errNothing) { // the part's last row was below
		err = scan(ctx, w.sess.conn, query+"DESC LIMIT 1", []any{lo, start}, &key)
	}
	if errors.Is(err, errNothing) {
		b.uses = boundsLife // the part is empty by now: look again next time
	}
	return key, err
}

// draw chooses a part of the key space that has rows: mostly the low one.
func (s span) draw(d *dice, b *bounds) (lo, hi int64) {
	low, high, negative := b.lowMax > s.reserved, b.highMax >= s.high, b.least < 0
	switch n := d.below(10); {
	case negative && (n == 0 || !low && !high):
		return b.least, -1
	case high && (n <= 2 || !low):
		return s.high, b.highMax
	default:
		return s.reserved + 1, b.lowMax
	}
}

func (w *worker) bounds(ctx context.Context, s span) (*bounds, error) {
	b := w.spans[s.table]
	if b == nil {
		b = &bounds{uses: boundsLife}
		w.spans[s.table] = b
	}
	b.uses++
	if b.uses <= boundsLife {
		return b, nil
	}
	query := fmt.Sprintf(`SELECT (SELECT COALESCE(MIN(%[1]s), 0) FROM %[2]s),
		(SELECT COALESCE(MAX(%[1]s), 0) FROM %[2]s WHERE %[1]s < ?), (SELECT COALESCE(MAX(%[1]s), 0) FROM %[2]s WHERE %[1]s <= ?)`, s.key, s.table)
	if err := scan(ctx, w.sess.conn, query, []any{s.high, s.last}, &b.least, &b.lowMax, &b.highMax); err != nil {
		return nil, err
	}
	b.uses = 0
	return b, nil
}

// fresh gives a key above all of the low part, to nobody else of this load. The keys of
// new rows are given rather than left to AUTO_INCREMENT, which on most servers follows
// keys that are moved into the high part: soon no new row would be born in the low one.
func (w *worker) fresh(ctx context.Context, s span) (int64, error) {
	l := w.load
	l.freshMu.Lock()
	defer l.freshMu.Unlock()
	if l.fresh[s.table] == 0 {
		var last int64
		query := fmt.Sprintf("SELECT COALESCE(MAX(%s), 0) FROM %s WHERE %s < ?", s.key, s.table, s.key)
		if err := scan(ctx, w.sess.conn, query, []any{s.high}, &last); err != nil {
			return 0, err
		}
		l.fresh[s.table] = max(last, s.reserved)
	}
	l.fresh[s.table]++
	return l.fresh[s.table], nil
}

// elsewhere draws a key to move a row to; it may be taken.
func (w *worker) elsewhere(s span) int64 {
	if s.negative && w.dice.percent(40) {
		return -w.dice.between(1, 1_000_000)
	}
	return w.dice.between(s.high, min(s.last, s.high+100_000_000))
}
