package sinks

import (
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
)

func FuzzParseKey(f *testing.F) {
	types := []change.Type{{Kind: change.Int}, {Kind: change.String}, {Kind: change.Bytes}, {Kind: change.Uint}}
	f.Add(`[1,"a","AA==",18446744073709551615]`)
	f.Add(`[null,null,null,null]`)
	f.Fuzz(func(t *testing.T, text string) {
		row, err := ParseKey(text, types)
		if err != nil {
			return
		}
		again, err := ParseKey(FormatKey(row), types)
		if err != nil || !again.Equal(row) {
			t.Errorf("%s is %v, printed and parsed again %v (error %v)", text, row, again, err)
		}
	})
}

func FuzzDecodeBound(f *testing.F) {
	types := []change.Type{{Kind: change.Int}, {Kind: change.String}}
	f.Add([]byte(change.KeyOf(change.IntValue(1), change.StringValue("a"))), int64(1), "a")
	f.Add([]byte(change.KeyOf(change.IntValue(1)))[:5], int64(1), "a")
	f.Fuzz(func(t *testing.T, bytes []byte, n int64, s string) {
		b, err := DecodeBound(change.Key(bytes), types)
		if err != nil {
			return
		}
		row := change.Row{change.IntValue(n), change.StringValue(s)}
		prefix, bound := change.KeyOf(row[:len(b.Values)]...), change.KeyOf(b.Values...)
		if above := prefix > bound || prefix == bound && !b.After; above != (change.KeyOf(row...) >= change.Key(bytes)) {
			t.Errorf("row %v against %x: above %t by columns", row, bytes, above)
		}
	})
}

func FuzzBehind(f *testing.F) {
	f.Add("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7", "0-1-7,1-1-3")
	f.Fuzz(func(t *testing.T, a, b string) {
		if Behind(change.Position{GTID: a}, change.Position{GTID: a}) {
			t.Errorf("%q is behind itself", a)
		}
		Behind(change.Position{GTID: a}, change.Position{GTID: b}) // must not panic
	})
}
