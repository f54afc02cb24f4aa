package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"pgregory.net/rapid"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// TestNumeric compares our encoding with what the driver's codec reads.
func TestNumeric(t *testing.T) {
	m := pgtype.NewMap()
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.IntRange(0, 30).Draw(t, "scale")
		digits := rapid.StringMatching(`-?(0|[1-9][0-9]{0,34}|[1-9]0{3,20})`).Draw(t, "whole")
		if scale > 0 {
			digits += "." + rapid.StringMatching(fmt.Sprintf(`(0{%d}|[0-9]{%[1]d}|0{%d}[0-9])`, scale, scale-1)).Draw(t, "fraction")
		}
		text, ok := change.NormalDecimal(digits, scale)
		if !ok {
			t.Fatalf("%s is no decimal", digits)
		}
		var n pgtype.Numeric
		if err := m.Scan(pgtype.NumericOID, pgtype.BinaryFormatCode, appendNumeric(nil, text), &n); err != nil {
			t.Fatal(err)
		}
		v, err := n.Value()
		if err != nil {
			t.Fatal(err)
		}
		got, ok := change.NormalDecimal(v.(string), scale)
		if !ok || got != text {
			t.Fatalf("%s reads as %s (%s)", text, got, v)
		}
	})
}

func TestValuesThatAreRefused(t *testing.T) {
	typ := func(k change.Kind, name string, length int) change.Type {
		return change.Type{Kind: k, Name: name, Length: length}
	}
	for _, c := range []struct {
		typ change.Type
		v   change.Value
	}{
		{typ(change.Int, "smallint", 0), change.IntValue(1 << 15)},
		{typ(change.Int, "int", 0), change.IntValue(1 << 31)},
		{typ(change.Uint, "int", 0), change.UintValue(1 << 63)},
		{typ(change.Uint, "bit", 3), change.UintValue(8)},
		{typ(change.String, "text", 0), change.StringValue("a\x00")},
		{typ(change.String, "text", 0), change.StringValue("\xff")},
		{typ(change.JSON, "json", 0), change.JSONValue("\"\x00\"")},
		{typ(change.String, "text", 0), change.AbsentValue()},
		{typ(change.String, "text", 0), change.IntValue(1)},
	} {
		f, _ := typeOf(c.typ)
		if b, err := appendField([]byte("before"), f, c.typ, c.v); err == nil || string(b) != "before" {
			t.Errorf("%s in %s: %q, error %v", c.v, c.typ.Name, b, err)
		}
	}
}

func TestFit(t *testing.T) {
	dec := func(p, s int) change.Type {
		return change.Type{Kind: change.Decimal, Name: "decimal", Precision: p, Scale: s}
	}
	text := change.Type{Kind: change.String, Name: "varchar", Length: 10}
	of := func(k change.Kind, name string) change.Type { return change.Type{Kind: k, Name: name, Length: 8} }
	for _, c := range []struct {
		typ    change.Type
		actual string
		want   fit
	}{
		{of(change.Int, "int"), "integer", fits}, {of(change.Int, "int"), "bigint", fits}, {of(change.Int, "int"), "smallint", widens},
		{of(change.Int, "int"), "numeric(20,0)", fits}, {of(change.Int, "int"), "numeric(5,0)", refuses}, {of(change.Int, "int"), "text", refuses},
		{of(change.Uint, "bigint"), "numeric(20,0)", fits}, {of(change.Uint, "bigint"), "bigint", refuses},
		{dec(10, 2), "numeric(10,2)", fits}, {dec(10, 2), "numeric", fits}, {dec(10, 2), "numeric(12,4)", fits},
		{dec(10, 2), "numeric(8,2)", widens}, {dec(10, 2), "numeric(10,4)", refuses}, {dec(10, 2), "double precision", refuses},
		{text, "character varying(10)", fits}, {text, "text", fits}, {text, "character varying(9)", widens}, {text, "character(10)", refuses},
		{of(change.String, "longtext"), "character varying(10)", widens}, {text, "character varying", fits},
		{of(change.Datetime, "datetime"), "timestamp without time zone", fits}, {of(change.Datetime, "datetime"), "timestamp(6) without time zone", fits},
		{of(change.Datetime, "datetime"), "timestamp(0) without time zone", widens}, {of(change.Datetime, "datetime"), "timestamp with time zone", refuses},
		{of(change.Timestamp, "timestamp"), "timestamp with time zone", fits}, {of(change.Date, "date"), "date", fits},
		{of(change.Time, "time"), "interval", fits}, {of(change.Time, "time"), "time without time zone", refuses},
		{of(change.Float, "float"), "double precision", fits}, {of(change.Double, "double"), "real", refuses},
		{of(change.Uint, "bit"), "bit(8)", fits}, {of(change.Uint, "bit"), "bit(9)", refuses}, {of(change.Uint, "bit"), "bit varying", fits},
		{of(change.JSON, "json"), "jsonb", fits}, {of(change.JSON, "json"), "text", fits}, {of(change.Bytes, "blob"), "bytea", fits}, {of(change.Bytes, "blob"), "text", refuses},
		{of(change.Year, "year"), "smallint", fits},
	} {
		if got := fitOf(c.typ, c.actual); got != c.want {
			t.Errorf("%s %s in %s: %d, want %d", c.typ.Kind, c.typ.Name, c.actual, got, c.want)
		}
	}
}

func TestClassify(t *testing.T) {
	for code, want := range map[string]struct {
		class  sinks.Class
		reason string
		alarm  bool
		poison bool
	}{
		"40001": {sinks.Retry, "serialization", false, false}, "40P01": {sinks.Retry, "deadlock", false, false},
		"57P01": {sinks.Retry, "connection", false, false}, "57P03": {sinks.Retry, "connection", false, false},
		"08006": {sinks.Retry, "connection", false, false}, "53100": {sinks.Retry, "disk_full", true, false},
		"53300": {sinks.Retry, "too_many_connections", false, false}, "55P03": {sinks.Retry, "lock_timeout", false, false},
		"25006": {sinks.Retry, "read_only", true, false}, "57014": {sinks.Retry, "canceled", false, false},
		"58030": {sinks.Retry, "server_io", true, false},
		"28P01": {sinks.Stop, "", false, false}, "42501": {sinks.Stop, "", false, false}, "3D000": {sinks.Stop, "", false, false},
		"57P04": {sinks.Stop, "", false, false},
		"22003": {sinks.Stop, "", false, true}, "23505": {sinks.Stop, "", false, true}, "54000": {sinks.Stop, "", false, true},
	} {
		pg := &pgconn.PgError{Code: code, Message: "m"}
		err := classify("do it", fmt.Errorf("step: %w", pg))
		reason, alarm, _ := retryable(code)
		if sinks.ClassOf(err) != want.class || reason != want.reason || alarm != want.alarm || isPoison(pg) != want.poison {
			t.Errorf("%s: class %s, reason %q, alarm %t, poison %t", code, sinks.ClassOf(err), reason, alarm, isPoison(pg))
		}
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("ü", 31) // 62 bytes
	a, b := stageName(long), stageName(long+"x")
	if len(a) > 63 || len(b) > 63 || a == b || stageName("Orders") != "cdc_stage_Orders" {
		t.Errorf("staging names %q, %q, %q", a, b, stageName("Orders"))
	}
	for _, c := range []struct{ to, column string }{{long + "xx", "A"}, {"Orders", long + "xx"}} {
		table := &change.Table{ID: change.TableID{Name: "Orders"}, Key: []int{0}, Columns: []change.Column{{Name: c.column, Type: change.Type{Kind: change.Int, Name: "int"}}}}
		_, err := newTarget(sinks.Target{From: "Orders", Table: table, To: c.to}, "public", 0)
		if sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), "64") {
			t.Errorf("a name that would be cut: %v", err)
		}
	}
	r := relation{comment: ownerComment("Orders of the shop.", "jupiter-views", "Flat")}
	if s, f := r.owner(); s != "jupiter-views" || f != "Flat" || !strings.HasPrefix(r.comment, "Orders of the shop. [cdc ") {
		t.Errorf("owner %q %q of %q", s, f, r.comment)
	}
	for _, from := range []string{"shop.order lines", "shop.semi;colon -- x", "shop.two\nlines"} {
		r := relation{comment: ownerComment("", "jupiter", from)}
		if s, f := r.owner(); s != "jupiter" || f != from {
			t.Errorf("owner %q %q of %q", s, f, r.comment)
		}
	}
	r.comment = ownerComment(r.comment, "other", "Flat")
	if s, _ := r.owner(); s != "other" || strings.Count(r.comment, "[cdc") != 1 {
		t.Errorf("owner %q of %q", s, r.comment)
	}
}
