package sample

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// maxAmount is the largest payment.amount, in cents.
const maxAmount = 99_999

// lockedPayment is a payment that the transaction holds locked.
type lockedPayment struct {
	id, cents int64
	rental    sql.NullInt64
}

// lock locks payments in the order given; errNothing if one is gone.
func (t tx) lock(ctx context.Context, ids ...int64) ([]lockedPayment, error) {
	out := make([]lockedPayment, 0, len(ids))
	for _, id := range ids {
		var amount string
		p := lockedPayment{id: id}
		err := scan(ctx, t, "SELECT amount, rental_id FROM payment WHERE payment_id = ? FOR UPDATE", []any{id}, &amount, &p.rental)
		if err != nil {
			return nil, err
		}
		if p.cents, err = cents(amount); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// appearances is how often a payment of that rental is in the join. The locks must have
// been taken before: the read view then holds whatever the lock waited for.
func (t tx) appearances(ctx context.Context, rental sql.NullInt64) (int, error) {
	if !rental.Valid {
		return 0, nil
	}
	var n int
	err := scan(ctx, t, `SELECT COUNT(*) FROM rental r JOIN inventory i ON i.inventory_id = r.inventory_id
		JOIN film_category fc ON fc.film_id = i.film_id WHERE r.rental_id = ?`, []any{rental.Int64}, &n)
	return n, err
}

// transfer moves an amount from one payment of the ledger to another.
func transfer(ctx context.Context, w *worker) error {
	a := w.dice.between(1, LedgerSize)
	b := w.dice.between(1, LedgerSize)
	return w.moveAmount(ctx, a, b, false)
}

// transferAnywhere does so between any two payments that are equally often in the join.
func transferAnywhere(ctx context.Context, w *worker) error {
	a, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	b, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	return w.moveAmount(ctx, a, b, true)
}

func (w *worker) moveAmount(ctx context.Context, from, to int64, compare bool) error {
	if from == to {
		return errNothing
	}
	return w.transaction(ctx, func(t tx) error {
		locked, err := t.lock(ctx, min(from, to), max(from, to))
		if err != nil {
			return err
		}
		if from > to {
			locked[0], locked[1] = locked[1], locked[0]
		}
		giver, taker := locked[0], locked[1]
		if compare {
			n, err := t.appearances(ctx, giver.rental)
			if err != nil {
				return err
			}
			m, err := t.appearances(ctx, taker.rental)
			if err != nil {
				return err
			}
			if n != m {
				return errNothing
			}
		}
		most := min(giver.cents, maxAmount-taker.cents)
		if most <= 0 {
			return errNothing
		}
		by := money(w.dice.between(1, most))
		if err := t.must(ctx, "UPDATE payment SET amount = amount - ? WHERE payment_id = ?", by, giver.id); err != nil {
			return err
		}
		return t.must(ctx, "UPDATE payment SET amount = amount + ? WHERE payment_id = ?", by, taker.id)
	})
}

// splitPayment takes part of a payment into a new one of the same rental.
func splitPayment(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	other, err := w.fresh(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		locked, err := t.lock(ctx, id)
		if err != nil {
			return err
		}
		part := w.dice.between(0, locked[0].cents)
		if part == 0 {
			return errNothing
		}
		if err := t.must(ctx, "UPDATE payment SET amount = amount - ? WHERE payment_id = ?", money(part), id); err != nil {
			return err
		}
		return t.must(ctx, "INSERT INTO payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date) "+
			"SELECT ?, customer_id, staff_id, rental_id, ?, payment_date FROM payment WHERE payment_id = ?", other, money(part), id)
	})
}

// detach makes a payment leave the join (X to NULL).
func detach(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, "UPDATE payment SET rental_id = NULL WHERE payment_id = ?", id)
	})
}

// attach makes a payment enter the join (NULL to Y).
func attach(ctx context.Context, w *worker) error {
	rental, err := w.any(ctx, rentals())
	if err != nil {
		return err
	}
	var id int64
	err = scan(ctx, w.sess.conn, "SELECT payment_id FROM payment WHERE rental_id IS NULL AND payment_id BETWEEN ? AND ? ORDER BY payment_id LIMIT 1",
		[]any{w.dice.between(LedgerSize+1, payments().high), payments().last}, &id)
	if errors.Is(err, errNothing) {
		err = scan(ctx, w.sess.conn, "SELECT MIN(payment_id) FROM payment WHERE rental_id IS NULL AND payment_id BETWEEN ? AND ? HAVING MIN(payment_id) IS NOT NULL",
			[]any{LedgerSize + 1, payments().last}, &id)
	}
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, "UPDATE payment SET rental_id = ? WHERE payment_id = ? AND rental_id IS NULL", rental, id)
	})
}

// flip moves a payment from one rental to another (X to Y).
func flip(ctx context.Context, w *worker) error { return w.flip(ctx, false, false) }

// flipThroughNull does so in two statements of one transaction (X to NULL to Y).
func flipThroughNull(ctx context.Context, w *worker) error { return w.flip(ctx, true, false) }

// flipEqual does so only where it does not change how often the payment is in the join.
func flipEqual(ctx context.Context, w *worker) error { return w.flip(ctx, w.dice.percent(50), true) }

func (w *worker) flip(ctx context.Context, throughNull, compare bool) error {
	id, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	rental, err := w.any(ctx, rentals())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		locked, err := t.lock(ctx, id)
		if err != nil {
			return err
		}
		if compare {
			before, err := t.appearances(ctx, locked[0].rental)
			if err != nil {
				return err
			}
			after, err := t.appearances(ctx, sql.NullInt64{Int64: rental, Valid: true})
			if err != nil {
				return err
			}
			if before != after {
				return errNothing
			}
		}
		if throughNull {
			if _, err := t.exec(ctx, "UPDATE payment SET rental_id = NULL WHERE payment_id = ?", id); err != nil {
				return fmt.Errorf("on the way to rental %d: %w", rental, err)
			}
		}
		_, err = t.exec(ctx, "UPDATE payment SET rental_id = ? WHERE payment_id = ?", rental, id)
		return err
	})
}
