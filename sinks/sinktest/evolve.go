package sinktest

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/schemas/change"
)

// growth is a column whose type becomes a wider one at the source.
type growth struct {
	from, to change.Type
	// before is a value of the old type, kept the same value as the new type prints it, after one that needs the new type.
	before, kept, after change.Value
}

func growths() []growth {
	whole := func(name string) change.Type { return change.Type{Kind: change.Int, Name: name} }
	natural := func(name string) change.Type {
		return change.Type{Kind: change.Uint, Name: name, Unsigned: true}
	}
	decimal := func(precision, scale int) change.Type {
		return change.Type{Kind: change.Decimal, Name: "decimal", Precision: precision, Scale: scale}
	}
	text := func(name string, length int) change.Type {
		return change.Type{Kind: change.String, Name: name, Length: length, Charset: "utf8mb4", Collation: "utf8mb4_bin"}
	}
	octets := func(name string, length int) change.Type {
		return change.Type{Kind: change.Bytes, Name: name, Length: length, Collation: "binary"}
	}
	i, u, d, s := change.IntValue, change.UintValue, change.DecimalValue, change.StringValue
	b := func(text string) change.Value { return change.BytesValue([]byte(text)) }
	return []growth{
		{whole("tinyint"), whole("smallint"), i(-128), i(-128), i(math.MaxInt16)},
		{whole("smallint"), whole("int"), i(-32768), i(-32768), i(math.MaxInt32)},
		{whole("mediumint"), whole("bigint"), i(1 << 22), i(1 << 22), i(math.MinInt64)},
		{whole("int"), whole("bigint"), i(-1), i(-1), i(math.MaxInt64)},
		{natural("tinyint"), natural("smallint"), u(255), u(255), u(math.MaxUint16)},
		{natural("smallint"), natural("int"), u(65535), u(65535), u(math.MaxUint32)},
		{decimal(10, 2), decimal(20, 2), d("1.50"), d("1.50"), d("-999999999999999999.99")},
		{decimal(10, 2), decimal(20, 4), d("-1.50"), d("-1.5000"), d("9999999999999999.9999")},
		{text("varchar", 10), text("varchar", 100), s("ten"), s("ten"), s(strings.Repeat("é", 100))},
		{text("varchar", 10), text("longtext", 0), s(""), s(""), s(strings.Repeat("long ", 5000))},
		{octets("varbinary", 4), octets("varbinary", 300), b("\x00\xff"), b("\x00\xff"), b(strings.Repeat("\x01", 300))},
		{octets("varbinary", 4), octets("longblob", 0), b(""), b(""), b(strings.Repeat("\x00\x01", 5000))},
	}
}

// testEvolution: every type is added to a table that has rows, and every one that can grow grows in it; what was there
// stays, what comes has the new type's room. It is the same while a heal is staged.
func testEvolution(t *testing.T, b *bench) {
	grown, added := growths(), b.within(typeCases())
	old := &change.Table{ID: change.TableID{DB: "shop", Name: "grown"}, Key: []int{0}, Columns: []change.Column{{Name: "id", Type: intType}}}
	wide := *old
	wide.Version++
	wide.Columns = old.Columns[:1:1]
	for i, g := range grown {
		name := fmt.Sprintf("g%02d %s", i, g.to.Name)
		old.Columns = append(old.Columns, change.Column{Name: name, Type: g.from, Nullable: true})
		wide.Columns = append(wide.Columns, change.Column{Name: name, Type: g.to, Nullable: true})
	}
	for i, c := range added {
		wide.Columns = append(wide.Columns, change.Column{Name: fmt.Sprintf("a%02d %s", i, c.typ.Name), Type: c.typ, Nullable: true})
	}
	row := func(id int64, grow func(growth) change.Value, add func(typeCase) change.Value) change.Row {
		r := change.Row{change.IntValue(id)}
		for _, g := range grown {
			r = append(r, grow(g))
		}
		for _, c := range added {
			if add != nil {
				r = append(r, add(c))
			}
		}
		return r
	}
	before := func(g growth) change.Value { return g.before }
	kept := func(g growth) change.Value { return g.kept }
	after := func(g growth) change.Value { return g.after }
	null := func(typeCase) change.Value { return change.NullValue() }
	last := func(c typeCase) change.Value { return c.values[len(c.values)-1] }

	tg := target(old)
	s := b.loaded(t, Options{}, tg, row(1, before, nil), row(2, before, nil))
	id := b.newID()
	apply(t, s, b.begin(id, heal, old), b.chunk(id, old, change.WholeTable(), row(1, before, nil), row(2, before, nil)))
	apply(t, s, b.batch(change.Schema, nil, []*change.Table{&wide}, nil))
	tg.Table = &wide
	apply(t, s, b.changes(insert(&wide, row(3, after, last)), update(&wide, row(2, kept, null), row(2, after, last))))
	b.want(t, tg, row(1, kept, null), row(2, kept, null)) // the heal is not over
	apply(t, s, b.end(id, &wide))
	want := []change.Row{row(1, kept, null), row(2, after, last), row(3, after, last)}
	b.want(t, tg, want...)
	s = b.open(t, Options{}, tg)
	apply(t, s, b.changes(update(&wide, want[0], row(1, after, null)), remove(&wide, want[1])))
	b.want(t, tg, row(1, after, null), want[2])
	b.quarantined(t)
}
