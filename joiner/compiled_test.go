package joiner_test

import (
	"fmt"
	"math/rand"
	"os"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/joiner/internal/oracle"
	"github.com/etlsandbox/cdc/joiner/memstate"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// compiledViews are views as users write them, over the seven tables.
var compiledViews = []string{
	`CREATE VIEW LeftPayments AS SELECT r.rental_id, p.payment_id, p.amount, COALESCE(p.amount, 0) AS Paid
	 FROM rental r LEFT JOIN payment p ON p.rental_id = r.rental_id AND p.amount > 1.00`,
	`CREATE VIEW Unpaid AS SELECT r.rental_id, c.last_name FROM rental r
	 JOIN customer c ON c.customer_id = r.customer_id
	 LEFT JOIN payment p ON p.rental_id = r.rental_id WHERE p.payment_id IS NULL AND c.first_name <> 'A'`,
	`CREATE VIEW Siblings AS SELECT a.rental_id AS A, b.rental_id AS B FROM rental a
	 JOIN rental b ON b.customer_id = a.customer_id AND b.inventory_id = a.inventory_id WHERE a.rental_id < b.rental_id`,
	`CREATE VIEW FilmCategories AS SELECT f.title, cat.name FROM film f
	 LEFT JOIN film_category fc ON fc.film_id = f.film_id LEFT JOIN category cat ON cat.category_id = fc.category_id`,
	`CREATE VIEW Namesakes AS SELECT a.customer_id AS A, b.customer_id AS B FROM customer a JOIN customer b ON b.last_name = a.last_name`,
	`CREATE VIEW Categories AS SELECT cat.name, r.rental_id FROM category cat
	 JOIN film_category fc ON fc.category_id = cat.category_id JOIN inventory i ON i.film_id = fc.film_id
	 JOIN rental r ON r.inventory_id = i.inventory_id WHERE cat.name IN ('a', 'b ', 'ß')`,
}

// smallValue draws a value of the column's type from a small domain.
func smallValue(r *rand.Rand, c change.Column) change.Value {
	if c.Nullable && r.Intn(4) == 0 {
		return change.NullValue()
	}
	n := r.Intn(4)
	switch c.Type.Kind {
	case change.Uint:
		return change.UintValue(uint64(n))
	case change.Datetime:
		return change.DatetimeValue(int64(n) * 1e6)
	case change.Decimal:
		return cents(50 * (n + 1))
	}
	return change.StringValue([]string{"a", "A", "b ", "ss"}[n])
}

// TestCompiledViews maintains compiled views beside the oracle, with Sakila's foreign keys.
func TestCompiledViews(t *testing.T) {
	t.Parallel()
	sh := newShop()
	flat, err := os.ReadFile("../schemas/views/customer_order_flat.sql")
	if err != nil {
		t.Fatal(err)
	}
	sh["film_category"].ForeignKeys = []change.ForeignKey{{Name: "fk_fc_film", Columns: []string{"film_id"}, Parent: sh["film"].ID, ParentBy: []string{"film_id"}, OnDelete: change.Cascade}}
	var plans []*view.Plan
	for _, sql := range append([]string{string(flat)}, compiledViews...) {
		name, _, _ := strings.Cut(sql[strings.Index(sql, "CREATE VIEW ")+len("CREATE VIEW "):], " ")
		p, err := view.Compile(name+".sql", sql, sh)
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, p)
	}
	var shapes []*change.Table
	for _, name := range []string{"category", "film", "film_category", "inventory", "customer", "rental", "payment"} {
		shapes = append(shapes, sh[name])
	}
	chunks, histories := map[string]int{}, 0
	seeds(t, func(seed int64) error {
		histories++
		w := &world{r: rand.New(rand.NewSource(seed)), shapes: shapes, plans: plans, draw: smallValue}
		e, err := joiner.New(plans)
		if err != nil {
			return err
		}
		e.SetMemo(w.r.Intn(3), 1+w.r.Intn(8))
		e.SetLoadStep(1 + w.r.Intn(3))
		h := &harness{world: w, e: e, src: oracle.NewSource(shapes), state: memstate.New(), folded: map[string]map[change.Key]change.Row{}}
		for _, p := range plans {
			h.folded[p.Name] = map[change.Key]change.Row{}
		}
		for step := range 15 {
			for range 1 + w.r.Intn(12) {
				h.statement(h.src)
			}
			if err := h.batch(h.src.Commit()); err != nil {
				return fmt.Errorf("batch %d: %w", step, err)
			}
		}
		for _, p := range plans {
			got, n, err := h.scanAll(p.Name, change.WholeTable(), joiner.ScanOptions{Rows: 1})
			chunks[p.Name] = max(chunks[p.Name], n)
			if err == nil {
				err = same(got, h.folded[p.Name])
			}
			if err != nil {
				return fmt.Errorf("scan of %s: %w", p.Name, err)
			}
		}
		return nil
	})
	for _, p := range plans {
		if chunks[p.Name] < 2 && histories >= 1000 { // few histories may all end with a view of one row
			t.Errorf("scans of %s had at most %d chunks: it is not scanned in order", p.Name, chunks[p.Name])
		}
	}
}
