package change

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func decimalType(scale int) Type { return Type{Kind: Decimal, Name: "decimal", Scale: scale} }

// cmpValues orders two values of one kind as the server does under binary comparison.
func cmpValues(a, b Value) int {
	switch {
	case a.IsNull() || b.IsNull():
		return b2i(b.IsNull()) - b2i(a.IsNull())
	case a.kind == Uint:
		return compareOrdered(a.n, b.n)
	case a.kind == Float || a.kind == Double:
		return compareOrdered(a.Double(), b.Double())
	case a.kind == Decimal:
		x, _ := new(big.Rat).SetString(a.s)
		y, _ := new(big.Rat).SetString(b.s)
		return x.Cmp(y)
	case a.kind == String || a.kind == Bytes:
		return strings.Compare(a.s, b.s)
	}
	return compareOrdered(a.Int(), b.Int())
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func compareOrdered[T int64 | uint64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func drawKeyValue(rt *rapid.T, ty Type) Value {
	if rapid.IntRange(0, 7).Draw(rt, "null") == 0 {
		return NullValue()
	}
	switch ty.Kind {
	case Uint:
		return UintValue(rapid.Uint64().Draw(rt, "u"))
	case Double:
		return DoubleValue(rapid.Float64Range(-1e300, 1e300).Draw(rt, "f"))
	case Decimal:
		s, ok := NormalDecimal(rapid.StringMatching(`-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?`).Draw(rt, "d"), ty.Scale)
		if !ok {
			rt.Fatal("drawn decimal does not fit")
		}
		return DecimalValue(s)
	case String:
		return StringValue(rapid.StringOfN(rapid.RuneFrom([]rune("ab\x00\x01ÿ")), 0, 4, -1).Draw(rt, "s"))
	case Bytes:
		return BytesValue(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0xfe, 0xff}), 0, 4).Draw(rt, "b"))
	}
	return Value{kind: ty.Kind, n: uint64(rapid.Int64().Draw(rt, "i"))}
}

// TestKeyOrder: bytes of keys order as their values, column by column; and every key decodes back.
func TestKeyOrder(t *testing.T) {
	kinds := []Type{{Kind: Int}, {Kind: Uint}, {Kind: Double}, decimalType(3), {Kind: String}, {Kind: Bytes}, {Kind: Datetime}, {Kind: Date}}
	rapid.Check(t, func(rt *rapid.T) {
		types := rapid.SliceOfN(rapid.SampledFrom(kinds), 1, 3).Draw(rt, "types")
		var a, b Row
		want := 0
		for _, ty := range types {
			x, y := drawKeyValue(rt, ty), drawKeyValue(rt, ty)
			if rapid.Bool().Draw(rt, "same") {
				y = x
			}
			a, b = append(a, x), append(b, y)
			if want == 0 {
				want = cmpValues(x, y)
			}
		}
		ka, kb := KeyOf(a...), KeyOf(b...)
		if got := strings.Compare(string(ka), string(kb)); got != want {
			rt.Fatalf("keys of %v and %v compare %d, values %d", a, b, got, want)
		}
		back, err := DecodeKey(ka, types)
		if err != nil || !back.Equal(a) {
			rt.Fatalf("%v decodes as %v, %v", a, back, err)
		}
		if head := KeyOf(a[:1]...); !strings.HasPrefix(string(ka), string(head)) {
			rt.Fatalf("key of the first column is no prefix")
		}
	})
}

func TestKeyRange(t *testing.T) {
	k := func(n int64) Key { return KeyOf(IntValue(n)) }
	r := KeyRange{Lo: k(2), HasLo: true, Hi: k(5), HasHi: true}
	for n, want := range map[int64]bool{1: false, 2: true, 4: true, 5: false} {
		if r.Contains(k(n)) != want {
			t.Errorf("[2,5) contains %d: %t", n, !want)
		}
	}
	if w := WholeTable(); !w.Contains("") || !w.Contains(k(1<<62)) || w.IsEmpty() {
		t.Error("the whole table lacks a key")
	}
	for _, r := range []KeyRange{r, WholeTable(), {HasLo: true, Lo: ""}, {HasHi: true, Hi: k(1)}} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back KeyRange
		if err := json.Unmarshal(b, &back); err != nil || back != r {
			t.Errorf("%s reads back as %+v, %v", b, back, err)
		}
	}
}

func TestNormalDecimal(t *testing.T) {
	for _, c := range []struct {
		in    string
		scale int
		want  string
		ok    bool
	}{
		{"1.5", 2, "1.50", true}, {"-0.00", 2, "0.00", true}, {"+007", 0, "7", true}, {".5", 1, "0.5", true},
		{"1.230", 2, "1.23", true}, {"1.234", 2, "", false}, {"", 0, "", false}, {".", 0, "", false}, {"1e5", 0, "", false},
		{"-12.", 1, "-12.0", true}, {"1.2300", -1, "1.2300", true}, {"--1", 0, "", false},
	} {
		if got, ok := NormalDecimal(c.in, c.scale); got != c.want || ok != c.ok {
			t.Errorf("NormalDecimal(%q, %d) = %q, %t; want %q, %t", c.in, c.scale, got, ok, c.want, c.ok)
		}
	}
}

func FuzzDecodeKey(f *testing.F) {
	types := []Type{{Kind: Int}, decimalType(2), {Kind: String}}
	f.Add([]byte(KeyOf(IntValue(-5), DecimalValue("-10.25"), StringValue("a\x00b"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := DecodeKey(Key(b), types)
		if err != nil {
			return
		}
		again, err := DecodeKey(KeyOf(row...), types)
		if err != nil || !again.Equal(row) {
			t.Errorf("%x: %v encodes to something else: %v, %v", b, row, again, err)
		}
	})
}
