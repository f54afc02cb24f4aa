package cdc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"io"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-sql-driver/mysql"

	"github.com/etlsandbox/cdc/schemas/change"
)

// What an error from the source means for the caller; test with errors.Is.
var (
	// ErrDisconnected: unreachable, or the connection broke. Try again with backoff.
	ErrDisconnected = errors.New("source not reachable")
	// ErrAccess: the server refused the user, its password or its rights. Trying again does not help.
	ErrAccess = errors.New("source refused access")
	// ErrPurged: the log no longer reaches back to the position. Only a cover heals.
	ErrPurged = errors.New("position is purged from the source's log")
	// ErrDiverged: the server does not know the position: it was replaced, restored or reset.
	ErrDiverged = errors.New("position is unknown to the source")
	// ErrIncident: the server itself says that its log has lost events. Only a cover heals.
	ErrIncident = errors.New("the source's log has lost events")
	// ErrUnsupported: the log holds something that cannot be followed.
	ErrUnsupported = errors.New("cannot be followed")
	// ErrUnlogged: rows of captured tables changed, and the log does not say which, or not yet whether. Only a cover
	// that begins behind it heals.
	ErrUnlogged = errors.New("rows changed that the log does not tell")
	// ErrCorrupt: bytes that are not what the protocol says.
	ErrCorrupt = errors.New("the source's log is not readable")
)

// Error is an error of the source with the way out.
type Error struct {
	Doing string // verb phrase: "read the log"
	Kind  error  // one of the Err values above
	Cause error  // what the server or the network said; may be nil
	Hint  string // what to do about it
}

func (e *Error) Error() string {
	s := e.Doing + ": " + e.Kind.Error()
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap gives both the kind and the cause to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// ValueError says that a value of a row cannot be carried over.
type ValueError struct {
	Table  change.TableID
	Column string
	Value  string // as the source has it, shortened
	Reason string
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("column %s.%s: value %s: %s", e.Table, e.Column, e.Value, e.Reason)
}

// UnsupportedColumn says that a captured column has a type that is not carried yet.
type UnsupportedColumn struct {
	Table  change.TableID
	Column string
	Type   string
}

func (e *UnsupportedColumn) Error() string { return e.reason() + "; " + e.wayOut() }

func (e *UnsupportedColumn) reason() string {
	return fmt.Sprintf("column %s.%s has type %s, which is not supported", e.Table, e.Column, e.Type)
}

func (e *UnsupportedColumn) wayOut() string {
	return fmt.Sprintf("leave it out with  source.columns.exclude: [%q]", e.Table.String()+"."+e.Column)
}

// Unfit is a captured table that cannot be followed as it is: why, and what to do about it.
type Unfit struct {
	Table        change.TableID
	Reason, Hint string
}

// UnfitTables takes an error of Source.Tables, Source.Layouts or Source.Layout apart that says of tables that they
// cannot be followed; the tables beside them were returned. ok is false if it says anything else.
func UnfitTables(err error) (all []Unfit, ok bool) {
	for _, e := range flatten(err) {
		var column *UnsupportedColumn
		var table *UnsupportedTable
		var u Unfit
		switch {
		case errors.As(e, &column):
			u = Unfit{Table: column.Table, Reason: column.reason(), Hint: column.wayOut()}
		case errors.As(e, &table):
			u = Unfit{Table: table.Table, Reason: table.reason(), Hint: table.wayOut()}
		default:
			return nil, false
		}
		if i := slices.IndexFunc(all, func(o Unfit) bool { return o.Table == u.Table }); i >= 0 {
			all[i].Reason += "; " + u.Reason
			all[i].Hint += "; " + u.Hint
			continue
		}
		all = append(all, u)
	}
	return all, err != nil
}

// Is makes every UnsupportedColumn an ErrUnsupported.
func (e *UnsupportedColumn) Is(target error) bool { return target == ErrUnsupported }

// access reports whether a server error number means that the user may not.
func access(code uint16) bool {
	switch code {
	case 1044, 1045, 1142, 1143, 1227, 1251, 1370, 1410, 1524, 1698, 1820, 1862, 3118, 3159, 4151:
		return true
	}
	return false
}

func accessHint(code uint16) string {
	if code == 1045 || code == 1698 {
		return "check source.user and source.password, and that the account may log in from here"
	}
	return "run cdc doctor: it prints the GRANT lines"
}

// TableAhead reports whether a statement failed because a table or a column of it is not there: what the log says
// next may explain it.
func TableAhead(err error) bool {
	code, _, ok := serverError(err)
	return ok && (code == 1146 || code == 1054)
}

// Classify wraps an error of a connection to the source in an *Error that says what it means. Errors
// that are classified already, and those of the caller's own context, pass through.
func Classify(doing string, err error) error {
	var done *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &done), errors.Is(err, context.Canceled):
		return err
	}
	if code, text, ok := serverError(err); ok {
		if access(code) {
			return &Error{Doing: doing, Kind: ErrAccess, Cause: err, Hint: accessHint(code)}
		}
		switch code {
		case 1040, 1053, 1077, 1080, 1152, 1153, 1158, 1159, 1160, 1161, 1203, 1226, 1317, 1927, 3169, 4031:
			return &Error{Doing: doing, Kind: ErrDisconnected, Cause: err}
		}
		return fmt.Errorf("%s: %w", doing, &ServerError{Code: code, Text: text})
	}
	if trust(err) {
		return &Error{Doing: doing, Kind: ErrAccess, Cause: err,
			Hint: "the server's certificate is not trusted: set source.tls.ca to the CA that signed it, or source.tls.server_name to the name in it"}
	}
	var n net.Error
	if errors.As(err, &n) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, gomysql.ErrBadConn) {
		return &Error{Doing: doing, Kind: ErrDisconnected, Cause: err}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// ServerError is an error number and text from the source that has no special meaning here.
type ServerError struct {
	Code uint16
	Text string
}

func (e *ServerError) Error() string { return fmt.Sprintf("server error %d: %s", e.Code, e.Text) }

func serverError(err error) (code uint16, text string, ok bool) {
	var d *mysql.MySQLError
	if errors.As(err, &d) {
		return d.Number, d.Message, true
	}
	var g *gomysql.MyError
	if errors.As(err, &g) {
		return g.Code, g.Message, true
	}
	return 0, "", false
}

func trust(err error) bool {
	var (
		unknown *tls.CertificateVerificationError
		auth    x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	return errors.As(err, &unknown) || errors.As(err, &auth) || errors.As(err, &host) || errors.As(err, &invalid)
}
