package main

import (
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/admin"
	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/telemetry"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
)

// A sink or view to compare that is not there is named, and so are those that are.
func TestNotDelivered(t *testing.T) {
	cfg := &config.Config{Name: "jupiter", Sinks: map[string]config.Sink{
		"mars":  {Enabled: true, Deliver: []config.Deliver{{From: config.From{View: "Flat"}}}},
		"venus": {},
	}}
	s := &service{cfg: cfg, track: pipeline.NewTracker(telemetry.NewMetrics(telemetry.Build{})),
		plans: []*view.Plan{{Name: "Flat", Output: &change.Table{ID: change.TableID{Name: "Flat"}}}}}
	for _, tt := range []struct{ sink, view, want string }{
		{"nosuch", "", `there is no sink "nosuch" (sinks are mars, venus)`},
		{"venus", "", `sink "venus" is not enabled (set sinks.venus.enabled to true, then cdc reload)`},
		{"", "nosuch", `view or table "nosuch" is not delivered to any enabled sink (delivered are Flat)`},
		{"mars", "nosuch", `view or table "nosuch" is not delivered to sink mars (delivered are Flat)`},
	} {
		err := s.notDelivered(cfg, admin.VerifyRequest{Sink: tt.sink, View: tt.view})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("--sink %q --view %q: %v, want %s", tt.sink, tt.view, err, tt.want)
		}
	}
}
