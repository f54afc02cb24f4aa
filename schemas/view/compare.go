package view

import (
	"math"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Comparison is the class under which two values compare in a join condition.
type Comparison uint8

// The classes. CompareSame holds values of one kind on both sides that are equal only if their Keys are:
// the join key then is change.AppendKey of the value, so that a join onto a table's key columns can seek
// the table's own keys. The other classes bring different kinds, or strings that are equal without being
// identical, to one form.
const (
	CompareSame      Comparison = iota + 1
	CompareNumber               // integers of either sign and decimals
	CompareMoment               // DATE, DATETIME, TIMESTAMP
	CompareBinary               // text or bytes, byte by byte
	ComparePadded               // text by code points, trailing spaces aside: the _bin collations
	CompareGeneralCI            // utf8mb4_general_ci
	CompareSwedishCI            // latin1_swedish_ci
	CompareUnicodeCI            // utf8mb4_unicode_ci
)

var comparisonNames = [...]string{"", "same kind", "numeric", "moment", "binary", "binary, padded", "general_ci", "swedish_ci", "unicode_ci"}

// String names the class.
func (c Comparison) String() string {
	if int(c) < len(comparisonNames) {
		return comparisonNames[c]
	}
	return "comparison?"
}

// exact reports whether either of two equal values determines the other.
func (c Comparison) exact() bool {
	return c == CompareSame || c == CompareNumber || c == CompareMoment || c == CompareBinary
}

// AppendJoinKey appends a self-delimiting encoding of v to b: two values that are equal under the class,
// and only they, give equal bytes. ok is false, and b as it was, for NULL (which equals nothing) and for
// an Absent value.
func AppendJoinKey(b []byte, v change.Value, as Comparison) (out []byte, ok bool) {
	if v.IsNull() || v.IsAbsent() {
		return b, false
	}
	switch as {
	case CompareNumber:
		return appendNumber(b, v), true
	case CompareMoment:
		return change.AppendKey(b, change.DatetimeValue(moment(v))), true
	case CompareBinary:
		return change.AppendKey(b, change.StringValue(v.Text())), true
	case ComparePadded:
		return change.AppendKey(b, change.StringValue(strings.TrimRight(v.Text(), " "))), true
	case CompareGeneralCI:
		return appendWeighted(b, v.Text(), &collation{pad: true, weights: generalCI()}), true
	case CompareUnicodeCI:
		return appendWeighted(b, v.Text(), &collation{uca: unicodeCI()}), true
	case CompareSwedishCI:
		return appendWeighted(b, v.Text(), &collation{pad: true, weights: swedishCI()}), true
	}
	return change.AppendKey(b, v), true
}

func appendWeighted(b []byte, s string, c *collation) []byte {
	var buf [64]byte
	return change.AppendKey(b, change.StringValue(string(c.appendWeights(buf[:0], s))))
}

// appendNumber brings integers and decimals to one form: what fits a BIGINT as Int, the rest as Decimal.
func appendNumber(b []byte, v change.Value) []byte {
	switch v.Kind() {
	case change.Uint:
		if u := v.Uint(); u > math.MaxInt64 {
			return change.AppendKey(b, toDec(v).value())
		}
		return change.AppendKey(b, change.IntValue(int64(v.Uint())))
	case change.Decimal:
		if d := parseDec(v.Text()); d.mod(dec{small: 1}).isZero() {
			if n, ok := decToInt(d.trunc(), classInt); ok {
				return change.AppendKey(b, n)
			}
		}
	}
	return change.AppendKey(b, v)
}

// moment is the value of a DATE, DATETIME or TIMESTAMP in microseconds.
func moment(v change.Value) int64 {
	if v.Kind() == change.Date {
		return v.Int() * microsPerDay
	}
	return v.Int()
}

const microsPerDay = 86400 * 1e6
