package clickhouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	chproto "github.com/ClickHouse/ch-go/proto"
	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/etlsandbox/cdc/sinks"
)

// oldestServer is the first version whose ReplacingMergeTree knows deleted rows.
var oldestServer = [2]uint64{23, 8}

// session is the way to one server: every statement is bounded in time, counted, and stands between two
// calls of the hook.
type session struct {
	cfg Config
	// conn connects when it is first used, and again after an error.
	conn driver.Conn
	// hook is called before and after each effect with its name; an error stops there. Tests only.
	hook func(step string) error
}

func newSession(cfg Config) (*session, error) {
	o, err := cfg.options()
	if err != nil {
		return nil, err
	}
	conn, err := ch.Open(o)
	if err != nil {
		return nil, fmt.Errorf("configure clickhouse sink %q: %w", cfg.Name, err)
	}
	return &session{cfg: cfg, conn: conn}, nil
}

func (s *session) close() error { return s.conn.Close() }

// check refuses a server that is too old.
func (s *session) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	if err := s.conn.Ping(ctx); err != nil {
		doing := fmt.Sprintf("connect to %s:%d by protocol %s, database %s", s.cfg.Host, s.cfg.Port, s.cfg.Protocol, s.cfg.Database)
		// The driver has no type for a server that does not speak the native protocol.
		if strings.Contains(err.Error(), "[handshake] unexpected packet") {
			return &sinks.StopError{What: doing, Err: err, Hint: "check host, port and protocol: is it ClickHouse's native port, and not its HTTP port?"}
		}
		return fmt.Errorf("%s: %w", doing, bare(err))
	}
	v, err := s.conn.ServerVersion()
	if err != nil {
		return fmt.Errorf("read the server's version: %w", err)
	}
	if got := [2]uint64{v.Version.Major, v.Version.Minor}; got[0] < oldestServer[0] || got[0] == oldestServer[0] && got[1] < oldestServer[1] {
		return &sinks.StopError{
			What: fmt.Sprintf("ClickHouse %d.%d is too old", got[0], got[1]),
			Hint: fmt.Sprintf("use ClickHouse %d.%d or later", oldestServer[0], oldestServer[1]),
		}
	}
	return nil
}

// exec runs one statement that changes something. step names it.
func (s *session) exec(ctx context.Context, step, sql string, settings ch.Settings) error {
	return s.effect(ctx, step, settings, func(ctx context.Context) error { return s.conn.Exec(ctx, sql) })
}

func (s *session) effect(ctx context.Context, step string, settings ch.Settings, do func(context.Context) error) error {
	if err := s.before(step); err != nil {
		return err
	}
	s.count()
	ctx, cancel := s.bound(ctx, settings)
	defer cancel()
	if err := do(ctx); err != nil {
		return fmt.Errorf("%s: %w", step, bare(err))
	}
	return s.after(step)
}

// bare leaves out the address with all its parameters that net/http puts before what the network said.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (s *session) bound(ctx context.Context, settings ch.Settings) (context.Context, context.CancelFunc) {
	if settings != nil {
		ctx = ch.Context(ctx, ch.WithSettings(settings))
	}
	return context.WithTimeout(ctx, s.cfg.Timeout)
}

func (s *session) count() {
	if s.cfg.Observer.Statement != nil {
		s.cfg.Observer.Statement()
	}
}

// query runs one statement and calls row for each row of its result.
func (s *session) query(ctx context.Context, sql string, row func(scan func(dest ...any) error) error) (err error) {
	s.count()
	ctx, cancel := s.bound(ctx, nil)
	defer cancel()
	rows, err := s.conn.Query(ctx, sql)
	if err != nil {
		return bare(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// queryRow runs a statement whose result is one row.
func (s *session) queryRow(ctx context.Context, sql string, dest ...any) error {
	found := false
	err := s.query(ctx, sql, func(scan func(dest ...any) error) error {
		found = true
		return scan(dest...)
	})
	if err == nil && !found {
		err = errNoRow
	}
	return err
}

var errNoRow = errors.New("the result has no row")

// insert sends one block, whose columns are data in the native format. A token makes a block that was
// written before be passed over; without one it is written in any case. A table whose columns have other types
// by now refuses the block: the server would convert it, wrap numbers and make values up for NULL without a word.
func (s *session) insert(ctx context.Context, step string, b *block, token string) error {
	settings := ch.Settings{"insert_deduplicate": 0, "input_format_native_allow_types_conversion": 0, "input_format_null_as_default": 0}
	if token != "" {
		settings["insert_deduplicate"], settings["insert_deduplication_token"] = 1, token
	}
	return s.effect(ctx, step, settings, func(ctx context.Context) error {
		names := make([]string, len(b.columns))
		types := make([]ch.ColumnNameAndType, len(b.columns))
		for i, c := range b.columns {
			names[i], types[i] = c.name, ch.ColumnNameAndType{Name: c.name, Type: c.actual()}
		}
		ctx = ch.Context(ctx, ch.WithColumnNamesAndTypes(types))
		batch, err := s.conn.PrepareBatch(ctx, fmt.Sprintf("INSERT INTO %s (%s)", b.table, list(names)))
		if err != nil {
			return err
		}
		if err := b.fill(batch); err != nil {
			return errors.Join(err, batch.Abort())
		}
		return batch.Send()
	})
}

// errOtherColumn says that the server, which on the native protocol names the columns of a block before it takes one,
// has others.
var errOtherColumn = errors.New("the table has other columns")

// fill hands the block's bytes to the driver's columns, which take them as if the server had sent them: its
// own Append would box every value.
func (b *block) fill(batch driver.Batch) error {
	for i, col := range batch.Columns() {
		c := &b.columns[i]
		if col.Name() != c.name || string(col.Type()) != c.actual() {
			return fmt.Errorf("%w: column %s of %s is %s %s at the server", errOtherColumn, c.name, b.table, col.Name(), col.Type())
		}
		raw := chproto.NewReader(bytes.NewReader(append(b.data[i].nulls, b.data[i].values...)))
		if err := col.Decode(raw, b.rows); err != nil {
			return fmt.Errorf("encode column %s: %w", c.name, err)
		}
	}
	return nil
}

func (s *session) before(step string) error {
	if s.hook == nil {
		return nil
	}
	return s.hook("before " + step)
}

func (s *session) after(step string) error {
	if s.hook == nil {
		return nil
	}
	return s.hook("after " + step)
}
