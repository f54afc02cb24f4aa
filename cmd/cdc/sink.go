package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/etlsandbox/cdc/internal/admin"
)

func (a *app) sinkCommand() *cobra.Command {
	return section("sink", "Pause, resume and drop single destinations", "  cdc sink pause mars\n  cdc sink drop mars",
		a.sinkPauseCommand(true), a.sinkPauseCommand(false), a.sinkDropCommand())
}

func (a *app) sinkPauseCommand(paused bool) *cobra.Command {
	c := &cobra.Command{
		Use:   "pause S",
		Short: "Stop delivering to one sink; the others go on",
		Long: `Stop delivering to one sink, whose tables stay as they are. The pause is written down in data_dir: it outlives a restart
of the daemon, and ends with ` + "`cdc sink resume`" + ` (or with the folder). What the sink has not got waits in the broker, up to its
retention; after that the sink is filled by a cover when it is resumed, which writes only what differs.`,
		Example: "  cdc sink pause mars\n  cdc sink pause mars --json",
		Args:    exactArgs("the name of a sink"),
	}
	if !paused {
		c.Use, c.Short = "resume S", "Go on delivering to a sink that was paused or has stopped"
		c.Long = "Go on delivering where the sink stands, also when it has stopped on something that is mended now. If the broker has not\nkept what it missed, it is filled by a cover."
		c.Example = "  cdc sink resume mars\n  cdc sink resume mars --json"
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.call(cmd.Context(), func(ctx context.Context, cl *admin.Client) error {
			k, err := cl.PauseSink(ctx, args[0], paused)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(k)
			}
			a.say("sink %s is %s", k.Name, k.State)
			return nil
		})
	}
	return c
}

func (a *app) sinkDropCommand() *cobra.Command {
	var purge bool
	c := &cobra.Command{
		Use:   "drop S",
		Short: "End a sink and print what remains at its destination",
		Long: `End a sink for good and print what it leaves at its destination: its tables, which keep what they show, and the
bookkeeping. With --purge all of that is deleted, tables that the sink had adopted included. The configuration still names
the sink afterwards: remove it there and run ` + "`cdc reload`" + `. Until then it stays ended, as if paused.`,
		Example: "  cdc sink drop mars\n  cdc sink drop mars --purge",
		Args:    exactArgs("the name of a sink"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, cl *admin.Client) error {
				r, err := cl.DropSink(ctx, args[0], purge)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(r)
				}
				a.printDrop(r)
				return nil
			})
		},
	}
	c.Flags().BoolVar(&purge, "purge", false, "delete what the sink made at its destination")
	return c
}

func (a *app) printDrop(r admin.DropReport) {
	a.say("sink %s has ended", r.Sink)
	for _, t := range r.Purged {
		a.say("deleted  %s", t)
	}
	for _, t := range r.Remains {
		a.say("remains  %s", t)
	}
	if r.Configured {
		a.say("remove sinks.%s from the configuration and run cdc reload", r.Sink)
	}
}

func (a *app) pauseCommand(paused bool) *cobra.Command {
	c := &cobra.Command{
		Use:   "pause",
		Short: "Pause the whole daemon: nothing is read, joined or delivered",
		Long: `End capture, join and delivery after what they are doing, and keep the API. The pause is written down in data_dir: it
outlives a restart of the daemon and ends with ` + "`cdc resume`" + `. Every destination keeps showing its boundary. The source must keep its
log for as long as the pause lasts; otherwise all tables are read again after it.`,
		Example: "  cdc pause\n  cdc pause --json",
		Args:    noArgs,
	}
	if !paused {
		c.Use, c.Short, c.Long = "resume", "Go on after cdc pause", "Start capture, join and delivery again, each where it stood."
		c.Example = "  cdc resume\n  cdc resume --json"
	}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.call(cmd.Context(), func(ctx context.Context, cl *admin.Client) error {
			r, err := cl.Pause(ctx, paused)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(r)
			}
			if r.Paused {
				a.say("the daemon is paused")
			} else {
				a.say("the daemon goes on")
			}
			return nil
		})
	}
	return c
}

// call runs f with a client of the daemon, for calls that answer at once.
func (a *app) call(ctx context.Context, f func(context.Context, *admin.Client) error) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := a.brief(ctx)
	defer cancel()
	return f(ctx, cl)
}
