package view

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// goldenColumns are the columns of the golden table: name, type for the server, values. Rows take values
// from each list in an order of their own.
var goldenColumns = []struct {
	name, ddl string
	values    []string
}{
	{"i1", "INT", []string{"0", "1", "-1", "7", "-13", "100", "2147483647", "-2147483648", "NULL", "3"}},
	{"i2", "BIGINT", []string{"0", "2", "-3", "9223372036854775807", "-9223372036854775807", "10", "NULL", "5000000000", "-1"}},
	{"i3", "TINYINT NOT NULL", []string{"0", "1", "2", "-1", "3", "127", "-128"}},
	{"u1", "INT UNSIGNED", []string{"0", "1", "4294967295", "13", "NULL", "2", "100"}},
	{"u2", "BIGINT UNSIGNED", []string{"0", "1", "18446744073709551615", "9223372036854775808", "3", "NULL"}},
	{"d1", "DECIMAL(10,2)", []string{"0.00", "1.50", "-1.50", "99999999.99", "2.45", "0.01", "NULL", "-0.05", "7.00", "10.00", "100.00"}},
	{"d2", "DECIMAL(20,6)", []string{"0.000000", "1.500000", "-2.499999", "123456789.123456", "0.000001", "NULL", "3.000000", "0.500000"}},
	{"d3", "DECIMAL(5,0)", []string{"0", "1", "-7", "99999", "NULL", "3", "12"}},
	{"d4", "DECIMAL(8,3) UNSIGNED", []string{"0.000", "1.500", "99999.999", "0.010", "NULL"}},
	{"n1", "SMALLINT UNSIGNED", []string{"0", "1", "65535", "NULL", "13"}},
	{"n2", "MEDIUMINT", []string{"0", "1", "-8388608", "8388607", "NULL"}},
	{"k1", "BIT(8)", []string{"0", "1", "255", "NULL", "3"}},
	{"k2", "BIT(1)", []string{"0", "1", "NULL"}},
	{"f1", "DOUBLE", []string{"0", "1.5", "-2.25", "1e10", "NULL", "3", "0.1"}},
	{"f2", "FLOAT", []string{"0", "1.5", "-2.25", "NULL", "3", "1024"}},
	{"g1", "VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", goldenStrings},
	{"g2", "VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", goldenStrings},
	{"w1", "VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", goldenStrings},
	{"w2", "VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", goldenStrings},
	{"w3", "VARCHAR(30) CHARACTER SET utf8 COLLATE utf8_unicode_ci", latinStrings},
	{"p1", "VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", goldenStrings},
	{"p2", "TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", goldenStrings},
	{"m1", "VARCHAR(30) CHARACTER SET utf8 COLLATE utf8_general_ci", latinStrings},
	{"m2", "VARCHAR(30) CHARACTER SET utf8 COLLATE utf8_bin", latinStrings},
	{"l1", "VARCHAR(30) CHARACTER SET latin1 COLLATE latin1_swedish_ci", latinStrings},
	{"l2", "VARCHAR(30) CHARACTER SET latin1 COLLATE latin1_swedish_ci NOT NULL", latinStrings[1:]},
	{"l3", "VARCHAR(30) CHARACTER SET latin1 COLLATE latin1_bin", latinStrings},
	{"c1", "CHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", goldenStrings},
	{"e1", "ENUM('a','B','c d','é') CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", []string{"'a'", "'B'", "'c d'", "'é'", "NULL"}},
	{"e2", "ENUM('B','A') CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", []string{"'B'", "'A'", "NULL"}},
	{"e3", "SET('a','B','c') CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", []string{"'a'", "'a,B'", "''", "NULL", "'B,c'"}},
	{"b1", "VARBINARY(20)", []string{"'a'", "'A'", "'a '", "''", "x'00ff'", "NULL", "'abc'"}},
	{"b2", "BINARY(4)", []string{"'a'", "'A'", "'abcd'", "''", "NULL", "x'00ff0001'"}},
	{"a1", "DATE", []string{"'2024-02-29'", "'1970-01-01'", "'1999-12-31'", "NULL", "'2026-11-25'"}},
	{"a2", "DATE", []string{"'2024-02-29'", "'1000-01-01'", "'9999-12-31'", "NULL", "'1969-12-31'"}},
	{"h1", "TIME", []string{"'00:00:00'", "'-01:02:03'", "'838:59:59'", "NULL", "'12:30:00'"}},
	{"h2", "TIME(6)", []string{"'00:00:00'", "'-01:02:03.5'", "'100:00:00.000001'", "NULL", "'12:30:00'"}},
	{"t1", "DATETIME", []string{"'2024-02-29 00:00:00'", "'2024-02-29 12:34:56'", "'1969-12-31 23:59:59'", "NULL", "'9999-12-31 23:59:59'"}},
	{"t2", "DATETIME(6)", []string{"'2024-02-29 00:00:00'", "'2024-02-29 12:34:56.000001'", "'1969-12-31 23:59:59.5'", "NULL", "'1000-01-01 00:00:00'"}},
	{"z1", "TIMESTAMP NULL", []string{"'2024-02-29 00:00:00'", "'2024-02-29 12:34:56'", "'1970-01-01 00:00:01'", "NULL", "'2038-01-19 03:14:07'"}},
	{"z2", "TIMESTAMP(3) NULL", []string{"'2024-02-29 00:00:00'", "'2024-02-29 12:34:56.789'", "'1970-01-01 00:00:01.5'", "NULL"}},
	{"y1", "YEAR", []string{"2024", "1999", "1901", "2155", "NULL", "2001"}},
	{"y2", "YEAR", []string{"2024", "1970", "2155", "NULL"}},
}

var goldenStrings = []string{
	"NULL", "''", "'a'", "'A'", "'a '", "'á'", "' a'", "'ab'", "'AB'", "'b'", "'ß'", "'ss'", "'100%'", "'a_b'", "'a\\\\b'",
	"'Ж'", "'ж'", "'😀'", "'😁'", "'a\\t'", "'İ'", "'ı'", "'ǆ'", "'日本'", "'Straße'", "'xxabcxx'", "'  b  '",
}

var latinStrings = []string{
	"NULL", "''", "'a'", "'A'", "'a '", "'á'", "' a'", "'ab'", "'AB'", "'b'", "'ß'", "'ss'", "'Ü'", "'y'", "'ö'", "'O'", "'Straße'", "'a_b'", "'xxabcxx'",
}

const goldenRows = 48

// goldenServer is one server with the golden table.
type goldenServer struct {
	name string
	conn *sql.Conn
	// strict: a row that only the server refuses is a difference.
	strict bool
}

// openGolden opens both servers, with the golden table filled alike.
func openGolden(t *testing.T) []*goldenServer {
	t.Helper()
	var out []*goldenServer
	for _, s := range []struct {
		name string
		srv  *testenv.MySQLServer
	}{{"MariaDB", testenv.MariaDB(t)}, {"MySQL", testenv.MySQL(t)}} {
		db, err := s.srv.Open(s.srv.CreateDatabase(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		conn, err := db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		g := &goldenServer{name: s.name, conn: conn}
		for _, stmt := range append(Session(), goldenSetup()...) {
			g.exec(t, stmt)
		}
		out = append(out, g)
	}
	return out
}

func (g *goldenServer) exec(t *testing.T, stmt string) {
	t.Helper()
	if _, err := g.conn.ExecContext(context.Background(), stmt); err != nil {
		t.Fatalf("%s: %s: %v", g.name, stmt, err)
	}
}

// goldenSetup is the DDL and the rows, the same at every run.
func goldenSetup() []string {
	create := "CREATE TABLE golden (id INT PRIMARY KEY"
	for _, c := range goldenColumns {
		create += ", " + c.name + " " + c.ddl
	}
	out := []string{create + ")"}
	r := rand.New(rand.NewPCG(4, 7))
	perms := make([][]int, len(goldenColumns))
	for id := range goldenRows {
		vals := []string{strconv.Itoa(id)}
		for i, c := range goldenColumns {
			if len(perms[i]) == 0 {
				perms[i] = r.Perm(len(c.values))
			}
			vals = append(vals, c.values[perms[i][0]])
			perms[i] = perms[i][1:]
		}
		out = append(out, "INSERT INTO golden VALUES ("+strings.Join(vals, ", ")+")")
	}
	return out
}

// goldenCatalog describes the golden table as capture would.
func goldenCatalog() catalog {
	t := &change.Table{ID: change.TableID{DB: "shop", Name: "golden"}, Key: []int{0},
		Columns: []change.Column{{Name: "id", Type: change.Type{Kind: change.Int, Name: "int"}}}}
	for _, c := range goldenColumns {
		typ := ddlType(c.ddl)
		t.Columns = append(t.Columns, change.Column{Name: c.name, Type: typ, Nullable: !strings.Contains(c.ddl, "NOT NULL")})
	}
	return catalog{"shop.golden": t}
}

func ddlType(ddl string) change.Type {
	words := strings.Fields(ddl)
	name, arg, _ := strings.Cut(strings.ToLower(strings.TrimSuffix(words[0], ")")), "(")
	coll := ""
	for i, w := range words {
		if w == "COLLATE" {
			coll = strings.Replace(words[i+1], "utf8_", "utf8mb3_", 1)
		}
	}
	var t change.Type
	switch name {
	case "varchar", "char":
		t = columnType("varchar(" + arg + "," + coll + ")")
	case "text":
		t = columnType("text")
	case "enum", "set":
		list := ddl[strings.Index(ddl, "(")+1 : strings.Index(ddl, ")")]
		t = columnType("enum(" + strings.ReplaceAll(list, "'", "") + ")")
		t.Name = name
	default:
		t = columnType(strings.ToLower(words[0]))
		if len(words) > 1 && words[1] == "UNSIGNED" {
			t.Unsigned = true
			if t.Kind == change.Int {
				t.Kind = change.Uint
			}
		}
	}
	if coll != "" {
		t.Collation = coll
		t.Charset, _, _ = strings.Cut(coll, "_")
	}
	return t
}

// query runs a SELECT and reads its rows as values of the given types.
func (g *goldenServer) query(query string, types []change.Type) ([]change.Row, error) {
	rows, err := g.conn.QueryContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	raw := make([]sql.RawBytes, len(types))
	ptr := make([]any, len(types))
	for i := range raw {
		ptr[i] = &raw[i]
	}
	var out []change.Row
	for rows.Next() {
		if err := rows.Scan(ptr...); err != nil {
			return nil, err
		}
		row := make(change.Row, len(types))
		for i, b := range raw {
			if b == nil {
				continue
			}
			if row[i], err = serverValue(string(b), types[i]); err != nil {
				return nil, fmt.Errorf("column %d: %w", i, err)
			}
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// serverValue reads a value in the servers' text form.
func serverValue(s string, t change.Type) (change.Value, error) {
	switch t.Kind {
	case change.Int:
		n, err := strconv.ParseInt(s, 10, 64)
		return change.IntValue(n), err
	case change.Uint:
		if t.Name == "bit" {
			n := uint64(0)
			for i := range len(s) {
				n = n<<8 | uint64(s[i])
			}
			return change.UintValue(n), nil
		}
		n, err := strconv.ParseUint(s, 10, 64)
		return change.UintValue(n), err
	case change.Decimal:
		d, ok := change.NormalDecimal(s, t.Scale)
		if !ok {
			return change.Value{}, fmt.Errorf("decimal %s does not fit scale %d", s, t.Scale)
		}
		return change.DecimalValue(d), nil
	case change.Float:
		f, err := strconv.ParseFloat(s, 32)
		return change.FloatValue(float32(f)), err
	case change.Double:
		f, err := strconv.ParseFloat(s, 64)
		return change.DoubleValue(f), err
	case change.JSON:
		return change.JSONValue(s), nil
	case change.Bytes:
		return change.BytesValue([]byte(s)), nil
	case change.Date:
		d, err := time.Parse("2006-01-02", s)
		return change.DateValue(d.Unix() / 86400), err
	case change.Datetime, change.Timestamp:
		d, err := time.Parse("2006-01-02 15:04:05.999999", s)
		if t.Kind == change.Timestamp {
			return change.TimestampValue(d.UnixMicro()), err
		}
		return change.DatetimeValue(d.UnixMicro()), err
	case change.Time:
		return parseServerTime(s)
	case change.Year:
		n, err := strconv.ParseInt(s, 10, 64)
		return change.YearValue(n), err
	}
	return change.StringValue(s), nil
}

func parseServerTime(s string) (change.Value, error) {
	text, neg := strings.CutPrefix(s, "-")
	var h, m int64
	var sec float64
	_, err := fmt.Sscanf(text, "%d:%d:%f", &h, &m, &sec)
	us := (h*3600+m*60)*1e6 + int64(sec*1e6+0.5)
	if neg {
		us = -us
	}
	return change.TimeValue(us), err
}
