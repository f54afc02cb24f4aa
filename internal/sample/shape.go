package sample

import (
	"fmt"
	"time"
)

// The ledger: the first payments of the sample, one for each of as many rentals, of
// films with exactly one category. Every load moves amounts between them and does
// nothing else that would change how often or with what sum they appear in the join,
// so at every commit, under any load, their total is what it was after Seed.
const (
	// LedgerSize is the highest payment_id (and rental_id) of the ledger.
	LedgerSize = 64
	// ledgerFilms is the highest film_id (and inventory_id) that the ledger stands on.
	ledgerFilms = 8
)

// UncapturedTable is the table of the Sakila sample that no other table refers to and
// that a test may leave out of its pipeline; the load writes to it now and then.
const UncapturedTable = "film_text"

// Scale 1 is Sakila's own size.
const (
	rentalsPerScale   = 16044
	customersPerScale = 599
	filmsPerScale     = 1000
	copiesPerScale    = 4581
	citiesPerScale    = 600
	actorsPerScale    = 200
)

// Limits by key types, less the room above them into which loads move keys.
const (
	maxScale   = 60000.0
	maxCopies  = 16_000_000 // MEDIUMINT UNSIGNED
	maxSmall   = 60_000     // SMALLINT UNSIGNED
	minRentals = 200        // room for the ledger and all fixed cases
)

// shape is the sample of one seed and scale: how many rows each table has, and, by its
// methods, each row as a function of its number. Row numbers begin at 1.
type shape struct {
	seed                                                int64
	cities, addresses, actors, films, copies, customers int
	rentals                                             int
	step                                                time.Duration // between two rentals
}

func newShape(o Options) (shape, error) {
	scale := o.Scale
	if scale == 0 {
		scale = 1
	}
	if !(scale >= 0 && scale <= maxScale) { // NaN is neither
		return shape{}, fmt.Errorf("scale %v is outside 0..%v: rental_id is an INT", o.Scale, maxScale)
	}
	size := func(perScale, lo, hi int) int {
		return min(max(int(float64(perScale)*scale), lo), hi)
	}
	s := shape{
		seed:      o.Seed,
		cities:    size(citiesPerScale, 20, maxSmall),
		actors:    size(actorsPerScale, 20, maxSmall),
		films:     size(filmsPerScale, 60, maxSmall),
		copies:    size(copiesPerScale, 150, maxCopies),
		customers: size(customersPerScale, 40, 1_000_000_000),
		rentals:   size(rentalsPerScale, minRentals, 1_000_000_000),
	}
	s.addresses = min(s.customers+4, maxSmall)
	s.step = max(270*24*time.Hour/time.Duration(s.rentals), 2*time.Second).Truncate(time.Second)
	return s, nil
}

func (s shape) dice(table string, row int) dice { return newDice(s.seed, table, row) }

const timeLayout = "2006-01-02 15:04:05"

// stamp is the last_update of every generated row: the time of Sakila's own data.
const stamp = "2006-02-15 04:34:33"

// rental is what other rows need to know of a rental.
type rental struct {
	at       time.Time
	copy     int // inventory_id
	customer int
	staff    int
}

func (s shape) rental(n int) rental {
	d := s.dice("rental", n)
	// Dates rise strictly, which keeps (rental_date, inventory_id, customer_id) unique.
	start := time.Date(2005, 5, 24, 22, 53, 30, 0, time.UTC)
	r := rental{
		at:       start.Add(time.Duration(n-1)*s.step + time.Duration(d.below(int(s.step/time.Second)))*time.Second),
		copy:     1 + d.below(s.copies),
		customer: 1 + d.below(s.customers),
		staff:    1 + d.below(2),
	}
	if n <= LedgerSize {
		r.copy = 1 + (n-1)%ledgerFilms
	}
	return r
}

// returned is NULL for about one rental in eighty, and for rental 68 always.
func (s shape) returned(n int, r rental) any {
	d := s.dice("return", n)
	if n == 68 || d.below(80) == 0 {
		return nil
	}
	return r.at.Add(time.Duration(1+d.below(10*24*60)) * time.Minute).Format(timeLayout)
}

// paymentsOf is the number of payments of a rental: none for 6 %, two or three for 4 %.
func (s shape) paymentsOf(n int) int {
	switch {
	case n <= LedgerSize:
		return 1
	case n == 65:
		return 0
	case n == 66:
		return 3
	}
	d := s.dice("payments", n)
	switch p := d.below(100); {
	case p < 6:
		return 0
	case p < 96:
		return 1
	case p < 99:
		return 2
	default:
		return 3
	}
}

// orphanAfter says whether a payment without a rental follows those of rental n.
func orphanAfter(n int) bool { return n > LedgerSize && n%100 == 67 }

// categoriesOf gives the categories of a film: none for 4 %, two for 12 %.
func (s shape) categoriesOf(film int) []int {
	d := s.dice("film_category", film)
	total := len(categoryNames())
	first := 1 + d.below(total)
	second := 1 + (first-1+1+d.below(total-1))%total
	kind := d.below(100)
	switch {
	case film <= ledgerFilms:
		return []int{first}
	case film == ledgerFilms+1 || (kind < 4 && film != ledgerFilms+2):
		return nil
	case film == ledgerFilms+2 || kind < 16:
		return []int{min(first, second), max(first, second)}
	default:
		return []int{first}
	}
}

// amount of a payment for rental n: 0.00 for one in a hundred, and for rental 66 always.
func (s shape) amount(d *dice, n int) string {
	switch {
	case n <= LedgerSize:
		return fmt.Sprintf("%d.%02d", 20+d.below(40), d.below(100))
	case n == 66 || d.below(100) == 0:
		return "0.00"
	default:
		return fmt.Sprintf("%d.99", pick(d, []int{0, 0, 2, 2, 2, 4, 4, 4, 5, 6, 7, 8, 9, 10, 11}))
	}
}

// name gives first and last name of a person: the first rows take the odd ones in
// turn, later rows one time in twenty-five.
func (s shape) name(table string, n int) (first, last string) {
	d := s.dice(table+" name", n)
	odd := oddNames()
	first, last = pick(&d, firstNames()), pick(&d, lastNames())
	switch {
	case n <= len(odd):
		return odd[n-1], last
	case n <= len(odd)+5:
		return first, odd[n-len(odd)-1]
	case d.below(25) == 0:
		return first, pick(&d, odd)
	case d.below(25) == 0:
		return pick(&d, odd), last
	}
	return first, last
}
