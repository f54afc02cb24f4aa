package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Sink delivers to one PostgreSQL database over one connection, which it makes when it needs one. It is
// used by one goroutine at a time.
type Sink struct {
	cfg Config
	pc  *pgx.ConnConfig
	// writer is this process's right to write; a later Prepare elsewhere replaces it in cdc_progress.
	writer  string
	conn    *pgx.Conn
	version int // server_version_num
	// prepared maps the texts of small batches' statements to their names on this connection.
	prepared map[string]string
	streams  map[string]*stream
	inboxes  int

	progress, quarantine string // quoted tables
	// plan notes the statements of a sink that only plans; nil otherwise.
	plan *plan
	// hook is called before and after each effect with its name; an error stops there. Tests only.
	hook func(step string) error
}

// stream is what the sink knows of one stream. The destination is the truth; this is a copy that is read
// again after any error.
type stream struct {
	name    string
	targets map[string]*target
	staging sinks.Staging
	mark    change.Mark
	states  map[string]sinks.TableState
	stale   bool
}

var (
	_ sinks.Sink       = (*Sink)(nil)
	_ sinks.Boundaries = (*Sink)(nil)
	_ sinks.Encoder    = (*Sink)(nil)
)

// New checks the settings; it does not connect.
func New(cfg Config) (*Sink, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	pc, err := cfg.pgxConfig()
	if err != nil {
		return nil, err
	}
	id := make([]byte, 12)
	if _, err := rand.Read(id); err != nil {
		return nil, fmt.Errorf("draw a writer id: %w", err)
	}
	return &Sink{
		cfg: cfg, pc: pc, writer: hex.EncodeToString(id), streams: map[string]*stream{},
		progress: ident(cfg.Schema, "cdc_progress"), quarantine: ident(cfg.Schema, "cdc_quarantine"),
	}, nil
}

// Prepare implements sinks.Sink.
func (s *Sink) Prepare(ctx context.Context, name string, targets []sinks.Target) error {
	doing := fmt.Sprintf("prepare postgres sink %s for stream %s", s.cfg.Name, name)
	return s.watched(ctx, doing, func(ctx context.Context) error {
		err := s.prepare(ctx, name, targets)
		if err != nil {
			s.checkConn(err)
		}
		return classify(doing, err)
	})
}

func (s *Sink) prepare(ctx context.Context, name string, targets []sinks.Target) error {
	st := &stream{name: name, targets: map[string]*target{}, stale: true}
	st.staging = sinks.Staging{Reader: s.cfg.Name, Tables: map[string]bool{}}
	for _, t := range targets {
		tg, err := newTarget(t, s.cfg.Schema, s.inboxes)
		if err != nil {
			return sinks.OfTarget(t.From, err)
		}
		s.inboxes++
		if st.targets[t.From] != nil {
			return &sinks.StopError{What: fmt.Sprintf("%s is delivered twice", t.From), Hint: "name it once in deliver"}
		}
		st.targets[t.From] = tg
		st.staging.Tables[t.From] = t.Progressive
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	if s.streams[name] != nil { // its temporary tables go, and those of other streams are made again
		if _, err := s.conn.Exec(ctx, "DISCARD TEMP"); err != nil {
			return fmt.Errorf("discard temporary tables: %w", err)
		}
		s.forgetInboxes()
	}
	err := pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		if err := s.ensureBookkeeping(ctx, tx); err != nil {
			return err
		}
		if err := s.take(ctx, tx, name); err != nil {
			return err
		}
		mark, states, err := s.load(ctx, tx, name)
		if err != nil {
			return err
		}
		st.mark, st.states = mark, states
		return s.ensureTargets(ctx, tx, st)
	})
	if err != nil {
		return err
	}
	st.stale = false
	s.streams[name] = st
	return nil
}

// take writes this process's id over any other's. The row's lock makes it wait for a batch that the other
// is just committing, so Applied, asked afterwards, is final.
func (s *Sink) take(ctx context.Context, tx pgx.Tx, stream string) error {
	_, err := s.exec(ctx, "take", fmt.Sprintf(`INSERT INTO %s (stream, table_name, writer, format_version) VALUES ($1, '', $2, $3)
ON CONFLICT (stream, table_name) DO UPDATE SET writer = EXCLUDED.writer`, s.progress), stream, s.writer, formatVersion)
	return err
}

// Applied implements sinks.Sink.
func (s *Sink) Applied(ctx context.Context, name string) (change.Mark, error) {
	st, err := s.stream(name)
	if err != nil {
		return change.Mark{}, err
	}
	doing := fmt.Sprintf("ask postgres sink %s for its place in stream %s", s.cfg.Name, name)
	err = s.watched(ctx, doing, func(ctx context.Context) error { return classify(doing, s.refresh(ctx, st)) })
	if err != nil {
		return change.Mark{}, err
	}
	return st.mark, nil
}

// Boundaries implements sinks.Boundaries.
func (s *Sink) Boundaries(ctx context.Context, name string) (map[string]sinks.TableState, error) {
	if _, err := s.Applied(ctx, name); err != nil {
		return nil, err
	}
	return maps.Clone(s.streams[name].states), nil
}

// Close implements sinks.Sink.
func (s *Sink) Close() error {
	if s.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn := s.conn
	s.conn = nil
	if err := conn.Close(ctx); err != nil {
		return fmt.Errorf("close postgres sink %s: %w", s.cfg.Name, err)
	}
	return nil
}

func (s *Sink) stream(name string) (*stream, error) {
	if st := s.streams[name]; st != nil {
		return st, nil
	}
	return nil, &sinks.StopError{What: fmt.Sprintf("stream %s was not prepared at postgres sink %s", name, s.cfg.Name)}
}

// refresh reads Mark and states again and binds the targets to the tables as they are now.
func (s *Sink) refresh(ctx context.Context, st *stream) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		mark, states, err := s.load(ctx, tx, st.name)
		if err != nil {
			return err
		}
		if st.stale {
			if err := s.rebind(ctx, tx, st); err != nil {
				return err
			}
		}
		st.mark, st.states, st.stale = mark, states, false
		return nil
	})
	if err != nil {
		s.checkConn(err)
	}
	return err
}

// rebind looks the targets' tables up again.
func (s *Sink) rebind(ctx context.Context, tx pgx.Tx, st *stream) error {
	cat, err := s.catalogOf(ctx, tx, st.targets)
	if err != nil {
		return err
	}
	for _, from := range slices.Sorted(maps.Keys(st.targets)) {
		tg := st.targets[from]
		rel := cat[tableName{tg.schema, tg.To}]
		if rel == nil {
			return sinks.OfTarget(from, &sinks.StopError{
				What: fmt.Sprintf("table %s.%s is gone", tg.schema, tg.To),
				Hint: "restart the sink to have it made and filled again",
			})
		}
		tg.bind(rel)
	}
	return s.findQuarantined(ctx, tx, st)
}

// connect makes a connection unless there is one.
func (s *Sink) connect(ctx context.Context) error {
	if s.conn != nil && !s.conn.IsClosed() {
		return nil
	}
	s.conn = nil
	conn, err := pgx.ConnectConfig(ctx, s.pc.Copy())
	if err != nil {
		return fmt.Errorf("connect to %s:%d, database %s: %w", s.cfg.Host, s.cfg.Port, s.cfg.Database, redact(err))
	}
	s.conn, s.prepared = conn, map[string]string{}
	s.forgetInboxes()
	if err := s.checkServer(ctx); err != nil {
		s.drop()
		return err
	}
	return nil
}

// forgetInboxes notes that no temporary table is left in the session.
func (s *Sink) forgetInboxes() {
	for _, st := range s.streams {
		st.stale = true
		for _, tg := range st.targets {
			tg.inboxMade = false
		}
	}
}

func (s *Sink) checkServer(ctx context.Context) error {
	var version, encoding string
	if err := s.conn.QueryRow(ctx, "SELECT current_setting('server_version_num'), current_setting('server_encoding')").Scan(&version, &encoding); err != nil {
		return fmt.Errorf("read the server's version: %w", err)
	}
	n, err := strconv.Atoi(version)
	if err != nil {
		return fmt.Errorf("read the server's version %q: %w", version, err)
	}
	s.version = n
	if n < oldestServer {
		return &sinks.StopError{What: fmt.Sprintf("PostgreSQL %d is too old", n/10000), Hint: "use PostgreSQL 12 or later; 15 or later for views with LEFT JOIN"}
	}
	if encoding != "UTF8" {
		return &sinks.StopError{
			What: fmt.Sprintf("database %s has the encoding %s, which cannot hold every text of the source", s.cfg.Database, encoding),
			Hint: "deliver to a database made with ENCODING 'UTF8'",
		}
	}
	return nil
}

// checkConn drops a connection that an error has made useless.
func (s *Sink) checkConn(err error) {
	if s.conn != nil && (s.conn.IsClosed() || isBroken(err)) {
		s.drop()
	}
	for _, st := range s.streams {
		st.stale = true
	}
}

// drop closes the connection without a word to the server that may wait for an answer.
func (s *Sink) drop() {
	if s.conn == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	//nolint:errcheck // the connection is given up; its error has been told already
	s.conn.Close(ctx)
	s.conn = nil
}

// exec runs one statement and counts it.
func (s *Sink) exec(ctx context.Context, step, sql string, args ...any) (int64, error) {
	if err := s.before(step); err != nil {
		return 0, err
	}
	if s.cfg.Observer.Statement != nil {
		s.cfg.Observer.Statement()
	}
	tag, err := s.conn.Exec(ctx, sql, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", step, err)
	}
	return tag.RowsAffected(), s.after(step)
}

func (s *Sink) before(step string) error {
	if s.hook == nil {
		return nil
	}
	return s.hook("before " + step)
}

func (s *Sink) after(step string) error {
	if s.hook == nil {
		return nil
	}
	return s.hook("after " + step)
}

// redact keeps what the server or the network said; the driver's own text repeats the connection string.
func redact(err error) error {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if u := errors.Unwrap(e); u == nil {
			return e
		}
	}
	return err
}
