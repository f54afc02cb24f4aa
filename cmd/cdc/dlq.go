package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/etlsandbox/cdc/internal/admin"
)

func (a *app) dlqCommand() *cobra.Command {
	return section("dlq", "Rows that destinations refuse", "  cdc dlq list\n  cdc dlq replay --sink mars",
		a.dlqListCommand(), a.dlqShowCommand(), a.dlqReplayCommand(), a.dlqDropCommand())
}

func (a *app) dlqListCommand() *cobra.Command {
	var sink string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the rows that destinations refuse, and why",
		Long: `List what cdc_quarantine holds at each destination: rows that it refuses, whose older version (or absence) it keeps
showing. A later good version or a deletion of the row takes it off the list by itself.`,
		Example: "  cdc dlq list\n  cdc dlq list --sink mars --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, cl *admin.Client) error {
				list, err := cl.DeadLetters(ctx, sink)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(list)
				}
				if len(list) == 0 {
					a.say("no row is refused")
					return nil
				}
				w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "ID\tSINK\tTABLE\tKEY\tSEQ\tREASON")
				for _, l := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", l.ID, l.Sink, l.Table, l.Key, l.Seq, l.Reason)
				}
				return w.Flush()
			})
		},
	}
	c.Flags().StringVar(&sink, "sink", "", "of this sink only")
	return c
}

func (a *app) dlqShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a refused row with its values",
		Long: `Show a refused row with the values that the destination refused, as the topic of dead letters holds them. The topic keeps
them as long as broker.retention; after that the key, the reason and the place in the stream are left.`,
		Example: "  cdc dlq show 1f3a5c7e9b0d\n  cdc dlq show 1f3a5c7e9b0d --json",
		Args:    exactArgs("the id of a refused row"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, cl *admin.Client) error {
				l, err := cl.DeadLetter(ctx, args[0])
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(l)
				}
				a.say("%s  %s/%s  key %s  seq %d  %s", l.ID, l.Sink, l.Table, l.Key, l.Seq, l.At.UTC().Format(time.RFC3339))
				a.say("    %s", l.Reason)
				if l.Class != "" {
					a.say("    tried: %s", l.Class)
				}
				for _, v := range l.Row {
					text := "NULL"
					if v.Value != nil {
						text = *v.Value
					}
					a.say("    %s = %s", v.Column, text)
				}
				return nil
			})
		},
	}
}

func (a *app) dlqReplayCommand() *cobra.Command {
	var sink string
	c := &cobra.Command{
		Use:   "replay [ID…]",
		Short: "Give destinations the refused rows again, as they are now",
		Long: `Give each destination the rows that it refused again: as they are now, by a cover of their keys for that sink alone, so that
nothing newer is overwritten. Do it after the cause is mended, such as a column made wider. A row that is refused again
stays listed, with a new id. Without ids: all rows, or all of --sink.

Exit status 0 when the destinations took all rows, 1 when one is refused again or an id is not listed, 2 when it could not be
told.`,
		Example: "  cdc dlq replay 1f3a5c7e9b0d\n  cdc dlq replay --sink mars",
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			defer cl.Close()
			ctx, cancel := a.bounded(cmd.Context())
			defer cancel()
			r, err := cl.ReplayDeadLetters(ctx, admin.DeadLetterRequest{Sink: sink, IDs: args})
			if err != nil {
				return err
			}
			if r.Covers, err = a.follow(ctx, cl, r.Covers, 250*time.Millisecond); err != nil {
				return err
			}
			if r.Again, err = refusedAgain(ctx, cl, r.Done, 250*time.Millisecond); err != nil {
				return err
			}
			return a.printDeadLetters(r, "replayed")
		},
	}
	c.Flags().StringVar(&sink, "sink", "", "of this sink only")
	return c
}

func (a *app) dlqDropCommand() *cobra.Command {
	var sink string
	c := &cobra.Command{
		Use:   "drop ID… | --sink S",
		Short: "Take refused rows off the list",
		Long: `Take refused rows off the list without giving them again. The destination keeps what it shows, so cdc verify reports the rows
as different from then on, until a later version of them or a resync.`,
		Example: "  cdc dlq drop 1f3a5c7e9b0d\n  cdc dlq drop --sink mars",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && sink == "" {
				return fmt.Errorf("nothing to drop: name ids, or --sink for all of a sink")
			}
			return a.call(cmd.Context(), func(ctx context.Context, cl *admin.Client) error {
				r, err := cl.DropDeadLetters(ctx, admin.DeadLetterRequest{Sink: sink, IDs: args})
				if err != nil {
					return err
				}
				return a.printDeadLetters(r, "dropped")
			})
		},
	}
	c.Flags().StringVar(&sink, "sink", "", "all of this sink")
	return c
}

// printDeadLetters tells what was done. An id that was named and is not listed makes the answer no, and so does a
// row that is refused again.
func (a *app) printDeadLetters(r admin.DeadLetterReport, done string) error {
	if a.json {
		if err := a.printJSON(r); err != nil {
			return err
		}
	} else {
		for _, l := range r.Done {
			i := slices.IndexFunc(r.Again, l.SameRow)
			if i < 0 {
				a.say("%s  %s %s/%s key %s", l.ID, done, l.Sink, l.Table, l.Key)
				continue
			}
			a.say("%s  %s %s/%s key %s, now listed as %s", l.ID, a.paint(red, "refused again by"), l.Sink, l.Table, l.Key, r.Again[i].ID)
			a.say("    %s", r.Again[i].Reason)
		}
		if len(r.Gone) > 0 {
			a.say("never listed, or not listed any more: %s", strings.Join(r.Gone, ", "))
		}
		if len(r.Done)+len(r.Gone) == 0 {
			a.say("no row is refused")
		}
	}
	if len(r.Gone)+len(r.Again) > 0 {
		return answerNo()
	}
	return nil
}
