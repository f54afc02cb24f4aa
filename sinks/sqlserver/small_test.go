package sqlserver

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/sinktest"
)

// TestBothWaysStoreTheSame: a value is the same whether it came as a parameter or by bulk load, also in a column of
// another type than the sink would have made.
func TestBothWaysStoreTheSame(t *testing.T) {
	d := newDatabase(t)
	d.run(t, `CREATE TABLE [dbo].[Others] ([Id] bigint NOT NULL PRIMARY KEY, [Flag] tinyint NULL, [Count] decimal(12,2) NULL, [Size] decimal(22,1) NULL,
		[Ratio] float NULL, [Text] nvarchar(max) NULL, [Raw] varbinary(max) NULL, [At] datetime2(7) NULL, [Day] date NULL, [Hour] time(7) NULL, [Moment] datetimeoffset(7) NULL)`)
	table := &change.Table{ID: change.TableID{DB: "shop", Name: "others"}, Key: []int{0}}
	values := change.Row{change.NullValue()}
	for _, c := range []struct {
		name  string
		typ   change.Type
		value change.Value
	}{
		{"Id", typ(change.Int, "int", 0), change.NullValue()},
		{"Flag", typ(change.Uint, "bit", 1), change.UintValue(1)},
		{"Count", typ(change.Int, "int", 0), change.IntValue(-2147483648)},
		{"Size", typ(change.Uint, "bigint", 0), change.UintValue(18446744073709551615)},
		{"Ratio", typ(change.Float, "float", 0), change.FloatValue(0.1)},
		{"Text", typ(change.String, "varchar", 20), change.StringValue("a\x00b 😀 ")},
		{"Raw", typ(change.Bytes, "varbinary", 9), change.BytesValue([]byte{0, 1, 0})},
		{"At", change.Type{Kind: change.Datetime, Name: "datetime", Scale: 6}, change.DatetimeValue(-62135596800000000)},
		{"Day", typ(change.Date, "date", 0), change.DateValue(2932896)}, // 9999-12-31
		{"Hour", change.Type{Kind: change.Time, Name: "time", Scale: 6}, change.TimeValue(86399999999)},
		{"Moment", change.Type{Kind: change.Timestamp, Name: "timestamp", Scale: 6}, change.TimestampValue(1700000000123456)},
	} {
		table.Columns = append(table.Columns, change.Column{Name: c.name, Type: c.typ, Nullable: c.name != "Id"})
		if c.name != "Id" {
			values = append(values, c.value)
		}
	}
	tg := sinks.Target{From: table.ID.String(), Table: table, To: "Others", Adopt: true}
	s := d.open(t, sinktest.Options{Reader: "n"})
	w := &writer{}
	w.shown(t, s, tg)
	var want []change.Row
	for i, small := range []int{smallRows, 0} {
		s.small = small
		var events []change.Event
		for n := range 2 {
			row := make(change.Row, len(values))
			for c := range row {
				row[c] = change.NullValue()
			}
			if n == 1 {
				row = values.Clone()
			}
			row[0] = change.IntValue(int64(2*i + n))
			want = append(want, row)
			events = append(events, change.Event{Table: table, Op: change.Insert, After: row})
		}
		mustApply(t, s, w.batch(change.Changes, nil, events...))
	}
	var got []change.Row
	for _, r := range d.rows(t, tg) {
		got = append(got, r.Row)
	}
	if d := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); d != "" {
		t.Error(d)
	}
}

// TestKeysThatChange: an event that changes a key counts as two rows, so that a batch of few events may hold more
// rows than a message.
func TestKeysThatChange(t *testing.T) {
	d := newDatabase(t)
	statements := 0
	s := d.open(t, sinktest.Options{Reader: "n", Observer: sinks.Observer{Statement: func() { statements++ }}})
	w, tg := &writer{}, simpleTarget()
	w.shown(t, s, tg)
	const n = smallRows
	mustApply(t, s, w.inserts(tg.Table, 0, n, func(int) string { return "moves" }))
	row := func(id int) change.Row { return change.Row{change.IntValue(int64(id)), change.StringValue("moves")} }
	for _, moved := range []int{n / 2, n/2 + 1, n} {
		var events []change.Event
		for i := range moved {
			events = append(events, change.Event{Table: tg.Table, Op: change.Update, Before: row(i), After: row(n + i)})
		}
		statements = 0
		mustApply(t, s, w.batch(change.Changes, nil, events...))
		if one := statements == 1; one != (2*moved <= smallRows) {
			t.Errorf("%d changes of keys took %d statements", moved, statements)
		}
		if got := d.texts(t, tg); len(got) != n || got[fmt.Sprint(n)] != "moves" || got["0"] != "" {
			t.Errorf("%d changes of keys left %d rows: %v", moved, len(got), got)
		}
		for i := range events {
			events[i].Before, events[i].After = events[i].After, events[i].Before
		}
		mustApply(t, s, w.batch(change.Changes, nil, events...))
	}
}
