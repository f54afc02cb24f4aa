package postgres

import (
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
)

// FuzzText: whatever a column prints is an error, or a value of the column's kind; and any type can be taken apart.
func FuzzText(f *testing.F) {
	for k := change.Int; k <= change.JSON; k++ {
		f.Add(uint8(k), 2, "-12.50", "numeric(10,2)")
		f.Add(uint8(k), 0, "00ff", "timestamp(6) without time zone")
	}
	f.Fuzz(func(t *testing.T, kind uint8, scale int, text, typ string) {
		if scale < 0 || scale > 38 {
			return
		}
		c := column{name: "c", typ: change.Type{Kind: change.Kind(kind), Scale: scale}}
		if v, err := parseText(c, &text); err == nil && v.Kind() != c.typ.Kind {
			t.Errorf("%q of kind %s is read as %s of kind %s", text, c.typ.Kind, v, v.Kind())
		}
		if name, args := splitType(typ); len(args) == 0 && name != typ {
			t.Errorf("%q without arguments is called %q", typ, name)
		}
	})
}
