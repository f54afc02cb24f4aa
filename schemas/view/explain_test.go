package view

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
)

func TestExplain(t *testing.T) {
	cat := sakila()
	cat["shop.payment"].ForeignKeys = []change.ForeignKey{
		{Name: "fk_payment_rental", Columns: []string{"rental_id"}, Parent: change.TableID{DB: "shop", Name: "rental"},
			ParentBy: []string{"rental_id"}, OnDelete: change.SetNull, OnUpdate: change.Cascade},
		{Name: "fk_logged", Columns: []string{"rental_id"}, Parent: change.TableID{DB: "shop", Name: "rental"},
			ParentBy: []string{"rental_id"}, OnDelete: change.Cascade, Logged: true},
	}
	p, err := Compile("payments_of_rentals.sql", `CREATE VIEW payments_of_rentals AS
SELECT c.last_name AS customer, p.amount * 2 AS twice, r.rental_date
FROM rental AS r JOIN customer AS c USING (customer_id)
LEFT JOIN payment p ON p.rental_id = r.rental_id AND p.amount > 0
WHERE r.rental_date >= '2005-01-01' AND (c.first_name <> 'X' OR p.payment_id IS NULL)`, cat)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/explain.txt", Explain(p))
}

// golden compares text with a file, which -rewrite writes.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if rewriting() {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); read it, then run with -rewrite:\n%s", path, diff)
	}
}
