package binlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/google/uuid"

	"github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/schemas/change"
)

const (
	comRegisterReplica = 0x15
	comBinlogDump      = 0x12
	comBinlogDumpGTID  = 0x1e

	firstOffset = 4 // of the first event in a log file

	// sendAnnotate asks MariaDB for its annotate events: from 11.4 on the events of a transaction carry no
	// offset, and offsets are then the sum of all event sizes.
	sendAnnotate = 2
)

// noDeadline lifts a deadline.
var noDeadline time.Time

// dial connects as a replica and asks for the log from the given position on. The returned skip is an
// offset up to which the events of the first file must be passed over; 0 means none.
func dial(ctx context.Context, src *cdc.Source, from change.Position) (p *packets, crc bool, skip uint64, err error) {
	cfg := src.Config()
	doing := fmt.Sprintf("connect to the log of source %s as %s", cfg.Address(), cfg.User)
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	conn, raw, err := login(ctx, cfg)
	if err != nil {
		return nil, false, 0, cdc.Classify(doing, cause(err))
	}
	defer func() {
		if err != nil {
			_ = raw.Close()
		}
	}()
	// The login and the statements below know no context: a deadline stands for it.
	if d, ok := ctx.Deadline(); ok {
		if err := raw.SetDeadline(d); err != nil {
			return nil, false, 0, cdc.Classify(doing, err)
		}
	}
	crc, err = prepare(conn, cfg)
	if err != nil {
		return nil, false, 0, cdc.Classify(doing, cause(err))
	}
	if skip, err = dump(conn, src, from); err != nil {
		return nil, false, 0, cdc.Classify(doing, cause(err))
	}
	if err := raw.SetDeadline(noDeadline); err != nil {
		return nil, false, 0, cdc.Classify(doing, err)
	}
	// conn.Conn.Conn is the socket, or TLS over it; nothing is buffered before the server answers the dump.
	return newPackets(conn.Conn.Conn, 3*cfg.Heartbeat), crc, skip, nil
}

// cause undoes the stack traces that the client library wraps around errors without supporting errors.As.
func cause(err error) error {
	type causer interface{ Cause() error }
	for {
		c, ok := err.(causer) // this is the unwrapping
		if !ok || c.Cause() == nil {
			return err
		}
		err = c.Cause()
	}
}

func login(ctx context.Context, cfg cdc.Config) (*client.Conn, net.Conn, error) {
	password, err := cfg.Secret()
	if err != nil {
		return nil, nil, err
	}
	t, err := cfg.TLSConfig()
	if err != nil {
		return nil, nil, err
	}
	var raw net.Conn
	dialer := func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if deadline, ok := ctx.Deadline(); ok {
			err = c.SetDeadline(deadline)
		}
		raw = c
		return c, err
	}
	conn, err := client.ConnectWithDialer(ctx, cfg.Network(), cfg.Address(), cfg.User, password, "", dialer, func(c *client.Conn) error {
		if t != nil {
			c.SetTLSConfig(t)
		}
		return nil
	})
	return conn, raw, err
}

// prepare sets what the server asks of a replica's session and registers the replica. crc says whether
// events carry checksums.
func prepare(conn *client.Conn, cfg cdc.Config) (crc bool, err error) {
	r, err := conn.Execute("SELECT @@global.binlog_checksum")
	if err != nil {
		return false, err
	}
	sum, err := r.GetString(0, 0)
	if err != nil {
		return false, err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return false, err
	}
	// Both vocabularies of MySQL: a user variable that the server does not know does no harm.
	for _, q := range []string{
		fmt.Sprintf("SET @master_binlog_checksum = '%s', @source_binlog_checksum = '%s'", sum, sum),
		fmt.Sprintf("SET @master_heartbeat_period = %d, @source_heartbeat_period = %d", cfg.Heartbeat.Nanoseconds(), cfg.Heartbeat.Nanoseconds()),
		fmt.Sprintf("SET @slave_uuid = '%s', @replica_uuid = '%s'", id, id),
		"SET @mariadb_slave_capability = 4, @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0",
		"SET net_write_timeout = 600",
	} {
		if _, err := conn.Execute(q); err != nil {
			return false, err
		}
	}
	return !strings.EqualFold(sum, "NONE"), register(conn, cfg)
}

func register(conn *client.Conn, cfg cdc.Config) error {
	host, err := os.Hostname()
	if err != nil || len(host) > 60 {
		host = "cdc"
	}
	b := command(comRegisterReplica)
	b = binary.LittleEndian.AppendUint32(b, cfg.ServerID)
	b = append(append(b, byte(len(host))), host...)
	b = append(b, 0, 0)                         // user and password: shown to nobody, sent to nobody
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) // port, rank, source id
	if err := send(conn, b); err != nil {
		return err
	}
	_, err = conn.ReadOKPacket()
	return err
}

// command begins a command packet; the first four bytes are the client library's.
func command(c byte) []byte { return append(make([]byte, 4, 64), c) }

func send(conn *client.Conn, b []byte) error {
	conn.ResetSequence()
	return conn.WritePacket(b)
}

func dump(conn *client.Conn, src *cdc.Source, from change.Position) (skip uint64, err error) {
	server := src.Server()
	switch {
	case server.Flavor == cdc.MariaDB && from.File == "" || from.GTID != "" && server.Flavor == cdc.MariaDB:
		if _, err := conn.Execute(fmt.Sprintf("SET @slave_connect_state = '%s'", from.GTID)); err != nil {
			return 0, err
		}
		return 0, dumpFile(conn, src, "", 0)
	case server.GTIDs && (from.GTID != "" || from.File == ""):
		set, err := gomysql.ParseMysqlGTIDSet(from.GTID)
		if err != nil {
			return 0, fmt.Errorf("parse the GTID set to start from: %w", err)
		}
		return 0, dumpGTID(conn, src.Config().ServerID, set.Encode())
	case from.File == "":
		return 0, errors.New("no position to start from: neither GTIDs nor a log file")
	}
	if server.GTIDs || from.Offset > 1<<32-1 {
		// From the file's start: the transactions before the offset belong to the set, and the protocol
		// has only 32 bits for an offset.
		return from.Offset, dumpFile(conn, src, from.File, firstOffset)
	}
	return 0, dumpFile(conn, src, from.File, uint32(max(from.Offset, firstOffset)))
}

func dumpFile(conn *client.Conn, src *cdc.Source, file string, offset uint32) error {
	var flags uint16
	if s := src.Server(); s.Flavor == cdc.MariaDB && s.AtLeast(11, 4, 0) {
		flags = sendAnnotate
	}
	b := command(comBinlogDump)
	b = binary.LittleEndian.AppendUint32(b, offset)
	b = binary.LittleEndian.AppendUint16(b, flags)
	b = binary.LittleEndian.AppendUint32(b, src.Config().ServerID)
	return send(conn, append(b, file...))
}

func dumpGTID(conn *client.Conn, id uint32, set []byte) error {
	b := command(comBinlogDumpGTID)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, id)
	b = binary.LittleEndian.AppendUint32(b, 0) // no file name
	b = binary.LittleEndian.AppendUint64(b, firstOffset)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(set)))
	return send(conn, append(b, set...))
}

// dumpError says what an error of the dump means: most come as number 1236, told apart by their text.
func dumpError(e *gomysql.MyError) error {
	const doing = "read the log"
	if e.Code != 1236 {
		return cdc.Classify(doing, e)
	}
	text := strings.ToLower(e.Message)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	const resync = "resync the captured tables (on_gap: resync does it), and keep the log for longer: binlog_expire_logs_seconds"
	switch {
	case has("server_uuid/server_id", "same server_id", "same server_uuid"):
		return &cdc.Error{Doing: doing, Kind: cdc.ErrUnsupported, Cause: e, Hint: "another replica uses our server id: set source.server_id"}
	case has("purged", "could not find first log file", "could not find gtid state", "requires binary logs", "missing on the master", "missing on the source"):
		return &cdc.Error{Doing: doing, Kind: cdc.ErrPurged, Cause: e, Hint: resync}
	case has("is not in the master's binlog", "is missing the gtid", "which is not in the", "more gtids than the", "alternate history", "diverged", "errant"):
		return &cdc.Error{Doing: doing, Kind: cdc.ErrDiverged, Cause: e, Hint: "the server was replaced, restored or reset: if that is meant, run cdc resync --all"}
	case has("impossible position", "bogus data", "beyond end", "client requested master to start replication from"):
		return &cdc.Error{Doing: doing, Kind: cdc.ErrDiverged, Cause: e, Hint: "the log is shorter than it was: the server crashed without sync_binlog=1, or was replaced; run cdc resync --all"}
	case has("checksum", "crc", "corrupt", "event read from", "log event entry exceeded max_allowed_packet"):
		return &cdc.Error{Doing: doing, Kind: cdc.ErrCorrupt, Cause: e, Hint: "check the source's log files, its disk, and max_allowed_packet"}
	}
	return cdc.Classify(doing, e)
}
