package config

import "time"

// Default returns the settings of an empty file. Keys that depend on others (tls.mode, ports, schemas, the
// ceiling of a Kafka broker) are zero here and filled in by Load.
func Default() *Config {
	return &Config{
		Version: 1,
		Name:    "jupiter",
		DataDir: "./cdc-data",
		Source: Source{
			Type: "auto", Port: 3306,
			Tables:        Tables{Include: []Regexp{mustRegexp(".*")}},
			Start:         Start{Kind: StartSnapshot},
			OnGap:         "resync",
			OnUnsupported: "pause_table",
			ZeroDates:     "null_or_stop",
			Heartbeat:     5 * time.Second,
			Snapshot:      Snapshot{Mode: "initial", Threads: 2, ChunkRows: 10000},
		},
		Topics: Topics{Tombstones: true, Oversize: "stop", MaxMessageBytes: 64 * MiB},
		Broker: Broker{
			Type: "embedded", Listen: "127.0.0.1:19092", Retention: 168 * time.Hour,
			SASL: SASL{Mechanism: "SCRAM-SHA-512"}, Partitions: 4, ReplicationFactor: 3,
		},
		Views:     Views{Dir: "schemas/views", OnChange: "rebuild"},
		Contracts: Contracts{Dir: "schemas/contracts"},
		Joiner:    Joiner{Memory: 512 * MiB},
		Sinks:     map[string]Sink{},
		Admin:     Admin{Listen: "127.0.0.1:8383", Auth: Auth{Metrics: "open"}},
		Log:       Log{Level: "info", Format: "auto"},
		Telemetry: Telemetry{Traces: 0.01},
		Central:   Central{Watch: true},
		Vault:     Vault{Auth: "approle"},
		Run:       Run{Stages: []string{"capture", "join", "deliver", "api"}},
	}
}

// defaultSink is what an entry of sinks starts from.
func defaultSink() Sink {
	return Sink{
		Enabled: true, Names: "keep", SchemaChanges: "expand", OnPoison: "keep", Heal: "atomic",
		Batch: Batch{MinRows: 1, MaxDelay: 100 * time.Millisecond},
		Retry: Retry{MinBackoff: 100 * time.Millisecond, MaxBackoff: 30 * time.Second},
	}
}

// defaultDeliver is what an entry of deliver starts from.
func defaultDeliver() Deliver { return Deliver{Delete: "hard"} }

// defaultPublish is what an entry of publish starts from.
func defaultPublish() Publish {
	return Publish{
		Profile: "lossless", Format: "json", Decimal: "precise", Bigint: "long",
		Time: "adaptive_time_microseconds", Binary: "bytes",
	}
}

// prefixOf is the default of config.consul.prefix.
func prefixOf(name string) string { return "cdc/" + name }

// prefixFollows reports whether config.consul.prefix is what the name makes it.
func (c *Config) prefixFollows() bool { return c.Central.Consul.Prefix == prefixOf(c.Name) }

// complete fills in the keys whose default depends on other keys.
func (c *Config) complete() {
	c.Source.TLS.complete(c.Source.Host)
	c.Broker.TLS.complete(c.Broker.Brokers...)
	if c.Broker.RetentionBytes == 0 && c.Broker.Type == "embedded" {
		c.Broker.RetentionBytes = 4 * GiB
	}
	if c.Central.Consul.Prefix == "" {
		c.Central.Consul.Prefix = prefixOf(c.Name)
	}
	for name, s := range c.Sinks {
		s.TLS.complete(s.Host)
		port, schema := sinkDefaults(s.Type, s.TLS.Mode != "disable")
		if s.Port == 0 {
			s.Port = port
		}
		if s.Schema == "" {
			s.Schema = schema
		}
		if s.Batch.MaxRows == 0 {
			s.Batch.MaxRows = max(defaultMaxRows(s.Type), s.Batch.MinRows)
		}
		c.Sinks[name] = s
	}
}

// defaultMaxRows is where the curves of docs/benchmarks.md become flat: a batch costs ClickHouse as much as ten thousand
// rows do, the others as much as a hundred.
func defaultMaxRows(kind string) int {
	if kind == "clickhouse" {
		return 100_000
	}
	return 10_000
}

func sinkDefaults(kind string, encrypted bool) (port int, schema string) {
	switch kind {
	case "postgres":
		return 5432, "public"
	case "sqlserver":
		return 1433, "dbo"
	case "clickhouse": // over HTTP
		if encrypted {
			return 8443, ""
		}
		return 8123, ""
	}
	return 0, ""
}

// complete chooses the mode: off where nothing leaves the machine, strict elsewhere.
func (t *TLS) complete(hosts ...string) {
	if t.Mode != "" {
		return
	}
	t.Mode = "disable"
	for _, h := range hosts {
		if !IsLocal(h) {
			t.Mode = "verify-full"
		}
	}
}
