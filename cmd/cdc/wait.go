package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/etlsandbox/cdc/internal/admin"
)

func (a *app) waitCommand() *cobra.Command {
	var sink string
	c := &cobra.Command{
		Use:   "wait",
		Short: "Return when the sinks show the source's position of now",
		Long: `Take the source's position and return when every enabled sink, or the one named, shows it. Exit status 2 when --timeout
passes before.`,
		Example: "  cdc wait --timeout 1m\n  cdc wait --sink neptune",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			defer cl.Close()
			report, err := a.waitFor(cmd.Context(), cl, sink)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(report)
			}
			for _, s := range report.Sinks {
				a.say("%s shows %s", s.Name, orNone(s.Position))
			}
			a.say("reached %s in %s", orNone(report.Position), seconds(report.Seconds))
			return nil
		},
	}
	c.Flags().StringVar(&sink, "sink", "", "wait for this sink only")
	return c
}

// waitFor waits, and tells every 10 s how far the sinks are.
func (a *app) waitFor(ctx context.Context, cl *admin.Client, sink string) (admin.WaitReport, error) {
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		a.tellLag(ctx, cl, sink)
	}()
	report, err := cl.Wait(ctx, admin.WaitRequest{Sink: sink}, a.timeout)
	cancel()
	<-told
	return report, err
}

func (a *app) tellLag(ctx context.Context, cl *admin.Client, sink string) {
	tick := time.NewTicker(lineEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		st, err := cl.Status(ctx)
		if err != nil || a.quiet {
			continue // the wait itself reports what is wrong
		}
		for _, s := range st.Sinks {
			if sink == "" || s.Name == sink {
				behind := fmt.Sprintf("%d transactions behind", s.LagTransactions)
				if s.LagUnknown {
					behind = "it has nothing yet"
				}
				fmt.Fprintf(a.stderr, "waiting: %s is %s, %s\n", s.Name, s.State, behind)
			}
		}
	}
}
