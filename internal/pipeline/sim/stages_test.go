package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/schemas/wire"
	"github.com/etlsandbox/cdc/sinks"
	"github.com/etlsandbox/cdc/sinks/memory"
)

const (
	rawStream  = "raw"
	viewStream = "views"
)

// captureProcess is a process that runs the capture stage.
type captureProcess struct {
	actor
	chunks *chunkReader
	asks   *pipeline.AskQueue
}

// joinProcess is a process that runs the join stage over its data folder.
type joinProcess struct {
	actor
	store *store
	asks  *pipeline.AskQueue
}

// deliverProcess is a process that runs the deliver stage of one stream to one destination.
type deliverProcess struct {
	actor
	to     *destination
	stream string
}

// Now implements pipeline.Clock.
func (w *world) Now() time.Time { return w.now() }

func (w *world) newID() string { w.ids++; return fmt.Sprint("i", w.ids) }

// keep runs a stage again and again, as the supervisor does, until it is fenced or dead.
func (w *world) keep(a *actor, run func(ctx context.Context) error) {
	for {
		err := run(context.Background())
		if a.crashed {
			return
		}
		v := pipeline.Judge(err)
		w.note("%s: %v", a.name, err)
		switch {
		case v.Fenced:
			w.count("fenced")
			return
		case v.Unmeant && w.faults["set-back"]:
			w.count("unmeant")
			return // until an operator has said that the source is meant as it is
		case !v.Retry || !expected(err):
			w.fail("error", fmt.Sprintf("%s stopped: %v", a.name, err))
		}
		w.count("stage starts again")
		for range 3 {
			if w.effect() != nil && a.crashed {
				return
			}
		}
	}
}

// expected reports whether an error is one that the simulated effects give.
func expected(err error) bool {
	var retry *sinks.RetryError
	for _, e := range []error{stream.ErrUnknownOutcome, stream.ErrRestart, stream.ErrGone, pipeline.ErrPurged, errFlaky, errDown} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.As(err, &retry)
}

func (w *world) wait(context.Context, time.Duration) error {
	for range 4 {
		if err := w.effect(); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) writer(name, process string) *stream.Writer {
	cfg := stream.WriterConfig{Stream: name, Process: process, Now: w.now, NewID: w.newID, RewriteEvery: 25, Rules: w.streamRules}
	return stream.NewWriter(cfg, w.broker.Producer(w.streamRules.TransactionalID(name, process)), w.broker)
}

func (w *world) reader(name, reader string) func(change.Mark) *stream.Reader {
	return func(m change.Mark) *stream.Reader {
		cfg := stream.ReaderConfig{Stream: name, Name: reader, Now: w.now, Rules: w.streamRules}
		return stream.NewReader(cfg, w.broker, m)
	}
}

func encoder(name string) *wire.Encoder {
	e, err := wire.NewEncoder("0", "mysql", name)
	if err != nil {
		panic(err)
	}
	return e
}

func (w *world) hold() bool { return !w.quiet && w.r.IntN(8) == 0 }

func (w *world) newCapture(i int) *captureProcess {
	p := &captureProcess{}
	p.name = fmt.Sprint("capture", i)
	p.body = func() {
		p.chunks = &chunkReader{w: w, tables: w.tables}
		p.asks = pipeline.NewAskQueue(func() {})
		wr := w.writer(rawStream, w.newID())
		cfg := pipeline.CaptureConfig{
			Stream: rawStream, Server: server, BatchRows: w.batchRows, BatchDelay: 4 * time.Millisecond,
			IdleEvery: 60 * time.Millisecond, MoveEvery: 20 * time.Millisecond, ChunkRows: 2, Threads: 2, KeepLimit: 6,
			HoldCovers: w.hold, Fail: func(string) error { return w.point() }, NewID: w.newID, Rules: w.rules,
			Observe: func(c pipeline.Committed) { w.committed(c, wr) },
		}
		if w.word {
			cfg.Meant = &pipeline.Ask{Back: true, Done: func(string, error) { w.word, w.answered = false, true }}
		}
		src := &logReader{w: w, tables: w.tables}
		stage := pipeline.NewCapture(cfg, src, places{}, p.chunks, p.asks, w, wr, encoder(rawStream))
		w.keep(&p.actor, func(ctx context.Context) error {
			p.chunks.drop()
			return stage.Run(ctx)
		})
	}
	return p
}

func (w *world) newJoin(i int) *joinProcess {
	p := &joinProcess{store: newStore()}
	p.name = fmt.Sprint("joiner", i)
	p.died = func() { p.store.crash(w.r.IntN) }
	p.body = func() {
		p.asks = pipeline.NewAskQueue(func() {})
		wr := w.writer(viewStream, w.newID())
		cfg := pipeline.JoinConfig{
			Raw: rawStream, Views: viewStream, Plans: w.plans, BatchRows: w.batchRows, ChunkRows: 2,
			PollEvery: 10 * time.Millisecond, AskEvery: 10 * time.Millisecond,
			HoldCovers: w.hold, Fail: func(string) error { return w.point() }, NewID: w.newID, Rules: w.rules,
			Observe: func(c pipeline.Committed) { w.committed(c, wr) },
		}
		stage, err := pipeline.NewJoin(cfg, pipeline.JoinDeps{
			State: &joinState{w, p.store},
			In:    w.reader(rawStream, pipeline.JoinReader), Out: w.reader(viewStream, pipeline.JoinReader),
			RawMeta: func(ctx context.Context) (*wire.Meta, error) { return stream.ReadMeta(ctx, w.broker, rawStream) },
			Asker:   askTo(w.askCapture), Asks: p.asks, Clock: w, Wait: w.wait, Writer: wr, Encoder: encoder(viewStream),
		})
		if err != nil {
			w.fail("error", err.Error())
		}
		w.keep(&p.actor, stage.Run)
	}
	return p
}

type askTo func(pipeline.Ask)

// Ask implements pipeline.Asker.
func (f askTo) Ask(a pipeline.Ask) { f(a) }

// askCapture reaches the capture process that runs; nothing is stored.
func (w *world) askCapture(a pipeline.Ask) {
	w.note("ask capture: %q %v since %d floor %d", a.Reader, a.Tables, a.Since, a.Floor)
	for _, c := range w.captures {
		if c.up && c.asks != nil {
			c.asks.Ask(a)
			return
		}
	}
}

func (w *world) askJoin(a pipeline.Ask) {
	w.note("ask joiner: %q %v since %d floor %d", a.Reader, a.Tables, a.Since, a.Floor)
	for _, j := range w.joiners {
		if j.up && j.asks != nil {
			j.asks.Ask(a)
			return
		}
	}
}

func (w *world) newDeliver(i int, d *destination, name string) *deliverProcess {
	p := &deliverProcess{to: d, stream: name}
	p.name = fmt.Sprint(d.name, "/", name, i)
	p.body = func() {
		ask := askTo(w.askCapture)
		if name == viewStream {
			ask = w.askJoin
		}
		sink := memory.Open(d.db, memory.Options{
			Reader: d.name, Writer: w.newID(), Break: w.sinkBreak, Hook: func(string) error {
				w.atomic = true // inside a transaction, whose lock nobody else must meet
				return w.point()
			},
		})
		cfg := pipeline.DeliverConfig{
			Stream: name, Sink: d.name, Targets: w.targets(name),
			Batch:     func() pipeline.BatchLimits { return pipeline.BatchLimits{MaxRows: w.batchRows} },
			IdleEvery: 30 * time.Millisecond, PollEvery: 10 * time.Millisecond, AskEvery: 10 * time.Millisecond,
			Fail: w.deliverPoint,
		}
		stage := pipeline.NewDeliver(cfg, pipeline.DeliverDeps{
			Sink: &checkedSink{Sink: sink, w: w, d: d, stream: name}, Open: w.reader(name, d.name),
			Meta:  func(ctx context.Context) (*wire.Meta, error) { return stream.ReadMeta(ctx, w.broker, name) },
			Asker: ask, Clock: w, Wait: w.wait,
		})
		w.keep(&p.actor, stage.Run)
	}
	return p
}

func (w *world) targets(name string) []sinks.Target {
	var ts []sinks.Target
	add := func(t *change.Table) {
		ts = append(ts, sinks.Target{From: t.ID.String(), Table: t, To: t.ID.Name})
	}
	if name == rawStream {
		for _, t := range w.tables {
			add(t)
		}
		return ts
	}
	for _, p := range w.plans {
		add(p.Output)
	}
	return ts
}

// catalog answers the compiler.
type catalog [tableCount]*change.Table

// Table implements view.Catalog.
func (c catalog) Table(id change.TableID) (*change.Table, error) {
	for _, t := range c {
		if t.ID.Name == id.Name {
			return t, nil
		}
	}
	return nil, fmt.Errorf("there is no table %s", id)
}

var viewTexts = []string{
	"CREATE VIEW flat AS SELECT i.id AS id, i.buyer_id AS buyer_id, b.name AS name FROM item i JOIN buyer b ON b.id = i.buyer_id",
	"CREATE VIEW names AS SELECT b.id AS id, b.name AS name FROM buyer b",
	"CREATE VIEW wide AS SELECT b.id AS id, b.name AS name, i.id AS item_id FROM buyer b LEFT JOIN item i ON i.buyer_id = b.id",
}

// views compiles the views over the tables; plans are shared by all histories.
func views(tables [tableCount]*change.Table) ([]*view.Plan, error) {
	var ps []*view.Plan
	for _, text := range viewTexts {
		p, err := view.Compile(strings.Fields(text)[2]+".sql", text, catalog(tables))
		if err != nil {
			return nil, err
		}
		ps = append(ps, p)
	}
	return ps, nil
}
