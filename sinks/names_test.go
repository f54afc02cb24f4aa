package sinks_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

func TestSpell(t *testing.T) {
	for _, c := range []struct{ name, snake, lower string }{
		{"CustomerOrderFlat", "customer_order_flat", "customerorderflat"},
		{"RentalId", "rental_id", "rentalid"},
		{"rental_id", "rental_id", "rental_id"},
		{"ID", "id", "id"},
		{"userID", "user_id", "userid"},
		{"HTTPServer2", "http_server2", "httpserver2"},
		{"HTTPServer2Name", "http_server2_name", "httpserver2name"},
		{"Address2Line", "address2_line", "address2line"},
		{"MD5Hash", "md5_hash", "md5hash"},
		{"ABTest", "ab_test", "abtest"},
		{"Rental_Id", "rental_id", "rental_id"},
		{"Already__Two", "already__two", "already__two"},
		{"_Id", "_id", "_id"},
		{"Id_", "id_", "id_"},
		{"order date", "order_date", "order date"},
		{"Größe (cm)", "größe_cm", "größe (cm)"},
		{"ÉtatCivil", "état_civil", "étatcivil"},
		{"ΔEnergieÄnderung", "δ_energie_änderung", "δenergieänderung"},
		{"名前Id", "名前_id", "名前id"},
		{"2ndLine", "2nd_line", "2ndline"},
		{"$", "$", "$"},
		{"", "", ""},
	} {
		if got := sinks.SnakeCase.Spell(c.name); got != c.snake {
			t.Errorf("snake_case of %q is %q, want %q", c.name, got, c.snake)
		}
		if got := sinks.LowerCase.Spell(c.name); got != c.lower {
			t.Errorf("lower of %q is %q, want %q", c.name, got, c.lower)
		}
		if got := sinks.KeepNames.Spell(c.name); got != c.name {
			t.Errorf("keep makes %q of %q", got, c.name)
		}
	}
}

func TestSpellTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9_ É名.]{0,20}`), rapid.String()).Draw(t, "name")
		for _, n := range []sinks.Names{sinks.SnakeCase, sinks.LowerCase} {
			once := n.Spell(name)
			if twice := n.Spell(once); twice != once {
				t.Fatalf("%q becomes %q, and that %q", name, once, twice)
			}
			if once == "" && name != "" {
				t.Fatalf("nothing is left of %q", name)
			}
		}
	})
}

func columns(names ...string) *change.Table {
	t := &change.Table{ID: change.TableID{Name: "Flat"}, Key: []int{0}}
	for _, n := range names {
		t.Columns = append(t.Columns, change.Column{Name: n, Type: change.Type{Kind: change.Int, Name: "int"}})
	}
	return t
}

func TestSpellTable(t *testing.T) {
	shape := columns("RentalId", "CustomerName")
	spelt, err := sinks.SnakeCase.Table(shape)
	if err != nil {
		t.Fatal(err)
	}
	if !spelt.SameShape(columns("rental_id", "customer_name")) || shape.Columns[0].Name != "RentalId" {
		t.Errorf("got %v of %v", spelt.Columns, shape.Columns)
	}
	_, err = sinks.SnakeCase.Table(columns("RentalId", "FooBar", "foo_bar"))
	if sinks.ClassOf(err) != sinks.Stop {
		t.Fatalf("two columns became one: %v, want a stop", err)
	}
	for _, w := range []string{"FooBar", "foo_bar", "Flat", "names: keep"} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the refusal does not say %q: %v", w, err)
		}
	}
}

func TestCheckSpelling(t *testing.T) {
	tg := sinks.Target{From: "Flat", To: "flat", Table: columns("rental_id", "customername", "customer_name_2", "customername2")}
	err := tg.CheckSpelling([]string{"rental_id", "CustomerName", "customer_name_2"}, false)
	if sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), "CustomerName") {
		t.Errorf("a column that was spelt otherwise: %v, want a stop that names it", err)
	}
	for _, c := range []struct {
		have []string
		fold bool
	}{{[]string{"rental_id", "CustomerName", "customer_name_2"}, true}, {[]string{"rental_id", "customer"}, false}, {[]string{"rental_id", "CustomerName", "customername"}, false}} {
		if err := tg.CheckSpelling(c.have, c.fold); err != nil {
			t.Errorf("columns %v (fold %v): %v", c.have, c.fold, err)
		}
	}
}
