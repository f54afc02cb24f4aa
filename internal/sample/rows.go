package sample

import (
	"fmt"
	"iter"
	"time"
)

// tableRows is the content of one table.
type tableRows struct {
	table   string
	columns []string
	count   int
	rows    iter.Seq[[]any] // a yielded slice is the receiver's
}

// numbered are the rows 1..n of a table that is a function of the row's number.
func numbered(n int, row func(i int) []any) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for i := 1; i <= n; i++ {
			if !yield(row(i)) {
				return
			}
		}
	}
}

// counted fills in count for tables whose size only their rows know.
func counted(t tableRows) tableRows {
	for range t.rows {
		t.count++
	}
	return t
}

// tables lists the sample's content, parents first (store and staff are each other's).
func (s shape) tables() []tableRows {
	return []tableRows{
		s.countryRows(), s.cityRows(), s.addressRows(), s.languageRows(), s.categoryRows(), s.actorRows(), s.filmRows(),
		counted(s.filmActorRows()), counted(s.filmCategoryRows()), s.filmTextRows(), s.storeRows(), s.staffRows(), s.customerRows(),
		s.inventoryRows(), s.rentalRows(), counted(s.paymentRows()),
	}
}

func (s shape) countryRows() tableRows {
	names := countryNames()
	return tableRows{"country", []string{"country_id", "country", "last_update"}, len(names),
		numbered(len(names), func(i int) []any { return []any{i, names[i-1], stamp} })}
}

func (s shape) cityRows() tableRows {
	return tableRows{"city", []string{"city_id", "city", "country_id", "last_update"}, s.cities,
		numbered(s.cities, func(i int) []any {
			d := s.dice("city", i)
			return []any{i, fmt.Sprintf("%s %d", pick(&d, titleWords()), i), 1 + d.below(len(countryNames())), stamp}
		})}
}

func (s shape) addressRows() tableRows {
	return tableRows{"address",
		[]string{"address_id", "address", "address2", "district", "city_id", "postal_code", "phone", "last_update"}, s.addresses,
		numbered(s.addresses, func(i int) []any {
			d := s.dice("address", i)
			var second any
			if d.percent(20) {
				second = ""
			}
			return []any{i, fmt.Sprintf("%d %s Straße", 1+d.below(1900), pick(&d, titleWords())), second,
				pick(&d, countryNames()), 1 + d.below(s.cities), fmt.Sprintf("%05d", d.below(100000)),
				fmt.Sprintf("%012d", d.below(1_000_000_000_000)), stamp}
		})}
}

func (s shape) languageRows() tableRows {
	names := languageNames()
	return tableRows{"language", []string{"language_id", "name", "last_update"}, len(names),
		numbered(len(names), func(i int) []any { return []any{i, names[i-1], stamp} })}
}

func (s shape) categoryRows() tableRows {
	names := categoryNames()
	return tableRows{"category", []string{"category_id", "name", "last_update"}, len(names),
		numbered(len(names), func(i int) []any { return []any{i, names[i-1], stamp} })}
}

func (s shape) actorRows() tableRows {
	return tableRows{"actor", []string{"actor_id", "first_name", "last_name", "last_update"}, s.actors,
		numbered(s.actors, func(i int) []any {
			first, last := s.name("actor", i)
			return []any{i, first, last, stamp}
		})}
}

func (s shape) title(i int) string {
	d := s.dice("title", i)
	return fmt.Sprintf("%s %s %d", pick(&d, titleWords()), pick(&d, titleWords()), i)
}

func (s shape) filmRows() tableRows {
	return tableRows{"film", []string{"film_id", "title", "description", "release_year", "language_id", "original_language_id",
		"rental_duration", "rental_rate", "length", "replacement_cost", "rating", "special_features", "last_update"}, s.films,
		numbered(s.films, func(i int) []any {
			d := s.dice("film", i)
			languages := len(languageNames())
			var original any
			if d.percent(10) {
				original = 1 + d.below(languages)
			}
			return []any{i, s.title(i), "A tale of " + pick(&d, oddNames()), 1950 + d.below(70), 1 + d.below(languages), original,
				3 + d.below(5), pick(&d, []string{"0.99", "2.99", "4.99"}), 46 + d.below(140), fmt.Sprintf("%d.99", 9+d.below(21)),
				pick(&d, []string{"G", "PG", "PG-13", "R", "NC-17"}),
				pick(&d, []any{nil, "", "Trailers", "Trailers,Deleted Scenes", "Commentaries,Behind the Scenes"}), stamp}
		})}
}

func (s shape) filmActorRows() tableRows {
	return tableRows{"film_actor", []string{"actor_id", "film_id", "last_update"}, 0,
		func(yield func([]any) bool) {
			for film := 1; film <= s.films; film++ {
				d := s.dice("film_actor", film)
				first, n := d.below(s.actors), d.below(10)
				for k := range n { // n is below the least number of actors: all different
					if !yield([]any{1 + (first+k)%s.actors, film, stamp}) {
						return
					}
				}
			}
		}}
}

func (s shape) filmCategoryRows() tableRows {
	return tableRows{"film_category", []string{"film_id", "category_id", "last_update"}, 0,
		func(yield func([]any) bool) {
			for film := 1; film <= s.films; film++ {
				for _, category := range s.categoriesOf(film) {
					if !yield([]any{film, category, stamp}) {
						return
					}
				}
			}
		}}
}

func (s shape) filmTextRows() tableRows {
	return tableRows{UncapturedTable, []string{"film_id", "title", "description"}, s.films,
		numbered(s.films, func(i int) []any { return []any{i, s.title(i), nil} })}
}

func (s shape) storeRows() tableRows {
	return tableRows{"store", []string{"store_id", "manager_staff_id", "address_id", "last_update"}, 2,
		numbered(2, func(i int) []any { return []any{i, i, i, stamp} })}
}

func (s shape) staffRows() tableRows {
	people := [][]any{
		{1, "Mike", "Hillyer", 3, []byte("\x89PNG\r\n\x1a\n\x00\xff"), "Mike.Hillyer@sakilastaff.com", 1, 1, "Mike",
			"8cb2237d0679ca88db6464eac60da96345513964", stamp},
		{2, "Jon", "Stephens", 4, nil, "Jon.Stephens@sakilastaff.com", 2, 1, "Jon", nil, stamp},
	}
	return tableRows{"staff", []string{"staff_id", "first_name", "last_name", "address_id", "picture", "email", "store_id",
		"active", "username", "password", "last_update"}, len(people),
		numbered(len(people), func(i int) []any { return people[i-1] })}
}

func (s shape) customerRows() tableRows {
	return tableRows{"customer", []string{"customer_id", "store_id", "first_name", "last_name", "email", "address_id",
		"active", "create_date", "last_update"}, s.customers,
		numbered(s.customers, func(i int) []any {
			d := s.dice("customer", i)
			first, last := s.name("customer", i)
			var email any
			if !d.percent(5) {
				email = fmt.Sprintf("customer%d@sakilacustomer.org", i)
			}
			active := 1
			if d.percent(3) {
				active = 0
			}
			return []any{i, 1 + d.below(2), first, last, email, 5 + (i-1)%(s.addresses-4), active, "2006-02-14 22:04:36", stamp}
		})}
}

func (s shape) inventoryRows() tableRows {
	return tableRows{"inventory", []string{"inventory_id", "film_id", "store_id", "last_update"}, s.copies,
		numbered(s.copies, func(i int) []any {
			d := s.dice("inventory", i)
			return []any{i, 1 + (i-1)%s.films, 1 + d.below(2), stamp}
		})}
}

func (s shape) rentalRows() tableRows {
	return tableRows{"rental", []string{"rental_id", "rental_date", "inventory_id", "customer_id", "return_date", "staff_id",
		"last_update"}, s.rentals,
		numbered(s.rentals, func(i int) []any {
			r := s.rental(i)
			return []any{i, r.at.Format(timeLayout), r.copy, r.customer, s.returned(i, r), r.staff, stamp}
		})}
}

func (s shape) paymentRows() tableRows {
	columns := []string{"payment_id", "customer_id", "staff_id", "rental_id", "amount", "payment_date", "last_update"}
	return tableRows{"payment", columns, 0, func(yield func([]any) bool) {
		id := 0
		for n := 1; n <= s.rentals; n++ {
			r, d := s.rental(n), s.dice("payment", n)
			for k := range s.paymentsOf(n) {
				id++
				at := r.at.Add(time.Duration(k) * time.Hour).Format(timeLayout)
				if !yield([]any{id, r.customer, r.staff, n, s.amount(&d, n), at, stamp}) {
					return
				}
			}
			if orphanAfter(n) {
				id++
				if !yield([]any{id, r.customer, r.staff, nil, s.amount(&d, n), r.at.Format(timeLayout), stamp}) {
					return
				}
			}
		}
	}}
}
