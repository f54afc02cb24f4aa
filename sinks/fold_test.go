package sinks

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/etlsandbox/cdc/schemas/change"
)

func keyed2() *change.Table {
	col := func(n string) change.Column {
		return change.Column{Name: n, Nullable: true, Type: change.Type{Kind: change.Int, Name: "int"}}
	}
	return &change.Table{ID: change.TableID{Name: "t"}, Columns: []change.Column{col("v"), col("a"), col("b")}, Key: []int{2, 1}}
}

// TestFoldIsTheSameAsOneByOne compares the net changes, drained at random moments, with applying the events
// one by one.
func TestFoldIsTheSameAsOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := keyed2()
		value := func(name string) change.Value {
			if n := rapid.Int64Range(-1, 2).Draw(t, name); n >= 0 {
				return change.IntValue(n)
			}
			return change.NullValue()
		}
		want, got := map[change.Key]change.Row{}, map[change.Key]change.Row{}
		f := NewFold()
		drain := func() {
			for _, n := range f.Drain("t") {
				if n.Delete {
					delete(got, n.Key)
				} else {
					got[n.Key] = n.Row
				}
			}
			if f.MemSize() != 0 {
				t.Fatalf("%d bytes are left after a drain", f.MemSize())
			}
		}
		for i := range rapid.IntRange(0, 40).Draw(t, "events") {
			row := change.Row{change.IntValue(int64(i)), value("a"), value("b")}
			key, err := table.RowKey(row)
			if err != nil {
				t.Fatal(err)
			}
			ev := change.Event{Table: table, Op: change.Insert, After: row}
			if len(want) > 0 {
				keys := slices.Sorted(func(yield func(change.Key) bool) {
					for k := range want {
						if !yield(k) {
							return
						}
					}
				})
				old := keys[rapid.IntRange(0, len(keys)-1).Draw(t, "old")]
				switch rapid.IntRange(0, 2).Draw(t, "op") {
				case 0:
					ev = change.Event{Table: table, Op: change.Update, Before: want[old], After: row}
					delete(want, old)
				case 1:
					ev = change.Event{Table: table, Op: change.Delete, Before: want[old]}
					delete(want, old)
				}
			}
			if ev.Op != change.Delete {
				want[key] = row
			}
			if err := f.Add("t", &ev); err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 9).Draw(t, "drain") == 0 {
				drain()
			}
		}
		drain()
		if len(want) != len(got) {
			t.Fatalf("%d rows, want %d", len(got), len(want))
		}
		for k, r := range want {
			if !r.Equal(got[k]) {
				t.Fatalf("key %x: %v, want %v", string(k), got[k], r)
			}
		}
	})
}

func TestFoldKeysOfPartialImages(t *testing.T) {
	table, f := keyed2(), NewFold()
	n := change.IntValue
	before := change.Row{change.AbsentValue(), n(1), n(2)}
	after := change.Row{n(9), change.AbsentValue(), n(2)} // the key column that did not change was left out
	if err := f.Add("t", &change.Event{Table: table, Op: change.Update, Before: before, After: after}); err != nil {
		t.Fatal(err)
	}
	nets := f.Drain("t")
	if len(nets) != 1 || nets[0].Delete || nets[0].Key != change.KeyOf(n(2), n(1)) {
		t.Fatalf("%+v, want one upsert of (2, 1)", nets)
	}
	if !after[1].IsAbsent() {
		t.Error("the event's own row was changed")
	}
	err := f.Add("t", &change.Event{Table: table, Op: change.Insert, After: after})
	if !errors.Is(err, change.ErrAbsent) || ClassOf(err) != Stop {
		t.Errorf("a row without its key: %v, want a stop for an absent key", err)
	}
}

func TestKeyText(t *testing.T) {
	types := []change.Type{
		{Kind: change.Int}, {Kind: change.Uint}, {Kind: change.String}, {Kind: change.Bytes}, {Kind: change.Decimal, Scale: 2},
		{Kind: change.Double}, {Kind: change.Datetime}, {Kind: change.Date}, {Kind: change.Time}, {Kind: change.Timestamp}, {Kind: change.Year},
	}
	rapid.Check(t, func(t *rapid.T) {
		row := change.Row{
			change.IntValue(rapid.Int64().Draw(t, "int")), change.UintValue(rapid.Uint64().Draw(t, "uint")),
			change.StringValue(rapid.String().Draw(t, "string")), change.BytesValue(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")),
			change.DecimalValue(fmt.Sprintf("%d.50", rapid.Int64().Draw(t, "decimal"))),
			change.DoubleValue(rapid.Float64().Draw(t, "double")), change.DatetimeValue(rapid.Int64().Draw(t, "datetime")),
			change.DateValue(rapid.Int64().Draw(t, "date")), change.TimeValue(rapid.Int64().Draw(t, "time")),
			change.TimestampValue(rapid.Int64().Draw(t, "timestamp")), change.YearValue(rapid.Int64Range(1901, 2155).Draw(t, "year")),
		}
		row[rapid.IntRange(0, len(row)-1).Draw(t, "null")] = change.NullValue()
		text := FormatKey(row)
		got, err := ParseKey(text, types)
		if err != nil || !got.Equal(row) {
			t.Fatalf("%s parsed as %v (error %v), want %v", text, got, err, row)
		}
	})
	for _, bad := range []string{"", "[1", "[1,2]", `["x"]`} {
		if _, err := ParseKey(bad, types[:1]); err == nil {
			t.Errorf("ParseKey(%q) took it", bad)
		}
	}
}

// TestDecodeBound compares decoded bounds with the order of Key bytes.
func TestDecodeBound(t *testing.T) {
	types := []change.Type{{Kind: change.Int}, {Kind: change.String}}
	var keys []change.Key
	for _, n := range []change.Value{change.NullValue(), change.IntValue(-1), change.IntValue(0), change.IntValue(7)} {
		for _, s := range []change.Value{change.NullValue(), change.StringValue(""), change.StringValue("a"), change.StringValue("ab")} {
			keys = append(keys, change.KeyOf(n, s))
		}
	}
	var bounds []change.Key
	for _, k := range keys {
		bounds = append(bounds, k, k+"\x00")
	}
	for _, n := range []int64{-2, -1, 0, 8} {
		p := change.KeyOf(change.IntValue(n))
		bounds = append(bounds, p, p+"\x00", p+"\xff")
	}
	for _, bytes := range append(bounds, "") {
		b, err := DecodeBound(bytes, types)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			row, err := change.DecodeKey(k, types)
			if err != nil {
				t.Fatal(err)
			}
			prefix, bound := change.KeyOf(row[:len(b.Values)]...), change.KeyOf(b.Values...)
			above := prefix > bound || prefix == bound && !b.After
			if above != (k >= bytes) {
				t.Errorf("key %x against %x: above %t by columns (%v, after %t)", string(k), string(bytes), above, b.Values, b.After)
			}
		}
	}
	if _, err := DecodeBound(change.KeyOf(change.IntValue(1))+"\x05abc", types); err == nil {
		t.Error("a bound that ends inside a value was taken")
	}
}
