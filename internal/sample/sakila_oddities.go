package sample

import "context"

// savepoint commits a transaction part of which was rolled back.
func savepoint(ctx context.Context, w *worker) error {
	rental, err := w.any(ctx, rentals())
	if err != nil {
		return err
	}
	payment, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	fresh, err := w.fresh(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		if err := t.must(ctx, "UPDATE rental SET return_date = ? WHERE rental_id = ?", w.moment(), rental); err != nil {
			return err
		}
		rows := w.rows
		if _, err := t.exec(ctx, "SAVEPOINT half"); err != nil {
			return err
		}
		if err := t.must(ctx, "DELETE FROM payment WHERE payment_id = ?", payment); err != nil {
			return err
		}
		if _, err := t.exec(ctx, payFor, fresh, "1.23", w.moment(), rental); err != nil {
			return err
		}
		if _, err := t.exec(ctx, "ROLLBACK TO SAVEPOINT half"); err != nil {
			return err
		}
		w.rows = rows
		return nil
	})
}

// rollback does much and takes it all back.
func rollback(ctx context.Context, w *worker) error {
	rental, err := w.any(ctx, rentals())
	if err != nil {
		return err
	}
	fresh, err := w.fresh(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		if _, err := t.exec(ctx, payFor, fresh, w.newAmount(), w.moment(), rental); err != nil {
			return err
		}
		if _, err := t.exec(ctx, "DELETE FROM rental WHERE rental_id = ?", rental); err != nil {
			return err
		}
		return errRolledBack
	})
}

// noOp updates a row to what it is: the server logs nothing, or a transaction of nothing.
func noOp(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		_, err := t.exec(ctx, "UPDATE payment SET amount = amount, rental_id = rental_id WHERE payment_id = ?", id)
		return err
	})
}

// unreadColumns changes columns that the shipped view does not read.
func unreadColumns(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, customers())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, "UPDATE customer SET active = 1 - active, email = ? WHERE customer_id = ?", w.moment(), id)
	})
}

// uncaptured writes to the table that a pipeline may leave out, and to nothing else.
func uncaptured(ctx context.Context, w *worker) error {
	return w.transaction(ctx, func(t tx) error {
		text := w.freshName()
		return t.must(ctx, "INSERT INTO "+UncapturedTable+" (film_id, title) VALUES (?, ?) ON DUPLICATE KEY UPDATE title = ?, description = ?",
			w.dice.between(1, 65_535), text, text, w.moment())
	})
}

// insertAndDelete leaves nothing behind but its events.
func insertAndDelete(ctx context.Context, w *worker) error {
	o, err := w.order(ctx)
	if err != nil {
		return err
	}
	payment, err := w.fresh(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		if err := t.must(ctx, insertRental, o.id, w.moment(), o.copyID, o.customer, 1); err != nil {
			return err
		}
		if err := t.must(ctx, insertPaid, payment, o.customer, 1, o.id, w.newAmount(), w.moment()); err != nil {
			return err
		}
		if err := t.must(ctx, "DELETE FROM payment WHERE rental_id = ?", o.id); err != nil {
			return err
		}
		return t.must(ctx, "DELETE FROM rental WHERE rental_id = ?", o.id)
	})
}

// deleteAndReinsert gives a key to another row within one transaction.
func deleteAndReinsert(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	rental, err := w.any(ctx, rentals())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		if err := t.must(ctx, "DELETE FROM payment WHERE payment_id = ?", id); err != nil {
			return err
		}
		return t.must(ctx, "INSERT INTO payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date) "+
			"SELECT ?, customer_id, staff_id, rental_id, ?, ? FROM rental WHERE rental_id = ?", id, w.newAmount(), w.moment(), rental)
	})
}

func replacePayment(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, "REPLACE INTO payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date) "+
			"SELECT payment_id, customer_id, staff_id, rental_id, ?, payment_date FROM payment WHERE payment_id = ?", w.newAmount(), id)
	})
}

func upsertPayment(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, payments())
	if err != nil {
		return err
	}
	rental, err := w.any(ctx, rentals())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		amount := w.newAmount()
		return t.must(ctx, "INSERT INTO payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date) "+
			"SELECT ?, customer_id, staff_id, rental_id, ?, ? FROM rental WHERE rental_id = ? ON DUPLICATE KEY UPDATE amount = ?",
			id+w.dice.between(0, 1), amount, w.moment(), rental, amount)
	})
}
