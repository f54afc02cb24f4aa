package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etlsandbox/cdc/cdc/snapshot"
	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// resyncAsk is one cover that an operator wants, and who makes it.
type resyncAsk struct {
	queue *pipeline.AskQueue
	ask   pipeline.Ask
	shape *change.Table // of the only table or view; nil when there are several
}

// Resync implements admin.Operator.
func (s *service) Resync(ctx context.Context, r admin.ResyncRequest) (admin.ResyncReport, error) {
	s.mu.Lock()
	up := s.src != nil
	s.mu.Unlock()
	if !up {
		return s.mean(ctx, r)
	}
	asks, err := s.resyncAsks(ctx, r)
	if err != nil {
		return admin.ResyncReport{}, err
	}
	if r.Keys != "" {
		if len(asks) != 1 || asks[0].shape == nil {
			return admin.ResyncReport{}, admin.Invalid("keys belong to one table or view", "name one table, or --view")
		}
		if asks[0].ask.Range, err = parseKeys(r.Keys, asks[0].shape.KeyTypes()); err != nil {
			return admin.ResyncReport{}, admin.Invalid(err.Error(), "write A..B with values of the first key column")
		}
	}
	if r.DryRun {
		return s.dryRun(ctx, r, asks)
	}
	var report admin.ResyncReport
	for _, a := range asks {
		one, err := begin(ctx, a.queue.Ask, a.ask)
		if err != nil {
			return report, err
		}
		report.Covers = append(report.Covers, one.Covers...)
	}
	return report, nil
}

// resyncAsks says which covers make equal again what the request names.
func (s *service) resyncAsks(ctx context.Context, r admin.ResyncRequest) ([]resyncAsk, error) {
	s.mu.Lock()
	tables := slices.Clone(s.tables)
	s.mu.Unlock()
	switch {
	case r.All:
		return []resyncAsk{{queue: s.rawAsks, ask: pipeline.Ask{Tables: tables, Heal: true, Back: true}}}, nil
	case r.Sink != "":
		return s.sinkAsks(r)
	case r.View != "":
		p := s.planOf(r.View)
		if p == nil {
			return nil, admin.NotFound("view "+r.View+" is not known", "cdc view list names them")
		}
		return []resyncAsk{{queue: s.asks, ask: pipeline.Ask{Tables: []string{p.Output.ID.String()}}, shape: p.Output}}, nil
	}
	a := resyncAsk{queue: s.rawAsks}
	for _, t := range r.Tables {
		name, err := oneTable(t, tables)
		if err != nil {
			return nil, err
		}
		a.ask.Tables = append(a.ask.Tables, name)
	}
	if r.Keys != "" && len(a.ask.Tables) == 1 {
		var err error
		if a.shape, err = s.shape(ctx, a.ask.Tables[0]); err != nil {
			return nil, err
		}
	}
	return []resyncAsk{a}, nil
}

// sinkAsks are covers meant for one sink alone: views from the join state, tables from the source.
func (s *service) sinkAsks(r admin.ResyncRequest) ([]resyncAsk, error) {
	c, ok := s.settings().Sinks[r.Sink]
	switch {
	case !ok:
		return nil, admin.NotFound(fmt.Sprintf("sink %q is not configured", r.Sink), "cdc status lists the sinks")
	case !c.Enabled:
		return nil, admin.Refused("sink "+r.Sink+" is not enabled", "enable it and run cdc reload: it then gets what it missed")
	case s.pauses.sink(r.Sink):
		return nil, admin.Refused("sink "+r.Sink+" is paused", "cdc sink resume "+r.Sink)
	}
	list, err := s.deliveries(r.Sink, &c)
	if err != nil {
		return nil, err
	}
	var asks []resyncAsk
	for _, l := range list {
		a := resyncAsk{queue: s.asks, ask: pipeline.Ask{Reader: r.Sink}}
		if l.follow != nil {
			a.queue = s.rawAsks
		}
		for _, t := range l.targets {
			if r.View != "" && !strings.EqualFold(r.View, t.From) {
				continue
			}
			a.ask.Tables = append(a.ask.Tables, t.From)
			if a.shape = nil; len(a.ask.Tables) == 1 {
				a.shape = t.Table
			}
		}
		if len(a.ask.Tables) > 0 {
			asks = append(asks, a)
		}
	}
	if len(asks) == 0 {
		return nil, admin.NotFound(fmt.Sprintf("sink %s does not deliver %s", r.Sink, r.View), "cdc status lists sinks and views")
	}
	return asks, nil
}

// planOf finds a view by its name, in any case.
func (s *service) planOf(name string) *view.Plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.plans, func(p *view.Plan) bool { return strings.EqualFold(p.Name, name) })
	if i < 0 {
		return nil
	}
	return s.plans[i]
}

// dryRun compares what the covers would reach, and writes nothing.
func (s *service) dryRun(ctx context.Context, r admin.ResyncRequest, asks []resyncAsk) (admin.ResyncReport, error) {
	var report admin.ResyncReport
	for _, a := range asks {
		report.Covers = append(report.Covers, admin.Cover{Kind: "resync", State: "waiting", Tables: a.ask.Tables})
	}
	src, cfg := s.source()
	if src == nil {
		return report, admin.Refused("the source is not connected", "see cdc status")
	}
	reader := snapshot.NewReader(snapshot.Config{
		DB: src.DB(), Method: snapshotMethod(src.Server()), Codec: src.Codec(), LogPosition: src.Current, Session: view.Session(),
	})
	for _, name := range sortedNames(cfg.Sinks) {
		c := cfg.Sinks[name]
		if !c.Enabled || r.Sink != "" && r.Sink != name {
			continue
		}
		would, err := s.dryRunSink(ctx, r, name, &c, asks, reader)
		report.Would = append(report.Would, would...)
		if err != nil {
			return report, err
		}
	}
	return report, nil
}

func (s *service) dryRunSink(ctx context.Context, r admin.ResyncRequest, name string, c *config.Sink, asks []resyncAsk, reader *snapshot.Reader) (would []admin.WouldChange, err error) {
	list, err := s.deliveries(name, c)
	if err != nil {
		return nil, err
	}
	dst, err := openReader(name, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	for _, l := range list {
		for _, t := range l.targets {
			direct, reached := s.reaches(asks, t.From)
			if !reached {
				continue
			}
			keys := ""
			if direct {
				keys = r.Keys
			}
			res, err := s.verifyOne(ctx, admin.VerifyRequest{Keys: keys}, comparand{name, l.stream, t}, reader, dst, func(admin.VerifyProgress) {})
			if err != nil {
				return would, err
			}
			would = append(would, admin.WouldChange{Sink: name, View: t.From, Rows: res.Different, Moving: res.Unsettled, Of: res.Rows})
		}
	}
	return would, nil
}

// reaches reports whether a resync of what is asked concerns a table or view: itself, or by a table that it
// reads. What is meant for one sink alone passes the join by.
func (s *service) reaches(asks []resyncAsk, name string) (direct, reached bool) {
	p := s.plan(name)
	for _, a := range asks {
		if slices.Contains(a.ask.Tables, name) {
			return true, true
		}
		if p == nil || a.ask.Reader != "" {
			continue
		}
		for _, in := range p.Inputs {
			reached = reached || slices.Contains(a.ask.Tables, in.Table.ID.String())
		}
	}
	return false, reached
}

// begin hands an operator's ask over and returns when its cover has begun.
func begin(ctx context.Context, hand func(pipeline.Ask), ask pipeline.Ask) (admin.ResyncReport, error) {
	type answer struct {
		id  string
		err error
	}
	got := make(chan answer, 1)
	ask.Done = func(id string, err error) { got <- answer{id, err} }
	hand(ask)
	select {
	case <-ctx.Done():
		return admin.ResyncReport{}, ctx.Err()
	case a := <-got:
		kind := "resync"
		if ask.Heal {
			kind = "heal"
		}
		return admin.ResyncReport{Covers: []admin.Cover{{ID: a.id, Kind: kind, State: "running", Tables: ask.Tables, Started: time.Now()}}}, a.err
	}
}
