package binlog

import (
	"bytes"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

// columnCase is a column type and literals to store in it; NULL comes by itself.
type columnCase struct {
	typ    string
	values []string
	only   cdc.Flavor // "" is both
}

func integerCases() []columnCase {
	var cs []columnCase
	for typ, bits := range map[string]uint{"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INT": 32, "BIGINT": 64} {
		lo, hi := -int64(1)<<(bits-1), int64(1)<<(bits-1)-1
		cs = append(cs, columnCase{typ: typ, values: []string{fmt.Sprint(lo), fmt.Sprint(hi), "0", "-1", "1", fmt.Sprint(lo + 1)}},
			columnCase{typ: typ + " UNSIGNED", values: []string{"0", "1", fmt.Sprint(uint64(1) << (bits - 1)), fmt.Sprint(^uint64(0) >> (64 - bits))}})
	}
	return append(cs,
		columnCase{typ: "INT(5) UNSIGNED ZEROFILL", values: []string{"0", "42", "4294967295"}},
		columnCase{typ: "BOOLEAN", values: []string{"TRUE", "FALSE", "-128"}},
		columnCase{typ: "BIT(1)", values: []string{"b'0'", "b'1'"}},
		columnCase{typ: "BIT(13)", values: []string{"0", "5000", "8191"}},
		columnCase{typ: "BIT(64)", values: []string{"0", "18446744073709551615", "9223372036854775808", "258"}},
		columnCase{typ: "YEAR", values: []string{"0", "1901", "2155", "2024"}},
	)
}

func numberCases() []columnCase {
	cs := []columnCase{
		{typ: "FLOAT", values: []string{"0", "-0.0", "0.1", "16777217", "3.4028234e38", "-3.4028234e38", "1.17549435e-38", "1e-40", "123456.789"}},
		{typ: "FLOAT(10,3)", values: []string{"0.1005", "123456.789", "-1"}},
		{typ: "FLOAT UNSIGNED", values: []string{"0.1", "12345678"}},
		{typ: "DOUBLE", values: []string{"0", "-0.0", "0.1", "1.7976931348623157e308", "-1.7976931348623157e308", "2.2250738585072014e-308", "5e-324", "123456789.123456789", "0.30000000000000004"}},
		{typ: "DOUBLE(20,2)", values: []string{"0.105", "123456789012345.67", "-1"}},
		{typ: "REAL", values: []string{"1.5"}},
	}
	for _, ps := range [][2]int{{1, 0}, {5, 2}, {9, 0}, {9, 9}, {10, 5}, {18, 9}, {30, 30}, {65, 0}, {65, 30}, {20, 19}} {
		p, s := ps[0], ps[1]
		whole, frac := strings.Repeat("9", p-s), strings.Repeat("9", s)
		if whole == "" {
			whole = "0"
		}
		big := strings.TrimSuffix(whole+"."+frac, ".")
		small := "0"
		if s > 0 {
			small = "0." + strings.Repeat("0", s-1) + "1"
		}
		cs = append(cs, columnCase{typ: fmt.Sprintf("DECIMAL(%d,%d)", p, s), values: []string{"0", "-0", big, "-" + big, small, "-" + small}})
	}
	return append(cs, columnCase{typ: "DECIMAL(10,3) UNSIGNED", values: []string{"0", "1.5", "1000000.001"}})
}

func temporalCases() []columnCase {
	cs := []columnCase{
		{typ: "DATE", values: []string{"'1000-01-01'", "'9999-12-31'", "'1970-01-01'", "'1969-12-31'", "'2024-02-29'", "'0000-00-00'", "'2024-00-00'", "'0001-01-01'", "'2023-02-31'"}},
	}
	for scale := 0; scale <= 6; scale++ {
		f := ""
		if scale > 0 {
			f = "." + "987654"[:scale]
		}
		cs = append(cs,
			columnCase{typ: fmt.Sprintf("TIME(%d)", scale), values: []string{"'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01" + f + "'", "'-00:00:00" + f + "'", "'12:34:56" + f + "'", "'-12:34:56" + f + "'", "'-01:00:00'"}},
			columnCase{typ: fmt.Sprintf("DATETIME(%d)", scale), values: []string{"'1000-01-01 00:00:00'", "'9999-12-31 23:59:59" + f + "'", "'1969-12-31 23:59:59" + f + "'", "'0000-00-00 00:00:00'", "'2024-00-10 01:02:03'"}},
			columnCase{typ: fmt.Sprintf("TIMESTAMP(%d) NULL", scale), values: []string{"'1970-01-01 00:00:01" + f + "'", "'2038-01-19 03:14:07'", "'2024-06-30 12:00:00" + f + "'", "'0000-00-00 00:00:00'"}},
		)
	}
	return cs
}

func textCases() []columnCase {
	cs := []columnCase{
		{typ: "BINARY(5)", values: []string{"''", "x'0001'", "x'0100000000'", "x'ffffffffff'", "'ab'"}},
		{typ: "BINARY(255)", values: []string{"''", "'ab'"}},
		{typ: "VARBINARY(300)", values: []string{"''", "x'00'", "x'610000'", "REPEAT(x'ff',300)"}},
		{typ: "TINYBLOB", values: []string{"''", "x'00ff'"}}, {typ: "BLOB", values: []string{"REPEAT(x'00', 300)"}},
		{typ: "MEDIUMBLOB", values: []string{"REPEAT('a', 70000)"}}, {typ: "LONGBLOB", values: []string{"x'deadbeef'"}},
		{typ: "ENUM('a','b''c','','d\\\\e','f\\ng','é','h,i','j)k')", values: []string{"'a'", "'b''c'", "'d\\\\e'", "'f\\ng'", "'é'", "'h,i'", "'j)k'", "0"}},
		{typ: "ENUM('x','y') NOT NULL DEFAULT 'y'", values: []string{"'x'"}},
		{typ: "SET('a','b','c''d','é')", values: []string{"''", "'a'", "'b,a'", "'a,b,c''d,é'", "'é'"}},
		{typ: "SET(" + manyMembers(64) + ")", values: []string{"'m0'", "'m63'", "'m1,m62'", "18446744073709551615"}},
		{typ: "ENUM(" + manyMembers(300) + ")", values: []string{"'m0'", "'m299'", "'m255'"}},
		{typ: "TINYTEXT", values: []string{"'é'"}}, {typ: "MEDIUMTEXT", values: []string{"REPEAT('é', 40000)"}}, {typ: "LONGTEXT", values: []string{"'😀'"}},
		{typ: "JSON", values: []string{`'{"a": [1, 2.50, "x"]}'`, "'null'"}, only: cdc.MariaDB},
	}
	for _, set := range []string{"utf8mb4", "utf8", "latin1", "ascii", "ucs2", "utf16", "utf32", "cp1251", "koi8r", "gbk", "sjis", "latin2", "binary"} {
		values := []string{"''", "'abc'", "'a  '"}
		switch set {
		case "utf8mb4", "utf16", "utf32":
			values = append(values, "'é€漢😀'")
		case "utf8", "ucs2":
			values = append(values, "'é€漢'")
		case "latin1":
			values = append(values, "'é€'", "_latin1 x'808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0ff'")
		case "latin2":
			values = append(values, "'łé'")
		case "cp1251", "koi8r":
			values = append(values, "'Привет'")
		case "gbk", "sjis":
			values = append(values, "'漢字'")
		}
		cs = append(cs, columnCase{typ: "VARCHAR(100) CHARACTER SET " + set, values: values},
			columnCase{typ: "CHAR(60) CHARACTER SET " + set, values: values})
		if set != "binary" {
			cs = append(cs, columnCase{typ: "TEXT CHARACTER SET " + set, values: values})
		}
	}
	return append(cs, columnCase{typ: "ENUM('é','б') CHARACTER SET utf16", values: []string{"'é'", "'б'"}},
		columnCase{typ: "VARCHAR(300)", values: []string{"REPEAT('é', 300)"}})
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "'m%d'", i)
	}
	return b.String()
}

// TestParity stores every type's extremes, and reads them from the log and by SELECT: both must give the
// same value, and the log's keys must equal the snapshot's.
func TestParity(t *testing.T) {
	cases := append(append(append(integerCases(), numberCases()...), temporalCases()...), textCases()...)
	onAll(t, func(t *testing.T, s *testenv.MySQLServer) {
		f := newFixture(t, s)
		f.exec("SET sql_mode = 'ALLOW_INVALID_DATES'", "SET NAMES utf8mb4", "SET time_zone = '+00:00'")
		for i, c := range cases {
			if c.only == "" || c.only == f.src.Server().Flavor {
				f.exec(fmt.Sprintf("CREATE TABLE t%d (id INT PRIMARY KEY, v %s)", i, c.typ))
			}
		}
		r := f.open(f.current())
		for i, c := range cases {
			if c.only != "" && c.only != f.src.Server().Flavor {
				continue
			}
			if !strings.Contains(c.typ, "NOT NULL") {
				f.exec(fmt.Sprintf("INSERT INTO t%d VALUES (0, NULL)", i))
			}
			for j, v := range c.values {
				f.exec(fmt.Sprintf("INSERT INTO t%d VALUES (%d, %s)", i, j+1, v))
			}
		}
		streamed := map[string]change.Value{}
		items := f.until(r, f.current())
		for _, item := range items {
			if item.Kind == Pause {
				t.Error(item.Pause.Reason)
			}
		}
		for _, e := range events(t, items) {
			streamed[fmt.Sprintf("%s/%d", e.Table.ID.Name, e.After[0].Int())] = e.After[1]
		}
		compared := 0
		for i, c := range cases {
			if c.only != "" && c.only != f.src.Server().Flavor {
				continue
			}
			for key, v := range f.selected(fmt.Sprintf("t%d", i)) {
				compared++
				if got, ok := streamed[key]; !ok || got != v {
					t.Errorf("%s, row %s: log %v (%s), select %v (%s)", c.typ, key, got, got.Kind(), v, v.Kind())
				}
			}
		}
		if compared != len(streamed) || compared < len(cases) {
			t.Errorf("compared %d values, the log had %d", compared, len(streamed))
		}
		t.Logf("%d types, %d values", len(cases), compared)
	})
}

// selected reads a table (id, v) as a snapshot does.
func (f *fixture) selected(name string) map[string]change.Value {
	f.Helper()
	l, err := f.src.Layout(f.Context(), f.filter, change.TableID{DB: f.db, Name: name})
	if err != nil || l == nil {
		f.Fatal(name, err)
	}
	codec := f.src.Codec()
	q := fmt.Sprintf("SELECT %s, %s FROM %s", codec.SelectExpr(&l.Table.Columns[0]), codec.SelectExpr(&l.Table.Columns[1]), cdc.QuoteTable(l.Table.ID))
	rows, err := f.src.DB().QueryContext(f.Context(), q)
	if err != nil {
		f.Fatal(err)
	}
	defer rows.Close()
	out := map[string]change.Value{}
	for rows.Next() {
		var id, v sql.RawBytes
		if err := rows.Scan(&id, &v); err != nil {
			f.Fatal(err)
		}
		value, err := codec.Decode(l.Table, 1, v)
		if err != nil {
			f.Error(err)
		}
		out[name+"/"+string(bytes.Clone(id))] = value
	}
	if err := rows.Err(); err != nil {
		f.Fatal(err)
	}
	return out
}
