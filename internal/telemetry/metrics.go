package telemetry

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics holds every metric of the daemon. Labels come from the configuration only, never from keys,
// positions or messages, so that their number is bounded. Fields are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	list     *[]Description

	// Active is 1 while this process writes, 0 while it waits for another.
	Active prometheus.Gauge
	// StageUp is 1 while a stage runs. Labels: stage.
	StageUp *prometheus.GaugeVec

	Source   Source
	Snapshot Snapshot
	Stream   Stream
	Join     Join
	State    State
	Sink     Sink
	Verify   Verify
	Config   Config
	Broker   Broker
}

// Source is what the capture reads from the server.
type Source struct {
	Connected prometheus.Gauge
	// Reconnects has the label reason (one of a fixed set of words, never an error's text).
	Reconnects *prometheus.CounterVec
	// Lag is the age of the newest transaction read; Retention the time until the server purges what is needed.
	Lag, Retention prometheus.Gauge
	Transactions   prometheus.Counter
	// Rows has the labels table and op (c, u, d, r).
	Rows  *prometheus.CounterVec
	Bytes prometheus.Counter
	// FilteredRows and SchemaChanges have the label table. Rows read = filtered + written to the stream.
	FilteredRows, SchemaChanges *prometheus.CounterVec
}

// Snapshot is the reading of tables. All have the label table.
type Snapshot struct {
	Running          *prometheus.GaugeVec
	Rows             *prometheus.CounterVec
	EstimatedRows    *prometheus.GaugeVec
	RemainingSeconds *prometheus.GaugeVec
}

// Stream is what is written to streams. All have the label stream.
type Stream struct {
	Seq           *prometheus.GaugeVec
	Batches, Rows *prometheus.CounterVec
	BatchRows     *prometheus.HistogramVec
	CommitSeconds *prometheus.HistogramVec
}

// Join is the join stage.
type Join struct {
	// InputRows has the label table, OutputRows the labels view and op.
	InputRows, OutputRows *prometheus.CounterVec
	BatchSeconds          prometheus.Histogram
	Lag                   prometheus.Gauge
	LagTransactions       prometheus.Gauge
}

// State is the join state on disk.
type State struct {
	DiskBytes prometheus.Gauge
	// MemoryBytes has the label part.
	MemoryBytes            *prometheus.GaugeVec
	CacheHits, CacheMisses prometheus.Counter
}

// Sink is the delivery to destinations. All have the label sink.
type Sink struct {
	Up, Paused, BreakerOpen    *prometheus.GaugeVec
	AppliedSeq, Lag            *prometheus.GaugeVec
	LagTransactions, Retention *prometheus.GaugeVec
	// Rows has the labels sink, table and op; Retries sink and reason.
	Rows, Retries *prometheus.CounterVec
	ApplySeconds  *prometheus.HistogramVec
	// CommitToVisible runs from the commit at the source to the commit at the destination.
	CommitToVisible *prometheus.HistogramVec
	// DeadRows and DeadRowsTotal (now, and ever) have the labels sink and table. Rows written to a sink =
	// applied + quarantined.
	DeadRows      *prometheus.GaugeVec
	DeadRowsTotal *prometheus.CounterVec
	// Violations has the labels stream, rule and action.
	Violations *prometheus.CounterVec
}

// Verify is the comparison with the source. All have the labels sink and view.
type Verify struct {
	LastSuccess, DifferentRows, QuarantinedRows *prometheus.GaugeVec
}

// Config is the reloading of settings.
type Config struct {
	LastReloadSuccessful, LastReloadTimestamp prometheus.Gauge
}

// Broker is the embedded broker.
type Broker struct{ DiskBytes prometheus.Gauge }

// Build names the build of this program.
type Build struct{ Version, Commit string }

// NewMetrics registers all metrics, and those of the process and of Go, with a registry of its own.
func NewMetrics(b Build) *Metrics {
	f := factory{prometheus.NewRegistry(), new([]Description)}
	f.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	f.gauges("cdc_build_info", "Always 1; the labels name the build.", "version", "commit", "goversion").
		WithLabelValues(b.Version, b.Commit, runtime.Version()).Set(1)
	return &Metrics{
		registry: f.registry,
		list:     f.list,
		Active:   f.gauge("cdc_active", "1 while this process writes, 0 while it stands by."),
		StageUp:  f.gauges("cdc_stage_up", "1 while the stage runs.", "stage"),
		Source:   newSource(f),
		Snapshot: newSnapshot(f),
		Stream:   newStream(f),
		Join:     newJoin(f),
		State: State{
			DiskBytes:   f.gauge("cdc_state_disk_bytes", "Size of the join state on disk."),
			MemoryBytes: f.gauges("cdc_state_memory_bytes", "Memory held by the join state.", "part"),
			CacheHits:   f.counter("cdc_state_cache_hits_total", "Blocks of the join state found in the cache."),
			CacheMisses: f.counter("cdc_state_cache_misses_total", "Blocks of the join state read from disk."),
		},
		Sink: newSink(f),
		Verify: Verify{
			LastSuccess:     f.gauges("cdc_verify_last_success_timestamp_seconds", "When a comparison last found no difference.", "sink", "view"),
			DifferentRows:   f.gauges("cdc_verify_different_rows", "Rows that differed in the last comparison.", "sink", "view"),
			QuarantinedRows: f.gauges("cdc_verify_quarantined_rows", "Rows in quarantine at the last comparison.", "sink", "view"),
		},
		Config: Config{
			LastReloadSuccessful: f.gauge("cdc_config_last_reload_successful", "1 if the last reload was accepted."),
			LastReloadTimestamp:  f.gauge("cdc_config_last_reload_timestamp_seconds", "When settings were last reloaded with success."),
		},
		Broker: Broker{DiskBytes: f.gauge("cdc_embedded_broker_disk_bytes", "Size of the embedded broker's log on disk.")},
	}
}

func newSource(f factory) Source {
	return Source{
		Connected:     f.gauge("cdc_source_connected", "1 while connected to the source."),
		Reconnects:    f.counters("cdc_source_reconnects_total", "Connections to the source made again.", "reason"),
		Lag:           f.gauge("cdc_source_lag_seconds", "Age of the newest transaction when it was read; 0 once there is none to read."),
		Retention:     f.gauge("cdc_source_retention_seconds", "Time until the source purges what is still needed."),
		Transactions:  f.counter("cdc_source_transactions_total", "Transactions read from the source."),
		Rows:          f.counters("cdc_source_rows_total", "Row changes read from the source, filtered ones included.", "table", "op"),
		Bytes:         f.counter("cdc_source_bytes_total", "Bytes read from the source's log."),
		FilteredRows:  f.counters("cdc_source_filtered_rows_total", "Row changes read and left out by a filter.", "table"),
		SchemaChanges: f.counters("cdc_source_schema_changes_total", "Changes of a table's shape.", "table"),
	}
}

func newSnapshot(f factory) Snapshot {
	return Snapshot{
		Running:          f.gauges("cdc_snapshot_running", "1 while the table is read.", "table"),
		Rows:             f.counters("cdc_snapshot_rows_total", "Rows read of the table.", "table"),
		EstimatedRows:    f.gauges("cdc_snapshot_estimated_rows", "Rows that the source believes the table to have.", "table"),
		RemainingSeconds: f.gauges("cdc_snapshot_remaining_seconds", "Estimated time until the table is read.", "table"),
	}
}

func newStream(f factory) Stream {
	return Stream{
		Seq:       f.gauges("cdc_stream_seq", "Newest unit written to the stream.", "stream"),
		Batches:   f.counters("cdc_stream_batches_total", "Batches written, each one Kafka transaction.", "stream"),
		Rows:      f.counters("cdc_stream_rows_total", "Row changes written.", "stream"),
		BatchRows: f.histograms("cdc_stream_batch_rows", "Row changes of a batch.", prometheus.ExponentialBuckets(1, 4, 12), "stream"),
		CommitSeconds: f.histograms("cdc_stream_commit_seconds", "Time from the first record of a batch to its commit.",
			latencyBuckets(), "stream"),
	}
}

func newJoin(f factory) Join {
	return Join{
		InputRows:       f.counters("cdc_join_input_rows_total", "Row changes read by the join.", "table"),
		OutputRows:      f.counters("cdc_join_output_rows_total", "Row changes of views written by the join.", "view", "op"),
		BatchSeconds:    f.histogram("cdc_join_batch_seconds", "Time to join one batch.", latencyBuckets()),
		Lag:             f.gauge("cdc_join_lag_seconds", "Age of the newest transaction joined."),
		LagTransactions: f.gauge("cdc_join_lag_transactions", "Units of the stream that are not joined yet."),
	}
}

func newSink(f factory) Sink {
	return Sink{
		Up:              f.gauges("cdc_sink_up", "1 while the sink delivers.", "sink"),
		Paused:          f.gauges("cdc_sink_paused", "1 while the sink is paused.", "sink"),
		BreakerOpen:     f.gauges("cdc_sink_breaker_open", "1 while the sink rests after repeated failures.", "sink"),
		AppliedSeq:      f.gauges("cdc_sink_applied_seq", "Newest unit applied.", "sink"),
		Lag:             f.gauges("cdc_sink_lag_seconds", "Age of the newest transaction applied.", "sink"),
		LagTransactions: f.gauges("cdc_sink_lag_transactions", "Units of the stream that are not applied yet.", "sink"),
		Retention:       f.gauges("cdc_sink_retention_seconds", "Time until the broker drops what the sink still needs.", "sink"),
		Rows:            f.counters("cdc_sink_rows_total", "Row changes applied.", "sink", "table", "op"),
		Retries:         f.counters("cdc_sink_retries_total", "Batches tried again.", "sink", "reason"),
		ApplySeconds:    f.histograms("cdc_sink_apply_seconds", "Time to apply one batch.", latencyBuckets(), "sink"),
		CommitToVisible: f.histograms("cdc_commit_to_visible_seconds",
			"From the commit at the source to the commit at the destination. MariaDB logs its time in whole seconds, so there a value may be up to a second too long.",
			latencyBuckets(), "sink"),
		DeadRows:      f.gauges("cdc_dlq_rows", "Rows in quarantine.", "sink", "table"),
		DeadRowsTotal: f.counters("cdc_dlq_rows_total", "Rows ever put into quarantine.", "sink", "table"),
		Violations:    f.counters("cdc_contract_violations_total", "Ways in which rows on their way to a sink broke a data contract.", "stream", "rule", "action"),
	}
}

// latencyBuckets runs from 1 ms to a little over a minute.
func latencyBuckets() []float64 { return prometheus.ExponentialBuckets(0.001, 2, 17) }

// Registry is where a part with metrics of its own (a client library) registers them.
func (m *Metrics) Registry() prometheus.Registerer { return m.registry }

// Gather collects all metrics, for tests and reports.
func (m *Metrics) Gather() prometheus.Gatherer { return m.registry }

// Handler serves the metrics in Prometheus's format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
