package clickhouse

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// appendDecimal writes canonical decimal text as a scaled two's complement integer of the type's width. A
// number with more digits than the type has, before or after the point, is refused.
func appendDecimal(b []byte, f form, text string) ([]byte, error) {
	neg := strings.HasPrefix(text, "-")
	whole, frac, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	whole = strings.TrimLeft(whole, "0")
	if len(frac) > f.scale {
		if strings.Trim(frac[f.scale:], "0") != "" {
			return b, refuse("%s has more than %d digits after the point", text, f.scale)
		}
		frac = frac[:f.scale]
	}
	if len(whole) > f.precision-f.scale {
		return b, refuse("%s has more than %d digits before the point", text, f.precision-f.scale)
	}
	if f.precision <= digits64 {
		n := int64(number(number(0, whole), frac) * powers[f.scale-len(frac)])
		if neg {
			n = -n
		}
		return appendBits(b, f.size()*8, uint64(n)), nil
	}
	var w wide
	w.digits(whole)
	w.digits(frac)
	for left := f.scale - len(frac); left > 0; left -= digits64 {
		w.mulAdd(powers[min(left, digits64)], 0)
	}
	if neg {
		w.negate()
	}
	for _, limb := range w[:f.size()/8] {
		b = binary.LittleEndian.AppendUint64(b, limb)
	}
	return b, nil
}

// powers of ten, as far as 64 bits hold them in a decimal.
var powers = func() (p [digits64 + 1]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// number appends digits to a number.
func number(n uint64, digits string) uint64 {
	for i := range len(digits) {
		n = n*10 + uint64(digits[i]-'0')
	}
	return n
}

// wide is an integer of 256 bits, least significant limb first.
type wide [4]uint64

// digits appends decimal digits, a limb's worth at a time.
func (w *wide) digits(s string) {
	for len(s) > 0 {
		n := min(len(s), digits64)
		w.mulAdd(powers[n], number(0, s[:n]))
		s = s[n:]
	}
}

func (w *wide) mulAdd(mul, carry uint64) {
	for i := range w {
		hi, lo := bits.Mul64(w[i], mul)
		var c uint64
		w[i], c = bits.Add64(lo, carry, 0)
		carry = hi + c
	}
}

func (w *wide) negate() {
	carry := uint64(1)
	for i := range w {
		w[i], carry = bits.Add64(^w[i], 0, carry)
	}
}
