package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/etlsandbox/cdc/internal/config"
	"github.com/etlsandbox/cdc/internal/telemetry"
	"github.com/etlsandbox/cdc/schemas/change"
)

// deps are the parts behind the commands, so that a test can replace each one by itself.
type deps struct {
	// daemon runs until ctx ends (then nil) or something stops it. Its error carries the exit status
	// (withStatus, admin.ErrOtherDaemon); one without a status was a condition to mend.
	daemon func(ctx context.Context, d daemon) error
	// doctor checks every precondition of a configuration.
	doctor func(ctx context.Context, c *config.Config) ([]finding, error)
	// inspect looks at a source that no configuration names yet.
	inspect func(ctx context.Context, s sourceURL) (inspection, error)
	// compile compiles view files against the source's tables.
	compile func(ctx context.Context, c *config.Config, files []string) ([]compiled, error)
	// tables are those that the source lets be captured.
	tables func(ctx context.Context, c *config.Config) ([]*change.Table, error)
	// demo shows everything at work.
	demo func(ctx context.Context, d demo) error
}

// daemon is what `cdc run` hands to the parts that it starts.
type daemon struct {
	Config *config.Config
	// Load reads the configuration again, for a reload.
	Load func() (*config.Config, error)
	// Hangup asks for a reload: SIGHUP came, or the watched file changed.
	Hangup  <-chan os.Signal
	Log     *slog.Logger
	Level   *slog.LevelVar
	Metrics *telemetry.Metrics
	Version string
}

// demo is what `cdc demo` asks for.
type demo struct {
	// Keep leaves everything running until ctx ends; Stop ends such a one.
	Keep, Stop bool
	// For is how long the load writes.
	For            time.Duration
	Stdout, Stderr io.Writer
	Terminal       bool
	Environ        []string
}

// parts returns the real ones.
func parts() deps {
	return deps{
		daemon:  runService,
		doctor:  examine,
		inspect: inspect,
		compile: compile,
		tables:  captured,
		demo:    runDemo,
	}
}
