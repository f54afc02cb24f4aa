package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/etlsandbox/cdc/internal/telemetry"
)

func (a *app) runCommand() *cobra.Command {
	var stages []string
	var standby bool
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon: capture, join, deliver",
		Long: `Run the daemon in the foreground. It logs to standard error.

SIGTERM and SIGINT let it finish what it does and end with status 0; a second one ends it at once. SIGHUP, and a change
of the file (config.watch), reload the configuration as ` + "`cdc reload`" + ` does. What is only unreachable is tried again; the daemon ends by itself with status
1 when something must be mended, 2 when it could not start, and 3 when another daemon is in charge.`,
		Example: "  cdc run\n  cdc run -c /etc/cdc/cdc.yaml --set log.level=debug",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("stages") {
				a.sets = append(a.sets, "run.stages=["+strings.Join(stages, ", ")+"]")
			}
			if standby {
				a.sets = append(a.sets, "run.standby=true")
			}
			return a.runDaemon(cmd.Context())
		},
	}
	c.Flags().StringSliceVar(&stages, "stages", nil, "stages of this process: capture, join, deliver, api (default all)")
	c.Flags().BoolVar(&standby, "standby", false, "wait until the running daemon is gone")
	return c
}

func (a *app) runDaemon(ctx context.Context) error {
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	l, err := telemetry.ParseLevel(cfg.Log.Level)
	if err != nil {
		return fmt.Errorf("log.level: %w", err)
	}
	level.Set(l)
	watched := ""
	if cfg.Central.Watch {
		watched = cfg.File()
	}
	asks, stop := a.reloadAsks(ctx, watched)
	defer stop()
	b := buildInfo()
	err = a.deps.daemon(ctx, daemon{
		Config: cfg, Load: a.loadConfig, Hangup: asks, Level: level, Version: b.Version,
		Log:     telemetry.NewLogger(a.stderr, telemetry.Format(cfg.Log.Format), isTerminal(a.stderr), level),
		Metrics: telemetry.NewMetrics(telemetry.Build{Version: b.Version, Commit: b.Commit}),
	})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil // asked to end, and ended
	}
	if err != nil && statusOf(err) == exitUnknown && !hasStatus(err) {
		return withStatus(exitNo, err)
	}
	return err
}

func hasStatus(err error) bool {
	var s *statusError
	return errors.As(err, &s)
}
