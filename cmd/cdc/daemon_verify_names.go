package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/config"
)

// notDelivered says that nothing is compared of what a request names, and what there is instead.
func (s *service) notDelivered(cfg *config.Config, r admin.VerifyRequest) error {
	if _, there := cfg.Sinks[r.Sink]; r.Sink != "" && !there {
		return admin.NotFound(fmt.Sprintf("there is no sink %q", r.Sink), "sinks are "+orNone(strings.Join(sortedNames(cfg.Sinks), ", ")))
	}
	if r.Sink != "" && !cfg.Sinks[r.Sink].Enabled {
		return admin.Refused(fmt.Sprintf("sink %q is not enabled", r.Sink), "set sinks."+r.Sink+".enabled to true, then cdc reload")
	}
	var names []string
	for name, c := range cfg.Sinks {
		if !c.Enabled || r.Sink != "" && r.Sink != name {
			continue
		}
		list, err := s.deliveries(name, &c)
		if err != nil {
			return err
		}
		for _, l := range list {
			for _, t := range l.targets {
				names = append(names, t.From)
			}
		}
	}
	slices.Sort(names)
	by := "any enabled sink"
	if r.Sink != "" {
		by = "sink " + r.Sink
	}
	if r.View == "" {
		return admin.NotFound("nothing to verify: nothing is delivered to "+by, "cdc status lists sinks and views")
	}
	return admin.NotFound(fmt.Sprintf("view or table %q is not delivered to %s", r.View, by),
		"delivered are "+orNone(strings.Join(slices.Compact(names), ", ")))
}
