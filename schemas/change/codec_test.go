package change

import (
	"errors"
	"testing"
)

func codecRow() Row {
	return Row{
		NullValue(), AbsentValue(), IntValue(-1 << 63), UintValue(1<<64 - 1), FloatValue(1.5), DoubleValue(-2.25),
		DecimalValue("-12.340"), StringValue("Zoë\x00"), BytesValue([]byte{0, 255}), DateValue(-1), TimeValue(-3600e6),
		DatetimeValue(1e15), TimestampValue(1), YearValue(1999), JSONValue(`{"a":1}`), StringValue(""),
	}
}

func TestRowCodec(t *testing.T) {
	t.Parallel()
	row := codecRow()
	b := AppendRow(nil, row, nil)
	got := make(Row, len(row))
	if err := DecodeRow(b, got, nil); err != nil || !got.Equal(row) {
		t.Errorf("read %v, %v; written %v", got, err, row)
	}
	for n := range b {
		if err := DecodeRow(b[:n], got, nil); err == nil {
			t.Errorf("the first %d of %d bytes are a row", n, len(b))
		}
	}
	if err := DecodeRow(append(b, 0), got, nil); err == nil {
		t.Error("a row with a byte left over was read")
	}
	if _, _, err := DecodeValue([]byte{200}); err == nil || errors.Is(err, ErrShortValue) {
		t.Errorf("an unknown kind: %v", err)
	}
}

func TestRowCodecColumns(t *testing.T) {
	t.Parallel()
	row := codecRow()
	b := AppendRow(nil, row, []int{3, 7, 9})
	got := Row{AbsentValue(), AbsentValue(), AbsentValue()}
	if err := DecodeRow(b, got, []int{2, -1, 0}); err != nil {
		t.Fatal(err)
	}
	if want := (Row{row[9], AbsentValue(), row[3]}); !got.Equal(want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

// FuzzDecodeValue: whatever the bytes, decoding gives values or an error, and values that were read are
// written and read as they were.
func FuzzDecodeValue(f *testing.F) {
	f.Add(AppendRow(nil, codecRow(), nil))
	f.Add([]byte{codeDecimal, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var row Row
		for rest := raw; len(rest) > 0; {
			v, next, err := DecodeValue(rest)
			if err != nil {
				return
			}
			row, rest = append(row, v), next
		}
		again := make(Row, len(row))
		if err := DecodeRow(AppendRow(nil, row, nil), again, nil); err != nil || !again.Equal(row) {
			t.Errorf("%v was written and read as %v, %v", row, again, err)
		}
	})
}
