package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	capture "github.com/etlsandbox/cdc/cdc"
	"github.com/etlsandbox/cdc/cdc/snapshot"
	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/verify"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/sinks"
)

// Verify implements admin.Operator: each view at each sink, one after the other.
func (s *service) Verify(ctx context.Context, r admin.VerifyRequest, progress func(admin.VerifyProgress)) (admin.VerifyReport, error) {
	src, cfg := s.source()
	var report admin.VerifyReport
	if src == nil {
		return report, admin.Refused("the source is not connected", "see cdc status")
	}
	reader := snapshot.NewReader(snapshot.Config{
		DB: src.DB(), Method: snapshotMethod(src.Server()), Codec: src.Codec(), LogPosition: src.Current, Session: view.Session(),
	})
	for _, name := range sortedNames(cfg.Sinks) {
		sink := cfg.Sinks[name]
		if !sink.Enabled || r.Sink != "" && r.Sink != name {
			continue
		}
		if err := errors.Join(s.sinkHeldUp(name), s.pausedOf(&sink, r.View)); err != nil {
			return report, err
		}
		list, err := s.deliveries(name, &sink)
		if err != nil {
			return report, err
		}
		dst, err := openReader(name, &sink)
		if err != nil {
			return report, err
		}
		for _, l := range list {
			for _, t := range l.targets {
				if r.View != "" && !strings.EqualFold(r.View, t.From) {
					continue
				}
				res, err := s.verifyOne(ctx, r, comparand{name, l.stream, t}, reader, dst, progress)
				if err != nil {
					return report, errors.Join(err, dst.Close())
				}
				report.Results = append(report.Results, res)
			}
		}
		if err := dst.Close(); err != nil {
			s.log.Debug("destination connection not closed", "err", err)
		}
	}
	if len(report.Results) == 0 {
		return report, s.notDelivered(cfg, r)
	}
	return report, nil
}

// source is the connected source, nil when there is none, and the settings of now.
func (s *service) source() (*capture.Source, *config.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.src, s.cfg
}

// comparand is one table of one sink.
type comparand struct {
	sink, stream string
	target       sinks.Target
}

func (s *service) verifyOne(ctx context.Context, r admin.VerifyRequest, what comparand, src verify.Source, dst verify.Destination,
	progress func(admin.VerifyProgress)) (admin.VerifyResult, error) {
	began := time.Now()
	name, t := what.sink, what.target
	out := admin.VerifyResult{Sink: name, View: t.From}
	c := verify.Config{Stream: what.stream, Target: t, Wait: pipeline.Sleep, Pace: pipeline.NewPace(func() int { return r.MaxRowsPerSecond })}
	if what.stream == s.viewStream() {
		plan := s.plan(t.From)
		if plan == nil {
			return out, admin.NotFound("view "+t.From+" is not known", "cdc view list names them")
		}
		if err := s.heldUp(what); err != nil { // its plan may be none to compute by
			return out, err
		}
		c.SQL, c.Base = plan.SQL, baseOf(plan)
	} else {
		shape, err := s.shape(ctx, t.From)
		if err != nil {
			return out, err
		}
		c.Target.Table, c.SQL, c.Base = shape, "SELECT * FROM "+snapshot.TableName(shape.ID), shape
	}
	if r.Keys != "" {
		var err error
		if c.Keys, err = parseKeys(r.Keys, c.Target.Table.KeyTypes()); err != nil {
			return out, admin.Invalid(err.Error(), "write A..B with values of the first key column")
		}
	}
	cfg := s.settings().Sinks[name]
	c.Shape = c.Target.Table
	var err error
	if c.Target, err = spelled(&cfg, c.Target); err != nil {
		return out, err
	}
	c.Progress = func(rows, suspect int) {
		progress(admin.VerifyProgress{Sink: name, View: t.From, Rows: uint64(rows), Suspect: uint64(suspect)})
	}
	if r.TimeoutSeconds > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(r.TimeoutSeconds*float64(time.Second)))
		defer cancel()
	}
	var res verify.Result
	err = s.whileItFlows(ctx, what, func(ctx context.Context) (err error) {
		if err := s.awaitDefinitions(ctx, what); err != nil {
			return fmt.Errorf("verify view %s at sink %s, which does not show it as it is defined now: %w", t.From, name, err)
		}
		if res, err = verify.Run(ctx, c, src, dst, s.places); err != nil {
			return fmt.Errorf("verify view %s at sink %s: %w", t.From, name, err)
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	out.Rows, out.Different, out.Unsettled, out.Quarantined = uint64(res.Rows), uint64(res.Different), uint64(res.Unsettled), uint64(res.Quarantined)
	out.Digest, out.Position, out.Seconds = res.Digest, res.At.String(), time.Since(began).Seconds()
	out.Seq = uint64(s.track.SinkIn(name, what.stream).Mark.Seq)
	for _, c := range c.Shape.Columns {
		out.Columns = append(out.Columns, c.Name)
	}
	for _, d := range res.Differences {
		out.Differences = append(out.Differences, admin.Difference{Key: sinks.FormatKey(d.Key), Source: texts(d.Source), Sink: texts(d.Destination), Unsettled: d.Unsettled})
	}
	m := s.metrics.Verify
	m.DifferentRows.WithLabelValues(name, t.From).Set(float64(res.Different))
	m.QuarantinedRows.WithLabelValues(name, t.From).Set(float64(res.Quarantined))
	if out.Equal() {
		m.LastSuccess.WithLabelValues(name, t.From).SetToCurrentTime()
	}
	return out, nil
}

// baseOf finds the table whose first primary key column is the view's first key column; nil if there is none.
func baseOf(p *view.Plan) *change.Table {
	col, ok := p.Select[p.Output.Key[0]].(interface{ Source() (input, column int) })
	if !ok {
		return nil
	}
	input, column := col.Source()
	t := p.Inputs[input].Table
	if len(t.Key) == 0 || t.Key[0] != column || p.Inputs[input].Left {
		return nil
	}
	return t
}

func (s *service) plan(name string) *view.Plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.plans {
		if p.Name == name {
			return p
		}
	}
	return nil
}

func texts(r change.Row) []string {
	if r == nil {
		return nil
	}
	out := make([]string, len(r))
	for i, v := range r {
		out[i] = v.String()
	}
	return out
}
