package sample

import "context"

const (
	insertRental = "INSERT INTO rental (rental_date, inventory_id, customer_id, staff_id) VALUES (?, ?, ?, ?)"
	insertPaid   = "INSERT INTO payment (customer_id, staff_id, rental_id, amount, payment_date) VALUES (?, ?, ?, ?, ?)"
	// payFor takes customer and staff from the rental.
	payFor = "INSERT INTO payment (customer_id, staff_id, rental_id, amount, payment_date) " +
		"SELECT customer_id, staff_id, rental_id, ?, ? FROM rental WHERE rental_id = ?"
)

// parties draws what a new rental refers to.
func (w *worker) parties(ctx context.Context) (copyID, customer int64, err error) {
	if copyID, err = w.any(ctx, copies()); err != nil {
		return 0, 0, err
	}
	customer, err = w.any(ctx, customers())
	return copyID, customer, err
}

func rent(ctx context.Context, w *worker) error {
	copyID, customer, err := w.parties(ctx)
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		at := w.moment()
		id, err := t.insert(ctx, insertRental, at, copyID, customer, 1)
		if err != nil {
			return err
		}
		return t.must(ctx, insertPaid, customer, 1, id, w.newAmount(), at)
	})
}

// rentMany is one transaction of several rentals with none to three payments each.
func rentMany(ctx context.Context, w *worker) error {
	copyID, customer, err := w.parties(ctx)
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		for range 3 + w.dice.below(8) {
			at := w.moment()
			id, err := t.insert(ctx, insertRental, at, copyID, customer, 2)
			if err != nil {
				return err
			}
			for range w.dice.below(4) {
				if err := t.must(ctx, insertPaid, customer, 2, id, w.newAmount(), at); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func rentUnpaid(ctx context.Context, w *worker) error {
	copyID, customer, err := w.parties(ctx)
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, insertRental, w.moment(), copyID, customer, 1)
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
	copyID, customer, err := w.parties(ctx)
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

func pay(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, rentals())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, payFor, w.newAmount(), w.moment(), id)
	})
}

// zeroPayment adds a row to the join and nothing to its total.
func zeroPayment(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, rentals())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, payFor, "0.00", w.moment(), id)
	})
}

func payOrphan(ctx context.Context, w *worker) error {
	customer, err := w.any(ctx, customers())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, insertPaid, customer, 1, nil, w.newAmount(), w.moment())
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
