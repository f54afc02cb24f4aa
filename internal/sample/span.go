package sample

import (
	"context"
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

// bounds are the keys that a span was last seen to have.
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
	lo, hi := s.reserved+1, b.lowMax
	switch w.dice.below(10) {
	case 0:
		if b.highMax >= s.high {
			lo, hi = s.high, b.highMax
		}
	case 1:
		if b.least < 0 {
			lo, hi = b.least, -1
		}
	}
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s BETWEEN ? AND ? ORDER BY %s LIMIT 1", s.key, s.table, s.key, s.key)
	var key int64
	err = scan(ctx, w.sess.conn, query, []any{w.dice.between(lo, hi), hi}, &key)
	return key, err
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

// elsewhere draws a key to move a row to; it may be taken.
func (w *worker) elsewhere(s span) int64 {
	if s.negative && w.dice.percent(40) {
		return -w.dice.between(1, 1_000_000)
	}
	return w.dice.between(s.high, min(s.last, s.high+100_000_000))
}
