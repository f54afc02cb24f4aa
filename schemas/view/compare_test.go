package view

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/etlsandbox/cdc/schemas/change"
)

// drawJoinValue draws a value of a column's type; the domains are small so that equal ones meet.
func drawJoinValue(t *rapid.T, typ change.Type) change.Value {
	n := rapid.SampledFrom([]int64{0, 1, -1, 2, 10, math.MaxInt64, math.MinInt64}).Draw(t, "n")
	switch typ.Kind {
	case change.Int:
		return change.IntValue(n)
	case change.Uint:
		return change.UintValue(uint64(n))
	case change.Decimal:
		text := rapid.SampledFrom([]string{"0", "1", "-1", "2", "1.5", "10", "9223372036854775807", "-9223372036854775808",
			"18446744073709551615", "9223372036854775808"}).Draw(t, "d")
		d, _ := change.NormalDecimal(text, typ.Scale)
		return change.DecimalValue(d)
	case change.Date:
		return change.DateValue(n % 3)
	case change.Datetime:
		return change.DatetimeValue(n % 3 * microsPerDay / 2)
	case change.Timestamp:
		return change.TimestampValue(n % 3 * microsPerDay)
	case change.Bytes:
		return change.BytesValue([]byte(rapid.SampledFrom([]string{"", "a", "A", "a ", "a\x00"}).Draw(t, "b")))
	}
	return change.StringValue(rapid.SampledFrom([]string{"", " ", "a", "A", "a ", "á", "ß", "s", "ss", "😀", "😁", "a\x00", "a\t", "日", "\u00a0", "a\u00ad"}).Draw(t, "s"))
}

// TestJoinKeysMatchEquality: two values have one join key if and only if = is true of them.
func TestJoinKeysMatchEquality(t *testing.T) {
	types := []change.Type{
		columnType("int"), columnType("bigint"), columnType("ubigint"), columnType("decimal(20,0)"), columnType("decimal(22,2)"),
		columnType("date"), columnType("datetime(6)"), columnType("timestamp"), columnType("varbinary(9)"),
		columnType("varchar(9)"), columnType("varchar(9,utf8mb4_bin)"), columnType("varchar(9,latin1_swedish_ci)"), columnType("varchar(9,utf8mb4_unicode_ci)"),
	}
	seen := map[Comparison]bool{}
	for _, a := range types {
		for _, b := range types {
			l := &column{base: base{typ: a, class: classOf(a), der: derImplicit}}
			r := &column{base: base{typ: b, class: classOf(b), der: derImplicit}}
			eq, err := newComparison("=", l, r)
			if err != nil {
				continue // refused: such columns do not join
			}
			as, err := joinClass(eq)
			if err != nil {
				continue
			}
			seen[as] = true
			rapid.Check(t, func(t *rapid.T) {
				x, y := drawJoinValue(t, a), drawJoinValue(t, b)
				kx, ok1 := AppendJoinKey(nil, x, as)
				ky, ok2 := AppendJoinKey([]byte("prefix"), y, as)
				ky, prefixed := bytes.CutPrefix(ky, []byte("prefix"))
				if !ok1 || !ok2 || !prefixed {
					t.Fatalf("no key of %s or %s", x, y)
				}
				if got, want := bytes.Equal(kx, ky), eq.by.compare(x, y) == 0; got != want {
					t.Fatalf("%s and %s (%s): keys equal %v, values equal %v", x, y, as, got, want)
				}
			})
		}
	}
	for as := CompareSame; as <= CompareUnicodeCI; as++ {
		if !seen[as] && as != CompareBinary { // two binary strings are CompareSame
			t.Errorf("no pair of types joins as %s", as)
		}
	}
}

func TestJoinKeyOfNull(t *testing.T) {
	for _, v := range []change.Value{change.NullValue(), change.AbsentValue()} {
		if out, ok := AppendJoinKey([]byte("x"), v, CompareNumber); ok || string(out) != "x" {
			t.Errorf("AppendJoinKey(%s) = %q, %v; NULL equals nothing", v, out, ok)
		}
	}
}

// TestJoinKeyIsTableKey: where both sides have one kind, a join key is the table's own key.
func TestJoinKeyIsTableKey(t *testing.T) {
	for _, v := range []change.Value{change.IntValue(-3), change.UintValue(7), change.DecimalValue("1.50"), change.DateValue(5), change.BytesValue([]byte("a\x00"))} {
		key, _ := AppendJoinKey(nil, v, CompareSame)
		if change.Key(key) != change.KeyOf(v) {
			t.Errorf("join key of %s is not its key", v)
		}
	}
}

// TestJoinKeysAreSelfDelimiting: the keys of a list of values never run into each other.
func TestJoinKeysAreSelfDelimiting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune{0, 1, 'a', 'A', ' ', 0xff, 'ß'}))
		as := rapid.SampledFrom([]Comparison{CompareSame, ComparePadded, CompareGeneralCI, CompareSwedishCI, CompareUnicodeCI, CompareBinary}).Draw(t, "as")
		list := func(name string) (key, parts string) {
			var b []byte
			for i := range 2 {
				v := change.StringValue(text.Draw(t, fmt.Sprint(name, i)))
				one, _ := AppendJoinKey(nil, v, as)
				parts += fmt.Sprintf("%x|", one)
				b, _ = AppendJoinKey(b, v, as)
			}
			return string(b), parts
		}
		k1, p1 := list("x")
		k2, p2 := list("y")
		if (k1 == k2) != (p1 == p2) {
			t.Fatalf("two lists of different keys are one key: %s %s", p1, p2)
		}
	})
}
