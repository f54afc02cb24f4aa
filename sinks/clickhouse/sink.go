package clickhouse

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"

	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/sinks"
)

// Sink delivers to one ClickHouse server. It is used by one goroutine at a time.
type Sink struct {
	*session
	// writer is this process's right to write; a later Prepare elsewhere replaces it in cdc_progress.
	writer  string
	checked bool // the server's version is known to do
	streams map[string]*stream
	inboxes int // made so far, for their names
	// litter are quoted tables of batches that failed; they are dropped when there is a chance.
	litter []string

	progress, quarantine string // quoted tables
	// plan notes the statements of a sink that only plans; nil otherwise.
	plan *planned
}

// stream is what the sink knows of one stream. The destination is the truth; this is a copy that is read
// again after any error.
type stream struct {
	ledger
	name    string
	targets map[string]*target
	staging sinks.Staging
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
	id := make([]byte, 12)
	if _, err := rand.Read(id); err != nil {
		return nil, fmt.Errorf("draw a writer id: %w", err)
	}
	ses, err := newSession(cfg)
	if err != nil {
		return nil, err
	}
	return &Sink{
		session: ses, writer: hex.EncodeToString(id), streams: map[string]*stream{},
		progress: quoteName(cfg.Database, "cdc_progress"), quarantine: quoteName(cfg.Database, "cdc_quarantine"),
	}, nil
}

// Prepare implements sinks.Sink.
func (s *Sink) Prepare(ctx context.Context, name string, targets []sinks.Target) error {
	return classify(fmt.Sprintf("prepare clickhouse sink %s for stream %s", s.cfg.Name, name), s.prepare(ctx, name, targets))
}

func (s *Sink) prepare(ctx context.Context, name string, targets []sinks.Target) error {
	st := &stream{name: name, targets: map[string]*target{}}
	st.staging = sinks.Staging{Reader: s.cfg.Name, Tables: map[string]bool{}}
	for _, t := range targets {
		tg, err := newTarget(t, s.cfg)
		if err != nil {
			return sinks.OfTarget(t.From, err)
		}
		if st.targets[t.From] != nil {
			return &sinks.StopError{What: fmt.Sprintf("%s is delivered twice", t.From), Hint: "name it once in deliver"}
		}
		st.targets[t.From] = tg
		st.staging.Tables[t.From] = t.Progressive
	}
	if err := s.checkServer(ctx); err != nil {
		return err
	}
	if err := s.ensureBookkeeping(ctx); err != nil {
		return err
	}
	delete(s.streams, name)
	var err error
	if st.ledger, err = s.take(ctx, name); err != nil {
		return err
	}
	if err := s.ensureTargets(ctx, st); err != nil {
		return err
	}
	if err := s.sweepScratch(ctx, st); err != nil {
		return err
	}
	s.streams[name] = st
	return nil
}

func (s *Sink) checkServer(ctx context.Context) error {
	if s.checked {
		return nil
	}
	if err := s.check(ctx); err != nil {
		return err
	}
	s.checked = true
	return nil
}

// Applied implements sinks.Sink.
func (s *Sink) Applied(ctx context.Context, name string) (change.Mark, error) {
	st, err := s.stream(name)
	if err != nil {
		return change.Mark{}, err
	}
	if err := s.refresh(ctx, st); err != nil {
		return change.Mark{}, classify(fmt.Sprintf("ask clickhouse sink %s for its place in stream %s", s.cfg.Name, name), err)
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
	if err := s.close(); err != nil {
		return fmt.Errorf("close clickhouse sink %s: %w", s.cfg.Name, err)
	}
	return nil
}

func (s *Sink) stream(name string) (*stream, error) {
	if st := s.streams[name]; st != nil {
		return st, nil
	}
	return nil, &sinks.StopError{What: fmt.Sprintf("stream %s was not prepared at clickhouse sink %s", name, s.cfg.Name)}
}

// refresh reads the ledger again and binds the targets to the tables as they are now.
func (s *Sink) refresh(ctx context.Context, st *stream) error {
	l, err := s.load(ctx, st.name)
	if err != nil {
		return err
	}
	if st.stale {
		if err := s.rebind(ctx, st); err != nil {
			return err
		}
	}
	st.ledger, st.stale = l, false
	return nil
}

// rebind looks the targets' tables up again.
func (s *Sink) rebind(ctx context.Context, st *stream) error {
	targets := st.inOrder()
	cat, err := s.catalogOf(ctx, targets, nil)
	if err != nil {
		return err
	}
	for _, tg := range targets {
		rel := cat[tg.versions()]
		if _, err := tg.compare(rel); err != nil {
			return err
		}
		tg.bind(rel)
	}
	return s.findQuarantined(ctx, st)
}

// sweepScratch drops what covers and batches of earlier processes left behind.
func (s *Sink) sweepScratch(ctx context.Context, st *stream) error {
	found, err := s.scratch(ctx, st.name)
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for from, tg := range st.targets {
		if state, ok := st.states[from]; ok && state.Cover != "" {
			used[tg.stage(state.Cover)] = true
		}
	}
	for _, t := range found {
		if used[t.quoted()] {
			continue
		}
		if err := s.drop(ctx, "drop scratch", t.quoted()); err != nil {
			return err
		}
	}
	return nil
}
