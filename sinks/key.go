package sinks

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/etlsandbox/cdc/schemas/change"
)

// FormatKey prints the values of a key as the JSON array that cdc_quarantine.row_key holds: NULL is null,
// integers and temporals are numbers (days or microseconds), all else is a string, binary strings in
// base64. Equal keys, and only they, have equal text.
func FormatKey(key change.Row) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, v := range key {
		if i > 0 {
			b.WriteByte(',')
		}
		switch v.Kind() {
		case change.Null, change.Absent:
			b.WriteString("null")
		case change.Int, change.Date, change.Time, change.Datetime, change.Timestamp, change.Year:
			b.WriteString(strconv.FormatInt(v.Int(), 10))
		case change.Uint:
			b.WriteString(strconv.FormatUint(v.Uint(), 10))
		case change.Float, change.Double:
			b.WriteString(strconv.Quote(strconv.FormatFloat(v.Double(), 'g', -1, 64)))
		case change.Bytes:
			b.WriteString(strconv.Quote(base64.StdEncoding.EncodeToString([]byte(v.Text()))))
		case change.Decimal, change.String, change.JSON:
			text, err := json.Marshal(v.Text())
			if err != nil { // a string always encodes
				text = []byte(`""`)
			}
			b.Write(text)
		}
	}
	b.WriteByte(']')
	return b.String()
}

// ParseKey is the inverse of FormatKey for key columns of the given types.
func ParseKey(text string, types []change.Type) (change.Row, error) {
	var parts []json.RawMessage
	if err := json.Unmarshal([]byte(text), &parts); err != nil {
		return nil, fmt.Errorf("parse row key %s: %w", text, err)
	}
	if len(parts) != len(types) {
		return nil, fmt.Errorf("parse row key %s: %d values for %d key columns", text, len(parts), len(types))
	}
	row := make(change.Row, len(parts))
	for i, p := range parts {
		v, err := parseKeyValue(string(p), types[i].Kind)
		if err != nil {
			return nil, fmt.Errorf("parse row key %s, value %d as %s: %w", text, i+1, types[i].Kind, err)
		}
		row[i] = v
	}
	return row, nil
}

func parseKeyValue(raw string, kind change.Kind) (change.Value, error) {
	if raw == "null" {
		return change.NullValue(), nil
	}
	if kind == change.Uint {
		u, err := strconv.ParseUint(raw, 10, 64)
		return change.UintValue(u), err
	}
	var make func(int64) change.Value
	switch kind {
	case change.Int:
		make = change.IntValue
	case change.Date:
		make = change.DateValue
	case change.Time:
		make = change.TimeValue
	case change.Datetime:
		make = change.DatetimeValue
	case change.Timestamp:
		make = change.TimestampValue
	case change.Year:
		make = change.YearValue
	}
	if make != nil {
		n, err := strconv.ParseInt(raw, 10, 64)
		return make(n), err
	}
	var s string
	if err := json.Unmarshal([]byte(raw), &s); err != nil {
		return change.Value{}, err
	}
	switch kind {
	case change.Float, change.Double:
		f, err := strconv.ParseFloat(s, 64)
		if kind == change.Float {
			return change.FloatValue(float32(f)), err
		}
		return change.DoubleValue(f), err
	case change.Bytes:
		b, err := base64.StdEncoding.DecodeString(s)
		return change.BytesValue(b), err
	case change.Decimal:
		return change.DecimalValue(s), nil
	case change.String:
		return change.StringValue(s), nil
	case change.JSON:
		return change.JSONValue(s), nil
	}
	return change.Value{}, fmt.Errorf("no key has the kind %s", kind)
}

// Bound is one end of a key range in terms of column values, for destinations that compare columns.
type Bound struct {
	// Values of the leading key columns.
	Values change.Row
	// After places the bound behind all keys that begin with Values; otherwise it is before them.
	After bool
}

// DecodeBound turns a bound of a change.KeyRange into values of leading key columns. What follows the last
// whole value places the bound before or behind the keys that begin with these values.
func DecodeBound(k change.Key, types []change.Type) (Bound, error) {
	var b Bound
	rest := k
	for i := 0; i < len(types) && rest != ""; i++ {
		v, r, err := change.DecodeKeyPrefix(rest, types[i:i+1])
		if err != nil {
			return decodePartial(b, rest, k, err)
		}
		b.Values, rest = append(b.Values, v[0]), r
	}
	// Something after all columns (the successor of a key) sorts behind that key.
	b.After = rest != ""
	return b, nil
}

// decodePartial places a bound that ends in less than a whole value. No value begins with a byte above
// the encoding's tags, and none lies before the shortest continuation.
func decodePartial(b Bound, rest, whole change.Key, err error) (Bound, error) {
	const highestTag = 0x05
	if rest[0] > highestTag {
		b.After = true
		return b, nil
	}
	return Bound{}, fmt.Errorf("decode the bound %x of a key range: %w", string(whole), err)
}
