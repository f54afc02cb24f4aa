package sample

import "context"

const (
	insertRental = "INSERT INTO rental (rental_id, rental_date, inventory_id, customer_id, staff_id) VALUES (?, ?, ?, ?, ?)"
	insertPaid   = "INSERT INTO payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date) VALUES (?, ?, ?, ?, ?, ?)"
	// payFor takes customer and staff from the rental.
	payFor = "INSERT INTO payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date) " +
		"SELECT ?, customer_id, staff_id, rental_id, ?, ? FROM rental WHERE rental_id = ?"
)

// order is what a new rental refers to, and its key.
type order struct{ id, copyID, customer int64 }

func (w *worker) order(ctx context.Context) (o order, err error) {
	if o.copyID, err = w.any(ctx, copies()); err != nil {
		return o, err
	}
	if o.customer, err = w.any(ctx, customers()); err != nil {
		return o, err
	}
	o.id, err = w.fresh(ctx, rentals())
	return o, err
}

func rent(ctx context.Context, w *worker) error {
	o, err := w.order(ctx)
	if err != nil {
		return err
	}
	payment, err := w.fresh(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		at := w.moment()
		if err := t.must(ctx, insertRental, o.id, at, o.copyID, o.customer, 1); err != nil {
			return err
		}
		return t.must(ctx, insertPaid, payment, o.customer, 1, o.id, w.newAmount(), at)
	})
}

// rentMany is one transaction of several rentals with none to three payments each.
func rentMany(ctx context.Context, w *worker) error {
	var orders []order
	var keys [][]int64 // of each order's payments
	for range 3 + w.dice.below(8) {
		o, err := w.order(ctx)
		if err != nil {
			return err
		}
		paid := make([]int64, w.dice.below(4))
		for i := range paid {
			if paid[i], err = w.fresh(ctx, payments()); err != nil {
				return err
			}
		}
		orders, keys = append(orders, o), append(keys, paid)
	}
	return w.transaction(ctx, func(t tx) error {
		for i, o := range orders {
			at := w.moment()
			if err := t.must(ctx, insertRental, o.id, at, o.copyID, o.customer, 2); err != nil {
				return err
			}
			for _, payment := range keys[i] {
				if err := t.must(ctx, insertPaid, payment, o.customer, 2, o.id, w.newAmount(), at); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func rentUnpaid(ctx context.Context, w *worker) error {
	o, err := w.order(ctx)
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, insertRental, o.id, w.moment(), o.copyID, o.customer, 1)
	})
}

func returnRental(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, rentals())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		if w.dice.percent(10) {
			return t.must(ctx, "UPDATE rental SET return_date = NULL WHERE rental_id = ?", id)
		}
		return t.must(ctx, "UPDATE rental SET return_date = ? WHERE rental_id = ?", w.moment(), id)
	})
}

// rebook gives a rental another customer, another copy or another date.
func rebook(ctx context.Context, w *worker) error {
	copyID, err := w.any(ctx, copies())
	if err != nil {
		return err
	}
	customer, err := w.any(ctx, customers())
	if err != nil {
		return err
	}
	id, err := w.any(ctx, rentals())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		switch w.dice.below(3) {
		case 0:
			return t.must(ctx, "UPDATE rental SET customer_id = ? WHERE rental_id = ?", customer, id)
		case 1:
			return t.must(ctx, "UPDATE rental SET inventory_id = ? WHERE rental_id = ?", copyID, id)
		default:
			return t.must(ctx, "UPDATE rental SET rental_date = ? WHERE rental_id = ?", w.moment(), id)
		}
	})
}

// deleteRental leaves the rental's payments to ON DELETE SET NULL, which no log shows.
func deleteRental(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, rentals())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, "DELETE FROM rental WHERE rental_id = ?", id)
	})
}

func deleteRentalAndPayments(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, rentals())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		if _, err := t.exec(ctx, "DELETE FROM payment WHERE rental_id = ? AND payment_id > ?", id, LedgerSize); err != nil {
			return err
		}
		return t.must(ctx, "DELETE FROM rental WHERE rental_id = ?", id)
	})
}

func pay(ctx context.Context, w *worker) error { return w.pay(ctx, w.newAmount()) }

// zeroPayment adds a row to the join and nothing to its total.
func zeroPayment(ctx context.Context, w *worker) error { return w.pay(ctx, "0.00") }

func (w *worker) pay(ctx context.Context, amount string) error {
	rental, err := w.any(ctx, rentals())
	if err != nil {
		return err
	}
	id, err := w.fresh(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, payFor, id, amount, w.moment(), rental)
	})
}

func payOrphan(ctx context.Context, w *worker) error {
	customer, err := w.any(ctx, customers())
	if err != nil {
		return err
	}
	id, err := w.fresh(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, insertPaid, id, customer, 1, nil, w.newAmount(), w.moment())
	})
}

func changeAmount(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, "UPDATE payment SET amount = ? WHERE payment_id = ?", w.newAmount(), id)
	})
}

func changeMany(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, "UPDATE payment SET amount = LEAST(amount + 0.01, 999.99) WHERE payment_id BETWEEN ? AND ?", id, id+100)
	})
}

func deletePayment(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, "DELETE FROM payment WHERE payment_id = ?", id)
	})
}

func deleteMany(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, "DELETE FROM payment WHERE payment_id BETWEEN ? AND ?", id, id+10)
	})
}
