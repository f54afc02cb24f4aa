package sample

import (
	"fmt"
	"time"
)

// The key spaces of the Sakila sample.
func payments() span {
	return span{table: "payment", key: "payment_id", reserved: LedgerSize, high: 1_000_000_000, last: 4_000_000_000}
}

func rentals() span {
	return span{table: "rental", key: "rental_id", reserved: LedgerSize, high: 1_000_000_000, last: 2_000_000_000, negative: true}
}

func customers() span {
	return span{table: "customer", key: "customer_id", high: 1_000_000_000, last: 2_000_000_000}
}

func films() span {
	return span{table: "film", key: "film_id", reserved: ledgerFilms, high: maxSmall + 1, last: 65_535}
}

func copies() span {
	return span{table: "inventory", key: "inventory_id", reserved: ledgerFilms, high: maxCopies + 1, last: 16_777_215}
}

func categories() span {
	return span{table: "category", key: "category_id", high: 101, last: 255}
}

// sakilaKinds is what a load on the Sakila sample does in a mode, with how often.
func sakilaKinds(m Mode) []kind {
	if m == TransfersOnly {
		return []kind{{"transfer", 1, transfer}}
	}
	// Neither changes the total over the join.
	kinds := []kind{
		{"rent unpaid", 4, rentUnpaid}, {"return", 8, returnRental},
		{"move payment key", 4, movePayment}, {"move rental key", 4, moveKey(rentals())}, {"move customer key", 2, moveKey(customers())},
		{"move category key", 1, moveKey(categories())}, {"move film key", 1, moveKey(films())}, {"move inventory key", 2, moveKey(copies())},
		{"swap payment keys", 1, swapPayments},
		{"rename customer", 4, renameCustomer}, {"rename category", 1, renameCategory}, {"rename film", 2, renameFilm},
		{"recategorise film", 4, recategorise}, {"new customer", 1, newCustomer}, {"new film", 1, newFilm},
		{"savepoint", 3, savepoint}, {"rollback", 2, rollback}, {"no-op update", 3, noOp}, {"unread columns", 2, unreadColumns},
		{"uncaptured table", 3, uncaptured}, {"insert and delete", 2, insertAndDelete},
	}
	if m == KeepSum {
		return append(kinds,
			kind{"transfer", 20, transferAnywhere}, kind{"split payment", 4, splitPayment}, kind{"flip to an equal rental", 6, flipEqual},
			kind{"zero payment", 2, zeroPayment})
	}
	return append(kinds,
		kind{"rent", 14, rent}, kind{"rent many", 2, rentMany}, kind{"pay", 6, pay}, kind{"pay without rental", 2, payOrphan},
		kind{"change amount", 10, changeAmount}, kind{"delete payment", 4, deletePayment}, kind{"delete rental", 3, deleteRental},
		kind{"delete rental and payments", 3, deleteRentalAndPayments}, kind{"rebook", 3, rebook},
		kind{"add category", 2, addCategory}, kind{"drop category", 2, dropCategory}, kind{"transfer", 10, transfer},
		kind{"detach payment", 2, detach}, kind{"attach payment", 2, attach}, kind{"flip payment", 3, flip},
		kind{"flip payment through NULL", 2, flipThroughNull}, kind{"change many amounts", 1, changeMany},
		kind{"delete many payments", 1, deleteMany}, kind{"replace payment", 2, replacePayment}, kind{"upsert payment", 2, upsertPayment},
		kind{"delete and insert again", 2, deleteAndReinsert})
}

// moment is a time at which a load's rentals happen: random, so that the unique key over
// (rental_date, inventory_id, customer_id) is no bottleneck.
func (w *worker) moment() string {
	start := time.Date(2006, 1, 1, 0, 0, 0, 0, time.UTC)
	return start.Add(time.Duration(w.dice.below(10*365*24*3600)) * time.Second).Format(timeLayout)
}

func (w *worker) newAmount() string {
	switch w.dice.below(20) {
	case 0:
		return "0.00"
	case 1:
		return "999.99"
	}
	return money(w.dice.between(1, 2000))
}

// money writes an amount of cents.
func money(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

// cents reads an amount as the server writes a DECIMAL(n,2).
func cents(amount string) (int64, error) {
	var units, rest int64
	if _, err := fmt.Sscanf(amount, "%d.%02d", &units, &rest); err != nil {
		return 0, fmt.Errorf("amount %q: %w", amount, err)
	}
	return units*100 + rest, nil
}
