package wire

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Decoder reads the envelopes of one table's shape, as Encoder writes them; fields may stand in any
// order. It is not safe for concurrent use.
type Decoder struct {
	table *change.Table
	index map[string]int
	s     scanner
}

// NewDecoder returns a decoder of a table's records.
func NewDecoder(t *change.Table) *Decoder {
	d := &Decoder{table: t, index: make(map[string]int, len(t.Columns))}
	for i, c := range t.Columns {
		d.index[c.Name] = i
	}
	return d
}

// Table is the shape that the decoder reads.
func (d *Decoder) Table() *change.Table { return d.table }

// Decode reads one envelope: operation and rows. The rows share one copy of the value's text. Source
// and times are not read: a reader knows them from the progress record.
func (d *Decoder) Decode(value []byte) (change.Event, error) {
	d.s = scanner{s: string(value)}
	ev := change.Event{Table: d.table}
	err := d.s.object(func(name string) error {
		var err error
		switch name {
		case "before":
			ev.Before, err = d.row()
		case "after":
			ev.After, err = d.row()
		case "op":
			var op string
			if op, err = d.s.str(); err == nil {
				ev.Op, err = parseOp(op)
			}
		default:
			err = d.s.skip(0)
		}
		return err
	})
	if err == nil {
		err = d.s.end()
	}
	if err == nil {
		err = checkRows(&ev)
	}
	if err != nil {
		return change.Event{}, fmt.Errorf("decode record of %s: %w", d.table.ID, err)
	}
	return ev, nil
}

func parseOp(s string) (change.Op, error) {
	switch s {
	case "c":
		return change.Insert, nil
	case "u":
		return change.Update, nil
	case "d":
		return change.Delete, nil
	case "r":
		return change.Read, nil
	}
	return 0, fmt.Errorf("op %q is not one of c, u, d, r", s)
}

func checkRows(ev *change.Event) error {
	before := ev.Op == change.Update || ev.Op == change.Delete
	after := ev.Op != change.Delete
	if ev.Op == 0 || (ev.Before != nil) != before || (ev.After != nil) != after {
		return fmt.Errorf("op %s with before=%t after=%t", ev.Op, ev.Before != nil, ev.After != nil)
	}
	return nil
}

func (d *Decoder) row() (change.Row, error) {
	if d.s.null() {
		return nil, nil
	}
	cols := d.table.Columns
	row := make(change.Row, len(cols))
	seen, next := 0, 0
	err := d.s.object(func(name string) error {
		i := next
		if i >= len(cols) || cols[i].Name != name {
			var ok bool
			if i, ok = d.index[name]; !ok {
				return fmt.Errorf("column %q is not in version %d of the table", name, d.table.Version)
			}
		}
		v, err := d.s.value(&cols[i].Type)
		if err != nil {
			return fmt.Errorf("column %s: %w", name, err)
		}
		row[i], next = v, i+1
		seen++
		return nil
	})
	if err == nil && seen != len(cols) {
		err = fmt.Errorf("row has %d columns, version %d of the table has %d", seen, d.table.Version, len(cols))
	}
	return row, err
}

// value reads one column's value of the given type.
func (s *scanner) value(t *change.Type) (change.Value, error) {
	if s.null() {
		return change.NullValue(), nil
	}
	switch t.Kind {
	case change.Int, change.Year, change.Date, change.Time, change.Datetime:
		n, err := s.integer()
		return intOf(t, n), err
	case change.Uint:
		if t.Name == "bit" {
			return s.bit(t.Length)
		}
		n, err := s.number()
		if err != nil {
			return change.Value{}, err
		}
		u, err := strconv.ParseUint(n, 10, 64)
		return change.UintValue(u), err
	case change.Float, change.Double:
		return s.float(t.Kind)
	case change.Timestamp:
		return s.timestamp()
	}
	text, err := s.str()
	if err != nil {
		return change.Value{}, err
	}
	return textOf(t, text)
}

func intOf(t *change.Type, n int64) change.Value {
	switch t.Kind {
	case change.Year:
		return change.YearValue(n)
	case change.Date:
		return change.DateValue(n)
	case change.Time:
		return change.TimeValue(n)
	case change.Datetime:
		if t.Scale <= 3 {
			n *= 1000
		}
		return change.DatetimeValue(n)
	}
	return change.IntValue(n)
}

func textOf(t *change.Type, text string) (change.Value, error) {
	switch t.Kind {
	case change.Decimal:
		if canonical, ok := change.NormalDecimal(text, t.Scale); !ok || canonical != text {
			return change.Value{}, fmt.Errorf("%q is not a decimal with %d digits after the point", text, t.Scale)
		}
		return change.DecimalValue(text), nil
	case change.String:
		return change.StringValue(text), nil
	case change.JSON:
		return change.JSONValue(text), nil
	case change.Bytes:
		raw, err := base64.StdEncoding.DecodeString(text)
		return change.BytesValue(raw), err
	}
	return change.Value{}, fmt.Errorf("type %s (%s) has no wire form", t.Name, t.Kind)
}

func (s *scanner) bit(bits int) (change.Value, error) {
	if bits <= 1 {
		b, err := s.boolean()
		u := uint64(0)
		if b {
			u = 1
		}
		return change.UintValue(u), err
	}
	text, err := s.str()
	if err != nil {
		return change.Value{}, err
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) > 8 {
		return change.Value{}, errors.Join(fmt.Errorf("%d bytes of BIT(%d)", len(raw), bits), err)
	}
	u := uint64(0)
	for i, b := range raw {
		u |= uint64(b) << (8 * i)
	}
	return change.UintValue(u), nil
}

func (s *scanner) float(kind change.Kind) (change.Value, error) {
	n, err := s.number()
	if err != nil {
		return change.Value{}, err
	}
	if kind == change.Float {
		f, err := strconv.ParseFloat(n, 32)
		return change.FloatValue(float32(f)), err
	}
	f, err := strconv.ParseFloat(n, 64)
	if math.IsInf(f, 0) {
		return change.Value{}, fmt.Errorf("number %s is out of range", n)
	}
	return change.DoubleValue(f), err
}

func (s *scanner) timestamp() (change.Value, error) {
	text, err := s.str()
	if err != nil {
		return change.Value{}, err
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return change.Value{}, err
	}
	return change.TimestampValue(t.UnixMicro()), nil
}
