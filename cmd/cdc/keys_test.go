package main

import (
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
)

// keyTypes are key columns of every kind that can be one.
var keyTypes = map[string]change.Type{
	"int":       {Kind: change.Int, Name: "int"},
	"unsigned":  {Kind: change.Uint, Name: "bigint", Unsigned: true},
	"bit":       {Kind: change.Uint, Name: "bit", Length: 8},
	"decimal":   {Kind: change.Decimal, Name: "decimal", Precision: 5, Scale: 2},
	"whole":     {Kind: change.Decimal, Name: "decimal", Precision: 3},
	"small":     {Kind: change.Decimal, Name: "decimal", Precision: 2, Scale: 2},
	"text":      {Kind: change.String, Name: "varchar", Length: 20},
	"binary":    {Kind: change.Bytes, Name: "varbinary", Length: 8},
	"date":      {Kind: change.Date, Name: "date"},
	"datetime":  {Kind: change.Datetime, Name: "datetime"},
	"datetime3": {Kind: change.Datetime, Name: "datetime", Scale: 3},
	"timestamp": {Kind: change.Timestamp, Name: "timestamp", Scale: 6},
	"time":      {Kind: change.Time, Name: "time"},
	"year":      {Kind: change.Year, Name: "year"},
	"double":    {Kind: change.Double, Name: "double"},
}

// Both ends of A..B are included, and nothing behind B.
func TestKeys(t *testing.T) {
	for _, c := range []struct {
		kind, keys string
		in, out    string // values, separated by blanks ("_" is one)
	}{
		{"int", "-5..7", "-5 0 7", "-6 8"},
		{"int", "1..9223372036854775807", "1 9223372036854775807", "0"},
		{"int", "..7", "-9223372036854775808 7", "8"},
		{"int", "7..", "7 9223372036854775807", "6"},
		{"unsigned", "18446744073709551615..18446744073709551615", "18446744073709551615", "0 18446744073709551614"},
		{"bit", "1..3", "1 3", "0 4"},
		{"decimal", "-1.50..2", "-1.50 0.00 2.00", "-1.51 2.01"},
		{"decimal", "-0.02..-0.01", "-0.02 -0.01", "-0.03 0.00"},
		{"decimal", "1..999.99", "1.00 999.99", "0.99"},
		{"whole", "1..998", "1 998", "0 999"},
		{"whole", "..999", "-999 999", ""},
		{"small", "0.10..0.99", "0.10 0.99", "0.09"},
		{"text", "a..b", "a ab b", "A ba"},
		{"binary", "0x00ff..a", "0x00ff 0x00ff00 a", "0x00fe 0x6100 b"},
		{"date", "2024-02-28..2024-02-29", "2024-02-28 2024-02-29", "2024-02-27 2024-03-01"},
		{"date", "2024-01-01..9999-12-31", "2024-01-01 9999-12-31", "2023-12-31"},
		{"datetime", "2024-01-01 00:00:00..2024-01-01 00:00:59", "2024-01-01_00:00:00 2024-01-01_00:00:59", "2023-12-31_23:59:59 2024-01-01_00:01:00"},
		{"datetime3", "2024-01-01 00:00:00.5..9999-12-31 23:59:59.999", "2024-01-01_00:00:00.5 9999-12-31_23:59:59.999", "2024-01-01_00:00:00.499"},
		{"timestamp", "..1970-01-01 00:00:01", "1970-01-01_00:00:01", "1970-01-01_00:00:01.000001"},
		{"time", "-01:00:00..838:59:59", "-01:00:00 838:59:59", "-01:00:01"},
		{"year", "0..0", "0", "1901"},
		{"year", "1999..2155", "1999 2155", "1998"},
	} {
		typ := keyTypes[c.kind]
		r, err := parseKeys(c.keys, []change.Type{typ})
		if err != nil {
			t.Errorf("%s %s: %v", c.kind, c.keys, err)
			continue
		}
		for values, want := range map[string]bool{c.in: true, c.out: false} {
			for _, text := range strings.Fields(values) {
				v, err := parseKey(strings.ReplaceAll(text, "_", " "), typ)
				if err != nil {
					t.Errorf("%s %s: %v", c.kind, text, err)
				} else if r.Contains(change.KeyOf(v)) != want {
					t.Errorf("%s %s: %s inside is %t", c.kind, c.keys, text, !want)
				}
			}
		}
	}
}

func TestKeysRefused(t *testing.T) {
	for _, c := range []struct{ kind, keys, says string }{
		{"int", "5..1", "the first lies behind the last"},
		{"int", "5", "not of the form A..B"},
		{"int", "..", "not of the form A..B"},
		{"int", "a..b", `key "a" is no int: write it as 42`},
		{"unsigned", "-1..5", "without a sign"},
		{"decimal", "1.555..2", "no more decimals"},
		{"date", "2024-02-30..", "as 2026-02-28"},
		{"timestamp", "2024-02-28..", "in UTC"},
		{"binary", "0x0..", "hexadecimal"},
		{"double", "1..2", "type double is not supported"},
	} {
		if _, err := parseKeys(c.keys, []change.Type{keyTypes[c.kind]}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s %s: %v, want %q", c.kind, c.keys, err, c.says)
		}
	}
	if _, err := parseKeys("1..2", nil); err == nil {
		t.Error("a table without key has key ranges")
	}
}

func FuzzKeys(f *testing.F) {
	for kind := range keyTypes {
		f.Add(kind, "1..2")
		f.Add(kind, "2024-01-01 00:00:00..0x00")
	}
	f.Fuzz(func(t *testing.T, kind, keys string) {
		typ, ok := keyTypes[kind]
		if !ok {
			return
		}
		r, err := parseKeys(keys, []change.Type{typ})
		if err != nil {
			return
		}
		for _, k := range []change.Key{r.Lo, r.Hi} {
			if _, _, err := change.DecodeKeyPrefix(k, []change.Type{typ}); k != "" && err != nil {
				t.Errorf("%s %q: %v", kind, keys, err)
			}
		}
		if lo, hi, _ := strings.Cut(keys, ".."); hi != "" {
			v, err := parseKey(hi, typ)
			if err != nil || !r.Contains(change.KeyOf(v)) || lo == hi && r.IsEmpty() {
				t.Errorf("%s %q: %v does not hold its end (error %v)", kind, keys, r, err)
			}
		}
	})
}
