package view

import (
	"math"
	"math/big"
	"strconv"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Limits of a decimal on the servers: digits in all, digits after the point. MariaDB allows a scale of
// 38, MySQL 30; what one of them refuses does not compile.
const (
	maxDecimalDigits = 65
	maxDecimalScale  = 30
)

// dec is coefficient * 10^-scale. The coefficient is in big when it is not nil, else in small; small
// keeps everything that fits, so that the usual amounts need no allocation.
type dec struct {
	small int64
	big   *big.Int
	scale int
}

var pow10Table = [19]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

func bigPow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// parseDec reads canonical decimal text; the scale is the number of digits after the point.
func parseDec(s string) dec {
	digits, scale, neg, point := 0, 0, false, false
	var n int64
	for i := range len(s) {
		switch c := s[i]; {
		case c == '-':
			neg = true
		case c == '.':
			point = true
		default:
			if digits++; digits > 18 {
				return parseBigDec(s)
			}
			n = n*10 + int64(c-'0')
			if point {
				scale++
			}
		}
	}
	if neg {
		n = -n
	}
	return dec{small: n, scale: scale}
}

func parseBigDec(s string) dec {
	b := make([]byte, 0, len(s))
	scale := 0
	for i := range len(s) {
		if s[i] == '.' {
			scale = len(s) - i - 1
			continue
		}
		b = append(b, s[i])
	}
	n, ok := new(big.Int).SetString(string(b), 10)
	if !ok {
		n = new(big.Int)
	}
	return bigDec(n, scale)
}

// bigDec makes a dec of a coefficient, small if it fits.
func bigDec(n *big.Int, scale int) dec {
	if n.IsInt64() {
		return dec{small: n.Int64(), scale: scale}
	}
	return dec{big: n, scale: scale}
}

// toDec converts an Int, Uint or Decimal value.
func toDec(v change.Value) dec {
	switch v.Kind() {
	case change.Decimal:
		return parseDec(v.Text())
	case change.Uint:
		if u := v.Uint(); u > math.MaxInt64 {
			return dec{big: new(big.Int).SetUint64(u)}
		}
		return dec{small: int64(v.Uint())}
	}
	return dec{small: v.Int()}
}

func (d dec) bigCoef() *big.Int {
	if d.big != nil {
		return d.big
	}
	return big.NewInt(d.small)
}

func (d dec) isZero() bool { return d.big == nil && d.small == 0 }

func (d dec) negative() bool {
	if d.big != nil {
		return d.big.Sign() < 0
	}
	return d.small < 0
}

func (d dec) neg() dec {
	if d.big == nil && d.small != math.MinInt64 {
		d.small = -d.small
		return d
	}
	return bigDec(new(big.Int).Neg(d.bigCoef()), d.scale)
}

// rescale returns the same number with a scale that is not smaller.
func (d dec) rescale(scale int) dec {
	up := scale - d.scale
	if up <= 0 {
		return d
	}
	if d.big == nil && up < len(pow10Table) {
		if n, ok := mulInt64(d.small, pow10Table[up]); ok {
			return dec{small: n, scale: scale}
		}
	}
	return bigDec(new(big.Int).Mul(d.bigCoef(), bigPow10(up)), scale)
}

func mulInt64(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	c := a * b
	return c, c/b == a && !(a == math.MinInt64 && b == -1) && !(b == math.MinInt64 && a == -1)
}

func (d dec) add(o dec) dec {
	scale := max(d.scale, o.scale)
	d, o = d.rescale(scale), o.rescale(scale)
	if d.big == nil && o.big == nil {
		if n := d.small + o.small; (n > d.small) == (o.small > 0) {
			return dec{small: n, scale: scale}
		}
	}
	return bigDec(new(big.Int).Add(d.bigCoef(), o.bigCoef()), scale)
}

func (d dec) mul(o dec) dec {
	scale := d.scale + o.scale
	if d.big == nil && o.big == nil {
		if n, ok := mulInt64(d.small, o.small); ok {
			return dec{small: n, scale: scale}
		}
	}
	return bigDec(new(big.Int).Mul(d.bigCoef(), o.bigCoef()), scale)
}

// quo returns d/o truncated after scale digits; o is not zero.
func (d dec) quo(o dec, scale int) dec {
	// d.c*10^-ds / (o.c*10^-os) = (d.c * 10^(scale+os-ds) / o.c) * 10^-scale
	up := scale + o.scale - d.scale
	if d.big == nil && o.big == nil && up >= 0 && up < len(pow10Table) {
		if n, ok := mulInt64(d.small, pow10Table[up]); ok && n != math.MinInt64 {
			return dec{small: n / o.small, scale: scale}
		}
	}
	num, den := d.bigCoef(), o.bigCoef()
	if up >= 0 {
		num = new(big.Int).Mul(num, bigPow10(up))
	} else {
		den = new(big.Int).Mul(den, bigPow10(-up))
	}
	return bigDec(new(big.Int).Quo(num, den), scale)
}

// mod returns the remainder of the truncated division, with the sign of d; o is not zero.
func (d dec) mod(o dec) dec {
	scale := max(d.scale, o.scale)
	d, o = d.rescale(scale), o.rescale(scale)
	if d.big == nil && o.big == nil {
		return dec{small: d.small % o.small, scale: scale}
	}
	return bigDec(new(big.Int).Rem(d.bigCoef(), o.bigCoef()), scale)
}

// round returns the number with exactly scale digits after the point (fewer than none: zeros before
// it), halves away from zero.
func (d dec) round(scale int) dec {
	down := d.scale - scale
	if down <= 0 {
		return d.rescale(scale)
	}
	var r dec
	if d.big == nil && down < len(pow10Table) {
		p := pow10Table[down]
		q, rest := d.small/p, d.small%p
		if rest >= p-rest && rest > 0 {
			q++
		} else if rest < 0 && -rest >= p+rest {
			q--
		}
		r = dec{small: q, scale: scale}
	} else {
		p := bigPow10(down)
		q, rest := new(big.Int).QuoRem(d.bigCoef(), p, new(big.Int))
		if rest.Abs(rest).Lsh(rest, 1).Cmp(p) >= 0 {
			q.Add(q, big.NewInt(int64(d.bigCoef().Sign())))
		}
		r = bigDec(q, scale)
	}
	if scale < 0 {
		r = bigDec(new(big.Int).Mul(r.bigCoef(), bigPow10(-scale)), 0)
	}
	return r
}

// trunc returns the number without its digits after the point.
func (d dec) trunc() dec {
	if d.scale <= 0 {
		return d
	}
	if d.big == nil {
		if d.scale >= len(pow10Table) {
			return dec{}
		}
		return dec{small: d.small / pow10Table[d.scale]}
	}
	return bigDec(new(big.Int).Quo(d.big, bigPow10(d.scale)), 0)
}

func (d dec) cmp(o dec) int {
	scale := max(d.scale, o.scale)
	d, o = d.rescale(scale), o.rescale(scale)
	if d.big != nil || o.big != nil {
		return d.bigCoef().Cmp(o.bigCoef())
	}
	switch {
	case d.small < o.small:
		return -1
	case d.small > o.small:
		return 1
	}
	return 0
}

// digits counts the decimal digits of the coefficient.
func (d dec) digits() int {
	if d.big != nil {
		return len(new(big.Int).Abs(d.big).String())
	}
	var b [20]byte
	s := strconv.AppendInt(b[:0], d.small, 10)
	if s[0] == '-' {
		return len(s) - 1
	}
	return len(s)
}

// appendText appends canonical text.
func (d dec) appendText(b []byte) []byte {
	start := len(b)
	if d.big != nil {
		b = d.big.Append(b, 10)
	} else {
		b = strconv.AppendInt(b, d.small, 10)
	}
	if d.scale <= 0 {
		return b
	}
	if len(b) > start && b[start] == '-' {
		start++
	}
	// at least one digit before the point
	for missing := d.scale + 1 - (len(b) - start); missing > 0; missing-- {
		b = append(b, 0)
		copy(b[start+1:], b[start:])
		b[start] = '0'
	}
	b = append(b, 0)
	point := len(b) - 1 - d.scale
	copy(b[point+1:], b[point:])
	b[point] = '.'
	return b
}

// value returns the number as a Decimal value.
func (d dec) value() change.Value {
	var buf [80]byte
	return change.DecimalValue(string(d.appendText(buf[:0])))
}

// double converts to the nearest double.
func (d dec) double() float64 {
	var buf [80]byte
	f, err := strconv.ParseFloat(string(d.appendText(buf[:0])), 64)
	if err != nil {
		return math.NaN() // cannot happen: 65 digits fit a double
	}
	return f
}
