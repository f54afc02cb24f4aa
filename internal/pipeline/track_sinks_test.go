package pipeline

import (
	"reflect"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etlsandbox/cdc/internal/telemetry"
	"github.com/etlsandbox/cdc/schemas/change"
)

// What a destination has before it is counted as the stream grows and as the destination takes, without
// anybody asking; while it has nothing there is no number to count from.
func TestBehind(t *testing.T) {
	m := telemetry.NewMetrics(telemetry.Build{})
	track := NewTracker(m)
	shown := func(what string, want ...float64) {
		t.Helper()
		got := gauge(t, m.Sink.LagTransactions)
		if len(got) != len(want) || len(want) > 0 && got[0] != want[0] {
			t.Errorf("%s: the metric has %v, want %v", what, got, want)
		}
		if units, known := track.Behind("mars"); known != (len(want) > 0) || known && float64(units) != want[0] {
			t.Errorf("%s: behind by %d (known: %t), want %v", what, units, known, want)
		}
	}
	const first = 1_795_591_033_738_000
	at := func(seq change.Seq) change.Mark { return change.Mark{Incarnation: 1, ID: "a", Seq: seq} }
	grow := func(seq change.Seq) { track.Committed(Committed{Stream: "views", Mark: at(seq)}, false) }
	track.Delivers("mars", "views")
	grow(first)
	shown("nothing applied")
	track.Applied("mars", Applied{Batch: &change.Batch{Stream: "views", Mark: at(first)}})
	shown("all applied", 0)
	grow(first + 10)
	shown("the stream grows", 10)
	track.Applied("mars", Applied{Batch: &change.Batch{Stream: "views", Mark: at(first + 7)}})
	shown("some applied", 3)
	track.Delivers("mars")
	shown("not delivered")
}

// gauge reads the values of a metric.
func gauge(t *testing.T, c prometheus.Collector) (values []float64) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, x := range f.Metric {
			values = append(values, x.GetGauge().GetValue())
		}
	}
	return values
}

// A cover that others have taken the place of keeps its tables, to be told by, and is over for each of them.
func TestVoidedCovers(t *testing.T) {
	tr := NewTracker(telemetry.NewMetrics(telemetry.Build{}))
	begin := func(id, reader string, tables ...string) {
		tr.Committed(Committed{Stream: "jupiter", Kind: change.Begin, Cover: &change.Cover{ID: id, Heal: true, For: reader, Tables: tables}}, true)
	}
	begin("a", "mars", "d.t", "d.u")
	begin("b", "mars", "d.t", "d.u") // mars asks again
	begin("c", "", "d.v")
	begin("d", "", "d.v", "d.t")
	tr.Committed(Committed{Stream: "jupiter", Kind: change.End, Cover: &change.Cover{ID: "d", Heal: true}}, true) // its tables were paused meanwhile
	type line struct {
		id     string
		tables []string
		voided bool
		ended  bool
	}
	var got []line
	for _, c := range tr.Covers() {
		got = append(got, line{c.Cover.ID, c.Cover.Tables, c.Voided, !c.Ended.IsZero()})
	}
	want := []line{{"a", []string{"d.t", "d.u"}, true, true}, {"b", []string{"d.u"}, false, false}, {"c", []string{"d.v"}, true, true}, {"d", []string{"d.v", "d.t"}, true, true}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("covers %+v, want %+v", got, want)
	}
}
