package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) demoCommand() *cobra.Command {
	var keep, stop bool
	var seconds int
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show everything at work on servers of its own",
		Long: `Start MariaDB and the destinations of its own (PostgreSQL, doubles of SQL Server, the ClickHouse engine), seed a sample
database, keep its seven-table join in each of them while a mixed load
writes, and prove at the end that all are equal. Everything is removed afterwards.`,
		Example: "  cdc demo --seconds 60\n  cdc demo --keep",
		Args:    noArgs,
		Hidden:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if seconds < 1 {
				return fmt.Errorf("--seconds is %d: the load needs at least one", seconds)
			}
			if keep && stop {
				return errors.New("--keep and --stop exclude each other")
			}
			return a.deps.demo(cmd.Context(), demo{
				Keep: keep, Stop: stop, For: time.Duration(seconds) * time.Second,
				Stdout: a.stdout, Stderr: a.stderr, Terminal: isTerminal(a.stdout), Environ: a.environ,
			})
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "keep everything running until interrupted, or until --stop")
	c.Flags().BoolVar(&stop, "stop", false, "end a demo that was started with --keep")
	c.Flags().IntVar(&seconds, "seconds", 30, "how long the load writes")
	return c
}
