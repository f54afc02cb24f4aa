package cdc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Severity of a finding.
type Severity string

// An Error stands in the way of capturing; a Warning can lose or delay something some day.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Finding is one thing that is not as capturing needs it.
type Finding struct {
	Severity Severity
	Code     string // stable, for scripts: "binlog-format"
	What     string // what is the matter, with the value found
	Fix      string // the line that mends it: GRANT, SET, ALTER, a setting of ours; "" if there is none
}

// String prints the finding in one line.
func (f Finding) String() string {
	s := string(f.Severity) + " " + f.Code + ": " + f.What
	if f.Fix != "" {
		s += "; fix: " + f.Fix
	}
	return s
}

// PreflightOptions say what will be captured.
type PreflightOptions struct {
	Filter Filter
}

// Preflight looks for everything that capturing needs of the source. A finding is not an error of the
// call: that is for a source that cannot be asked. Findings come errors first, else in a fixed order.
func Preflight(ctx context.Context, src *Source, o PreflightOptions) ([]Finding, error) {
	conn, err := src.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close() // only gives the session back
	p := &preflight{src: src, conn: conn, filter: o.Filter, server: src.server}
	if p.vars, err = variables(ctx, conn); err != nil {
		return nil, Classify("read the source's settings", err)
	}
	for _, step := range []func(context.Context) error{p.account, p.catalog, p.status, p.replica, p.replicas} {
		if err := step(ctx); err != nil {
			return nil, Classify("check the source", err)
		}
	}
	p.logSettings()
	p.durability()
	p.shapes()
	slices.SortStableFunc(p.found, func(a, b Finding) int { return strings.Compare(string(a.Severity), string(b.Severity)) })
	return p.found, nil
}

type preflight struct {
	src     *Source
	conn    *sql.Conn
	filter  Filter
	server  Server
	vars    map[string]string
	user    string // for GRANT lines
	layouts []*Layout
	found   []Finding
}

func (p *preflight) fail(code, fix, format string, args ...any) {
	p.found = append(p.found, Finding{Severity: SeverityError, Code: code, What: fmt.Sprintf(format, args...), Fix: fix})
}

func (p *preflight) warn(code, fix, format string, args ...any) {
	p.found = append(p.found, Finding{Severity: SeverityWarning, Code: code, What: fmt.Sprintf(format, args...), Fix: fix})
}

// account checks the global privileges; SHOW GRANTS includes those of the session's roles.
func (p *preflight) account(ctx context.Context) error {
	rows, err := query(ctx, p.conn, "SELECT CURRENT_USER()")
	if err != nil {
		return err
	}
	name, host, _ := strings.Cut(rows[0][0].String, "@")
	p.user = fmt.Sprintf("'%s'@'%s'", name, host)
	rows, err = query(ctx, p.conn, "SHOW GRANTS")
	if err != nil {
		return err
	}
	var global strings.Builder
	for _, r := range rows {
		line := strings.ToUpper(r[0].String)
		if privileges, target, ok := strings.Cut(line, " ON "); ok && strings.HasPrefix(target, "*.*") {
			global.WriteString(privileges + ", ")
		}
	}
	has := func(names ...string) bool {
		all := strings.Contains(global.String(), "ALL PRIVILEGES")
		for _, n := range names {
			all = all || strings.Contains(global.String(), n)
		}
		return all
	}
	if !has("REPLICATION SLAVE", "REPLICATION REPLICA") {
		p.fail("grant-replication", "GRANT REPLICATION SLAVE ON *.* TO "+p.user, "user %s may not read the log", p.user)
	}
	client := "REPLICATION CLIENT"
	if p.server.Flavor == MariaDB {
		client = "BINLOG MONITOR"
	}
	if !has("REPLICATION CLIENT", "BINLOG MONITOR", "SUPER") {
		p.fail("grant-client", "GRANT "+client+" ON *.* TO "+p.user, "user %s may not ask for the log's position", p.user)
	}
	if p.server.Flavor == MySQL && !p.server.GTIDs && !has("LOCK TABLES") {
		p.warn("grant-lock", "GRANT LOCK TABLES ON *.* TO "+p.user,
			"without GTIDs, tables are read with shared locks, and user %s may not take them on every version of the server", p.user)
	}
	return nil
}

func (p *preflight) catalog(ctx context.Context) error {
	var err error
	p.layouts, err = p.src.Layouts(ctx, p.filter)
	unsupported := false
	for _, e := range flatten(err) {
		var column *UnsupportedColumn
		var table *UnsupportedTable
		switch {
		case errors.As(e, &column):
			unsupported = true
			p.fail("column-type", fmt.Sprintf("source.columns.exclude: [%q]", column.Table.String()+"."+column.Column),
				"column %s.%s has type %s, which is not supported", column.Table, column.Column, column.Type)
		case errors.As(e, &table):
			unsupported = true
			p.fail("table-type", fmt.Sprintf("source.tables.exclude: [%q]", table.Table.String()), "table %s %s", table.Table, table.Reason)
		default:
			return err
		}
	}
	if len(p.layouts) == 0 && !unsupported {
		p.fail("no-table", "GRANT SELECT ON `database`.* TO "+p.user, "user %s sees no table that source.tables captures", p.user)
	}
	for _, l := range p.layouts {
		rows, err := p.conn.QueryContext(ctx, "SELECT 1 FROM "+QuoteTable(l.Table.ID)+" LIMIT 0")
		if err == nil {
			err = errors.Join(rows.Err(), rows.Close())
		}
		if code, _, ok := serverError(err); ok && access(code) {
			p.fail("grant-select", "GRANT SELECT ON "+QuoteTable(l.Table.ID)+" TO "+p.user, "user %s may not read table %s", p.user, l.Table.ID)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok { // errors.Join's own type
		if _, typed := err.(*Error); !typed { //nolint:errorlint // an *Error is one error
			return j.Unwrap()
		}
	}
	return []error{err}
}

// ask runs a query that the user may lack the right to; ok is false then.
func (p *preflight) ask(ctx context.Context, q string) (rows []map[string]string, ok bool, err error) {
	rows, err = named(ctx, p.conn, q)
	if code, _, is := serverError(err); is && access(code) {
		return nil, false, nil
	}
	return rows, err == nil, err
}

// status checks what the log leaves out by database.
func (p *preflight) status(ctx context.Context) error {
	if !p.server.LogBin {
		return nil
	}
	rows, ok, err := p.ask(ctx, p.src.statusQuery())
	if err != nil || !ok || len(rows) == 0 {
		return err
	}
	only, never := list(rows[0]["binlog_do_db"]), list(rows[0]["binlog_ignore_db"])
	seen := map[string]bool{}
	for _, l := range p.layouts {
		db := l.Table.ID.DB
		if seen[db] {
			continue
		}
		seen[db] = true
		if len(only) > 0 && !slices.Contains(only, db) {
			p.fail("binlog-do-db", "remove binlog-do-db from the server's configuration and restart it", "database %s is not in the log: binlog_do_db is %s", db, strings.Join(only, ", "))
		}
		if slices.Contains(never, db) {
			p.fail("binlog-ignore-db", "remove binlog-ignore-db from the server's configuration and restart it", "database %s is not in the log: binlog_ignore_db is %s", db, strings.Join(never, ", "))
		}
	}
	return nil
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// replica checks a source that is a replica itself.
func (p *preflight) replica(ctx context.Context) error {
	q := "SHOW SLAVE STATUS"
	switch {
	case p.server.Flavor == MariaDB:
		q = "SHOW ALL SLAVES STATUS" // the other one leaves out connections that have a name
	case p.server.AtLeast(8, 0, 22):
		q = "SHOW REPLICA STATUS"
	}
	rows, ok, err := p.ask(ctx, q)
	if err == nil && !ok && p.server.Flavor == MariaDB { // MySQL asks for the right that grant-client is about
		p.warn("grant-monitor", "GRANT SLAVE MONITOR ON *.* TO "+p.user,
			"user %s may not ask whether the server is a replica that leaves changes out or does not log them: that is not checked", p.user)
	}
	if err != nil || !ok || len(rows) == 0 {
		return err
	}
	if !on(p.vars["log_slave_updates"]) && !on(p.vars["log_replica_updates"]) {
		p.fail("replica-updates", "set log_replica_updates (log_slave_updates) in the server's configuration and restart it",
			"the server is a replica and does not log what it receives")
	}
	for _, r := range rows {
		for _, name := range []string{"replicate_do_db", "replicate_ignore_db", "replicate_do_table", "replicate_ignore_table", "replicate_wild_do_table", "replicate_wild_ignore_table"} {
			if r[name] != "" {
				p.warn("replication-filter", "capture from the replica's own source, or remove the filter", "the server is a replica that leaves changes out: %s=%s", name, r[name])
			}
		}
	}
	return nil
}

// replicas looks for another replica with our server id.
func (p *preflight) replicas(ctx context.Context) error {
	id := p.src.cfg.ServerID
	if id == p.server.ServerID || p.server.ServerID == 0 {
		p.fail("server-id", "set another source.server_id (auto draws one)", "server_id of the source is %d, ours %d: they must differ and not be 0", p.server.ServerID, id)
	}
	q := "SHOW SLAVE HOSTS"
	if p.server.Flavor == MySQL && p.server.AtLeast(8, 0, 22) {
		q = "SHOW REPLICAS"
	}
	rows, ok, err := p.ask(ctx, q)
	if err == nil && !ok && p.server.Flavor == MariaDB && id < firstDrawnID {
		p.warn("grant-replicas", "GRANT REPLICATION MASTER ADMIN ON *.* TO "+p.user+", or set source.server_id to auto",
			"user %s may not list the replicas that are connected: whether one has server id %d is not checked", p.user, id)
	}
	if err != nil || !ok {
		return err
	}
	for _, r := range rows {
		if r["server_id"] == strconv.FormatUint(uint64(id), 10) {
			p.fail("server-id-in-use", "set another source.server_id (auto draws one)", "a replica with server id %d is connected already (host %q)", id, r["host"])
		}
	}
	return nil
}

// firstDrawnID begins the half of the id space that ids are drawn from: one of those is not met by chance.
const firstDrawnID = 1 << 31

// minRetention is the time for which a log should be kept: a stop over a long weekend.
const minRetention = 72 * time.Hour

func (p *preflight) logSettings() {
	if !p.server.LogBin {
		p.fail("log-bin", "set log_bin in the server's configuration and restart it", "the server writes no log")
		return
	}
	if f := p.vars["binlog_format"]; f != "" && f != "ROW" {
		p.fail("binlog-format", "SET GLOBAL binlog_format = 'ROW'", "binlog_format is %s; sessions that are open keep it until they reconnect", f)
	}
	if i := p.vars["binlog_row_image"]; i != "" && i != "FULL" {
		p.fail("row-image", "SET GLOBAL binlog_row_image = 'FULL'", "binlog_row_image is %s; sessions that are open keep it until they reconnect", i)
	}
	if m := p.vars["binlog_row_metadata"]; m != "FULL" {
		if m == "" {
			p.warn("row-metadata", "", "the server does not log column names: columns are told apart by their order")
		} else {
			p.warn("row-metadata", "SET GLOBAL binlog_row_metadata = 'FULL'", "binlog_row_metadata is %s: columns are told apart by their order", m)
		}
	}
	if v := p.vars["binlog_row_value_options"]; strings.Contains(v, "PARTIAL_JSON") {
		p.fail("row-value-options", "SET GLOBAL binlog_row_value_options = ''", "binlog_row_value_options is %s: JSON is logged in parts", v)
	}
	if p.server.Flavor == MySQL && !p.server.GTIDs {
		p.warn("gtid-mode", "SET GLOBAL enforce_gtid_consistency = ON; then gtid_mode = OFF_PERMISSIVE, ON_PERMISSIVE, ON, one after the other",
			"gtid_mode is not ON: positions are files and offsets, which end with this server")
	}
	if p.server.Flavor == MariaDB && !on(p.vars["gtid_strict_mode"]) {
		p.warn("gtid-strict-mode", "SET GLOBAL gtid_strict_mode = ON", "gtid_strict_mode is OFF: sequence numbers may go back")
	}
	if kept, forever := p.retention(); !forever && kept < minRetention {
		p.warn("retention", fmt.Sprintf("SET GLOBAL %s", p.longer()), "the log is kept for %s: whoever is away for longer must read all tables again", kept)
	}
}

// retention is how long the server keeps its log.
func (p *preflight) retention() (kept time.Duration, forever bool) {
	if s, err := strconv.ParseFloat(p.vars["binlog_expire_logs_seconds"], 64); err == nil && s > 0 {
		return time.Duration(s) * time.Second, false
	}
	if d, err := strconv.ParseFloat(p.vars["expire_logs_days"], 64); err == nil && d > 0 {
		return time.Duration(d * 24 * float64(time.Hour)), false
	}
	return 0, true
}

func (p *preflight) longer() string {
	if p.vars["binlog_expire_logs_seconds"] != "" {
		return "binlog_expire_logs_seconds = 604800"
	}
	return "expire_logs_days = 7"
}

func (p *preflight) durability() {
	if v := p.vars["sync_binlog"]; v != "1" {
		p.warn("sync-binlog", "SET GLOBAL sync_binlog = 1", "sync_binlog is %s: after a power cut the log may lack transactions that readers have seen", v)
	}
	if v := p.vars["innodb_flush_log_at_trx_commit"]; v != "" && v != "1" {
		p.warn("flush-log", "SET GLOBAL innodb_flush_log_at_trx_commit = 1", "innodb_flush_log_at_trx_commit is %s: after a power cut tables may lack transactions that the log has", v)
	}
}

func (p *preflight) shapes() {
	for _, l := range p.layouts {
		if e := l.Engine; !strings.EqualFold(e, "InnoDB") && !strings.EqualFold(e, "ROCKSDB") {
			p.warn("engine", fmt.Sprintf("ALTER TABLE %s ENGINE=InnoDB", QuoteTable(l.Table.ID)), "table %s has engine %s, which has no transactions", l.Table.ID, e)
		}
		if len(l.Table.Key) == 0 {
			p.warn("no-key", fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (…)", QuoteTable(l.Table.ID)),
				"table %s has neither a primary key nor a unique key of captured NOT NULL columns: views and destinations that update need one", l.Table.ID)
		}
		for _, fk := range l.Table.ForeignKeys {
			if !fk.Logged && (fk.OnDelete != change.NoAction || fk.OnUpdate != change.NoAction) {
				p.warn("unlogged-cascade", "", "the server does not log what foreign key %s of %s does to its rows (on delete %s, on update %s of %s): views follow it, raw tables and topics do not",
					fk.Name, l.Table.ID, actionName(fk.OnDelete), actionName(fk.OnUpdate), fk.Parent)
			}
		}
	}
}

func actionName(a change.Action) string {
	switch a {
	case change.Cascade:
		return "cascade"
	case change.SetNull:
		return "set null"
	}
	return "nothing"
}
