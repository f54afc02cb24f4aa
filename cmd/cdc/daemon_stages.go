package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	capture "github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/cdc/snapshot"
	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/joiner"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/schemas/wire"
	"github.com/etlsandbox/cdc/statestore"
)

// Defaults of the stages that no setting names: they trade latency against the number of Kafka
// transactions, and were chosen for a view that is visible within some milliseconds.
const (
	captureBatchRows  = 10000
	captureBatchDelay = 100 * time.Millisecond
	moveEvery         = 500 * time.Millisecond
	pollEvery         = 100 * time.Millisecond
	askEvery          = 500 * time.Millisecond
	sinkIdleEvery     = time.Second
	sinkAhead         = 16 << 20 // bytes of a batch that is held while the next one is read
	keepFactor        = 20       // changes that a chunk's window keeps, in chunks
)

// closers are closed in reverse order.
type closers []func()

func (c *closers) add(f func()) { *c = append(*c, f) }

func (c closers) close() {
	for i := len(c) - 1; i >= 0; i-- {
		c[i]()
	}
}

// stages opens what the stages need, checks the preconditions, and runs them until the context ends or one
// of them meets what concerns the whole daemon.
func (s *service) stages(ctx context.Context, client kafka.Config) error {
	var cl closers
	defer func() { cl.close() }()
	src, err := s.openSource(ctx, &cl)
	if err != nil {
		return err
	}
	tables, err := src.Tables(ctx, sourceFilter(&s.cfg.Source))
	if err != nil {
		return err
	}
	if len(tables) == 0 {
		return &pipeline.StopError{What: "no table of the source matches source.tables.include", Hint: "cdc doctor lists what the account can see"}
	}
	plans, refused, err := s.compileViews(ctx, client, tables)
	if err != nil {
		return err
	}
	var ids []change.TableID
	for _, t := range tables {
		ids = append(ids, t.ID)
	}
	if err := s.topics(ctx, client, ids, plans); err != nil {
		return err
	}
	capt, err := s.captureStage(src, client, &cl)
	if err != nil {
		return err
	}
	stages := []pipeline.Stage{capt}
	if len(plans) > 0 {
		st, err := s.joinStage(src, client, plans, refused, &cl)
		if err != nil {
			return err
		}
		stages = append(stages, st)
	} else {
		s.defined.known(0)
	}
	s.mu.Lock()
	s.plans, s.refused, s.shapes, s.tables, s.ids = plans, refused, tables, nil, ids
	for _, id := range ids {
		s.tables = append(s.tables, id.String())
	}
	s.mu.Unlock()
	deliver := newDelivery(s, client)
	cl.add(deliver.close)
	first, err := deliver.first()
	if err != nil {
		return err
	}
	cl.add(sampled(s.watchRetention()))
	cl.add(sampled(s.sourceFigures(ctx, src)))
	cl.add(sampled(s.watchQuarantine()))
	if err := s.keepBroker(); err != nil {
		return err
	}
	s.mu.Lock()
	s.src, s.why, s.deliver = src, nil, deliver
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.src, s.live, s.deliver = nil, nil, nil
		s.mu.Unlock()
	}()
	s.log.Info(fmt.Sprintf("pipeline starts: %d tables, %d views, %d sinks", len(tables), len(plans), len(first)), "stream", s.cfg.Name)
	stages = append(stages, first...)
	return s.sup.Run(ctx, stages...)
}

// openSource connects and refuses to start on what would lose data, naming the line that mends it.
func (s *service) openSource(ctx context.Context, cl *closers) (*capture.Source, error) {
	sc, err := sourceConfig(&s.cfg.Source)
	if err != nil {
		return nil, withStatus(exitUnknown, err)
	}
	src, err := capture.Open(ctx, sc)
	if err != nil {
		return nil, err
	}
	cl.add(func() {
		if err := src.Close(); err != nil {
			s.log.Debug("source connection not closed", "err", err)
		}
	})
	found, err := capture.Preflight(ctx, src, capture.PreflightOptions{Filter: sourceFilter(&s.cfg.Source)})
	if err != nil {
		return nil, err
	}
	var bad []error
	for _, f := range found {
		if f.Severity == capture.SeverityError {
			bad = append(bad, &pipeline.StopError{What: f.What, Hint: f.Fix})
			continue
		}
		s.log.Warn(f.Code+": "+f.What, "hint", f.Fix)
	}
	s.places = pipeline.LivePlaces{Flavor: src.Server().Flavor}
	s.metrics.Source.Connected.Set(1)
	return src, errors.Join(bad...)
}

// topics creates and checks the topics of both streams.
func (s *service) topics(ctx context.Context, client kafka.Config, raw []change.TableID, plans []*view.Plan) error {
	adm, err := kafka.NewAdmin(client)
	if err != nil {
		return err
	}
	defer adm.Close()
	b := &s.cfg.Broker
	o := kafka.StreamOptions{Partitions: int32(b.Partitions), Retention: b.Retention, MaxMessageBytes: int(s.cfg.Topics.MaxMessageBytes)}
	var views []change.TableID
	for _, p := range plans {
		views = append(views, p.Output.ID)
	}
	all := append(kafka.StreamTopics(s.cfg.Name, raw, o), kafka.StreamTopics(s.viewStream(), views, o)...)
	replication := int16(b.ReplicationFactor)
	if b.Type == "embedded" {
		replication = 1
	}
	return adm.Ensure(ctx, all, replication)
}

// addTable creates the topic of a table that the source has got since the start, and lets commands name the table.
func (s *service) addTable(ctx context.Context, client kafka.Config, t *change.Table) error {
	s.mu.Lock()
	ids := slices.Clone(s.ids)
	s.mu.Unlock()
	if slices.Contains(ids, t.ID) {
		return nil // it was dropped and created again
	}
	ids = append(ids, t.ID)
	// With the others, so that two tables do not get one topic.
	if err := s.topics(ctx, client, ids, nil); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids, s.tables = ids, append(slices.Clone(s.tables), t.ID.String())
	s.shapes = append(slices.Clone(s.shapes), t)
	slices.Sort(s.tables)
	return nil
}

func (s *service) viewStream() string { return s.cfg.Name + "-views" }

// broker connections: each reader and each writer has its own.
func openLog(client kafka.Config, cl *closers) (*kafka.Log, error) {
	l, err := kafka.NewLog(client)
	if err != nil {
		return nil, err
	}
	cl.add(l.Close)
	return l, nil
}

func (s *service) writer(name, role string, client kafka.Config, cl *closers) (*stream.Writer, error) {
	p := kafka.NewProducer(kafka.ProducerConfig{Config: client, TransactionalID: "cdc." + s.cfg.Name + "." + role, MaxRecordBytes: int(s.cfg.Topics.MaxMessageBytes)})
	cl.add(p.Close)
	l, err := openLog(client, cl)
	if err != nil {
		return nil, err
	}
	return stream.NewWriter(stream.WriterConfig{Stream: name, Rules: s.rules.stream, MaxRecordBytes: int(s.cfg.Topics.MaxMessageBytes)}, p, l), nil
}

// reader returns a function that opens a reader of a stream at a Mark.
func (s *service) reader(name, as string, l *kafka.Log) func(change.Mark) *stream.Reader {
	log := s.log.With("stream", name, "stage", "join")
	return func(at change.Mark) *stream.Reader {
		return stream.NewReader(stream.ReaderConfig{Stream: name, Name: as, Grace: 5 * time.Second, Rules: s.rules.stream,
			OnStalled: func(st stream.Stalled) { log.Warn("a range of the stream cannot be read yet", "err", st.String()) }}, l, at)
	}
}

func backoff() (least, most time.Duration) { return 100 * time.Millisecond, 15 * time.Second }

func (s *service) captureStage(src *capture.Source, client kafka.Config, cl *closers) (pipeline.Stage, error) {
	w, err := s.writer(s.cfg.Name, "capture", client, cl)
	if err != nil {
		return pipeline.Stage{}, err
	}
	s.rawFloor = w.MetaFloor
	enc, err := wire.NewEncoder(s.version, string(src.Server().Flavor), s.cfg.Name)
	if err != nil {
		return pipeline.Stage{}, err
	}
	enc.Tombstones = s.cfg.Topics.Tombstones
	live := pipeline.NewLiveSource(src, sourceFilter(&s.cfg.Source))
	live.Read = s.track.Read
	s.mu.Lock()
	s.live = live
	s.mu.Unlock()
	chunks := pipeline.NewLiveChunks(snapshot.NewReader(snapshot.Config{
		DB: src.DB(), Method: snapshotMethod(src.Server()), Codec: src.Codec(), LogPosition: src.Current,
	}), func() int { return s.settings().Source.Snapshot.MaxRowsPerSecond }, live.Wake)
	snap := &s.cfg.Source.Snapshot
	c := pipeline.NewCapture(pipeline.CaptureConfig{
		Stream: s.cfg.Name, Server: src.Server().Identity, BatchRows: captureBatchRows, BatchDelay: captureBatchDelay,
		IdleEvery: s.cfg.Source.Heartbeat, MoveEvery: moveEvery,
		ChunkRows: snap.ChunkRows, Threads: snap.Threads, KeepLimit: keepFactor * snap.ChunkRows,
		Meant:     s.meant(),
		StopOnGap: s.cfg.Source.OnGap == "stop", StopOnUnsupported: s.cfg.Source.OnUnsupported == "stop",
		Captures: sourceFilter(&s.cfg.Source).Column,
		Fail:     s.fail, Pace: s.pace, HoldCovers: s.holdCovers,
		Observe: func(c pipeline.Committed) { s.committed(c, true) },
		Paused: func(table, why string) {
			s.track.Paused(table, why)
			s.log.Error("table paused, the others go on", "stage", "capture", "table", table, "err", why)
		},
		Added: func(ctx context.Context, t *change.Table) error { return s.addTable(ctx, client, t) },
		Reads: s.reads, Left: s.tableLeft, Covered: s.track.Covered,
		Resumed: func(at change.Mark) { s.track.StreamResumed(s.cfg.Name, at) },
		Altered: func(table string) { s.metrics.Source.SchemaChanges.WithLabelValues(table).Inc() },
		Gap: func(why string) {
			s.log.Warn("the stream cannot go on where it stood: all tables are read again", "stage", "capture", "err", why)
		},
	}, live, s.places, chunks, s.rawAsks, pipeline.WallClock{}, w, enc)
	return pipeline.Stage{Name: "capture", Backoff: backoff, Run: func(ctx context.Context) error {
		ctx, stop := context.WithCancel(ctx)
		err := c.Run(ctx)
		stop()
		chunks.Drain()
		return errors.Join(err, live.Close())
	}}, nil
}

// committed tracks a batch, and logs where covers begin and end.
func (s *service) committed(c pipeline.Committed, raw bool) {
	s.track.Committed(c, raw)
	if c.Kind == change.Begin || c.Kind == change.End {
		kind, to := "resync", "everybody"
		if c.Cover.Heal {
			kind = "heal"
		}
		if c.Cover.For != "" {
			to = c.Cover.For
		}
		s.log.Info(fmt.Sprintf("cover %s: %s of %s for %s, id %s", c.Kind, kind, strings.Join(c.Cover.Tables, ", "), to, c.Cover.ID),
			"stream", c.Stream, "seq", c.Mark.Seq)
	}
}

// snapshotMethod is how a read's place in the log is known at this server.
func snapshotMethod(server capture.Server) snapshot.Method {
	switch {
	case server.Flavor == capture.MariaDB || server.Percona && !server.GTIDs:
		return snapshot.ConsistentSnapshot
	case server.GTIDs:
		return snapshot.ExecutedGTIDs
	}
	return snapshot.LockingRead
}

// stateBegins are the failpoints of the join state's background work; nil when none is armed.
func (s *service) stateBegins() func(work string) {
	if s.fail == nil {
		return nil
	}
	return func(work string) {
		if err := s.fail("state-" + work); err != nil {
			s.log.Warn("failpoint", "err", err)
		}
	}
}

func (s *service) joinStage(src *capture.Source, client kafka.Config, plans []*view.Plan, refused map[string]error, cl *closers) (pipeline.Stage, error) {
	w, err := s.writer(s.viewStream(), "join", client, cl)
	if err != nil {
		return pipeline.Stage{}, err
	}
	s.viewFloor = w.MetaFloor
	enc, err := wire.NewEncoder(s.version, string(src.Server().Flavor), s.viewStream())
	if err != nil {
		return pipeline.Stage{}, err
	}
	enc.Tombstones = s.cfg.Topics.Tombstones
	in, err := openLog(client, cl)
	if err != nil {
		return pipeline.Stage{}, err
	}
	out, err := openLog(client, cl)
	if err != nil {
		return pipeline.Stage{}, err
	}
	store, err := statestore.Open(filepath.Join(s.cfg.DataDir, "state"), statestore.Options{Memory: int64(s.cfg.Joiner.Memory) / 3, Begins: s.stateBegins()})
	if err != nil {
		return pipeline.Stage{}, err
	}
	cl.add(func() {
		if err := store.Close(); err != nil {
			s.log.Warn("join state not closed cleanly", "err", err)
		}
	})
	cl.add(sampled(s.stateFigures(store)))
	fit, aside := fitting(plans, refused)
	engine, err := joiner.New(fit)
	if err != nil {
		return pipeline.Stage{}, err
	}
	state, err := pipeline.OpenLiveState(store, engine)
	if err != nil {
		return pipeline.Stage{}, err
	}
	s.durable = state.Durable
	j, err := pipeline.NewJoin(pipeline.JoinConfig{
		Raw: s.cfg.Name, Views: s.viewStream(), Plans: fit, Aside: aside, BatchRows: captureBatchRows, ChunkRows: s.cfg.Source.Snapshot.ChunkRows,
		Memory: int(s.cfg.Joiner.Memory / 8), Scratch: func() (joiner.Scratch, error) { return store.Scratch() },
		PollEvery: pollEvery, AskEvery: askEvery, Fail: s.fail, HoldCovers: s.holdCovers, Idle: state.Idle,
		Observe:  func(c pipeline.Committed) { s.committed(c, false) },
		Consumed: s.track.Consumed, Joined: s.track.Joined,
		Resumed: func(in, out change.Mark) { s.track.JoinResumed(in); s.track.StreamResumed(s.viewStream(), out) },
		Defined: s.defined.known,
		Lost: func(why string) {
			s.log.Warn("the join state cannot go on where it stands: it asks for a cover", "stage", "join", "err", why)
		},
		Compile: s.recompile,
		Paused:  s.track.IsPaused,
	}, pipeline.JoinDeps{
		State: state, In: s.reader(s.cfg.Name, pipeline.JoinReader, in), Out: s.reader(s.viewStream(), pipeline.JoinReader, out),
		RawMeta: func(ctx context.Context) (*wire.Meta, error) { return stream.ReadMeta(ctx, in, s.cfg.Name) },
		Asker:   s.rawAsks, Asks: s.asks, Clock: pipeline.WallClock{}, Wait: pipeline.Sleep, Writer: w, Encoder: enc,
	})
	if err != nil {
		return pipeline.Stage{}, err
	}
	return pipeline.Stage{Name: "join", Backoff: backoff, Run: func(ctx context.Context) error {
		err := j.Run(ctx)
		if broken := store.Err(); broken != nil && ctx.Err() == nil {
			return &pipeline.StopError{What: "the join state's disk failed", Err: broken,
				Hint: fmt.Sprintf("free space on data_dir %s, or mend its disk, and start again: the state is rebuilt if it must be", s.cfg.DataDir)}
		}
		return err
	}}, nil
}

// settings are the live ones.
func (s *service) settings() *config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg
}

// kafkaClient says how to reach a Kafka cluster.
func kafkaClient(b *config.Broker, log *slog.Logger) (kafka.Config, error) {
	t, err := capture.Config{TLS: capture.TLS{
		Mode: b.TLS.Mode, CA: b.TLS.CA, Cert: b.TLS.Cert, Key: b.TLS.Key, ServerName: b.TLS.ServerName,
	}}.TLSConfig()
	if err != nil {
		return kafka.Config{}, fmt.Errorf("broker: %w", err)
	}
	c := kafka.Config{Brokers: b.Brokers, TLS: t, Log: log}
	if b.SASL.User != "" {
		c.SASL = kafka.SASL{Mechanism: b.SASL.Mechanism, User: b.SASL.User, Password: b.SASL.Password.Reveal()}
	}
	return c, nil
}
