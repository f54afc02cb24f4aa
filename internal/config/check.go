package config

import (
	"fmt"
	"net"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// need reports required keys that were not written, or written empty.
func (d *decoder) need(v reflect.Value, path string) {
	switch {
	case isSection(v.Type()):
		for _, f := range fieldsOf(v.Type()) {
			p := join(path, f.key)
			fv := v.Field(f.index)
			if f.need && fv.IsZero() || f.need && fv.Kind() == reflect.Map && fv.Len() == 0 {
				d.missing(p, f)
				continue
			}
			d.need(fv, p)
		}
	case v.Kind() == reflect.Map && isSection(v.Type().Elem()):
		for _, key := range sortedKeys(v) {
			d.need(v.MapIndex(reflect.ValueOf(key)), join(path, key))
		}
	case v.Kind() == reflect.Slice && isSection(v.Type().Elem()):
		for i := range v.Len() {
			d.need(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	}
}

func (d *decoder) missing(path string, f field) {
	_, written := d.places[path]
	switch {
	case written && f.typ == typeSecret:
		// An empty secret that was written is meant: the account has no password.
	case f.typ.Kind() == reflect.Map:
		d.failAt(path, "is required: name at least one (%s)", f.doc)
	case written:
		d.failAt(path, "must not be empty (%s)", f.doc)
	default:
		d.failAt(path, "is required (%s)", f.doc)
	}
}

func sortedKeys(v reflect.Value) []string {
	var keys []string
	for _, k := range v.MapKeys() {
		keys = append(keys, k.String())
	}
	sort.Strings(keys)
	return keys
}

// check reports values that are of the right type and yet impossible, each at its place.
func (d *decoder) check(c *Config) {
	d.checkName(c.Name)
	if c.DataDir == "" {
		d.failAt("data_dir", "must not be empty")
	}
	d.checkSource(&c.Source)
	d.checkBroker(c)
	d.atLeast("joiner.memory", int64(c.Joiner.Memory), int64(16*MiB), "16MiB")
	for _, name := range sortedKeys(reflect.ValueOf(c.Sinks)) {
		s := c.Sinks[name]
		d.checkSink("sinks."+name, &s)
	}
	d.checkAdmin(&c.Admin)
	if c.Telemetry.Traces < 0 || c.Telemetry.Traces > 1 {
		d.failAt("telemetry.traces", "%v is no share: write a number from 0 to 1", c.Telemetry.Traces)
	}
	if len(c.Run.Stages) == 0 {
		d.failAt("run.stages", "name at least one of capture, join, deliver, api")
	}
	d.checkLater(c)
}

var streamName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)

// A stream is told from its views by the end of its name, so no stream may have that end itself.
func (d *decoder) checkName(name string) {
	switch {
	case !streamName.MatchString(name):
		d.failAt("name", "%q cannot name topics: use letters, digits, - and _, a letter first, at most 63", name)
	case strings.HasSuffix(name, "-views"), strings.HasSuffix(name, "-dlq"):
		d.failAt("name", "%q would be taken for the views or dead letters of another stream: choose another end", name)
	}
}

func (d *decoder) checkSource(s *Source) {
	d.checkPort("source.port", s.Port)
	d.checkTLS("source.tls", &s.TLS)
	if len(s.Tables.Include) == 0 {
		d.failAt("source.tables.include", "chooses no table: write an expression such as \"sakila.*\"")
	}
	d.atLeast("source.heartbeat", int64(s.Heartbeat), 1e9, "1s")
	d.atLeast("source.snapshot.threads", int64(s.Snapshot.Threads), 1, "1")
	if s.Snapshot.Threads > 64 {
		d.failAt("source.snapshot.threads", "%d readers are more than a source should carry: at most 64", s.Snapshot.Threads)
	}
	d.atLeast("source.snapshot.chunk_rows", int64(s.Snapshot.ChunkRows), 1, "1")
	d.atLeast("source.snapshot.max_rows_per_second", int64(s.Snapshot.MaxRowsPerSecond), 0, "0")
}

func (d *decoder) checkBroker(c *Config) {
	b := &c.Broker
	d.checkTLS("broker.tls", &b.TLS)
	d.atLeast("broker.retention", int64(b.Retention), 60e9, "1m")
	d.atLeast("broker.partitions", int64(b.Partitions), 1, "1")
	if b.Partitions > 1024 {
		d.failAt("broker.partitions", "%d is more than a topic needs: at most 1024", b.Partitions)
	}
	d.atLeast("broker.replication_factor", int64(b.ReplicationFactor), 1, "1")
	if b.ReplicationFactor > 32767 {
		d.failAt("broker.replication_factor", "%d is impossible: at most 32767", b.ReplicationFactor)
	}
	d.atLeast("topics.max_message_bytes", int64(c.Topics.MaxMessageBytes), int64(MiB), "1MiB")
	if c.Topics.MaxMessageBytes > GiB {
		d.failAt("topics.max_message_bytes", "%s is more than a record can hold: at most 1GiB", c.Topics.MaxMessageBytes)
	}
	if b.SASL.User != "" && b.SASL.Password.Reveal() == "" {
		d.failAt("broker.sasl.password", "is required with broker.sasl.user")
	}
	if b.Type == "kafka" {
		if len(b.Brokers) == 0 {
			d.failAt("broker.brokers", "is required with broker.type kafka: name host:port of at least one")
		}
		for i, a := range b.Brokers {
			d.checkAddress(fmt.Sprintf("broker.brokers[%d]", i), a)
		}
		return
	}
	if len(b.Brokers) > 0 {
		d.failAt("broker.brokers", "is for broker.type kafka: change the type, or remove the key")
	}
	d.checkAddress("broker.listen", b.Listen)
	if !IsLocal(b.Listen) {
		d.failAt("broker.listen", "%s is reachable from other machines, and the embedded broker has no authentication: use 127.0.0.1:PORT, or broker.type kafka", b.Listen)
	}
	d.atLeast("broker.retention_bytes", int64(b.RetentionBytes), int64(16*MiB), "16MiB")
}

// checkDeliver refuses keys that a kind of destination, or an entry for many tables, cannot have.
func (d *decoder) checkDeliver(path, kind string, del *Deliver) {
	if del.Identity != "" && kind == "clickhouse" {
		d.failAt(path+".identity", "%s: ClickHouse numbers no column: remove the key", del.Identity)
	}
	for key, set := range map[string]bool{"order_by": len(del.OrderBy) > 0, "partition_by": del.PartitionBy != ""} {
		switch {
		case set && kind != "clickhouse":
			d.failAt(path+"."+key, "shapes tables of ClickHouse, and this sink is of type %s: remove the key", kind)
		case set && del.From.View == "" && del.To == "":
			d.failAt(path+"."+key, "the tables of %s have keys of their own: deliver the one it is meant for by a view, or remove the key", del.From)
		}
	}
}

// Bookkeeping reports whether a table of that name at a destination is one of our own.
func Bookkeeping(table string) bool {
	table = strings.ToLower(table)
	return table == "cdc_progress" || table == "cdc_quarantine" || table == "cdc_migrations" || strings.HasPrefix(table, "cdc_stage_")
}

func (d *decoder) checkSink(path string, s *Sink) {
	d.checkPort(path+".port", s.Port)
	d.checkTLS(path+".tls", &s.TLS)
	to := map[string]int{}
	if s.Deliver != nil && len(s.Deliver) == 0 {
		d.failAt(path+".deliver", "names nothing to deliver: write at least one {from: view/NAME} or {from: table/EXPRESSION}, or take the sink out")
	}
	for i, del := range s.Deliver {
		p := fmt.Sprintf("%s.deliver[%d]", path, i)
		if del.From.View == "progress" || del.From.View == "meta" {
			d.failAt(p+".from", "%s: a view cannot be called %s, which names a topic of the stream itself", del.From, del.From.View)
		}
		d.checkDeliver(p, s.Type, &del)
		if del.To != "" && del.From.View == "" && del.From.Tables.String() != "" {
			d.failAt(p+".to", "one name cannot hold the tables of an expression: remove the key, and set schema to keep them apart")
			continue
		}
		if del.From.View == "" {
			continue
		}
		schema, table := del.Schema, del.To
		if schema == "" {
			schema = s.Schema
		}
		if table == "" {
			table = del.From.View
		}
		where := table
		if schema != "" {
			where = schema + "." + table
		}
		if Bookkeeping(table) {
			d.failAt(p, "writes to %s, a name that is kept for the bookkeeping at the destination: give it another one with to", where)
		}
		same := where
		if s.Type == "sqlserver" {
			same = strings.ToLower(where) // in most of its collations names that differ only in case are one
		}
		if first, ok := to[same]; ok {
			d.failAt(p, "writes to %s, as %s.deliver[%d] does: give one of them another name", where, path, first)
		}
		to[same] = i
	}
	b := s.Batch
	d.atLeast(path+".batch.min_rows", int64(b.MinRows), 1, "1")
	if b.MaxRows < b.MinRows {
		d.failAt(path+".batch.max_rows", "%d is less than min_rows, which is %d", b.MaxRows, b.MinRows)
	}
	if b.MaxDelay < b.MinDelay {
		d.failAt(path+".batch.max_delay", "%s is less than min_delay, which is %s", b.MaxDelay, b.MinDelay)
	}
	d.atLeast(path+".retry.min_backoff", int64(s.Retry.MinBackoff), 1e6, "1ms")
	if s.Retry.MaxBackoff < s.Retry.MinBackoff {
		d.failAt(path+".retry.max_backoff", "%s is less than min_backoff, which is %s", s.Retry.MaxBackoff, s.Retry.MinBackoff)
	}
}

func (d *decoder) checkAdmin(a *Admin) {
	if a.Listen == "" {
		return
	}
	d.checkAddress("admin.listen", a.Listen)
	if !IsLocal(a.Listen) && (a.Auth.Issuer == "" || a.TLS.Cert == "") {
		d.failAt("admin.listen", "%s is reachable from other machines, which needs admin.auth and admin.tls: use 127.0.0.1:PORT and a proxy in front of it", a.Listen)
	}
}

func (d *decoder) checkPort(path string, port int) {
	if port < 0 || port > 65535 || port == 0 && !d.broken[parentOf(path)+".type"] {
		d.failAt(path, "%d is no TCP port: write a number from 1 to 65535", port)
	}
}

func parentOf(path string) string { return path[:strings.LastIndexByte(path, '.')] }

func (d *decoder) checkAddress(path, addr string) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		d.failAt(path, "%q is no address: write host:port", addr)
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		d.failAt(path, "%q has no port number from 0 to 65535", addr)
	}
}

func (d *decoder) checkTLS(path string, t *TLS) {
	if (t.Cert == "") != (t.Key == "") {
		d.failAt(path, "cert and key belong together: write both or none")
	}
	if t.Mode == "disable" && (t.CA != "" || t.Cert != "") {
		d.failAt(path+".mode", "is disable, and ca or cert are set: remove them, or choose %s", strings.Join([]string{"require", "verify-ca", "verify-full"}, ", "))
	}
}

func (d *decoder) atLeast(path string, got, least int64, shown string) {
	if got < least {
		d.failAt(path, "must be at least %s", shown)
	}
}

// HasStage reports whether this process runs a stage.
func (r Run) HasStage(stage string) bool { return slices.Contains(r.Stages, stage) }
