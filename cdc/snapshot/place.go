package snapshot

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/etlsandbox/cdc/schemas/change"
)

// Method is how a read's place in the log is known.
type Method uint8

// The methods, by what the source offers.
const (
	// ExecutedGTIDs (MySQL with GTIDs): gtid_executed is set after the engine's commit, so a read that
	// begins when it contains R sees R; a row is visible a moment before its GTID is in gtid_executed, so
	// the end is gtid_owned, then gtid_executed, united.
	ExecutedGTIDs Method = iota + 1
	// ConsistentSnapshot (MariaDB): the snapshot names its own place; another session's SHOW STATUS can
	// slip a later one in, so it counts only when three readings agree.
	ConsistentSnapshot
	// LockingRead (MySQL without GTIDs): the read waits for rows that are logged but not yet visible.
	LockingRead
)

// errAgain says that the server does not show the registered place yet.
var errAgain = errors.New("the server does not show the registered place yet")

// seenBy runs read in a session in which everything up to registered is visible, and returns a place at or
// behind everything that the read saw.
func (r *Reader) seenBy(ctx context.Context, registered change.Position, read func(q querier) error) (change.Position, error) {
	conn, release, err := r.conn(ctx)
	if err != nil {
		return change.Position{}, err
	}
	defer release()
	switch r.method {
	case ExecutedGTIDs:
		return r.executedGTIDs(ctx, conn, registered, read)
	case ConsistentSnapshot:
		return r.consistentSnapshot(ctx, conn, registered, read)
	case LockingRead:
		return r.lockingRead(ctx, conn, read)
	}
	return change.Position{}, fmt.Errorf("snapshot method %d is unknown", r.method)
}

// conn takes a session and prepares it; one with settings of its own is not given back to the pool.
func (r *Reader) conn(ctx context.Context) (*sql.Conn, func(), error) {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("open a session for a snapshot read: %w", err)
	}
	release := func() {
		if len(r.session) > 0 {
			_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // drops the session
		}
		_ = conn.Close()
	}
	for _, s := range r.session {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			release()
			return nil, nil, fmt.Errorf("prepare a session (%s): %w", s, err)
		}
	}
	return conn, release, nil
}

// querier is a session; a *sql.Conn in production.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (r *Reader) executedGTIDs(ctx context.Context, conn *sql.Conn, registered change.Position, read func(querier) error) (change.Position, error) {
	if !r.naive.noWait {
		if err := waitExecuted(ctx, conn, registered.GTID); err != nil {
			return change.Position{}, err
		}
	}
	if err := read(conn); err != nil {
		return change.Position{}, err
	}
	// Owned first: a transaction that moves from owned to executed between the two is then in both.
	owned, executed := "", ""
	if !r.naive.executedOnly {
		if err := conn.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_owned").Scan(&owned); err != nil {
			return change.Position{}, fmt.Errorf("read gtid_owned: %w", err)
		}
	}
	if err := conn.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_executed").Scan(&executed); err != nil {
		return change.Position{}, fmt.Errorf("read gtid_executed: %w", err)
	}
	executed = strings.ReplaceAll(executed, "\n", "")
	if o := ownedSet(owned); o != "" {
		if executed != "" {
			executed += ","
		}
		executed += o
	}
	return change.Position{Server: registered.Server, GTID: executed}, nil
}

// waitExecuted waits until the server has executed the set; it asks in steps so that a cancelled context
// ends it soon.
func waitExecuted(ctx context.Context, conn *sql.Conn, set string) error {
	if set == "" {
		return nil
	}
	for {
		var timedOut int
		err := conn.QueryRowContext(ctx, "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 1)", set).Scan(&timedOut)
		if err != nil {
			return fmt.Errorf("wait until the source shows GTIDs %.100s: %w", set, err)
		}
		if timedOut == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// ownedSet turns gtid_owned ("uuid:5#12:6#13, uuid2:tag:1#9") into a GTID set, leaving the thread ids out.
func ownedSet(owned string) string {
	var out []string
	for _, part := range strings.Split(strings.ReplaceAll(owned, "\n", ""), ",") {
		fields := strings.Split(strings.TrimSpace(part), ":")
		if len(fields) < 2 {
			continue
		}
		for i, f := range fields {
			fields[i], _, _ = strings.Cut(f, "#")
		}
		out = append(out, strings.Join(fields, ":"))
	}
	return strings.Join(out, ",")
}

// snapshotReadings is how many readings of the snapshot's place in a row must agree: one copy of it serves
// all sessions, and a single reading was seen wrong beside a monitoring agent.
const snapshotReadings = 3

func (r *Reader) consistentSnapshot(ctx context.Context, conn *sql.Conn, registered change.Position, read func(querier) error) (change.Position, error) {
	for {
		high, err := r.trySnapshot(ctx, conn, registered, read)
		if !errors.Is(err, errAgain) {
			return high, err
		}
		if err := r.pause(ctx, 2*time.Millisecond); err != nil {
			return change.Position{}, err
		}
	}
}

func (r *Reader) trySnapshot(ctx context.Context, conn *sql.Conn, registered change.Position, read func(querier) error) (high change.Position, err error) {
	if _, err := conn.ExecContext(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"); err != nil {
		return high, fmt.Errorf("start a consistent snapshot: %w", err)
	}
	defer func() {
		// The session goes back to the pool: never with a transaction open.
		if _, e := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); e != nil && err == nil {
			err = fmt.Errorf("end a consistent snapshot: %w", e)
		}
	}()
	file, offset, err := r.snapshotPlace(ctx, conn)
	if err != nil {
		return high, err
	}
	if !r.naive.noWait && before(file, offset, registered.File, registered.Offset) {
		return high, errAgain
	}
	if err := read(conn); err != nil {
		return high, err
	}
	if r.naive.singleReading { // the naive form trusts the snapshot's place as the end, too
		return change.Position{Server: registered.Server, File: file, Offset: offset}, nil
	}
	var gtid string
	if err := conn.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_binlog_pos").Scan(&gtid); err != nil {
		return high, fmt.Errorf("read gtid_binlog_pos: %w", err)
	}
	return change.Position{Server: registered.Server, GTID: gtid}, nil
}

func (r *Reader) snapshotPlace(ctx context.Context, conn *sql.Conn) (file string, offset uint64, err error) {
	need := snapshotReadings
	if r.naive.singleReading {
		need = 1
	}
	for same := 0; same < need; {
		f, o, err := readSnapshotStatus(ctx, conn)
		if err != nil {
			return "", 0, err
		}
		if f != file || o != offset {
			file, offset, same = f, o, 0
		}
		same++
	}
	if file == "" {
		return "", 0, errors.New("the source does not report binlog_snapshot_file: is its binlog on (log_bin)?")
	}
	return file, offset, nil
}

func readSnapshotStatus(ctx context.Context, conn *sql.Conn) (file string, offset uint64, err error) {
	rows, err := conn.QueryContext(ctx, "SHOW STATUS LIKE 'binlog\\_snapshot\\_%'")
	if err != nil {
		return "", 0, fmt.Errorf("read binlog_snapshot_position: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return "", 0, fmt.Errorf("read binlog_snapshot_position: %w", err)
		}
		switch strings.ToLower(name) {
		case "binlog_snapshot_file":
			file = value
		case "binlog_snapshot_position":
			if _, err := fmt.Sscan(value, &offset); err != nil {
				return "", 0, fmt.Errorf("read binlog_snapshot_position %q: %w", value, err)
			}
		}
	}
	return file, offset, rows.Err()
}

// before compares two places of one server's log: files by their number, then offsets.
func before(file string, offset uint64, file2 string, offset2 uint64) bool {
	a, b := fileNumber(file), fileNumber(file2)
	return a < b || a == b && offset < offset2
}

func fileNumber(file string) (n uint64) {
	_, digits, _ := strings.Cut(file, ".")
	for i := strings.LastIndexByte(digits, '.') + 1; i < len(digits); i++ {
		if digits[i] >= '0' && digits[i] <= '9' {
			n = n*10 + uint64(digits[i]-'0')
		}
	}
	return n
}

// lockingReadTries is how often a locking read is tried that ended in a deadlock with a writer.
const lockingReadTries = 50

// lockingRead reads again when the server chose it as the victim of a deadlock: a read that waits for a
// writer which waits for a row that was read already.
func (r *Reader) lockingRead(ctx context.Context, conn *sql.Conn, read func(querier) error) (change.Position, error) {
	for try := 1; ; try++ {
		high, err := r.tryLocking(ctx, conn, read)
		var e *mysql.MySQLError
		if !errors.As(err, &e) || e.Number != deadlockFound {
			return high, err
		}
		if try == lockingReadTries {
			return high, fmt.Errorf("%d locking reads in a row met a deadlock; set source.snapshot.chunk_rows lower, or gtid_mode=ON on the source: %w", try, err)
		}
		if err := r.pause(ctx, time.Duration(try)*time.Millisecond); err != nil {
			return high, err
		}
	}
}

// deadlockFound is the server's ER_LOCK_DEADLOCK.
const deadlockFound = 1213

// tryLocking reads at READ COMMITTED, which locks the rows and not the gaps between them: all that was
// logged when the read began is in the index already, so writers of other keys need not wait for it.
func (r *Reader) tryLocking(ctx context.Context, conn *sql.Conn, read func(querier) error) (high change.Position, err error) {
	for _, s := range []string{"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION"} {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return high, fmt.Errorf("start a locking read (%s): %w", s, err)
		}
	}
	defer func() {
		if _, e := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); e != nil && err == nil {
			err = fmt.Errorf("end a locking read: %w", e)
		}
	}()
	if err := read(conn); err != nil {
		return high, err
	}
	return r.logPosition(ctx)
}
