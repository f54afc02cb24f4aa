package view

import (
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
)

// benchTuple is one joined row of customerOrderFlat.
func benchTuple(p *Plan) Tuple {
	text, u := change.StringValue, change.UintValue
	rows := map[string]change.Row{
		"r":   {change.IntValue(16049), change.DatetimeValue(1125000000000000), u(2666), u(393), change.NullValue()},
		"c":   {u(393), text("PHILIP"), text("CAUSEY")},
		"p":   {u(10687), change.IntValue(16049), change.DecimalValue("2.99"), change.DatetimeValue(1125000000000000)},
		"i":   {u(2666), u(580)},
		"f":   {u(580), text("MINE TITANS")},
		"fc":  {u(580), u(2)},
		"cat": {u(2), text("Animation")},
	}
	t := make(Tuple, len(p.Inputs))
	for i, in := range p.Inputs {
		t[i] = rows[in.Alias]
	}
	return t
}

func benchEval(b *testing.B, exprs []Expr, t Tuple) {
	b.ReportAllocs()
	row := make(change.Row, len(exprs))
	for b.Loop() {
		for i, e := range exprs {
			v, err := e.Eval(t)
			if err != nil {
				b.Fatal(err)
			}
			row[i] = v
		}
	}
}

// BenchmarkSelect evaluates the SELECT list of customerOrderFlat for one row.
func BenchmarkSelect(b *testing.B) {
	p, err := Compile("customer_order_flat.sql", customerOrderFlat, sakila())
	if err != nil {
		b.Fatal(err)
	}
	benchEval(b, p.Select, benchTuple(p))
}

// BenchmarkExpressions evaluates single expressions.
func BenchmarkExpressions(b *testing.B) {
	for _, s := range []string{
		"p.amount * 2 + 1", "p.amount > 2.5 AND p.rental_id IS NOT NULL", "c.last_name LIKE 'CAU%'", "c.last_name = 'Causey'",
		"CASE WHEN p.amount > 5 THEN 'high' WHEN p.amount > 2 THEN 'middle' ELSE 'low' END", "UPPER(c.first_name)", "r.rental_date >= '2005-01-01'",
		"CONCAT_WS(' ', c.first_name, p.amount, r.rental_date)", "ROUND(p.amount / 3, 6)",
	} {
		b.Run(s, func(b *testing.B) {
			p, err := Compile("v.sql", "CREATE VIEW v AS SELECT "+s+" AS x FROM rental r JOIN customer c ON c.customer_id = r.customer_id JOIN payment p ON p.rental_id = r.rental_id", sakila())
			if err != nil {
				b.Fatal(err)
			}
			benchEval(b, p.Select[:1], benchTuple(p))
		})
	}
}

// BenchmarkJoinKey encodes join keys.
func BenchmarkJoinKey(b *testing.B) {
	for _, c := range []struct {
		name string
		v    change.Value
		as   Comparison
	}{
		{"same", change.UintValue(393), CompareSame}, {"number", change.DecimalValue("393.00"), CompareNumber},
		{"padded", change.StringValue("PHILIP"), ComparePadded}, {"general_ci", change.StringValue("PHILIP"), CompareGeneralCI},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 64)
			for b.Loop() {
				buf, _ = AppendJoinKey(buf[:0], c.v, c.as)
			}
		})
	}
}
