package clickhouse

import (
	"fmt"
	"strconv"

	"github.com/etlsandbox/cdc/schemas/change"
)

// readText is an expression that prints a column so that parseText reads it back exactly.
func readText(c *column) string {
	e := quoteName(c.name)
	switch c.form.kind {
	case kindString:
	case kindDate:
		e = "toString(toInt32(" + e + "))"
	case kindDateTime64:
		e = "toString(toUnixTimestamp64Micro(" + e + "))"
	case kindInt, kindUint, kindFloat, kindDecimal, kindBool:
		e = "toString(" + e + ")"
	}
	return "toNullable(" + e + ")"
}

// parseText makes a value of what readText printed.
func parseText(c *column, text *string) (change.Value, error) {
	if text == nil {
		return change.NullValue(), nil
	}
	s := *text
	if asText(formOf(c.typ), c.form) {
		return parseDay(c.typ.Kind, s), nil
	}
	switch c.typ.Kind {
	case change.String:
		return change.StringValue(s), nil
	case change.JSON:
		return change.JSONValue(s), nil
	case change.Bytes:
		return change.BytesString(s), nil
	case change.Decimal:
		if canonical, ok := change.NormalDecimal(s, c.typ.Scale); ok {
			s = canonical
		} // else it is no value of the source, and differs from all of them
		return change.DecimalValue(s), nil
	case change.Float:
		f, err := strconv.ParseFloat(s, 32)
		return change.FloatValue(float32(f)), err
	case change.Double:
		f, err := strconv.ParseFloat(s, 64)
		return change.DoubleValue(f), err
	case change.Uint:
		u, err := strconv.ParseUint(s, 10, 64)
		return change.UintValue(u), err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return change.Value{}, fmt.Errorf("column %s: %w", c.name, err)
	}
	switch c.typ.Kind {
	case change.Int:
		return change.IntValue(n), nil
	case change.Year:
		return change.YearValue(n), nil
	case change.Date:
		return change.DateValue(n), nil
	case change.Time:
		return change.TimeValue(n), nil
	case change.Datetime:
		return change.DatetimeValue(n), nil
	case change.Timestamp:
		return change.TimestampValue(n), nil
	}
	return change.Value{}, fmt.Errorf("column %s has the kind %s", c.name, c.typ.Kind)
}
