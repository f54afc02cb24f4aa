package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/etlsandbox/cdc/internal/admin"
)

// DropSink implements admin.SinkOperator. The sink ends, as by a pause, and stays ended until it is resumed or
// configured anew: only the configuration can forget it.
func (s *service) DropSink(ctx context.Context, name string, purge bool) (admin.DropReport, error) {
	r := admin.DropReport{Sink: name, Configured: true}
	c, ok := s.settings().Sinks[name]
	if !ok {
		return r, admin.NotFound(fmt.Sprintf("sink %q is not configured, so nobody knows how to reach it", name),
			"configure it once more with enabled: false, run cdc reload, and drop it then")
	}
	d, err := driverOf(c.Type)
	if err != nil {
		return r, err
	}
	if purge && d.purge == nil {
		return r, admin.Refused(fmt.Sprintf("what a sink of type %s made is not deleted by cdc", c.Type), "run cdc sink drop "+name+" without --purge, and drop the tables that it names")
	}
	if err := s.pauses.setSink(name, true); err != nil {
		return r, err
	}
	if err := s.followSinks(); err != nil {
		return r, err
	}
	streams := []string{s.settings().Name, s.viewStream()}
	if purge {
		if r.Purged, err = d.purge(ctx, name, &c, streams...); err != nil {
			return r, err
		}
	}
	if d.remains != nil {
		r.Remains, err = d.remains(ctx, name, &c, streams...)
		return r, err
	}
	list, err := s.deliveries(name, &c)
	if err != nil {
		return r, err
	}
	for _, l := range list {
		for _, t := range l.targets {
			r.Remains = append(r.Remains, strings.TrimPrefix(t.Schema+"."+t.To, "."))
		}
	}
	return r, nil
}
