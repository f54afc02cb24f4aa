package cdc

import (
	"errors"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
)

func TestDecodeZeroDates(t *testing.T) {
	table := func(k change.Kind, nullable bool) *change.Table {
		return &change.Table{ID: change.TableID{DB: "d", Name: "t"}, Columns: []change.Column{{Name: "c", Nullable: nullable, Type: change.Type{Kind: k}}}}
	}
	for _, c := range []struct {
		kind     change.Kind
		raw      string
		policy   ZeroDates
		nullable bool
		want     change.Value
		fails    bool
	}{
		{change.Date, "0000-00-00", ZeroNullOrStop, true, change.NullValue(), false},
		{change.Date, "2024-00-01", ZeroNullOrStop, false, change.Value{}, true},
		{change.Date, "2023-02-29", ZeroEpoch, false, change.DateValue(0), false},
		{change.Datetime, "0000-00-00 00:00:00", ZeroStop, true, change.Value{}, true},
		{change.Datetime, "0000-00-00 00:00:00", ZeroEpoch, true, change.DatetimeValue(0), false},
		{change.Timestamp, "0000-00-00 00:00:00", ZeroEpoch, false, change.TimestampValue(0), false},
		{change.Date, "2024-02-29", ZeroStop, false, change.DateValue(19782), false},
	} {
		got, err := Codec{ZeroDates: c.policy}.Decode(table(c.kind, c.nullable), 0, []byte(c.raw))
		var bad *ValueError
		if got != c.want || (err != nil) != c.fails || err != nil && !errors.As(err, &bad) {
			t.Errorf("%s %q: %v, %v", c.kind, c.raw, got, err)
		}
	}
}

// FuzzDecode feeds every kind with arbitrary text: an error or a value of the column's kind, no panic.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"1", "-838:59:59.5", "2024-02-29 23:59:59.999999", "0000-00-00", "1e400", "99999999999999999999", "", "-", "1:2", "::", "--"} {
		f.Add([]byte(s), uint8(change.Date))
	}
	f.Fuzz(func(t *testing.T, raw []byte, kind uint8) {
		k := change.Kind(kind % uint8(change.JSON+1))
		tb := &change.Table{Columns: []change.Column{{Name: "c", Nullable: true, Type: change.Type{Kind: k, Scale: 2}}}}
		v, err := DecodeSQL(tb, 0, raw)
		if err == nil && v.Kind() != k && !v.IsNull() {
			t.Errorf("%q as %s gave %s", raw, k, v.Kind())
		}
	})
}

func TestMembers(t *testing.T) {
	for in, want := range map[string]int{
		"enum('a')": 1, "enum('a','b''c','d\\\\')": 3, "set('x,y','')": 2, "enum()": -1, "enum('a": -1, "enum": -1, "enum('a' 'b')": -1,
	} {
		got, ok := members(in)
		if ok != (want >= 0) || ok && len(got) != want {
			t.Errorf("%s: %q, %t", in, got, ok)
		}
	}
}

func TestDays(t *testing.T) {
	for _, c := range []struct {
		y, m, d int
		want    int64
		ok      bool
	}{
		{1970, 1, 1, 0, true}, {1969, 12, 31, -1, true}, {2000, 2, 29, 11016, true}, {1900, 2, 29, 0, false},
		{0, 1, 1, -719528, true}, {0, 0, 0, 0, false}, {9999, 12, 31, 2932896, true}, {2024, 4, 31, 0, false}, {2024, 13, 1, 0, false},
	} {
		if got, ok := Days(c.y, c.m, c.d); ok != c.ok || ok && got != c.want {
			t.Errorf("%d-%d-%d: %d, %t", c.y, c.m, c.d, got, ok)
		}
	}
}
