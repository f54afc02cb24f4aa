package main

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	capture "github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/schemas/change"
)

// parseKeys reads "A..B": keys from A up to B, both included, by the first key column; either may be missing.
func parseKeys(text string, types []change.Type) (change.KeyRange, error) {
	lo, hi, ok := strings.Cut(text, "..")
	if !ok || lo == "" && hi == "" {
		return change.KeyRange{}, fmt.Errorf("keys %q are not of the form A..B", text)
	}
	if len(types) == 0 {
		return change.KeyRange{}, fmt.Errorf("keys %q: there is no key", text)
	}
	var r change.KeyRange
	if lo != "" {
		v, err := parseKey(lo, types[0])
		if err != nil {
			return r, err
		}
		r.Lo, r.HasLo = change.KeyOf(v), true
	}
	if hi != "" {
		v, err := parseKey(hi, types[0])
		if err != nil {
			return r, err
		}
		if r.HasLo && change.KeyOf(v) < r.Lo {
			return r, fmt.Errorf("keys %q: the first lies behind the last", text)
		}
		if behind, ok := nextKey(v, types[0]); ok { // else every key lies before it
			r.Hi, r.HasHi = change.KeyOf(behind), true
		}
	}
	return r, nil
}

// keyForms are how key values are written, of all kinds that have ranges.
var keyForms = map[change.Kind]string{
	change.String: "as text",
	change.Int:    "as 42", change.Uint: "as 42, without a sign", change.Decimal: "as 42.50, with no more decimals than the column has",
	change.Date: "as 2026-02-28", change.Datetime: "as 2026-02-28 13:14:15", change.Timestamp: "in UTC, as 2026-02-28 13:14:15",
	change.Time: "as 13:14:15", change.Year: "as 2026", change.Bytes: "as text, or 0x and pairs of hexadecimal digits",
}

// parseKey reads a value of a key column.
func parseKey(text string, t change.Type) (v change.Value, err error) {
	form, ok := keyForms[t.Kind]
	switch {
	case t.Kind == change.String:
		return change.StringValue(text), nil
	case !ok:
		return v, fmt.Errorf("a key range over a column of type %s is not supported; leave the keys out", t.Name)
	case t.Kind == change.Uint: // of BIT the bits would be read, not digits
		var n uint64
		n, err = strconv.ParseUint(text, 10, 64)
		v = change.UintValue(n)
	case t.Kind == change.Bytes && strings.HasPrefix(text, "0x"):
		var b []byte
		b, err = hex.DecodeString(text[2:])
		v = change.BytesValue(b)
	default:
		v, err = capture.DecodeSQL(&change.Table{Columns: []change.Column{{Type: t}}}, 0, []byte(text))
	}
	if err != nil {
		return v, fmt.Errorf("key %q is no %s: write it %s", text, t.Name, form)
	}
	return v, nil
}

// The last values that servers hold.
const (
	lastDay    = 2932896               // 9999-12-31
	lastMoment = 253402300799_999_999  // its last microsecond
	lastClock  = 3020399 * 1000 * 1000 // 838:59:59
	firstYear  = 1901                  // behind the year 0
	lastYear   = 2155
)

// nextKey is the least value of the column behind v; ok is false if there is none.
func nextKey(v change.Value, t change.Type) (next change.Value, ok bool) {
	step := int64(math.Pow10(6 - t.Scale)) // of a temporal, in microseconds
	switch t.Kind {
	case change.Int:
		return change.IntValue(v.Int() + 1), v.Int() < math.MaxInt64
	case change.Uint:
		return change.UintValue(v.Uint() + 1), v.Uint() < math.MaxUint64
	case change.String:
		return change.StringValue(v.Text() + "\x00"), true
	case change.Bytes:
		return change.BytesString(v.Text() + "\x00"), true
	case change.Decimal:
		return nextDecimal(v.Text(), t)
	case change.Date:
		return change.DateValue(v.Int() + 1), v.Int() < lastDay
	case change.Datetime:
		return change.DatetimeValue(v.Int() + step), v.Int() <= lastMoment-step
	case change.Timestamp:
		return change.TimestampValue(v.Int() + step), v.Int() <= lastMoment-step
	case change.Time:
		return change.TimeValue(v.Int() + step), v.Int() <= lastClock-step
	case change.Year:
		return change.YearValue(max(v.Int()+1, firstYear)), v.Int() < lastYear
	}
	return v, false
}

// nextDecimal adds one in the last decimal.
func nextDecimal(text string, t change.Type) (next change.Value, ok bool) {
	n, ok := new(big.Int).SetString(strings.Replace(text, ".", "", 1), 10)
	if !ok {
		return next, false
	}
	n.Add(n, big.NewInt(1))
	abs := new(big.Int).Abs(n)
	if limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Precision)), nil); t.Precision > 0 && abs.Cmp(limit) >= 0 {
		return next, false
	}
	digits := fmt.Sprintf("%0*d", t.Scale+1, abs)
	sign := ""
	if n.Sign() < 0 {
		sign = "-"
	}
	whole := len(digits) - t.Scale
	normal, ok := change.NormalDecimal(sign+digits[:whole]+"."+digits[whole:], t.Scale)
	return change.DecimalValue(normal), ok
}
