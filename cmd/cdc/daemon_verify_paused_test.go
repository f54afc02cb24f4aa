package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/pipeline"
	"github.com/etlsandbox/cdc/internal/telemetry"
	"github.com/etlsandbox/cdc/schemas/change"
	"github.com/etlsandbox/cdc/schemas/view"
	"github.com/etlsandbox/cdc/sinks"
)

// What is paused cannot come to agree with the source: a comparison says so, before it begins and while it waits.
func TestHeldUp(t *testing.T) {
	open := func(t *testing.T) *service {
		p, err := openPauses(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		cust := &change.Table{ID: change.TableID{DB: "shop", Name: "cust"}}
		flat := &change.Table{ID: change.TableID{Name: "Flat"}}
		return &service{
			pauses: p, track: pipeline.NewTracker(telemetry.NewMetrics(telemetry.Build{})), cfg: &config.Config{Name: "jupiter"},
			plans: []*view.Plan{{Name: "Flat", Output: flat, Inputs: []view.Input{{Table: cust}}}},
		}
	}
	pause := func(s *service) error {
		s.track.Paused("shop.cust", "column note was dropped")
		return nil
	}
	tests := []struct {
		name, stream, from string
		pause              func(*service) error
		want               []string
	}{
		{"view", "views", "Flat", pause, []string{"view Flat cannot be compared: table shop.cust is paused: column note was dropped", "cdc resync shop.cust"}},
		{"raw table", "jupiter", "shop.cust", pause, []string{"table shop.cust is paused: column note was dropped", "cdc resync shop.cust"}},
		{"sink", "views", "Flat", func(s *service) error { return s.pauses.setSink("mars", true) }, []string{"sink mars is paused", "cdc sink resume mars"}},
		{"daemon", "views", "Flat", func(s *service) error { return s.pauses.setDaemon(true) }, []string{"the daemon is paused", "cdc resume"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			what := comparand{"mars", s.viewStream(), sinks.Target{From: tt.from}}
			if tt.stream == "jupiter" {
				what.stream = "jupiter"
			}
			says := func(err error) {
				t.Helper()
				for _, part := range tt.want {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("got %v, want it to say %q", err, part)
					}
				}
			}
			says(s.whileItFlows(t.Context(), what, func(ctx context.Context) error { // it is paused while it is waited for
				if err := tt.pause(s); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			}))
			says(s.whileItFlows(t.Context(), what, func(context.Context) error {
				t.Error("compared although it is paused")
				return nil
			}))
			other := errors.New("no connection")
			free := comparand{"venus", "jupiter", sinks.Target{From: "shop.other"}}
			if tt.name != "daemon" {
				if err := s.whileItFlows(t.Context(), free, func(context.Context) error { return other }); !errors.Is(err, other) {
					t.Errorf("what is not paused: %v", err)
				}
			}
		})
	}
}
