package clickhouse

import (
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/testenv"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// TestFarDates: a date that Date32 does not hold is quarantined with the way out, and that way leads out: once the
// column is text, the row is delivered, those that were there stay as they are, and all read back as dates.
func TestFarDates(t *testing.T) {
	const far = 2932896 // 9999-12-31
	d := newDatabase(t, testenv.ClickHouse(t), HTTP)
	f := &feed{}
	table := &change.Table{ID: change.TableID{Name: "Term"}, Key: []int{0}, Columns: []change.Column{
		{Name: "Id", Type: change.Type{Kind: change.Int, Name: "int"}},
		{Name: "Day", Type: change.Type{Kind: change.Date, Name: "date"}},
		{Name: "At", Type: change.Type{Kind: change.Datetime, Name: "datetime"}, Nullable: true},
		{Name: "Seen", Type: change.Type{Kind: change.Timestamp, Name: "timestamp", Scale: 6}, Nullable: true},
	}}
	tg := sinks.Target{From: "Term", Table: table, To: "Terms"}
	term := func(id, day int64) change.Row {
		return change.Row{change.IntValue(id), change.DateValue(day), change.DatetimeValue(day*dayMicros + 1), change.TimestampValue(1_000_000)}
	}
	insert := func(rows ...change.Row) *change.Batch {
		var events []change.Event
		for _, r := range rows {
			events = append(events, change.Event{Table: table, Op: change.Insert, After: r})
		}
		return f.batch(change.Changes, nil, events...)
	}
	s := d.openNamed(t, d.config("x"))
	mustPrepare(t, s, tg)
	f.load(t, s, tg)
	mustApply(t, s, insert(term(1, 19000), term(2, far)))
	if got := d.text(t, "SELECT row_key || reason FROM cdc_quarantine FINAL"); !strings.HasPrefix(got, "[2]") ||
		!strings.Contains(got, "column Day") || !strings.Contains(got, "not 9999-12-31") || !strings.Contains(got, "make the column a Nullable(String)") {
		t.Errorf("quarantined: %s", got)
	}
	d.run(t, "ALTER TABLE Terms_versions MODIFY COLUMN Day Nullable(String), MODIFY COLUMN At Nullable(String), MODIFY COLUMN Seen Nullable(String)")
	s = d.openNamed(t, d.config("x"))
	mustPrepare(t, s, tg)
	mustApply(t, s, insert(term(2, far)))
	const shown = "SELECT Id || '|' || assumeNotNull(Day) || '|' || assumeNotNull(At) || '|' || assumeNotNull(Seen) FROM Terms ORDER BY Id"
	want := "1|2022-01-08|2022-01-08 00:00:00.000001|1970-01-01 00:00:01.000000 2|9999-12-31|9999-12-31 00:00:00.000001|1970-01-01 00:00:01.000000"
	if got := d.text(t, shown); got != want {
		t.Errorf("shown: %s, want %s", got, want)
	}
	if got := d.text(t, "SELECT toString(count()) FROM cdc_quarantine FINAL"); got != "0" {
		t.Errorf("%s rows are still quarantined", got)
	}
	// A live chunk finds nothing to write.
	before := d.rows(t, tg)
	c := func() *change.Cover { return &change.Cover{ID: "c2", Tables: []string{"Term"}} }
	chunk := c()
	chunk.Table, chunk.Range = "Term", change.WholeTable()
	mustApply(t, s, f.batch(change.Begin, c()), f.batch(change.Chunk, chunk,
		change.Event{Table: table, Op: change.Read, After: term(1, 19000)}, change.Event{Table: table, Op: change.Read, After: term(2, far)}),
		f.batch(change.End, c()))
	after := d.rows(t, tg)
	for i := range after {
		if after[i].Version != before[i].Version || !after[i].Row.Equal(term(int64(i+1), []int64{19000, far}[i])) {
			t.Errorf("after a chunk that says the same: %v, version %s, before %s", after[i].Row, after[i].Version, before[i].Version)
		}
	}
}
