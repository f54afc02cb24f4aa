package contract

import (
	"context"
	"iter"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

func orders() *change.Table {
	return &change.Table{ID: change.TableID{Name: "Orders"}, Key: []int{0}, Columns: []change.Column{
		{Name: "id", Type: change.Type{Kind: change.Uint, Name: "bigint"}},
		{Name: "amount", Type: change.Type{Kind: change.Decimal, Name: "decimal", Precision: 20, Scale: 2}, Nullable: true},
		{Name: "name", Type: change.Type{Kind: change.String, Name: "varchar"}, Nullable: true},
		{Name: "day", Type: change.Type{Kind: change.Date, Name: "date"}, Nullable: true},
		{Name: "raw", Type: change.Type{Kind: change.Bytes, Name: "blob"}, Nullable: true},
	}}
}

func order(id uint64, amount, name change.Value) change.Row {
	return change.Row{change.UintValue(id), amount, name, change.DateValue(19_000), change.BytesValue([]byte{0, 255})}
}

func load(t *testing.T, text string) *Set {
	t.Helper()
	s, err := Load(fstest.MapFS{"orders.json": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const strict = `{"version": 1, "stream": "Orders",
  "schema": {"type": "object", "required": ["amount"], "properties": {
    "id": {"type": "integer", "maximum": 18446744073709551614},
    "amount": {"type": ["number", "null"], "multipleOf": 0.01},
    "name": {"type": "string", "minLength": 2},
    "day": {"format": "date"}}},
  "rules": [
    {"name": "not_negative", "column": "Amount", "expr": "value >= 0", "action": "warn"},
    {"name": "named_as_paid", "column": "name", "expr": "value != 'free' || row.amount == 0.0", "action": "stop"}]}`

func TestCheck(t *testing.T) {
	s := load(t, strict)
	text, decimal := change.StringValue, change.DecimalValue
	tests := []struct {
		name string
		row  change.Row
		want []string
	}{
		{"good", order(1, decimal("1.10"), text("ada")), nil},
		{"NULL passes the rules", order(1, change.NullValue(), text("ada")), nil},
		{"numbers are exact", order(18446744073709551615, decimal("99999999999999999.99"), text("ada")), []string{"schema quarantine contract: id breaks the schema's maximum"}},
		{"a rule that only warns", order(1, decimal("-0.01"), text("ada")), []string{"not_negative warn contract: rule not_negative of column Amount does not hold"}},
		{"two columns", order(1, decimal("3.00"), text("free")), []string{"named_as_paid stop contract: rule named_as_paid of column name does not hold"}},
		{"not transmitted", order(1, change.AbsentValue(), text("ada")), []string{"schema quarantine contract: the row breaks the schema's required"}},
		{"several", order(1, decimal("-1.00"), text("a")), []string{
			"schema quarantine contract: name breaks the schema's minLength", "not_negative warn contract: rule not_negative of column Amount does not hold"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, v := range s.Check(orders(), tt.row) {
				if v.Stream != "Orders" {
					t.Errorf("stream %q", v.Stream)
				}
				got = append(got, v.Rule+" "+string(v.Action)+" "+v.Reason)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	other := *orders()
	other.ID.Name = "Other"
	if got := s.Check(&other, order(1, decimal("-1.00"), text("a"))); got != nil {
		t.Errorf("a view without a contract: %v", got)
	}
	if got := (*Set)(nil).Check(orders(), nil); got != nil {
		t.Errorf("no contracts: %v", got)
	}
}

// What cannot be evaluated is violated, and nobody's secret gets into the reason.
func TestUnevaluable(t *testing.T) {
	s := load(t, `{"version": 1, "stream": "Orders", "rules": [
    {"name": "gone", "column": "nowhere", "expr": "value > 1"},
    {"name": "types", "column": "name", "expr": "value > 1"},
    {"name": "dear", "column": "raw", "expr": "row.name.map(a, row.name.map(b, a == b).size() > 0).all(x, x)"}]}`)
	got := s.Check(orders(), order(1, change.DecimalValue("1.00"), change.StringValue("secret")))
	if len(got) != 3 || got[0].Reason != "contract: rule gone: there is no column nowhere" || !strings.HasPrefix(got[1].Reason, "contract: rule types cannot be evaluated") {
		t.Errorf("%+v", got)
	}
	for _, v := range got {
		if strings.Contains(v.Reason, "secret") || v.Action != Quarantine {
			t.Errorf("%+v", v)
		}
	}
}

func TestLoad(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no JSON", `{`, "unexpected EOF"},
		{"unknown key", `{"version": 1, "strem": "a"}`, `unknown field "strem"`},
		{"version", `{"version": 2, "stream": "a", "schema": {}}`, "version 2 is unknown: write 1"},
		{"no stream", `{"version": 1, "schema": {}}`, "stream is missing"},
		{"nothing", `{"version": 1, "stream": "a"}`, "neither a schema nor a rule"},
		{"action", `{"version": 1, "stream": "a", "action": "drop", "schema": {}}`, `action "drop" is none of warn, quarantine, stop`},
		{"schema", `{"version": 1, "stream": "a", "schema": {"type": "decimal"}}`, "schema: "},
		{"schema elsewhere", `{"version": 1, "stream": "a", "schema": {"$ref": "http://example.com/s.json"}}`, "is outside of the file"},
		{"expression", `{"version": 1, "stream": "a", "rules": [{"name": "r", "column": "c", "expr": "value >"}]}`, "rule 1 (r): expr: "},
		{"no truth", `{"version": 1, "stream": "a", "rules": [{"name": "r", "column": "c", "expr": "1 + 2"}]}`, "gives int, not true or false"},
		{"twice", `{"version": 1, "stream": "a", "rules": [{"name": "r", "column": "c", "expr": "true"}, {"name": "r", "column": "c", "expr": "true"}]}`, "rule 2 (r): the name is taken"},
		{"reserved name", `{"version": 1, "stream": "a", "rules": [{"name": "schema", "column": "c", "expr": "true"}]}`, `other than "schema"`},
	}
	for _, tt := range tests {
		_, err := Load(fstest.MapFS{"a.json": {Data: []byte(tt.text)}})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "contract a.json: ") {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	one := []byte(`{"version": 1, "stream": "a", "schema": {}}`)
	if _, err := Load(fstest.MapFS{"a.json": {Data: one}, "b.json": {Data: one}}); err == nil || !strings.Contains(err.Error(), "contract b.json: a has a contract already") {
		t.Errorf("two of one stream: %v", err)
	}
	s, err := Load(fstest.MapFS{"a.json": {Data: one}, "readme.md": {Data: []byte("x")}})
	if err != nil || s.Streams() != 1 || !s.Has("a") || s.Has("b") {
		t.Errorf("one: %v, %d streams", err, s.Streams())
	}
}

// No file makes the program fail, and no row makes a check fail.
func FuzzContract(f *testing.F) {
	f.Add(strict, "1.00", "ada")
	f.Add(`{"version": 1, "stream": "Orders", "rules": [{"name": "r", "column": "name", "expr": "value.matches('a+')"}]}`, "x", "\xff")
	f.Add(`{"version": 1, "stream": "Orders", "schema": {"properties": {"amount": {"minimum": 1e400}}}}`, "1e999", "")
	f.Fuzz(func(t *testing.T, text, amount, name string) {
		s, err := Load(fstest.MapFS{"a.json": {Data: []byte(text)}})
		if err != nil {
			return
		}
		for _, v := range s.Check(orders(), order(1, change.DecimalValue(amount), change.StringValue(name))) {
			if v.Rule == "" || v.Reason == "" || v.Action == "" {
				t.Errorf("%+v", v)
			}
		}
	})
}

// A batch hands refused rows on as such, with nothing of theirs but the key, tells of each violation once
// however often it is read, and ends where a contract stops the sink.
func TestBatch(t *testing.T) {
	s := load(t, `{"version": 1, "stream": "Orders", "rules": [
    {"name": "paid", "column": "amount", "expr": "value > 0"},
    {"name": "small", "column": "amount", "expr": "value < 100", "action": "warn"},
    {"name": "sane", "column": "amount", "expr": "value < 1000", "action": "stop"}]}`)
	event := func(id uint64, amount string) change.Event {
		return change.Event{Table: orders(), Op: change.Insert, After: order(id, change.DecimalValue(amount), change.StringValue("n")), Seq: 9}
	}
	batch := func(events ...change.Event) *change.Batch {
		return &change.Batch{Rows: len(events), Open: func(context.Context) iter.Seq2[change.Event, error] {
			return func(yield func(change.Event, error) bool) {
				for _, ev := range events {
					if !yield(ev, nil) {
						return
					}
				}
			}
		}}
	}
	told := map[string]int{}
	b := s.Batch(batch(event(1, "5.00"), event(2, "0.00"), event(3, "500.00")), func(v Violation) { told[v.Rule]++ })
	for range 2 {
		var got []string
		for ev, err := range b.Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, ev.After[0].String()+" "+ev.After[1].String()+" "+ev.Refused)
		}
		want := []string{"1 5.00 ", "2 (absent) contract: rule paid of column amount does not hold", "3 500.00 "}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff(map[string]int{"paid": 1, "small": 1}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	var stopped error
	for _, err := range s.Batch(batch(event(1, "5.00"), event(4, "2000.00"), event(5, "1.00")), func(Violation) {}).Events(t.Context()) {
		stopped = err
	}
	if sinks.ClassOf(stopped) != sinks.Stop || !strings.Contains(stopped.Error(), "row [4] of Orders (seq 9): contract: rule sane") {
		t.Errorf("stops with %v", stopped)
	}
	plain := batch(event(1, "0.00"))
	if s.byStream = nil; s.Batch(plain, nil) != plain {
		t.Error("without contracts a batch is changed")
	}
}
