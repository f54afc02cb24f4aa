package sqlserver

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	mssql "github.com/microsoft/go-mssqldb"
	"pgregory.net/rapid"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

func typ(k change.Kind, name string, length int) change.Type {
	return change.Type{Kind: k, Name: name, Length: length}
}

func columnOf(t testing.TB, typ change.Type) *column {
	t.Helper()
	f, ddl, err := typeOf(typ)
	if err != nil {
		t.Fatal(err)
	}
	return &column{name: "c", dest: "c", typ: typ, form: f, ddl: ddl, actual: ddl}
}

func decimal(p, s int) change.Type {
	return change.Type{Kind: change.Decimal, Name: "decimal", Precision: p, Scale: s}
}

func TestTypes(t *testing.T) {
	charset := func(t change.Type, name string) change.Type { t.Charset = name; return t }
	members := change.Type{Kind: change.String, Name: "enum", Members: []string{"a", "日本語"}, Charset: "latin1"}
	set := change.Type{Kind: change.String, Name: "set", Members: []string{"a", "bc"}, Charset: "latin1"}
	for _, c := range []struct {
		typ  change.Type
		want string
	}{
		{typ(change.Int, "tinyint", 0), "smallint"}, {typ(change.Uint, "tinyint", 0), "tinyint"},
		{typ(change.Int, "smallint", 0), "smallint"}, {typ(change.Uint, "smallint", 0), "int"},
		{typ(change.Int, "mediumint", 0), "int"}, {typ(change.Uint, "mediumint", 0), "int"},
		{typ(change.Int, "int", 0), "int"}, {typ(change.Uint, "int", 0), "bigint"},
		{typ(change.Int, "bigint", 0), "bigint"}, {typ(change.Uint, "bigint", 0), "decimal(20,0)"},
		{typ(change.Uint, "bit", 1), "bit"}, {typ(change.Uint, "bit", 9), "bigint"}, {typ(change.Uint, "bit", 64), "decimal(20,0)"},
		{decimal(10, 2), "decimal(10,2)"}, {decimal(38, 30), "decimal(38,30)"},
		{typ(change.Float, "float", 0), "real"}, {typ(change.Double, "double", 0), "float"}, {typ(change.Year, "year", 0), "smallint"},
		{charset(typ(change.String, "varchar", 40), "utf8mb4"), "nvarchar(80)"}, {charset(typ(change.String, "varchar", 40), "latin1"), "nvarchar(40)"},
		{charset(typ(change.String, "varchar", 2001), "utf8mb4"), "nvarchar(max)"}, {typ(change.String, "longtext", 0), "nvarchar(max)"},
		{members, "nvarchar(3)"}, {set, "nvarchar(5)"}, {typ(change.String, "set", 0), "nvarchar(max)"}, {typ(change.String, "enum", 0), "nvarchar(510)"},
		{typ(change.JSON, "json", 0), "nvarchar(max)"}, {typ(change.Bytes, "varbinary", 300), "varbinary(300)"},
		{typ(change.Bytes, "varbinary", 8001), "varbinary(max)"}, {typ(change.Bytes, "blob", 65535), "varbinary(max)"},
		{typ(change.Date, "date", 0), "date"}, {typ(change.Time, "time", 0), "time(6)"}, {typ(change.Datetime, "datetime", 0), "datetime2(6)"},
		{typ(change.Timestamp, "timestamp", 0), "datetimeoffset(6)"},
	} {
		if _, got, err := typeOf(c.typ); err != nil || got.String() != c.want {
			t.Errorf("%s %s(%d): %s (error %v), want %s", c.typ.Kind, c.typ.Name, c.typ.Length, got, err, c.want)
		}
	}
	table := &change.Table{ID: change.TableID{Name: "Wide"}, Key: []int{0}, Columns: []change.Column{{Name: "Id", Type: typ(change.Int, "int", 0)}, {Name: "Sum", Type: decimal(65, 30)}}}
	_, err := newTarget(sinks.Target{From: "Wide", Table: table, To: "Wide"}, "dbo", 0)
	if sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), "column Sum of Wide") || !strings.Contains(err.Error(), "38 digits") {
		t.Errorf("a decimal of 65 digits: %v, want a stop that names the column and the limit", err)
	}
}

func TestKeysThatNoIndexTakes(t *testing.T) {
	key := func(types ...change.Type) error {
		table := &change.Table{ID: change.TableID{Name: "T"}}
		for i, typ := range types {
			table.Columns = append(table.Columns, change.Column{Name: fmt.Sprintf("K%d", i), Type: typ})
			table.Key = append(table.Key, i)
		}
		_, err := newTarget(sinks.Target{From: "T", Table: table, To: "T"}, "dbo", 0)
		return err
	}
	for name, c := range map[string]struct {
		types []change.Type
		says  string
	}{
		"text without a bound": {[]change.Type{typ(change.String, "text", 0)}, "column K0 of T"},
		"too long together":    {[]change.Type{typ(change.String, "varchar", 255), typ(change.String, "varchar", 255)}, "up to 2040 bytes"},
		"as long as may be":    {[]change.Type{typ(change.String, "varchar", 425)}, ""},
		"many columns":         {[]change.Type{typ(change.Int, "int", 0), typ(change.Bytes, "varbinary", 900), decimal(38, 0)}, ""},
	} {
		err := key(c.types...)
		if c.says == "" && err != nil || c.says != "" && (sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestValuesThatAreRefused(t *testing.T) {
	day := func(s string) change.Value {
		m, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return change.DateValue(m.Unix() / 86400)
	}
	narrow := columnOf(t, typ(change.String, "varchar", 40))
	narrow.actual.length = 3
	float := columnOf(t, typ(change.Double, "double", 0))
	float.actual = sqlType{name: "real"}
	seconds := columnOf(t, typ(change.Datetime, "datetime", 0))
	seconds.actual.scale = 0
	for _, c := range []struct {
		col  *column
		v    change.Value
		says string // "" when it is taken
	}{
		{columnOf(t, typ(change.Int, "smallint", 0)), change.IntValue(1 << 15), "out of the range of smallint"},
		{columnOf(t, typ(change.Uint, "tinyint", 0)), change.UintValue(256), "out of the range of tinyint"},
		{columnOf(t, typ(change.Uint, "int", 0)), change.UintValue(1 << 63), "out of range"},
		{columnOf(t, typ(change.Uint, "bigint", 0)), change.UintValue(math.MaxUint64), ""},
		{columnOf(t, typ(change.Uint, "bit", 1)), change.UintValue(2), "2 in a bit"},
		{columnOf(t, decimal(5, 2)), change.DecimalValue("1000.00"), "out of the range of decimal(5,2)"},
		{columnOf(t, decimal(5, 2)), change.DecimalValue("0.001"), "out of the range"},
		{columnOf(t, decimal(5, 2)), change.DecimalValue("-999.99"), ""},
		{columnOf(t, typ(change.Time, "time", 0)), change.TimeValue(-1), "outside 00:00:00 to 23:59:59.999999"},
		{columnOf(t, typ(change.Time, "time", 0)), change.TimeValue(86_400_000_000), "outside 00:00:00"},
		{columnOf(t, typ(change.Time, "time", 0)), change.TimeValue(86_399_999_999), ""},
		{columnOf(t, typ(change.Date, "date", 0)), day("0001-01-01"), ""},
		{columnOf(t, typ(change.Date, "date", 0)), change.DateValue(-719163), "outside the years"},
		{columnOf(t, typ(change.Date, "date", 0)), change.DateValue(math.MaxInt64), "outside the years"},
		{columnOf(t, typ(change.Datetime, "datetime", 0)), change.DatetimeValue(afterMicros), "outside the years"},
		{columnOf(t, typ(change.Datetime, "datetime", 0)), change.DatetimeValue(afterMicros - 1), ""},
		{float, change.DoubleValue(0.1), "does not fit the digits of real"},
		{float, change.DoubleValue(0.5), ""},
		{seconds, change.DatetimeValue(1), "do not fit the digits of datetime2(0)"},
		{seconds, change.DatetimeValue(1_000_000), ""},
		{columnOf(t, typ(change.Double, "double", 0)), change.DoubleValue(math.Inf(1)), "no number"},
		{columnOf(t, typ(change.String, "text", 0)), change.StringValue("\xff"), "not UTF-8"},
		{columnOf(t, typ(change.String, "text", 0)), change.StringValue("a\x00b"), ""},
		{narrow, change.StringValue("😀😀"), "4 UTF-16 units in nvarchar(3)"},
		{narrow, change.StringValue("😀a"), ""},
		{columnOf(t, typ(change.Bytes, "varbinary", 2)), change.BytesValue([]byte("abc")), "3 bytes in varbinary(2)"},
		{columnOf(t, typ(change.String, "text", 0)), change.AbsentValue(), "not transmitted"},
		{columnOf(t, typ(change.String, "text", 0)), change.IntValue(1), "kind int"},
	} {
		_, err := c.col.encode(c.v)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s in %s: %v, want %q", c.v, c.col.actual, err, c.says)
		}
	}
}

// TestTextIsUTF16 compares our encoding with the standard library's.
func TestTextIsUTF16(t *testing.T) {
	c := columnOf(t, typ(change.String, "text", 0))
	rapid.Check(t, func(t *rapid.T) {
		s := strings.ToValidUTF8(rapid.String().Draw(t, "text"), "\ufffd")
		got, err := c.encode(change.StringValue(s))
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		for _, u := range utf16.Encode([]rune(s)) {
			want = append(want, byte(u), byte(u>>8))
		}
		if string(got.([]byte)) != string(want) {
			t.Fatalf("%q is % x, want % x", s, got, want)
		}
	})
}

func TestFit(t *testing.T) {
	text := change.Type{Kind: change.String, Name: "varchar", Length: 10, Charset: "utf8mb4"}
	datetime := change.Type{Kind: change.Datetime, Name: "datetime", Scale: 3}
	n := func(length int) sqlType { return sqlType{name: "nvarchar", length: length} }
	scaled := func(name string, scale int) sqlType { return sqlType{name: name, scale: scale} }
	dec := func(p, s int) sqlType { return sqlType{name: "decimal", precision: p, scale: s} }
	plain := func(name string) sqlType { return sqlType{name: name} }
	for _, c := range []struct {
		typ  change.Type
		have sqlType
		want fit
	}{
		{typ(change.Int, "int", 0), plain("int"), fits}, {typ(change.Int, "int", 0), plain("bigint"), fits}, {typ(change.Int, "int", 0), plain("smallint"), widens},
		{typ(change.Int, "int", 0), dec(20, 0), fits}, {typ(change.Int, "int", 0), dec(5, 0), refuses}, {typ(change.Int, "int", 0), n(10), refuses},
		{typ(change.Int, "tinyint", 0), plain("tinyint"), widens}, {typ(change.Uint, "tinyint", 0), plain("tinyint"), fits},
		{typ(change.Uint, "bigint", 0), dec(20, 0), fits}, {typ(change.Uint, "bigint", 0), plain("bigint"), refuses},
		{decimal(10, 2), dec(10, 2), fits}, {decimal(10, 2), dec(12, 4), fits}, {decimal(10, 2), dec(8, 2), widens}, {decimal(10, 2), dec(10, 4), refuses},
		{decimal(10, 2), plain("money"), refuses}, {decimal(10, 2), plain("float"), refuses},
		{text, n(20), fits}, {text, n(10), fits}, {text, n(9), widens}, {text, n(lengthMax), fits}, {text, sqlType{name: "varchar", length: 20}, refuses},
		{typ(change.String, "longtext", 0), n(10), widens}, {typ(change.JSON, "json", 0), n(lengthMax), fits}, {typ(change.JSON, "json", 0), n(4000), widens},
		{datetime, scaled("datetime2", 7), fits}, {datetime, scaled("datetime2", 3), fits}, {datetime, scaled("datetime2", 0), widens}, {datetime, plain("datetime"), refuses},
		{typ(change.Timestamp, "timestamp", 0), scaled("datetimeoffset", 0), fits}, {typ(change.Timestamp, "timestamp", 0), scaled("datetime2", 7), refuses},
		{typ(change.Time, "time", 0), scaled("time", 7), fits}, {typ(change.Date, "date", 0), plain("date"), fits}, {typ(change.Date, "date", 0), scaled("datetime2", 7), refuses},
		{typ(change.Float, "float", 0), plain("float"), fits}, {typ(change.Double, "double", 0), plain("real"), refuses},
		{typ(change.Uint, "bit", 1), plain("bit"), fits}, {typ(change.Uint, "bit", 8), plain("bit"), refuses},
		{typ(change.Bytes, "blob", 0), sqlType{name: "varbinary", length: lengthMax}, fits}, {typ(change.Bytes, "varbinary", 9), sqlType{name: "varbinary", length: 8}, widens},
		{typ(change.Bytes, "blob", 0), n(lengthMax), refuses}, {typ(change.Year, "year", 0), plain("smallint"), fits},
	} {
		if got := fitOf(c.typ, c.have); got != c.want {
			t.Errorf("%s %s(%d) in %s: %d, want %d", c.typ.Kind, c.typ.Name, c.typ.Length, c.have, got, c.want)
		}
	}
}

func TestClassify(t *testing.T) {
	for number, want := range map[int32]struct {
		class  sinks.Class
		reason string
		alarm  bool
		poison bool
		access bool
	}{
		1205: {class: sinks.Retry, reason: "deadlock"}, 1222: {class: sinks.Retry, reason: "lock_timeout"},
		3960: {class: sinks.Retry, reason: "serialization"}, 9002: {class: sinks.Retry, reason: "disk_full", alarm: true},
		1105: {class: sinks.Retry, reason: "disk_full", alarm: true}, 3906: {class: sinks.Retry, reason: "read_only", alarm: true},
		596: {class: sinks.Retry, reason: "connection"}, 40613: {class: sinks.Retry, reason: "connection"}, 18401: {class: sinks.Retry, reason: "connection"},
		49918: {class: sinks.Retry, reason: "throttled"}, 823: {class: sinks.Retry, reason: "server_io", alarm: true}, 701: {class: sinks.Retry, reason: "memory", alarm: true},
		18456: {class: sinks.Stop, access: true}, 18488: {class: sinks.Stop, access: true}, 4060: {class: sinks.Stop}, 229: {class: sinks.Stop},
		208: {class: sinks.Stop}, 2714: {class: sinks.Retry, reason: "race"},
		2627: {class: sinks.Stop, poison: true}, 2601: {class: sinks.Stop, poison: true}, 547: {class: sinks.Stop, poison: true}, 515: {class: sinks.Stop, poison: true},
		2628: {class: sinks.Stop, poison: true}, 8152: {class: sinks.Stop, poison: true}, 8115: {class: sinks.Stop, poison: true},
		50000: {class: sinks.Stop, poison: true}, 51000: {class: sinks.Stop, poison: true},
	} {
		e := mssql.Error{Number: number, Message: "m", Class: 16}
		err := classify("do it", fmt.Errorf("step: %w", e))
		reason, alarm, _ := retryable(e)
		var stop *sinks.StopError
		access := errors.As(err, &stop) && stop.Access
		if sinks.ClassOf(err) != want.class || reason != want.reason || alarm != want.alarm || isPoison(e) != want.poison || access != want.access {
			t.Errorf("%d: class %s, reason %q, alarm %t, poison %t, access %t", number, sinks.ClassOf(err), reason, alarm, isPoison(e), access)
		}
	}
	// The first error counts: those behind it say what became of the batch.
	dup := mssql.Error{Number: 2627, Message: "Violation of PRIMARY KEY constraint 'PK_T'. Cannot insert duplicate key in object 'dbo.T'. The duplicate key value is (secret)."}
	all := mssql.Error{Number: 3621, Message: "The statement has been terminated.", All: []mssql.Error{dup, {Number: 3621}}}
	if !isPoison(all) {
		t.Error("a duplicate key, followed by the end of the statement, is no poison")
	}
	tg := &target{keyIndex: "PK_T", key: []int{0}, columns: []column{{name: "word", form: formText, collation: keyCollation}}}
	for name, tg := range map[string]*target{"the key's index": tg, "another index": {keyIndex: "other"}} {
		got := reasonOf(tg, all)
		if strings.Contains(got, "secret") || !strings.Contains(got, "2627") || strings.Contains(got, "trailing spaces in word") != (tg.keyIndex == "PK_T") {
			t.Errorf("%s: reason %q", name, got)
		}
	}
	if c := sinks.ClassOf(classify("do it", fmt.Errorf("step: %w", mssql.Error{Number: 4711, Class: 21}))); c != sinks.Retry {
		t.Errorf("an error that ends the connection is of class %s", c)
	}
}

// serverLess orders text as a binary collation does: the shorter one is padded with spaces; by UTF-16 units, or by code
// points.
func serverLess(a, b string, points bool) bool {
	split := func(s string) []uint32 {
		var out []uint32
		if points {
			for _, r := range s {
				out = append(out, uint32(r))
			}
			return out
		}
		for _, u := range utf16.Encode([]rune(s)) {
			out = append(out, uint32(u))
		}
		return out
	}
	x, y := split(a), split(b)
	for i := range max(len(x), len(y)) {
		p, q := uint32(' '), uint32(' ')
		if i < len(x) {
			p = x[i]
		}
		if i < len(y) {
			q = y[i]
		}
		if p != q {
			return p < q
		}
	}
	return false
}

// TestNearBoundsHoldEveryKey: whatever order the server has, what is beyond a bound by its bytes lies beyond the bound
// that is sent to it.
func TestNearBoundsHoldEveryKey(t *testing.T) {
	runes := rapid.SampledFrom([]rune{0, 1, ' ', 'a', 'b', 'é', 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff})
	text := rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(runes, 0, 6).Draw(t, "runes")) })
	rapid.Check(t, func(t *rapid.T) {
		bound, key := text.Draw(t, "bound"), text.Draw(t, "key")
		for _, points := range []bool{false, true} {
			if low := lowText(bound); key >= bound && low != "" && serverLess(key, low, points) {
				t.Fatalf("%q is at or above %q, and below %q on the server (by points: %t)", key, bound, lowText(bound), points)
			}
			if high := highText(bound); key < bound && high != "" && !serverLess(key, high, points) {
				t.Fatalf("%q is below %q, and not below %q on the server (by points: %t)", key, bound, high, points)
			}
		}
	})
}

func TestNames(t *testing.T) {
	long := strings.Repeat("ü", 127)
	a, b := stageName(long), stageName(long+"x")
	if len([]rune(a)) > 128 || len([]rune(b)) > 128 || a == b || stageName("Orders") != "cdc_stage_Orders" {
		t.Errorf("staging names %q, %q, %q", a, b, stageName("Orders"))
	}
	if got := ident("a]b", "c[d"); got != "[a]]b].[c[d]" {
		t.Errorf("quoted %s", got)
	}
	if s, f := parseOwner(ownerOf("jupiter-views", "a from=b")); s != "jupiter-views" || f != "a from=b" {
		t.Errorf("owner %q of %q", f, s)
	}
	if s, f := parseOwner(ownerOf("jupiter", "shop.two\nlines")); s != "jupiter" || f != "shop.two\nlines" {
		t.Errorf("owner %q of %q", f, s)
	}
	if s, _ := parseOwner("somebody's own words"); s != "" {
		t.Errorf("a foreign property names the stream %q", s)
	}
}

func TestConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "host is empty") {
		t.Errorf("an empty configuration: %v", err)
	}
	base := Config{Name: "mars", Host: "sql.example.com", Database: "d", User: "u", Password: "p"}
	for mode, insecure := range map[string]bool{"": false, "require": true, "verify-ca": true, "verify-full": false} {
		c := base
		c.TLS = TLS{Mode: mode, ServerName: "other"}
		tc, err := c.tlsConfig()
		if err != nil {
			t.Fatal(err)
		}
		if tc.InsecureSkipVerify != insecure || (tc.VerifyConnection != nil) != (mode == "verify-ca") || tc.ServerName != "other" {
			t.Errorf("mode %q: %+v", mode, tc)
		}
	}
	for _, c := range []TLS{{Mode: "prefer"}, {CA: "/nowhere"}, {Mode: "require", Cert: "/nowhere", Key: "/nowhere"}} {
		b := base
		b.TLS = c
		if _, err := New(b); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}
