package cdc

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/etlsandbox/cdc/cdc/gtid"
	"github.com/etlsandbox/cdc/schemas/change"
)

// Current is the place behind everything that the source has logged by now.
func (s *Source) Current(ctx context.Context) (change.Position, error) {
	const doing = "read the source's position"
	conn, err := s.Conn(ctx)
	if err != nil {
		return change.Position{}, err
	}
	defer conn.Close() // only gives the session back
	p := change.Position{Server: s.server.Identity}
	rows, err := named(ctx, conn, s.statusQuery())
	if err != nil {
		return p, Classify(doing, err)
	}
	if len(rows) == 0 {
		return p, &Error{Doing: doing, Kind: ErrUnsupported, Cause: errors.New("the server writes no log"),
			Hint: "set log_bin in its configuration and restart it"}
	}
	p.File = rows[0]["file"]
	if p.Offset, err = strconv.ParseUint(rows[0]["position"], 10, 64); err != nil {
		return p, fmt.Errorf("%s: position %q: %w", doing, rows[0]["position"], err)
	}
	switch {
	case s.server.Flavor == MariaDB:
		got, err := query(ctx, conn, "SELECT @@global.gtid_binlog_pos")
		if err != nil {
			return p, Classify(doing, err)
		}
		p.GTID = got[0][0].String
	case s.server.GTIDs:
		p.GTID = strings.ReplaceAll(rows[0]["executed_gtid_set"], "\n", "")
	}
	return p, nil
}

// statusQuery asks for the newest file and offset of the log.
func (s *Source) statusQuery() string {
	if s.server.Flavor == MySQL && s.server.AtLeast(8, 2, 0) {
		return "SHOW BINARY LOG STATUS"
	}
	return "SHOW MASTER STATUS"
}

// Contains reports whether everything before want also lies before have. Positions are compared by GTID
// when either has them: the other's set is empty then. Else they are compared by file and offset, which
// mean something on one server only.
func Contains(have, want change.Position, f Flavor) (bool, error) {
	switch {
	case want.IsZero():
		return true, nil
	case have.IsZero():
		return false, nil
	case have.GTID != "" || want.GTID != "":
		return containsGTID(have.GTID, want.GTID, f)
	case have.Server != want.Server:
		return false, fmt.Errorf("compare positions %s and %s: they belong to different servers, %s and %s", have, want, have.Server, want.Server)
	}
	c, err := compareFiles(have.File, want.File)
	if err != nil {
		return false, err
	}
	return c > 0 || c == 0 && have.Offset >= want.Offset, nil
}

func containsGTID(have, want string, f Flavor) (bool, error) {
	if f == MariaDB {
		h, err1 := gtid.ParseMariaDB(have)
		w, err2 := gtid.ParseMariaDB(want)
		if err := errors.Join(err1, err2); err != nil {
			return false, err
		}
		return h.Contains(w), nil
	}
	h, err1 := gtid.ParseMySQL(have)
	w, err2 := gtid.ParseMySQL(want)
	if err := errors.Join(err1, err2); err != nil {
		return false, err
	}
	return h.Contains(w), nil
}

// compareFiles orders log files by the number behind the last dot: 999999 is followed by 1000000.
func compareFiles(a, b string) (int, error) {
	ba, na, ok1 := fileNumber(a)
	bb, nb, ok2 := fileNumber(b)
	if !ok1 || !ok2 || ba != bb {
		return 0, fmt.Errorf("compare log files %q and %q: they are not of one series", a, b)
	}
	switch {
	case na < nb:
		return -1, nil
	case na > nb:
		return 1, nil
	}
	return 0, nil
}

func fileNumber(name string) (base string, n uint64, ok bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(name[dot+1:], 10, 64)
	return name[:dot], n, err == nil
}

// Union is the place behind both positions: sets united, domains at the further sequence, the further
// offset.
func Union(a, b change.Position, f Flavor) (change.Position, error) {
	if a.IsZero() {
		return b, nil
	}
	if b.IsZero() {
		return a, nil
	}
	out := a
	if a.GTID != "" || b.GTID != "" {
		text, err := unionGTID(a.GTID, b.GTID, f)
		if err != nil {
			return out, err
		}
		out.GTID = text
		if a.File == "" || b.File == "" || a.Server != b.Server {
			out.File, out.Offset = "", 0
			return out, nil
		}
	}
	c, err := compareFiles(a.File, b.File)
	if err != nil {
		return out, err
	}
	if c < 0 || c == 0 && a.Offset < b.Offset {
		out.File, out.Offset = b.File, b.Offset
	}
	return out, nil
}

func unionGTID(a, b string, f Flavor) (string, error) {
	if f == MariaDB {
		x, err1 := gtid.ParseMariaDB(a)
		y, err2 := gtid.ParseMariaDB(b)
		if err := errors.Join(err1, err2); err != nil {
			return "", err
		}
		x.Union(y)
		return x.String(), nil
	}
	x, err1 := gtid.ParseMySQL(a)
	y, err2 := gtid.ParseMySQL(b)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	x.Union(y)
	return x.String(), nil
}

// Purged reports whether the log no longer reaches back to the position, as far as the server can tell
// without reading it; opening the log is the proof. detail says what is missing.
func (s *Source) Purged(ctx context.Context, p change.Position) (purged bool, detail string, err error) {
	const doing = "ask how far the source's log reaches back"
	conn, err := s.Conn(ctx)
	if err != nil {
		return false, "", err
	}
	defer conn.Close() // only gives the session back
	if s.server.Flavor == MySQL && s.server.GTIDs && (p.GTID != "" || p.File == "") {
		rows, err := query(ctx, conn, "SELECT @@global.gtid_purged")
		if err != nil {
			return false, "", Classify(doing, err)
		}
		gone := strings.ReplaceAll(rows[0][0].String, "\n", "")
		ok, err := containsGTID(p.GTID, gone, MySQL)
		return !ok, "purged are the transactions " + gone, err
	}
	logs, err := named(ctx, conn, "SHOW BINARY LOGS")
	if err != nil {
		return false, "", Classify(doing, err)
	}
	if p.File == "" || len(logs) == 0 {
		// MariaDB, a position without a file: the server must look into its files.
		return false, "", nil
	}
	first := logs[0]["log_name"]
	c, err := compareFiles(p.File, first)
	return c < 0, "the oldest log file is " + first, err
}
