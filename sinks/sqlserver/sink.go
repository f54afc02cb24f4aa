package sqlserver

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Sink delivers to one SQL Server database over one connection, which it makes when it needs one. It is
// used by one goroutine at a time.
type Sink struct {
	cfg Config
	// writer is this process's right to write; a later Prepare elsewhere replaces it in cdc_progress.
	writer  string
	session *session
	streams map[string]*stream
	inboxes int
	// small bounds the events of a small batch.
	small int

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
	if _, err := cfg.connector(); err != nil {
		return nil, err
	}
	id := make([]byte, 12)
	if _, err := rand.Read(id); err != nil {
		return nil, fmt.Errorf("draw a writer id: %w", err)
	}
	return &Sink{
		cfg: cfg, writer: hex.EncodeToString(id), streams: map[string]*stream{}, small: smallRows,
		progress: ident(cfg.Schema, "cdc_progress"), quarantine: ident(cfg.Schema, "cdc_quarantine"),
	}, nil
}

// Prepare implements sinks.Sink.
func (s *Sink) Prepare(ctx context.Context, name string, targets []sinks.Target) error {
	err := s.prepare(ctx, name, targets)
	if err != nil {
		s.checkSession(err)
	}
	return classify(fmt.Sprintf("prepare sqlserver sink %s for stream %s", s.cfg.Name, name), err)
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
	if s.streams[name] != nil { // its temporary tables go with the session
		if err := s.Close(); err != nil {
			return err
		}
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.checkRights(ctx, st); err != nil {
		return err
	}
	err := s.session.inTransaction(ctx, func() error {
		if err := s.ensureBookkeeping(ctx); err != nil {
			return err
		}
		if err := s.take(ctx, name); err != nil {
			return err
		}
		mark, states, err := s.load(ctx, name)
		if err != nil {
			return err
		}
		st.mark, st.states = mark, states
		return s.ensureTargets(ctx, st)
	})
	if err != nil {
		return err
	}
	st.stale = false
	s.streams[name] = st
	return nil
}

// take writes this process's id over any other's. Applied, asked afterwards, is final.
func (s *Sink) take(ctx context.Context, stream string) error {
	_, err := s.exec(ctx, "take", takeSQL.with("progress", s.progress),
		sql.Named("stream", stream), sql.Named("writer", s.writer), sql.Named("format_version", formatVersion))
	return err
}

// Applied implements sinks.Sink.
func (s *Sink) Applied(ctx context.Context, name string) (change.Mark, error) {
	st, err := s.stream(name)
	if err != nil {
		return change.Mark{}, err
	}
	if err := s.refresh(ctx, st); err != nil {
		return change.Mark{}, classify(fmt.Sprintf("ask sqlserver sink %s for its place in stream %s", s.cfg.Name, name), err)
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
	if s.session == nil {
		return nil
	}
	err := s.session.close()
	s.session = nil
	s.forget()
	if err != nil && !isBroken(err) {
		return fmt.Errorf("close sqlserver sink %s: %w", s.cfg.Name, err)
	}
	return nil
}

func (s *Sink) stream(name string) (*stream, error) {
	if st := s.streams[name]; st != nil {
		return st, nil
	}
	return nil, &sinks.StopError{What: fmt.Sprintf("stream %s was not prepared at sqlserver sink %s", name, s.cfg.Name)}
}

// refresh reads Mark and states again and binds the targets to the tables as they are now.
func (s *Sink) refresh(ctx context.Context, st *stream) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	mark, states, err := s.load(ctx, st.name)
	if err == nil && st.stale {
		err = s.rebind(ctx, st)
	}
	if err != nil {
		s.checkSession(err)
		return err
	}
	st.mark, st.states, st.stale = mark, states, false
	return nil
}

// rebind looks the targets' tables up again.
func (s *Sink) rebind(ctx context.Context, st *stream) error {
	for _, from := range slices.Sorted(maps.Keys(st.targets)) {
		tg := st.targets[from]
		rel, err := s.session.lookup(ctx, tg.schema, tg.To)
		if err != nil {
			return err
		}
		if rel == nil {
			return sinks.OfTarget(from, tg.gone())
		}
		tg.bind(rel)
		if tg.quarantined, err = s.anyQuarantined(ctx, st.name, from); err != nil {
			return err
		}
	}
	return nil
}

func (tg *target) gone() error {
	return &sinks.StopError{
		What: fmt.Sprintf("table %s.%s is gone", tg.schema, tg.To),
		Hint: "restart the sink to have it made and filled again",
	}
}

// connect makes a connection unless there is one.
func (s *Sink) connect(ctx context.Context) error {
	if s.session != nil {
		return nil
	}
	c, err := s.cfg.open(ctx)
	if err != nil {
		return err
	}
	c.sent = s.cfg.Observer.Statement
	s.session = c
	s.forget()
	if err := s.checkServer(ctx); err != nil {
		s.drop()
		return err
	}
	return nil
}

// forget notes that no temporary table is left, and that what is known of the streams is old.
func (s *Sink) forget() {
	for _, st := range s.streams {
		st.stale = true
		for _, tg := range st.targets {
			tg.inboxMade = false
		}
	}
}

// checkSession gives up a connection that an error has made useless. What is known of the streams is read again.
func (s *Sink) checkSession(err error) {
	if s.session != nil && isBroken(err) {
		s.drop()
	}
	for _, st := range s.streams {
		st.stale = true
	}
}

// drop closes the connection; its error has been told already.
func (s *Sink) drop() {
	if s.session == nil {
		return
	}
	//nolint:errcheck // the connection is given up
	s.session.close()
	s.session = nil
	s.forget()
}

// exec runs one statement of a batch.
func (s *Sink) exec(ctx context.Context, step, text string, args ...any) (int64, error) {
	if err := s.before(step); err != nil {
		return 0, err
	}
	n, err := s.session.exec(ctx, text, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", step, err)
	}
	return n, s.after(step)
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
