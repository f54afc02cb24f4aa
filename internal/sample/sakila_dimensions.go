package sample

import (
	"context"
	"fmt"
)

// freshName is a name, odd one time in four.
func (w *worker) freshName() string {
	if w.dice.percent(25) {
		return pick(&w.dice, oddNames())
	}
	return fmt.Sprintf("%s %d", pick(&w.dice, firstNames()), w.dice.below(1000))
}

func renameCustomer(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, customers())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		column := pick(&w.dice, []string{"first_name", "last_name"})
		return t.must(ctx, "UPDATE customer SET "+column+" = ? WHERE customer_id = ?", w.freshName(), id)
	})
}

// renameCategory changes about a twentieth of the join's rows.
func renameCategory(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, categories())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		name := fmt.Sprintf("%s %d", pick(&w.dice, categoryNames()), w.dice.below(1000))
		return t.must(ctx, "UPDATE category SET name = LEFT(?, 25) WHERE category_id = ?", name, id)
	})
}

func renameFilm(ctx context.Context, w *worker) error {
	id, err := w.any(ctx, films())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, "UPDATE film SET title = ?, description = ? WHERE film_id = ?", w.freshName(), w.freshName(), id)
	})
}

// recategorise moves a film from one category to another: DELETE and INSERT in one
// transaction, so the number of its categories is the same at every commit.
func recategorise(ctx context.Context, w *worker) error {
	film, err := w.any(ctx, span{table: "film", key: "film_id", high: maxSmall + 1, last: 65_535}) // the ledger's as well
	if err != nil {
		return err
	}
	to, err := w.any(ctx, categories())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		var from int64
		err := scan(ctx, t, "SELECT category_id FROM film_category WHERE film_id = ? ORDER BY category_id LIMIT 1 FOR UPDATE", []any{film}, &from)
		if err != nil {
			return err
		}
		if from == to {
			return errNothing
		}
		if err := t.must(ctx, "DELETE FROM film_category WHERE film_id = ? AND category_id = ?", film, from); err != nil {
			return err
		}
		return t.must(ctx, "INSERT INTO film_category (film_id, category_id) VALUES (?, ?)", film, to)
	})
}

func addCategory(ctx context.Context, w *worker) error {
	film, err := w.any(ctx, films())
	if err != nil {
		return err
	}
	category, err := w.any(ctx, categories())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, "INSERT IGNORE INTO film_category (film_id, category_id) VALUES (?, ?)", film, category)
	})
}

func dropCategory(ctx context.Context, w *worker) error {
	film, err := w.any(ctx, films())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		return t.must(ctx, "DELETE FROM film_category WHERE film_id = ? ORDER BY category_id DESC LIMIT 1", film)
	})
}

// newCustomer inserts a customer and a rental in one transaction.
func newCustomer(ctx context.Context, w *worker) error {
	o, err := w.order(ctx)
	if err != nil {
		return err
	}
	if o.customer, err = w.fresh(ctx, customers()); err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		err := t.must(ctx, "INSERT INTO customer (customer_id, store_id, first_name, last_name, address_id, create_date) VALUES (?, 1, ?, ?, 5, ?)",
			o.customer, w.freshName(), w.freshName(), w.moment())
		if err != nil {
			return err
		}
		return t.must(ctx, insertRental, o.id, w.moment(), o.copyID, o.customer, 1)
	})
}

// newFilm inserts a film with a copy and a category. Its keys are drawn at random from
// the high part: the low part of a large sample is full.
func newFilm(ctx context.Context, w *worker) error {
	category, err := w.any(ctx, categories())
	if err != nil {
		return err
	}
	return w.transaction(ctx, func(t tx) error {
		film := w.elsewhere(films())
		if err := t.must(ctx, "INSERT INTO film (film_id, title, language_id) VALUES (?, ?, 1)", film, w.freshName()); err != nil {
			return err
		}
		if err := t.must(ctx, "INSERT INTO inventory (inventory_id, film_id, store_id) VALUES (?, ?, 1)", w.elsewhere(copies()), film); err != nil {
			return err
		}
		return t.must(ctx, "INSERT INTO film_category (film_id, category_id) VALUES (?, ?)", film, category)
	})
}
