package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	capture "github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/contract"
	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/stream/embedded"
	"github.com/etlsandbox/cdc/internal/telemetry"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// service is a running daemon: what its parts share, and what the API tells of it.
type service struct {
	log     *slog.Logger
	load    func() (*config.Config, error)
	level   *slog.LevelVar
	hangup  <-chan os.Signal
	version string
	metrics *telemetry.Metrics
	fail    func(point string) error
	rules   rules // zero outside of tests
	defined *definitions
	started time.Time
	track   *pipeline.Tracker
	sup     *pipeline.Supervisor
	// viewTexts are the views as the start found them; they do not change while stages run.
	viewTexts []viewText
	rawAsks   *pipeline.AskQueue
	asks      *pipeline.AskQueue // to the join stage
	places    pipeline.Places
	pauses    *pauses
	// contracts are the live ones.
	contracts atomic.Pointer[contract.Set]

	// Of the embedded broker; nil with Kafka.
	embedded            *embedded.Broker
	kafkaGone           error // why Kafka did not answer when it was asked last; nil if it did
	rawFloor, viewFloor func() int64
	durable             func() change.Mark // of the join state

	mu      sync.Mutex // guards what follows
	cfg     *config.Config
	src     *capture.Source
	plans   []*view.Plan
	refused map[string]error // views that do not fit the tables of now
	shapes  []*change.Table  // of the captured tables, when they were last looked at
	tables  []string
	ids     []change.TableID // the same
	why     error            // why the pipeline is not there yet
	live    *pipeline.LiveSource
	deliver *delivery // nil unless the stages run
	consent consent
}

// runService is `cdc run`: it owns the data folder, serves the API from the start, and keeps trying to get
// the pipeline going while something is only unreachable.
func runService(ctx context.Context, d daemon) error {
	s := &service{log: d.Log, load: d.Load, level: d.Level, hangup: d.Hangup, version: d.Version, metrics: d.Metrics,
		started: time.Now(), cfg: d.Config, track: pipeline.NewTracker(d.Metrics), defined: newDefinitions(), why: errors.New("the daemon is starting")}
	var err error
	if s.fail, err = newFailpoint(os.Getenv(failpointVariable)); err != nil {
		return withStatus(exitUnknown, err)
	}
	if s.rules, err = newRules(os.Getenv(rulesVariable)); err != nil {
		return withStatus(exitUnknown, err)
	}
	if s.rules != (rules{}) {
		d.Log.Warn("rules of the protocol are switched off: destinations will be wrong", "err", os.Getenv(rulesVariable))
	}
	limitMemory(int64(s.cfg.Joiner.Memory))
	s.sup = &pipeline.Supervisor{Log: d.Log, Changed: s.track.Stage}
	s.rawAsks = pipeline.NewAskQueue(s.wake)
	s.asks = pipeline.NewAskQueue(func() {})
	sock, err := admin.Listen(s.cfg.DataDir)
	if err != nil {
		if errors.Is(err, admin.ErrOtherDaemon) {
			return err
		}
		return withStatus(exitUnknown, err)
	}
	defer func() {
		if err := sock.Release(); err != nil {
			d.Log.Warn("control socket not removed", "err", err)
		}
	}()
	if s.pauses, err = openPauses(s.cfg.DataDir); err != nil {
		return withStatus(exitUnknown, err)
	}
	s.recallMeant()
	contracts, err := loadContracts(s.cfg)
	if err != nil {
		return withStatus(exitUnknown, err)
	}
	s.contracts.Store(contracts)
	listeners := []net.Listener{sock.Listener}
	if at := s.cfg.Admin.Listen; at != "" {
		l, err := net.Listen("tcp", at)
		if err != nil {
			return withStatus(exitUnknown, fmt.Errorf("listen on admin.listen %s: %w (set it to a free address, or to \"\")", at, err))
		}
		listeners = append(listeners, l)
	}
	d.Metrics.Active.Set(1)
	d.Metrics.Config.LastReloadSuccessful.Set(1) // the start has read it
	d.Metrics.Config.LastReloadTimestamp.SetToCurrentTime()
	g, ctx := errgroup.WithContext(ctx)
	srv := &admin.Server{Version: d.Version, Reporter: s, Operator: s, Sinks: s, DeadLetters: s, Metrics: d.Metrics.Handler(), Log: d.Log}
	work, done := context.WithCancel(ctx)
	g.Go(func() error { return srv.Run(work, listeners...) })
	g.Go(func() error { s.reloadOnHangup(work); return nil })
	g.Go(func() error {
		defer done() // the API ends with the pipeline
		return s.pipeline(ctx)
	})
	err = g.Wait()
	return s.exit(err)
}

// limitMemory makes the collector work harder instead of letting the process outgrow its ceiling: what it
// is told for the joiner, which is the largest part, and as much as the rest needs at most. GOMEMLIMIT, if
// set, counts instead.
func limitMemory(joiner int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(max(joiner, 256<<20))
	}
}

// exit gives an error of the pipeline its exit status.
func (s *service) exit(err error) error {
	v := pipeline.Judge(err)
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return nil
	case hasStatus(err):
		return err
	case v.Fenced:
		return withStatus(exitFenced, err)
	case v.Refused:
		return withStatus(exitUnknown, err)
	}
	return withStatus(exitNo, err)
}

func (s *service) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil {
		s.live.Wake()
	}
}

// pipeline runs the broker and, once everything is reachable, the stages.
func (s *service) pipeline(ctx context.Context) error {
	client, closeBroker, err := s.broker(ctx)
	if err != nil {
		return err
	}
	defer closeBroker()
	g, ctx := errgroup.WithContext(ctx)
	work, done := context.WithCancel(ctx)
	if s.embedded != nil {
		g.Go(func() error { return s.tendBroker(work) })
	}
	g.Go(func() error {
		defer done()
		return s.unlessPaused(ctx, func(ctx context.Context) error {
			return s.retryUntilUp(ctx, func() error { return s.stages(ctx, client) })
		})
	})
	return g.Wait()
}

// retryUntilUp tries again, with growing pauses, what fails only because something cannot be reached.
func (s *service) retryUntilUp(ctx context.Context, run func() error) error {
	pause := time.Duration(0)
	for {
		began := time.Now()
		err := run()
		if ctx.Err() != nil || err == nil {
			return err
		}
		v := pipeline.Judge(err)
		if v.Unmeant {
			if err := s.untilMeant(ctx, err); err != nil {
				return err
			}
			continue
		}
		if !v.Retry || hasStatus(err) {
			return err
		}
		s.mu.Lock()
		s.why = err
		s.mu.Unlock()
		if time.Since(began) > time.Minute {
			pause = 0
		}
		pause = min(max(200*time.Millisecond, 2*pause), 15*time.Second)
		s.log.Warn("not started yet, trying again in "+pause.String(), "stage", "start", "err", err)
		if pipeline.Sleep(ctx, pause) != nil {
			return nil //nolint:nilerr // it was asked to end
		}
	}
}
