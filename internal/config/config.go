// Package config is the one configuration file of the daemon and its commands: typed settings, where each
// came from, and every problem reported at once with its place.
//
// Settings are laid over each other in the order defaults, file, environment, --set. The package reads
// neither the environment nor flags itself; callers hand both in.
package config

import "time"

// Config holds the effective settings. Struct tags carry what the reference is generated from: key is the
// name in the file, doc its description, live whether a reload applies it, need whether it must be set,
// enum the values allowed.
type Config struct {
	Version   int             `key:"version" doc:"format of this file" enum:"1"`
	Name      string          `key:"name" doc:"names topics, transactional ids and the key in cdc_progress; cannot change later"`
	DataDir   string          `key:"data_dir" doc:"embedded broker, join state and control socket; a local disk, created with mode 0700"`
	Source    Source          `key:"source" doc:"the database whose changes are captured"`
	Topics    Topics          `key:"topics" doc:"what the topics of tables and views carry"`
	Publish   []Publish       `key:"publish" doc:"copies of topics in other forms, written in the same Kafka transaction"`
	Broker    Broker          `key:"broker" doc:"where streams live"`
	Views     Views           `key:"views" doc:"joined views"`
	Contracts Contracts       `key:"contracts" doc:"data contracts"`
	Joiner    Joiner          `key:"joiner" doc:"the join engine"`
	Sinks     map[string]Sink `key:"sinks" doc:"destinations by name" live:"yes" need:"yes"`
	Admin     Admin           `key:"admin" doc:"HTTP API, metrics and health"`
	Log       Log             `key:"log" doc:"logging"`
	Telemetry Telemetry       `key:"telemetry" doc:"traces and lineage"`
	Central   Central         `key:"config" doc:"where settings come from besides this file"`
	Vault     Vault           `key:"vault" doc:"where vault references are resolved"`
	Run       Run             `key:"run" doc:"what this process runs"`

	origin origin
}

// Source is the database whose changes are captured.
type Source struct {
	Type          string        `key:"type" doc:"kind of server; auto asks it" enum:"auto|mysql|mariadb"`
	Host          string        `key:"host" doc:"host name, address, or the path of a socket" need:"yes"`
	Port          int           `key:"port" doc:"TCP port"`
	User          string        `key:"user" doc:"account with the grants that cdc doctor names" need:"yes"`
	Password      Secret        `key:"password" doc:"its password" need:"yes"`
	TLS           TLS           `key:"tls" doc:"encryption of the connection"`
	ServerID      ServerID      `key:"server_id" doc:"replica id that the capture registers with; auto derives an unused one"`
	Tables        Tables        `key:"tables" doc:"tables to capture, as anchored regular expressions over database.table"`
	Columns       Columns       `key:"columns" doc:"columns, as anchored regular expressions over database.table.column"`
	Start         Start         `key:"start" doc:"where the very first run begins: snapshot, now, {gtid: …}, {file: …, position: …} or {time: …}"`
	OnGap         string        `key:"on_gap" doc:"what to do when the source has purged what is still needed" enum:"resync|stop"`
	OnUnsupported string        `key:"on_unsupported" doc:"what to do when a captured table gets a column that cannot be captured" enum:"pause_table|stop"`
	ZeroDates     string        `key:"zero_dates" doc:"what 0000-00-00 becomes: NULL where the column allows it, else stop; always stop; or 1970-01-01" enum:"null_or_stop|stop|epoch"`
	Heartbeat     time.Duration `key:"heartbeat" doc:"how often the source says that it is there"`
	Snapshot      Snapshot      `key:"snapshot" doc:"reading tables"`
}

// TLS says how a connection is encrypted and whom it trusts. Load fills in Mode.
type TLS struct {
	Mode       string `key:"mode" doc:"default verify-full; disable where the host is a loopback address or a socket" enum:"disable|require|verify-ca|verify-full"`
	CA         string `key:"ca" doc:"file of the authorities to trust; empty: the system's"`
	Cert       string `key:"cert" doc:"file of the client certificate"`
	Key        string `key:"key" doc:"file of the client certificate's key"`
	ServerName string `key:"server_name" doc:"name expected in the server's certificate; empty: the host"`
}

// Tables chooses tables; a table is captured when Include matches and Exclude does not.
type Tables struct {
	Include []Regexp `key:"include" doc:"tables to capture"`
	Exclude []Regexp `key:"exclude" doc:"tables to leave out again"`
}

// Columns chooses and changes columns before they leave the capture.
type Columns struct {
	Exclude  []Regexp          `key:"exclude" doc:"columns that are never captured"`
	Mask     map[string]string `key:"mask" doc:"column expression to the text that replaces its values"`
	Hash     map[string]string `key:"hash" doc:"column expression to the salt its values are hashed with"`
	Truncate map[string]int    `key:"truncate" doc:"column expression to the number of characters kept"`
}

// Snapshot paces the reading of tables.
type Snapshot struct {
	Mode             string            `key:"mode" doc:"when tables are read" enum:"initial|never|only|when_needed"`
	Threads          int               `key:"threads" doc:"chunks read at a time"`
	ChunkRows        int               `key:"chunk_rows" doc:"rows of a chunk"`
	MaxRowsPerSecond int               `key:"max_rows_per_second" doc:"ceiling for all threads together; 0: none" live:"yes"`
	Where            map[string]string `key:"where" doc:"database.table to a condition its rows must meet"`
}

// Topics says what the topics of tables and views carry.
type Topics struct {
	Tombstones      bool   `key:"tombstones" doc:"write a tombstone after a delete"`
	Transaction     bool   `key:"transaction" doc:"write a topic of transaction boundaries, in Debezium's form"`
	Heartbeat       bool   `key:"heartbeat" doc:"write Debezium's heartbeat topic"`
	SchemaChanges   bool   `key:"schema_changes" doc:"write Debezium's topic of schema changes"`
	Oversize        string `key:"oversize" doc:"a record above max_message_bytes stops the capture, or carries a placeholder" enum:"stop|unavailable"`
	MaxMessageBytes Size   `key:"max_message_bytes" doc:"largest record, set on every topic"`
}

// Publish is one published copy of topics.
type Publish struct {
	Name     string   `key:"name" doc:"topic prefix of the copy" need:"yes"`
	Tables   []Regexp `key:"tables" doc:"tables to copy"`
	Profile  string   `key:"profile" doc:"settings to start from" enum:"lossless|debezium"`
	Format   string   `key:"format" doc:"encoding" enum:"json|json_schema|avro"`
	Registry Registry `key:"registry" doc:"schema registry"`
	Decimal  string   `key:"decimal_handling_mode" doc:"as Debezium's setting" enum:"precise|double|string"`
	Bigint   string   `key:"bigint_unsigned_handling_mode" doc:"as Debezium's setting" enum:"long|precise"`
	Time     string   `key:"time_precision_mode" doc:"as Debezium's setting" enum:"adaptive_time_microseconds|connect|isostring|microseconds|nanoseconds"`
	Binary   string   `key:"binary_handling_mode" doc:"as Debezium's setting" enum:"bytes|base64|base64-url-safe|hex"`
	Unwrap   bool     `key:"unwrap" doc:"write the row after the change instead of the envelope"`
}

// Registry is a schema registry.
type Registry struct {
	URL      string `key:"url" doc:"address"`
	User     string `key:"user" doc:"user name"`
	Password Secret `key:"password" doc:"its password"`
}

// Broker says where streams live.
type Broker struct {
	Type              string        `key:"type" doc:"a broker inside this process, or a Kafka cluster" enum:"embedded|kafka"`
	Listen            string        `key:"listen" doc:"address of the embedded broker"`
	Retention         time.Duration `key:"retention" doc:"how long records are kept for readers that are behind"`
	RetentionBytes    Size          `key:"retention_bytes" doc:"ceiling for all topics together; default 4GiB embedded, none (0B) on Kafka"`
	Brokers           []string      `key:"brokers" doc:"host:port of some brokers of the Kafka cluster"`
	TLS               TLS           `key:"tls" doc:"encryption of the connection to Kafka"`
	SASL              SASL          `key:"sasl" doc:"who we are to Kafka"`
	Partitions        int           `key:"partitions" doc:"partitions of a data topic that is created"`
	ReplicationFactor int           `key:"replication_factor" doc:"replicas of a topic that is created on Kafka"`
}

// SASL authenticates with Kafka; without a user it is off.
type SASL struct {
	Mechanism string `key:"mechanism" doc:"how" enum:"PLAIN|SCRAM-SHA-256|SCRAM-SHA-512"`
	User      string `key:"user" doc:"user name; empty: no authentication"`
	Password  Secret `key:"password" doc:"its password"`
}

// Views says where views are defined.
type Views struct {
	Dir      string `key:"dir" doc:"folder of NAME.sql files, one view each"`
	OnChange string `key:"on_change" doc:"a changed definition is rebuilt, or stops the start" enum:"rebuild|stop" live:"yes"`
}

// Contracts says where data contracts are.
type Contracts struct {
	Dir string `key:"dir" doc:"folder of JSON files, one contract each; it need not be there" live:"yes"`
}

// Joiner bounds the join engine.
type Joiner struct {
	Memory Size `key:"memory" doc:"ceiling for caches and the overlay of one batch; more spills to disk"`
}

// Sink is one destination.
type Sink struct {
	Type          string    `key:"type" doc:"kind of database" enum:"postgres|sqlserver|clickhouse" need:"yes"`
	Enabled       bool      `key:"enabled" doc:"false stops delivery and keeps the place" live:"yes"`
	Host          string    `key:"host" doc:"host name, address, or the folder of a socket" need:"yes"`
	Port          int       `key:"port" doc:"TCP port; default 5432 postgres, 1433 sqlserver, 8123 or with TLS 8443 clickhouse, which is spoken to over HTTP but at 9000 and 9440"`
	Database      string    `key:"database" doc:"database to write to" need:"yes"`
	Schema        string    `key:"schema" doc:"schema to write to; default public postgres, dbo sqlserver, none clickhouse"`
	User          string    `key:"user" doc:"account that may create and write tables" need:"yes"`
	Password      Secret    `key:"password" doc:"its password; may be left out where the server asks for none"`
	TLS           TLS       `key:"tls" doc:"encryption of the connection"`
	Deliver       []Deliver `key:"deliver" doc:"what to deliver, and where to; what is new is filled by a cover, what is taken out stays as it is" need:"yes" live:"yes"`
	Names         string    `key:"names" doc:"how names of tables and columns are spelt that come from the source: as there; CustomerName as customer_name; as customername" enum:"keep|snake_case|lower"`
	ExtraColumns  []string  `key:"extra_columns" doc:"columns added to every table: _cdc_position, the seq of the unit that wrote the row; _cdc_applied_at, the destination's time of writing it, in UTC" enum:"position|applied_at"`
	SchemaChanges string    `key:"schema_changes" doc:"tables are widened; only checked; or left alone" enum:"expand|strict|off"`
	OnPoison      string    `key:"on_poison" doc:"a row the destination refuses: it keeps what it had, loses it, or the sink stops" enum:"keep|delete|stop"`
	Heal          string    `key:"heal" doc:"repaired content becomes visible in one step, or as it comes" enum:"atomic|progressive"`
	Adopt         bool      `key:"adopt" doc:"true: reconcile a table that is not empty and not ours"`
	Batch         Batch     `key:"batch" doc:"how many whole transactions are applied together; none is ever split"`
	Retry         Retry     `key:"retry" doc:"pauses between attempts"`
}

// Deliver sends one view, or the tables that an expression matches, to a sink.
type Deliver struct {
	From   From   `key:"from" doc:"view/NAME, or table/ and an anchored regular expression over database.table" need:"yes"`
	To     string `key:"to" doc:"name of the destination's table; empty: the view's or table's own"`
	Schema string `key:"schema" doc:"schema of the destination's table; empty: the sink's"`
	Delete string `key:"delete" doc:"rows are removed, or marked in the column IsDeleted (spelt as names says)" enum:"hard|soft"`
	// Identity is a column of the tables that EtlSandbox made: it stays, and nothing writes it.
	Identity string `key:"identity" doc:"a surrogate column that the destination numbers and that is never written; not in clickhouse"`
	// OrderBy and PartitionBy shape a table of ClickHouse when it is made.
	OrderBy     []string `key:"order_by" doc:"clickhouse: the key columns in the order of the sorting key; empty: the key's own order"`
	PartitionBy string   `key:"partition_by" doc:"clickhouse: expression over key columns by which the table is partitioned"`
}

// Batch chooses how many whole transactions a sink applies together.
type Batch struct {
	MinRows  int           `key:"min_rows" doc:"wait for this many rows, up to max_delay" live:"yes"`
	MaxRows  int           `key:"max_rows" doc:"take no further transaction above this many rows; 0: 10000, of ClickHouse 100000" live:"yes"`
	MinDelay time.Duration `key:"min_delay" doc:"shortest time between two batches" live:"yes"`
	MaxDelay time.Duration `key:"max_delay" doc:"longest wait for min_rows" live:"yes"`
}

// Retry bounds the pauses between attempts of a sink; they double from one to the next.
type Retry struct {
	MinBackoff time.Duration `key:"min_backoff" doc:"first pause" live:"yes"`
	MaxBackoff time.Duration `key:"max_backoff" doc:"longest pause" live:"yes"`
}

// Admin is the HTTP API beside the control socket.
type Admin struct {
	Listen string    `key:"listen" doc:"address of the HTTP API; empty: off; the control socket is always there"`
	Auth   Auth      `key:"auth" doc:"who may call"`
	TLS    ServerTLS `key:"tls" doc:"certificate of the HTTP API"`
}

// Auth checks tokens of an OpenID Connect issuer.
type Auth struct {
	Issuer   string `key:"issuer" doc:"whose tokens are accepted"`
	Audience string `key:"audience" doc:"audience that tokens must name"`
	Metrics  string `key:"metrics" doc:"whether /metrics needs a token that may read" enum:"open|read"`
}

// ServerTLS is a server's certificate.
type ServerTLS struct {
	Cert string `key:"cert" doc:"file of the certificate"`
	Key  string `key:"key" doc:"file of its key"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `key:"level" doc:"least severe level that is written" enum:"debug|info|warn|error" live:"yes"`
	Format string `key:"format" doc:"auto: text on a terminal, json otherwise" enum:"auto|text|json"`
}

// Telemetry exports traces, logs and lineage.
type Telemetry struct {
	OTLPEndpoint   string  `key:"otlp_endpoint" doc:"OpenTelemetry collector; empty: off"`
	Traces         float64 `key:"traces" doc:"share of transactions traced, from 0 to 1"`
	Logs           bool    `key:"logs" doc:"send logs to the collector too"`
	OpenLineageURL string  `key:"openlineage_url" doc:"lineage collector; empty: off"`
}

// Central says where settings come from besides the file.
type Central struct {
	Consul Consul `key:"consul" doc:"a Consul key-value store"`
	Watch  bool   `key:"watch" doc:"apply live settings when their place changes"`
}

// Consul is a Consul key-value store.
type Consul struct {
	Address string `key:"address" doc:"agent's address; empty: off"`
	Prefix  string `key:"prefix" doc:"folder of the keys; default cdc/ and the name"`
}

// Vault is a HashiCorp Vault.
type Vault struct {
	Address  string `key:"address" doc:"server's address; empty: off"`
	Auth     string `key:"auth" doc:"how to log in" enum:"approle|kubernetes|token"`
	RoleID   string `key:"role_id" doc:"role id of the approle"`
	SecretID Secret `key:"secret_id" doc:"secret id of the approle"`
}

// Run says what this process runs.
type Run struct {
	Stages  []string `key:"stages" doc:"stages of this process" enum:"capture|join|deliver|api"`
	Standby bool     `key:"standby" doc:"wait until the running daemon is gone"`
}
