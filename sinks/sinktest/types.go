package sinktest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// typeCase is a column of the source and values that must come back identical; NULL is always among them.
type typeCase struct {
	typ    change.Type
	values []change.Value
}

func integers(name string, lo, hi int64) typeCase {
	c := typeCase{typ: change.Type{Kind: change.Int, Name: name}}
	for _, n := range []int64{lo, -1, 0, 1, hi} {
		c.values = append(c.values, change.IntValue(n))
	}
	return c
}

func unsigned(name string, hi uint64) typeCase {
	c := typeCase{typ: change.Type{Kind: change.Uint, Name: name, Unsigned: true}}
	for _, n := range []uint64{0, 1, hi/2 + 1, hi} {
		c.values = append(c.values, change.UintValue(n))
	}
	return c
}

func decimals(precision, scale int, values ...string) typeCase {
	c := typeCase{typ: change.Type{Kind: change.Decimal, Name: "decimal", Precision: precision, Scale: scale}}
	for _, v := range values {
		c.values = append(c.values, change.DecimalValue(v))
	}
	return c
}

func bits(length int, values ...uint64) typeCase {
	c := typeCase{typ: change.Type{Kind: change.Uint, Name: "bit", Length: length}}
	for _, v := range values {
		c.values = append(c.values, change.UintValue(v))
	}
	return c
}

func texts(t change.Type, values ...string) typeCase {
	c := typeCase{typ: t}
	for _, v := range values {
		switch t.Kind {
		case change.Bytes:
			c.values = append(c.values, change.BytesValue([]byte(v)))
		case change.JSON:
			c.values = append(c.values, change.JSONValue(v))
		default:
			c.values = append(c.values, change.StringValue(v))
		}
	}
	return c
}

func moments(t change.Type, make func(int64) change.Value, values ...int64) typeCase {
	c := typeCase{typ: t}
	for _, v := range values {
		c.values = append(c.values, make(v))
	}
	return c
}

func typeCases() []typeCase {
	nines := strings.Repeat("9", 35) + "." + strings.Repeat("9", 30)
	allBytes := make([]byte, 256)
	for i := range allBytes {
		allBytes[i] = byte(i)
	}
	day := func(s string) int64 { return moment(s+"T00:00:00Z") / 86_400_000_000 }
	str := func(name string, length int) change.Type {
		return change.Type{Kind: change.String, Name: name, Length: length, Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci"}
	}
	bin := func(name string) change.Type {
		return change.Type{Kind: change.Bytes, Name: name, Length: 300, Collation: "binary"}
	}
	kind := func(k change.Kind, name string) change.Type { return change.Type{Kind: k, Name: name, Scale: 6} }
	return []typeCase{
		integers("tinyint", math.MinInt8, math.MaxInt8), integers("smallint", math.MinInt16, math.MaxInt16),
		integers("mediumint", -1<<23, 1<<23-1), integers("int", math.MinInt32, math.MaxInt32),
		integers("bigint", math.MinInt64, math.MaxInt64),
		unsigned("tinyint", math.MaxUint8), unsigned("smallint", math.MaxUint16), unsigned("mediumint", 1<<24-1),
		unsigned("int", math.MaxUint32), unsigned("bigint", math.MaxUint64),
		decimals(10, 2, "0.00", "-0.01", "99999999.99", "-99999999.99", "10000.00", "0.10", "1000000.00", "12345.67"),
		decimals(65, 30, nines, "-"+nines, "0."+strings.Repeat("0", 29)+"1", "1."+strings.Repeat("0", 30), "10000."+strings.Repeat("0", 26)+"1000"),
		decimals(65, 0, strings.Repeat("9", 65), "-10000", "100000000", "1"),
		decimals(5, 5, "0.00001", "-0.99999", "0.00000", "0.10000"),
		bits(1, 0, 1), bits(9, 0, 1, 256, 511), bits(64, 0, 1, 1<<63, math.MaxUint64),
		{change.Type{Kind: change.Float, Name: "float"}, []change.Value{change.FloatValue(0), change.FloatValue(-1.5), change.FloatValue(math.MaxFloat32), change.FloatValue(math.SmallestNonzeroFloat32), change.FloatValue(0.1)}},
		{change.Type{Kind: change.Double, Name: "double"}, []change.Value{change.DoubleValue(0), change.DoubleValue(-1.5), change.DoubleValue(math.MaxFloat64), change.DoubleValue(math.SmallestNonzeroFloat64), change.DoubleValue(0.1)}},
		texts(str("varchar", 40), "", " ", "trailing ", "ABC", "abc", "日本語", "😀😀", "é", "e\u0301", strings.Repeat("😀", 40), "a\tb\nc\\d'e\"f", "NULL", "\x01\x7f", "a\x00b"),
		texts(str("char", 10), "", "x", "日本語"), texts(str("longtext", 0), "", strings.Repeat("long ", 50_000)),
		texts(str("enum", 0), "", "one", "two, three"), texts(str("set", 0), "", "a,b"),
		texts(bin("varbinary"), "", "\x00", "\x00\xff\x00", string(allBytes)), texts(bin("longblob"), strings.Repeat("\x00\x01", 100_000)),
		moments(kind(change.Date, "date"), change.DateValue, day("1970-01-01"), day("1000-01-01"), day("9999-12-31"), day("1969-12-31"), day("2000-02-29"), day("0001-01-01")),
		moments(kind(change.Time, "time"), change.TimeValue, 0, 1, -1, 3020399_000000, -3020399_000000, 1_500_000, -1_500_000, 86_400_000_000),
		moments(kind(change.Datetime, "datetime"), change.DatetimeValue, 0, 1, -1, moment("1000-01-01T00:00:00Z"), moment("9999-12-31T23:59:59.999999Z"), moment("2026-03-29T02:30:00.123456Z")),
		moments(kind(change.Timestamp, "timestamp"), change.TimestampValue, 1_000_000, 1_000_001, moment("2038-01-19T03:14:07.999999Z"), moment("2026-03-29T01:00:00Z")),
		moments(kind(change.Year, "year"), change.YearValue, 0, 1901, 2155),
		texts(change.Type{Kind: change.JSON, Name: "json"}, `{}`, `null`, `[1, 2.50, "x", null, true]`, `{"b": 1, "a": {"é": "😀"}}`, `"text"`, `18446744073709551615`),
	}
}

func moment(s string) int64 {
	m, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err) // a constant of this file
	}
	return m.UnixMicro()
}

// testWideTypes sends every type with its extremes through every way that rows take: a first load, changes,
// a live chunk, a heal.
func testWideTypes(t *testing.T, b *bench) {
	all := typeCases()
	cases := b.within(all)
	table := &change.Table{ID: change.TableID{DB: "shop", Name: "wide"}, Key: []int{0}, Columns: []change.Column{{Name: "id", Type: intType}}}
	most := 0
	for i, c := range cases {
		name := fmt.Sprintf("c%02d %s", i, c.typ.Name)
		table.Columns = append(table.Columns, change.Column{Name: name, Type: c.typ, Nullable: true})
		most = max(most, len(c.values)+1)
	}
	var rows []change.Row
	for n := range most {
		row := change.Row{change.IntValue(int64(n))}
		for _, c := range cases {
			v := change.NullValue()
			if n < len(c.values) {
				v = c.values[n]
			}
			row = append(row, v)
		}
		rows = append(rows, row)
	}
	tg := target(table)
	s := b.loaded(t, Options{}, tg, rows...)
	b.want(t, tg, rows...)
	before := b.versions(t, tg)
	again := func() {
		t.Helper()
		after := b.versions(t, tg)
		for k, v := range before {
			if after[k] != v {
				t.Errorf("row %x was identical and was written again", string(k))
			}
		}
	}
	var events []change.Event
	for _, r := range rows {
		events = append(events, update(table, r, r))
	}
	apply(t, s, b.changes(events...))
	if b.Limits.Rewrites {
		before = b.versions(t, tg)
	}
	again()
	id := b.newID()
	apply(t, s, b.begin(id, additive, table), b.newChunk(id, tg, rows...), b.end(id, table))
	again()
	b.load(t, s, tg, rows...)
	again()
	// Each row takes the values of the next.
	var shifted []change.Row
	events = nil
	for i, r := range rows {
		next := rows[(i+1)%len(rows)].Clone()
		next[0] = r[0]
		shifted, events = append(shifted, next), append(events, update(table, r, next))
	}
	apply(t, s, b.changes(events...))
	b.want(t, tg, shifted...)
	b.quarantined(t)
	testTypedKeys(t, b, cases)
	testRefusedTypes(t, b, all)
}

// within leaves out what the destination says that it cannot hold.
func (b *bench) within(cases []typeCase) []typeCase {
	var out []typeCase
	for _, c := range cases {
		if b.Limits.refusesType(c.typ, false) {
			continue
		}
		var values []change.Value
		for _, v := range c.values {
			if !b.Limits.refusesValue(c.typ, v) {
				values = append(values, v)
			}
		}
		out = append(out, typeCase{c.typ, values})
	}
	return out
}

// testRefusedTypes asserts that what a destination says that it cannot hold is refused: a type when the sink is
// prepared, by the column's name, a value by the quarantine.
func testRefusedTypes(t *testing.T, b *bench, cases []typeCase) {
	for i, c := range cases {
		rb := &bench{Destination: b.Destination, feed: newFeed(fmt.Sprintf("refused %d", i))}
		for _, key := range []bool{false, true} {
			if !b.Limits.refusesType(c.typ, key) {
				continue
			}
			table := &change.Table{ID: change.TableID{DB: "refused", Name: fmt.Sprintf("t%02d", i)}, Key: []int{0}}
			table.Columns = []change.Column{{Name: "id", Type: intType}, {Name: "The column", Type: c.typ, Nullable: true}}
			if key {
				table.Key = []int{0, 1}
			}
			err := rb.openOnly(t, Options{}).Prepare(t.Context(), rb.stream, []sinks.Target{target(table)})
			if sinks.ClassOf(err) != sinks.Stop || !strings.Contains(err.Error(), "The column") {
				t.Errorf("a column of type %s (in the key: %t): %v, want a stop that names it", c.typ.Name, key, err)
			}
		}
		if b.Limits.refusesType(c.typ, false) {
			continue
		}
		var refused []change.Event
		table := &change.Table{ID: change.TableID{DB: "refused", Name: fmt.Sprintf("v%02d", i)}, Key: []int{0}}
		table.Columns = []change.Column{{Name: "id", Type: intType}, {Name: "v", Type: c.typ, Nullable: true}}
		for n, v := range c.values {
			if b.Limits.refusesValue(c.typ, v) {
				refused = append(refused, insert(table, change.Row{change.IntValue(int64(n)), v}))
			}
		}
		if len(refused) == 0 {
			continue
		}
		tg := target(table)
		s := rb.loaded(t, Options{}, tg, change.Row{change.IntValue(-1), change.NullValue()})
		apply(t, s, rb.changes(refused...))
		rb.want(t, tg, change.Row{change.IntValue(-1), change.NullValue()})
		n := 0
		for _, q := range rb.Quarantine(t) {
			if q.Table == tg.From {
				n++
			}
		}
		if n != len(refused) {
			t.Errorf("%s: %d rows are quarantined, want %d", c.typ.Name, n, len(refused))
		}
		if !b.Limits.refusesType(c.typ, true) && c.typ.Kind != change.JSON {
			testRefusedKey(t, rb, fmt.Sprintf("r%02d", i), c.typ, refused[0].After[1])
		}
	}
}

// testRefusedKey: a key that the destination cannot write down is listed, and the deletion of its row takes it off the list,
// in a batch of its own as in the same one.
func testRefusedKey(t *testing.T, b *bench, name string, typ change.Type, v change.Value) {
	t.Helper()
	table := &change.Table{ID: change.TableID{DB: "refused", Name: name}, Key: []int{0}}
	table.Columns = []change.Column{{Name: "key", Type: typ, Nullable: true}, {Name: "v", Type: intType}}
	tg := target(table)
	s := b.open(t, Options{}, tg)
	b.load(t, s, tg)
	row := change.Row{v, change.IntValue(1)}
	listed := func(want int) {
		t.Helper()
		n := 0
		for _, q := range b.Quarantine(t) {
			if q.Table == tg.From {
				n++
			}
		}
		if n != want {
			t.Errorf("%s %s as a key: %d rows are quarantined, want %d", typ.Name, v, n, want)
		}
	}
	apply(t, s, b.changes(insert(table, row)))
	listed(1)
	apply(t, s, b.changes(remove(table, row)))
	listed(0)
	apply(t, s, b.changes(insert(table, row), remove(table, row)), b.changes(insert(table, row)), b.changes(remove(table, row), insert(table, row)))
	listed(1)
	apply(t, s, b.changes(update(table, row, row), remove(table, row)))
	listed(0)
}

// testTypedKeys uses each type as a key: deletes find their row, and ranges order as Key bytes do.
func testTypedKeys(t *testing.T, b *bench, cases []typeCase) {
	for i, c := range cases {
		switch c.typ.Name {
		case "json", "longtext", "longblob":
			continue
		}
		if b.Limits.refusesType(c.typ, true) {
			continue // asserted elsewhere
		}
		table := &change.Table{ID: change.TableID{DB: "keys", Name: fmt.Sprintf("k%02d", i)}, Key: []int{0}}
		table.Columns = []change.Column{{Name: "key", Type: c.typ, Nullable: true}, {Name: "v", Type: intType}}
		tg := target(table)
		kb := &bench{Destination: b.Destination, feed: newFeed("stream " + table.ID.Name)}
		s := kb.open(t, Options{}, tg)
		rows := []change.Row{{change.NullValue(), change.IntValue(-1)}}
		for n, v := range c.values {
			if !slices.ContainsFunc(c.values[:n], func(o change.Value) bool { return b.Limits.oneKey(o, v) }) {
				rows = append(rows, change.Row{v, change.IntValue(int64(n))})
			}
		}
		kb.load(t, s, tg, rows...)
		kb.want(t, tg, rows...)
		sortRows(table, rows)
		id := kb.newID()
		apply(t, s, kb.begin(id, additive, table))
		for n, r := range rows {
			if _, err := table.RowKey(r); err != nil {
				t.Fatal(err)
			}
			key := change.KeyOf(r[0])
			apply(t, s, kb.chunk(id, table, change.KeyRange{Lo: key, HasLo: true}))
			kb.want(t, tg, rows[:n]...)
			var events []change.Event
			for _, gone := range rows[n:] {
				events = append(events, insert(table, gone))
			}
			apply(t, s, kb.changes(events...), kb.changes(remove(table, r)))
			left := append(rows[:n:n], rows[n+1:]...)
			kb.want(t, tg, left...)
			apply(t, s, kb.changes(insert(table, r)))
		}
		apply(t, s, kb.end(id, table))
		kb.want(t, tg, rows...)
	}
}
