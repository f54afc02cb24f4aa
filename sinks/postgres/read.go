package postgres

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/etlsandbox/cdc/schemas/change"
)

// readText is an expression that prints a column so that parseText reads it back exactly.
func readText(c column, alias string) string {
	e := alias + "." + ident(c.name)
	switch c.form {
	case formBytea:
		return "encode(" + e + ", 'hex')"
	case formDate:
		return "(" + e + " - DATE '1970-01-01')::text"
	case formInterval:
		return fmt.Sprintf("(extract(epoch FROM date_trunc('second', %s))::bigint * 1000000 + extract(microseconds FROM %[1]s)::bigint %% 1000000)::text", e)
	case formTimestamp, formTimestamptz:
		return fmt.Sprintf("(floor(extract(epoch FROM date_trunc('second', %s)))::bigint * 1000000 + extract(microseconds FROM %[1]s)::bigint %% 1000000)::text", e)
	}
	return e + "::text"
}

// parseText makes a value of what readText printed.
func parseText(c column, text *string) (change.Value, error) {
	if text == nil {
		return change.NullValue(), nil
	}
	s := *text
	switch c.typ.Kind {
	case change.String:
		return change.StringValue(s), nil
	case change.JSON:
		return change.JSONValue(s), nil
	case change.Decimal:
		if canonical, ok := change.NormalDecimal(s, c.typ.Scale); ok {
			s = canonical
		} // else it is no value of the source, and differs from all of them
		return change.DecimalValue(s), nil
	case change.Bytes:
		b, err := hex.DecodeString(s)
		return change.BytesValue(b), err
	case change.Float:
		f, err := strconv.ParseFloat(s, 32)
		return change.FloatValue(float32(f)), err
	case change.Double:
		f, err := strconv.ParseFloat(s, 64)
		return change.DoubleValue(f), err
	case change.Uint:
		base := 10
		if c.form == formBits {
			base = 2
		}
		u, err := strconv.ParseUint(s, base, 64)
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
