package clickhouse

import (
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
)

// FuzzText: whatever a column prints is an error, or a value of the column's kind.
func FuzzText(f *testing.F) {
	for k := change.Int; k <= change.JSON; k++ {
		f.Add(uint8(k), 2, "-12.50")
		f.Add(uint8(k), 0, "2026-02-28 13:14:15")
	}
	f.Fuzz(func(t *testing.T, kind uint8, scale int, text string) {
		if scale < 0 || scale > 38 {
			return
		}
		c := column{name: "c", typ: change.Type{Kind: change.Kind(kind), Name: "x", Precision: 38, Scale: scale}}
		c.form = formOf(c.typ)
		if v, err := parseText(&c, &text); err == nil && v.Kind() != c.typ.Kind {
			t.Errorf("%q of kind %s is read as %s of kind %s", text, c.typ.Kind, v, v.Kind())
		}
	})
}

// FuzzForm: a type that is understood is printed so that it is understood again; a plan that is read is written as it is.
func FuzzForm(f *testing.F) {
	for _, text := range []string{"Nullable(String)", "Int64", "UInt8", "Decimal(38, 10)", "DateTime64(6, 'UTC')", "Float32", `{"id":"a","incarnation":1,"seq":2,"rows":3,"large":true}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if form, nullable, ok := parseForm(text); ok {
			if again, null, ok := parseForm(typeText(form, nullable)); !ok || again != form || null != nullable {
				t.Errorf("%q is %+v, printed %q", text, form, typeText(form, nullable))
			}
		}
		var p, again plan
		if err := p.parse(text); err != nil {
			return
		}
		written, err := p.text()
		if err == nil {
			err = again.parse(written)
		}
		if err != nil || again != p {
			t.Errorf("plan %q is read again as %+v (error %v), want %+v", text, again, err, p)
		}
	})
}
