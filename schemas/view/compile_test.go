package view

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
)

// catalog is the tables of a test; unqualified names are in "shop".
type catalog map[string]*change.Table

func (c catalog) Table(name change.TableID) (*change.Table, error) {
	if name.DB == "" {
		name.DB = "shop"
	}
	t, ok := c[name.String()]
	if !ok {
		return nil, fmt.Errorf("%s is not captured", name)
	}
	return t, nil
}

// table makes a table from "name type" lines; a leading '*' marks a key column, a trailing '?' a nullable one.
func table(id string, cols ...string) *change.Table {
	t := &change.Table{ID: change.ParseTableID(id)}
	for i, c := range cols {
		c, nullable := strings.CutSuffix(c, "?")
		c, key := strings.CutPrefix(c, "*")
		if key {
			t.Key = append(t.Key, i)
		}
		name, typ, _ := strings.Cut(c, " ")
		t.Columns = append(t.Columns, change.Column{Name: name, Type: columnType(typ), Nullable: nullable})
	}
	return t
}

func columnType(s string) change.Type {
	name, arg, _ := strings.Cut(strings.TrimSuffix(s, ")"), "(")
	text := func(t change.Type) change.Type {
		t.Charset, t.Collation = "utf8mb4", "utf8mb4_general_ci"
		return t
	}
	switch name {
	case "uint":
		return change.Type{Kind: change.Uint, Name: "int", Unsigned: true}
	case "ubigint":
		return change.Type{Kind: change.Uint, Name: "bigint", Unsigned: true}
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		return change.Type{Kind: change.Int, Name: name}
	case "decimal":
		t := change.Type{Kind: change.Decimal, Name: name}
		_, _ = fmt.Sscanf(arg, "%d,%d", &t.Precision, &t.Scale)
		return t
	case "double":
		return change.Type{Kind: change.Double, Name: name}
	case "float":
		return change.Type{Kind: change.Float, Name: name}
	case "date":
		return change.Type{Kind: change.Date, Name: name}
	case "time", "datetime", "timestamp":
		kinds := map[string]change.Kind{"time": change.Time, "datetime": change.Datetime, "timestamp": change.Timestamp}
		t := change.Type{Kind: kinds[name], Name: name}
		_, _ = fmt.Sscanf(arg, "%d", &t.Scale)
		return t
	case "year":
		return change.Type{Kind: change.Year, Name: name}
	case "varbinary", "binary", "blob":
		t := change.Type{Kind: change.Bytes, Name: name, Charset: "binary", Collation: "binary"}
		_, _ = fmt.Sscanf(arg, "%d", &t.Length)
		return t
	case "json":
		return change.Type{Kind: change.JSON, Name: name}
	case "bit":
		return change.Type{Kind: change.Uint, Name: name, Length: 8}
	case "enum":
		return text(change.Type{Kind: change.String, Name: name, Members: strings.Split(arg, ",")})
	case "text":
		return text(change.Type{Kind: change.String, Name: name})
	}
	// varchar(n) or varchar(n,collation)
	t := text(change.Type{Kind: change.String, Name: "varchar"})
	n, coll, ok := strings.Cut(arg, ",")
	_, _ = fmt.Sscanf(n, "%d", &t.Length)
	if ok {
		t.Collation = coll
		t.Charset, _, _ = strings.Cut(coll, "_")
	}
	return t
}

func sakila() catalog {
	c := catalog{}
	for _, t := range []*change.Table{
		table("shop.rental", "*rental_id int", "rental_date datetime", "inventory_id uint", "customer_id uint", "return_date datetime?"),
		table("shop.customer", "*customer_id uint", "first_name varchar(45)", "last_name varchar(45)"),
		table("shop.payment", "*payment_id uint", "rental_id int?", "amount decimal(5,2)", "payment_date datetime"),
		table("shop.inventory", "*inventory_id uint", "film_id uint"),
		table("shop.film", "*film_id uint", "title varchar(128)"),
		table("shop.film_category", "*film_id uint", "*category_id uint"),
		table("shop.category", "*category_id uint", "name varchar(25)"),
	} {
		c[t.ID.String()] = t
	}
	return c
}

const customerOrderFlat = `CREATE VIEW CustomerOrderFlat AS
SELECT r.rental_id AS RentalId,
       CONCAT(c.first_name, ' ', c.last_name) AS CustomerName,
       p.amount AS Amount,
       r.rental_date AS RentalDate,
       cat.name AS Category,
       p.payment_id AS PaymentId,
       cat.category_id AS CategoryId
FROM rental r
JOIN customer c ON c.customer_id = r.customer_id
JOIN payment p ON p.rental_id = r.rental_id
JOIN inventory i ON i.inventory_id = r.inventory_id
JOIN film f ON f.film_id = i.film_id
JOIN film_category fc ON fc.film_id = f.film_id
JOIN category cat ON cat.category_id = fc.category_id;
`

func TestCompileCustomerOrderFlat(t *testing.T) {
	p, err := Compile("customer_order_flat.sql", customerOrderFlat, sakila())
	if err != nil {
		t.Fatal(err)
	}
	var key []string
	for _, k := range p.Output.Key {
		key = append(key, p.Output.Columns[k].Name)
	}
	if got := strings.Join(key, " "); got != "RentalId PaymentId CategoryId" || p.Hidden != 0 {
		t.Errorf("key %s, %d hidden columns; want RentalId PaymentId CategoryId and none", got, p.Hidden)
	}
	if !strings.Contains(p.SQL, "JOIN `shop`.category cat ON") || !strings.HasPrefix(p.SQL, "SELECT r.rental_id") {
		t.Errorf("SQL is not the qualified text:\n%s", p.SQL)
	}
	if got := p.Inputs[0].Columns; len(got) != 4 {
		t.Errorf("columns of rental %v: return_date is not read", got)
	}
}

// TestShippedViews compiles every view of the repository, also where the tables have the default collations
// of newer servers: nothing in them compares text.
func TestShippedViews(t *testing.T) {
	files, err := filepath.Glob("../views/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no views: %v", err)
	}
	for _, collation := range []string{"utf8mb4_general_ci", "utf8mb4_0900_ai_ci", "utf8mb4_uca1400_ai_ci"} {
		cat := sakila()
		for _, tab := range cat {
			for i := range tab.Columns {
				if tab.Columns[i].Type.Collation != "" {
					tab.Columns[i].Type.Collation = collation
				}
			}
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Compile(file, string(text), cat); err != nil {
				t.Errorf("under %s: %v", collation, err)
			}
		}
	}
}

// TestHash: the same text over the same columns is the same view; another text, column type or key is not.
func TestHash(t *testing.T) {
	const text = "CREATE VIEW v AS SELECT n.id, n.name FROM node n"
	hash := func(text string, cat catalog) string {
		p, err := Compile("v.sql", text, cat)
		if err != nil {
			t.Fatal(err)
		}
		return p.Hash
	}
	base := hash(text, refusedCatalog())
	unread := refusedCatalog()
	unread["shop.node"] = table("shop.node", "extra json?", "*id int", "parent_id int?", "name varchar(20)?")
	if hash(text, unread) != base {
		t.Error("a column that the view does not read changes its hash")
	}
	wider := refusedCatalog()
	wider["shop.node"] = table("shop.node", "*id int", "parent_id int?", "name varchar(30)?")
	key := refusedCatalog()
	key["shop.node"] = table("shop.node", "*id int", "*parent_id int", "name varchar(20)?")
	for what, got := range map[string]string{
		"text": hash(text+" WHERE n.id > 1", refusedCatalog()), "type": hash(text, wider), "key": hash(text, key),
	} {
		if got == base {
			t.Errorf("another %s, but the same hash", what)
		}
	}
}

// TestConcurrentEval: a plan is used by several goroutines at once (run with -race).
func TestConcurrentEval(t *testing.T) {
	p, err := Compile("customer_order_flat.sql", customerOrderFlat, sakila())
	if err != nil {
		t.Fatal(err)
	}
	tuple := benchTuple(p)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				if v, err := p.Select[1].Eval(tuple); err != nil || v != change.StringValue("PHILIP CAUSEY") {
					t.Errorf("customer name %s, %v", v, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestAbsentColumn: a value that was not transmitted is an error, never NULL.
func TestAbsentColumn(t *testing.T) {
	p, err := Compile("v.sql", "CREATE VIEW v AS SELECT id, COALESCE(name, '-') AS name FROM node", refusedCatalog())
	if err != nil {
		t.Fatal(err)
	}
	row := change.Row{change.IntValue(1), change.NullValue(), change.AbsentValue()}
	if v, err := p.Select[1].Eval(Tuple{row}); err == nil {
		t.Errorf("an Absent value gives %s", v)
	}
}
