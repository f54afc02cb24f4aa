package cdc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Flavor is the family of a server.
type Flavor string

// The flavours; Percona Server is MySQL.
const (
	MySQL   Flavor = "mysql"
	MariaDB Flavor = "mariadb"
)

// Server is what the source is.
type Server struct {
	Flavor  Flavor
	Version string // as the server prints it: "10.11.19-MariaDB-log"
	// Number is the version as major*10000 + minor*100 + patch: 80036, 101119.
	Number int
	// Percona says that the server is Percona's build of MySQL.
	Percona bool
	// Identity tells this server from every other one and survives its restarts. MySQL: server_uuid.
	// MariaDB has nothing of the kind; there it is server_id, host name and port, so a server that moves
	// to another host or changes its port counts as another server.
	Identity string
	ServerID uint32
	// GTIDs says that positions are GTID sets: gtid_mode=ON of MySQL, always of MariaDB.
	GTIDs bool
	// LogCascades says that the server writes the changes of foreign-key cascades to its log.
	LogCascades bool
	// FoldNames says that table names compare without case (lower_case_table_names is not 0).
	FoldNames bool
	// LogBin says that the server writes a log at all.
	LogBin bool
}

// AtLeast compares the version: AtLeast(8, 0, 22).
func (s Server) AtLeast(major, minor, patch int) bool {
	return s.Number >= major*10000+minor*100+patch
}

func (s Server) supported(doing string) error {
	ok := s.Flavor == MySQL && s.AtLeast(5, 7, 0) || s.Flavor == MariaDB && s.AtLeast(10, 5, 0)
	if ok {
		return nil
	}
	return &Error{Doing: doing, Kind: ErrUnsupported, Cause: fmt.Errorf("server version %s", s.Version),
		Hint: "supported are MySQL 5.7 and later and MariaDB 10.5 and later"}
}

var versionNumber = regexp.MustCompile(`^(\d+)\.(\d+)\.(\d+)`)

func parseVersion(text string) (int, error) {
	m := versionNumber.FindStringSubmatch(strings.TrimPrefix(text, "5.5.5-"))
	if m == nil {
		return 0, fmt.Errorf("server version %q has no number", text)
	}
	n := 0
	for _, part := range m[1:] {
		v, err := strconv.Atoi(part)
		if err != nil || v > 99 {
			v = 99
		}
		n = n*100 + v
	}
	return n, nil
}

func inspect(ctx context.Context, c *sql.Conn) (Server, error) {
	v, err := variables(ctx, c)
	if err != nil {
		return Server{}, err
	}
	s := Server{Version: v["version"], Flavor: MySQL, LogBin: on(v["log_bin"]), FoldNames: v["lower_case_table_names"] != "0"}
	if s.Number, err = parseVersion(s.Version); err != nil {
		return Server{}, err
	}
	id, err := strconv.ParseUint(v["server_id"], 10, 32)
	if err != nil {
		return Server{}, fmt.Errorf("server_id %q: %w", v["server_id"], err)
	}
	s.ServerID = uint32(id)
	if strings.Contains(strings.ToLower(s.Version+" "+v["version_comment"]), "mariadb") {
		s.Flavor, s.GTIDs = MariaDB, true
		s.Identity = fmt.Sprintf("%d@%s:%s", id, v["hostname"], v["port"])
		return s, nil
	}
	s.Percona = strings.Contains(strings.ToLower(v["version_comment"]), "percona")
	s.GTIDs = strings.EqualFold(v["gtid_mode"], "ON")
	s.Identity = v["server_uuid"]
	if s.Identity == "" {
		return Server{}, errors.New("the server has no server_uuid: it is neither MySQL nor MariaDB")
	}
	s.LogCascades = s.AtLeast(9, 6, 0) && !on(v["innodb_native_foreign_keys"])
	return s, nil
}

func on(v string) bool { return strings.EqualFold(v, "ON") || v == "1" }

// variables reads the global variables that anything here asks for.
func variables(ctx context.Context, c querier) (map[string]string, error) {
	rows, err := query(ctx, c, `SHOW GLOBAL VARIABLES WHERE Variable_name IN (
		'version', 'version_comment', 'server_id', 'server_uuid', 'hostname', 'port', 'log_bin', 'gtid_mode',
		'innodb_native_foreign_keys', 'binlog_format', 'binlog_row_image', 'binlog_row_metadata',
		'binlog_row_value_options', 'binlog_expire_logs_seconds', 'expire_logs_days', 'binlog_checksum',
		'log_slave_updates', 'log_replica_updates', 'sync_binlog', 'innodb_flush_log_at_trx_commit',
		'binlog_legacy_event_pos', 'mysql56_temporal_format', 'gtid_strict_mode', 'read_only', 'lower_case_table_names')`)
	if err != nil {
		return nil, err
	}
	m := make(map[string]string, len(rows))
	for _, r := range rows {
		m[strings.ToLower(r[0].String)] = r[1].String
	}
	return m, nil
}
