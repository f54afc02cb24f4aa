package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/telemetry"
)

// A pause outlives the process, and goes with the sink or the folder.
func TestPauses(t *testing.T) {
	dir := t.TempDir()
	open := func() *pauses {
		t.Helper()
		p, err := openPauses(dir)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p := open()
	_, changed := p.daemon()
	do(p.setSink("mars", true))
	do(p.setSink("venus", true))
	select {
	case <-changed:
	default:
		t.Error("nobody was told of a pause")
	}
	do(p.setDaemon(true))
	do(p.setSink("mars", true)) // twice is once
	do(p.setSink("mars", false))
	p = open()
	if paused, _ := p.daemon(); !paused || p.sink("mars") || !p.sink("venus") {
		t.Errorf("read back: %+v", p.state)
	}
	do(p.keepSinks(map[string]config.Sink{"mars": {}}))
	if p = open(); p.sink("venus") {
		t.Error("the pause of a sink that is gone is kept")
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("files left: %v, %v", left, err)
	}
	do(os.WriteFile(filepath.Join(dir, pausedFile), []byte("{"), 0o600))
	if _, err := openPauses(dir); err == nil {
		t.Error("a broken file was taken for no pause")
	}
}

// A pause that is over before the stages have ended starts them again: the daemon does not end by it.
func TestPauseOfDaemon(t *testing.T) {
	p, err := openPauses(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &service{pauses: p, log: slog.New(slog.DiscardHandler), metrics: telemetry.NewMetrics(telemetry.Build{})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	starts := 0
	err = s.unlessPaused(ctx, func(ctx context.Context) error {
		switch starts++; starts {
		case 1:
			if err := p.setDaemon(true); err != nil {
				t.Error(err)
			}
			<-ctx.Done()
			return p.setDaemon(false)
		case 2:
			cancel()
		}
		return nil
	})
	if err != nil || starts != 2 {
		t.Errorf("started %d times, ends with %v; want 2 and none", starts, err)
	}
	broken := errors.New("the broker's disk is full")
	if err := s.unlessPaused(t.Context(), func(context.Context) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("what stops the stages is lost: %v", err)
	}
}
