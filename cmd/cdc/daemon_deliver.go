package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/stream"
	"github.com/etlsandbox/cdc/internal/stream/kafka"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/wire"
	"github.com/etlsandbox/cdc/sinks"
)

// delivery runs the deliver stages of the sinks that the configuration names, beside the other stages, and
// follows its changes: sinks that come, go, deliver other things, are enabled, disabled, paused or resumed while all
// else goes on.
type delivery struct {
	s      *service
	client kafka.Config

	mu      sync.Mutex // one change at a time; guards running
	running map[string]*delivering
}

// delivering is one sink at work.
type delivering struct {
	stage   pipeline.Stage
	cl      closers
	deliver []config.Deliver // what it was opened with
}

func newDelivery(s *service, client kafka.Config) *delivery {
	return &delivery{s: s, client: client, running: map[string]*delivering{}}
}

// runs reports whether the configuration and the operator want a sink to run.
func (d *delivery) runs(cfg *config.Config, name string) bool {
	return cfg.Sinks[name].Enabled && !d.s.pauses.sink(name)
}

// first opens the stages of a start; they run once the supervisor does.
func (d *delivery) first() ([]pipeline.Stage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	cfg := d.s.settings()
	var stages []pipeline.Stage
	for _, name := range sortedNames(cfg.Sinks) {
		d.tellPaused(cfg, name)
		if !d.runs(cfg, name) {
			continue
		}
		w, err := d.open(cfg, name)
		if err != nil {
			return nil, err
		}
		stages = append(stages, w.stage)
	}
	return stages, nil
}

// follow makes what runs agree with the settings and the pauses of now.
func (d *delivery) follow() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	cfg := d.s.settings()
	for _, name := range slices.Sorted(maps.Keys(d.running)) {
		if d.runs(cfg, name) && config.SameDeliver(d.running[name].deliver, cfg.Sinks[name].Deliver) {
			continue
		}
		d.end(name)
		if !cfg.Sinks[name].Enabled || d.runs(cfg, name) {
			// Nothing: the broker keeps nothing for one that is gone. One that delivers something else begins again
			// below, and shows nothing of it before the destination says where it is.
			d.s.track.Delivers(name)
		}
		d.s.log.Info("sink ends", "sink", name)
	}
	bad := []error{d.s.pauses.keepSinks(cfg.Sinks)}
	for _, name := range sortedNames(cfg.Sinks) {
		d.tellPaused(cfg, name)
		if d.running[name] != nil || !d.runs(cfg, name) {
			continue
		}
		w, err := d.open(cfg, name)
		if err == nil && !d.s.sup.Add(w.stage) {
			err = errors.New("the pipeline is not running")
		}
		if err != nil {
			d.end(name)
			bad = append(bad, fmt.Errorf("start sink %s: %w", name, err))
			continue
		}
		d.s.log.Info("sink begins", "sink", name)
	}
	return errors.Join(bad...)
}

// close gives back what the stages held, after they have ended.
func (d *delivery) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(d.running)) {
		d.end(name)
	}
}

func (d *delivery) end(name string) {
	d.s.sup.End("deliver", name)
	if w := d.running[name]; w != nil {
		w.cl.close()
	}
	d.s.metrics.Sink.Up.WithLabelValues(name).Set(0)
	d.s.metrics.Sink.BreakerOpen.WithLabelValues(name).Set(0)
	delete(d.running, name)
}

// tellPaused counts a sink as paused or not. The broker keeps for a paused one what it has not got.
func (d *delivery) tellPaused(cfg *config.Config, name string) {
	if !d.s.pauses.sink(name) {
		d.s.metrics.Sink.Paused.WithLabelValues(name).Set(0)
		return
	}
	d.s.metrics.Sink.Paused.WithLabelValues(name).Set(1)
	d.s.metrics.Sink.Up.WithLabelValues(name).Set(0)
	c := cfg.Sinks[name]
	if !c.Enabled || len(d.s.track.Sink(name)) > 0 {
		return
	}
	list, err := d.s.deliveries(name, &c)
	if err != nil {
		d.s.log.Warn("a paused sink could not be resumed as it is configured", "sink", name, "err", err)
		return
	}
	var streams []string
	for _, l := range list {
		streams = append(streams, l.stream)
	}
	d.s.track.Delivers(name, streams...)
}

// open makes a sink's stage ready.
func (d *delivery) open(cfg *config.Config, name string) (*delivering, error) {
	c := cfg.Sinks[name]
	list, err := d.s.deliveries(name, &c)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, &pipeline.StopError{What: "sinks." + name + " delivers nothing", Hint: "name a view or tables in its deliver list"}
	}
	w := &delivering{deliver: c.Deliver}
	d.running[name] = w
	letters := &letterBox{s: d.s, client: d.client, sink: name}
	w.cl.add(letters.Close)
	var streams []string
	var parts []part
	log := d.s.log.With("sink", name)
	warn := eachOnce(func(text string) { log.Warn(text) })
	for _, l := range list {
		run, err := d.s.deliverStream(name, &c, l, letters, warn, &w.cl)
		if err != nil {
			return nil, err
		}
		streams, parts = append(streams, l.stream), append(parts, run)
	}
	d.s.track.Delivers(name, streams...)
	w.stage = pipeline.Stage{Name: "deliver", Sink: name, Backoff: func() (time.Duration, time.Duration) {
		r := d.s.settings().Sinks[name].Retry
		return max(r.MinBackoff, time.Millisecond), max(r.MaxBackoff, time.Millisecond)
	}, Run: func(ctx context.Context) error {
		return inTurn(ctx, parts, func() { d.s.sup.Up("deliver", name) }, func(i int, err error) {
			d.s.log.Error("a stream of the destination stopped, its other one goes on", "stage", "deliver", "sink", name, "stream", streams[i], "err", err,
				"hint", resumeHint(name))
			d.s.track.Stopped(name, streams[i], err)
		})
	}}
	return w, nil
}

// deliverStream returns what delivers one stream to a sink until ctx ends or it fails; warn is told what could be
// better at the destination.
func (s *service) deliverStream(name string, c *config.Sink, what delivered, letters *letterBox, warn func(string), cl *closers) (part, error) {
	l, err := openLog(letters.client, cl)
	if err != nil {
		return nil, err
	}
	asker := s.asks
	if what.stream == s.settings().Name {
		asker = s.rawAsks
	}
	// Both are asked in the goroutine that delivers.
	topics := map[string]bool{}
	for _, t := range what.targets {
		topics[stream.DataTopic(what.stream, t.Table.ID)] = true
	}
	follow := what.follow
	if follow != nil {
		follow = func(t *change.Table) (sinks.Target, bool) {
			target, ok := what.follow(t)
			if ok {
				topics[stream.DataTopic(what.stream, t.ID)] = true
			}
			return target, ok
		}
	}
	var captured func(string) bool
	if follow != nil {
		captured = s.captures
	}
	log := s.log.With("stream", what.stream, "sink", name)
	open := func(at change.Mark) *stream.Reader {
		return stream.NewReader(stream.ReaderConfig{Stream: what.stream, Name: name, Grace: 5 * time.Second, Rules: s.rules.stream,
			Topics:    func(t string) bool { return topics[t] },
			OnStalled: func(st stream.Stalled) { log.Warn("a range of the stream cannot be read yet", "err", st.String()) }}, l, at)
	}
	return func(ctx context.Context, started func(), ready func(context.Context) error) error {
		observer := s.track.Observer(name)
		var d *pipeline.Deliver
		observer.Poison = func(ctx context.Context, rows []sinks.Poisoned) error { return d.Poisoned(ctx, rows) }
		sink, err := openSink(name, c, telling{observer, warn})
		if err != nil {
			return err
		}
		d = pipeline.NewDeliver(pipeline.DeliverConfig{
			Stream: what.stream, Sink: name, Targets: what.targets, Follow: follow, Captured: captured,
			IdleEvery: sinkIdleEvery, PollEvery: pollEvery, AskEvery: askEvery, Ahead: sinkAhead,
			Batch: func() pipeline.BatchLimits { return s.batchLimits(name) }, Fail: s.fail, Uncounted: s.rules.uncounted,
			Started: func(at change.Mark) {
				if !at.IsZero() {
					s.track.Resumed(name, what.stream, at)
				}
				started()
			},
			Checked: func(b *change.Batch) *change.Batch { return s.contracts.Load().Batch(b, s.violated) },
			Applied: func(a pipeline.Applied) { s.track.Applied(name, a) },
			Lost: func(why error) {
				s.log.Warn("the destination cannot go on where it stands: it asks for a cover", "stage", "deliver", "sink", name, "stream", what.stream, "err", why)
			},
			Behind: func(covers []string) { s.track.Stages(name, what.stream, covers) },
			Ready:  ready,
			Aside:  func(refused map[string]error) { s.refusedBy(name, what.stream, refused) },
		}, pipeline.DeliverDeps{
			Sink: sink, Open: open, Asker: asker, Clock: pipeline.WallClock{}, Wait: pipeline.Sleep,
			Meta:    func(ctx context.Context) (*wire.Meta, error) { return stream.ReadMeta(ctx, l, what.stream) },
			Letters: letters.Put,
		})
		err = d.Run(ctx)
		if e := sink.Close(); e != nil {
			log.Debug("destination connection not closed", "err", e)
		}
		return err
	}, nil
}

func (s *service) batchLimits(sink string) pipeline.BatchLimits {
	b := s.settings().Sinks[sink].Batch
	return pipeline.BatchLimits{MinRows: b.MinRows, MaxRows: b.MaxRows, MinDelay: b.MinDelay, MaxDelay: b.MaxDelay}
}

// checkSinks says why sinks that a reload adds or enables could not run, before anything is applied.
func (s *service) checkSinks(next *config.Config) (refused []string) {
	if src, _ := s.source(); src == nil {
		return nil // the views and tables are not known yet: the start finds out
	}
	for _, name := range sortedNames(next.Sinks) {
		c := next.Sinks[name]
		if !c.Enabled {
			continue
		}
		if _, err := s.deliveries(name, &c); err != nil {
			refused = append(refused, strings.TrimSpace(err.Error()))
		}
	}
	return refused
}
