package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/etlsandbox/cdc/internal/admin"
)

func (a *app) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Make the daemon read its configuration again and apply what is live",
		Long: `The same as SIGHUP: the daemon reads its configuration again and checks all of it. If anything is wrong nothing is
applied, the reasons are printed and the exit status is 1. Settings that need a restart are named.`,
		Example: "  cdc reload\n  cdc reload -c /etc/cdc/cdc.yaml",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			defer cl.Close()
			ctx, cancel := a.brief(cmd.Context())
			defer cancel()
			report, err := cl.Reload(ctx)
			if err != nil {
				return err
			}
			return a.printReload(report)
		},
	}
}

func (a *app) printReload(r admin.ReloadReport) error {
	if a.json {
		if err := a.printJSON(r); err != nil {
			return err
		}
	} else {
		for _, c := range r.Applied {
			a.say("applied  %s: %s -> %s", c.Path, c.Old, c.New)
		}
		for _, c := range r.Contracts {
			a.say("applied  contract of %s: %s", c.Stream, c.What)
		}
		for _, c := range r.Restart {
			a.say("%s  %s: %s -> %s", a.paint(yellow, "needs a restart"), c.Path, c.Old, c.New)
		}
		for _, why := range r.Refused {
			fmt.Fprintln(a.stderr, why)
		}
		switch {
		case len(r.Refused) > 0:
			fmt.Fprintln(a.stderr, "nothing was applied")
		case len(r.Applied)+len(r.Contracts)+len(r.Restart) == 0:
			a.say("nothing has changed")
		}
	}
	if len(r.Refused) > 0 {
		return answerNo()
	}
	return nil
}
