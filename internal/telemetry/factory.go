package telemetry

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Description is one metric's entry in the reference.
type Description struct {
	Name, Kind, Help string
	Labels           []string
}

// Descriptions lists the daemon's own metrics in the order of their registration.
func (m *Metrics) Descriptions() []Description { return *m.list }

// Reference returns the reference of all metrics in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Metrics

<!-- Generated from internal/telemetry; do not edit. -->

Served at ` + "`/metrics`" + ` in Prometheus's format, on the control socket and at ` + "`admin.listen`" + `. Labels come from the configuration only,
never from keys, positions or messages. The collectors of Go and of the process (` + "`go_*`, `process_*`" + `) are served too.

Conservation: per table, rows read from the source = filtered + written to the stream; per sink, rows written to it =
applied + quarantined.

| metric | type | labels | meaning |
|---|---|---|---|
`)
	for _, d := range NewMetrics(Build{}).Descriptions() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, d.Kind, strings.Join(d.Labels, ", "), d.Help)
	}
	return b.String()
}

// factory makes and registers metrics; a name given twice is a bug and panics at start.
type factory struct {
	registry *prometheus.Registry
	list     *[]Description
}

func (f factory) register(c prometheus.Collector, d Description) {
	f.registry.MustRegister(c)
	*f.list = append(*f.list, d)
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	f.register(g, Description{Name: name, Kind: "gauge", Help: help})
	return g
}

func (f factory) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	f.register(g, Description{Name: name, Kind: "gauge", Labels: labels, Help: help})
	return g
}

func (f factory) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	f.register(c, Description{Name: name, Kind: "counter", Help: help})
	return c
}

func (f factory) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	f.register(c, Description{Name: name, Kind: "counter", Labels: labels, Help: help})
	return c
}

func (f factory) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	f.register(h, Description{Name: name, Kind: "histogram", Help: help})
	return h
}

func (f factory) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	f.register(h, Description{Name: name, Kind: "histogram", Labels: labels, Help: help})
	return h
}
