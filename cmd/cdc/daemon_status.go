package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/telemetry"
	"github.com/etlsandbox/cdc/schemas/change"
)

// Config implements admin.Reporter.
func (s *service) Config(context.Context) ([]byte, error) { return s.settings().JSON() }

// Status implements admin.Reporter: it only reads what the tracker knows.
func (s *service) Status(context.Context) (admin.Status, error) {
	s.mu.Lock()
	cfg, src, plans, refused, tables, why, gone := s.cfg, s.src, s.plans, s.refused, s.tables, s.why, s.kafkaGone
	s.mu.Unlock()
	raw, views := s.track.Stream(cfg.Name), s.track.Stream(s.viewStream())
	st := admin.Status{
		Name: cfg.Name, Version: s.version, StartedAt: s.started, DataDir: cfg.DataDir,
		Source: admin.Source{Type: cfg.Source.Type, Address: fmt.Sprintf("%s:%d", cfg.Source.Host, cfg.Source.Port),
			Position: raw.Mark.Position.String(), LagSeconds: s.sourceLag()},
		Streams: []admin.Stream{streamStatus(cfg.Name, raw), streamStatus(s.viewStream(), views)},
	}
	if src != nil {
		st.Source.Type, st.Source.Version, st.Source.Connected = string(src.Server().Flavor), src.Server().Version, true
	}
	if why != nil {
		st.NotReady = append(st.NotReady, why.Error())
		st.Source.Trouble = trouble(why)
	}
	if gone != nil && why == nil {
		st.NotReady = append(st.NotReady, gone.Error())
	}
	states := s.sup.States()
	st.Covers = s.covers()
	for _, key := range sortedNames(states) {
		g := states[key]
		if g.Sink != "" {
			continue
		}
		st.Stages = append(st.Stages, admin.Stage{Name: g.Name, State: g.State, Since: g.Since, Trouble: trouble(g.Err)})
		if g.State != "running" {
			st.NotReady = append(st.NotReady, fmt.Sprintf("stage %s is %s: %v", g.Name, g.State, g.Err))
		}
	}
	paused := s.track.PausedTables()
	tables = slices.Concat(tables, slices.Collect(maps.Keys(paused)))
	slices.Sort(tables) // also those that appeared and cannot be followed
	for _, t := range slices.Compact(tables) {
		a := admin.Table{Name: t, State: s.tableState(t), CoveredFrom: uint64(s.track.CoveredFrom(t))}
		if why := paused[t]; why != "" {
			a.State, a.Trouble = "paused", admin.Trouble{Error: why}
			st.NotReady = append(st.NotReady, "table "+t+" is paused: "+why)
		}
		st.Tables = append(st.Tables, a)
	}
	for _, p := range plans {
		v := admin.View{Name: p.Name, State: s.tableState(p.Output.ID.String()), Hash: p.Hash}
		for _, t := range p.Inputs {
			if why := paused[t.Table.ID.String()]; why != "" && v.State == "covering" {
				v.State, v.Trouble = "paused", admin.Trouble{Error: "table " + t.Table.ID.String() + " is paused: " + why}
			}
		}
		if why := refused[p.Name]; why != nil {
			v.State, v.Trouble = "paused", admin.Trouble{Error: why.Error(), Hint: refusedHint}
			st.NotReady = append(st.NotReady, "view "+p.Name+" is paused: "+why.Error()+"; "+refusedHint)
		}
		for _, k := range p.Output.Key {
			v.Key = append(v.Key, p.Output.Columns[k].Name)
		}
		st.Views = append(st.Views, v)
	}
	for _, name := range sortedNames(cfg.Sinks) {
		k := s.sinkStatus(name, states["deliver/"+name])
		k.Type = cfg.Sinks[name].Type
		if !cfg.Sinks[name].Enabled {
			k.State = "disabled"
		} else if s.pauses.sink(name) {
			k.State, k.Trouble = "paused", admin.Trouble{}
		} else if k.State != "running" {
			st.NotReady = append(st.NotReady, fmt.Sprintf("sink %s is %s: %s", name, k.State, k.Trouble.Error))
		} else if lines, aside := s.asideAt(name); len(lines) > 0 {
			k.Aside, k.Trouble = aside, admin.Trouble{Error: strings.Join(lines, "; "), Hint: resumeHint(name)}
			st.NotReady = append(st.NotReady, "sink "+name+": "+k.Trouble.Error)
		}
		st.Sinks = append(st.Sinks, k)
	}
	st.Ready = len(st.NotReady) == 0
	return st, nil
}

func (s *service) sinkStatus(name string, g pipeline.StageState) admin.Sink {
	k := admin.Sink{Name: name, State: g.State, Quarantined: uint64(s.track.Quarantined(name)), Trouble: trouble(g.Err)}
	if k.State == "" {
		k.State = "starting"
	}
	for i, p := range s.track.Sink(name) {
		if i == 0 {
			k.Seq, k.Position = uint64(p.Mark.Seq), p.Mark.Position.String()
		}
		k.Covers = append(k.Covers, p.Staging...)
		if newest := s.track.Stream(p.Stream).Mark.Seq; newest > p.Mark.Seq {
			k.LagSeconds = max(k.LagSeconds, age(p.CommitMicros))
		}
	}
	behind, known := s.track.Behind(name)
	k.LagTransactions, k.LagUnknown = uint64(behind), !known
	return k
}

func streamStatus(name string, p pipeline.StreamProgress) admin.Stream {
	return admin.Stream{Name: name, Incarnation: p.Mark.Incarnation, Seq: uint64(p.Mark.Seq), Position: p.Mark.Position.String()}
}

// age is how long ago a commit was, in seconds; 0 of none.
func age(micros int64) float64 {
	if micros == 0 {
		return 0
	}
	return max(0, time.Since(time.UnixMicro(micros)).Seconds())
}

func trouble(err error) admin.Trouble {
	if err == nil {
		return admin.Trouble{}
	}
	return admin.Trouble{Error: err.Error(), Hint: telemetry.HintOf(err)}
}

// tableState says whether a table or view is under a cover.
func (s *service) tableState(name string) string {
	for _, c := range s.track.Covers() {
		if c.Ended.IsZero() && c.Cover.Names(name) {
			return "covering"
		}
	}
	return "streaming"
}

func (s *service) covers() []admin.Cover {
	var out []admin.Cover
	for _, c := range s.track.Covers() {
		a := admin.Cover{ID: c.Cover.ID, Kind: coverKind(c.Cover), State: "running", Tables: slices.Clone(c.Cover.Tables),
			Chunks: uint64(c.Chunks), Rows: uint64(c.Rows), Of: s.track.Size(c.Cover.Tables), Started: c.Started, Ended: c.Ended}
		if !c.Ended.IsZero() {
			a.State = "done"
		}
		if c.Voided {
			a.State = "replaced"
		}
		out = append(out, a)
	}
	return out
}

func coverKind(c change.Cover) string {
	switch {
	case c.Heal && c.For != "":
		return "rebuild"
	case c.Heal:
		return "heal"
	}
	return "resync"
}
