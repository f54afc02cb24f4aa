package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/telemetry"
	"github.com/etlsandbox/cdc/schemas/change"
)

// Reload implements admin.Operator: everything is validated before anything is applied.
func (s *service) Reload(context.Context) (admin.ReloadReport, error) {
	r, err := s.reload()
	paths := func(list []admin.Change) (names []string) {
		for _, c := range list {
			names = append(names, c.Path)
		}
		return names
	}
	switch {
	case err != nil:
		s.log.Error("reload failed", "err", err)
	case len(r.Refused) > 0:
		s.log.Warn("reload refused, nothing was applied", "err", strings.Join(r.Refused, "; "))
	default:
		var contracts []string
		for _, c := range r.Contracts {
			contracts = append(contracts, c.Stream+" ("+c.What+")")
		}
		s.log.Info(fmt.Sprintf("reloaded: applied %v, %v from the next start on, contracts %v", paths(r.Applied), paths(r.Restart), contracts))
	}
	return r, err
}

func (s *service) reload() (admin.ReloadReport, error) {
	var r admin.ReloadReport
	next, err := s.load()
	if err != nil {
		s.metrics.Config.LastReloadSuccessful.Set(0)
		var problems config.Problems
		if errors.As(err, &problems) {
			for _, p := range problems {
				r.Refused = append(r.Refused, p.String())
			}
			return r, nil
		}
		return r, err
	}
	contracts, err := loadContracts(next)
	r.Refused = s.checkSinks(next)
	if err != nil {
		r.Refused = append(r.Refused, err.Error())
	}
	if len(r.Refused) > 0 {
		s.metrics.Config.LastReloadSuccessful.Set(0)
		return r, nil
	}
	s.mu.Lock()
	for _, c := range config.Diff(s.cfg, next) {
		a := admin.Change{Path: c.Path, Old: c.Old, New: c.New}
		if c.Live {
			r.Applied = append(r.Applied, a)
		} else {
			r.Restart = append(r.Restart, a)
		}
	}
	if l, err := telemetry.ParseLevel(next.Log.Level); err == nil {
		s.level.Set(l)
	}
	s.applyLive(next)
	for _, c := range s.contracts.Swap(contracts).Diff(contracts) {
		r.Contracts = append(r.Contracts, admin.ContractChange{Stream: c.Stream, What: c.What})
	}
	s.mu.Unlock()
	if err := s.followSinks(); err != nil {
		return r, err
	}
	s.metrics.Config.LastReloadSuccessful.Set(1)
	s.metrics.Config.LastReloadTimestamp.SetToCurrentTime()
	return r, nil
}

// applyLive takes over what running stages ask for before each use. The caller holds mu.
func (s *service) applyLive(next *config.Config) {
	c := *s.cfg
	c.Log.Level, c.Contracts = next.Log.Level, next.Contracts
	c.Source.Snapshot.MaxRowsPerSecond = next.Source.Snapshot.MaxRowsPerSecond
	c.Sinks = map[string]config.Sink{}
	for name, n := range next.Sinks {
		if old, ok := s.cfg.Sinks[name]; ok {
			old.Batch, old.Retry, old.Enabled, old.Deliver = n.Batch, n.Retry, n.Enabled, n.Deliver
			n = old
		}
		c.Sinks[name] = n
	}
	s.cfg = &c
}

func (s *service) reloadOnHangup(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.hangup:
			r, err := s.Reload(ctx)
			switch {
			case err != nil:
				s.log.Error("configuration not reloaded", "err", err)
			case len(r.Refused) > 0:
				s.log.Error("configuration refused, nothing was applied", "err", strings.Join(r.Refused, "; "))
			default:
				s.log.Info(fmt.Sprintf("configuration reloaded: %d settings applied, %d need a restart", len(r.Applied), len(r.Restart)))
			}
		}
	}
}

func oneTable(name string, tables []string) (string, error) {
	if slices.Contains(tables, name) {
		return name, nil
	}
	var found []string
	for _, t := range tables {
		if strings.EqualFold(t, name) || strings.EqualFold(t[strings.IndexByte(t, '.')+1:], name) {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", admin.NotFound(fmt.Sprintf("table %s is not captured", name), "cdc status lists the captured tables")
	}
	return "", admin.Invalid(fmt.Sprintf("table %s is ambiguous: %s", name, strings.Join(found, ", ")), "write database.table")
}

func (s *service) shape(ctx context.Context, table string) (*change.Table, error) {
	s.mu.Lock()
	src, cfg := s.src, s.cfg
	s.mu.Unlock()
	if src == nil {
		return nil, admin.Refused("the source is not connected", "see cdc status")
	}
	tables, err := src.Tables(ctx, sourceFilter(&cfg.Source))
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(tables, func(t *change.Table) bool { return t.ID.String() == table })
	if i < 0 {
		return nil, admin.NotFound(fmt.Sprintf("table %s is gone", table), "cdc status lists the captured tables")
	}
	return tables[i], nil
}

// Wait implements admin.Operator: it returns when the sinks show the source's position of now.
func (s *service) Wait(ctx context.Context, r admin.WaitRequest) (admin.WaitReport, error) {
	began := time.Now()
	s.mu.Lock()
	src, cfg := s.src, s.cfg
	s.mu.Unlock()
	if src == nil {
		return admin.WaitReport{}, admin.Refused("the source is not connected", "see cdc status")
	}
	var sinks []string
	for _, name := range sortedNames(cfg.Sinks) {
		if cfg.Sinks[name].Enabled && (r.Sink == "" || r.Sink == name) {
			if s.pauses.sink(name) {
				return admin.WaitReport{}, admin.Refused("sink "+name+" is paused", "cdc sink resume "+name)
			}
			sinks = append(sinks, name)
		}
	}
	if len(sinks) == 0 {
		return admin.WaitReport{}, admin.NotFound(fmt.Sprintf("sink %q is not there or not enabled", r.Sink), "cdc status lists the sinks")
	}
	now, err := src.Current(ctx)
	if err != nil {
		return admin.WaitReport{}, err
	}
	select {
	case <-ctx.Done():
		return admin.WaitReport{}, fmt.Errorf("the views are not defined yet: %w", ctx.Err())
	case <-s.defined.done:
	}
	if err := s.untilShown(ctx, src, sinks, now); err != nil {
		return admin.WaitReport{}, err
	}
	st, err := s.Status(ctx)
	if err != nil {
		return admin.WaitReport{}, err
	}
	report := admin.WaitReport{Position: now.String(), Seconds: time.Since(began).Seconds()}
	for _, k := range st.Sinks {
		if slices.Contains(sinks, k.Name) {
			report.Sinks = append(report.Sinks, k)
		}
	}
	return report, nil
}
