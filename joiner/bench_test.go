package joiner_test

import (
	"fmt"
	"math/rand"
	"os"
	"testing"

	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/statestore"
)

type shop map[string]*change.Table

func (s shop) Table(id change.TableID) (*change.Table, error) {
	if t, ok := s[id.Name]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("no table %s", id)
}

// shapes of the seven-table join, with a few columns that no view reads.
func newShop() shop {
	num := change.Type{Kind: change.Uint, Name: "int", Unsigned: true}
	text := change.Type{Kind: change.String, Name: "varchar", Length: 45, Charset: "utf8mb4", Collation: "utf8mb4_general_ci"}
	when := change.Type{Kind: change.Datetime, Name: "datetime"}
	money := change.Type{Kind: change.Decimal, Name: "decimal", Precision: 5, Scale: 2}
	col := func(name string, t change.Type) change.Column { return change.Column{Name: name, Type: t} }
	null := func(name string, t change.Type) change.Column {
		return change.Column{Name: name, Type: t, Nullable: true}
	}
	s := shop{}
	add := func(name string, keys int, cols ...change.Column) *change.Table {
		t := &change.Table{ID: change.TableID{DB: "sakila", Name: name}, Columns: cols, Version: 1}
		for i := range keys {
			t.Key = append(t.Key, i)
		}
		s[name] = t
		return t
	}
	add("rental", 1, col("rental_id", num), col("rental_date", when), col("inventory_id", num), col("customer_id", num), null("return_date", when), col("staff_id", num), col("last_update", when))
	add("customer", 1, col("customer_id", num), col("store_id", num), col("first_name", text), col("last_name", text), null("email", text), col("last_update", when))
	p := add("payment", 1, col("payment_id", num), col("customer_id", num), null("rental_id", num), col("amount", money), col("payment_date", when), col("last_update", when))
	p.ForeignKeys = []change.ForeignKey{{Name: "fk_payment_rental", Columns: []string{"rental_id"}, Parent: s["rental"].ID, ParentBy: []string{"rental_id"}, OnDelete: change.SetNull, OnUpdate: change.Cascade}}
	add("inventory", 1, col("inventory_id", num), col("film_id", num), col("store_id", num), col("last_update", when))
	add("film", 1, col("film_id", num), col("title", text), null("description", text), col("last_update", when))
	add("film_category", 2, col("film_id", num), col("category_id", num), col("last_update", when))
	add("category", 1, col("category_id", num), col("name", text), col("last_update", when))
	return s
}

// sizes of the benchmark's content, in proportion to rentals.
const (
	benchRentals    = 100_000
	benchCustomers  = benchRentals / 27
	benchInventory  = benchRentals * 2 / 7
	benchFilms      = 1000
	benchCategories = 16
)

func u(n int) change.Value       { return change.UintValue(uint64(n)) }
func text(s string) change.Value { return change.StringValue(s) }
func moment(n int) change.Value  { return change.DatetimeValue(int64(n) * 1e6) }
func cents(n int) change.Value   { return change.DecimalValue(fmt.Sprintf("%d.%02d", n/100, n%100)) }
func rental(i, customer int) change.Row {
	return change.Row{u(i), moment(i), u(i%benchInventory + 1), u(customer), moment(i + 5), u(1), moment(0)}
}
func payment(i, rental, amount int) change.Row {
	return change.Row{u(i), u(1), u(rental), cents(amount), moment(i), moment(0)}
}

// rentalOf is the rental that a payment of the benchmark's content pays for: in another order than theirs.
func rentalOf(payment int) int {
	if payment > benchRentals {
		return payment
	}
	return payment*7919%benchRentals + 1
}
func customer(i int, name string) change.Row {
	return change.Row{u(i), u(1), text(name), text(fmt.Sprintf("LAST%d", i)), text("someone@example.com"), moment(0)}
}

// bench is an engine over a store filled with the benchmark's content.
type bench struct {
	shop
	e     *joiner.Engine
	store *statestore.Store
	// sample, if set, is called now and then during long batches.
	sample func()
}

func newBench(tb testing.TB) *bench { return newBenchWith(tb, 256<<20) }

func newBenchWith(tb testing.TB, memory int64) *bench {
	tb.Helper()
	sql, err := os.ReadFile("../schemas/views/customer_order_flat.sql")
	if err != nil {
		tb.Fatal(err)
	}
	bn := &bench{shop: newShop()}
	p, err := view.Compile("customer_order_flat.sql", string(sql), bn.shop)
	if err != nil {
		tb.Fatal(err)
	}
	if bn.e, err = joiner.New([]*view.Plan{p}); err != nil {
		tb.Fatal(err)
	}
	if bn.store, err = statestore.Open(tb.TempDir(), statestore.Options{Memory: memory}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := bn.store.Close(); err != nil {
			tb.Error(err)
		}
	})
	if _, err := bn.store.Configure(layouts(bn.e)); err != nil {
		tb.Fatal(err)
	}
	return bn
}

func (bn *bench) fill(tb testing.TB) {
	bn.cover(tb, "category", benchCategories, func(i int) change.Row { return change.Row{u(i), text(fmt.Sprintf("Category %d", i)), moment(0)} })
	bn.cover(tb, "film", benchFilms, func(i int) change.Row { return change.Row{u(i), text("A TITLE"), text("long text"), moment(0)} })
	bn.cover(tb, "film_category", benchFilms, func(i int) change.Row { return change.Row{u(i), u(i%benchCategories + 1), moment(0)} })
	bn.cover(tb, "inventory", benchInventory, func(i int) change.Row { return change.Row{u(i), u(i%benchFilms + 1), u(1), moment(0)} })
	bn.cover(tb, "customer", benchCustomers, func(i int) change.Row { return customer(i, "FIRST") })
	bn.cover(tb, "rental", benchRentals, func(i int) change.Row { return rental(i, i%benchCustomers+1) })
	bn.cover(tb, "payment", benchRentals, func(i int) change.Row { return payment(i, rentalOf(i), i%1000) })
}

// cover loads rows 1..n of a table in chunks of 10,000.
func (bn *bench) cover(tb testing.TB, name string, n int, row func(i int) change.Row) {
	t := bn.shop[name]
	for from := 1; from <= n; from += 10_000 {
		to := min(from+10_000, n+1)
		c := &change.Cover{ID: "c", Table: t.ID.String(), Range: change.KeyRange{Lo: change.KeyOf(u(from)), Hi: change.KeyOf(u(to)), HasLo: from > 1, HasHi: to <= n}}
		bn.apply(tb, joiner.Options{Emit: []string{}}, func(b *joiner.Batch) error {
			return b.Cover(t.ID, c, func(yield func(change.Event, error) bool) {
				for i := from; i < to; i++ {
					if !yield(change.Event{Table: t, Op: change.Read, After: row(i)}, nil) {
						return
					}
				}
			})
		})
	}
}

// apply runs one batch and returns the number of outputs.
func (bn *bench) apply(tb testing.TB, o joiner.Options, fill func(*joiner.Batch) error) (outputs int) {
	r, err := bn.store.Read()
	if err != nil {
		tb.Fatal(err)
	}
	b, err := bn.e.Begin(r, o)
	if err != nil {
		tb.Fatal(err)
	}
	if err := fill(b); err != nil {
		tb.Fatal(err)
	}
	if o.Emit == nil {
		for _, err := range b.Outputs("CustomerOrderFlat") {
			if err != nil {
				tb.Fatal(err)
			}
			if outputs++; outputs%10_000 == 0 && bn.sample != nil {
				bn.sample()
			}
		}
	}
	sb := bn.store.NewBatch()
	if err := b.Flush(sb); err != nil {
		tb.Fatal(err)
	}
	if bn.sample != nil {
		bn.sample()
	}
	if err := r.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := b.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := sb.Commit(); err != nil {
		tb.Fatal(err)
	}
	return outputs
}

// BenchmarkEvents measures one event, in batches of the named size, over a filled store: 100,000 rentals
// and as many payments.
func BenchmarkEvents(b *testing.B) {
	bn := newBench(b)
	bn.fill(b)
	r := rand.New(rand.NewSource(1))
	next := benchRentals
	customers := map[int]int{}
	amounts := map[int]int{}
	events := map[string]func() []change.Event{
		"insert": func() []change.Event { // of a rental and its payment: two events
			next++
			return []change.Event{
				{Table: bn.shop["rental"], Op: change.Insert, After: rental(next, next%benchCustomers+1)},
				{Table: bn.shop["payment"], Op: change.Insert, After: payment(next, next, 499)},
			}
		},
		"amount": func() []change.Event {
			i := 1 + r.Intn(benchRentals)
			old, ok := amounts[i]
			if !ok {
				old = i % 1000
			}
			amounts[i] = (old + 1) % 1000
			return []change.Event{{Table: bn.shop["payment"], Op: change.Update, Before: payment(i, rentalOf(i), old), After: payment(i, rentalOf(i), amounts[i])}}
		},
		"customer": func() []change.Event { // of a rental
			i := 1 + r.Intn(benchRentals)
			old, ok := customers[i]
			if !ok {
				old = i%benchCustomers + 1
			}
			customers[i] = r.Intn(benchCustomers) + 1
			return []change.Event{{Table: bn.shop["rental"], Op: change.Update, Before: rental(i, old), After: rental(i, customers[i])}}
		},
		"unread": func() []change.Event { // a column that no view reads
			i := 1 + r.Intn(benchRentals)
			after := rental(i, 1)
			after[4] = change.NullValue()
			return []change.Event{{Table: bn.shop["rental"], Op: change.Update, Before: rental(i, 1), After: after}}
		},
		"rename": func() []change.Event { // of a customer
			i := 1 + r.Intn(benchCustomers)
			return []change.Event{{Table: bn.shop["customer"], Op: change.Update, Before: customer(i, "FIRST"), After: customer(i, fmt.Sprintf("N%d", r.Int()))}}
		},
	}
	for _, kind := range []string{"insert", "amount", "customer", "unread", "rename"} {
		for _, size := range []int{1, 1000} {
			b.Run(fmt.Sprintf("%s/batch=%d", kind, size), func(b *testing.B) {
				b.ReportAllocs()
				outputs, n := 0, 0
				for n < b.N {
					b.StopTimer()
					var evs []change.Event
					for len(evs) < size && n+len(evs) < b.N {
						evs = append(evs, events[kind]()...)
					}
					b.StartTimer()
					n += len(evs)
					outputs += bn.apply(b, joiner.Options{}, func(jb *joiner.Batch) error {
						for i := range evs {
							if err := jb.Apply(&evs[i]); err != nil {
								return err
							}
						}
						return nil
					})
				}
				b.ReportMetric(float64(outputs)/float64(b.N), "outputs/event")
			})
		}
	}
}

// BenchmarkCategoryRename measures the largest fan-out: one event that changes a sixteenth of the view.
func BenchmarkCategoryRename(b *testing.B) {
	bn := newBench(b)
	bn.fill(b)
	b.ReportAllocs()
	outputs := 0
	for i := 0; b.Loop(); i++ {
		c := i%benchCategories + 1
		ev := change.Event{Table: bn.shop["category"], Op: change.Update,
			Before: change.Row{u(c), text("?"), moment(0)}, After: change.Row{u(c), text(fmt.Sprintf("New %d", i)), moment(0)}}
		outputs += bn.apply(b, joiner.Options{Limit: 64 << 20, Scratch: func() (joiner.Scratch, error) { return bn.store.Scratch() }}, func(jb *joiner.Batch) error { return jb.Apply(&ev) })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(outputs), "ns/output")
}

// BenchmarkCover measures the first load, per row of all seven tables.
func BenchmarkCover(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		bn := newBench(b)
		bn.fill(b)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2*benchRentals+benchCustomers+benchInventory+2*benchFilms), "ns/row")
}

// BenchmarkScan measures the first output of the whole view, per row.
func BenchmarkScan(b *testing.B) {
	bn := newBench(b)
	bn.fill(b)
	b.ReportAllocs()
	rows := 0
	for b.Loop() {
		r, err := bn.store.Read()
		if err != nil {
			b.Fatal(err)
		}
		rest := change.WholeTable()
		for last := false; !last; {
			c, err := bn.e.Scan(r, "CustomerOrderFlat", rest, joiner.ScanOptions{})
			if err != nil {
				b.Fatal(err)
			}
			for _, err := range c.Rows() {
				if err != nil {
					b.Fatal(err)
				}
				rows++
			}
			last = c.Last
			rest = change.KeyRange{Lo: c.Range.Hi, HasLo: true}
			if err := c.Close(); err != nil {
				b.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
}
