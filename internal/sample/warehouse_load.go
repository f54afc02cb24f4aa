package sample

import (
	"context"
	"fmt"
)

// extent is how large the warehouse is that a load works on.
type extent struct{ parts, slots int }

// extent asks the server once per worker.
func (w *worker) extent(ctx context.Context) (extent, error) {
	if w.stock == (extent{}) {
		var e extent
		query := "SELECT (SELECT COUNT(*) FROM part), (SELECT COALESCE(MAX(slot), 0) FROM bin)"
		if err := scan(ctx, w.sess.conn, query, nil, &e.parts, &e.slots); err != nil {
			return e, err
		}
		w.stock = extent{max(e.parts, 10), max(e.slots, minSlots)}
	}
	return w.stock, nil
}

// sized makes a kind's function of one that needs to know the extent.
func sized(f func(ctx context.Context, w *worker, e extent) error) func(context.Context, *worker) error {
	return func(ctx context.Context, w *worker) error {
		e, err := w.extent(ctx)
		if err != nil {
			return err
		}
		return f(ctx, w, e)
	}
}

// part draws a part's key as the seed does: sometimes one that is not there.
func (e extent) part(w *worker, nullPercent int) any {
	return stock{parts: e.parts}.somePart(&w.dice, nullPercent)
}

// binKey is the key of a bin or, without the slot, of a site.
type binKey struct {
	region     string
	code, slot int
}

// bin draws a bin's key outside of the ledger.
func (e extent) bin(w *worker) binKey {
	k := binKey{pick(&w.dice, regions()), 1 + w.dice.below(siteCodes+1), 1 + w.dice.below(e.slots)}
	if k.region == "AA" && k.code == 1 && k.slot <= WarehouseLedger {
		k.slot = -k.slot
	}
	return k
}

// site draws a site's key, never the ledger's.
func (e extent) site(w *worker) binKey {
	k := e.bin(w)
	if k.region == "AA" && k.code == 1 {
		k.code = 2
	}
	return k
}

const (
	whereBin = " WHERE region = ? AND code = ? AND slot = ?"
	putBin   = "REPLACE INTO bin (region, code, slot, part_no, quantity, counted_at) VALUES (?, ?, ?, ?, ?, ?)"
)

func moveQuantity(ctx context.Context, w *worker) error {
	from, to := w.dice.between(1, WarehouseLedger), w.dice.between(1, WarehouseLedger)
	if from == to {
		return errNothing
	}
	return w.transaction(ctx, func(t tx) error {
		var has int64
		for _, slot := range []int64{min(from, to), max(from, to)} {
			var quantity int64
			err := scan(ctx, t, "SELECT quantity FROM bin"+whereBin+" FOR UPDATE", []any{"AA", 1, slot}, &quantity)
			if err != nil {
				return err
			}
			if slot == from {
				has = quantity
			}
		}
		by := w.dice.between(1, has) // now and then all of it: the row leaves the view
		if has == 0 {
			return errNothing
		}
		if err := t.must(ctx, "UPDATE bin SET quantity = quantity - ?"+whereBin, by, "AA", 1, from); err != nil {
			return err
		}
		return t.must(ctx, "UPDATE bin SET quantity = quantity + ?"+whereBin, by, "AA", 1, to)
	})
}

// mustOne is a transaction of one statement.
func (w *worker) mustOne(ctx context.Context, query string, args ...any) error {
	return w.transaction(ctx, func(t tx) error { return t.must(ctx, query, args...) })
}

func renameSite(ctx context.Context, w *worker, e extent) error {
	k := e.bin(w)
	return w.mustOne(ctx, "UPDATE site SET label = ? WHERE region = ? AND code = ?", someLabel(&w.dice), k.region, k.code)
}

func renamePart(ctx context.Context, w *worker, e extent) error {
	return w.mustOne(ctx, "UPDATE part SET label = ? WHERE part_no = ?", someLabel(&w.dice), e.part(w, 0))
}

func put(ctx context.Context, w *worker, e extent) error {
	k := e.bin(w)
	return w.mustOne(ctx, putBin, k.region, k.code, k.slot, e.part(w, 10), someQuantity(&w.dice), someTime(&w.dice))
}

func putMany(ctx context.Context, w *worker, e extent) error {
	return w.transaction(ctx, func(t tx) error {
		k := e.site(w)
		start := w.dice.below(e.slots)
		for slot := start; slot < start+20; slot++ {
			if err := t.must(ctx, putBin, k.region, k.code, slot, e.part(w, 10), someQuantity(&w.dice), someTime(&w.dice)); err != nil {
				return err
			}
		}
		return nil
	})
}

func takeAway(ctx context.Context, w *worker, e extent) error {
	k := e.bin(w)
	return w.mustOne(ctx, "DELETE FROM bin"+whereBin, k.region, k.code, k.slot)
}

func recount(ctx context.Context, w *worker, e extent) error {
	k := e.bin(w)
	return w.mustOne(ctx, "UPDATE bin SET quantity = ?, counted_at = ?"+whereBin, someQuantity(&w.dice), someTime(&w.dice), k.region, k.code, k.slot)
}

func restock(ctx context.Context, w *worker, e extent) error {
	k := e.bin(w)
	return w.mustOne(ctx, "UPDATE bin SET part_no = ?"+whereBin, e.part(w, 25), k.region, k.code, k.slot)
}

func moveBin(ctx context.Context, w *worker, e extent) error {
	k, to := e.bin(w), e.bin(w)
	return w.mustOne(ctx, "UPDATE bin SET region = ?, code = ?, slot = ?"+whereBin, to.region, to.code, -w.dice.between(100, 100_000), k.region, k.code, k.slot)
}

// closeSite makes all rows of a site's bins leave the view.
func closeSite(ctx context.Context, w *worker, e extent) error {
	k := e.site(w)
	return w.mustOne(ctx, "DELETE FROM site WHERE region = ? AND code = ?", k.region, k.code)
}

func openSite(ctx context.Context, w *worker, e extent) error {
	k := e.site(w)
	return w.mustOne(ctx, "INSERT IGNORE INTO site (region, code, label, opened) VALUES (?, ?, ?, ?)", k.region, k.code, someLabel(&w.dice), someDay(&w.dice))
}

func reparent(ctx context.Context, w *worker, e extent) error {
	part := e.part(w, 0)
	parent := e.part(w, 20)
	if w.dice.percent(10) {
		parent = part
	}
	return w.mustOne(ctx, "UPDATE part SET parent_no = ? WHERE part_no = ?", parent, part)
}

func deletePart(ctx context.Context, w *worker, e extent) error {
	return w.mustOne(ctx, "DELETE FROM part WHERE part_no = ?", e.part(w, 0))
}

func newPart(ctx context.Context, w *worker, e extent) error {
	return w.mustOne(ctx, "INSERT IGNORE INTO part (part_no, label, parent_no) VALUES (?, ?, ?)", e.part(w, 0), someLabel(&w.dice), e.part(w, 30))
}

// movePart changes a part's key; its bins, parts and offers stay behind.
func movePart(ctx context.Context, w *worker, e extent) error {
	return w.mustOne(ctx, "UPDATE part SET part_no = ? WHERE part_no = ?", e.part(w, 0), e.part(w, 0))
}

func makeOffer(ctx context.Context, w *worker, e extent) error {
	return w.mustOne(ctx, "REPLACE INTO offer (part_no, supplier, since, price) VALUES ("+questionMarks(4)+")",
		e.part(w, 0), pick(&w.dice, suppliers()), someDay(&w.dice), somePrice(&w.dice))
}

func withdrawOffers(ctx context.Context, w *worker, e extent) error {
	return w.mustOne(ctx, "DELETE FROM offer WHERE part_no = ?", e.part(w, 0))
}

func changePrices(ctx context.Context, w *worker, e extent) error {
	return w.mustOne(ctx, "UPDATE offer SET price = price + 0.000001 WHERE part_no = ?", e.part(w, 0))
}

func moveOffer(ctx context.Context, w *worker, e extent) error {
	return w.mustOne(ctx, "UPDATE offer SET part_no = ? WHERE part_no = ?", e.part(w, 0), e.part(w, 0))
}

func rollbackStock(ctx context.Context, w *worker, e extent) error {
	return w.transaction(ctx, func(t tx) error {
		k := e.bin(w)
		if err := t.must(ctx, putBin, k.region, k.code, k.slot, e.part(w, 10), "1", nil); err != nil {
			return err
		}
		if _, err := t.exec(ctx, "DELETE FROM part WHERE part_no = ?", e.part(w, 0)); err != nil {
			return fmt.Errorf("on the way to a rollback: %w", err)
		}
		return errRolledBack
	})
}

// savepointStock commits a transaction part of which was rolled back.
func savepointStock(ctx context.Context, w *worker, e extent) error {
	return w.transaction(ctx, func(t tx) error {
		k, gone := e.bin(w), e.bin(w)
		if err := t.must(ctx, putBin, k.region, k.code, k.slot, e.part(w, 10), someQuantity(&w.dice), nil); err != nil {
			return err
		}
		rows := w.rows
		if _, err := t.exec(ctx, "SAVEPOINT half"); err != nil {
			return err
		}
		if _, err := t.exec(ctx, "DELETE FROM bin"+whereBin, gone.region, gone.code, gone.slot); err != nil {
			return err
		}
		if _, err := t.exec(ctx, "ROLLBACK TO SAVEPOINT half"); err != nil {
			return err
		}
		w.rows = rows
		return nil
	})
}
