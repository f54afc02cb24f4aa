package cdc

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Source is a connection pool to the source database. Its sessions are read-only and have a fixed time
// zone (UTC), sql_mode (empty) and character set (utf8mb4), so that what they read does not depend on
// the server's settings. It is safe for concurrent use.
type Source struct {
	cfg    Config
	db     *sql.DB
	server Server
}

// Open connects, finds out what the server is, and returns a Source. The caller closes it.
func Open(ctx context.Context, cfg Config) (*Source, error) {
	cfg = cfg.withDefaults()
	if cfg.ServerID == 0 {
		cfg.ServerID = firstDrawnID | rand.Uint32()
	}
	connector, err := cfg.connector()
	if err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, db: sql.OpenDB(connector)}
	s.db.SetConnMaxIdleTime(time.Minute)
	s.db.SetMaxIdleConns(4)
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

func (s *Source) connect(ctx context.Context) error {
	doing := fmt.Sprintf("connect to source %s as %s", s.cfg.Address(), s.cfg.User)
	conn, err := s.Conn(ctx)
	if err != nil {
		return Classify(doing, err)
	}
	defer conn.Close() // only gives the session back
	s.server, err = inspect(ctx, conn)
	if err != nil {
		return Classify(doing, err)
	}
	if t := s.cfg.Type; t != "" && t != "auto" && t != string(s.server.Flavor) {
		return &Error{Doing: doing, Kind: ErrUnsupported, Cause: fmt.Errorf("source.type is %s, the server is %s %s", t, s.server.Flavor, s.server.Version),
			Hint: "set source.type to auto"}
	}
	return s.server.supported(doing)
}

// Server describes the server as it was when the Source was opened.
func (s *Source) Server() Server { return s.server }

// Config returns the settings with defaults filled in and the server id drawn.
func (s *Source) Config() Config { return s.cfg }

// Close ends all sessions.
func (s *Source) Close() error { return s.db.Close() }

// Conn returns a session of its own. The caller closes it; a session whose state was changed (a
// transaction, a lock) must be brought back first, or be dropped by Discard.
func (s *Source) Conn(ctx context.Context) (*sql.Conn, error) {
	c, err := s.db.Conn(ctx)
	if err != nil {
		return nil, Classify("connect to source "+s.cfg.Address(), err)
	}
	return c, nil
}

// Discard closes a session for good instead of giving it back to the pool.
func Discard(c *sql.Conn) {
	// Raw drops the connection when its function returns ErrBadConn; that is the error to ignore.
	_ = c.Raw(func(any) error { return driver.ErrBadConn })
	_ = c.Close()
}

func (c Config) connector() (*connector, error) {
	m := mysql.NewConfig()
	m.User, m.Net, m.Addr = c.User, c.Network(), c.Address()
	m.Timeout = c.DialTimeout
	m.Collation = "utf8mb4_general_ci"
	// Text protocol throughout: DecodeSQL reads what the server prints.
	m.InterpolateParams = true
	m.CheckConnLiveness = true
	m.RejectReadOnly = false
	m.Logger = log.New(io.Discard, "", 0)
	m.Params = map[string]string{
		"time_zone":         "'+00:00'",
		"sql_mode":          "''",
		"net_write_timeout": "600",
		// The rules of foreign keys are looked up by quoted name.
		"sql_quote_show_create": "1",
	}
	t, err := c.TLSConfig()
	if err != nil {
		return nil, err
	}
	m.TLS = t
	err = m.Apply(mysql.BeforeConnect(func(_ context.Context, m *mysql.Config) error {
		p, err := c.Secret()
		m.Passwd = p
		return err
	}))
	if err != nil {
		return nil, fmt.Errorf("configure the source connection: %w", err)
	}
	base, err := mysql.NewConnector(m)
	if err != nil {
		return nil, fmt.Errorf("configure the source connection: %w", err)
	}
	return &connector{Connector: base}, nil
}

// query reads all rows of a query as text; NULL is an invalid NullString.
func query(ctx context.Context, c querier, q string, args ...any) ([][]sql.NullString, error) {
	rows, err := c.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // Err below says it
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]sql.NullString
	for rows.Next() {
		row := make([]sql.NullString, len(names))
		into := make([]any, len(names))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// named reads all rows of a query as maps from the lower-case column name.
func named(ctx context.Context, c querier, q string) ([]map[string]string, error) {
	rows, err := c.QueryContext(ctx, q)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // Err below says it
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all []map[string]string
	for rows.Next() {
		row := make([]sql.NullString, len(names))
		into := make([]any, len(names))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		m := make(map[string]string, len(names))
		for i, n := range names {
			m[strings.ToLower(n)] = row[i].String
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

// querier is a session or a pool.
type querier interface {
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
}

// DB gives the pool of sessions; every one is set up as Conn says.
func (s *Source) DB() *sql.DB { return s.db }
