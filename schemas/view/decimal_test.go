package view

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// drawDec draws a decimal, often at the border between the small and the big form.
func drawDec(t *rapid.T, name string) (dec, *big.Rat) {
	digits := rapid.StringMatching(`-?[1-9][0-9]{0,24}`).Draw(t, name)
	scale := rapid.IntRange(0, 12).Draw(t, name+" scale")
	n, _ := new(big.Int).SetString(digits, 10)
	d := bigDec(n, scale)
	return d, new(big.Rat).SetFrac(n, bigPow10(scale))
}

func (d dec) rat() *big.Rat { return new(big.Rat).SetFrac(d.bigCoef(), bigPow10(d.scale)) }

// TestDecimalArithmetic compares with exact fractions.
func TestDecimalArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, ra := drawDec(t, "a")
		b, rb := drawDec(t, "b")
		check := func(op string, got dec, want *big.Rat) {
			if got.rat().Cmp(want) != 0 {
				t.Fatalf("%s %s %s = %s, want %s", a.value().Text(), op, b.value().Text(), got.value().Text(), want.FloatString(20))
			}
		}
		check("+", a.add(b), new(big.Rat).Add(ra, rb))
		check("-", a.add(b.neg()), new(big.Rat).Sub(ra, rb))
		check("*", a.mul(b), new(big.Rat).Mul(ra, rb))
		if got := a.cmp(b); got != ra.Cmp(rb) {
			t.Fatalf("%s cmp %s = %d", a.value().Text(), b.value().Text(), got)
		}
		// a = q*b + r with q whole, |r| < |b|, r of a's sign
		q, r := a.quo(b, 0), a.mod(b)
		check("quo", q.mul(b).add(r), ra)
		if r.rat().Sign()*ra.Sign() < 0 || new(big.Rat).Abs(r.rat()).Cmp(new(big.Rat).Abs(rb)) >= 0 {
			t.Fatalf("%s mod %s = %s", a.value().Text(), b.value().Text(), r.value().Text())
		}
		if back := parseDec(a.value().Text()); back.cmp(a) != 0 || back.scale != a.scale {
			t.Fatalf("%s reads back as %s", a.value().Text(), back.value().Text())
		}
		places := rapid.IntRange(-4, 14).Draw(t, "places")
		half := new(big.Rat).SetFrac(big.NewInt(1), big.NewInt(2))
		if places > 0 {
			half.Quo(half, new(big.Rat).SetInt(bigPow10(places)))
		} else {
			half.Mul(half, new(big.Rat).SetInt(bigPow10(-places)))
		}
		off := new(big.Rat).Sub(a.round(places).rat(), ra)
		if c := new(big.Rat).Abs(off).Cmp(half); c > 0 || c == 0 && off.Sign() != ra.Sign() {
			t.Fatalf("ROUND(%s, %d) = %s", a.value().Text(), places, a.round(places).value().Text())
		}
	})
}
