package clickhouse

import (
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/etlsandbox/cdc/schemas/change"
)

// TestDecimal compares the encoding with big integers.
func TestDecimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		precision := rapid.IntRange(1, digits256).Draw(t, "precision")
		scale := rapid.IntRange(0, precision).Draw(t, "scale")
		f := form{kind: kindDecimal, precision: precision, scale: scale}
		digits := rapid.StringMatching(`[0-9]{1,76}`).Draw(t, "digits")[:1]
		if precision > 1 {
			digits = rapid.StringMatching(`[0-9]{1,76}`).Draw(t, "digits")
			digits = digits[:min(len(digits), precision)]
		}
		point := rapid.IntRange(max(0, len(digits)-scale), len(digits)).Draw(t, "point")
		if point > precision-scale {
			return // too large: asserted below
		}
		text := digits[:point] + "." + digits[point:]
		if neg := rapid.Bool().Draw(t, "negative"); neg {
			text = "-" + text
		}
		canonical, ok := change.NormalDecimal(text, -1)
		if !ok {
			t.Skip()
		}
		b, err := appendDecimal(nil, f, canonical)
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(b)
		got := new(big.Int).SetBytes(b)
		if b[0]&0x80 != 0 {
			got.Sub(got, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		want, ok := new(big.Rat).SetString(canonical)
		if !ok {
			t.Fatal(canonical)
		}
		want.Mul(want, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
		if !want.IsInt() || want.Num().Cmp(got) != 0 {
			t.Fatalf("%s as %s is %s, want %s", canonical, f.ddl(), got, want)
		}
	})
}

// TestRefused: what a type does not hold is an error, never another value.
func TestRefused(t *testing.T) {
	in := func(k change.Kind, f form, null bool) *column {
		return &column{name: "c", typ: change.Type{Kind: k}, form: f, nullable: null}
	}
	i8, u8, u64 := form{kind: kindInt, bits: 8}, form{kind: kindUint, bits: 8}, form{kind: kindUint, bits: 64}
	dec := form{kind: kindDecimal, precision: 4, scale: 2}
	for _, c := range []struct {
		name string
		col  *column
		v    change.Value
		ok   bool
	}{
		{"127", in(change.Int, i8, false), change.IntValue(127), true},
		{"128", in(change.Int, i8, false), change.IntValue(128), false},
		{"-129", in(change.Int, i8, false), change.IntValue(-129), false},
		{"255", in(change.Uint, u8, false), change.UintValue(255), true},
		{"256", in(change.Uint, u8, false), change.UintValue(256), false},
		{"-1 unsigned", in(change.Int, u64, false), change.IntValue(-1), false},
		{"2^63 signed", in(change.Uint, form{kind: kindInt, bits: 64}, false), change.UintValue(1 << 63), false},
		{"2^64-1", in(change.Uint, u64, false), change.UintValue(1<<64 - 1), true},
		{"99.99", in(change.Decimal, dec, false), change.DecimalValue("99.99"), true},
		{"100", in(change.Decimal, dec, false), change.DecimalValue("100.00"), false},
		{"rounded", in(change.Decimal, dec, false), change.DecimalValue("1.001"), false},
		{"zeros are not rounded", in(change.Decimal, dec, false), change.DecimalValue("1.010"), true},
		{"a double that a float holds", in(change.Double, form{kind: kindFloat, bits: 32}, false), change.DoubleValue(0.5), true},
		{"a double that a float rounds", in(change.Double, form{kind: kindFloat, bits: 32}, false), change.DoubleValue(0.1), false},
		{"1899-12-31", in(change.Date, form{kind: kindDate}, false), change.DateValue(firstDay - 1), false},
		{"1900-01-01", in(change.Date, form{kind: kindDate}, false), change.DateValue(firstDay), true},
		{"2299-12-31", in(change.Date, form{kind: kindDate}, false), change.DateValue(lastDay), true},
		{"2300-01-01", in(change.Date, form{kind: kindDate}, false), change.DateValue(lastDay + 1), false},
		{"a moment too late", in(change.Datetime, form{kind: kindDateTime64}, false), change.DatetimeValue(lastMicros + 1), false},
		{"the last moment", in(change.Datetime, form{kind: kindDateTime64}, false), change.DatetimeValue(lastMicros), true},
		{"NULL", in(change.Int, i8, true), change.NullValue(), true},
		{"NULL not taken", in(change.Int, i8, false), change.NullValue(), false},
		{"absent", in(change.Int, i8, true), change.AbsentValue(), false},
		{"another kind", in(change.Int, i8, true), change.StringValue("1"), false},
	} {
		d := data{nulls: []byte{9}, values: []byte{9}}
		err := d.append(c.col, c.v)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, errRefused) {
			t.Errorf("%s: error %v, want one: %t", c.name, err, !c.ok)
		}
		if err != nil && (len(d.nulls) != 1 || len(d.values) != 1) {
			t.Errorf("%s: %v was refused and left %d and %d bytes", c.name, c.v, len(d.nulls)-1, len(d.values)-1)
		}
	}
}

// TestForms: a type reads back as it is written, and is only taken by columns that hold all of it.
func TestForms(t *testing.T) {
	for _, f := range []form{
		{kind: kindInt, bits: 8}, {kind: kindUint, bits: 64}, {kind: kindFloat, bits: 32}, {kind: kindString}, {kind: kindDate},
		{kind: kindDateTime64, scale: 6}, {kind: kindBool}, {kind: kindDecimal, precision: 65, scale: 30},
	} {
		for _, null := range []bool{false, true} {
			got, gotNull, ok := parseForm(typeText(f, null))
			if !ok || got != f || gotNull != null {
				t.Errorf("%s is read as %+v, %t, %t", typeText(f, null), got, gotNull, ok)
			}
		}
	}
	for _, text := range []string{"UUID", "Array(Int8)", "LowCardinality(String)", "DateTime64(3)", "Date", "DateTime64(6, 'Europe/Berlin')"} {
		if _, _, ok := parseForm(text); ok {
			t.Errorf("%s is taken", text)
		}
	}
	dec := func(p, s int) form { return form{kind: kindDecimal, precision: p, scale: s} }
	for _, c := range []struct {
		want, have form
		fit        fit
	}{
		{form{kind: kindInt, bits: 32}, form{kind: kindInt, bits: 64}, fits},
		{form{kind: kindInt, bits: 64}, form{kind: kindInt, bits: 32}, widens},
		{form{kind: kindUint, bits: 32}, form{kind: kindInt, bits: 64}, fits},
		{form{kind: kindUint, bits: 64}, form{kind: kindInt, bits: 64}, refuses},
		{form{kind: kindInt, bits: 8}, form{kind: kindUint, bits: 64}, refuses},
		{dec(10, 2), dec(12, 4), fits}, {dec(10, 2), dec(10, 4), refuses}, {dec(12, 2), dec(10, 2), widens},
		{form{kind: kindString}, form{kind: kindDate}, refuses},
		{form{kind: kindDate}, form{kind: kindString}, fits}, {form{kind: kindDateTime64}, form{kind: kindString}, fits},
		{form{kind: kindInt, bits: 8}, form{kind: kindString}, refuses},
	} {
		if got := fitOf(c.want, c.have); got != c.fit {
			t.Errorf("%s into %s: %d, want %d", c.want.ddl(), c.have.ddl(), got, c.fit)
		}
	}
}

func TestLiteral(t *testing.T) {
	if got, want := literal("it's \\ \x00\xff é"), `'it\'s \\ \x00\xFF \xC3\xA9'`; got != want {
		t.Errorf("literal: %s, want %s", got, want)
	}
	if got, want := quoteName("a`b\\", "c"), "`a\\`b\\\\`.`c`"; got != want {
		t.Errorf("name: %s, want %s", got, want)
	}
	if !strings.Contains(typeText(form{kind: kindString}, true), "Nullable(String)") {
		t.Error("a nullable type says so")
	}
}

func TestOwner(t *testing.T) {
	for _, from := range []string{"Flat", "shop.order lines", "shop.semi;colon -- x", "shop.two\nlines"} {
		r := relation{comment: ownerComment(ownerComment("Orders of the shop.", "other", from), "jupiter", from)}
		if s, f := r.owner(); s != "jupiter" || f != from || strings.Count(r.comment, "[cdc") != 1 {
			t.Errorf("owner %q %q of %q, want %q", s, f, r.comment, from)
		}
	}
}
