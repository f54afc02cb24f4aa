package sample

import (
	"context"
	"fmt"
)

// moveKey changes a primary key whose children follow by ON UPDATE CASCADE, which no
// log shows before MySQL 9.6.
func moveKey(s span) func(context.Context, *worker) error {
	return func(ctx context.Context, w *worker) error {
		id, err := w.any(ctx, s)
		if err != nil {
			return err
		}
		return w.transaction(ctx, func(t tx) error {
			return t.must(ctx, fmt.Sprintf("UPDATE %s SET %s = ? WHERE %s = ?", s.table, s.key, s.key), w.elsewhere(s), id)
		})
	}
}

// movePayment changes a primary key that nobody refers to, now and then together with
// another column of the row.
func movePayment(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		set := "payment_id = ?"
		if w.dice.percent(30) {
			set += ", payment_date = payment_date + INTERVAL 1 DAY"
		}
		return t.must(ctx, "UPDATE payment SET "+set+" WHERE payment_id = ?", w.elsewhere(payments()), id)
	})
}

// swapPayments exchanges the keys of two payments within one transaction.
func swapPayments(ctx context.Context, w *worker) error {
	a, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	b, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	if a == b {
		return errNothing
	}
	return w.transaction(ctx, func(t tx) error {
		free := w.elsewhere(payments())
		for _, move := range [][2]int64{{free, a}, {a, b}, {b, free}} {
			if err := t.must(ctx, "UPDATE payment SET payment_id = ? WHERE payment_id = ?", move[0], move[1]); err != nil {
				return err
			}
		}
		return nil
	})
}
