package cdc

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Codec reads values by SELECT as the log's reader reads them from the log: the same row gives the same
// values. It speaks the text protocol of a session as Source.Conn gives it.
type Codec struct {
	ZeroDates ZeroDates
}

// Codec returns the codec with the source's settings.
func (s *Source) Codec() Codec { return Codec{ZeroDates: s.cfg.ZeroDates} }

// SelectExpr is the expression to select for a column. Floats are widened: as they are, the server
// prints six digits of them.
func (Codec) SelectExpr(c *change.Column) string {
	name := QuoteName(c.Name)
	if c.Type.Kind == change.Float || c.Type.Kind == change.Double {
		return name + "+0.0e0"
	}
	return name
}

// Decode reads what SelectExpr gave for a column; nil is NULL. A value that does not fit is a
// *ValueError, never a silent NULL.
func (k Codec) Decode(t *change.Table, column int, raw []byte) (change.Value, error) {
	if raw == nil {
		return change.NullValue(), nil
	}
	c := &t.Columns[column]
	v, err := k.decode(c, raw)
	if err != nil {
		const limit = 40
		shown := strconv.Quote(string(raw[:min(len(raw), limit)]))
		return change.Value{}, &ValueError{Table: t.ID, Column: c.Name, Value: shown, Reason: err.Error()}
	}
	return v, nil
}

// DecodeSQL is Codec.Decode under the default policy for zero dates.
func DecodeSQL(t *change.Table, column int, raw []byte) (change.Value, error) {
	return Codec{}.Decode(t, column, raw)
}

var (
	errNumber  = errors.New("is not a number of the column's type")
	errDate    = errors.New("is not a date or time of the column's type")
	errZero    = errors.New("is a date without a day (source.zero_dates says what to do with those)")
	errNoValue = errors.New("has a type that cannot be read")
)

func (k Codec) decode(c *change.Column, raw []byte) (change.Value, error) {
	s := string(raw)
	//exhaustive:enforce
	switch c.Type.Kind {
	case change.Int:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return change.Value{}, errNumber
		}
		return change.IntValue(n), nil
	case change.Uint:
		return decodeUint(c, s)
	case change.Float, change.Double:
		return decodeFloat(c, s)
	case change.Decimal:
		d, ok := change.NormalDecimal(s, c.Type.Scale)
		if !ok {
			return change.Value{}, errNumber
		}
		return change.DecimalValue(d), nil
	case change.String:
		return change.StringValue(s), nil
	case change.Bytes:
		return change.BytesString(s), nil
	case change.Year:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n != 0 && (n < 1901 || n > 2155) {
			return change.Value{}, errDate
		}
		return change.YearValue(n), nil
	case change.Time:
		return decodeTime(s)
	case change.Date, change.Datetime, change.Timestamp:
		return k.decodeDate(c, s)
	case change.Null, change.Absent, change.JSON: // of no column of this source
	}
	return change.Value{}, errNoValue
}

func decodeUint(c *change.Column, s string) (change.Value, error) {
	if c.Type.Name == "bit" { // the bits themselves, big-endian
		if len(s) > 8 {
			return change.Value{}, errNumber
		}
		var v uint64
		for i := range len(s) {
			v = v<<8 | uint64(s[i])
		}
		return change.UintValue(v), nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return change.Value{}, errNumber
	}
	return change.UintValue(n), nil
}

func decodeFloat(c *change.Column, s string) (change.Value, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return change.Value{}, errNumber
	}
	if c.Type.Kind == change.Double {
		return change.DoubleValue(v), nil
	}
	f := float32(v)
	if math.IsInf(float64(f), 0) {
		return change.Value{}, errNumber
	}
	if f == 0 {
		f = 0 // SQL cannot tell negative zero
	}
	return change.FloatValue(f), nil
}

// decodeTime reads "-838:59:59.000000".
func decodeTime(s string) (change.Value, error) {
	sign := int64(1)
	if strings.HasPrefix(s, "-") {
		sign, s = -1, s[1:]
	}
	clock, fraction, _ := strings.Cut(s, ".")
	p := strings.Split(clock, ":")
	if len(p) != 3 {
		return change.Value{}, errDate
	}
	hour, ok1 := digits(p[0], 999)
	minute, ok2 := digits(p[1], 59)
	second, ok3 := digits(p[2], 59)
	micro, ok4 := micros(fraction)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return change.Value{}, errDate
	}
	return change.TimeValue(sign * Micros(0, hour, minute, second, micro)), nil
}

// decodeDate reads "2024-02-29" and "2024-02-29 23:59:59.000000".
func (k Codec) decodeDate(c *change.Column, s string) (change.Value, error) {
	date, clock, timed := strings.Cut(s, " ")
	p := strings.Split(date, "-")
	if len(p) != 3 || timed != (c.Type.Kind != change.Date) {
		return change.Value{}, errDate
	}
	year, ok1 := digits(p[0], 9999)
	month, ok2 := digits(p[1], 12)
	day, ok3 := digits(p[2], 31)
	if !ok1 || !ok2 || !ok3 {
		return change.Value{}, errDate
	}
	days, ok := Days(year, month, day)
	if !ok {
		v, ok := k.ZeroDates.ZeroDate(c.Type.Kind, c.Nullable)
		if !ok {
			return v, errZero
		}
		return v, nil
	}
	if !timed {
		return change.DateValue(days), nil
	}
	clock, fraction, _ := strings.Cut(clock, ".")
	p = strings.Split(clock, ":")
	if len(p) != 3 {
		return change.Value{}, errDate
	}
	hour, ok1 := digits(p[0], 23)
	minute, ok2 := digits(p[1], 59)
	second, ok3 := digits(p[2], 59)
	micro, ok := micros(fraction)
	if !ok1 || !ok2 || !ok3 || !ok {
		return change.Value{}, errDate
	}
	v := Micros(days, hour, minute, second, micro)
	if c.Type.Kind == change.Timestamp {
		return change.TimestampValue(v), nil
	}
	return change.DatetimeValue(v), nil
}

// digits reads a number without sign, at most limit.
func digits(s string, limit int) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return int(n), err == nil && n <= uint64(limit)
}

// micros reads up to six digits behind the point.
func micros(s string) (int, bool) {
	if s == "" {
		return 0, true
	}
	if len(s) > 6 {
		return 0, false
	}
	n, ok := digits(s, 999999)
	for i := len(s); i < 6; i++ {
		n *= 10
	}
	return n, ok
}
